"""The dense networks of `dense.py` as NumPy functions, so that scoring needs no TensorFlow.

Within a block (see `blocks.py`) the rows are the last axis in memory: they fill the lanes of the
processor's vectors, which are all treated alike. An additional feature is always one, so that the
matrix product adds the bias too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise, starmap

import numpy as np
from scipy.special import erf, expit

from vae_anomaly.losses import Mixed, bound_log_var
from vae_anomaly.networks.blocks import IDLE_ROWS
from vae_anomaly.networks.spec import NetworkSpec, Weights

BLOCK_ROWS = 256
"""The number of rows per block, without the idle ones."""

_SMALL_BLOCK_ROWS = 16  # the number of rows per block when there are few rows in total

Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
Decode = Callable[[np.ndarray], np.ndarray]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_SQRT_HALF = np.float32(0.5**0.5)


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _relu(x: np.ndarray) -> np.ndarray:
    # The zeros are an array, because NumPy does not vectorise the maximum with a scalar.
    return np.maximum(x, np.zeros(x.shape[-1], x.dtype), out=x)


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
"""The activations by their names in Keras. Each may overwrite the array that it is given."""


def block_rows(spec: NetworkSpec, n_rows: int) -> int:
    """Return the number of rows per block, without the idle ones, for `n_rows` rows in total."""
    if n_rows > BLOCK_ROWS // 2:
        return BLOCK_ROWS
    hidden, d, p = spec.hidden_layer_sizes, spec.latent_dim, spec.n_features
    encoder, decoder = (p, *hidden, (1 + spec.variational) * d), (d, *hidden[::-1], p)
    shapes = [(m, k + 1) for k, m in (*pairwise(encoder), *pairwise(decoder))]
    n_groups = len(spec.one_hot_groups)
    if n_groups:
        shapes += [(n_groups, p), (p, n_groups)]
    round_alike = all(starmap(_small_blocks_round_alike, shapes))
    return _SMALL_BLOCK_ROWS if round_alike else BLOCK_ROWS


@functools.cache
def _small_blocks_round_alike(m: int, k: int) -> bool:
    """Return whether products (m, k) x (k, n) round a row alike in small and in large blocks.

    They do unless BLAS has special code for small matrices, as it has for AVX-512 processors.
    """
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((m, k), np.float32)
    x = rng.standard_normal((k, _SMALL_BLOCK_ROWS), np.float32)
    small, large = (
        matrix @ np.pad(x, ((0, 0), (IDLE_ROWS, n - _SMALL_BLOCK_ROWS + IDLE_ROWS)))
        for n in (_SMALL_BLOCK_ROWS, BLOCK_ROWS)
    )
    rows = slice(IDLE_ROWS, IDLE_ROWS + _SMALL_BLOCK_ROWS)
    return np.array_equal(small[:, rows], large[:, rows])


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return the function x (..., n, p) -> z_mean, z_log_var, each (..., n, d), float32.

    For a plain autoencoder z_log_var is None.
    """
    n_heads = 2 if spec.variational else 1
    hidden, heads = weights.encoder[: -2 * n_heads], weights.encoder[-2 * n_heads :]
    z_layer = [np.concatenate(heads[::2], axis=1), np.concatenate(heads[1::2])]
    network = _network([*hidden, *z_layer], spec)
    d = spec.latent_dim

    def encode(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        z = network(x)
        return z[..., :d], bound_log_var(z[..., d:], np) if spec.variational else None

    return encode


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return the function z (..., n, d) -> mean of x given z (..., n, p), float32."""
    network = _network(weights.decoder, spec)
    likelihood = spec.likelihood
    if isinstance(likelihood, Mixed):
        return lambda z: likelihood.mean(network(z), np)
    activation = ACTIVATIONS[likelihood.output_activation]
    return lambda z: activation(network(z))


def _network(weights: list[np.ndarray], spec: NetworkSpec) -> Decode:
    """Return the function x (..., n, k) -> last layer without its activation (..., n, m)."""
    activation = ACTIVATIONS[spec.activation]
    pairs = zip(weights[::2], weights[1::2], strict=True)
    *hidden, last = [np.concatenate([kernel, bias[None]]).T.copy() for kernel, bias in pairs]

    def network(x: np.ndarray) -> np.ndarray:
        *outer, width, n_features = x.shape
        inputs = np.empty((*outer, n_features + 1, width), np.float32)
        inputs[..., :-1, :] = np.swapaxes(x, -1, -2)
        for matrix in hidden:
            inputs[..., -1, :] = 1
            outputs = np.empty((*outer, len(matrix) + 1, width), np.float32)
            np.matmul(matrix, inputs, out=outputs[..., :-1, :])
            outputs[..., :-1, :] = activation(outputs[..., :-1, :])
            inputs = outputs
        inputs[..., -1, :] = 1
        return np.swapaxes(np.matmul(last, inputs), -1, -2)

    return network
