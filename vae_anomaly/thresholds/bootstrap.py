"""The uncertainty of a threshold: what would be chosen on other rows of the same kind."""

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
    """Choose the threshold again on bootstrap resamples, and evaluate it on the rows left out.

    The spread of the thresholds shows how certain the choice is. Their values on rows that they
    were not chosen on are what to expect on new rows, unlike `best_score_` of
    `TunedThresholdDetectorCV`, which is the largest of many values on the same rows. No detector
    is trained.

    Parameters
    ----------
    scoring : str, objective or scorer
        The objective that the threshold is chosen for, see `TunedThresholdDetectorCV`.
    scores : array-like of shape (n_samples,)
        The output of `score_samples` for rows that the detector was not trained on. Rows without
        a score (NaN) are left out.
    y : array-like of shape (n_samples,) or None, default=None
        The labels of the rows, which are required if `scoring` uses labels. Inliers, outliers and
        rows without a label are resampled separately, so that the number of each stays the same.
    pos_label : int, float, bool, str or None, default=None
        The label of the outliers, see `make_outlier_scorer`.
    params : dict or None, default=None
        Further parameters of the objective or scorer, such as ``{"sample_weight": weights}``. If
        one has an entry for each row, only the entries of the drawn rows are passed.
    n_resamples : int, default=200
        The number of resamples.
    random_state : int, RandomState instance or None, default=None
        Controls the resampling. Pass an int for reproducible output across multiple function
        calls.

    Returns
    -------
    results : dict of ndarray of shape (n_resamples,)
        The same keys as in `cv_results_` of `TunedThresholdDetectorCV`: the "thresholds" and, on
        the rows left out, the "scores" (the values of the objective or, without labels, the alarm
        rate), the "alarm_rate" (the fraction of the rows that are flagged) and, with labels, the
        "precision" and "recall".

    Raises
    ------
    ValueError
        If a score is infinite, if all scores are NaN, if the labels contain fewer than two inliers
        or two outliers, or if labels are needed but not given.

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold, and keeps the scores that this function takes.

    Notes
    -----
    About 37 % of the rows are left out of each resample. The fewer they are, the more of the spread
    of their "scores", "precision" and "recall" is due to chance.

    The bootstrap [1]_ assumes that the rows are independent. The spread is therefore too small for
    neighbouring time points, or if several rows belong to one customer.

    References
    ----------
    .. [1] Efron, B. and Tibshirani, R., "An Introduction to the Bootstrap", Chapman & Hall, 1993.

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
        # There are fewer rows left out, so there should be fewer alarms among them, too.
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
    """Return the rows of each kind: inliers, outliers and rows without a label."""
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

    In groups of at least two rows, some are always left out.
    """
    drawn, left_out = [], []
    for rows in groups:
        draw = rows
        while len(rows) > 1 and len(np.unique(draw)) == len(rows):
            draw = rng.choice(rows, len(rows))
        drawn.append(draw)
        left_out.append(np.setdiff1d(rows, draw))
    return np.concatenate(drawn), np.concatenate(left_out)
