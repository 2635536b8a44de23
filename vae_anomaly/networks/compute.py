"""The trained networks as functions of blocks of rows, for scoring.

Dense networks are evaluated by NumPy, so that a process that only scores never imports TensorFlow;
the others are evaluated by TensorFlow.
"""

from __future__ import annotations

from types import ModuleType

from vae_anomaly.networks import dense_numpy
from vae_anomaly.networks.dense_numpy import Decode, Encode
from vae_anomaly.networks.spec import NetworkSpec, Weights


def block_rows(spec: NetworkSpec, n_rows: int) -> int:
    """Return the number of rows per block, without the idle ones, for `n_rows` rows in total."""
    return _backend(spec).block_rows(spec, n_rows)


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return the function x (..., n, p) -> z_mean, z_log_var, each (..., n, d), float32.

    For a plain autoencoder z_log_var is None.
    """
    return _backend(spec).make_encode(spec, weights)


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return the function z (..., n, d) -> mean of x given z (..., n, p), float32."""
    return _backend(spec).make_decode(spec, weights)


def _backend(spec: NetworkSpec) -> ModuleType:
    if spec.is_dense:
        return dense_numpy
    from vae_anomaly.networks import keras_networks

    return keras_networks
