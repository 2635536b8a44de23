"""The trained networks as functions on arrays: dense ones in numpy, the others by TensorFlow."""

from __future__ import annotations

from types import ModuleType

from vae_anomaly.networks import NetworkSpec, Weights, dense_numpy
from vae_anomaly.networks.dense_numpy import Decode, Encode


def lanes(spec: NetworkSpec, n_rows: int) -> int:
    """Return the number of rows of a block, besides the idle ones, to compute `n_rows` rows."""
    return _module(spec).lanes(spec, n_rows)


def make_encode(spec: NetworkSpec, weights: Weights) -> Encode:
    """Return x (..., n, p) -> z_mean and z_log_var, each (..., n, d), float32.

    A plain autoencoder has None for z_log_var.
    """
    return _module(spec).make_encode(spec, weights)


def make_decode(spec: NetworkSpec, weights: Weights) -> Decode:
    """Return z (..., n, d) -> mean of x given z (..., n, p), float32."""
    return _module(spec).make_decode(spec, weights)


def _module(spec: NetworkSpec) -> ModuleType:
    if spec.is_dense:
        return dense_numpy
    from vae_anomaly.networks import functions

    return functions
