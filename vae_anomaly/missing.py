"""Missing cells: which are observed, and what the encoder is given for the others.

A missing cell contributes nothing to the reconstruction (P.-A. Mattei and J. Frellsen, "MIWAE: Deep
Generative Modelling and Imputation of Incomplete Data Sets", ICML 2019). What the encoder is given
instead depends on the training rows. If they had missing cells, it is told by flags which cells are
missing. If they had none, the decoder fills in the missing cells in a few rounds (D. J. Rezende, S.
Mohamed and D. Wierstra, "Stochastic Backpropagation and Approximate Inference in Deep Generative
Models", ICML 2014, appendix F; here with means instead of draws).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

HIDDEN_FRACTION = 0.25
"""The mean fraction of the observed cells that training hides from an encoder with flags."""

FILL_IN_ROUNDS = 5

Array = Any  # a numpy array or a TensorFlow tensor, depending on `xp`


def observed_cells(x: np.ndarray, groups: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return which cells of x (..., p) are observed: no cell of a group is, if one is missing."""
    observed = ~np.isnan(x)
    for first, stop in groups:
        observed[..., first:stop] = observed[..., first:stop].all(axis=-1, keepdims=True)
    return observed


def with_flags(x: Array, visible: Array, is_grouped: np.ndarray, xp: Any) -> Array:
    """Return the input of an encoder with flags, (..., n_inputs).

    Parameters
    ----------
    x : array of shape (..., p)
        The rows, without NaN.
    visible : array of bool of shape (..., p)
        The cells that the encoder may see. The others become 0, the mean of the column.
    is_grouped : ndarray of bool of shape (p,)
        The features in one-hot groups. They have no flags, as a group of zeros tells as much.
    xp : module
        The array namespace, `numpy` or `keras.ops`.
    """
    zero, one = np.float32(0), np.float32(1)
    flags = xp.where(visible, zero, one)
    if is_grouped.any():
        flags = xp.take(flags, np.flatnonzero(~is_grouped), axis=-1)
    return xp.concatenate([xp.where(visible, x, zero), flags], axis=-1)


def filled_in(
    x: np.ndarray,
    observed: np.ndarray,
    encode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]],
    decode: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return rows x (..., n, p) with the cells that are not observed filled in by the decoder."""
    for _ in range(FILL_IN_ROUNDS):
        z_mean, _ = encode(x)
        x = np.where(observed, x, decode(z_mean))
    return x
