"""How sure a threshold is: what would have been chosen on other rows of the same kind."""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_consistent_length, check_random_state

from vae_anomaly.sklearn_private import Interval, validate_params
from vae_anomaly.thresholds.fitting import have_scores
from vae_anomaly.thresholds.metrics import check_scores, outlier_indicator
from vae_anomaly.thresholds.objectives import (
    LabelFreeObjective,
    LabelledObjective,
    PrecisionAtK,
    candidate_thresholds,
    checked_params,
    choose_threshold,
    get_objective,
    outlier_label,
    rows_of,
    threshold_curve,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@validate_params(
    {
        "scoring": [str, callable, LabelFreeObjective],
        "scores": ["array-like"],
        "y": ["array-like", None],
        "pos_label": [Real, str, "boolean", None],
        "params": [dict, None],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def bootstrap_threshold(
    scoring: Any,
    scores: ArrayLike,
    y: ArrayLike | None = None,
    *,
    pos_label: Any = None,
    params: dict[str, Any] | None = None,
    n_resamples: int = 200,
    random_state: int | np.random.RandomState | None = None,
) -> dict[str, np.ndarray]:
    """Choose the threshold again on bootstrap resamples, and judge it on the rows they leave out.

    The spread of the thresholds tells how sure the choice is. What they reach on rows that they
    were not chosen on is what to expect of new rows, other than `best_score_` of
    `TunedThresholdDetectorCV`, which is the greatest of many values on the same rows. No detector
    is trained.

    Parameters
    ----------
    scoring : str, objective or scorer
        What the threshold is chosen for, see `TunedThresholdDetectorCV`.
    scores : array-like of shape (n_samples,)
        What `score_samples` gives for rows that the detector was not trained on. Rows without a
        score (NaN) are left out.
    y : array-like of shape (n_samples,), default=None
        Their labels, needed where `scoring` is by labels. Inliers, outliers and rows without a
        label are resampled apart, so that the number of each stays.
    pos_label : int, float, bool or str, default=None
        Label of the outliers, see `make_outlier_scorer`.
    params : dict, default=None
        What the objective or scorer takes besides, such as ``{"sample_weight": weights}``. Of what
        has an entry for each row, those of the rows drawn are passed.
    n_resamples : int, default=200
        Number of resamples.
    random_state : int, RandomState instance or None, default=None
        Of the resampling.

    Returns
    -------
    results : dict of ndarray of shape (n_resamples,)
        As `cv_results_` of `TunedThresholdDetectorCV`: "thresholds", and of the rows left out
        "scores" (values of the objective; without labels, the alarm rate), "alarm_rate" (share of
        the rows that are flagged) and, with labels, "precision" and "recall".

    Raises
    ------
    ValueError
        If a score is infinite, all are NaN, there are fewer than two inliers or two outliers among
        the labels, or labels are needed and not given.

    Notes
    -----
    About 37 % of the rows are left out of a resample, and the fewer they are, the more chance there
    is in the spread of their "scores", "precision" and "recall".

    The bootstrap [1]_ takes rows as independent. Of neighbouring time points, or of several rows of
    one customer, the spread that it gives is too small.

    References
    ----------
    .. [1] B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import bootstrap_threshold
    >>> rng = np.random.RandomState(0)
    >>> scores = np.concatenate([rng.randn(190), rng.randn(10) - 4])
    >>> y = np.repeat([0, 1], [190, 10])
    >>> results = bootstrap_threshold("f1", scores, y, random_state=0)
    >>> np.quantile(results["thresholds"], [0.05, 0.95]).round(1)
    array([-2.9, -1.8])
    """
    objective = get_objective(scoring)
    score = check_scores(scores)
    is_outlier = None
    if y is not None:
        check_consistent_length(score, y)
        is_outlier = outlier_indicator(y, outlier_label(scoring, pos_label))
    elif isinstance(objective, LabelledObjective):
        raise ValueError(f"scoring={scoring!r} needs labels: pass y.")
    params = checked_params(params or {}, score)
    has_score = np.flatnonzero(have_scores(score))
    params = rows_of(params, has_score, len(score))
    score, is_outlier = score[has_score], None if is_outlier is None else is_outlier[has_score]
    if isinstance(objective, PrecisionAtK) and objective.per is None:
        # The rows left out are fewer, and so should be the alarms among them.
        assert is_outlier is not None
        n_labelled = int(np.sum(~np.isnan(is_outlier)))
        objective = dataclasses.replace(objective, per=max(n_labelled, math.ceil(objective.k)))
    groups = _groups(len(score), is_outlier)
    rng = check_random_state(random_state)
    results = []
    for _ in range(n_resamples):
        drawn, left_out = _resample(groups, rng)
        in_bag, out_of_bag = (
            (
                score[rows],
                None if is_outlier is None else is_outlier[rows],
                rows_of(params, rows, len(score)),
            )
            for rows in (drawn, left_out)
        )
        thresholds = candidate_thresholds(in_bag[0], 1000)
        curve = threshold_curve(objective, thresholds, *in_bag)
        threshold = choose_threshold(objective, curve, in_bag[0], in_bag[2])
        results.append(threshold_curve(objective, np.array([threshold]), *out_of_bag))
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _groups(n_rows: int, is_outlier: np.ndarray | None) -> list[np.ndarray]:
    """Return the rows of each kind: inliers, outliers and those without a label."""
    if is_outlier is None:
        is_outlier = np.full(n_rows, np.nan)
    inliers, outliers, unlabelled = (
        np.flatnonzero(kind) for kind in (is_outlier == 0, is_outlier == 1, np.isnan(is_outlier))
    )
    groups = [inliers, outliers] if len(unlabelled) < n_rows else []
    if n_rows < 2 or any(len(rows) < 2 for rows in groups):
        raise ValueError(
            "Resamples leave out some of the inliers and some of the outliers, so there must be at "
            f"least two of both; got {len(inliers)} and {len(outliers)}, and {len(unlabelled)} "
            "rows without a label."
        )
    return [*groups, unlabelled]


def _resample(
    groups: list[np.ndarray], rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows drawn with replacement from each group, and those that were not drawn.

    Of groups of two rows and more some are left out always.
    """
    drawn, left_out = [], []
    for rows in groups:
        draw = rows
        while len(rows) > 1 and len(np.unique(draw)) == len(rows):
            draw = rng.choice(rows, len(rows))
        drawn.append(draw)
        left_out.append(np.setdiff1d(rows, draw))
    return np.concatenate(drawn), np.concatenate(left_out)
