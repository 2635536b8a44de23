"""Missing cells: what the encoder is given for them.

A missing cell contributes nothing to the reconstruction (P.-A. Mattei and J. Frellsen, "MIWAE: Deep
Generative Modelling and Imputation of Incomplete Data Sets", ICML 2019). The encoder is given what
the decoder expects there, found in a few rounds that start from zero, the mean of a standardised
column (D. J. Rezende, S. Mohamed and D. Wierstra, "Stochastic Backpropagation and Approximate
Inference in Deep Generative Models", ICML 2014; here with means instead of draws). Training and
scoring both call `filled_in`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FILL_IN_ROUNDS = 5

FILL_IN_BOUND = 10.0
"""Bound on what is filled in, in standard deviations, so that the rounds cannot run away."""

Array = Any  # a numpy array or a TensorFlow tensor, depending on `xp`


def filled_in(
    x: Array,
    observed: Array,
    encode: Callable[[Array], tuple[Array, Array | None]],
    decode: Callable[[Array], Array],
    xp: Any,
) -> Array:
    """Return rows with the cells that are not observed filled in by the decoder.

    Parameters
    ----------
    x : ndarray of shape (..., n, p)
        The rows, with zeros in the cells that are not observed.
    observed : ndarray of shape (..., n, p), dtype bool
        The cells that are observed.
    encode, decode : callable
        The networks, see `losses.loss_terms`; here `decode` maps codes of shape (..., n, d).
    xp : module
        The array namespace, `numpy` or `keras.ops`.
    """
    for _ in range(FILL_IN_ROUNDS):
        z_mean, _ = encode(x)
        x = xp.where(observed, x, xp.clip(decode(z_mean), -FILL_IN_BOUND, FILL_IN_BOUND))
    return x
