"""Displays of scores and thresholds, in scikit-learn's form. They need matplotlib.

The curves of ROC and of precision against recall are scikit-learn's own: pass
``-detector.score_samples(X)`` to `from_predictions` of its `RocCurveDisplay` or
`PrecisionRecallDisplay`. Their `from_estimator` takes classifiers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, column_or_1d

from vae_anomaly.sklearn_private import check_matplotlib_support
from vae_anomaly.thresholds.fitting import own_threshold
from vae_anomaly.thresholds.metrics import outlier_indicator
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
"""Interquartile ranges that are shown below the median; the tail of scores may be huge."""


class ThresholdDisplay:
    """Precision, recall and an objective such as the cost, against the threshold.

    Make it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds, ascending; rows with lower scores are alarms.
    alarm_rate, precision, recall : ndarray of shape (n_thresholds,)
        Share of the rows that are alarms, of the alarms that are outliers, and of the outliers
        that are alarms.
    objective : ndarray of shape (n_thresholds,), default=None
        Values of the objective.
    objective_name : str, default="objective"
        Its name in the plot.
    threshold : float, default=None
        The threshold to mark.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with precision and recall.
    objective_ax_ : matplotlib Axes or None
        Axes with the objective, to the right.
    figure_ : matplotlib Figure
        The figure.
    lines_ : list of matplotlib Line2D
        Precision, recall, and the objective if there is one.
    """

    def __init__(
        self,
        *,
        thresholds: np.ndarray,
        alarm_rate: np.ndarray,
        precision: np.ndarray,
        recall: np.ndarray,
        objective: np.ndarray | None = None,
        objective_name: str = "objective",
        threshold: float | None = None,
    ) -> None:
        self.thresholds = thresholds
        self.alarm_rate = alarm_rate
        self.precision = precision
        self.recall = recall
        self.objective = objective
        self.objective_name = objective_name
        self.threshold = threshold

    def plot(self, ax: Axes | None = None, *, against: str = "threshold") -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        against : {"threshold", "alarm_rate"}, default="threshold"
            The horizontal axis: thresholds, or the share of the rows that they flag, in powers of
            ten.

        Returns
        -------
        display : ThresholdDisplay
            The display, with its artists.
        """
        if against not in ("threshold", "alarm_rate"):
            raise ValueError(f"against must be 'threshold' or 'alarm_rate', got {against!r}.")
        self.ax_ = ax = _axes(ax, self)
        self.figure_ = ax.figure
        x, marked = self.thresholds, self.threshold
        ax.set(xlabel="Threshold (score_samples)", ylabel="Precision, recall")
        ax.set(ylim=_with_room(0, 1), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
        if against == "alarm_rate":
            x = self.alarm_rate
            if marked is not None:
                marked = float(np.interp(marked, self.thresholds, x))
            ax.set(xlabel="Alarm rate", xscale="log")
        else:
            quartiles = np.interp([0.25, 0.5, 0.75], self.alarm_rate, x)
            ax.set_xlim(_left_limit(quartiles, float(x[0]), marked), x[-1])
        self.lines_ = [
            *ax.plot(x, self.precision, label="Precision", drawstyle="steps-pre"),
            *ax.plot(x, self.recall, label="Recall", drawstyle="steps-pre"),
        ]
        self.objective_ax_ = None
        if self.objective is not None:
            self.objective_ax_ = right = ax.twinx()
            self.lines_ += right.plot(
                x,
                self.objective,
                color="tab:gray",
                label=self.objective_name,
                drawstyle="steps-pre",
            )
            right.set(
                ylabel=self.objective_name,
                ylim=_with_room(np.nanmin(self.objective), np.nanmax(self.objective)),
            )
        handles = list(self.lines_)
        if marked is not None:
            label = f"Threshold {self.threshold:.4g}"
            handles.append(ax.axvline(marked, color="black", linestyle="--", label=label))
        ax.legend(handles=handles, loc="upper center", ncols=2, framealpha=1)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        objective: Any = None,
        pos_label: Any = None,
        ax: Axes | None = None,
        against: str = "threshold",
    ) -> Self:
        """Draw the curves of a fitted detector on labelled rows, and mark its threshold.

        Parameters
        ----------
        estimator : outlier detector
            Fitted.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Their labels; rows without one are left out.
        objective : str, objective or scorer, default=None
            What to draw besides, see `TunedThresholdDetectorCV`; by default the `scoring` that
            such an estimator was tuned for.
        pos_label : int, float, bool or str, default=None
            Label of the outliers, see `make_outlier_scorer`; by default that of the estimator, if
            it has one.
        ax, against
            See `plot`.

        Returns
        -------
        display : ThresholdDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if objective is None and hasattr(estimator, "scoring"):
            tuned_for = get_objective(estimator.scoring)
            objective = tuned_for if isinstance(tuned_for, LabelledObjective) else None
        return cls.from_predictions(
            y,
            estimator.score_samples(X),
            threshold=own_threshold(estimator),
            objective=objective,
            pos_label=_label_of(estimator) if pos_label is None else pos_label,
            ax=ax,
            against=against,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        scores: ArrayLike,
        *,
        threshold: float | None = None,
        objective: Any = None,
        pos_label: Any = None,
        ax: Axes | None = None,
        against: str = "threshold",
    ) -> Self:
        """Draw the curves of scores and labels.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels; rows without one are left out.
        scores : array-like of shape (n_samples,)
            What `score_samples` returns: the lower, the more abnormal.
        threshold : float, default=None
            The threshold to mark.
        objective : str, objective or scorer, default=None
            What to draw besides, see `TunedThresholdDetectorCV`.
        pos_label : int, float, bool or str, default=None
            Label of the outliers, see `make_outlier_scorer`.
        ax, against
            See `plot`.

        Returns
        -------
        display : ThresholdDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        check_consistent_length(y_true, scores)
        is_outlier = outlier_indicator(y_true, outlier_label(objective, pos_label))
        known = ~np.isnan(is_outlier)
        score, is_outlier = _checked(scores)[known], is_outlier[known]
        thresholds = candidate_thresholds(score, 1000)
        if threshold is not None and np.isfinite(threshold):
            thresholds = np.union1d(thresholds, threshold)
        resolved = None if objective is None else get_objective(objective)
        if isinstance(resolved, LabelFreeObjective):
            raise ValueError(f"objective={objective!r} has no curve: it takes no labels.")
        curve = threshold_curve(resolved, thresholds, score, is_outlier)
        values = None if resolved is None else curve["scores"]
        name = objective if isinstance(objective, str) else str(resolved)
        if isinstance(resolved, AlarmCost):  # people think of costs, not of their opposite
            values, name = -curve["scores"], "Mean cost of a row"
        return cls(
            thresholds=thresholds,
            alarm_rate=curve["alarm_rate"],
            precision=curve["precision"],
            recall=curve["recall"],
            objective=values,
            objective_name=name,
            threshold=threshold,
        ).plot(ax, against=against)


