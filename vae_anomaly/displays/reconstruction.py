"""ReconstructionDisplay: images, series and rows of tables beside what the decoder expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from vae_anomaly.axes import COLORS, GREY, axes_of, remove_spines
from vae_anomaly.explanations.attribution import NEIGHBOURS
from vae_anomaly.explanations.explain import explain
from vae_anomaly.explanations.explanation import Explanation
from vae_anomaly.explanations.sentences import as_truth, in_words
from vae_anomaly.sklearn_private import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_REACH = 1.0
"""How many usual ranges beyond the usual range a value of a table is shown at its place."""

KINDS = ("auto", "image", "series", "row")


class ReconstructionDisplay:
    """Plot of what was observed beside what the decoder expects.

    It is recommended to use `from_estimator` or `from_predictions` to create a display. There are
    three kinds of display:

    - "image": a column for each image. It shows, from top to bottom, the image, its reconstruction
      and the contributions of the pixels to the anomaly score.
    - "series": a channel over time, with its reconstruction. Where the anomaly score is above the
      threshold, the background is shaded.
    - "row": a line for each column of one row of a table. The usual ranges of all columns, from the
      5 % to the 95 % quantile of the training rows, are drawn with the same width. Values far
      outside are drawn at the margin.

    Parameters
    ----------
    explanation : Explanation
        The values that were observed and expected.

    kind : {"image", "series", "row"}
        What is plotted.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ReconstructionDisplay.from_estimator : Plot rows and their reconstructions.
    ReconstructionDisplay.from_predictions : Plot an explanation.
    VAEAnomalyDetector.reconstruct : Returns the reconstructions as numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import ReconstructionDisplay, VAEAnomalyDetector
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = np.column_stack([t, np.sin(t), np.cos(t)])
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> ReconstructionDisplay.from_estimator(detector, [[3.0, 2.0, -1.0]])
    <...>
    >>> plt.show()
    """

    def __init__(self, *, explanation: Explanation, kind: str) -> None:
        self.explanation = explanation
        self.kind = kind

    def plot(
        self,
        ax: Axes | None = None,
        *,
        row: int = 0,
        channel: Any = None,
        max_images: int = 8,
        cmap: Any = "gray_r",
        despine: bool = False,
    ) -> Self:
        """Plot what was observed and what is expected.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        row : int, default=0
            The position of the row or of the window that is plotted.
        channel : int, str or None, default=None
            The channel of a series, by its number or name. By default, it is the first one.
        max_images : int, default=8
            The largest number of images. The first ones are shown.
        cmap : str or matplotlib Colormap, default="gray_r"
            The colours of images with one channel.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ReconstructionDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the kind of the display does not fit the `input_shape` of the detector, or there is
            no such channel.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ReconstructionDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> display = ReconstructionDisplay(explanation=detector.explain(X[:3]), kind="row")
        >>> display.plot(row=2)
        <...>
        >>> plt.show()
        """
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        if self.kind == "image":
            self._plot_images(ax, max_images, cmap)
            return self
        if self.kind == "series":
            self._plot_series(ax, row, channel)
        else:
            self._plot_row(ax, row)
        if despine:
            remove_spines([ax], keep_right=False)
        return self

    def _plot_images(self, ax: Axes, max_images: int, cmap: Any) -> None:
        import matplotlib
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        explained = self.explanation
        shape = explained.sample_shape
        if shape is None or len(shape) != 3:
            raise ValueError(
                "Images need a detector with input_shape=(height, width, channels), got "
                f"input_shape={shape}."
            )
        n = min(max_images, len(explained))
        observed, expected = (
            frame.iloc[:n].to_numpy(float).reshape(n, *shape)
            for frame in (explained.observed, explained.expected)
        )
        nats = np.maximum(explained.in_sample_shape[:n].sum(axis=-1), 0.0)
        low, high = np.nanmin(observed), np.nanmax(observed)
        brightness, heat = Normalize(low, high, clip=True), Normalize(0, max(nats.max(), 1e-9))
        grey = matplotlib.colormaps.get_cmap(cmap)
        colors = matplotlib.colormaps["cividis"]

        def drawn(image: np.ndarray) -> np.ndarray:
            if image.shape[-1] == 3:
                return np.nan_to_num(brightness(image))
            return grey(brightness(image.mean(axis=-1)))[..., :3]

        height, width = shape[:2]
        gap = max(1, height // 8)
        mosaic = np.ones((3 * height + 2 * gap, n * width + (n - 1) * gap, 3))
        for at in range(n):
            left = at * (width + gap)
            for line, picture in enumerate(
                (drawn(observed[at]), drawn(expected[at]), colors(heat(nats[at]))[..., :3])
            ):
                top = line * (height + gap)
                mosaic[top : top + height, left : left + width] = picture
        ax.imshow(mosaic, interpolation="nearest")
        middle = height / 2 - 0.5
        ax.set_yticks(
            [middle + line * (height + gap) for line in range(3)],
            ["Image", "Expected", "Contribution"],
        )
        scores = [in_words(score) for score in explained.score.iloc[:n]]
        ax.set_xticks([width / 2 - 0.5 + at * (width + gap) for at in range(n)], scores)
        ax.set_xlabel("Anomaly score (nats)")
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
        bar = ScalarMappable(heat, colors)
        self.figure_.colorbar(bar, ax=ax, label="Contribution of a pixel (nats)", shrink=0.8)

    def _plot_series(self, ax: Axes, row: int, channel: Any) -> None:
        explained = self.explanation
        shape = explained.sample_shape
        is_alarm = None
        time: Any
        if shape is None:  # a row is a time point
            names = list(explained.observed.columns)
            at = _position(names, channel)
            time = explained.observed.index
            observed = explained.observed.iloc[:, at].to_numpy(float)
            expected = explained.expected.iloc[:, at].to_numpy(float)
            if explained.threshold is not None:
                is_alarm = (explained.score > explained.threshold).to_numpy()
            name, axis = str(names[at]), "Time" if isinstance(time, pd.DatetimeIndex) else "Row"
        elif len(shape) == 2:
            at = _position(list(range(shape[1])), channel)
            time = np.arange(shape[0])
            observed, expected = (
                frame.iloc[row].to_numpy(float).reshape(shape)[:, at]
                for frame in (explained.observed, explained.expected)
            )
            name, axis = f"Channel {at}", "Time step"
        else:
            raise ValueError(f"Samples of input_shape={shape} are images, not series.")
        ax.plot(time, observed, color="black", linewidth=1.2, label="Observed")
        ax.plot(time, expected, color=COLORS[1], linewidth=1.2, linestyle="--", label="Expected")
        if is_alarm is not None and is_alarm.any():
            ax.fill_between(
                time,
                0,
                1,
                where=is_alarm,
                step="mid",
                transform=ax.get_xaxis_transform(),
                color=COLORS[5],
                alpha=0.35,
                linewidth=0,
                label="Alarm",
            )
        ax.set(xlabel=axis, ylabel=name)
        ax.margins(x=0)
        if isinstance(time, pd.DatetimeIndex):
            from matplotlib.dates import ConciseDateFormatter

            locator = ax.xaxis.get_major_locator()
            ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        ax.legend()

    def _plot_row(self, ax: Axes, row: int) -> None:
        explained = self.explanation
        names = list(explained.observed.columns)
        observed, expected = explained.observed.iloc[row], explained.expected.iloc[row]
        places = np.arange(len(names))
        low = explained.usual["low"].to_numpy(float)
        span = explained.usual["high"].to_numpy(float) - low
        ax.axvspan(0, 1, color=GREY, alpha=0.25, linewidth=0, label="Usual range")
        for values, marker, color, label in (
            (expected, "D", COLORS[1], "Expected"),
            (observed, "o", "black", "Observed"),
        ):
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
            with np.errstate(invalid="ignore", divide="ignore"):
                at = (numbers - low) / np.where(span > 0, span, 1.0)
            ax.scatter(
                np.clip(at, -_REACH, 1 + _REACH),
                places,
                marker=marker,
                s=36,
                facecolor=color if marker == "o" else "white",
                edgecolor=color,
                zorder=3,
                label=label,
            )
        right = 1 + _REACH + 0.2
        for place in range(len(names)):
            seen = in_words(observed.iloc[place])
            wanted = in_words(as_truth(expected.iloc[place], observed.iloc[place]))
            text = seen if wanted in ("missing", seen) else f"{seen} (expected {wanted})"
            ax.text(right, place, text, va="center", fontsize="small", clip_on=False)
        ax.set_yticks(places, [str(name) for name in names])
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlim(-_REACH - 0.15, 1 + _REACH + 0.15)
        ax.set_xticks([-_REACH, 0, 1, 1 + _REACH], ["below", "5 %", "95 %", "above"])
        ax.set_xlabel("Quantile of the training rows")
        ax.set_title(f"Row {explained.score.index[row]}")
        ax.grid(axis="y", alpha=0.3)
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.12), ncols=3, frameon=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        kind: str = "auto",
        attribution: str = "terms",
        row: int = 0,
        channel: Any = None,
        ax: Axes | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot rows and their reconstructions.

        Parameters
        ----------
        estimator : estimator
            A fitted model, as `explain` takes it.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        kind : {"auto", "image", "series", "row"}, default="auto"
            What is plotted. "auto" means images and series for detectors with such an
            `input_shape`, series for a `WindowedDetector`, and otherwise a row of a table.
        attribution : {"terms", "hiding"}, default="terms"
            With "terms", the expected value is the reconstruction from the whole row. With
            "hiding", it is what the other columns predict for a column.
        row : int, default=0
            The position of the row or of the window that is plotted.
        channel : int, str or None, default=None
            The channel of a series, by its number or name. By default, it is the first one.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ReconstructionDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the model is not fitted.
        TypeError
            If the model does not end in a VAE.
        ValueError
            If X, `attribution`, `kind` or `channel` is not valid, or `kind` does not fit the
            detector.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_digits
        >>> from vae_anomaly import ReconstructionDisplay, VAEAnomalyDetector
        >>> X = load_digits().data[:300]
        >>> detector = VAEAnomalyDetector(input_shape=(8, 8, 1), max_iter=5, random_state=0).fit(X)
        >>> ReconstructionDisplay.from_estimator(detector, X[:4])
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        explanation = explain(estimator, X, attribution=attribution)
        return cls.from_predictions(
            explanation, kind=kind, row=row, channel=channel, ax=ax, despine=despine
        )

    @classmethod
    def from_predictions(
        cls,
        explanation: Explanation,
        *,
        kind: str = "auto",
        row: int = 0,
        channel: Any = None,
        ax: Axes | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot an explanation.

        Parameters
        ----------
        explanation : Explanation
            The output of `explain`.
        kind : {"auto", "image", "series", "row"}, default="auto"
            What is plotted, see `from_estimator`.
        row : int, default=0
            The position of the row or of the window that is plotted.
        channel : int, str or None, default=None
            The channel of a series, by its number or name. By default, it is the first one.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ReconstructionDisplay
            The display.

        Raises
        ------
        ValueError
            If `kind` or `channel` is not valid, or `kind` does not fit the detector.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ReconstructionDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> ReconstructionDisplay.from_predictions(detector.explain(X[:3]), row=2)
        <...>
        >>> plt.show()
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
        if kind == "auto":
            kind = _kind_of(explanation)
        display = cls(explanation=explanation, kind=kind)
        return display.plot(ax, row=row, channel=channel, despine=despine)


def _kind_of(explanation: Explanation) -> str:
    if explanation.sample_shape is not None:
        return {2: "series", 3: "image"}.get(len(explanation.sample_shape), "row")
    return "series" if NEIGHBOURS in explanation.contributions.columns else "row"


def _position(names: list[Any], channel: Any) -> int:
    if channel is None:
        return 0
    if channel in names:
        return names.index(channel)
    if isinstance(channel, int) and 0 <= channel < len(names):
        return channel
    raise ValueError(f"channel={channel!r} is none of {names}.")
