"""The layers that Keras does not have: sampling of codes, a bound, and softmax over groups.

Nothing but Keras is needed to import them, so a stored model can be loaded with any backend.
"""

from __future__ import annotations

from typing import Any

import keras

from vae_anomaly.losses import Mixed, bound_log_var, reparameterize


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
        noise = keras.random.normal(
            keras.ops.shape(z_mean), dtype=z_mean.dtype, seed=self.seed_generator
        )
        return reparameterize(z_mean, z_log_var, noise, keras.ops)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="vae_anomaly")
class BoundedLogVar(keras.layers.Layer):
    """Bound z_log_var smoothly, see `vae_anomaly.losses.bound_log_var`."""

    def call(self, inputs: Any) -> Any:
        """Return the bounded log variances (n, d)."""
        return bound_log_var(inputs, keras.ops)


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
