"""From scores to decisions: where the threshold between inliers and outliers is set."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

AUTO_FALSE_ALARMS = 0.01
"""The fraction of new, clean rows that ``contamination="auto"`` aims to flag."""

_TAIL = 0.1
_MAX_SKEW = 10.0


def quantile_offset(scores: np.ndarray, sample_weight: np.ndarray, contamination: float) -> float:
    """Return the score below which the fraction `contamination` of the training rows lies.

    It is interpolated between the scores of neighbouring rows, each placed at the middle of its
    weight. With equal weights this is `numpy.quantile`, and it changes smoothly with the weights.

    Parameters
    ----------
    scores, sample_weight : ndarray of shape (n,)
        The scores of the training rows (the lower, the more abnormal) and their weights.
    contamination : float in (0, 0.5]
        The fraction of outliers.
    """
    if np.ptp(sample_weight) == 0:
        return float(np.quantile(scores, contamination))
    order = np.argsort(scores, kind="stable")
    weight = sample_weight[order]
    middle = np.cumsum(weight) - weight / 2
    position = (middle - middle[0]) / (middle[-1] - middle[0])
    return float(np.interp(contamination, position, scores[order]))


def auto_offset(
    unseen_scores: np.ndarray, sample_weight: np.ndarray, training_scores: np.ndarray
) -> float:
    """Return the 1 % quantile of a shifted log-normal fitted to the bulk of the unseen scores.

    The notes of `AutoThreshold` have the formula, which is that of the shifted log-normal
    shift + exp(mu + sigma N(0, 1)) with sigma = log(r) / z(0.9). The skewness of the scores, which
    differs from data set to data set, is taken into account.

    A network gives its training rows better scores than new rows, so possibly none of them lies
    below the threshold. The threshold is then raised to just above the score of the most abnormal
    training row, provided that at most a tenth of the unseen rows lie below it. At most a tenth of
    the training rows lie below the threshold.

    Parameters
    ----------
    unseen_scores, sample_weight : ndarray of shape (n,)
        The scores of rows that the scoring network was not trained on, and their weights.
    training_scores : ndarray of shape (m,)
        The scores of the rows that the detector was trained on.
    """
    line = -_lognormal_quantile(-unseen_scores, sample_weight)
    worst = np.nextafter(training_scores.min(), np.inf)
    beyond = np.average(unseen_scores < worst, weights=sample_weight)
    if beyond <= _TAIL:
        line = max(line, worst)
    return float(min(line, np.quantile(training_scores, _TAIL, method="inverted_cdf")))


def _lognormal_quantile(values: np.ndarray, sample_weight: np.ndarray) -> float:
    low, median, high = _quantiles(values, [_TAIL, 0.5, 1 - _TAIL], sample_weight)
    if high == median:  # many rows are alike, and anything worse stands out
        return high
    rise, fall = high - median, median - low
    skew = _MAX_SKEW if rise > _MAX_SKEW * fall else max(rise / fall, 1 / _MAX_SKEW)
    reach = norm.isf(AUTO_FALSE_ALARMS) / norm.isf(_TAIL)
    stretch = reach if skew == 1 else (skew**reach - 1) / (skew - 1)
    return median + rise * stretch


def _quantiles(values: np.ndarray, probabilities: list[float], weights: np.ndarray) -> np.ndarray:
    return np.quantile(values, probabilities, weights=weights, method="inverted_cdf")
