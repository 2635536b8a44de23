"""The specification of the networks, as plain data that does not need Keras."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vae_anomaly.losses import Likelihood, make_likelihood


class Architecture(NamedTuple):
    """The defaults and requirements of a kind of network."""

    axes: tuple[str, ...]
    """The input shapes that it takes, in words; if empty, any shape, flattened to features."""
    hidden_layer_sizes: tuple[int, ...]
    """The meaning of ``hidden_layer_sizes="auto"``."""
    activation: str
    """The meaning of ``activation="auto"``."""
    learning_rate: float
    """The meaning of ``learning_rate_init="auto"``."""
    needs_hidden_layers: bool = False


ARCHITECTURES = {
    "dense": Architecture((), (256, 128), "relu", 1e-3),
    "conv": Architecture(
        ("(timesteps, features)", "(height, width, channels)"), (32, 64), "relu", 3e-3
    ),
    "lstm": Architecture(("(timesteps, features)",), (64,), "tanh", 1e-3, needs_hidden_layers=True),
    "gru": Architecture(("(timesteps, features)",), (64,), "tanh", 1e-3, needs_hidden_layers=True),
}
"""The architectures by name; their layers are in `vae_anomaly.networks.build`."""


@dataclass(frozen=True)
class NetworkSpec:
    """The specification of an encoder and a decoder; equal specifications mean equal graphs.

    The activation and the dropout rate are those of the hidden layers, and the decoder mirrors the
    encoder. A custom network is given by its configuration in JSON and replaces the architecture's.
    """

    input_shape: tuple[int, ...]
    """The shape of one sample, the encoder's input and the decoder's output."""
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
    """The first column, and the one after the last, of each group; see `losses.Mixed`."""

    @property
    def n_features(self) -> int:
        """The number of values in one sample, which is one row of X."""
        return math.prod(self.input_shape)

    @property
    def is_grouped(self) -> np.ndarray:
        """Whether each feature belongs to a one-hot group, (n_features,)."""
        is_grouped = np.zeros(self.n_features, bool)
        for first, stop in self.one_hot_groups:
            is_grouped[first:stop] = True
        return is_grouped

    @property
    def variables(self) -> np.ndarray:
        """The index of the variable that each feature belongs to, (n_features,).

        The features of a one-hot group are one variable, and any other feature is one of its own.
        """
        starts = np.ones(self.n_features, int)
        for first, stop in self.one_hot_groups:
            starts[first + 1 : stop] = 0
        return np.cumsum(starts) - 1

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood named by `reconstruction_loss`, with the one-hot groups."""
        return make_likelihood(self.reconstruction_loss, self.one_hot_groups, self.n_features)

    @property
    def is_dense(self) -> bool:
        """Whether both networks are the dense ones, which NumPy can compute."""
        return self.architecture == "dense" and not (self.encoder_config or self.decoder_config)


class Weights(NamedTuple):
    """All trained parameters as float32 arrays, in Keras's order."""

    encoder: list[np.ndarray]
    decoder: list[np.ndarray]
    observation_log_var: np.ndarray
    """The log variance of each feature, (n_features,), see `losses.Likelihood`."""
