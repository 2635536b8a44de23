"""The Keras networks as functions of rows and weights, to be compiled for training and scoring.

Models and compiled functions are cached by their specification and do not depend on the weights,
so they are built and traced only once for any number of fits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from vae_anomaly.backend import check_usable, clear_kernel_cache, keras, tf
from vae_anomaly.networks.blocks import IDLE_ROWS
from vae_anomaly.networks.build import build_decoder, build_encoder
from vae_anomaly.networks.dense_numpy import Decode, Encode
from vae_anomaly.networks.layers import seed
from vae_anomaly.networks.spec import NetworkSpec, Weights

BLOCK_ROWS = 64
"""The number of rows per block, without the idle ones, and per call.

How TensorFlow's kernels round a row depends on the number of rows, but not on its position.
"""


@functools.lru_cache(maxsize=32)
def keras_networks(spec: NetworkSpec) -> KerasNetworks:
    """Return the networks for a specification."""
    networks = KerasNetworks(spec)

    clear_kernel_cache()
    return networks


class KerasNetworks:
    """The encoder and decoder of a specification, applied to rows (n, p) of flattened samples."""

    def __init__(self, spec: NetworkSpec) -> None:
        drawn = _RecordedSeeds()
        self._spec = spec
        self.encoder, self.decoder = build_encoder(spec, drawn), build_decoder(spec, drawn)
        self._seeds = drawn.seeds
        self._n_encoder_seeds = len(self.encoder.non_trainable_variables)

    def initial_weights(
        self, observation_log_var: np.ndarray, rng: np.random.RandomState
    ) -> Weights:
        """Return new random weights, like those of a newly built encoder and decoder.

        Building Keras models is slow and, as each variable has a name, takes memory that is never
        released. So the initializers of the existing models are called with new seeds.
        """
        new_seeds = dict(zip(self._seeds, [seed(rng) for _ in self._seeds], strict=True))
        encoder, decoder = (_redrawn(model, new_seeds) for model in (self.encoder, self.decoder))
        return Weights(encoder, decoder, observation_log_var)

    def encode(self, x: Any, weights: list, dropout_seed: Any = None) -> tuple[Any, Any]:
        """Return z_mean and z_log_var (None for a plain autoencoder), each (n, d).

        Parameters
        ----------
        x : tensor of shape (n, p)
            The rows.
        weights : list of tensors
            The encoder's weights.
        dropout_seed : int tensor of shape (2,) or None, default=None
            Controls which units are dropped. Without it there is no dropout.
        """
        samples = keras.ops.reshape(x, (-1, *self._spec.input_shape))
        outputs = _call(self.encoder, samples, weights, dropout_seed)
        return (outputs[0], outputs[1]) if self._spec.variational else (outputs[0], None)

    def decode(self, z: Any, weights: list, dropout_seed: Any = None) -> Any:
        """Return the mean of x given z (n, d), flattened to (n, p)."""
        (output,) = _call(self.decoder, z, weights, dropout_seed, self._n_encoder_seeds)
        return keras.ops.reshape(output, (-1, self._spec.n_features))


class _RecordedSeeds(np.random.RandomState):
    """A source of seeds that records the seeds it has returned."""

    def __init__(self) -> None:
        super().__init__(0)
        self.seeds: list[int] = []

    def randint(self, *args: Any, **kwargs: Any) -> int:  # type: ignore[override]
        self.seeds.append(int(super().randint(*args, **kwargs)))
        return self.seeds[-1]


def _redrawn(model: keras.Model, new_seeds: dict[int, int]) -> list[np.ndarray]:
    """Return the weights of a model, redrawn by its seeded initializers with new seeds."""
    drawn = {}
    for layer in model._flatten_layers():
        for name, initializer in vars(layer).items():
            old_seed = getattr(initializer, "seed", None)
            if not name.endswith("_initializer") or old_seed not in new_seeds:
                continue
            name = name.removesuffix("_initializer").lstrip("_")
            variable = getattr(layer, {"recurrent": "recurrent_kernel"}.get(name, name), None)
            if variable is not None:
                config = {**initializer.get_config(), "seed": new_seeds[old_seed]}
                redraw = type(initializer).from_config(config)
                drawn[variable.path, id(variable)] = np.asarray(redraw(variable.shape, "float32"))
    return [drawn.get((v.path, id(v)), np.asarray(v.value)) for v in model.trainable_variables]


def _call(
    model: keras.Model, inputs: Any, weights: list, dropout_seed: Any, first_seed: int = 0
) -> list:
    # The only state is that of the dropout layers' generators: each layer gets its own per step.
    state = tf.zeros(2, tf.int32) if dropout_seed is None else dropout_seed
    states = [
        tf.cast(state + tf.constant([first_seed + i, 0]), tf.uint32)
        for i, _ in enumerate(model.non_trainable_variables)
    ]
    outputs, _ = model.stateless_call(weights, states, inputs, training=dropout_seed is not None)
    return tf.nest.flatten(outputs)


def block_rows(spec: NetworkSpec, n_rows: int) -> int:
    """Return the number of rows per block, which does not depend on `n_rows` here."""
    return BLOCK_ROWS


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return the function x (..., n, p) -> z_mean, z_log_var (or None), each (..., n, d)."""
    check_usable()
    compiled, tensors = _compiled(spec)[0], _constants(weights.encoder)
    return lambda x: _by_block(lambda block: compiled(block, *tensors), x)


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return the function z (..., n, d) -> mean of x given z (..., n, p), float32."""
    check_usable()
    compiled, tensors = _compiled(spec)[1], _constants(weights.decoder)
    return lambda z: _by_block(lambda block: (compiled(block, *tensors),), z)[0]


@functools.lru_cache(maxsize=32)
def _compiled(spec: NetworkSpec) -> tuple[Callable, Callable]:
    """Return `encode` and `decode`, compiled for BLOCK_ROWS rows."""
    networks = keras_networks(spec)

    def compiled(function: Callable, model: keras.Model, n_columns: int) -> Callable:
        return tf.function(
            lambda rows, *weights: function(rows, list(weights)), autograph=False
        ).get_concrete_function(
            tf.TensorSpec([BLOCK_ROWS, n_columns], tf.float32),
            *[tf.TensorSpec(v.shape, tf.float32) for v in model.trainable_variables],
        )

    return (
        compiled(networks.encode, networks.encoder, spec.n_features),
        compiled(networks.decode, networks.decoder, spec.latent_dim),
    )


def _constants(weights: list[np.ndarray]) -> list:
    return [tf.constant(w) for w in weights]


def _by_block(function: Callable[..., tuple], x: np.ndarray) -> tuple:
    """Apply `function` to the blocks of x (..., n, k) without idle rows; return (..., n, m)."""
    blocks = x[..., IDLE_ROWS:-IDLE_ROWS, :].reshape(-1, BLOCK_ROWS, x.shape[-1])
    outputs = zip(*[function(tf.constant(block)) for block in blocks], strict=True)
    idle = [(0, 0)] * (x.ndim - 2) + [(IDLE_ROWS, IDLE_ROWS), (0, 0)]
    return tuple(
        None
        if parts[0] is None
        else np.pad(np.stack(parts).reshape(*x.shape[:-2], BLOCK_ROWS, -1), idle)
        for parts in outputs
    )
