"""The layers that all networks are built from.

Their dtype and data format are set explicitly, so that they do not depend on the user's Keras
configuration.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.networks.spec import NetworkSpec


def seed(rng: np.random.RandomState) -> int:
    """Return a seed for one initializer or layer."""
    return int(rng.randint(np.iinfo(np.int32).max))


def seeded(layer: Any, *args: Any, rng: np.random.RandomState, **kwargs: Any) -> keras.layers.Layer:
    """Return a float32 layer of the Keras class `layer` with a seeded Glorot-uniform kernel."""
    initializer = keras.initializers.GlorotUniform(seed(rng))
    return layer(*args, kernel_initializer=initializer, dtype="float32", **kwargs)


def flatten(x: Any) -> Any:
    """Return samples (n, *shape) as rows (n, p)."""
    return keras.layers.Flatten(data_format="channels_last", dtype="float32")(x)


def apply_dropout(x: Any, spec: NetworkSpec, rng: np.random.RandomState) -> Any:
    """Apply dropout at the rate of `spec`; no layer is added if the rate is zero."""
    if not spec.dropout:
        return x
    return keras.layers.Dropout(spec.dropout, seed=seed(rng), dtype="float32")(x)
