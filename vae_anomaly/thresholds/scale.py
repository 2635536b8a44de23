"""Scores of folds' detectors at the scale of the detector that is fitted once more."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.stats import kstest

_SHARE = 0.1
"""Share of the rows that are compared: the most abnormal ones by the fold's detector."""

_TOLERANCE = 1 / 3
"""By how much of itself this share may change before the scales count as different. Random
detectors such as IsolationForest reach a third once in a while, sums over training rows half."""

_BULK = [0.15, 0.5, 0.85]
"""Quantiles that the scale is measured by. Further out training rows score otherwise than new ones,
as the support vectors of OneClassSVM do, and closer in the measure says less of the tail."""

_OVERFIT, _RISING = 0.05, 0.15
"""Greatest Kolmogorov distance, beyond that of chance, of held-out rows from training rows for
these to stand for them; and where the refitted detector flags fewer of the common rows, which is
the opposite of what more rows do to a detector that learns by heart."""


class Fold(NamedTuple):
    """Scores, the lower, the more abnormal."""

    held_out: np.ndarray
    """By the fold's detector, of the rows that it was not trained on."""

    is_typical: np.ndarray
    """Which of these are not known as outliers."""

    common: np.ndarray
    """By the fold's detector, of rows that it was trained on, and the refitted detector too."""

    refitted: np.ndarray
    """By the refitted detector, of the same rows."""


def at_refitted_scale(folds: list[Fold]) -> list[np.ndarray]:
    """Return the held-out scores at the scale of the refitted detector.

    Scores of some detectors depend on the training set in more than what they have learned:
    OneClassSVM sums over the training rows, SGDOneClassSVM leaves the length of its weights open. A
    threshold on the folds' scores then means something else on those of the refitted detector. Both
    have been trained on the fold's training rows, so a difference between their scores there is one
    of scale. If it moves the share of the rows that a threshold flags, the scores of each fold are
    shifted and stretched, so that the median and the spread on the common rows agree.

    Scores of training rows tell nothing where the detector has learned them by heart. That shows in
    the held-out rows, which then rank lower among them. Nothing is changed then; a refitted
    detector that gives the common rows lower scores is what more rows do to such detectors, and one
    that gives them higher scores is warned of.
    """
    folds = [_without_missing(fold) for fold in folds]
    if not all(fold.common.size for fold in folds):
        return [fold.held_out for fold in folds]
    kept = [_share_kept(fold) for fold in folds]
    if np.mean(np.abs(np.subtract(kept, _SHARE))) <= _TOLERANCE * _SHARE:
        return [fold.held_out for fold in folds]
    bulks = [np.quantile([fold.common, fold.refitted], _BULK, axis=1) for fold in folds]
    can_stretch = all((high > low).all() for low, _, high in bulks)
    is_rising = np.mean(kept) < _SHARE
    if can_stretch and _overfit(folds) <= (_RISING if is_rising else _OVERFIT):
        return [
            median[1] + (fold.held_out - median[0]) * (high - low)[1] / (high - low)[0]
            for fold, (low, median, high) in zip(folds, bulks, strict=True)
        ]
    if is_rising:
        warnings.warn(
            "The detector's scores depend on how many rows it is trained on: where the detectors "
            f"of the folds flag {_SHARE:.0%} of rows that they were trained on, the refitted "
            f"detector flags {np.mean(kept):.1%} of the same rows. Held-out rows score otherwise, "
            "so the scores cannot be brought to one scale, and the threshold may flag too few "
            "rows. Set cv='prefit' and fit the threshold on rows kept apart, or refit=False with a "
            "float as cv.",
            stacklevel=6,  # the line that calls fit
        )
    return [fold.held_out for fold in folds]


def _without_missing(fold: Fold) -> Fold:
    has_both = np.isfinite(fold.common) & np.isfinite(fold.refitted)
    return fold._replace(common=fold.common[has_both], refitted=fold.refitted[has_both])


def _share_kept(fold: Fold) -> float:
    """Return the share that the refitted detector flags where the fold's flags a tenth."""
    threshold = np.quantile(fold.common, _SHARE, method="higher")
    flagged = np.mean(fold.common < threshold)
    if flagged == 0:  # the lowest scores are all the same
        return _SHARE
    return _SHARE * float(np.mean(fold.refitted < threshold) / flagged)


def _overfit(folds: list[Fold]) -> float:
    """Return how far held-out rows lie from their place among training rows, beyond chance."""
    ranks = []
    for fold in folds:
        typical = fold.held_out[fold.is_typical & np.isfinite(fold.held_out)]
        ranks.append(np.searchsorted(np.sort(fold.common), typical) / len(fold.common))
    pooled = np.concatenate(ranks)
    if not pooled.size:
        return np.inf
    return float(kstest(pooled, "uniform").statistic - 1 / np.sqrt(len(pooled)))
