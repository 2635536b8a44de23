"""Standardisation of columns: the units in which the networks see and explain the data."""

from __future__ import annotations

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


def fit_scaling(
    X: Any, sample_weight: np.ndarray, n_channels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the center and the unit of every column of X, float64.

    The center is the weighted mean, and the unit the weighted standard deviation, with two
    exceptions. A constant column has one millionth of its value as its unit. And columns that
    share a unit already, as pixels or indicators do, keep a common one: when at least half of the
    varying columns have the very same smallest and largest value, all columns within these bounds
    get the root mean square of their standard deviations. A pixel that is hardly ever lit would
    count too much otherwise.

    Parameters
    ----------
    X : {array, sparse matrix} of shape (n, p)
        Read in chunks, so that no second copy is made.
    sample_weight : array of shape (n,)
        Weights, none of them zero.
    n_channels : int, optional
        Where columns are positions of so many channels, the last axis of an image or a sequence:
        all positions of a channel get the same center and unit. By default each column is a
        channel of its own.

    Returns
    -------
    center, scale : array of shape (p,)
        Standardised values are (X - center) / scale.

    Raises
    ------
    ValueError
        If a column's spread is beyond the range of float64.
    """
    n_channels = n_channels or X.shape[1]
    n_positions = X.shape[1] // n_channels
    scaler = StandardScaler()
    low, high = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
    for chunk in gen_batches(X.shape[0], CHUNK_ROWS):
        rows = as_float64(X[chunk]).reshape(-1, n_channels)
        scaler.partial_fit(rows, sample_weight=np.repeat(sample_weight[chunk], n_positions))
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
    overflowing = np.flatnonzero(~np.isfinite(scaler.var_))
    if overflowing.size:
        raise ValueError(
            f"Column {overflowing[0]} of X spans too wide a range for float64; rescale it."
        )
    # StandardScaler gives a scale of 1 to columns whose spread is rounding error, which may be a
    # tiny unit to one column and a huge one to another.
    constant = np.sqrt(scaler.var_) != scaler.scale_
    magnitude = np.where(scaler.mean_ == 0, 1.0, np.abs(scaler.mean_))
    scale = np.where(constant, _CONSTANT_UNIT * magnitude, scaler.scale_)
    alike = _share_a_unit(low, high, constant)
    if alike.any():
        scale[alike] = np.sqrt(np.mean(scaler.var_[alike]))
    return np.tile(scaler.mean_, n_positions), np.tile(scale, n_positions)


def _share_a_unit(low: np.ndarray, high: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Tell which columns lie within the bounds that at least half of them have exactly."""
    varying = np.column_stack([low, high])[~constant]
    if len(varying) < 3:
        return np.zeros_like(constant)
    bounds, counts = np.unique(varying, axis=0, return_counts=True)
    if 2 * counts.max() < len(varying):
        return np.zeros_like(constant)
    common_low, common_high = bounds[counts.argmax()]
    return ~constant & (low >= common_low) & (high <= common_high)


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
