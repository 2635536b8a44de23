"""The loss: likelihoods and the KL divergence against scipy, in numpy and in Keras."""

import keras
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import bernoulli, norm

from vae_anomaly.losses import (
    LIKELIHOODS,
    LOG_VAR_BOUND,
    MIN_VARIANCE,
    bound_log_var,
    kl_divergence,
    loss_terms,
    reparameterize,
)

NAMES = ["mse", "gaussian", "binary_crossentropy"]


@pytest.fixture(scope="module")
def x():
    """Twenty rows of three columns in [0, 1]."""
    return np.random.RandomState(0).uniform(size=(20, 3))


@pytest.fixture(scope="module")
def output():
    """What a decoder might have made of them."""
    return np.random.RandomState(1).uniform(0.01, 0.99, size=(20, 3))


def log_density(name, x, output, scale):
    """Give log p(x | z), summed over features, normalised as `score` does it."""
    likelihood = LIKELIHOODS[name]
    left = likelihood.negative_log_likelihood(x, output, scale, np).sum(axis=1)
    return -left - likelihood.log_normalizer(scale).sum()


def test_every_reconstruction_loss_has_a_likelihood():
    assert set(LIKELIHOODS) >= set(NAMES)


@pytest.mark.parametrize("noise", [0.01, 0.1, 1.0, 3.0])
def test_mse_is_the_normal_density_of_the_observation_noise(x, output, noise):
    scale = LIKELIHOODS["mse"].initial_log_var(3, noise)
    expected = norm.logpdf(x, output, noise).sum(axis=1)
    np.testing.assert_allclose(log_density("mse", x, output, scale), expected, rtol=1e-5)


def test_gaussian_is_the_normal_density_of_each_features_variance(x, output):
    scale = np.log([0.01, 0.25, 4.0])
    expected = norm.logpdf(x, output, np.sqrt(MIN_VARIANCE + np.exp(scale))).sum(axis=1)
    np.testing.assert_allclose(log_density("gaussian", x, output, scale), expected, rtol=1e-6)


def test_gaussian_variance_has_a_floor(x, output):
    expected = norm.logpdf(x, output, np.sqrt(MIN_VARIANCE)).sum(axis=1)
    actual = log_density("gaussian", x, output, np.full(3, -100.0))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_cross_entropy_is_the_bernoulli_probability(x, output):
    bits = x.round()
    expected = bernoulli.logpmf(bits, output).sum(axis=1)
    actual = log_density("binary_crossentropy", bits, output, np.zeros(3))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_cross_entropy_of_a_grey_value_mixes_those_of_black_and_white(output):
    nll = LIKELIHOODS["binary_crossentropy"].negative_log_likelihood
    zero, one = np.zeros(3), np.ones(3)
    mixed = 0.7 * nll(zero, output, zero, np) + 0.3 * nll(one, output, zero, np)
    np.testing.assert_allclose(nll(np.full(3, 0.3), output, zero, np), mixed, rtol=1e-6)


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_cross_entropy_of_a_certain_error_is_finite(wrong):
    nll = LIKELIHOODS["binary_crossentropy"].negative_log_likelihood
    surprise = nll(np.float32(1 - wrong), np.float32(wrong), np.float32(0), np)
    assert 10 < surprise < 100


@pytest.mark.parametrize("name", NAMES)
def test_keras_and_numpy_agree_on_the_likelihood(x, output, name):
    arrays = [a.astype(np.float32) for a in (x, output, np.log([0.01, 0.25, 4.0]))]
    nll = LIKELIHOODS[name].negative_log_likelihood
    np.testing.assert_allclose(nll(*arrays, keras.ops), nll(*arrays, np), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (1.5, -1.0), (-0.5, 2.0), (3.0, -6.0)])
def test_divergence_is_the_integral_of_the_log_ratio(mean, log_var):
    posterior, prior = norm(mean, np.exp(log_var / 2)), norm()
    expected, _ = quad(
        lambda z: posterior.pdf(z) * (posterior.logpdf(z) - prior.logpdf(z)),
        *posterior.interval(1 - 1e-15),
    )
    assert kl_divergence(mean, log_var, np) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_divergence_from_the_prior_to_itself_is_zero():
    assert kl_divergence(0.0, 0.0, np) == 0


def test_divergence_is_never_negative():
    mean, log_var = 3 * np.random.RandomState(0).standard_normal((2, 1000))
    assert (kl_divergence(mean, log_var, np) >= 0).all()


def test_keras_and_numpy_agree_on_the_divergence():
    mean, log_var = np.random.RandomState(0).standard_normal((2, 1000)).astype(np.float32)
    np.testing.assert_allclose(
        kl_divergence(mean, log_var, keras.ops), kl_divergence(mean, log_var, np), atol=1e-5
    )


def test_reparameterized_draws_have_the_posteriors_moments():
    noise = np.random.RandomState(0).standard_normal(100_000)
    z = reparameterize(2.0, np.log(9.0), noise, np)
    assert z.mean() == pytest.approx(2.0, abs=0.05)
    assert z.std() == pytest.approx(3.0, abs=0.05)


def test_log_variance_stays_within_its_bound():
    bounded = bound_log_var(np.array([-1e9, -100.0, 100.0, 1e9]), np)
    assert np.abs(bounded).max() <= LOG_VAR_BOUND


def test_log_variance_is_hardly_changed_around_zero():
    x = np.linspace(-1, 1, 11)
    np.testing.assert_allclose(bound_log_var(x, np), x, rtol=0.01)


def test_log_variance_keeps_its_order():
    assert (np.diff(bound_log_var(np.linspace(-50, 50, 101), np)) > 0).all()


def test_terms_average_the_reconstruction_over_draws(x):
    noise = np.random.RandomState(0).standard_normal((7, 1, 3))
    log_var = np.full((20, 3), -1.0)
    arguments = (x, x, lambda x: (x, log_var), lambda z: z)
    scale = LIKELIHOODS["mse"].initial_log_var(3, 1.0)
    terms, _ = loss_terms(*arguments, noise, LIKELIHOODS["mse"], scale, np)
    single = [
        loss_terms(*arguments, draw[None], LIKELIHOODS["mse"], scale, np)[0] for draw in noise
    ]
    np.testing.assert_allclose(terms, np.mean(single, axis=0))


def test_terms_explain_the_clean_row_from_the_noisy_one(x, output):
    scale = LIKELIHOODS["mse"].initial_log_var(3, 1.0)
    zero = np.zeros((20, 3))
    reconstruction, _ = loss_terms(
        x, output, lambda x: (x, zero), lambda z: z, zero[None], LIKELIHOODS["mse"], scale, np
    )
    np.testing.assert_allclose(reconstruction, 0.5 * (x - output) ** 2)


def test_terms_keep_one_divergence_per_latent_dimension(x):
    z_mean, z_log_var = np.random.RandomState(0).standard_normal((2, 20, 2))
    scale = np.zeros(3)
    _, kl = loss_terms(
        x,
        x,
        lambda x: (z_mean, z_log_var),
        lambda z: np.zeros((1, 20, 3)),
        np.zeros((1, 1, 2)),
        LIKELIHOODS["mse"],
        scale,
        np,
    )
    np.testing.assert_array_equal(kl, kl_divergence(z_mean, z_log_var, np))
