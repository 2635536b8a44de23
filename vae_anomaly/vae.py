"""VAE: a fitted variational autoencoder as one value, apart from how it was trained."""

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
    """A trained VAE: all that its scores, codes and reconstructions depend on.

    It holds arrays, numbers and strings, and knows no parameter of the estimator. Rows X are arrays
    or CSR matrices (n, n_features) in the units of the user.

    Parameters
    ----------
    spec : NetworkSpec
        The networks.
    scaling : Scaling
        From the user's units to those of the networks.
    weights : Weights
        What the networks have learned.
    noise : ndarray of shape (n_draws, latent_dim)
        The draws over which the score averages the reconstruction, the same for all rows; see
        `antithetic_noise`.
    beta : float
        Weight of the KL divergence in the score.
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
        """Return the reconstruction term and the KL divergence of every row, each (n,) float64."""
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
        """Return -(reconstruction + beta * KL) of every row, (n,) float64."""
        reconstruction, kl = self.terms(X)
        return -(reconstruction + self.beta * kl)

    def evidence(self, X: Any) -> float:
        """Return the mean evidence lower bound of the rows, in nats of standardised columns.

        It counts the KL divergence once whatever `beta`, and the likelihood with its normaliser.
        """
        reconstruction, kl = self.terms(X)
        normalizer = self.spec.likelihood.log_normalizer(self.weights.observation_log_var)
        return -float(np.mean(reconstruction + kl) + normalizer)

    def encode(self, X: Any) -> np.ndarray:
        """Return z_mean of every row, (n, latent_dim)."""
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
        """Return the mean of x given z for codes (n, latent_dim), (n, n_features)."""
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
        """Return the mean of x given z at z_mean for every row, (n, n_features)."""
        encode, decode = make_encode(self.spec, self.weights), make_decode(self.spec, self.weights)

        def rebuild(x: np.ndarray) -> tuple[np.ndarray]:
            z_mean, _ = encode(self.scaling.hide_constants(x))
            return (self.scaling.undo(decode(z_mean)),)

        X_mean = np.empty(X.shape, self._dtype_of_rows(X.dtype))
        map_tiles(rebuild, self._reader(X), (X_mean,), self.spec)
        return X_mean

    def keras_models(self) -> tuple[keras.Model, keras.Model, keras.Model]:
        """Return encoder, decoder and both end to end, which work in standardised units."""
        return self._keras_models

    @functools.cached_property
    def _keras_models(self) -> tuple[keras.Model, keras.Model, keras.Model]:
        from vae_anomaly.networks.build import build_models

        return build_models(self.spec, self.weights)

    def to_state(self) -> dict[str, Any]:
        """Return plain data, dictionaries of arrays, numbers and strings, to be stored."""
        return {
            "spec": dataclasses.asdict(self.spec),
            "scaling": dict(vars(self.scaling)),
            "weights": self.weights._asdict(),
            "noise": self.noise,
            "beta": self.beta,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> VAE:
        """Return the VAE that `to_state` has made plain data of."""
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
    """Return the table of noise that averages the score over draws, (n_draws, latent_dim).

    Draws come in pairs (eps, -eps), and the table is rescaled to unit second moment in every
    dimension: the average of any quadratic function of one latent dimension is exact. With one
    draw the table is plain noise; with none it is empty, and the score is the plug-in at z_mean.
    """
    noise = rng.standard_normal(((n_draws + 1) // 2, latent_dim))
    if n_draws > 1:
        noise = np.concatenate([noise, -noise])[:n_draws]
        noise -= noise.mean(axis=0)
        noise /= np.sqrt(np.mean(noise**2, axis=0))
    return noise.astype(np.float32)
