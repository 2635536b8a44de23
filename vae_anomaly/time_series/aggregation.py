"""Aggregation: from the scores of windows to scores of time points."""

from __future__ import annotations

import numpy as np

from vae_anomaly.time_series.positions import Stretches, Windows

AGGREGATIONS = ("smooth", "mean", "max")
"""The ways of combining the scores of the windows around a time point."""

_SMOOTHINGS = 2
"""How often "smooth" averages over windows before it averages at time points."""

_HALF_LIFE = 0.1
"""The time, in windows, after which a window counts half for later time points."""


def to_points(windows: Windows, scores: np.ndarray, aggregation: str) -> np.ndarray:
    """Return the score of each sorted row, (n_timepoints,), NaN where no window covers it."""
    if aggregation == "max":
        deciding = windows.deciding(scores)
        return np.where(deciding < 0, np.nan, scores[deciding])
    points = windows.means_at(scores)
    return smoothed(windows, points) if aggregation == "smooth" else points


def smoothed(windows: Windows, values: np.ndarray) -> np.ndarray:
    """Return values of sorted rows, twice averaged over each window and then over windows."""
    for _ in range(_SMOOTHINGS):
        values = windows.means_at(windows.means_over(values))
    return values


def mean_of_past(stretches: Stretches, scores: np.ndarray, size: int) -> np.ndarray:
    """Return the mean of the scores of windows up to each sorted row, NaN where there is none.

    The weights decrease exponentially with the distance, and do not reach across gaps.

    Parameters
    ----------
    stretches : Stretches
        The stretches that the windows lie in.
    scores : ndarray of shape (n_windows,)
        The scores of all windows, with stride 1, in the order of `Stretches.windows`.
    size : int
        The size of the windows.
    """
    from scipy.signal import lfilter  # takes long to import

    means = np.full(len(stretches.order), np.nan)
    stop = 0
    for first, length in zip(stretches.firsts, stretches.lengths, strict=True):
        start, stop = stop, stop + max(length - size + 1, 0)
        total = lfilter([1.0], [1.0, -_decay(size)], scores[start:stop])
        weight = newest_weight(np.arange(1, stop - start + 1), size)
        means[first + length - (stop - start) : first + length] = total * weight
    return means


def newest_weight(n_values: np.ndarray, size: int) -> np.ndarray:
    """Return the weight of the newest of so many values in `mean_of_past`."""
    return (1 - _decay(size)) / (1 - _decay(size) ** n_values)


def _decay(size: int) -> float:
    return 0.5 ** (1 / (_HALF_LIFE * size))
