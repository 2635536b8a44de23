"""The window size of a series: long enough to be smooth, and a whole number of periods."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

USUAL_SIZE = 64
"""The window size of a series without a period, long as it may be."""

_MAX_POINTS = 20_000
"""The number of time points that the autocorrelation is of."""

_LONGEST_PERIOD = 3 * USUAL_SIZE // 2

_CLEAR = 0.3
"""The autocorrelation at which a period is one."""

_MIN_WINDOWS = 4
"""The number of windows side by side that the training series must have room for."""


def window_size_of(series: np.ndarray) -> int:
    """Return the window size for a series (n_timepoints, n_channels) without gaps in time.

    It is 64, or if there is a period of up to 96, the multiple of it that is nearest to 64. The
    period is where the autocorrelation has its highest peak after its first zero. A short series
    has smaller windows, of a quarter of its length.
    """
    size = USUAL_SIZE
    period = _period(series[-_MAX_POINTS:])
    if period is not None:
        size = period * max(1, round(size / period))
    return max(1, min(size, len(series) // _MIN_WINDOWS))


def _period(series: np.ndarray) -> int | None:
    correlation = _autocorrelation(series)[: min(_LONGEST_PERIOD, len(series) // 3) + 2]
    below = np.flatnonzero(correlation <= 0)
    if not below.size:
        return None
    inner = correlation[1:-1]
    is_peak = (inner > correlation[:-2]) & (inner >= correlation[2:]) & (inner > _CLEAR)
    is_peak[: below[0]] = False
    if not is_peak.any():
        return None
    return int(np.where(is_peak, inner, -np.inf).argmax()) + 1


def _autocorrelation(series: np.ndarray) -> np.ndarray:
    """Return the mean autocorrelation of the channels by lag, where missing cells count as mean."""
    n = len(series)
    observed = ~np.isnan(series)
    mean = np.where(observed, series, 0.0).sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
    largest = np.abs(np.where(observed, series - mean, 0.0)).max(axis=0)
    varies = largest > 0
    if not varies.any():
        return np.zeros(n)
    z = np.where(observed, series - mean, 0.0)[:, varies] / largest[varies]
    spectrum = rfft(z, next_fast_len(2 * n), axis=0)
    covariance = irfft(np.abs(spectrum) ** 2, next_fast_len(2 * n), axis=0)[:n]
    return (covariance / covariance[0]).mean(axis=1)
