"""LatentSpaceDisplay: where rows lie in the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from vae_anomaly.axes import COLORS, MARKERS, axes_of, remove_spines
from vae_anomaly.sklearn_private import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


class LatentSpaceDisplay:
    """Scatter plot of the codes of rows, coloured by their anomaly scores or by labels.

    It is recommended to use `from_estimator` or `from_predictions` to create a display. Two latent
    dimensions are shown as they are; of more than two, the first two principal components are
    shown.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        The points.

    axis_labels : tuple of two str
        The labels of both axes.

    values : ndarray of shape (n_samples,) or None, default=None
        What determines the colours of the points: anomaly scores, or at most eight different
        labels.

    is_score : bool, default=True
        Whether `values` are anomaly scores.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the points.

    figure_ : matplotlib Figure
        The figure.

    scatters_ : list of matplotlib PathCollection
        The points, one collection for each label.

    See Also
    --------
    LatentSpaceDisplay.from_estimator : Plot the codes of rows.
    LatentSpaceDisplay.from_predictions : Plot codes that have been computed already.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import LatentSpaceDisplay, VAEAnomalyDetector
    >>> X = np.random.RandomState(0).randn(200, 3)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> LatentSpaceDisplay.from_estimator(detector, X)
    <...>
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        points: np.ndarray,
        axis_labels: tuple[str, str],
        values: np.ndarray | None = None,
        is_score: bool = True,
    ) -> None:
        self.points = points
        self.axis_labels = axis_labels
        self.values = values
        self.is_score = is_score

    def plot(self, ax: Axes | None = None, *, cmap: Any = "cividis", despine: bool = False) -> Self:
        """Plot the points.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        cmap : str or matplotlib Colormap, default="cividis"
            The colours of the scores. By default, they can be told apart with any form of colour
            blindness.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : LatentSpaceDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are more than eight different labels.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import LatentSpaceDisplay
        >>> points = np.random.RandomState(0).normal(size=(100, 2))
        >>> LatentSpaceDisplay(points=points, axis_labels=("first", "second")).plot()
        <...>
        >>> plt.show()
        """
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        self.scatters_: list[Any] = []
        size = float(np.clip(4000 / max(1, len(self.points)), 6, 30))
        x, y = self.points.T
        if self.values is None:
            self.scatters_.append(ax.scatter(x, y, s=size, color=COLORS[0], alpha=0.7))
        elif self.is_score:
            self._plot_scores(ax, cmap, size)
        else:
            self._plot_labels(ax, size)
        ax.set(xlabel=self.axis_labels[0], ylabel=self.axis_labels[1])
        if despine:
            remove_spines([ax], keep_right=False)
        return self

    def _plot_scores(self, ax: Axes, cmap: Any, size: float) -> None:
        from matplotlib.colors import LogNorm, Normalize

        values = np.asarray(self.values, float)
        x, y = self.points.T
        order = np.argsort(values, kind="stable")  # the highest scores on top
        norm = LogNorm() if np.nanmin(values) > 0 else Normalize()
        scatter = ax.scatter(x[order], y[order], c=values[order], s=size, cmap=cmap, norm=norm)
        self.figure_.colorbar(scatter, ax=ax, label="Anomaly score (nats)")
        self.scatters_.append(scatter)

    def _plot_labels(self, ax: Axes, size: float) -> None:
        labels, number = np.unique(np.asarray(self.values), return_inverse=True)
        if len(labels) > len(COLORS):
            raise ValueError(
                f"There are {len(labels)} labels, but only {len(COLORS)} colours and markers that "
                "everyone can tell apart. Join some of the labels."
            )
        x, y = self.points.T
        for at, label in enumerate(labels):
            self.scatters_.append(
                ax.scatter(
                    x[number == at],
                    y[number == at],
                    s=size,
                    color=COLORS[at],
                    marker=MARKERS[at],
                    alpha=0.7,
                    label=str(label),
                )
            )
        ax.legend()

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        ax: Axes | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the codes of rows.

        Parameters
        ----------
        estimator : estimator
            A fitted `VAEAnomalyDetector`, or a Pipeline that ends in one.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or None, default=None
            Labels by which the rows are coloured. By default, they are coloured by their anomaly
            scores.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : LatentSpaceDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid, or there are more than eight different labels.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import LatentSpaceDisplay, VAEAnomalyDetector
        >>> X, y = load_iris(return_X_y=True)
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> LatentSpaceDisplay.from_estimator(detector, X, y)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        codes = np.asarray(estimator.transform(X))
        scores = None if y is not None else -estimator.score_samples(X)
        return cls.from_predictions(codes, scores, y=y, ax=ax, despine=despine)

    @classmethod
    def from_predictions(
        cls,
        codes: ArrayLike,
        scores: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        ax: Axes | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot codes that have been computed already.

        Parameters
        ----------
        codes : array-like of shape (n_samples, latent_dim)
            The codes, as ``VAEAnomalyDetector.transform`` returns them.
        scores : array-like of shape (n_samples,) or None, default=None
            Anomaly scores by which the rows are coloured.
        y : array-like of shape (n_samples,) or None, default=None
            Labels by which the rows are coloured instead.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        despine : bool, default=False
            Whether to remove the top and the right spine.

        Returns
        -------
        display : LatentSpaceDisplay
            The display.

        Raises
        ------
        ValueError
            If `scores` and `y` are both given or have another length than `codes`, or there are
            more than eight different labels.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import LatentSpaceDisplay
        >>> codes = np.random.RandomState(0).normal(size=(100, 8))
        >>> LatentSpaceDisplay.from_predictions(codes, scores=(codes**2).sum(axis=1))
        <...>
        >>> plt.show()
        """
        if scores is not None and y is not None:
            raise ValueError("Pass either scores or y, not both.")
        points: np.ndarray = check_array(codes, ensure_min_samples=2, input_name="codes")
        values = scores if y is None else y
        check_consistent_length(points, values)
        labels = ("Latent dimension 1", "Latent dimension 2")
        if points.shape[1] == 1:
            points = np.column_stack([points[:, 0], np.zeros(len(points))])
            labels = ("Latent dimension 1", "")
        elif points.shape[1] > 2:
            from sklearn.decomposition import PCA

            pca = PCA(2, random_state=0)
            points = pca.fit_transform(points)
            first, second = 100 * pca.explained_variance_ratio_
            labels = (
                f"Principal component 1 of the code ({first:.0f} % of its variance)",
                f"Principal component 2 ({second:.0f} %)",
            )
        display = cls(
            points=points,
            axis_labels=labels,
            values=None if values is None else np.asarray(values),
            is_score=y is None,
        )
        return display.plot(ax, despine=despine)
