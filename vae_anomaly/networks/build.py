"""Keras models built from a specification; they work in the units of the loss."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from vae_anomaly.backend import check_usable, clear_kernel_cache, keras
from vae_anomaly.networks import conv, custom, dense, recurrent
from vae_anomaly.networks.custom_layers import BoundedLogVar, Sampling
from vae_anomaly.networks.layers import seeded
from vae_anomaly.networks.spec import NetworkSpec, Weights

_LAYERS: dict[str, ModuleType] = {
    "dense": dense,
    "conv": conv,
    "lstm": recurrent,
    "gru": recurrent,
}
"""The modules that hold the functions ``encode`` and ``decode`` of each architecture."""


def build_encoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model x (n, *input_shape) -> [z_mean, z_log_var], each (n, d).

    The encoder of a plain autoencoder returns z_mean alone.
    """
    x = keras.Input(spec.input_shape, dtype="float32", name="x")
    if spec.encoder_config is not None:
        outputs = keras.tree.flatten(custom.from_config(spec.encoder_config, rng)(x))
        if spec.variational:
            outputs[1] = BoundedLogVar(dtype="float32", name="z_log_var")(outputs[1])
        return keras.Model(x, outputs[: 2 if spec.variational else 1], name="encoder")
    hidden = _LAYERS[spec.architecture].encode(x, spec, rng)
    heads = ["z_mean", "z_log_var"] if spec.variational else ["z_mean"]
    # Both heads are followed by a layer, because Keras orders the weights by depth.
    bounds = {"z_mean": keras.layers.Identity, "z_log_var": BoundedLogVar}
    outputs = []
    for name in heads:
        head = seeded(keras.layers.Dense, spec.latent_dim, rng=rng, name=f"{name}_head")(hidden)
        outputs.append(bounds[name](dtype="float32", name=name)(head))
    return keras.Model(x, outputs, name="encoder")


def build_decoder(spec: NetworkSpec, rng: np.random.RandomState) -> keras.Model:
    """Return the model z (n, d) -> mean of x given z (n, *input_shape)."""
    z = keras.Input((spec.latent_dim,), dtype="float32", name="z")
    if spec.decoder_config is not None:
        x_mean = custom.from_config(spec.decoder_config, rng)(z)
    else:
        x_mean = _LAYERS[spec.architecture].decode(z, spec, rng)
    return keras.Model(z, x_mean, name="decoder")


def build_vae(encoder: keras.Model, decoder: keras.Model, seed: int | None = None) -> keras.Model:
    """Return the networks end to end: x (n, *input_shape) -> mean of x given z, same shape.

    z is drawn by a `Sampling` layer; a plain autoencoder has none, and z is z_mean.
    """
    if len(encoder.outputs) == 2:
        z = Sampling(seed, dtype="float32", name="sampling")(encoder.outputs)
    else:
        (z,) = encoder.outputs
    return keras.Model(encoder.input, decoder(z), name="vae")


def build_models(
    spec: NetworkSpec, weights: Weights
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Return the encoder, the decoder and both end to end, with trained weights."""
    check_usable()
    rng = np.random.RandomState(0)
    encoder, decoder = build_encoder(spec, rng), build_decoder(spec, rng)
    encoder.set_weights(weights.encoder)
    decoder.set_weights(weights.decoder)
    vae = build_vae(encoder, decoder)
    clear_kernel_cache()
    for model in (encoder, decoder, vae):
        # Keras can only export models that have been called.
        model(np.zeros((1, *model.input_shape[1:]), np.float32))
    return encoder, decoder, vae
