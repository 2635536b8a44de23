"""The loss, defined once: reconstruction log-likelihoods, the KL divergence and their sum.

Training and scoring both call `loss_terms`; what differs is the array namespace ``xp`` that it is
given, `keras.ops` inside the compiled training step and `numpy` while scoring. The networks
themselves live elsewhere and come in as plain functions.

Symbols: ``p`` features, ``d`` latent dimensions, ``n`` rows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Array = Any  # a numpy array or a TensorFlow tensor, depending on `xp`

LOG_VAR_BOUND = 10.0
"""Bound on |z_log_var|: a posterior standard deviation stays within exp(-5) and exp(5)."""

MIN_VARIANCE = 1e-4
"""Floor of a learned observation variance, in squared standardised units."""

LOGIT_BOUND = 15.0
"""Bound on the logits of categories: none has a probability below exp(-30) of another's."""

_PROBABILITY_MARGIN = 1e-7


def bound_log_var(x: Array, xp: Any) -> Array:
    """Squash to (-LOG_VAR_BOUND, LOG_VAR_BOUND), close to the identity around zero."""
    return LOG_VAR_BOUND * xp.tanh(x / LOG_VAR_BOUND)


def reparameterize(z_mean: Array, z_log_var: Array, noise: Array, xp: Any) -> Array:
    """Draw z = z_mean + exp(z_log_var / 2) * noise (Kingma & Welling 2014, section 2.4)."""
    return z_mean + xp.exp(0.5 * z_log_var) * noise


def kl_divergence(z_mean: Array, z_log_var: Array, xp: Any) -> Array:
    """KL(N(z_mean, exp(z_log_var)) || N(0, 1)) of every latent dimension, in nats.

    -0.5 * (1 + log_var - mean^2 - exp(log_var)) (Kingma & Welling 2014, appendix B).
    """
    return -0.5 * (1.0 + z_log_var - xp.square(z_mean) - xp.exp(z_log_var))


class Likelihood(Protocol):
    """How a decoder's output explains the data: one class per ``reconstruction_loss``.

    `log_var` is one log variance per feature. The mean of x given z is the decoder's output itself.
    """

    standardized: bool
    """Whether the networks work on standardised columns; if not, the data must lie in [0, 1]."""
    output_activation: str
    """Activation of the decoder's last layer."""
    learns_variance: bool
    """Whether `log_var` is trained along with the networks."""

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return `log_var` before training, shape (p,)."""
        ...

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return -log p(x | z) per feature, in nats.

        Left out is what depends neither on the row nor on a trained number, see `log_normalizer`:
        so the reconstruction of "mse" and "binary_crossentropy" is never negative.
        """
        ...

    def log_normalizer(self, log_var: np.ndarray) -> float:
        """Return the constant that `negative_log_likelihood`, summed over features, leaves out."""
        ...


class FixedGaussian:
    """Squared error in units of a fixed noise: (x - mean)^2 / (2 observation_noise^2)."""

    standardized = True
    output_activation = "linear"
    learns_variance = False

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return the log variance."""
        return np.full(n_features, 2.0 * math.log(observation_noise), np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the halved squared error per feature, in units of the noise."""
        return 0.5 * xp.square(x - output) * xp.exp(-log_var)

    def log_normalizer(self, log_var: np.ndarray) -> float:
        """Return 0.5 log(2 pi observation_noise^2), summed over features."""
        return 0.5 * float(np.sum(math.log(2.0 * math.pi) + log_var, dtype=np.float64))


class LearnedGaussian:
    """Normal with one learned variance per feature: MIN_VARIANCE + exp(log_var)."""

    standardized = True
    output_activation = "linear"
    learns_variance = True

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return the logarithm of one unit of variance: a column that nothing explains yet."""
        return np.zeros(n_features, np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the normal's negative log density per feature, less 0.5 log(2 pi)."""
        variance = MIN_VARIANCE + xp.exp(log_var)
        return 0.5 * (xp.square(x - output) / variance + xp.log(variance))

    def log_normalizer(self, log_var: np.ndarray) -> float:
        """Return 0.5 log(2 pi), summed over features."""
        return 0.5 * math.log(2.0 * math.pi) * len(log_var)


class Bernoulli:
    """Binary cross-entropy of data in [0, 1]; probabilities keep 1e-7 away from 0 and 1."""

    standardized = False
    output_activation = "sigmoid"
    learns_variance = False

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return zeros: a Bernoulli has no variance of its own."""
        return np.zeros(n_features, np.float32)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the cross-entropy per feature."""
        probability = xp.clip(output, _PROBABILITY_MARGIN, 1.0 - _PROBABILITY_MARGIN)
        return -(x * xp.log(probability) + (1.0 - x) * xp.log(1.0 - probability))

    def log_normalizer(self, log_var: np.ndarray) -> float:
        """Return 0: the cross-entropy leaves nothing out."""
        return 0.0


