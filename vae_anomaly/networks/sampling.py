"""The Sampling layer: draws a latent code by the reparameterisation trick."""

from __future__ import annotations

from typing import Any

from vae_anomaly.backend import keras
from vae_anomaly.losses import reparameterize


@keras.saving.register_keras_serializable(package="vae_anomaly")
class Sampling(keras.layers.Layer):
    """Draw z = z_mean + exp(z_log_var / 2) * eps with eps ~ N(0, I).

    Parameters
    ----------
    seed : int or None
        Seeds the layer's own generator; every call draws anew.
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
        noise = keras.random.normal(keras.ops.shape(z_mean), seed=self.seed_generator)
        return reparameterize(z_mean, z_log_var, noise, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "seed": self.seed}
