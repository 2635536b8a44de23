"""What the networks are made of, as plain data that needs no Keras to read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vae_anomaly.losses import Likelihood, make_likelihood


class Architecture(NamedTuple):
    """What distinguishes a kind of network, besides its layers."""

    axes: tuple[str, ...]
    """Input shapes that it takes, in words; none: any shape, and X is one row of features."""
    hidden_layer_sizes: tuple[int, ...]
    """What ``hidden_layer_sizes="auto"`` means."""
    activation: str
    """What ``activation="auto"`` means."""
    learning_rate: float
    """What ``learning_rate_init="auto"`` means."""
    needs_hidden_layers: bool = False


ARCHITECTURES = {
    "dense": Architecture((), (256, 128), "relu", 1e-3),
    "conv": Architecture(
        ("(timesteps, features)", "(height, width, channels)"), (32, 64), "relu", 3e-3
    ),
    "lstm": Architecture(("(timesteps, features)",), (64,), "tanh", 1e-3, needs_hidden_layers=True),
    "gru": Architecture(("(timesteps, features)",), (64,), "tanh", 1e-3, needs_hidden_layers=True),
}
"""The architectures by name; `vae_anomaly.networks.build` knows their layers."""


@dataclass(frozen=True)
class NetworkSpec:
    """What an encoder and a decoder are built from; equal specs mean equal graphs.

    The activation and the dropout rate are those of the hidden layers, and the decoder mirrors the
    encoder. A custom network comes as its configuration in JSON and takes the place of the
    architecture's.
    """

    input_shape: tuple[int, ...]
    """Shape of one sample, as the encoder takes it and the decoder returns it."""
    latent_dim: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    reconstruction_loss: str
    architecture: str = "dense"
    variational: bool = True
    encoder_config: str | None = None
    decoder_config: str | None = None
    one_hot_groups: tuple[tuple[int, int], ...] = ()
    """First column and the one after the last of each group, see `vae_anomaly.losses.Mixed`."""

    @property
    def n_features(self) -> int:
        """Numbers in one sample, which is one row of X."""
        return math.prod(self.input_shape)

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood that `reconstruction_loss` names."""
        return make_likelihood(self.reconstruction_loss, self.one_hot_groups, self.n_features)

    @property
    def is_dense(self) -> bool:
        """Whether both networks are the dense ones, which NumPy can compute."""
        return self.architecture == "dense" and not (self.encoder_config or self.decoder_config)


class Weights(NamedTuple):
    """All trained numbers, in Keras's order, float32."""

    encoder: list[np.ndarray]
    decoder: list[np.ndarray]
    observation_log_var: np.ndarray
    """Log variance of the likelihood by feature, (n_features,), see `losses.Likelihood`."""
