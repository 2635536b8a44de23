"""Layers whose initial weights and dropped units come from a given source of randomness."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
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
