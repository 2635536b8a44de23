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
from vae_anomaly.sklearn_private import get_chunk_n_rows
from vae_anomaly.tiles import Read, map_tiles

if TYPE_CHECKING:
    import keras

Array = Any  # a numpy array or a value in an ONNX graph, depending on `xp`


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
    calibration : Calibration or None, default=None
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
        networks = _Networks(self)
        outputs = np.empty(X.shape[0]), np.empty(X.shape[0])
        map_tiles(
            lambda x: self.totals(*networks.loss_terms(x)),
            self._reader(X),
            outputs,
            self.spec,
            len(self.noise),
        )
        return outputs

    def totals(
        self, reconstruction: Array, kl: Array, observed: Array | None, xp: Any = np
    ) -> tuple[Array, Array]:
        """Return the two terms of rows (...), calibrated, float64, of what `loss_terms` returns.

        The array namespace `xp` is `numpy` or that of an ONNX graph.
        """
        total = reconstruction.sum(axis=-1).astype(np.float64)
        total_kl = kl.sum(axis=-1).astype(np.float64)
        if self.calibration is not None and observed is not None:
            n_cells = self.encoding.n_cell_features
            # The indicators stay as they are: they tell what is missing.
            cells = reconstruction[..., :n_cells].sum(axis=-1, dtype=np.float64)
            loss = cells + self.beta * total_kl
            total = total + self.calibration.correction(loss, observed[..., :n_cells], xp)
        return total, total_kl

    def contributions(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return what each column and each latent dimension add to the opposite of the score.

        A category is one column, and a missing indicator belongs to its column.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n, n_columns)
            The rows.

        Returns
        -------
        columns : ndarray of shape (n, n_columns)
            The reconstruction of each column, in nats, as the score has it: averaged over the
            draws, and calibrated in rows with missing cells.
        code : ndarray of shape (n, latent_dim)
            `beta` times the KL divergence of each latent dimension. All contributions of a row sum
            to the opposite of its score, to the precision of float64.
        """
        networks, n_cells = _Networks(self), self.encoding.n_cell_features

        def contributions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            reconstruction, kl, observed = networks.loss_terms(x)
            total, total_kl = self.totals(reconstruction, kl, observed)
            features = reconstruction.astype(np.float64)
            code = self.beta * kl.astype(np.float64)
            if self.calibration is not None and observed is not None:
                features[..., :n_cells], code = self.calibration.shares(
                    features[..., :n_cells], code, observed[..., :n_cells]
                )
            # The score is a sum in float32. Its rounding error goes to the largest term.
            exact = features.sum(axis=-1) + code.sum(axis=-1)
            rounding = total + self.beta * total_kl - exact
            largest = np.abs(features).argmax(axis=-1)[..., None]
            at_largest = np.take_along_axis(features, largest, axis=-1)
            np.put_along_axis(features, largest, at_largest + rounding[..., None], axis=-1)
            return self.encoding.fold(features), code

        outputs = np.empty(X.shape), np.empty((X.shape[0], self.spec.latent_dim))
        map_tiles(contributions, self._reader(X), outputs, self.spec, len(self.noise))
        return outputs

    def hide(
        self, X: Any, variables: np.ndarray, already: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score rows with one variable hidden at a time, and fill in what was hidden.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n, n_columns)
            The rows.
        variables : ndarray of int of shape (n_columns,)
            The number of the variable that each column of X belongs to, from 0. Columns of one
            one-hot group must belong to one variable.
        already : ndarray of shape (n, n_variables), dtype bool, or None, default=None
            The variables of each row that are hidden all the time; by default none.

        Returns
        -------
        scores : ndarray of shape (n, n_variables)
            The score of each row without each variable.
        expected : ndarray of shape (n, n_columns)
            What the decoder expects in each column if its variable is hidden, in the units of X.
        """
        networks = _Networks(self)
        n_variables = int(variables.max()) + 1
        hidden = np.arange(n_variables)[:, None] == variables[self.encoding.column_of]
        n_rows, n_features = X.shape[0], self.spec.n_features
        scores = np.empty((n_rows, n_variables))
        expected = np.empty((n_rows, n_features))
        chunk_rows = get_chunk_n_rows(2 * n_variables * n_features * expected.itemsize)
        for rows in gen_batches(n_rows, chunk_rows):
            x = self.standardize(X[rows])
            if already is not None:
                of_features = already[rows][:, variables[self.encoding.column_of]]
                x = np.where(of_features, np.float32(np.nan), x)

            def read(pairs: slice, x: np.ndarray = x) -> np.ndarray:
                row, variable = np.divmod(np.arange(pairs.start, pairs.stop), n_variables)
                return np.where(hidden[variable], np.float32(np.nan), x[row])

            def score(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                prepared = networks.prepared(x)
                total, kl = self.totals(*networks.terms_of(*prepared))
                return -(total + self.beta * kl), prepared[1]

            n_pairs = len(x) * n_variables
            outputs = np.empty(n_pairs), np.empty((n_pairs, n_features), np.float32)
            map_tiles(score, read, outputs, self.spec, len(self.noise))
            scores[rows] = outputs[0].reshape(len(x), n_variables)
            filled = self.scaling.undo(outputs[1]).reshape(len(x), n_variables, n_features)
            variable, feature = np.nonzero(hidden)
            expected[rows.start : rows.stop, feature] = filled[:, variable, feature]
        return scores, self.encoding.collapse(expected)

    def feature_terms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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

    def fill_in(self, X: Any, hidden: np.ndarray) -> np.ndarray:
        """Return rows with what the decoder expects in hidden columns, given all others.

        Parameters
        ----------
        X : ndarray of shape (n, n_columns)
            The rows.
        hidden : ndarray of shape (n, n_columns), dtype bool
            The cells that are hidden. Columns of one one-hot group must be hidden together.
        """
        networks = _Networks(self)

        def read(rows: slice) -> np.ndarray:
            of_features = hidden[rows][:, self.encoding.column_of]
            return np.where(of_features, np.float32(np.nan), self.standardize(X[rows]))

        x = np.empty((len(X), self.spec.n_features), np.float32)
        map_tiles(lambda x: (networks.prepared(x)[1],), read, (x,), self.spec)
        return np.where(hidden, self.encoding.collapse(self.scaling.undo(x)), X)

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
        return self.terms_of(*self.prepared(x))

    def terms_of(
        self, x: np.ndarray, x_input: np.ndarray, observed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what `loss_terms` does, for what `prepared` has returned."""
        vae = self._vae
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
        _, x_input, _ = self.prepared(x)
        return self._encode(x_input)[:1]

    def prepared(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
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
