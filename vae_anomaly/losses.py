"""The two terms of the loss: the reconstruction likelihoods and the KL divergence.

Training and scoring both call `loss_terms`, so the loss is defined only once. They differ in the
array namespace ``xp`` that they pass: `keras.ops` inside the compiled training step and `numpy`
for scoring. The networks are defined elsewhere and are passed in as plain functions.

In the shapes below, ``p`` is the number of features, ``d`` the number of latent dimensions and
``n`` the number of rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Array = Any  # a numpy array or a TensorFlow tensor, depending on `xp`

LOG_VAR_BOUND = 10.0
"""Bound on |z_log_var|: posterior standard deviations lie between exp(-5) and exp(5)."""

MIN_VARIANCE = 1e-4
"""Lower bound of a learned observation variance, in squared standardised units."""

LOGIT_BOUND = 15.0
"""Bound on the logits of categories: no probability is less than exp(-30) times another."""

_PROBABILITY_MARGIN = 1e-7


def bound_log_var(x: Array, xp: Any) -> Array:
    """Squash x to (-LOG_VAR_BOUND, LOG_VAR_BOUND); close to zero this is nearly the identity."""
    return LOG_VAR_BOUND * xp.tanh(x / LOG_VAR_BOUND)


def reparameterize(z_mean: Array, z_log_var: Array, noise: Array, xp: Any) -> Array:
    """Draw z = z_mean + exp(z_log_var / 2) * noise (Kingma & Welling 2014, section 2.4)."""
    return z_mean + xp.exp(0.5 * z_log_var) * noise


def kl_divergence(z_mean: Array, z_log_var: Array, xp: Any) -> Array:
    """Return KL(N(z_mean, exp(z_log_var)) || N(0, 1)) for each latent dimension, in nats.

    It is -0.5 * (1 + log_var - mean^2 - exp(log_var)) (Kingma & Welling 2014, appendix B).
    """
    return -0.5 * (1.0 + z_log_var - xp.square(z_mean) - xp.exp(z_log_var))


class Likelihood(Protocol):
    """The likelihood of the data given the decoder's output, a class per ``reconstruction_loss``.

    `log_var` holds one log variance per feature. The decoder's output is the mean of x given z.
    """

    standardized: bool
    """Whether the networks work on standardised columns; if not, the data must lie in [0, 1]."""
    output_activation: str
    """The activation of the decoder's last layer."""
    learns_variance: bool
    """Whether `log_var` is trained together with the networks."""

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return the initial value of `log_var`, of shape (p,)."""
        ...

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return -log p(x | z) per feature, in nats, up to a constant.

        Terms that depend neither on the row nor on a trained parameter are left out, see
        `log_normalizer`. For "mse" and "binary_crossentropy" the result is thus never negative.
        """
        ...

    def log_normalizer(self, log_var: np.ndarray) -> np.ndarray:
        """Return the constant that `negative_log_likelihood` leaves out, per feature, (p,)."""
        ...


class FixedGaussian:
    """A normal distribution with a fixed variance: (x - mean)^2 / (2 observation_noise^2)."""

    standardized = True
    output_activation = "linear"
    learns_variance = False

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return the log of the squared observation noise."""
        return np.full(n_features, 2.0 * math.log(observation_noise), np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return half the squared error per feature, in units of the noise."""
        return 0.5 * xp.square(x - output) * xp.exp(-log_var)

    def log_normalizer(self, log_var: np.ndarray) -> np.ndarray:
        """Return 0.5 log(2 pi observation_noise^2) per feature."""
        return 0.5 * np.asarray(math.log(2.0 * math.pi) + log_var, np.float64)


class LearnedGaussian:
    """A normal distribution with one learned variance per feature: MIN_VARIANCE + exp(log_var)."""

    standardized = True
    output_activation = "linear"
    learns_variance = True

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return zeros: unit variance, that of a standardised column before training."""
        return np.zeros(n_features, np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the negative log density per feature, without the constant 0.5 log(2 pi)."""
        variance = MIN_VARIANCE + xp.exp(log_var)
        return 0.5 * (xp.square(x - output) / variance + xp.log(variance))

    def log_normalizer(self, log_var: np.ndarray) -> np.ndarray:
        """Return 0.5 log(2 pi) per feature."""
        return np.full(len(log_var), 0.5 * math.log(2.0 * math.pi))


class Bernoulli:
    """The binary cross-entropy of data in [0, 1]; probabilities are at least 1e-7 from 0 and 1."""

    standardized = False
    output_activation = "sigmoid"
    learns_variance = False

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return zeros, as a Bernoulli distribution has no variance parameter."""
        return np.zeros(n_features, np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the binary cross-entropy per feature."""
        probability = xp.clip(output, _PROBABILITY_MARGIN, 1.0 - _PROBABILITY_MARGIN)
        return -(x * xp.log(probability) + (1.0 - x) * xp.log(1.0 - probability))

    def log_normalizer(self, log_var: np.ndarray) -> np.ndarray:
        """Return zeros, as nothing is left out."""
        return np.zeros(len(log_var))


