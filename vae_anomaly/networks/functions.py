"""The Keras networks as functions of rows and weights: what is compiled, to train and to score.

A compiled function is kept by its specification and holds no weights, so one trace serves any
number of fits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from vae_anomaly.backend import keras, tf
from vae_anomaly.networks import NetworkSpec, Weights
from vae_anomaly.networks.dense_numpy import IDLE, Decode, Encode
from vae_anomaly.networks.keras_networks import build_decoder, build_encoder

LANES = 64
"""Rows of a block, besides the idle ones, and of one call. TensorFlow's kernels round a row
differently by the number of rows, but treat all rows of so many alike."""


class Functions:
    """Encoder and decoder of a specification, on rows (n, p) of flattened samples."""

    def __init__(self, spec: NetworkSpec) -> None:
        unused = np.random.RandomState(0)
        self._spec = spec
        self.encoder, self.decoder = build_encoder(spec, unused), build_decoder(spec, unused)

    def encode(self, x: Any, weights: list, step: Any = None) -> tuple[Any, Any]:
        """Return z_mean and z_log_var (None of a plain autoencoder), each (n, d).

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows.
        weights : list of tensors
            The encoder's weights.
        step : scalar tensor, optional
            Number of the training step, which decides on the units that dropout drops. Without it
            nothing is dropped.
        """
        outputs = _call(
            self.encoder, keras.ops.reshape(x, (-1, *self._spec.input_shape)), weights, step
        )
        return (outputs[0], outputs[1]) if self._spec.variational else (outputs[0], None)

    def decode(self, z: Any, weights: list, step: Any = None) -> Any:
        """Return the mean of x given z (n, d), flattened to (n, p)."""
        (output,) = _call(self.decoder, z, weights, step)
        return keras.ops.reshape(output, (-1, self._spec.n_features))


def _call(model: keras.Model, inputs: Any, weights: list, step: Any) -> list:
    # Dropout layers keep a seed and a counter: give them the step as the counter.
    seeds = [
        tf.cast(tf.stack([i, 0 if step is None else step]), tf.uint32)
        for i, _ in enumerate(model.non_trainable_variables)
    ]
    outputs, _ = model.stateless_call(weights, seeds, inputs, training=step is not None)
    return tf.nest.flatten(outputs)


def lanes(spec: NetworkSpec, n_rows: int) -> int:
    """Return LANES."""
    return LANES


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return x (..., n, p) -> z_mean, z_log_var (or None), each (..., n, d), float32."""
    compiled, tensors = _compiled(spec)[0], _constants(weights.encoder)
    return lambda x: _by_block(lambda block: compiled(block, *tensors), x)


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return z (..., n, d) -> mean of x given z (..., n, p), float32."""
    compiled, tensors = _compiled(spec)[1], _constants(weights.decoder)
    return lambda z: _by_block(lambda block: (compiled(block, *tensors),), z)[0]


@functools.lru_cache(maxsize=32)
def _compiled(spec: NetworkSpec) -> tuple[Callable, Callable]:
    """Return the compiled `Functions.encode` and `Functions.decode` of LANES rows."""
    functions = Functions(spec)

    def compiled(function: Callable, model: keras.Model, n_columns: int) -> Callable:
        return tf.function(
            lambda rows, *weights: function(rows, list(weights)), autograph=False
        ).get_concrete_function(
            tf.TensorSpec([LANES, n_columns], tf.float32),
            *[tf.TensorSpec(v.shape, tf.float32) for v in model.trainable_variables],
        )

    return (
        compiled(functions.encode, functions.encoder, spec.n_features),
        compiled(functions.decode, functions.decoder, spec.latent_dim),
    )


def _constants(weights: list[np.ndarray]) -> list:
    return [tf.constant(w) for w in weights]


def _by_block(function: Callable[..., tuple], x: np.ndarray) -> tuple:
    """Call `function` on the blocks of x (..., n, k), but for idle rows; return (..., n, m)."""
    blocks = x[..., IDLE:-IDLE, :].reshape(-1, LANES, x.shape[-1])
    outputs = zip(*[function(tf.constant(block)) for block in blocks], strict=True)
    idle = [(0, 0)] * (x.ndim - 2) + [(IDLE, IDLE), (0, 0)]
    return tuple(
        None
        if parts[0] is None
        else np.pad(np.stack(parts).reshape(*x.shape[:-2], LANES, -1), idle)
        for parts in outputs
    )
