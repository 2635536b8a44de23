"""Dense encoder and decoder as Keras models, in the units that the loss is computed in."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.losses import bound_log_var
from vae_anomaly.networks import NetworkSpec
from vae_anomaly.networks.sampling import Sampling


@keras.saving.register_keras_serializable(package="vae_anomaly")
def bounded(x: Any) -> Any:
    """Activation of the z_log_var head."""
    return bound_log_var(x, keras.ops)


def build_encoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model x (n, p) -> [z_mean, z_log_var], each (n, d)."""
    x = keras.Input((spec.n_features,), name="x")
    hidden = _hidden_layers(x, spec.hidden_layer_sizes, spec, rng)
    z_mean = _dense(spec.latent_dim, "linear", rng, name="z_mean")(hidden)
    z_log_var = _dense(spec.latent_dim, bounded, rng, name="z_log_var")(hidden)
    return keras.Model(x, [z_mean, z_log_var], name="encoder")


def build_decoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model z (n, d) -> mean of x given z (n, p)."""
    z = keras.Input((spec.latent_dim,), name="z")
    hidden = _hidden_layers(z, spec.hidden_layer_sizes[::-1], spec, rng)
    x_mean = _dense(spec.n_features, spec.likelihood.output_activation, rng, name="x_mean")(hidden)
    return keras.Model(z, x_mean, name="decoder")


def build_vae(encoder: keras.Model, decoder: keras.Model, seed: int | None = None) -> keras.Model:
    """Return encoder, Sampling layer and decoder end to end: x (n, p) -> a draw's mean (n, p)."""
    z = Sampling(seed, name="sampling")(encoder.outputs)
    return keras.Model(encoder.input, decoder(z), name="vae")


def _hidden_layers(
    x: Any, sizes: tuple[int, ...], spec: NetworkSpec, rng: np.random.RandomState
) -> Any:
    for size in sizes:
        x = _dense(size, spec.activation, rng)(x)
        if spec.dropout:
            x = keras.layers.Dropout(spec.dropout, seed=_seed(rng))(x)
    return x


def _dense(
    units: int, activation: Any, rng: np.random.RandomState, name: str | None = None
) -> keras.layers.Dense:
    initializer = keras.initializers.GlorotUniform(_seed(rng))
    return keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name)


def _seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(np.iinfo(np.int32).max))
