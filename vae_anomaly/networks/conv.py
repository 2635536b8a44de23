"""Convolutional networks: images (height, width, channels), sequences (timesteps, features)."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.networks import NetworkSpec
from vae_anomaly.networks.layers import dropped, seeded

KERNEL_SIZE = 3

_CONVOLUTION = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D}
_TRANSPOSE = {1: keras.layers.Conv1DTranspose, 2: keras.layers.Conv2DTranspose}
_CROPPING = {1: keras.layers.Cropping1D, 2: keras.layers.Cropping2D}


def encode(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the last feature maps, flattened; each layer halves height and width, rounding up."""
    convolution = _CONVOLUTION[len(spec.input_shape) - 1]
    for filters in spec.hidden_layer_sizes:
        x = seeded(
            convolution,
            filters,
            KERNEL_SIZE,
            strides=2,
            padding="same",
            activation=spec.activation,
            rng=rng,
        )(x)
        x = dropped(x, spec, rng)
    return keras.layers.Flatten()(x)


def decode(z: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Return the mean of x given z, (n, *input_shape): the encoder's sizes in reverse order."""
    *size, channels = spec.input_shape
    sizes = [np.array(size)]
    for _ in spec.hidden_layer_sizes:
        sizes.append(-(-sizes[-1] // 2))
    filters = [channels, *spec.hidden_layer_sizes]
    x = seeded(keras.layers.Dense, int(np.prod(sizes[-1])) * filters[-1], spec.activation, rng=rng)(
        z
    )
    x = keras.layers.Reshape((*sizes[-1].tolist(), filters[-1]))(x)
    for wanted, n_filters in zip(sizes[-2::-1], spec.hidden_layer_sizes[::-1], strict=True):
        x = seeded(
            _TRANSPOSE[len(size)],
            n_filters,
            KERNEL_SIZE,
            strides=2,
            padding="same",
            activation=spec.activation,
            rng=rng,
        )(x)
        # The encoder rounded up where the size is odd: a row or column too many.
        surplus = [(0, int(n)) for n in np.array(x.shape[1:-1]) - wanted]
        if any(n for _, n in surplus):
            x = _CROPPING[len(size)](surplus if len(size) > 1 else surplus[0])(x)
        x = dropped(x, spec, rng)
    return seeded(
        _CONVOLUTION[len(size)],
        channels,
        KERNEL_SIZE,
        padding="same",
        activation=spec.likelihood.output_activation,
        rng=rng,
        name="x_mean",
    )(x)
