"""Standardisation of columns: the units in which the networks see and explain the data."""

from __future__ import annotations

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
    X: np.ndarray | sp.csr_matrix, sample_weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and standard deviation of every column of X, float64.

    Parameters
    ----------
    X : {array, sparse matrix} of shape (n, p)
        Read in chunks, so that no second copy is made.
    sample_weight : array of shape (n,)
        Weights, none of them zero.

    Returns
    -------
    center, scale : array of shape (p,)
        A constant column gets a scale of one millionth of its value.

    Raises
    ------
    ValueError
        If a column's spread is beyond the range of float64.
    """
    scaler = StandardScaler()
    for chunk in gen_batches(X.shape[0], CHUNK_ROWS):
        scaler.partial_fit(as_float64(X[chunk]), sample_weight=sample_weight[chunk])
    overflowing = np.flatnonzero(~np.isfinite(scaler.var_))
    if overflowing.size:
        raise ValueError(
            f"Column {overflowing[0]} of X spans too wide a range for float64; rescale it."
        )
    # StandardScaler gives a scale of 1 to columns whose spread is rounding error, which may be a
    # tiny unit to one column and a huge one to another.
    constant = np.sqrt(scaler.var_) != scaler.scale_
    magnitude = np.where(scaler.mean_ == 0, 1.0, np.abs(scaler.mean_))
    return scaler.mean_, np.where(constant, _CONSTANT_UNIT * magnitude, scaler.scale_)


def standardize(X: np.ndarray | sp.csr_matrix, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return X as float32 in standardised units, clipped to +-STANDARD_BOUND."""
    Z = as_float64(X) - center  # in float64: a large offset would swallow the digits that matter
    Z /= scale
    return np.clip(Z, -STANDARD_BOUND, STANDARD_BOUND, out=Z).astype(np.float32)


def unstandardize(Z: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return standardised rows in the units of X, float64."""
    return Z * scale + center


def as_float64(X: np.ndarray | sp.csr_matrix) -> np.ndarray:
    """Return X dense and in float64, without a copy where it is so already."""
    return np.asarray(X.toarray() if sp.issparse(X) else X, dtype=np.float64)
