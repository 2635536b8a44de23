"""What thresholds cost, and how well a model tells labelled outliers from the other rows.

Scores and thresholds are higher for more abnormal rows here; `vae_anomaly.thresholds` has them the
other way round.
"""

from __future__ import annotations

import numpy as np

from vae_anomaly.batch.evaluation import evaluation_of
from vae_anomaly.report.contents import Alternative, Curve, Metric, Metrics
from vae_anomaly.thresholds.objectives import (
    AlarmCost,
    Counts,
    FBeta,
    candidate_thresholds,
    threshold_curve,
)

_PER_1000 = (1, 2, 5, 10, 20, 50, 100, 200)
"""The numbers of alarms per 1,000 rows whose thresholds are shown."""

_N_SHOWN = 4  # numbers of alarms below and above the present one
_N_CURVE = 300
_N_RESAMPLES = 200
_MOST_DRAWN = 4_000_000  # rows in all resamples: some seconds


def cost_curve(scores: np.ndarray, is_outlier: np.ndarray | None) -> Curve:
    """Return what all thresholds cost.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        The scores.
    is_outlier : ndarray of shape (n_rows,) or None
        The labels: 1.0, 0.0, or NaN where there is none.
    """
    thresholds = candidate_thresholds(-scores, _N_CURVE)
    found = threshold_curve(FBeta(), thresholds, -scores, is_outlier)
    falling = slice(None, None, -1)
    precision, recall = found.get("precision"), found.get("recall")
    return Curve(
        thresholds=-found["thresholds"][falling],
        alarms_per_1000=1000 * found["alarm_rate"][falling],
        precision=None if precision is None else precision[falling],
        recall=None if recall is None else recall[falling],
        f1=None if is_outlier is None else found["scores"][falling],
    )


def alternatives(
    scores: np.ndarray,
    threshold: float,
    is_outlier: np.ndarray | None,
    cost: AlarmCost | None,
) -> tuple[Alternative, ...]:
    """Return what the present threshold and some others cost, the highest one first.

    Parameters
    ----------
    scores, is_outlier
        See `cost_curve`.
    threshold : float
        The present threshold.
    cost : AlarmCost or None
        What misses and false alarms cost.
    """
    falling = np.sort(scores)[::-1]
    present = int(np.count_nonzero(scores > threshold))
    wanted = {threshold: "now"}
    numbers = {round(rate * len(scores) / 1000) for rate in _PER_1000} - {0, present}
    fewer = sorted(number for number in numbers if number < present)[-_N_SHOWN:]
    more = sorted(number for number in numbers if present < number < len(scores))[:_N_SHOWN]
    for number in (*fewer, *more):
        wanted.setdefault(_between(falling, number), "")
    if is_outlier is not None:
        known = ~np.isnan(is_outlier)
        thresholds = candidate_thresholds(-scores[known], 1000)
        counts = Counts.at(thresholds, -scores[known], is_outlier[known] == 1)
        best = {"highest F1": FBeta().from_counts(counts)}
        if cost is not None:
            best["lowest cost"] = cost.from_counts(counts)
        for what, values in best.items():
            chosen = float(-thresholds[values.argmax()])
            wanted[chosen] = ", ".join(filter(None, [wanted.get(chosen), what]))
    return tuple(_measured(scores, wanted, is_outlier, cost))


def _measured(
    scores: np.ndarray,
    wanted: dict[float, str],
    is_outlier: np.ndarray | None,
    cost: AlarmCost | None,
) -> list[Alternative]:
    falling = sorted(wanted, reverse=True)
    n_alarms = [int(np.count_nonzero(scores > threshold)) for threshold in falling]
    shown = [
        (threshold, wanted[threshold], n, 1000 * n / len(scores))
        for threshold, n in zip(falling, n_alarms, strict=True)
    ]
    if is_outlier is None:
        return [Alternative(*told) for told in shown]
    known = ~np.isnan(is_outlier)
    counts = Counts.at(-np.array(falling), -scores[known], is_outlier[known] == 1)
    precision, recall, f1 = counts.precision, counts.recall, FBeta().from_counts(counts)
    costs = None if cost is None else -1000 * cost.from_counts(counts)
    return [
        Alternative(
            *told,
            n_found=int(counts.true_positives[at]),
            n_false_alarms=int(counts.false_positives[at]),
            precision=(
                float(precision[at])
                if counts.true_positives[at] + counts.false_positives[at]
                else None
            ),
            recall=float(recall[at]),
            f1=float(f1[at]),
            cost=None if costs is None else float(costs[at]),
        )
        for at, told in enumerate(shown)
    ]


def measure(scores: np.ndarray, is_alarm: np.ndarray, is_outlier: np.ndarray) -> Metrics:
    """Return how well labelled rows are told apart.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        The scores.
    is_alarm : ndarray of shape (n_rows,), dtype bool
        Which rows raise an alarm.
    is_outlier : ndarray of shape (n_rows,)
        The labels: 1.0, 0.0, or NaN where there is none.
    """
    known = ~np.isnan(is_outlier)
    score, alarm, truth = scores[known], is_alarm[known], is_outlier[known] == 1
    values = _figures(score, alarm, truth)
    n_resamples = min(_N_RESAMPLES, _MOST_DRAWN // len(score))
    n_resamples = n_resamples if n_resamples >= 40 else 0  # for the 2.5 % at either end
    rng = np.random.RandomState(0)
    resampled = {name: np.full(n_resamples, np.nan) for name in values}
    groups = np.flatnonzero(truth), np.flatnonzero(~truth)
    for number in range(n_resamples):
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in groups])
        for name, value in _figures(score[drawn], alarm[drawn], truth[drawn]).items():
            resampled[name][number] = value
    return Metrics(
        metrics=tuple(Metric(name, values[name], *_range(resampled[name])) for name in values),
        n_found=int((alarm & truth).sum()),
        n_missed=int((~alarm & truth).sum()),
        n_false_alarms=int((alarm & ~truth).sum()),
        n_quiet=int((~alarm & ~truth).sum()),
        n_resamples=n_resamples,
    )


def _figures(score: np.ndarray, alarm: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    found = evaluation_of(score, alarm, truth)
    n_alarms = found.n_found + found.n_false_alarms
    return {
        "AUROC": found.auroc,
        "average precision": found.average_precision,
        "precision": found.precision,
        "recall": found.recall,
        "F1": 2 * found.n_found / (n_alarms + found.n_outliers),
    }


def _range(values: np.ndarray) -> tuple[float | None, float | None]:
    if not np.isfinite(values).any():
        return None, None
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _between(falling: np.ndarray, n_above: int) -> float:
    """Return a threshold above which so many of the scores lie, or a few less if some are equal."""
    return float(falling[n_above] + (falling[n_above - 1] - falling[n_above]) / 2)
