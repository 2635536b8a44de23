"""Standardisation of columns: the units in which the networks see and explain the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

STANDARD_BOUND = 1e6
"""Standardised values are clipped to +-STANDARD_BOUND, so that float32 cannot overflow."""

_CONSTANT_UNIT = 1e-6
"""Unit of a column that was constant in training, relative to its value.

Any move of such a column beyond rounding error counts as huge.
"""

CHUNK_ROWS = 8192


Rows = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Goes through all rows: chunks (n, p) float64, and the rows' weights (n,), none of them zero."""


def in_chunks(X: Any, sample_weight: np.ndarray) -> Rows:
    """Return `Rows` of an array or a sparse matrix that lies in memory."""
    return lambda: (
        (as_float64(X[chunk]), sample_weight[chunk])
        for chunk in gen_batches(X.shape[0], CHUNK_ROWS)
    )


def fit_scaling(
    rows: Rows, n_channels: int, one_hot_groups: tuple[tuple[int, int], ...] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the center and the unit of every column, and which columns vary.

    The center is the weighted mean, and the unit the weighted standard deviation, with three
    exceptions. A constant column has one millionth of its value as its unit, unless it shares
    another. Columns of one-hot groups become 0 and 1. And columns that share a unit already, as
    pixels or indicators do, keep a common one, the root mean square of their standard deviations:
    the positions of one channel, and, when at least half of the other varying channels have the
    very same smallest and largest value, all channels within these bounds. A pixel that is hardly
    ever lit would count too much otherwise.

    Parameters
    ----------
    rows : callable
        Goes through all rows, see `Rows`; called once.
    n_channels : int
        Columns are positions of so many channels, the last axis of an image or a sequence. In a
        table each column is a channel.
    one_hot_groups : tuple of (int, int)
        First column and the one after the last of each group.

    Returns
    -------
    center, scale : array of shape (p,)
        Standardised values are (X - center) / scale, float64.
    varies : bool array of shape (p,)
        False for constant columns.

    Raises
    ------
    ValueError
        If a column's spread is beyond the range of float64.
    """
    scaler = StandardScaler()
    low, high = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
    for chunk, weight in rows():
        scaler.partial_fit(chunk, sample_weight=weight)
        channels = chunk.reshape(-1, n_channels)
        low = np.minimum(low, channels.min(axis=0))
        high = np.maximum(high, channels.max(axis=0))
    overflowing = np.flatnonzero(~np.isfinite(scaler.var_))
    if overflowing.size:
        raise ValueError(
            f"Column {overflowing[0]} of X spans too wide a range for float64; rescale it."
        )
    # StandardScaler gives a scale of 1 to columns whose spread is rounding error, which may be a
    # tiny unit to one column and a huge one to another.
    spread = np.where(np.sqrt(scaler.var_) == scaler.scale_, scaler.var_, 0.0)
    n_positions = len(spread) // n_channels
    variance = np.sum(spread.reshape(n_positions, n_channels) / n_positions, axis=0)
    magnitude = np.abs(scaler.mean_).reshape(n_positions, n_channels).max(axis=0)
    magnitude[magnitude == 0] = 1.0
    constant = variance == 0
    grouped = np.zeros_like(constant)
    for first, stop in one_hot_groups:
        grouped[first:stop] = True
    alike = _share_a_unit(low, high, constant | grouped)
    if alike.any():
        variance[alike] = np.mean(variance[alike])
    scale = np.where(constant, _CONSTANT_UNIT * magnitude, np.sqrt(variance))
    center = scaler.mean_
    if one_hot_groups:
        center = np.where(grouped, low, center)
        scale = np.where(grouped, high - low, scale)
    return center, np.tile(scale, n_positions), np.tile(~constant, n_positions)


def _share_a_unit(low: np.ndarray, high: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Tell which columns lie within the bounds that at least half of them have exactly."""
    varying = np.column_stack([low, high])[~left_out]
    if len(varying) < 3:
        return np.zeros_like(left_out)
    bounds, counts = np.unique(varying, axis=0, return_counts=True)
    if 2 * counts.max() < len(varying):
        return np.zeros_like(left_out)
    common_low, common_high = bounds[counts.argmax()]
    return ~left_out & (low >= common_low) & (high <= common_high)


def standardize(X: Any, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return X as float32 in standardised units, clipped to +-STANDARD_BOUND."""
    Z = as_float64(X) - center  # in float64: a large offset would swallow the digits that matter
    Z /= scale
    return np.clip(Z, -STANDARD_BOUND, STANDARD_BOUND, out=Z).astype(np.float32)


def unstandardize(Z: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return standardised rows in the units of X, float64."""
    return Z * scale + center


def as_float64(X: Any) -> np.ndarray:
    """Return X dense and in float64, without a copy where it is so already."""
    return np.asarray(X.toarray() if sp.issparse(X) else X, dtype=np.float64)
