"""Dense networks: a sample is one row of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.networks.custom_layers import GroupSoftmax
from vae_anomaly.networks.layers import apply_dropout, flatten, seeded
from vae_anomaly.networks.spec import NetworkSpec


def encode(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the last hidden layer of the encoder, (n, units)."""
    if len(spec.input_shape) > 1:
        x = flatten(x)
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
        output = GroupSoftmax(
            spec.one_hot_groups, spec.reconstruction_loss, dtype="float32", name="group_softmax"
        )(output)
    if len(spec.input_shape) > 1:
        output = keras.layers.Reshape(spec.input_shape, dtype="float32")(output)
    return output


def _hidden_layers(
    x: Any, sizes: tuple[int, ...], spec: NetworkSpec, rng: np.random.RandomState
) -> Any:
    for size in sizes:
        x = seeded(keras.layers.Dense, size, spec.activation, rng=rng)(x)
        x = apply_dropout(x, spec, rng)
    return x
