"""VAE: a fitted variational autoencoder as one value, independent of how it was trained."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from vae_anomaly.calibration import Calibration
from vae_anomaly.checks import check_vae
from vae_anomaly.encoding import Encoding
from vae_anomaly.losses import loss_terms
from vae_anomaly.missing import filled_in
from vae_anomaly.networks.compute import make_decode, make_encode
from vae_anomaly.networks.spec import NetworkSpec, Weights
from vae_anomaly.rows import CHUNK_ROWS
from vae_anomaly.scaling import Scaling
from vae_anomaly.tiles import Read, map_tiles

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class VAE:
    """A trained VAE: everything that its scores, codes and reconstructions depend on.

    It consists of arrays, numbers and strings, and does not know the parameters of the estimator.
    In all methods X is an array or a CSR matrix of shape (n, n_columns), in the user's units, with
    NaN for missing cells and codes for categories (see `columns.Category`).

    Parameters
    ----------
    spec : NetworkSpec
        The specification of the networks.
    encoding : Encoding
        The columns of the networks for those of X.
    scaling : Scaling
        The map from the user's units to those of the networks.
    weights : Weights
        The trained weights.
    noise : ndarray of shape (n_draws, latent_dim)
        The draws over which the score averages the reconstruction, the same for all rows; see
        `antithetic_noise`.
    beta : float
        The weight of the KL divergence in the score.
    calibration : Calibration, default=None
        What is added to the reconstruction of rows with missing cells to make them comparable with
        others; nothing by default.
    """

    spec: NetworkSpec
    encoding: Encoding
    scaling: Scaling
    weights: Weights
    noise: np.ndarray
    beta: float
    calibration: Calibration | None = None

    def with_weights(self, weights: Weights) -> VAE:
        """Return the same VAE with other weights, which are yet to be calibrated."""
        return dataclasses.replace(self, weights=weights, calibration=None)

    def with_calibration(self, calibration: Calibration | None) -> VAE:
        """Return the same VAE with a calibration."""
        return dataclasses.replace(self, calibration=calibration)

    def terms(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the reconstruction term and the KL divergence of each row, (n,) float64 each."""
        networks, n_cells = _Networks(self), self.encoding.n_cell_features

        def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            reconstruction, kl, observed = networks.loss_terms(x)
            total, total_kl = reconstruction.sum(axis=-1), kl.sum(axis=-1)
            if self.calibration is not None and observed is not None:
                # The indicators stay as they are: they tell what is missing.
                cells = reconstruction[..., :n_cells].sum(axis=-1, dtype=np.float64)
                loss = cells + self.beta * total_kl.astype(np.float64)
                total = total + self.calibration.correction(loss, observed[..., :n_cells])
            return total, total_kl

        outputs = np.empty(X.shape[0]), np.empty(X.shape[0])
        map_tiles(terms, self._reader(X), outputs, self.spec, len(self.noise))
        return outputs

    def contributions(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the two terms by feature of the networks, (n, p), and by latent dimension, (n, d).

        The rows x (n, p) are those that `standardize` returns. Missing cells are NaN in the result.
        There is no calibration.
        """
        networks = _Networks(self)

        def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            reconstruction, kl, observed = networks.loss_terms(x)
            if observed is not None:
                reconstruction = np.where(observed, reconstruction, np.nan)
            return reconstruction, kl

        outputs = np.empty(x.shape), np.empty((len(x), self.spec.latent_dim))
        map_tiles(terms, lambda rows: x[rows], outputs, self.spec, len(self.noise))
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
        reconstruction, kl = dataclasses.replace(self, calibration=None).terms(X)
        normalizer = self.spec.likelihood.log_normalizer(self.weights.observation_log_var)
        total = float(np.mean(reconstruction + kl))
        return -(total + float(self._n_observed(X) / X.shape[0] @ normalizer))

    def encode(self, X: Any) -> np.ndarray:
        """Return z_mean of each row, (n, latent_dim)."""
        networks = _Networks(self)
        z_mean = np.empty((X.shape[0], self.spec.latent_dim), X.dtype)
        map_tiles(networks.z_mean, self._reader(X), (z_mean,), self.spec)
        return z_mean

    def decode(self, Z: np.ndarray) -> np.ndarray:
        """Return the mean of x given z, (n, n_columns), for codes Z (n, latent_dim)."""
        decode = make_decode(self.spec, self.weights)
        X_mean = np.empty((len(Z), self.spec.n_features), self._dtype_of_rows(Z.dtype))
        map_tiles(
            lambda z: (self.scaling.undo(decode(z)),),
            lambda rows: Z[rows].astype(np.float32),
            (X_mean,),
            self.spec,
        )
        return self.encoding.collapse(X_mean)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return the mean of x given z at z_mean for each row, (n, n_columns)."""
        networks = _Networks(self)
        shape = X.shape[0], self.spec.n_features
        X_mean = np.empty(shape, self._dtype_of_rows(X.dtype))
        map_tiles(
            lambda x: (self.scaling.undo(networks.decode(*networks.z_mean(x))),),
            self._reader(X),
            (X_mean,),
            self.spec,
        )
        return self.encoding.collapse(X_mean)

    @functools.cached_property
    def keras_models(self) -> tuple[keras.Model, keras.Model, keras.Model]:
        """The encoder, the decoder and both end to end, which work in standardised units."""
        from vae_anomaly.networks.build import build_models

        return build_models(self.spec, self.weights)

    def to_state(self) -> dict[str, Any]:
        """Return the VAE as plain data for storage: dictionaries of arrays, numbers and strings."""
        return {
            "spec": dataclasses.asdict(self.spec),
            "encoding": dataclasses.asdict(self.encoding),
            "scaling": dict(vars(self.scaling)),
            "weights": self.weights._asdict(),
            "noise": self.noise,
            "beta": self.beta,
            "calibration": None if self.calibration is None else dict(vars(self.calibration)),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> VAE:
        """Return the VAE from what `to_state` has returned; ValueError if it is not valid."""
        calibration = state["calibration"]
        vae = cls(
            NetworkSpec(**state["spec"]),
            Encoding(**state["encoding"]),
            Scaling(**state["scaling"]),
            Weights(**state["weights"]),
            state["noise"],
            state["beta"],
            None if calibration is None else Calibration(**calibration),
        )
        check_vae(vae)
        return vae

    def standardize(self, X: Any) -> np.ndarray:
        """Return rows as the networks take them, (n, n_features) float32, NaN where missing.

        All cells of a one-hot group are missing if one is.
        """
        x = self.scaling.apply(self.encoding.expand(X))
        for first, stop in self.spec.one_hot_groups:
            x[np.isnan(x[:, first:stop]).any(axis=1), first:stop] = np.nan
        return x

    def _n_observed(self, X: Any) -> np.ndarray:
        """Return the number of rows in which each feature is observed, (n_features,)."""
        return sum(
            (~np.isnan(self.standardize(X[rows]))).sum(axis=0)
            for rows in gen_batches(X.shape[0], CHUNK_ROWS)
        )

    def _reader(self, X: Any) -> Read:
        return lambda rows: self.standardize(X[rows])

    def _dtype_of_rows(self, dtype: np.dtype) -> np.dtype:
        return dtype if self.scaling.fits_float32() else np.dtype(np.float64)


class _Networks:
    """The networks of a VAE as functions of blocks of rows in their units, NaN where missing."""

    def __init__(self, vae: VAE) -> None:
        self._vae = vae
        self._encode = make_encode(vae.spec, vae.weights)
        self.decode = make_decode(vae.spec, vae.weights)

    def loss_terms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the terms of `losses.loss_terms`, and which cells are observed (None: all)."""
        vae = self._vae
        x, x_input, observed = self._prepared(x)
        reconstruction, kl = loss_terms(
            x,
            x_input,
            self._encode,
            self.decode,
            vae.noise[:, None, None, :],
            vae.spec.likelihood,
            vae.weights.observation_log_var,
            np,
            observed,
        )
        return reconstruction, kl, observed

    def z_mean(self, x: np.ndarray) -> tuple[np.ndarray]:
        """Return z_mean (..., d) of rows (..., p), as a tuple of one."""
        _, x_input, _ = self._prepared(x)
        return self._encode(x_input)[:1]

    def _prepared(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return rows without NaN, the encoder's input, and which cells are observed."""
        observed = None
        if np.isnan(x).any():
            observed = ~np.isnan(x)
            x = np.where(observed, x, np.float32(0))
        x_input = self._vae.scaling.hide_constants(x)
        if observed is None:
            return x, x_input, None
        return x, filled_in(x_input, observed, self._encode, self.decode, np), observed


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
