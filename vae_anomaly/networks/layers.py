"""Layers of all networks: with a given source of randomness, and for one-hot groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.losses import Mixed
from vae_anomaly.networks import NetworkSpec


def seed(rng: np.random.RandomState) -> int:
    """Return a seed for one initializer or layer."""
    return int(rng.randint(np.iinfo(np.int32).max))


def seeded(layer: Any, *args: Any, rng: np.random.RandomState, **kwargs: Any) -> keras.layers.Layer:
    """Return a layer of Keras's class `layer` with a seeded Glorot-uniform kernel."""
    initializer = keras.initializers.GlorotUniform(seed(rng))
    return layer(*args, kernel_initializer=initializer, **kwargs)


def dropped(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Apply dropout at the rate of `spec`; a rate of zero adds no layer."""
    return keras.layers.Dropout(spec.dropout, seed=seed(rng))(x) if spec.dropout else x


@keras.saving.register_keras_serializable(package="vae_anomaly")
class GroupSoftmax(keras.layers.Layer):
    """Softmax over each one-hot group of columns; the other columns pass through.

    Parameters
    ----------
    groups : sequence of (int, int)
        First column and the one after the last of each group.
    **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(self, groups: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = tuple((first, stop) for first, stop in groups)

    def call(self, inputs: Any) -> Any:
        """Return the mean of x given z (n, p)."""
        return Mixed(self.groups, inputs.shape[-1]).mean(inputs, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "groups": self.groups}
