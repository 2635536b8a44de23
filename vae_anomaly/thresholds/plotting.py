"""Displays of scores and thresholds, in the style of scikit-learn. They need matplotlib.

For ROC and precision-recall curves, use scikit-learn's displays: pass
``-detector.score_samples(X)`` to `RocCurveDisplay.from_predictions` or
`PrecisionRecallDisplay.from_predictions`. Their `from_estimator` takes classifiers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.axes import axes_of, remove_spines
from vae_anomaly.sklearn_private import (
    _check_sample_weight,
    _num_samples,
    _safe_indexing,
    _validate_style_kwargs,
    check_matplotlib_support,
)
from vae_anomaly.thresholds.fitting import own_threshold
from vae_anomaly.thresholds.metrics import check_scores, outlier_indicator
from vae_anomaly.thresholds.objectives import (
    AlarmCost,
    LabelFreeObjective,
    LabelledObjective,
    candidate_thresholds,
    get_objective,
    outlier_label,
    threshold_curve,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_REACH = 10
"""The number of interquartile ranges shown below the median; the scores' tail may be very long."""


class ThresholdDisplay:
    """Precision, recall and an objective such as the cost, plotted against the threshold.

    It is recommended to use `from_estimator`, `from_predictions` or `from_cv_results` to create a
    display. The last of these plots the curves of several folds; each parameter that is an array
    here is then a list of arrays.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,) or list of ndarray
        The thresholds, in ascending order. Rows with lower scores raise an alarm.

    alarm_rate, precision, recall : ndarray of shape (n_thresholds,) or list of ndarray
        The fraction of the rows that raise an alarm, of the alarms that are outliers, and of the
        outliers that raise an alarm.

    objective : ndarray of shape (n_thresholds,), list of ndarray or None, default=None
        The values of the objective.

    objective_name : str, default="objective"
        The name of the objective in the plot.

    threshold : float, list of float or None, default=None
        The threshold to mark.

    name : str or None, default=None
        The name of the detector, which the legend shows in parentheses.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with precision and recall.

    objective_ax_ : matplotlib Axes or None
        The axes with the objective, on the right.

    figure_ : matplotlib Figure
        The figure.

    lines_ : list of matplotlib Line2D
        The lines of precision, recall and, if there is one, the objective, for each fold in turn.

    See Also
    --------
    ThresholdDisplay.from_estimator : Plot the curves of a fitted detector.
    ThresholdDisplay.from_predictions : Plot the curves of scores and labels.
    ThresholdDisplay.from_cv_results : Plot the curves of the folds of a cross-validation.
    ScoreDistributionDisplay : Histograms of the scores.
    TunedThresholdDetectorCV : Chooses the threshold.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from vae_anomaly import ThresholdDisplay
    >>> rng = np.random.RandomState(0)
    >>> scores = np.concatenate([rng.randn(190), rng.randn(10) - 4])
    >>> y = np.repeat([0, 1], [190, 10])
    >>> ThresholdDisplay.from_predictions(y, scores, threshold=-2.5, objective="f1")
    <...>
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        thresholds: np.ndarray | list[np.ndarray],
        alarm_rate: np.ndarray | list[np.ndarray],
        precision: np.ndarray | list[np.ndarray],
        recall: np.ndarray | list[np.ndarray],
        objective: np.ndarray | list[np.ndarray] | None = None,
        objective_name: str = "objective",
        threshold: float | list[float | None] | None = None,
        name: str | None = None,
    ) -> None:
        self.thresholds = thresholds
        self.alarm_rate = alarm_rate
        self.precision = precision
        self.recall = recall
        self.objective = objective
        self.objective_name = objective_name
        self.threshold = threshold
        self.name = name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        against: str = "threshold",
        name: str | None = None,
        curve_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        against : {"threshold", "alarm_rate"}, default="threshold"
            The quantity on the horizontal axis: the thresholds, or the fraction of the rows that
            they flag, on a logarithmic scale.
        name : str or None, default=None
            The name of the detector in the legend. By default, it is that of the display.
        curve_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `plot` for all curves.
        despine : bool, default=False
            Whether to remove the top spine and, if there is no objective, the right one.

        Returns
        -------
        display : ThresholdDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `against` is not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import ThresholdDisplay
        >>> rng = np.random.RandomState(0)
        >>> scores = np.concatenate([rng.randn(190), rng.randn(10) - 4])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> display = ThresholdDisplay.from_predictions(y, scores)
        >>> display.plot(against="alarm_rate")
        <...>
        >>> plt.show()
        """
        if against not in ("threshold", "alarm_rate"):
            raise ValueError(f"against must be 'threshold' or 'alarm_rate', got {against!r}.")
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        label_end = _label_end(self.name if name is None else name)
        folds = list(self._folds())
        is_rate = against == "alarm_rate"
        ax.set(
            xlabel="Alarm rate" if is_rate else "Threshold (score_samples)",
            ylabel="Precision, recall",
            ylim=_with_room(0, 1),
            yticks=[0, 0.2, 0.4, 0.6, 0.8, 1],
        )
        if is_rate:
            ax.set(xscale="log")
        else:
            limits = [
                _limits(
                    np.interp([0.25, 0.5, 0.75], fold["alarm_rate"], fold["thresholds"]),
                    fold["thresholds"],
                    fold["threshold"],
                )
                for fold in folds
            ]
            ax.set_xlim(min(left for left, _ in limits), max(right for _, right in limits))
        self.objective_ax_ = right = None if self.objective is None else ax.twinx()
        self.lines_: list[Any] = []
        handles: list[Any] = []
        for fold in folds:
            x = fold["alarm_rate"] if is_rate else fold["thresholds"]
            curves = [(ax, "Precision", "precision", "C0"), (ax, "Recall", "recall", "C1")]
            if right is not None:
                curves.append((right, self.objective_name, "objective", "tab:gray"))
            defaults = {"drawstyle": "steps-pre", "alpha": 1.0 if len(folds) == 1 else 0.5}
            lines = []
            for axes, label, key, color in curves:
                style = _validate_style_kwargs(
                    defaults | {"label": label + label_end, "color": color}, curve_kwargs or {}
                )
                lines += axes.plot(x, fold[key], **style)
            marked = fold["threshold"]
            if marked is not None:
                label = _threshold_label([fold["threshold"] for fold in folds])
                low, high = sorted(ax.get_xlim())
                at = np.interp(marked, fold["thresholds"], x) if is_rate else marked
                at = float(np.clip(at, low, high))
                lines.append(ax.axvline(at, color="black", linestyle="--", label=label))
            self.lines_ += lines[: len(curves)]
            handles = handles or lines  # one entry each for all folds
        if right is not None:
            values = np.concatenate([fold["objective"] for fold in folds])
            right.set(
                ylabel=self.objective_name, ylim=_with_room(np.nanmin(values), np.nanmax(values))
            )
        ax.legend(handles=handles, loc="upper center", ncols=2, framealpha=1)
        if despine:
            remove_spines(
                [axes for axes in (ax, right) if axes is not None], keep_right=bool(right)
            )
        return self

    def _folds(self) -> Iterator[dict[str, Any]]:
        """Yield the curves of each fold, or the only ones."""
        names = ("thresholds", "alarm_rate", "precision", "recall", "objective", "threshold")
        curves = {name: getattr(self, name) for name in names}
        if not isinstance(self.thresholds, list):
            yield curves
            return
        for fold in range(len(self.thresholds)):
            yield {
                name: value[fold] if isinstance(value, list) else value
                for name, value in curves.items()
            }

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        objective: Any = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        against: str = "threshold",
        curve_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the curves of a fitted detector on labelled rows, and mark its threshold.

        Parameters
        ----------
        estimator : outlier detector
            The fitted detector.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.
        y : array-like of shape (n_samples,)
            The labels; rows without a label are left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        objective : str, objective, scorer or None, default=None
            The objective to plot as well, see `TunedThresholdDetectorCV`. By default, it is the
            `scoring` of such an estimator.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `make_outlier_scorer`. By default, it is that of the
            estimator, if it has one.
        name : str or None, default=None
            The name of the detector in the legend. If None, no name is shown.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        against : {"threshold", "alarm_rate"}, default="threshold"
            The quantity on the horizontal axis, see `plot`.
        curve_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `plot` for all curves.
        despine : bool, default=False
            Whether to remove the top spine and, if there is no objective, the right one.

        Returns
        -------
        display : ThresholdDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        ValueError
            If the labels or the scores are not valid, or `objective` takes no labels.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import ThresholdDisplay
        >>> rng = np.random.RandomState(0)
        >>> X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> forest = IsolationForest(random_state=0).fit(X)
        >>> ThresholdDisplay.from_estimator(forest, X, y, objective="f1")
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        return cls.from_predictions(
            y,
            estimator.score_samples(X),
            sample_weight=sample_weight,
            threshold=own_threshold(estimator),
            objective=_objective_of(estimator) if objective is None else objective,
            pos_label=_label_of(estimator) if pos_label is None else pos_label,
            name=name,
            ax=ax,
            against=against,
            curve_kwargs=curve_kwargs,
            despine=despine,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        threshold: float | None = None,
        objective: Any = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        against: str = "threshold",
        curve_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the curves of scores and labels.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            The labels; rows without a label are left out.
        scores : array-like of shape (n_samples,)
            The output of `score_samples`: the lower, the more abnormal. Rows without a score (NaN)
            are left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        threshold : float or None, default=None
            The threshold to mark.
        objective : str, objective, scorer or None, default=None
            The objective to plot as well, see `TunedThresholdDetectorCV`.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `make_outlier_scorer`.
        name : str or None, default=None
            The name of the detector in the legend.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        against : {"threshold", "alarm_rate"}, default="threshold"
            The quantity on the horizontal axis, see `plot`.
        curve_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `plot` for all curves.
        despine : bool, default=False
            Whether to remove the top spine and, if there is no objective, the right one.

        Returns
        -------
        display : ThresholdDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the labels or the scores are not valid, or `objective` takes no labels.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import AlarmCost, ThresholdDisplay
        >>> rng = np.random.RandomState(0)
        >>> scores = np.concatenate([rng.randn(190), rng.randn(10) - 4])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> cost = AlarmCost(missed=50, false_alarm=1)
        >>> ThresholdDisplay.from_predictions(y, scores, objective=cost, threshold=-2.5)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        curves = _curves(y_true, scores, sample_weight, threshold, objective, pos_label)
        return cls(**curves, threshold=threshold, name=name).plot(
            ax, against=against, curve_kwargs=curve_kwargs, despine=despine
        )

    @classmethod
    def from_cv_results(
        cls,
        cv_results: dict[str, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        objective: Any = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        against: str = "threshold",
        curve_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the curves of each fold of a cross-validation on its held-out rows.

        Parameters
        ----------
        cv_results : dict
            The output of `sklearn.model_selection.cross_validate` with ``return_estimator=True``
            and ``return_indices=True``.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that were given to `cross_validate`.
        y : array-like of shape (n_samples,)
            The labels; rows without a label are left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        objective : str, objective, scorer or None, default=None
            The objective to plot as well, see `from_estimator`.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `from_estimator`.
        name : str or None, default=None
            The name of the detector in the legend. If None, no name is shown.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        against : {"threshold", "alarm_rate"}, default="threshold"
            The quantity on the horizontal axis, see `plot`.
        curve_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `plot` for all curves.
        despine : bool, default=False
            Whether to remove the top spine and, if there is no objective, the right one.

        Returns
        -------
        display : ThresholdDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `cv_results` lacks the estimators or the indices, X has fewer rows than
            `cross_validate` was given, or the labels are not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from sklearn.model_selection import StratifiedKFold, cross_validate
        >>> from vae_anomaly import ThresholdDisplay, get_outlier_scorer
        >>> rng = np.random.RandomState(0)
        >>> X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> results = cross_validate(
        ...     IsolationForest(random_state=0),
        ...     X,
        ...     y,
        ...     scoring=get_outlier_scorer("roc_auc"),
        ...     cv=StratifiedKFold(2),
        ...     return_estimator=True,
        ...     return_indices=True,
        ... )
        >>> ThresholdDisplay.from_cv_results(results, X, y)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_cv_results")
        folds = []
        for estimator, rows, scores in _held_out(cv_results, X):
            fold_objective = _objective_of(estimator) if objective is None else objective
            fold_label = _label_of(estimator) if pos_label is None else pos_label
            weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
            threshold = own_threshold(estimator)
            y_fold = None if y is None else _safe_indexing(y, rows)
            curves = _curves(y_fold, scores, weight, threshold, fold_objective, fold_label)
            folds.append(curves | {"threshold": threshold})
        every: dict[str, Any] = {key: [fold[key] for fold in folds] for key in folds[0]}
        every["objective_name"] = folds[0]["objective_name"]
        if folds[0]["objective"] is None:
            every["objective"] = None
        return cls(**every, name=name).plot(
            ax, against=against, curve_kwargs=curve_kwargs, despine=despine
        )


class ScoreDistributionDisplay:
    """Histograms of the scores, one for each class if there are labels.

    It is recommended to use `from_estimator`, `from_predictions` or `from_cv_results` to create a
    display.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        The scores. The lower, the more abnormal.

    is_outlier : ndarray of shape (n_samples,) or None, default=None
        The labels: 1 for outliers, 0 for inliers and NaN for rows without a label.

    threshold : float, list of float or None, default=None
        The threshold to mark, or the thresholds of several folds.

    sample_weight : ndarray of shape (n_samples,) or None, default=None
        The sample weights.

    name : str or None, default=None
        The name of the detector, which the legend shows in parentheses.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the histograms.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ScoreDistributionDisplay.from_estimator : Plot the scores of a fitted detector.
    ScoreDistributionDisplay.from_predictions : Plot given scores.
    ScoreDistributionDisplay.from_cv_results : Plot the scores of held-out rows.
    ThresholdDisplay : Precision and recall against the threshold.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import ScoreDistributionDisplay
    >>> X = np.random.RandomState(0).randn(300, 2)
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> ScoreDistributionDisplay.from_estimator(forest, X)
    <...>
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        scores: np.ndarray,
        is_outlier: np.ndarray | None = None,
        threshold: float | list[float | None] | None = None,
        sample_weight: np.ndarray | None = None,
        name: str | None = None,
    ) -> None:
        self.scores = scores
        self.is_outlier = is_outlier
        self.threshold = threshold
        self.sample_weight = sample_weight
        self.name = name

    def plot(
        self,
        ax: Axes | None = None,
        *,
        bins: int = 60,
        name: str | None = None,
        hist_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the histograms, each as fractions of the rows of its class.

        Scores far below the bulk are counted in the first bin, and infinite scores in the first or
        the last.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        bins : int, default=60
            The number of bins.
        name : str or None, default=None
            The name of the detector in the legend. By default, it is that of the display.
        hist_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `hist` for all histograms.
        despine : bool, default=False
            Whether to remove the top and right spines.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display, which stores the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import ScoreDistributionDisplay
        >>> scores = np.random.RandomState(0).randn(200)
        >>> ScoreDistributionDisplay(scores=scores, threshold=-2.5).plot(bins=20)
        <...>
        >>> plt.show()
        """
        self.ax_ = ax = axes_of(ax, self)
        self.figure_ = ax.figure
        label_end = _label_end(self.name if name is None else name)
        finite = self.scores[np.isfinite(self.scores)]
        thresholds = self.threshold if isinstance(self.threshold, list) else [self.threshold]
        quartiles = np.quantile(finite, [0.25, 0.5, 0.75])
        lefts, rights = zip(*(_limits(quartiles, finite, mark) for mark in thresholds), strict=True)
        left, right = min(lefts), max(finite.max(), *rights)
        shown, is_cut = np.clip(self.scores, left, finite.max()), self.scores.min() < left
        edges = np.histogram_bin_edges(shown, bins).tolist()
        weight = np.ones(len(shown)) if self.sample_weight is None else self.sample_weight
        for kind, rows in self._classes():
            if weight[rows].sum() > 0:
                share = weight[rows] / weight[rows].sum()
                label = f"{kind} ({np.sum(rows):,}){label_end}"
                style = _validate_style_kwargs({"alpha": 0.5, "label": label}, hist_kwargs or {})
                ax.hist(shown[rows], edges, weights=share, **style)
        for threshold in thresholds:
            if threshold is not None:
                mark = None if threshold is not thresholds[0] else _threshold_label(thresholds)
                at = float(np.clip(threshold, left, right))
                ax.axvline(at, color="black", linestyle="--", label=mark)
        ax.set(
            xlabel="score_samples" + ("; lower ones in the first bin" if is_cut else ""),
            ylabel="Share of the " + ("rows" if self.is_outlier is None else "class"),
            yscale="log",
        )
        ax.legend(loc="best")
        if despine:
            remove_spines([ax], keep_right=False)
        return self

    def _classes(self) -> list[tuple[str, np.ndarray]]:
        if self.is_outlier is None:
            return [("Rows", np.ones(len(self.scores), bool))]
        return [
            ("Inliers", self.is_outlier == 0),
            ("Outliers", self.is_outlier == 1),
            ("Without a label", np.isnan(self.is_outlier)),
        ]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        bins: int = 60,
        hist_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the scores of a fitted detector, and mark its threshold.

        Parameters
        ----------
        estimator : outlier detector
            The fitted detector.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.
        y : array-like of shape (n_samples,) or None, default=None
            The labels, if there are any.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `make_outlier_scorer`. By default, it is that of the
            estimator, if it has one.
        name : str or None, default=None
            The name of the detector in the legend. If None, no name is shown.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        bins : int, default=60
            The number of bins.
        hist_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `hist` for all histograms.
        despine : bool, default=False
            Whether to remove the top and right spines.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the detector is not fitted.
        ValueError
            If the labels are not valid, or no score is a finite number.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import ScoreDistributionDisplay
        >>> rng = np.random.RandomState(0)
        >>> X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> forest = IsolationForest(random_state=0).fit(X)
        >>> ScoreDistributionDisplay.from_estimator(forest, X, y)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        return cls.from_predictions(
            y,
            estimator.score_samples(X),
            sample_weight=sample_weight,
            threshold=own_threshold(estimator),
            pos_label=_label_of(estimator) if pos_label is None else pos_label,
            name=name,
            ax=ax,
            bins=bins,
            hist_kwargs=hist_kwargs,
            despine=despine,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike | None,
        scores: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        threshold: float | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        bins: int = 60,
        hist_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot scores that have been computed already, by class.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or None
            The labels, if there are any.
        scores : array-like of shape (n_samples,)
            The output of `score_samples`: the lower, the more abnormal. Rows without a score (NaN)
            are left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        threshold : float or None, default=None
            The threshold to mark.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `make_outlier_scorer`.
        name : str or None, default=None
            The name of the detector in the legend.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        bins : int, default=60
            The number of bins.
        hist_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `hist` for all histograms.
        despine : bool, default=False
            Whether to remove the top and right spines.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the labels or the scores are not valid, or no score is a finite number.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from vae_anomaly import ScoreDistributionDisplay
        >>> rng = np.random.RandomState(0)
        >>> scores = np.concatenate([rng.randn(190), rng.randn(10) - 4])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> ScoreDistributionDisplay.from_predictions(y, scores, threshold=-2.5)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        score, is_outlier, weight = _checked(y_true, scores, sample_weight, pos_label)
        display = cls(
            scores=score,
            is_outlier=is_outlier,
            threshold=threshold,
            sample_weight=weight,
            name=name,
        )
        return display.plot(ax, bins=bins, hist_kwargs=hist_kwargs, despine=despine)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: dict[str, Any],
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Axes | None = None,
        bins: int = 60,
        hist_kwargs: dict[str, Any] | None = None,
        despine: bool = False,
    ) -> Self:
        """Plot the scores of all rows that were held out in a cross-validation.

        Parameters
        ----------
        cv_results : dict
            The output of `sklearn.model_selection.cross_validate` with ``return_estimator=True``
            and ``return_indices=True``.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows that were given to `cross_validate`.
        y : array-like of shape (n_samples,) or None, default=None
            The labels, if there are any.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The sample weights.
        pos_label : int, float, bool, str or None, default=None
            The label of the outliers, see `from_estimator`.
        name : str or None, default=None
            The name of the detector in the legend. If None, no name is shown.
        ax : matplotlib Axes or None, default=None
            The axes to plot on. If None, a new figure is created.
        bins : int, default=60
            The number of bins.
        hist_kwargs : dict or None, default=None
            Keyword arguments to be passed to matplotlib's `hist` for all histograms.
        despine : bool, default=False
            Whether to remove the top and right spines.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `cv_results` lacks the estimators or the indices, X has fewer rows than
            `cross_validate` was given, or the labels are not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from sklearn.model_selection import StratifiedKFold, cross_validate
        >>> from vae_anomaly import ScoreDistributionDisplay, get_outlier_scorer
        >>> rng = np.random.RandomState(0)
        >>> X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
        >>> y = np.repeat([0, 1], [190, 10])
        >>> results = cross_validate(
        ...     IsolationForest(random_state=0),
        ...     X,
        ...     y,
        ...     scoring=get_outlier_scorer("roc_auc"),
        ...     cv=StratifiedKFold(2),
        ...     return_estimator=True,
        ...     return_indices=True,
        ... )
        >>> ScoreDistributionDisplay.from_cv_results(results, X, y)
        <...>
        >>> plt.show()
        """
        check_matplotlib_support(f"{cls.__name__}.from_cv_results")
        folds = list(_held_out(cv_results, X))
        rows = np.concatenate([rows for _, rows, _ in folds])
        score, is_outlier, weight = _checked(
            None if y is None else _safe_indexing(y, rows),
            np.concatenate([scores for _, _, scores in folds]),
            None if sample_weight is None else np.asarray(sample_weight)[rows],
            _label_of(folds[0][0]) if pos_label is None else pos_label,
        )
        thresholds = [own_threshold(estimator) for estimator, _, _ in folds]
        display = cls(
            scores=score,
            is_outlier=is_outlier,
            threshold=[threshold for threshold in thresholds if threshold is not None] or None,
            sample_weight=weight,
            name=name,
        )
        return display.plot(ax, bins=bins, hist_kwargs=hist_kwargs, despine=despine)


def _curves(
    y_true: Any,
    scores: Any,
    sample_weight: Any,
    threshold: float | None,
    objective: Any,
    pos_label: Any,
) -> dict[str, Any]:
    """Return the curves of a `ThresholdDisplay`, and the name of the objective."""
    resolved = None if objective is None else get_objective(objective)
    if isinstance(resolved, LabelFreeObjective):
        raise ValueError(f"objective={objective!r} has no curve: it takes no labels.")
    pos_label = outlier_label(objective, pos_label)
    if y_true is None:
        raise ValueError(
            "ThresholdDisplay needs labels: pass y. ScoreDistributionDisplay does without."
        )
    score, is_outlier, weight = _checked(y_true, scores, sample_weight, pos_label)
    assert is_outlier is not None
    known = ~np.isnan(is_outlier)
    score, is_outlier = _without_infinity(score)[known], is_outlier[known]
    thresholds = candidate_thresholds(score, 1000)
    if threshold is not None and np.isfinite(threshold):
        thresholds = np.union1d(thresholds, threshold)
    params = {} if weight is None else {"sample_weight": weight[known]}
    curve = threshold_curve(resolved, thresholds, score, is_outlier, params)
    values = None if resolved is None else curve["scores"]
    name = objective if isinstance(objective, str) else str(resolved)
    if isinstance(resolved, AlarmCost):  # a cost is easier to read than its negation
        values, name = -curve["scores"], "Mean cost of a row"
    names = ("thresholds", "alarm_rate", "precision", "recall")
    return {key: curve[key] for key in names} | {"objective": values, "objective_name": name}


def _threshold_label(thresholds: list[float | None]) -> str:
    """Return the label of the lines at the thresholds, which are those of the folds."""
    marked = [threshold for threshold in thresholds if threshold is not None]
    lowest, highest = min(marked), max(marked)
    if lowest == highest:
        return f"Threshold {lowest:.4g}"
    return f"Thresholds {lowest:.4g} to {highest:.4g}"


def _held_out(cv_results: Any, X: Any) -> Iterator[tuple[Any, np.ndarray, np.ndarray]]:
    """Yield the detector, the held-out rows and their scores for each fold."""
    required = {"estimator", "indices"}
    if not required <= set(cv_results):
        raise ValueError(
            "`cv_results` does not contain one of the following required keys: "
            f"{sorted(required)}. Set explicitly the parameters `return_estimator=True` and "
            "`return_indices=True` to the function `cross_validate`. For the `cv_results_` of a "
            "TunedThresholdDetectorCV, pass the fitted estimator to `from_estimator`."
        )
    tested = cv_results["indices"]["test"]
    n_rows = max(max(np.max(rows) for rows in part) for part in cv_results["indices"].values()) + 1
    if _num_samples(X) < n_rows:
        raise ValueError(
            "`X` does not contain the correct number of samples. "
            f"Expected at least {n_rows}, got {_num_samples(X)}."
        )
    for estimator, rows in zip(cv_results["estimator"], tested, strict=True):
        yield estimator, rows, estimator.score_samples(_safe_indexing(X, rows))


def _checked(
    y_true: Any, scores: Any, sample_weight: Any, pos_label: Any
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the scores, labels and weights of the rows that have a score."""
    score = check_scores(scores)
    check_consistent_length(y_true, score, sample_weight)
    if not np.isfinite(score).any():
        raise ValueError(f"None of {len(score)} scores is a finite number.")
    has_score = ~np.isnan(score)
    is_outlier = None if y_true is None else outlier_indicator(y_true, pos_label)[has_score]
    if sample_weight is None:
        return score[has_score], is_outlier, None
    weight = _check_sample_weight(sample_weight, score, dtype=np.float64, ensure_non_negative=True)
    return score[has_score], is_outlier, weight[has_score]


def _without_infinity(scores: np.ndarray) -> np.ndarray:
    """Return the scores in the same order, with infinite ones moved to just beyond the others."""
    finite = scores[np.isfinite(scores)]
    room = np.ptp(finite) / 100 or 1.0
    return np.clip(scores, finite.min() - room, finite.max() + room)


def _objective_of(estimator: Any) -> Any:
    """Return the labelled objective that an estimator was tuned for, or None."""
    if not hasattr(estimator, "scoring"):
        return None
    is_labelled = isinstance(get_objective(estimator.scoring), LabelledObjective)
    return estimator.scoring if is_labelled else None


def _label_of(estimator: Any) -> Any:
    """Return the label of the outliers that an estimator was tuned with, or None."""
    scoring, pos_label = (getattr(estimator, name, None) for name in ("scoring", "pos_label"))
    return outlier_label(scoring, pos_label)


def _label_end(name: str | None) -> str:
    return "" if name is None else f" ({name})"


def _with_room(low: float, high: float) -> tuple[float, float]:
    """Return the limits of an axis, with room for the legend above the curves."""
    span = high - low or 1
    return low - 0.03 * span, high + 0.25 * span


def _limits(
    quartiles: np.ndarray, values: np.ndarray, threshold: float | None
) -> tuple[float, float]:
    """Return the range of scores that is shown: the bulk, and the threshold with some room."""
    lower, median, upper = quartiles
    left, right = median - _REACH * (upper - lower), float(np.max(values))
    if threshold is not None and np.isfinite(threshold):
        left = min(left, median - 1.5 * (median - threshold))
        right = max(right, threshold)
    left = max(float(left), float(np.min(values)))
    return (left, right) if left < right else (left - 0.5, right + 0.5)
