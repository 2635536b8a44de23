"""What a threshold is chosen for: objectives for labelled rows, and rules for scores alone."""

from __future__ import annotations

import inspect
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.optimize import minimize
from scipy.stats import genpareto
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer
from sklearn.utils.metadata_routing import MetadataRequest

from vae_anomaly.sklearn_private import (
    InvalidParameterError,
    _check_method_params,
    _check_sample_weight,
    _routing_enabled,
)
from vae_anomaly.thresholds.metrics import _OutlierScorer
from vae_anomaly.thresholds.offsets import auto_offset


class Counts(NamedTuple):
    """The confusion matrix of the labelled rows at each threshold; outliers are positives.

    The four counts add up to the number of labelled rows or, if these have weights, to their sum.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray

    @classmethod
    def at(
        cls,
        thresholds: np.ndarray,
        scores: np.ndarray,
        is_outlier: np.ndarray,
        sample_weight: np.ndarray | None = None,
    ) -> Counts:
        """Count at every threshold; a row raises an alarm if its score is below the threshold.

        Parameters
        ----------
        thresholds : ndarray of shape (n_thresholds,)
            The thresholds.
        scores, is_outlier : ndarray of shape (n,)
            The scores (the lower, the more abnormal) and the labels: True for outliers.
        sample_weight : ndarray of shape (n,) or None, default=None
            The sample weights.
        """
        weight = np.ones(len(scores), dtype=int) if sample_weight is None else sample_weight
        found, false = (
            weight_below(thresholds, scores[rows], weight[rows])
            for rows in (is_outlier, ~is_outlier)
        )
        return cls(
            found, false, weight[is_outlier].sum() - found, weight[~is_outlier].sum() - false
        )

    @property
    def precision(self) -> np.ndarray:
        """The fraction of the alarms that are outliers, or 0 if there is no alarm."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> np.ndarray:
        """The fraction of the outliers that raise an alarm."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)


def candidate_thresholds(scores: np.ndarray, n_max: int) -> np.ndarray:
    """Return thresholds between the scores: one below all, one between each two, one above all.

    If there are more than `n_max` of them, their ranks are spaced geometrically, so that they are
    densest where few rows are flagged.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        The scores. The lower, the more abnormal.
    n_max : int
        The maximum number of thresholds.
    """
    levels = np.unique(scores)
    between = levels[:-1] + (levels[1:] - levels[:-1]) / 2
    between = np.where(between > levels[:-1], between, levels[1:])  # no float lies between the two
    thresholds = np.concatenate([levels[:1], between, [np.nextafter(levels[-1], np.inf)]])
    if len(thresholds) <= n_max:
        return thresholds
    ranks = np.geomspace(1, len(thresholds), n_max).round().astype(int)
    return thresholds[np.unique(ranks) - 1]


def weight_below(thresholds: Any, scores: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the total weight of the scores below each threshold."""
    order = np.argsort(scores)
    sums = np.concatenate([[0], np.cumsum(weight[order])])
    return sums[np.searchsorted(scores[order], thresholds)]


def _ratio(part: Any, whole: Any) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)


def _check(objective: Any, name: str, holds: Callable[[Any], bool], demand: str) -> None:
    value = getattr(objective, name)
    if isinstance(value, bool) or not isinstance(value, Real) or not holds(value):
        raise InvalidParameterError(
            f"{name} of {type(objective).__name__} must be {demand}, got {value!r}."
        )


class _Objective:
    """Base class of objectives that request `sample_weight` by scikit-learn's metadata routing."""

    _DEFAULT_REQUEST: dict[str, Any] = {}

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Set whether sample weights are requested, as for scikit-learn's scorers.

        Parameters
        ----------
        sample_weight : bool, str or None
            True to use the `sample_weight` that is passed to `fit`, False to ignore it, a str to
            use the parameter of this name instead, and None to raise an error if it is passed.

        Returns
        -------
        self : object
            The objective itself.

        Raises
        ------
        RuntimeError
            If scikit-learn's metadata routing is not enabled.
        """
        if not _routing_enabled():
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable it "
                "using sklearn.set_config(enable_metadata_routing=True)."
            )
        # Objectives are frozen, so that they compare by value; the request is not part of it.
        object.__setattr__(self, "_request", {"sample_weight": sample_weight})
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the metadata that the objective requests.

        See scikit-learn's user guide on metadata routing.

        Returns
        -------
        request : MetadataRequest
            The metadata request.
        """
        request = MetadataRequest(owner=self)
        for param, alias in getattr(self, "_request", self._DEFAULT_REQUEST).items():
            request.score.add_request(param=param, alias=alias)
        return request


