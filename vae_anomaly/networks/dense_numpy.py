"""The dense networks of `dense.py` as numpy functions: scoring needs no TensorFlow.

A float32 matrix product rounds a row differently by its place among the rows and by their number.
So the products here are of LANES rows each, however many rows there are: few enough for BLAS to
treat them all alike. A row's result then does not depend on the rows that come with it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from vae_anomaly.losses import bound_log_var
from vae_anomaly.networks import NetworkSpec, Weights

LANES = 16
"""Rows of one matrix product."""

Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Decode = Callable[[np.ndarray], np.ndarray]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_SQRT_HALF = np.float32(0.5**0.5)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": _elu,
    "gelu": lambda x: 0.5 * x * (1 + erf(x * _SQRT_HALF)),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0, out=x),
    "selu": lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "sigmoid": expit,
    "silu": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "tanh": np.tanh,
}
"""Keras's activations by Keras's names; each takes a scratch array that it may overwrite."""


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return x (..., LANES, p) -> z_mean, z_log_var, each (..., LANES, d), float32."""
    *hidden, mean_kernel, mean_bias, log_var_kernel, log_var_bias = weights.encoder

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = _hidden(x, hidden, spec)
        z_mean = _affine(x, mean_kernel, mean_bias)
        return z_mean, bound_log_var(_affine(x, log_var_kernel, log_var_bias), np)

    return encode


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return z (..., LANES, d) -> mean of x given z (..., LANES, p), float32."""
    *hidden, kernel, bias = weights.decoder

    def decode(z: np.ndarray) -> np.ndarray:
        return ACTIVATIONS[spec.likelihood.output_activation](
            _affine(_hidden(z, hidden, spec), kernel, bias)
        )

    return decode


def _hidden(x: np.ndarray, weights: list[np.ndarray], spec: NetworkSpec) -> np.ndarray:
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        x = ACTIVATIONS[spec.activation](_affine(x, kernel, bias))
    return x


def _affine(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    # Rows come last in memory: they are the lanes of the processor's vectors, all treated alike.
    out = np.matmul(kernel.T, np.swapaxes(x, -1, -2))
    out += bias[:, None]
    return np.swapaxes(out, -1, -2)