class ScoreDistributionDisplay:
    """Histograms of the scores, by class where there are labels.

    Make it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores, the lower, the more abnormal.
    is_outlier : ndarray of shape (n_samples,), default=None
        1 for outliers, 0 for inliers, NaN for rows without a label.
    threshold : float, default=None
        The threshold to mark.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the histograms.
    figure_ : matplotlib Figure
        The figure.
    """

    def __init__(
        self,
        *,
        scores: np.ndarray,
        is_outlier: np.ndarray | None = None,
        threshold: float | None = None,
    ) -> None:
        self.scores = scores
        self.is_outlier = is_outlier
        self.threshold = threshold

    def plot(self, ax: Axes | None = None, *, bins: int = 60) -> Self:
        """Draw the histograms, each as a share of the rows of its class.

        Scores far below the bulk are counted in the first bin.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        bins : int, default=60
            Number of bins.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display, with its artists.
        """
        self.ax_ = ax = _axes(ax, self)
        self.figure_ = ax.figure
        quartiles = np.quantile(self.scores, [0.25, 0.5, 0.75])
        left = _left_limit(quartiles, float(self.scores.min()), self.threshold)
        shown, is_cut = np.maximum(self.scores, left), self.scores.min() < left
        edges = np.histogram_bin_edges(shown, bins).tolist()
        for name, rows in self._classes():
            n_rows = np.sum(rows)
            if n_rows:
                weights = np.full(n_rows, 1 / n_rows)
                label = f"{name} ({n_rows:,})"
                ax.hist(shown[rows], edges, weights=weights, alpha=0.5, label=label)
        if self.threshold is not None:
            label = f"Threshold {self.threshold:.4g}"
            ax.axvline(self.threshold, color="black", linestyle="--", label=label)
        ax.set(
            xlabel="score_samples" + ("; lower ones in the first bin" if is_cut else ""),
            ylabel="Share of the " + ("rows" if self.is_outlier is None else "class"),
            yscale="log",
        )
        ax.legend(loc="best")
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
        pos_label: Any = None,
        ax: Axes | None = None,
        bins: int = 60,
    ) -> Self:
        """Draw the scores that a fitted detector gives, and mark its threshold.

        Parameters
        ----------
        estimator : outlier detector
            Fitted.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Their labels, where there are any.
        pos_label : int, float, bool or str, default=None
            Label of the outliers, see `make_outlier_scorer`; by default that of the estimator, if
            it has one.
        ax, bins
            See `plot`.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        return cls.from_predictions(
            y,
            estimator.score_samples(X),
            threshold=own_threshold(estimator),
            pos_label=_label_of(estimator) if pos_label is None else pos_label,
            ax=ax,
            bins=bins,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike | None,
        scores: ArrayLike,
        *,
        threshold: float | None = None,
        pos_label: Any = None,
        ax: Axes | None = None,
        bins: int = 60,
    ) -> Self:
        """Draw scores, by class.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or None
            Labels, where there are any.
        scores : array-like of shape (n_samples,)
            What `score_samples` returns: the lower, the more abnormal.
        threshold : float, default=None
            The threshold to mark.
        pos_label : int, float, bool or str, default=None
            Label of the outliers, see `make_outlier_scorer`.
        ax, bins
            See `plot`.

        Returns
        -------
        display : ScoreDistributionDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        is_outlier = None
        if y_true is not None:
            check_consistent_length(y_true, scores)
            is_outlier = outlier_indicator(y_true, pos_label)
        display = cls(scores=_checked(scores), is_outlier=is_outlier, threshold=threshold)
        return display.plot(ax, bins=bins)


