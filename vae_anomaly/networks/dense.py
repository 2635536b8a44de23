"""Dense hidden layers: a sample as one row of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.networks import NetworkSpec
from vae_anomaly.networks.layers import GroupSoftmax, dropped, seeded


def encode(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the last hidden layer of the encoder, (n, units)."""
    if len(spec.input_shape) > 1:
        x = keras.layers.Flatten()(x)
    return _hidden_layers(x, spec.hidden_layer_sizes, spec, rng)


def decode(z: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the mean of x given z, (n, *input_shape)."""
    hidden = _hidden_layers(z, spec.hidden_layer_sizes[::-1], spec, rng)
    output = seeded(
        keras.layers.Dense,
        spec.n_features,
        spec.likelihood.output_activation,
        rng=rng,
        name="x_mean",
    )(hidden)
    if spec.one_hot_groups:
        output = GroupSoftmax(spec.one_hot_groups, name="group_softmax")(output)
    return keras.layers.Reshape(spec.input_shape)(output) if len(spec.input_shape) > 1 else output


def _hidden_layers(
    x: Any, sizes: tuple[int, ...], spec: NetworkSpec, rng: np.random.RandomState
) -> Any:
    for size in sizes:
        x = seeded(keras.layers.Dense, size, spec.activation, rng=rng)(x)
        x = dropped(x, spec, rng)
    return x
