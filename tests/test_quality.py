"""What the detector must reach on known data, and where the optimum is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.decomposition import FactorAnalysis
from sklearn.metrics import roc_auc_score

from vae_anomaly import VAEAnomalyDetector


def auroc_of_unseen_rows(inliers, outliers, seed, **parameters):
    """Train on half of the inliers; tell the other half from the outliers."""
    order = np.random.RandomState(seed).permutation(len(inliers))
    seen, unseen = np.array_split(inliers[order], 2)
    # The threshold is not needed, and "auto" would train twice.
    detector = VAEAnomalyDetector(contamination=0.1, random_state=seed, **parameters).fit(seen)
    is_outlier = np.repeat([0, 1], [len(unseen), len(outliers)])
    scores = detector.score_samples(np.concatenate([unseen, outliers]))
    return roc_auc_score(is_outlier, -scores)


def test_malignant_tumours_stand_out_from_benign_ones(benign_and_malignant):
    aurocs = [auroc_of_unseen_rows(*benign_and_malignant, seed) for seed in range(5)]
    assert np.mean(aurocs) >= 0.94


def test_a_digit_stands_out_from_the_nine_others():
    X, y = load_digits(return_X_y=True)
    pixels = {"input_shape": (8, 8, 1)}  # which share a unit
    aurocs = [
        auroc_of_unseen_rows(X[y != digit], X[y == digit], digit, **pixels)
        for digit in range(0, 10, 2)
    ]
    assert np.mean(aurocs) >= 0.95


@pytest.fixture(scope="module")
def factors():
    """4,000 rows of ten standardised columns made of three factors."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((4000, 3)) @ rng.standard_normal((3, 10))
    X += rng.uniform(0.3, 1.0, size=10) * rng.standard_normal(X.shape)
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.fixture(scope="module")
def factor_analysis(factors):
    """The model that a linear VAE with one learned variance per feature is."""
    return FactorAnalysis(3).fit(factors)


@pytest.fixture(scope="module")
def linear(factors):
    """Such a VAE, trained to convergence."""
    return VAEAnomalyDetector(
        hidden_layer_sizes=(),
        latent_dim=3,
        reconstruction_loss="gaussian",
        input_noise=0.0,
        n_draws=64,
        support_fraction=1.0,
        max_iter=300,
        learning_rate_init=3e-3,
        contamination=0.1,
        random_state=0,
    ).fit(factors)


def test_linear_detector_reaches_the_likelihood_of_factor_analysis(
    factors, factor_analysis, linear
):
    expected = factor_analysis.score(factors)
    assert expected - 0.1 < linear.score(factors) < expected + 0.05


def test_linear_detector_ranks_rows_like_factor_analysis(factors, factor_analysis, linear):
    ranks = spearmanr(linear.score_samples(factors), factor_analysis.score_samples(factors))
    assert ranks.statistic > 0.98


def test_linear_detector_finds_the_subspace_of_factor_analysis(factor_analysis, linear):
    kernel, _ = linear.decoder_.get_weights()
    ours, theirs = np.linalg.qr(kernel.T)[0], np.linalg.qr(factor_analysis.components_.T)[0]
    cosines = np.linalg.svd(ours.T @ theirs, compute_uv=False)
    assert cosines.min() > 0.99


def test_plug_in_score_lies_half_a_nat_per_latent_dimension_above(factors, linear):
    """It leaves out what the spread of the code costs; hence no bound."""
    plug_in = VAEAnomalyDetector(**(linear.get_params() | {"n_draws": 0})).fit(factors)
    assert plug_in.score(factors) - linear.score(factors) == pytest.approx(1.5, abs=0.2)
