"""From scores to a decision: where the line between inliers and outliers is drawn."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

AUTO_FALSE_ALARMS = 0.01
"""Share of clean rows that ``contamination="auto"`` aims to flag."""

_TAIL = 0.1
_MAX_SKEW = 10.0


def offset(scores: np.ndarray, sample_weight: np.ndarray, contamination: float | str) -> float:
    """Return the score below which a row is an outlier.

    Parameters
    ----------
    scores : array of shape (n,)
        Scores of rows, the lower, the more abnormal: of rows that the model was not trained on for
        "auto", and of the training rows for a share of them.
    sample_weight : array of shape (n,)
        Weights of the rows.
    contamination : "auto" or float
        The rule, see `VAEAnomalyDetector`.
    """
    if contamination == "auto":
        return auto_offset(scores, sample_weight)
    if np.all(sample_weight == sample_weight[0]):
        return float(np.quantile(scores, contamination))
    return float(_quantiles(scores, [contamination], sample_weight)[0])


def auto_offset(scores: np.ndarray, sample_weight: np.ndarray) -> float:
    """Return the 1 % quantile of a shifted log-normal that has the scores' bulk.

    Three quantiles of the abnormality a = -score, at 10, 50 and 90 %, fix the shifted log-normal
    a = shift + exp(mu + sigma N(0, 1)) in closed form: with r = (q90 - q50) / (q50 - q10),
    sigma = log(r) / z90 and

        q(t) = q50 + (q90 - q50) (r^(z_t / z90) - 1) / (r - 1),

    where z_t is the standard normal's quantile. Up to a tenth of the training rows may thus be
    outliers, however extreme, without moving the line much; the skewness of the scores, which
    differs from data set to data set, is taken into account.
    """
    low, median, high = -_quantiles(scores, [1 - _TAIL, 0.5, _TAIL], sample_weight)
    if high == median:  # half of the rows alike: anything worse stands out
        return float(np.nextafter(-high, -np.inf))
    skew = np.clip(
        (high - median) / max(median - low, np.finfo(float).tiny), 1 / _MAX_SKEW, _MAX_SKEW
    )
    reach = norm.isf(AUTO_FALSE_ALARMS) / norm.isf(_TAIL)
    stretch = reach if skew == 1 else (skew**reach - 1) / (skew - 1)
    return float(-(median + (high - median) * stretch))


def _quantiles(values: np.ndarray, probabilities: list[float], weights: np.ndarray) -> np.ndarray:
    return np.quantile(values, probabilities, weights=weights, method="inverted_cdf")
