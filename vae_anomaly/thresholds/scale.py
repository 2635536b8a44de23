"""Scores of the detectors of the folds, brought to the scale of the refitted detector."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.stats import kstest

_SHARE = 0.1
"""The fraction of the rows that are compared: the most abnormal ones for the fold's detector."""

_TOLERANCE = 1 / 3
"""The relative change of this fraction up to which the scales count as equal. Random detectors such
as IsolationForest occasionally change it by a third, and sums over training rows by a half."""

_BULK = [0.15, 0.5, 0.85]
"""The quantiles that the scale is measured by. Further out, the scores of training rows differ from
those of new rows, as with the support vectors of OneClassSVM. Further in, the quantiles say less
about the tail."""

_OVERFIT, _RISING = 0.05, 0.15
"""The maximum Kolmogorov distance between held-out rows and training rows, beyond that of chance,
up to which training rows are representative. The second value applies if the refitted detector
flags fewer of the common rows, as more rows have the opposite effect on one that overfits."""


class Fold(NamedTuple):
    """The scores of one fold. The lower, the more abnormal."""

    held_out: np.ndarray
    """The scores, by the fold's detector, of the rows that it was not trained on."""

    is_typical: np.ndarray
    """The mask of those of them that are not known to be outliers."""

    common: np.ndarray
    """The scores, by the fold's detector, of rows that both it and the refitted one trained on."""

    refitted: np.ndarray
    """The scores of the same rows by the refitted detector."""


def at_refitted_scale(folds: list[Fold]) -> list[np.ndarray]:
    """Return the held-out scores at the scale of the refitted detector.

    For some detectors, the training set determines not only what they learn but also the scale of
    the scores: OneClassSVM sums over the training rows, and SGDOneClassSVM does not fix the norm
    of its weights. A threshold on the folds' scores then means something different for the scores
    of the refitted detector. Both have been trained on the training rows of the fold, so that a
    difference between their scores there is one of scale. If it changes the fraction of the rows
    that a threshold flags, the scores of each fold are shifted and stretched so that the median and
    the spread on the common rows agree.

    If the detector overfits, the scores of training rows are not informative. The held-out rows
    then rank lower than the training rows, and nothing is changed. With such detectors, a refit on
    more rows is expected to lower the scores of the common rows; if it raises them, a warning is
    given.
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
            f"detector flags {np.mean(kept):.1%} of the same rows. Held-out rows score "
            "differently, so the scores cannot be brought to one scale, and the threshold may flag "
            "too few rows. Set cv='prefit' and fit the threshold on rows kept apart, or "
            "refit=False with a float as cv.",
            stacklevel=6,  # the line that calls fit
        )
    return [fold.held_out for fold in folds]


def _without_missing(fold: Fold) -> Fold:
    has_both = np.isfinite(fold.common) & np.isfinite(fold.refitted)
    return fold._replace(common=fold.common[has_both], refitted=fold.refitted[has_both])


def _share_kept(fold: Fold) -> float:
    """Return the fraction that the refitted detector flags if the fold's detector flags 10 %."""
    threshold = np.quantile(fold.common, _SHARE, method="higher")
    flagged = np.mean(fold.common < threshold)
    if flagged == 0:  # the lowest scores are all the same
        return _SHARE
    return _SHARE * float(np.mean(fold.refitted < threshold) / flagged)


def _overfit(folds: list[Fold]) -> float:
    """Return how far, beyond chance, held-out rows differ in rank from training rows."""
    ranks = []
    for fold in folds:
        typical = fold.held_out[fold.is_typical & np.isfinite(fold.held_out)]
        ranks.append(np.searchsorted(np.sort(fold.common), typical) / len(fold.common))
    pooled = np.concatenate(ranks)
    if not pooled.size:
        return np.inf
    return float(kstest(pooled, "uniform").statistic - 1 / np.sqrt(len(pooled)))
