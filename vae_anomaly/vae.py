"""VAE: a fitted variational autoencoder as one value, independent of how it was trained."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.losses import loss_terms
from vae_anomaly.networks.compute import make_decode, make_encode
from vae_anomaly.networks.spec import NetworkSpec, Weights
from vae_anomaly.scaling import Scaling
from vae_anomaly.tiles import Read, map_tiles

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class VAE:
    """A trained VAE: everything that its scores, codes and reconstructions depend on.

    It consists of arrays, numbers and strings, and does not know the parameters of the estimator.
    In all methods X is an array or a CSR matrix of shape (n, n_features), in the user's units.

    Parameters
    ----------
    spec : NetworkSpec
        The specification of the networks.
    scaling : Scaling
        The map from the user's units to those of the networks.
    weights : Weights
        The trained weights.
    noise : ndarray of shape (n_draws, latent_dim)
        The draws over which the score averages the reconstruction, the same for all rows; see
        `antithetic_noise`.
    beta : float
        The weight of the KL divergence in the score.
    """

    spec: NetworkSpec
    scaling: Scaling
    weights: Weights
    noise: np.ndarray
    beta: float

    def with_weights(self, weights: Weights) -> VAE:
        """Return the same VAE with other weights."""
        return dataclasses.replace(self, weights=weights)

    def terms(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the reconstruction term and the KL divergence of each row, (n,) float64 each."""
        encode, decode = make_encode(self.spec, self.weights), make_decode(self.spec, self.weights)
        noise = self.noise[:, None, None, :]

        def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            reconstruction, kl = loss_terms(
                x,
                self.scaling.hide_constants(x),
                encode,
                decode,
                noise,
                self.spec.likelihood,
                self.weights.observation_log_var,
                np,
            )
            return reconstruction.sum(axis=-1), kl.sum(axis=-1)

        outputs = np.empty(X.shape[0]), np.empty(X.shape[0])
        map_tiles(terms, self._reader(X), outputs, self.spec, len(self.noise))
        return outputs

    def score(self, X: Any) -> np.ndarray:
        """Return -(reconstruction + beta * KL) of each row, (n,) float64."""
        reconstruction, kl = self.terms(X)
        return -(reconstruction + self.beta * kl)

    def evidence(self, X: Any) -> float:
        """Return the mean evidence lower bound of the rows, in nats of standardised columns.

        The KL divergence is counted once whatever `beta`, and the likelihood includes its
        normalising constant.
        """
        reconstruction, kl = self.terms(X)
        normalizer = self.spec.likelihood.log_normalizer(self.weights.observation_log_var)
        return -float(np.mean(reconstruction + kl) + normalizer)

    def encode(self, X: Any) -> np.ndarray:
        """Return z_mean of each row, (n, latent_dim)."""
        encode = make_encode(self.spec, self.weights)
        z_mean = np.empty((X.shape[0], self.spec.latent_dim), X.dtype)
        map_tiles(
            lambda x: encode(self.scaling.hide_constants(x))[:1],
            self._reader(X),
            (z_mean,),
            self.spec,
        )
        return z_mean

    def decode(self, Z: np.ndarray) -> np.ndarray:
        """Return the mean of x given z, (n, n_features), for codes Z (n, latent_dim)."""
        decode = make_decode(self.spec, self.weights)
        X_mean = np.empty((len(Z), self.spec.n_features), self._dtype_of_rows(Z.dtype))
        map_tiles(
            lambda z: (self.scaling.undo(decode(z)),),
            lambda rows: Z[rows].astype(np.float32),
            (X_mean,),
            self.spec,
        )
        return X_mean

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return the mean of x given z at z_mean for each row, (n, n_features)."""
        encode, decode = make_encode(self.spec, self.weights), make_decode(self.spec, self.weights)

        def rebuild(x: np.ndarray) -> tuple[np.ndarray]:
            z_mean, _ = encode(self.scaling.hide_constants(x))
            return (self.scaling.undo(decode(z_mean)),)

        X_mean = np.empty(X.shape, self._dtype_of_rows(X.dtype))
        map_tiles(rebuild, self._reader(X), (X_mean,), self.spec)
        return X_mean

    @functools.cached_property
    def keras_models(self) -> tuple[keras.Model, keras.Model, keras.Model]:
        """The encoder, the decoder and both end to end, which work in standardised units."""
        from vae_anomaly.networks.build import build_models

        return build_models(self.spec, self.weights)

    def to_state(self) -> dict[str, Any]:
        """Return the VAE as plain data for storage: dictionaries of arrays, numbers and strings."""
        return {
            "spec": dataclasses.asdict(self.spec),
            "scaling": dict(vars(self.scaling)),
            "weights": self.weights._asdict(),
            "noise": self.noise,
            "beta": self.beta,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> VAE:
        """Return the VAE from what `to_state` has returned."""
        return cls(
            NetworkSpec(**state["spec"]),
            Scaling(**state["scaling"]),
            Weights(**state["weights"]),
            state["noise"],
            state["beta"],
        )

    def _reader(self, X: Any) -> Read:
        return lambda rows: self.scaling.apply(X[rows])

    def _dtype_of_rows(self, dtype: np.dtype) -> np.dtype:
        return dtype if self.scaling.fits_float32() else np.dtype(np.float64)


def antithetic_noise(n_draws: int, latent_dim: int, rng: np.random.RandomState) -> np.ndarray:
    """Return the noise of the draws that the score averages over, (n_draws, latent_dim).

    The draws come in pairs (eps, -eps) and are rescaled to unit second moment in each dimension, so
    that the average of any quadratic function of one latent dimension is exact. A single draw is
    plain noise. Without draws the table is empty, and z is z_mean.
    """
    noise = rng.standard_normal(((n_draws + 1) // 2, latent_dim))
    if n_draws > 1:
        noise = np.concatenate([noise, -noise])[:n_draws]
        noise -= noise.mean(axis=0)
        noise /= np.sqrt(np.mean(noise**2, axis=0))
    return noise.astype(np.float32)
