"""The networks of the VAE: what they are made of, as plain data that needs no Keras to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vae_anomaly.losses import LIKELIHOODS, Likelihood


@dataclass(frozen=True)
class NetworkSpec:
    """What an encoder and a decoder are built from; equal specs mean equal graphs.

    Activation and dropout rate are the hidden layers'; the decoder mirrors the encoder.
    """

    n_features: int
    latent_dim: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    dropout: float
    reconstruction_loss: str

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood that `reconstruction_loss` names."""
        return LIKELIHOODS[self.reconstruction_loss]


class Weights(NamedTuple):
    """All trained numbers, in Keras's order, float32."""

    encoder: list[np.ndarray]
    decoder: list[np.ndarray]
    scale: np.ndarray
    """Scale of the likelihood, shape (n_features,)."""
