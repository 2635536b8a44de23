"""scikit-learn's own checks of an estimator, and ours in place of the two that cannot hold."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_anomaly import VAEAnomalyDetector

WHY = "repeated rows make other mini-batches than weighted rows do"
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": WHY,
    "check_sample_weight_equivalence_on_sparse_data": WHY,
}
TINY = {"hidden_layer_sizes": (8,), "latent_dim": 2, "max_iter": 3}


@parametrize_with_checks(
    [
        VAEAnomalyDetector(max_iter=2),
        VAEAnomalyDetector(**TINY, reconstruction_loss="gaussian"),
        VAEAnomalyDetector(**TINY, n_draws=0, contamination=0.1),
        VAEAnomalyDetector(**TINY, early_stopping=True),
        VAEAnomalyDetector(**TINY, variational=False),
        VAEAnomalyDetector(**TINY | {"hidden_layer_sizes": (4,)}, architecture="conv"),
        VAEAnomalyDetector(**TINY | {"hidden_layer_sizes": (4,)}, architecture="lstm"),
        VAEAnomalyDetector(**TINY | {"hidden_layer_sizes": (4,)}, architecture="gru"),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS,
)
def test_detector_passes_the_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def two_lines():
    """Make rows around two lines in four dimensions: which counts more decides the ranking."""

    def make(seed):
        rng = np.random.RandomState(seed)
        directions = np.array([[3.0, 1.0, 0.0, -2.0], [0.0, 2.0, -3.0, 1.0]])
        t = rng.standard_normal((300, 1))
        return np.repeat(directions, 150, axis=0) * t + 0.5 * rng.standard_normal((300, 4))

    return make


@pytest.fixture(scope="module")
def fit_linear():
    """Fit a linear VAE, which has one optimum: trained to the end, all fits agree."""

    def fit(X, seed, sample_weight=None, **parameters):
        detector = VAEAnomalyDetector(
            hidden_layer_sizes=(),
            latent_dim=1,
            reconstruction_loss="gaussian",
            input_noise=0.0,
            n_draws=64,
            support_fraction=1.0,
            batch_size=300,
            learning_rate_init=0.01,
            max_iter=1000,
            random_state=seed,
            **parameters,
        )
        return detector.fit(X, sample_weight=sample_weight)

    return fit


@pytest.fixture(scope="module")
def weights():
    """Weights that make the first of two lines count six times as much as the second."""
    return np.repeat([6, 1], 150)


@pytest.fixture(scope="module")
def weighted(fit_linear, two_lines, weights):
    """A detector of weighted rows."""
    return fit_linear(two_lines(0), 0, sample_weight=weights, contamination=0.2)


def test_integer_weights_rank_rows_like_repeated_rows_do(fit_linear, two_lines, weights, weighted):
    X_test = two_lines(1)
    repeated = fit_linear(np.repeat(two_lines(0), weights, axis=0), 1)
    ranks = spearmanr(weighted.score_samples(X_test), repeated.score_samples(X_test))
    assert ranks.statistic > 0.99


def test_integer_weights_change_the_ranking(fit_linear, two_lines, weighted):
    X_test = two_lines(1)
    plain = fit_linear(two_lines(0), 2)
    ranks = spearmanr(weighted.score_samples(X_test), plain.score_samples(X_test))
    assert ranks.statistic < 0.95


def test_contamination_is_a_share_of_the_weights(two_lines, weights, weighted):
    flagged = weighted.predict(two_lines(0)) == -1
    assert np.average(flagged, weights=weights) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("parameters", [{}, {"contamination": 0.1}, {"early_stopping": True}])
def test_weight_zero_leaves_a_row_out_exactly(make_detector, X, X_new, parameters):
    weights = np.random.RandomState(0).randint(0, 3, size=len(X))
    kept = weights > 0
    zeroed = make_detector(**parameters).fit(X, sample_weight=weights)
    removed = make_detector(**parameters).fit(X[kept], sample_weight=weights[kept])
    np.testing.assert_array_equal(zeroed.score_samples(X_new), removed.score_samples(X_new))
    assert zeroed.offset_ == removed.offset_


def test_equal_weights_are_no_weights(make_detector, X, X_new, detector):
    weighted = make_detector().fit(X, sample_weight=np.full(len(X), 2.0))
    np.testing.assert_array_equal(weighted.score_samples(X_new), detector.score_samples(X_new))
    assert weighted.offset_ == pytest.approx(detector.offset_)


def test_only_ratios_of_weights_matter(make_detector, X, X_new):
    weights = np.random.RandomState(0).randint(1, 4, size=len(X))
    first = make_detector().fit(X, sample_weight=weights)
    second = make_detector().fit(X, sample_weight=1024 * weights)
    np.testing.assert_array_equal(first.score_samples(X_new), second.score_samples(X_new))
