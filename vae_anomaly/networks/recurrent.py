"""LSTM and GRU networks, from a sequence (timesteps, features) to a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.networks.layers import apply_dropout, seed, seeded
from vae_anomaly.networks.spec import NetworkSpec

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


def encode(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the output of the last layer at the last time step, (n, units)."""
    return _recurrent_layers(x, spec.hidden_layer_sizes, spec, rng, return_last_sequence=False)


def decode(z: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the mean of x given z, (n, timesteps, features); z is the input at each time step."""
    n_steps, n_features = spec.input_shape
    x = keras.layers.RepeatVector(n_steps, dtype="float32")(z)
    sizes = spec.hidden_layer_sizes[::-1]
    x = _recurrent_layers(x, sizes, spec, rng, return_last_sequence=True)
    return seeded(
        keras.layers.Dense,
        n_features,
        spec.likelihood.output_activation,
        rng=rng,
        name="x_mean",
    )(x)


def _recurrent_layers(
    x: Any,
    sizes: tuple[int, ...],
    spec: NetworkSpec,
    rng: np.random.RandomState,
    *,
    return_last_sequence: bool,
) -> Any:
    for i, units in enumerate(sizes, start=1):
        x = seeded(
            _CELLS[spec.architecture],
            units,
            activation=spec.activation,
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed(rng)),
            return_sequences=return_last_sequence or i < len(sizes),
            rng=rng,
        )(x)
        x = apply_dropout(x, spec, rng)
    return x