class LabelledObjective(_Objective, ABC):
    """An objective that evaluates decisions by labels.

    It is also a metric of binary labels and decisions (1 for outliers), as `make_outlier_scorer`
    takes it with ``response_method="predict"``.
    """

    # As with scikit-learn's scorers, weights that are passed must be requested or refused.
    _DEFAULT_REQUEST = {"sample_weight": None}

    @abstractmethod
    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the value at every threshold; higher is better.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """

    def curve(
        self, thresholds: np.ndarray, scores: np.ndarray, is_outlier: np.ndarray, **params: Any
    ) -> np.ndarray:
        """Return the value at every threshold; higher is better.

        Parameters
        ----------
        thresholds : ndarray of shape (n_thresholds,)
            The thresholds.
        scores, is_outlier : ndarray of shape (n,)
            The scores of the labelled rows, and their labels: True for outliers.
        **params : dict
            "sample_weight" of shape (n,), if the rows have weights.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import FBeta
        >>> scores, is_outlier = np.array([-9.0, -2.0, -1.0]), np.array([True, False, False])
        >>> FBeta().curve(np.array([-10.0, -5.0, -1.5]), scores, is_outlier).round(2)
        array([0.  , 1.  , 0.67])
        """
        return self.from_counts(Counts.at(thresholds, scores, is_outlier, **params))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the value of the decisions; higher is better.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,)
            The labels and the decisions: 1 for outliers and 0 for inliers.
        sample_weight : array-like of shape (n,) or None, default=None
            The sample weights.

        Returns
        -------
        value : float
            The value of the decisions.
        """
        scores = np.where(np.asarray(y_pred) == 1, -1.0, 1.0)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, scores, dtype=np.float64)
        counts = Counts.at(np.zeros(1), scores, np.asarray(y_true) == 1, sample_weight)
        return float(self.from_counts(counts)[0])


