"""TrainingHistoryDisplay: the losses of the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.axes import COLORS, axes_of, remove_spines
from vae_anomaly.nested import inside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = {
    "loss": ("Loss", COLORS[6], "-"),
    "val_loss": ("Loss of the validation rows", COLORS[1], "-"),
    "reconstruction": ("Reconstruction", COLORS[0], "--"),
    "kl": ("KL divergence", COLORS[2], "-."),
}
"""The label, the colour and the style of each line."""


class TrainingHistoryDisplay:
    """Learning curves: the loss of each epoch, and its two terms.

    It is recommended to use `from_estimator` or `from_predictions` to create a display.

    Parameters
    ----------
    history : mapping of str to sequence of float
        The "loss", "reconstruction", "kl" and, if there were validation rows, the "val_loss" of
        each epoch in nats, as in ``VAEAnomalyDetector.history_``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the curves.

    figure_ : matplotlib Figure
        The figure.

    lines_ : dict of str to matplotlib Line2D
        The lines, by the names in `history`.

    See Also
    --------
    TrainingHistoryDisplay.from_estimator : Plot the training of a detector.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import TrainingHistoryDisplay, VAEAnomalyDetector
    >>> X = np.random.RandomState(0).randn(200, 3)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> TrainingHistoryDisplay.from_estimator(detector)
    <...>
    >>> plt.show()
    """

    def __init__(self, *, history: Mapping[str, Sequence[float]]) -> None:
        self.history = history

    def plot(self, ax: Axes | None = None, *, despine: bool = False) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from vae_anomaly import TrainingHistoryDisplay
        >>> TrainingHistoryDisplay(history={"loss": [30.0, 12.0, 9.0]}).plot()
        <...>
        >>> plt.show()
        """
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        self.lines_: dict[str, Any] = {}
        lowest = np.inf
        for name, (label, color, style) in _LINES.items():
            if name not in self.history:
                continue
            losses = np.asarray(self.history[name], float)
            epochs = np.arange(1, len(losses) + 1)
            marker = "o" if len(losses) == 1 else None
            (line,) = ax.plot(
                epochs, losses, label=label, color=color, linestyle=style, marker=marker
            )
            self.lines_[name] = line
            lowest = min(lowest, np.nanmin(losses))
        ax.set(xlabel="Epoch", ylabel="Mean over the rows (nats)")
        if lowest > 0:
            ax.set_yscale("log")
        ax.legend()
        if despine:
            remove_spines([ax], keep_right=False)
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, despine: bool = False
    ) -> Self:
        """Plot the training of a detector.

        Parameters
        ----------
        estimator : estimator
            A fitted `VAEAnomalyDetector`, or a Pipeline or meta-estimator that ends in one.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the detector has no `history_`.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import TrainingHistoryDisplay, VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> TrainingHistoryDisplay.from_estimator(detector)
        <...>
        >>> plt.show()
        """
        detector = estimator
        while (inner := inside(detector)) is not None:
            detector = inner
        check_is_fitted(detector)
        if not hasattr(detector, "history_"):
            raise TypeError(f"{type(detector).__name__} has no history_ of its training.")
        return cls.from_predictions(detector.history_, ax=ax, despine=despine)

    @classmethod
    def from_predictions(
        cls,
        history: Mapping[str, Sequence[float]],
        *,
        ax: Axes | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the losses of a training.

        Parameters
        ----------
        history : mapping of str to sequence of float
            The losses of each epoch, as in ``VAEAnomalyDetector.history_``.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from vae_anomaly import TrainingHistoryDisplay
        >>> history = {
        ...     "loss": [30.0, 12.0, 9.0], "reconstruction": [28.0, 9.0, 5.0], "kl": [2.0, 3.0, 4.0]
        ... }
        >>> TrainingHistoryDisplay.from_predictions(history)
        <...>
        >>> plt.show()
        """
        return cls(history=history).plot(ax, despine=despine)
