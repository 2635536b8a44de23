"""Layers that Keras does not have: sampling of codes, a bound, and a softmax over groups.

Importing them requires only Keras, so that a stored model can be loaded with any backend.
"""

from __future__ import annotations

from typing import Any

import keras

from vae_anomaly.losses import LIKELIHOODS, Mixed, bound_log_var, reparameterize


@keras.saving.register_keras_serializable(package="vae_anomaly")
class Sampling(keras.layers.Layer):
    """Draw z = z_mean + exp(z_log_var / 2) * eps with eps ~ N(0, I).

    Parameters
    ----------
    seed : int or None, default=None
        Seeds the layer's own generator. Each call returns new draws.
    **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Return one draw (n, d) from (z_mean, z_log_var), each (n, d)."""
        z_mean, z_log_var = inputs
        noise = keras.random.normal(
            keras.ops.shape(z_mean), dtype=z_mean.dtype, seed=self.seed_generator
        )
        return reparameterize(z_mean, z_log_var, noise, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which the layer can be rebuilt."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="vae_anomaly")
class BoundedLogVar(keras.layers.Layer):
    """A smooth bound on z_log_var, see `vae_anomaly.losses.bound_log_var`."""

    def call(self, inputs: Any) -> Any:
        """Return the bounded log variances (n, d)."""
        return bound_log_var(inputs, keras.ops)


@keras.saving.register_keras_serializable(package="vae_anomaly")
class GroupSoftmax(keras.layers.Layer):
    """A softmax over each group of columns, and for the others the activation of their likelihood.

    Parameters
    ----------
    groups : sequence of (int, int)
        The first column, and the one after the last, of each group.
    reconstruction_loss : str, default="mse"
        The likelihood of the other columns.
    **kwargs
        Passed to `keras.layers.Layer`.
    """

    def __init__(self, groups: Any, reconstruction_loss: str = "mse", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = tuple((first, stop) for first, stop in groups)
        self.reconstruction_loss = reconstruction_loss

    def call(self, inputs: Any) -> Any:
        """Return the mean of x given z, (n, p)."""
        numbers = LIKELIHOODS[self.reconstruction_loss]
        return Mixed(self.groups, inputs.shape[-1], numbers).mean(inputs, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which the layer can be rebuilt."""
        config = {"groups": self.groups, "reconstruction_loss": self.reconstruction_loss}
        return {**super().get_config(), **config}