class LabelFreeObjective(_Objective, ABC):
    """A rule that sets the threshold from the scores of rows that the detector has not seen."""

    @abstractmethod
    def threshold(self, scores: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Return the threshold: rows with lower scores are outliers.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            The scores of rows that the detector was not trained on. The lower, the more abnormal.
        sample_weight : ndarray of shape (n,) or None, default=None
            The sample weights.

        Returns
        -------
        threshold : float
            The threshold.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import AlarmBudget
        >>> AlarmBudget(0.1).threshold(np.arange(50.0))
        5.0
        """


@dataclass(frozen=True)
class FBeta(LabelledObjective):
    """The F-score, which is the weighted harmonic mean of precision and recall [1]_.

    Parameters
    ----------
    beta : float, default=1.0
        The weight of recall relative to precision: recall counts `beta` times as much.

    Raises
    ------
    ValueError
        If `beta` is not a positive, finite number.

    See Also
    --------
    make_outlier_scorer : Turns the objective into a scorer, with ``response_method="predict"``.
    TunedThresholdDetectorCV : Chooses the threshold that is best for an objective.
    sklearn.metrics.fbeta_score : The same for labels and decisions.

    Notes
    -----
    With the numbers of outliers that raise an alarm (TP) and do not (FN), and of false alarms (FP),
    this is::

        F = (1 + beta**2) TP / ((1 + beta**2) TP + beta**2 FN + FP)

    It is 0 if there is neither an outlier nor an alarm.

    References
    ----------
    .. [1] van Rijsbergen, C. J., "Information Retrieval", Butterworths, 1979.

    Examples
    --------
    >>> from vae_anomaly import FBeta
    >>> round(FBeta(beta=2)([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.909
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        _check(self, "beta", lambda beta: beta > 0, "positive")
        _check(self, "beta", math.isfinite, "finite")

    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the F-score at every threshold.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """
        weight = self.beta**2
        found = (1 + weight) * counts.true_positives
        return _ratio(found, found + weight * counts.false_negatives + counts.false_positives)


@dataclass(frozen=True)
class AlarmCost(LabelledObjective):
    """The negated mean cost per row, where misses and false alarms have a price [1]_.

    Parameters
    ----------
    missed : float
        The cost of an outlier that raises no alarm, in any unit. It must exceed `found`.
    false_alarm : float
        The cost of an inlier that raises an alarm.
    found : float, default=0.0
        The cost of an outlier that raises an alarm, such as that of following it up. It is negative
        for a gain.

    Raises
    ------
    ValueError
        If a cost is not a finite number, `missed` is not greater than `found`, or `false_alarm` is
        not positive.

    See Also
    --------
    make_outlier_scorer : Turns the objective into a scorer, with ``response_method="predict"``.
    TunedThresholdDetectorCV : Chooses the threshold that is best for an objective.

    Notes
    -----
    With the numbers of missed outliers (FN), of false alarms (FP) and of outliers that raise an
    alarm (TP), and the number n of labelled rows, this is::

        -(missed FN + false_alarm FP + found TP) / n

    References
    ----------
    .. [1] Elkan, C., "The Foundations of Cost-Sensitive Learning", IJCAI 2001.

    Examples
    --------
    >>> from vae_anomaly import AlarmCost
    >>> AlarmCost(missed=50, false_alarm=1)([0, 0, 1, 1], [0, 1, 1, 0])
    -12.75
    """

    missed: float
    false_alarm: float
    found: float = 0.0

    def __post_init__(self) -> None:
        # With an infinite cost, having no misses would cost 0 * inf, which is NaN.
        _check(self, "found", math.isfinite, "finite")
        _check(
            self, "missed", lambda cost: self.found < cost < math.inf, "finite, greater than found"
        )
        _check(self, "false_alarm", lambda cost: 0 < cost < math.inf, "finite and positive")

    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the negated mean cost at every threshold.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """
        cost = (
            self.missed * counts.false_negatives
            + self.false_alarm * counts.false_positives
            + self.found * counts.true_positives
        )
        return -cost / sum(counts)


@dataclass(frozen=True)
class RecallAtPrecision(LabelledObjective):
    """The recall at thresholds whose precision is at least a given bound.

    At other thresholds, the value is negative: it is the precision minus the bound. If no threshold
    reaches the bound, the one that comes closest is therefore chosen.

    Parameters
    ----------
    precision : float in (0, 1]
        The minimum precision.

    Raises
    ------
    ValueError
        If `precision` does not lie in (0, 1].

    See Also
    --------
    make_outlier_scorer : Turns the objective into a scorer, with ``response_method="predict"``.
    TunedThresholdDetectorCV : Chooses the threshold that is best for an objective.

    Examples
    --------
    >>> from vae_anomaly import RecallAtPrecision
    >>> RecallAtPrecision(0.5)([0, 0, 1, 1], [0, 1, 1, 0])
    0.5
    >>> round(RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 1, 1, 0]), 2)
    -0.3
    """

    precision: float

    def __post_init__(self) -> None:
        _check(self, "precision", lambda precision: 0 < precision <= 1, "in (0, 1]")

    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the recall, or minus the shortfall of the precision, at every threshold.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """
        lacking = counts.precision - self.precision
        return np.where(lacking >= 0, counts.recall, lacking)


@dataclass(frozen=True)
class PrecisionAtK(LabelledObjective):
    """The number of outliers among the k most abnormal rows, divided by k.

    The value is 0 if there are more than k alarms. Among thresholds that find the same number of
    outliers, the one with the fewest alarms is chosen.

    Parameters
    ----------
    k : float
        The number of alarms that can be followed up.
    per : int or None, default=None
        The number of rows that `k` refers to. By default, it is the number of rows given.

    Raises
    ------
    ValueError
        If `k` is not positive, or `per` is less than `k`.

    See Also
    --------
    make_outlier_scorer : Turns the objective into a scorer, with ``response_method="predict"``.
    TunedThresholdDetectorCV : Chooses the threshold that is best for an objective.

    Examples
    --------
    >>> from vae_anomaly import PrecisionAtK
    >>> PrecisionAtK(k=2)([0, 0, 1, 1], [0, 1, 1, 0])
    0.5
    """

    k: float
    per: int | None = None

    def __post_init__(self) -> None:
        _check(self, "k", lambda k: 0 < k < math.inf, "positive")
        if self.per is not None:
            _check(self, "per", lambda per: self.k <= per < math.inf, "at least k")

    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the precision at k at every threshold.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """
        n_rows = sum(counts)
        k = self.k if self.per is None else self.k / self.per * n_rows
        n_alarms = counts.true_positives + counts.false_positives
        return np.where(n_alarms <= k, counts.true_positives / k, 0.0)


@dataclass(frozen=True)
class AutoThreshold(LabelFreeObjective):
    """The threshold that flags 1 % of clean rows, estimated from the bulk of the scores.

    This is the rule of ``contamination="auto"`` in `VAEAnomalyDetector`: a skewed distribution is
    fitted to the bulk. Up to a tenth of the rows may be outliers, however extreme, without moving
    the threshold much. At least the most abnormal row is flagged.

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by such a rule.

    Notes
    -----
    The distribution is a shifted log-normal. The quantiles q10, q50 and q90 of the abnormality, the
    negative score, determine it: with r = (q90 - q50) / (q50 - q10), which is kept between 0.1 and
    10, and the quantiles z of the standard normal distribution, the abnormality that is exceeded by
    the fraction p of clean rows is::

        q50 + (q90 - q50) (r**(z(1 - p) / z(0.9)) - 1) / (r - 1)

    The threshold is where p is 1 %, or just above the score of the most abnormal row if none lies
    beyond that.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import AutoThreshold
    >>> scores = np.random.RandomState(0).normal(size=1000)
    >>> threshold = AutoThreshold().threshold(scores)
    >>> float(np.mean(scores < threshold).round(2))
    0.01
    """

    def threshold(self, scores: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Return the threshold: rows with lower scores are outliers.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            The scores of rows that the detector was not trained on. The lower, the more abnormal.
        sample_weight : ndarray of shape (n,) or None, default=None
            The sample weights.

        Returns
        -------
        threshold : float
            The threshold.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import AutoThreshold
        >>> scores = np.random.RandomState(0).normal(size=1000)
        >>> round(AutoThreshold().threshold(scores), 1) < -2
        True
        """
        weight = np.ones(len(scores)) if sample_weight is None else sample_weight
        return auto_offset(scores, weight, scores)


@dataclass(frozen=True)
class ExtremeValueTail(LabelFreeObjective):
    """The threshold that flags a small fraction of the rows, by a fitted extreme-value tail.

    By the Pickands-Balkema-de Haan theorem, the excess of the abnormality a = -score over a high
    level tends to a generalised Pareto distribution with shape c and scale s. With N rows, N_t of
    which lie above the level t, the abnormality at which the alarm rate is q is [1]_

        a_q = t + s / c ((q N / N_t)^-c - 1),

    which may lie beyond all rows seen: the alarm rate may be well below 1 / N. Shape and scale are
    those of the highest likelihood with c >= -1; below, it has no maximum [2]_.

    The rows should be clean. Outliers among them make the tail heavier and the threshold too low.

    Parameters
    ----------
    alarm_rate : float in (0, tail), default=0.001
        The target fraction of rows that raise an alarm.
    tail : float in (0, 1), default=0.1
        The fraction of the rows that the tail is fitted to; it must exceed `alarm_rate`.

    Raises
    ------
    ValueError
        If `tail` does not lie in (0, 1), or `alarm_rate` does not lie in (0, tail).

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by such a rule.

    References
    ----------
    .. [1] Siffer, A. et al., "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017.
    .. [2] Grimshaw, S. D., "Computing Maximum Likelihood Estimates for the Generalized Pareto
       Distribution", Technometrics 35(2), 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import ExtremeValueTail
    >>> scores = np.random.RandomState(0).normal(size=1000)
    >>> round(ExtremeValueTail(alarm_rate=0.001).threshold(scores))
    -3
    """

    alarm_rate: float = 0.001
    tail: float = 0.1

    _MIN_EXCESSES = 10

    def __post_init__(self) -> None:
        _check(self, "tail", lambda tail: 0 < tail < 1, "in (0, 1)")
        _check(self, "alarm_rate", lambda rate: 0 < rate < self.tail, "in (0, tail)")

    def threshold(self, scores: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Return the threshold: rows with lower scores are outliers.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            The scores of rows that the detector was not trained on. The lower, the more abnormal.
        sample_weight : ndarray of shape (n,) or None, default=None
            The sample weights.

        Returns
        -------
        threshold : float
            The threshold.

        Raises
        ------
        ValueError
            If fewer than 10 rows lie in the tail.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import ExtremeValueTail
        >>> scores = np.random.RandomState(0).normal(size=1000)
        >>> ExtremeValueTail(0.001).threshold(scores) < ExtremeValueTail(0.01).threshold(scores)
        True
        """
        weight = np.ones(len(scores)) if sample_weight is None else sample_weight
        scores, weight = scores[weight > 0], weight[weight > 0]
        level = np.quantile(scores, self.tail)
        if np.ptp(weight) > 0:
            level = np.quantile(scores, self.tail, weights=weight, method="inverted_cdf")
        in_tail = scores < level
        excesses, tail_weight = level - scores[in_tail], weight[in_tail]
        if len(excesses) < self._MIN_EXCESSES:
            raise ValueError(
                f"An extreme-value tail needs at least {self._MIN_EXCESSES} rows of different "
                f"scores in the lowest {self.tail:.0%}, and {len(scores)} rows gave "
                f"{len(excesses)}. Pass more rows, raise tail, or set scoring='auto'."
            )
        unit = np.average(excesses, weights=tail_weight)  # the optimiser starts from a scale of 1

        def loss(parameters: np.ndarray) -> float:
            shape, log_scale = parameters
            log_density = genpareto.logpdf(excesses / unit, shape, scale=np.exp(log_scale))
            return -float(np.average(log_density, weights=tail_weight))

        # Below a shape of -1 the likelihood has no maximum: it is infinite where the support ends
        # at the largest excess.
        bounds = [(-1.0, None), (None, None)]
        shape, log_scale = minimize(loss, [0.1, 0.0], method="Nelder-Mead", bounds=bounds).x
        share_beyond = self.alarm_rate * weight.sum() / tail_weight.sum()
        return float(level - unit * genpareto.isf(share_beyond, shape, scale=np.exp(log_scale)))


@dataclass(frozen=True)
class AlarmBudget(LabelFreeObjective):
    """The threshold below which at most a given number of rows lie.

    Parameters
    ----------
    alarms : float
        The maximum number of alarms; by default, a fraction of the rows.
    per : float, default=1
        The number of rows that `alarms` refers to: ``AlarmBudget(0.01)`` allows one alarm in a
        hundred rows, and ``AlarmBudget(5, per=1440)`` five a day if there is one row per minute.

    Raises
    ------
    ValueError
        If `per` is not positive, or `alarms` does not lie in (0, per).

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by such a rule.

    Notes
    -----
    The budget is rounded down to a whole number of rows. If it is less than one of the rows that
    are given, none of them is flagged.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import AlarmBudget
    >>> AlarmBudget(5, per=100).threshold(np.arange(200.0))
    10.0
    """

    alarms: float
    per: float = 1

    def __post_init__(self) -> None:
        _check(self, "per", lambda per: 0 < per < math.inf, "positive")
        _check(
            self, "alarms", lambda alarms: 0 < alarms < self.per, f"in (0, per) with per={self.per}"
        )

    def threshold(self, scores: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """Return the threshold: rows with lower scores are outliers.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            The scores of rows that the detector was not trained on. The lower, the more abnormal.
        sample_weight : ndarray of shape (n,) or None, default=None
            The sample weights.

        Returns
        -------
        threshold : float
            The threshold.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import AlarmBudget
        >>> AlarmBudget(0.1).threshold(np.arange(50.0))
        5.0
        """
        weight = np.ones(len(scores)) if sample_weight is None else sample_weight
        order = np.argsort(scores)
        sums = np.cumsum(weight[order])
        # A whole number of alarms must not be rounded down because of a floating-point error.
        budget = self.alarms / self.per * sums[-1] * (1 + 1e-12)
        n_alarms = min(int(np.searchsorted(sums, budget, side="right")), len(scores) - 1)
        return float(scores[order[n_alarms]])


@dataclass(frozen=True)
class _Metric(LabelledObjective):
    """A metric of labels and decisions, taken from a scorer by scikit-learn or by the user."""

    score_func: Callable[..., float]
    sign: float
    kwargs: dict[str, Any]

    def from_counts(self, counts: Counts) -> np.ndarray:
        """Return the metric at every threshold, on one weighted row per kind if it takes weights.

        Parameters
        ----------
        counts : Counts
            The confusion matrix of the labelled rows at every threshold.

        Returns
        -------
        values : ndarray of shape (n_thresholds,)
            The values; higher is better.
        """
        weighs = "sample_weight" in inspect.signature(self.score_func).parameters
        y_true, y_pred = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])
        values = []
        with warnings.catch_warnings():
            # At one of the thresholds there is no alarm.
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            for numbers in np.column_stack(counts):
                if weighs:
                    rows = np.flatnonzero(numbers)
                    weight = {"sample_weight": numbers[rows].astype(float)}
                else:
                    rows, weight = np.repeat(np.arange(4), numbers), {}
                values.append(self.score_func(y_true[rows], y_pred[rows], **weight, **self.kwargs))
        return self.sign * np.array(values, dtype=float)

    def curve(
        self, thresholds: np.ndarray, scores: np.ndarray, is_outlier: np.ndarray, **params: Any
    ) -> np.ndarray:
        """Return the metric at every threshold, on the rows themselves if they have metadata."""
        if not params:
            return super().curve(thresholds, scores, is_outlier)
        y_true, kwargs = is_outlier.astype(int), self.kwargs | params
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            values = [
                self.score_func(y_true, (scores < t).astype(int), **kwargs) for t in thresholds
            ]
        return self.sign * np.array(values, dtype=float)


NAMED: dict[str, LabelledObjective | LabelFreeObjective] = {
    "auto": AutoThreshold(),
    "extreme_value_tail": ExtremeValueTail(),
    "f1": FBeta(),
    "f2": FBeta(2.0),
}
"""Objectives by name, besides scikit-learn's scorers of decisions."""


def get_objective(scoring: Any) -> LabelledObjective | LabelFreeObjective:
    """Return the objective that `scoring` stands for.

    Parameters
    ----------
    scoring : objective, str or scorer
        An objective of this module, its name in `NAMED`, or a scorer of decisions: either one made
        by `make_outlier_scorer` with ``response_method="predict"``, or a scikit-learn scorer or its
        name.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(scoring, LabelledObjective | LabelFreeObjective):
        return scoring
    if isinstance(scoring, str):
        if scoring in NAMED:
            return NAMED[scoring]
        try:
            scorer = get_scorer(scoring)
        except ValueError:
            raise ValueError(
                f"scoring={scoring!r} matches no name of an objective: there are "
                f"{', '.join(map(repr, NAMED))} and scikit-learn's scorers of decisions, such as "
                "'balanced_accuracy'."
            ) from None
    else:
        scorer = scoring
    if getattr(scorer, "_response_method", None) == "predict":
        is_outlier_scorer = isinstance(scorer, _OutlierScorer)
        if not is_outlier_scorer and scorer._kwargs.get("pos_label", 1) != 1:
            raise ValueError(
                f"scoring={scoring!r} has a pos_label, but the outliers are 1 for it, whatever the "
                "labels; make it by make_outlier_scorer(score_func, response_method='predict', "
                f"pos_label={scorer._kwargs['pos_label']!r}) if that is the label of the outliers."
            )
        is_objective = isinstance(scorer._score_func, LabelledObjective)
        if is_objective and scorer._sign == 1 and not scorer._kwargs:
            return scorer._score_func
        return _Metric(scorer._score_func, scorer._sign, scorer._kwargs)
    raise ValueError(
        f"scoring={scoring!r} does not judge decisions. Pass an objective of "
        "vae_anomaly or its name, or a scorer that judges what predict returns, as "
        'make_outlier_scorer(score_func, response_method="predict") makes one.'
    )


def outlier_label(scoring: Any, pos_label: Any) -> Any:
    """Return `pos_label` or, if it is None, the label of the scorer, if it has one."""
    if pos_label is None and isinstance(scoring, _OutlierScorer):
        return scoring.pos_label
    return pos_label


def get_scorer_of(scoring: Any) -> Any:
    """Return the object that requests the metadata of `scoring`: a scorer or an objective."""
    get_objective(scoring)  # raises an error if it is neither
    if not isinstance(scoring, str):
        return scoring
    return NAMED[scoring] if scoring in NAMED else get_scorer(scoring)


def threshold_curve(
    objective: LabelledObjective | LabelFreeObjective | None,
    thresholds: np.ndarray,
    scores: np.ndarray,
    is_outlier: np.ndarray | None = None,
    params: dict[str, Any] | None = None,
) -> dict[str, np.ndarray]:
    """Return the results of each threshold on scored rows, as in `cv_results_`.

    Parameters
    ----------
    objective : objective or None
        The objective whose values are the "scores" of the curve. If it needs no labels, these are
        the alarm rate.
    thresholds : ndarray of shape (n_thresholds,)
        The thresholds, in ascending order.
    scores : ndarray of shape (n,)
        The scores. The lower, the more abnormal.
    is_outlier : ndarray of shape (n,) or None, default=None
        The output of `outlier_indicator`. Rows without a label count for the alarm rate only.
    params : dict or None, default=None
        The metadata that the objective requests. A "sample_weight" applies to all columns.
    """
    params = params or {}
    weight = params.get("sample_weight")
    weight = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=float)
    alarm_rate = weight_below(thresholds, scores, weight) / weight.sum()
    curve = {"thresholds": thresholds, "scores": alarm_rate, "alarm_rate": alarm_rate}
    if is_outlier is not None:
        known = ~np.isnan(is_outlier)
        score, truth = scores[known], is_outlier[known] == 1
        counts = Counts.at(thresholds, score, truth, weight[known])
        curve |= {"precision": counts.precision, "recall": counts.recall}
        if isinstance(objective, LabelledObjective):
            known_params = rows_of(params, np.flatnonzero(known), len(scores))
            curve["scores"] = objective.curve(thresholds, score, truth, **known_params)
    return curve


def checked_params(params: dict[str, Any], X: Any) -> dict[str, Any]:
    """Return the parameters that are not None, with validated sample weights."""
    params = {name: value for name, value in params.items() if value is not None}
    if "sample_weight" in params:
        weight = _check_sample_weight(
            params["sample_weight"], X, dtype=np.float64, ensure_non_negative=True
        )
        if not weight.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        params["sample_weight"] = weight
    return params


def rows_of(params: dict[str, Any], rows: np.ndarray, n_rows: int) -> dict[str, Any]:
    """Return the parameters; those with an entry for each of `n_rows` are restricted to `rows`."""
    return _check_method_params(np.empty(n_rows), params, indices=rows)


def choose_threshold(
    objective: LabelledObjective | LabelFreeObjective,
    curve: dict[str, np.ndarray],
    scores: np.ndarray,
    params: dict[str, Any] | None = None,
) -> float:
    """Return the threshold that an objective chooses; in a tie, the one with the fewest alarms.

    Parameters
    ----------
    objective : objective
        With labels, the best threshold of the curve is chosen. Without labels, the objective's rule
        sets the threshold.
    curve : dict
        The output of `threshold_curve`.
    scores : ndarray of shape (n,)
        The scores that the curve was computed from.
    params : dict or None, default=None
        The same parameters as in `threshold_curve`.

    Raises
    ------
    ValueError
        If the objective uses labels and all scores are equal, so that there is nothing to choose.
    """
    if isinstance(objective, LabelFreeObjective):
        return objective.threshold(scores, **(params or {}))
    if scores.min() == scores.max():
        raise ValueError(
            "The provided detector makes constant predictions. Therefore, it is impossible to "
            "optimize the decision threshold."
        )
    return float(curve["thresholds"][np.nanargmax(curve["scores"])])
