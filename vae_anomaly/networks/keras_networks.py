"""From a specification to Keras models, in the units that the loss is computed in."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from vae_anomaly.backend import keras
from vae_anomaly.losses import bound_log_var
from vae_anomaly.networks import NetworkSpec, conv, custom, dense, recurrent
from vae_anomaly.networks.layers import seeded
from vae_anomaly.networks.sampling import Sampling

_LAYERS: dict[str, ModuleType] = {
    "dense": dense,
    "conv": conv,
    "lstm": recurrent,
    "gru": recurrent,
}
"""Where the functions ``encode`` and ``decode`` of an architecture are."""


@keras.saving.register_keras_serializable(package="vae_anomaly")
def bounded(x: Any) -> Any:
    """Activation of the z_log_var head."""
    return bound_log_var(x, keras.ops)


def build_encoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model x (n, *input_shape) -> [z_mean, z_log_var], each (n, d).

    A plain autoencoder's has z_mean alone.
    """
    x = keras.Input(spec.input_shape, name="x")
    if spec.encoder_config is not None:
        outputs = keras.tree.flatten(custom.from_config(spec.encoder_config, rng)(x))
        if spec.variational:
            outputs[1] = keras.layers.Activation(bounded, name="z_log_var")(outputs[1])
        return keras.Model(x, outputs[: 2 if spec.variational else 1], name="encoder")
    hidden = _LAYERS[spec.architecture].encode(x, spec, rng)
    outputs = [seeded(keras.layers.Dense, spec.latent_dim, rng=rng, name="z_mean")(hidden)]
    if spec.variational:
        head = seeded(keras.layers.Dense, spec.latent_dim, bounded, rng=rng, name="z_log_var")
        outputs.append(head(hidden))
    return keras.Model(x, outputs, name="encoder")


def build_decoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model z (n, d) -> mean of x given z (n, *input_shape)."""
    z = keras.Input((spec.latent_dim,), name="z")
    if spec.decoder_config is not None:
        x_mean = custom.from_config(spec.decoder_config, rng)(z)
    else:
        x_mean = _LAYERS[spec.architecture].decode(z, spec, rng)
    return keras.Model(z, x_mean, name="decoder")


def build_vae(encoder: keras.Model, decoder: keras.Model, seed: int | None = None) -> keras.Model:
    """Return the networks end to end: x (n, *input_shape) -> mean of x given z, same shape.

    z is a draw by a `Sampling` layer; a plain autoencoder has none, and takes z at z_mean.
    """
    if len(encoder.outputs) == 2:
        z = Sampling(seed, name="sampling")(encoder.outputs)
    else:
        (z,) = encoder.outputs
    return keras.Model(encoder.input, decoder(z), name="vae")
