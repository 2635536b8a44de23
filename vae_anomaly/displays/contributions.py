"""Displays of contributions: a waterfall for one row, and a heatmap for many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vae_anomaly.axes import COLORS, GREY, axes_of, remove_spines
from vae_anomaly.explanations.explain import explain
from vae_anomaly.explanations.explanation import Explanation
from vae_anomaly.explanations.sentences import in_words
from vae_anomaly.sklearn_private import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_MAX_TEXT = 28
"""The largest number of characters of a column and its value in a label."""


class ContributionsDisplay:
    """Waterfall plot of the contributions to the anomaly score of one row.

    It is recommended to use `from_estimator` or `from_predictions` to create a display. The bars
    start from zero, with the largest contribution first. Each begins where the one above it ends,
    so that the last one ends at the anomaly score of the row.

    Parameters
    ----------
    labels : list of str
        The names of what contributes, with their values.

    contributions : ndarray of shape (n_labels,)
        The contributions in nats.

    threshold : float or None, default=None
        The anomaly score above which a row is an alarm.

    title : str or None, default=None
        The title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the waterfall.

    figure_ : matplotlib Figure
        The figure.

    bars_ : matplotlib BarContainer
        The bars, from top to bottom.

    See Also
    --------
    ContributionsDisplay.from_estimator : Plot the contributions to the score of a row.
    ContributionsDisplay.from_predictions : Plot a row of an explanation.
    ContributionHeatmapDisplay : The contributions of many rows.
    explain : Returns the contributions as numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import ContributionsDisplay, VAEAnomalyDetector
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = np.column_stack([t, np.sin(t), np.cos(t)])
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> ContributionsDisplay.from_estimator(detector, [[3.0, 2.0, -1.0]])
    <...>
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        labels: list[str],
        contributions: np.ndarray,
        threshold: float | None = None,
        title: str | None = None,
    ) -> None:
        self.labels = labels
        self.contributions = contributions
        self.threshold = threshold
        self.title = title

    def plot(self, ax: Axes | None = None, *, max_display: int = 10, despine: bool = False) -> Self:
        """Plot the waterfall.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_display : int, default=10
            The largest number of bars. The last one is the sum of the contributions that are not
            shown.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ContributionsDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `max_display` is less than 2.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import ContributionsDisplay
        >>> display = ContributionsDisplay(
        ...     labels=["amount = 9120", "hour = 3", "(code)"],
        ...     contributions=np.array([71.0, 12.0, 9.0]),
        ...     threshold=40.0,
        ... )
        >>> display.plot()
        <...>
        >>> plt.show()
        """
        if max_display < 2:
            raise ValueError(f"max_display must be at least 2, got {max_display}.")
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        order = np.argsort(-np.abs(self.contributions), kind="stable")
        labels = [self.labels[at] for at in order]
        widths = np.asarray(self.contributions)[order]
        if len(labels) > max_display:
            n_others = len(labels) - max_display + 1
            labels = [*labels[: max_display - 1], f"{n_others} others"]
            widths = np.append(widths[: max_display - 1], widths[max_display - 1 :].sum())
        ends = np.cumsum(widths)
        starts = ends - widths
        places = np.arange(len(labels))
        colors = [COLORS[1] if width >= 0 else COLORS[0] for width in widths]
        self.bars_ = ax.barh(places, widths, left=starts, color=colors, height=0.7)
        for place, end in zip(places[:-1], ends[:-1], strict=True):
            ax.plot([end, end], [place - 0.35, place + 1.35], color=GREY, linewidth=0.8)
        low, high = min(0.0, ends.min()), max(0.0, ends.max(), self.threshold or 0.0)
        room = 0.01 * (high - low or 1.0)
        for place, (start, end, width) in enumerate(zip(starts, ends, widths, strict=True)):
            ax.text(
                max(start, end) + room,
                place,
                _signed(width),
                va="center",
                fontsize="small",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
            )
        if self.threshold is not None and np.isfinite(self.threshold):
            ax.axvline(
                self.threshold,
                color="black",
                linestyle=":",
                label=f"Threshold {in_words(self.threshold)}",
            )
            ax.legend(loc="lower left")
        ax.set(
            xlabel="Anomaly score (nats)",
            xlim=(low - 2 * room, high + 14 * room),
            ylim=(len(labels) - 0.4, -0.6),
            title=self.title,
        )
        ax.set_yticks(places, labels)
        ax.tick_params(axis="y", length=0)
        if despine:
            remove_spines([ax], keep_right=False)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        row: int = 0,
        attribution: str = "hiding",
        ax: Axes | None = None,
        max_display: int = 10,
        despine: bool = False,
    ) -> Self:
        """Plot the contributions to the score of a row.

        Parameters
        ----------
        estimator : estimator
            A fitted model, as `explain` takes it.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, one of which is plotted.
        row : int, default=0
            The position of the row in X.
        attribution : {"hiding", "terms"}, default="hiding"
            How the score is divided among the columns, see `explain`.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_display : int, default=10
            The largest number of bars.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ContributionsDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no such row.
        NotFittedError
            If the model is not fitted.
        TypeError
            If the model does not end in a VAE.
        ValueError
            If X or `attribution` is not valid, or `max_display` is less than 2.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ContributionsDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> ContributionsDisplay.from_estimator(detector, X, row=41)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        explanation = explain(estimator, X, attribution=attribution)
        return cls.from_predictions(
            explanation, row=row, ax=ax, max_display=max_display, despine=despine
        )

    @classmethod
    def from_predictions(
        cls,
        explanation: Explanation,
        *,
        row: int = 0,
        ax: Axes | None = None,
        max_display: int = 10,
        despine: bool = False,
    ) -> Self:
        """Plot one row of an explanation.

        Parameters
        ----------
        explanation : Explanation
            The output of `explain`.
        row : int, default=0
            The position of the row in the explanation.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_display : int, default=10
            The largest number of bars.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : ContributionsDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        IndexError
            If there is no such row.
        ValueError
            If `max_display` is less than 2.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ContributionsDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> explanation = detector.explain(X)
        >>> ContributionsDisplay.from_predictions(explanation, row=41)
        <...>
        >>> plt.show()
        """
        names = list(explanation.contributions.columns)
        n_columns = explanation.observed.shape[1]
        labels = [
            _shortened(name, in_words(explanation.observed.iloc[row, at]))
            for at, name in enumerate(names[:n_columns])
        ]
        score = float(explanation.score.iloc[row])
        display = cls(
            labels=[*labels, *names[n_columns:]],
            contributions=explanation.contributions.iloc[row].to_numpy(float),
            threshold=explanation.threshold,
            title=f"Row {explanation.score.index[row]}: score {in_words(score)}",
        )
        return display.plot(ax, max_display=max_display, despine=despine)


class ContributionHeatmapDisplay:
    """Heatmap of the contributions to the anomaly scores of many rows.

    It is recommended to use `from_estimator` or `from_predictions` to create a display.
    Hierarchical clustering sorts the rows, so that those with similar reasons are next to each
    other.

    Parameters
    ----------
    contributions : ndarray of shape (n_samples, n_columns)
        The contributions in nats.

    columns : list of str
        The names of the columns.

    rows : list
        The labels of the rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the heatmap.

    figure_ : matplotlib Figure
        The figure.

    image_ : matplotlib AxesImage
        The heatmap.

    order_ : ndarray of shape (n_shown,)
        The positions of the rows, from top to bottom.

    See Also
    --------
    ContributionHeatmapDisplay.from_estimator : Plot the contributions to the scores of rows.
    ContributionHeatmapDisplay.from_predictions : Plot an explanation.
    ContributionsDisplay : The contributions of one row.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import ContributionHeatmapDisplay, VAEAnomalyDetector
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = np.column_stack([t, np.sin(t), np.cos(t)])
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> ContributionHeatmapDisplay.from_estimator(detector, X[:30] + 2 * np.eye(3)[[0] * 30])
    <...>
    >>> plt.show()
    """

    def __init__(self, *, contributions: np.ndarray, columns: list[str], rows: list[Any]) -> None:
        self.contributions = contributions
        self.columns = columns
        self.rows = rows

    def plot(
        self,
        ax: Axes | None = None,
        *,
        max_columns: int = 20,
        max_rows: int = 500,
        cmap: Any = "cividis",
        colorbar: bool = True,
    ) -> Self:
        """Plot the heatmap.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_columns : int, default=20
            The largest number of columns. Those with the largest mean share are shown.
        max_rows : int, default=500
            The largest number of rows. Those with the highest scores are shown.
        cmap : str or matplotlib Colormap, default="cividis"
            The colours. By default, they can be told apart with any form of colour blindness.
        colorbar : bool, default=True
            Whether to add a colour bar.

        Returns
        -------
        display : ContributionHeatmapDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import ContributionHeatmapDisplay
        >>> display = ContributionHeatmapDisplay(
        ...     contributions=np.random.RandomState(0).uniform(size=(30, 3)),
        ...     columns=["amount", "hour", "(code)"],
        ...     rows=list(range(30)),
        ... )
        >>> display.plot(max_rows=10)
        <...>
        >>> plt.show()
        """
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        values = np.maximum(np.asarray(self.contributions, float), 0.0)
        score = np.sum(self.contributions, axis=1)
        kept = np.sort(np.argsort(-score, kind="stable")[:max_rows])
        total = values[kept].sum(axis=1, keepdims=True)
        shares = 100 * values[kept] / np.where(total > 0, total, 1.0)
        shown = np.argsort(-shares.mean(axis=0), kind="stable")[:max_columns]
        order = _clustered(shares)
        self.order_ = kept[order]
        self.image_ = ax.imshow(
            shares[order][:, shown],
            aspect="auto",
            interpolation="nearest",
            cmap=cmap,
            vmin=0,
            vmax=100,
        )
        ax.set_xticks(
            np.arange(len(shown)),
            [_shortened(self.columns[at]) for at in shown],
            rotation=45,
            ha="right",
            rotation_mode="anchor",
        )
        if len(order) <= 40:
            ax.set_yticks(np.arange(len(order)), [self.rows[at] for at in self.order_])
            ax.set_ylabel("Row")
        else:
            ax.set_yticks([])
            ax.set_ylabel(f"{len(order):,} rows, similar ones together")
        if colorbar:
            self.figure_.colorbar(self.image_, ax=ax, label="Share of the anomaly score (%)")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        attribution: str = "hiding",
        ax: Axes | None = None,
        max_columns: int = 20,
        max_rows: int = 500,
    ) -> Self:
        """Plot the contributions to the scores of rows.

        Parameters
        ----------
        estimator : estimator
            A fitted model, as `explain` takes it.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, usually alarms.
        attribution : {"hiding", "terms"}, default="hiding"
            How the score is divided among the columns, see `explain`.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_columns, max_rows : int, default=20 and 500
            The largest number of columns and rows, see `plot`.

        Returns
        -------
        display : ContributionHeatmapDisplay
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
            If X or `attribution` is not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ContributionHeatmapDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> ContributionHeatmapDisplay.from_estimator(detector, X[:30])
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        explanation = explain(estimator, X, attribution=attribution)
        return cls.from_predictions(explanation, ax=ax, max_columns=max_columns, max_rows=max_rows)

    @classmethod
    def from_predictions(
        cls,
        explanation: Explanation,
        *,
        ax: Axes | None = None,
        max_columns: int = 20,
        max_rows: int = 500,
    ) -> Self:
        """Plot an explanation.

        Parameters
        ----------
        explanation : Explanation
            The output of `explain`.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        max_columns, max_rows : int, default=20 and 500
            The largest number of columns and rows, see `plot`.

        Returns
        -------
        display : ContributionHeatmapDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import ContributionHeatmapDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> ContributionHeatmapDisplay.from_predictions(detector.explain(X[:30]))
        <...>
        >>> plt.show()
        """
        display = cls(
            contributions=explanation.contributions.to_numpy(float),
            columns=[str(name) for name in explanation.contributions.columns],
            rows=list(explanation.contributions.index),
        )
        return display.plot(ax, max_columns=max_columns, max_rows=max_rows)


def _clustered(rows: np.ndarray) -> np.ndarray:
    """Return an order in which similar rows are neighbours."""
    if len(rows) < 3:
        return np.arange(len(rows))
    from scipy.cluster.hierarchy import leaves_list, linkage

    return leaves_list(linkage(rows, "average", optimal_ordering=True))


def _shortened(name: Any, value: str | None = None) -> str:
    text = str(name) if value is None else f"{name} = {value}"
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "\u2026"


def _signed(nats: float) -> str:
    sign = "+" if nats >= 0 else "\u2212"
    return sign + in_words(abs(float(f"{nats:.3g}")))