def _label_of(estimator: Any) -> Any:
    """Return the label of the outliers that an estimator was tuned by, or None."""
    scoring, pos_label = (getattr(estimator, name, None) for name in ("scoring", "pos_label"))
    return outlier_label(scoring, pos_label)


def _checked(scores: ArrayLike) -> np.ndarray:
    """Return the scores, or raise ValueError where one is NaN."""
    score = column_or_1d(scores)
    missing = np.flatnonzero(np.isnan(score))
    if missing.size:
        raise ValueError(
            f"{missing.size} scores are NaN, the first in row {missing[0]}; leave these rows out."
        )
    return score


def _axes(ax: Axes | None, display: object) -> Axes:
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax


def _with_room(low: float, high: float) -> tuple[float, float]:
    """Return the limits of an axis, with room for the legend above curves that go everywhere."""
    span = high - low or 1
    return low - 0.03 * span, high + 0.25 * span


def _left_limit(quartiles: np.ndarray, lowest: float, threshold: float | None) -> float:
    """Return how far down scores are shown: the bulk, and the threshold with some room."""
    lower, median, upper = quartiles
    left = median - _REACH * (upper - lower)
    if threshold is not None and np.isfinite(threshold):
        left = min(left, median - 1.5 * (median - threshold))
    return max(float(left), lowest)