class Mixed:
    """One categorical variable per group of columns, and another likelihood for all others.

    With a squared error per indicator, a rare category would count as a gross error, because the
    standard deviation of its column is only sqrt(s (1 - s)), where s is its share of the rows. Here
    it costs -log(s).

    A value other than 0 and 1 in a group is rounded to the nearer of the two, and the difference is
    treated as noise, as in "mse". Each 1 that is missing from a group, as it is for an unknown
    category, or is one too many costs LOGIT_BOUND nats.

    Parameters
    ----------
    groups : tuple of (int, int)
        The first column, and the one after the last, of each group. These columns hold 0 and 1.
    n_features : int
        The number of columns in total, p.
    numbers : Likelihood, default=FixedGaussian()
        The likelihood of the columns that belong to no group.
    """

    output_activation = "linear"

    def __init__(
        self,
        groups: tuple[tuple[int, int], ...],
        n_features: int,
        numbers: Likelihood | None = None,
    ) -> None:
        self._numbers = FixedGaussian() if numbers is None else numbers
        self.standardized = self._numbers.standardized
        self.learns_variance = self._numbers.learns_variance
        # Shape (n_groups, p): which column belongs to which group.
        columns = np.arange(n_features)
        self._member = np.array(
            [(first <= columns) & (columns < stop) for first, stop in groups], np.float32
        )
        self._grouped = self._member.any(axis=0)
        self._share = self._member.T @ (1.0 / self._member.sum(axis=1))

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return that of the numbers, and the log of the squared observation noise for groups."""
        return np.where(
            self._grouped,
            FixedGaussian().initial_log_var(n_features, observation_noise),
            self._numbers.initial_log_var(n_features, observation_noise),
        )

    def mean(self, output: Array, xp: Any) -> Array:
        """Return the mean of x given z, with a softmax over each group."""
        odds = xp.exp(LOGIT_BOUND * xp.tanh(output / LOGIT_BOUND))
        total = xp.where(self._grouped, self._group_sums(odds, xp), 1.0)
        if self._numbers.output_activation == "sigmoid":
            output = 1.0 / (1.0 + xp.exp(-xp.clip(output, -80.0, 80.0)))
        return xp.where(self._grouped, odds / total, output)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the cross-entropy in groups, plus noise as in "mse", and that of the numbers."""
        nearest = xp.clip(xp.round(x), 0.0, 1.0)
        impossible = xp.abs(1.0 - self._group_sums(nearest, xp))
        probability = xp.where(self._grouped, output, 1.0)
        categorical = impossible * LOGIT_BOUND * self._share - nearest * xp.log(probability)
        noise = FixedGaussian().negative_log_likelihood(x, nearest, log_var, xp)
        numbers = self._numbers.negative_log_likelihood(x, output, log_var, xp)
        return xp.where(self._grouped, categorical + noise, numbers)

    def log_normalizer(self, log_var: np.ndarray) -> np.ndarray:
        """Return that of the numbers, and 0 for the columns of groups."""
        return np.where(self._grouped, 0.0, self._numbers.log_normalizer(log_var))

    def _group_sums(self, x: Array, xp: Any) -> Array:
        """Return, for each column in a group, the sum over that group; 0 for the others."""
        # The rows come last, as in `dense_numpy`, so that no sum depends on the other rows.
        sums = xp.matmul(self._member, xp.swapaxes(x, -1, -2))
        return xp.swapaxes(xp.matmul(self._member.T, sums), -1, -2)


LIKELIHOODS: dict[str, Likelihood] = {
    "mse": FixedGaussian(),
    "gaussian": LearnedGaussian(),
    "binary_crossentropy": Bernoulli(),
}
"""The likelihood for each ``reconstruction_loss``."""


@functools.lru_cache(maxsize=32)
def make_likelihood(name: str, groups: tuple[tuple[int, int], ...], n_features: int) -> Likelihood:
    """Return the likelihood of that name, within `Mixed` if there are groups."""
    return Mixed(groups, n_features, LIKELIHOODS[name]) if groups else LIKELIHOODS[name]


def loss_terms(
    x: Array,
    x_input: Array,
    encode: Callable[[Array], tuple[Array, Array | None]],
    decode: Callable[[Array], Array],
    noise: Array,
    likelihood: Likelihood,
    log_var: Array,
    xp: Any,
    observed: Array | None = None,
) -> tuple[Array, Array]:
    """Return the two terms of the negative evidence lower bound, per feature and latent dimension.

    Parameters
    ----------
    x : array of shape (..., n, p)
        The rows to explain.
    x_input : array of shape (..., n, p)
        The input of the encoder: `x` itself or, when a denoising VAE is trained, `x` with noise.
    encode : callable
        Maps rows (..., n, p) to z_mean and z_log_var, each of shape (..., n, d). For a plain
        autoencoder z_log_var is None; then z is z_mean, whatever the noise, and the KL divergence
        is 0.
    decode : callable
        Maps codes (n_draws, ..., n, d) to outputs (n_draws, ..., n, p).
    noise : array of shape (n_draws, ..., n or 1, d)
        Standard normal draws. If there are none, z is z_mean.
    likelihood : Likelihood
        The likelihood of the data given the outputs.
    log_var : array of shape (p,)
        The log variance of each feature, see `Likelihood`.
    xp : module
        The array namespace, `numpy` or `keras.ops`.
    observed : bool array of shape (..., n, p) or None, default=None
        The cells that are observed. The others, where `x` may be any number, contribute nothing to
        the likelihood (Mattei & Frellsen 2019, section 2). By default all cells are observed.

    Returns
    -------
    reconstruction : array of shape (..., n, p)
        The mean of -log p(x | z) over the draws, in nats, up to a constant.
    kl : array of shape (..., n, d)
        KL(q(z | x) || N(0, I)), in nats.
    """
    z_mean, z_log_var = encode(x_input)
    if z_log_var is None:
        z, kl = z_mean[None], xp.zeros_like(z_mean)
    else:
        z = reparameterize(z_mean, z_log_var, noise, xp) if noise.shape[0] else z_mean[None]
        kl = kl_divergence(z_mean, z_log_var, xp)
    reconstruction = likelihood.negative_log_likelihood(x, decode(z), log_var, xp)
    reconstruction = xp.mean(reconstruction, axis=0)
    if observed is not None:
        reconstruction = xp.where(observed, reconstruction, 0.0)
    return reconstruction, kl
