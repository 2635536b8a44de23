"""The dense networks of `dense.py` as numpy functions: scoring needs no TensorFlow.

A float32 matrix product rounds a row differently by its place among the rows and by their number.
So the products here are of LANES rows each, however many rows there are: few enough for BLAS to
treat them all alike. A row's result then does not depend on the rows that come with it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from vae_anomaly.losses import Mixed, bound_log_var
from vae_anomaly.networks import NetworkSpec, Weights

LANES = 16
"""Rows of one matrix product."""

Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
Decode = Callable[[np.ndarray], np.ndarray]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_SQRT_HALF = np.float32(0.5**0.5)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _relu(x: np.ndarray) -> np.ndarray:
    # Against an array, not against the number 0, which numpy does not vectorise.
    zeros = np.swapaxes(np.zeros(x.shape[:-3:-1], x.dtype), -1, -2)
    return np.maximum(x, zeros, out=x)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "elu": _elu,
    "gelu": lambda x: 0.5 * x * (1 + erf(x * _SQRT_HALF)),
    "linear": lambda x: x,
    "relu": _relu,
    "selu": lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "sigmoid": expit,
    "silu": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "tanh": np.tanh,
}
"""Keras's activations by Keras's names; each takes a scratch array that it may overwrite."""


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return x (..., LANES, p) -> z_mean, z_log_var, each (..., LANES, d), float32.

    A plain autoencoder has None for z_log_var.
    """
    n_heads = 2 if spec.variational else 1
    hidden, heads = weights.encoder[: -2 * n_heads], weights.encoder[-2 * n_heads :]
    hidden_layers = _hidden(hidden, spec)
    z_layer = _affine(np.concatenate(heads[::2], axis=1), np.concatenate(heads[1::2]))
    d = spec.latent_dim

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        z = z_layer(hidden_layers(x))
        return z[..., :d], bound_log_var(z[..., d:], np) if spec.variational else None

    return encode


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return z (..., LANES, d) -> mean of x given z (..., LANES, p), float32."""
    *hidden, kernel, bias = weights.decoder
    hidden_layers, last = _hidden(hidden, spec), _affine(kernel, bias)
    likelihood = spec.likelihood
    if isinstance(likelihood, Mixed):
        return lambda z: likelihood.mean(last(hidden_layers(z)), np)
    activation = ACTIVATIONS[likelihood.output_activation]
    return lambda z: activation(last(hidden_layers(z)))


def _hidden(weights: list[np.ndarray], spec: NetworkSpec) -> Decode:
    activation = ACTIVATIONS[spec.activation]
    layers = [_affine(*pair) for pair in zip(weights[::2], weights[1::2], strict=True)]

    def hidden(x: np.ndarray) -> np.ndarray:
        for layer in layers:
            x = activation(layer(x))
        return x

    return hidden


def _affine(kernel: np.ndarray, bias: np.ndarray) -> Decode:
    """Return x (..., LANES, k) -> x kernel + bias (..., LANES, m)."""
    # Rows come last in memory: they are the lanes of the processor's vectors, all treated alike.
    kernel = np.ascontiguousarray(kernel.T)
    bias = np.repeat(bias[:, None], LANES, axis=1)  # numpy adds whole blocks faster than scalars

    def affine(x: np.ndarray) -> np.ndarray:
        out = np.matmul(kernel, np.swapaxes(x, -1, -2))
        out += bias
        return np.swapaxes(out, -1, -2)

    return affine