class Mixed:
    """One categorical variable per one-hot group of columns; "mse" for all other columns.

    One squared error per indicator would count a rare category like a gross error: with a share s,
    its column's standard deviation is sqrt(s (1 - s)). Here it costs -log(s).

    A value of a group's column other than 0 and 1 is taken for the nearer of them, with noise as
    in "mse"; and a 1 too few or too many, like a category never seen, costs LOGIT_BOUND nats.

    Parameters
    ----------
    groups : tuple of (int, int)
        First column and the one after the last of each group. The columns hold 0 and 1.
    n_features : int
        Number of all columns, p.
    """

    standardized = True
    output_activation = "linear"
    learns_variance = False

    def __init__(self, groups: tuple[tuple[int, int], ...], n_features: int) -> None:
        # (n_groups, p): which column is in which group.
        columns = np.arange(n_features)
        self._member = np.array(
            [(first <= columns) & (columns < stop) for first, stop in groups], np.float32
        )
        self._grouped = self._member.any(axis=0)
        self._share = self._member.T @ (1.0 / self._member.sum(axis=1))

    def initial_log_var(self, n_features: int, observation_noise: float) -> np.ndarray:
        """Return the log variance."""
        return FixedGaussian().initial_log_var(n_features, observation_noise)

    def mean(self, output: Array, xp: Any) -> Array:
        """Return the mean of x given z: the softmax of a group's outputs, others as they are."""
        odds = xp.exp(LOGIT_BOUND * xp.tanh(output / LOGIT_BOUND))
        total = xp.where(self._grouped, self._group_sums(odds, xp), 1.0)
        return xp.where(self._grouped, odds / total, output)

    def negative_log_likelihood(self, x: Array, output: Array, log_var: Array, xp: Any) -> Array:
        """Return the cross-entropy of a group's columns, the halved squared error of the others."""
        nearest = xp.clip(xp.round(x), 0.0, 1.0)
        impossible = xp.abs(1.0 - self._group_sums(nearest, xp))
        probability = xp.where(self._grouped, output, 1.0)
        categorical = impossible * LOGIT_BOUND * self._share - nearest * xp.log(probability)
        expected = xp.where(self._grouped, nearest, output)
        squared_error = FixedGaussian().negative_log_likelihood(x, expected, log_var, xp)
        return squared_error + xp.where(self._grouped, categorical, 0.0)

    def log_normalizer(self, log_var: np.ndarray) -> float:
        """Return 0.5 log(2 pi observation_noise^2), summed over the columns of no group."""
        return FixedGaussian().log_normalizer(log_var[~self._grouped])

    def _group_sums(self, x: Array, xp: Any) -> Array:
        """Return for each column of a group the sum over the group, for the others 0."""
        # Rows come last, as in `dense_numpy`: a sum must not depend on the rows that come with it.
        sums = xp.matmul(self._member, xp.swapaxes(x, -1, -2))
        return xp.swapaxes(xp.matmul(self._member.T, sums), -1, -2)


LIKELIHOODS: dict[str, Likelihood] = {
    "mse": FixedGaussian(),
    "gaussian": LearnedGaussian(),
    "binary_crossentropy": Bernoulli(),
}
"""The likelihood that each ``reconstruction_loss`` stands for."""


@functools.lru_cache(maxsize=32)
def make_likelihood(name: str, groups: tuple[tuple[int, int], ...], n_features: int) -> Likelihood:
    """Return the likelihood of that name, or with one-hot groups, which only "mse" has, `Mixed`."""
    return Mixed(groups, n_features) if groups else LIKELIHOODS[name]


def loss_terms(
    x: Array,
    x_input: Array,
    encode: Callable[[Array], tuple[Array, Array | None]],
    decode: Callable[[Array], Array],
    noise: Array,
    likelihood: Likelihood,
    log_var: Array,
    xp: Any,
) -> tuple[Array, Array]:
    """Return the two terms of the negative evidence lower bound, not yet summed.

    Parameters
    ----------
    x : (..., n, p)
        The rows to explain.
    x_input : (..., n, p)
        What the encoder sees: `x` itself, or `x` with noise while a denoising VAE is trained.
    encode : callable
        (..., n, p) -> z_mean, z_log_var, each (..., n, d). A plain autoencoder has None for
        z_log_var: z is z_mean, whatever the noise, and the KL divergence 0.
    decode : callable
        (n_draws, ..., n, d) -> output (n_draws, ..., n, p).
    noise : (n_draws, ..., n or 1, d)
        Standard normal draws. No draw gives the plug-in at z_mean.
    likelihood : Likelihood
        Reconstruction loss.
    log_var : (p,)
        Log variance of each feature, see `Likelihood`.
    xp : module
        `numpy` or `keras.ops`.

    Returns
    -------
    reconstruction : (..., n, p)
        Expected -log p(x | z) over the draws, in nats, up to a constant.
    kl : (..., n, d)
        KL(q(z | x) || N(0, I)), in nats.
    """
    z_mean, z_log_var = encode(x_input)
    if z_log_var is None:
        z, kl = z_mean[None], xp.zeros_like(z_mean)
    else:
        z = reparameterize(z_mean, z_log_var, noise, xp) if noise.shape[0] else z_mean[None]
        kl = kl_divergence(z_mean, z_log_var, xp)
    reconstruction = likelihood.negative_log_likelihood(x, decode(z), log_var, xp)
    return xp.mean(reconstruction, axis=0), kl
