"""Conformal p-values: ranks among held-out rows, and the rates that they guarantee."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError

from vae_anomaly import ConformalDetector

ALPHAS = (0.01, 0.05, 0.1)


class Distance(OutlierMixin, BaseEstimator):
    """The opposite of the distance to zero: fitted at once."""

    def fit(self, X, y=None):
        self.n_rows_ = len(X)
        return self

    def score_samples(self, X):
        return -np.abs(np.asarray(X)[:, 0])


def clean(rng, n_rows):
    return rng.standard_t(3, size=(n_rows, 1))


@pytest.fixture(scope="module")
def detector():
    return ConformalDetector(Distance(), alpha=0.1, random_state=0).fit(
        clean(np.random.RandomState(0), 500)
    )


@pytest.fixture(scope="module")
def mixed():
    """New rows, every fourth of them an outlier."""
    rng = np.random.RandomState(1)
    X = clean(rng, 400)
    X[::4] = 30 + rng.standard_normal((100, 1))
    return X


@pytest.mark.parametrize("alpha", ALPHAS)
def test_false_alarm_rate_is_at_most_alpha_over_draws_of_clean_rows(alpha):
    rates = []
    for seed in range(200):
        rng = np.random.RandomState(seed)
        detector = ConformalDetector(Distance(), alpha=alpha, random_state=seed)
        rates.append(np.mean(detector.fit(clean(rng, 400)).predict(clean(rng, 400)) == -1))
    error = np.std(rates) / np.sqrt(len(rates))
    assert alpha - 0.01 - 3 * error < np.mean(rates) < alpha + 3 * error


def test_p_values_of_clean_rows_are_uniform(detector):
    rng = np.random.RandomState(2)
    p_values = [
        ConformalDetector(Distance(), random_state=seed)
        .fit(clean(rng, 100))
        .p_values(clean(rng, 1))[0]
        for seed in range(500)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_p_values_are_ranks_among_the_calibration_rows(detector):
    n = len(detector.calibration_scores_)
    assert n == 150
    assert detector.detector_.n_rows_ == 350
    np.testing.assert_allclose(detector.p_values([[1e9]]), 1 / (n + 1))
    np.testing.assert_allclose(detector.p_values([[0.0]]), 1)
    worst = -detector.calibration_scores_[0]
    np.testing.assert_allclose(detector.p_values([[worst]]), 2 / (n + 1))


@pytest.mark.parametrize("alpha", [0.0132, 0.05, 0.1, 0.5, 2 / 151, 10 / 151])
def test_rows_are_outliers_where_the_p_value_is_at_most_alpha(mixed, alpha):
    detector = ConformalDetector(Distance(), alpha=alpha, random_state=0)
    detector.fit(clean(np.random.RandomState(0), 500))
    expected = detector.p_values(mixed) <= alpha * (1 + 1e-12)
    np.testing.assert_array_equal(detector.predict(mixed) == -1, expected)


@pytest.mark.parametrize("fdr_level", [0.05, 0.1, 0.2])
def test_share_of_false_discoveries_is_at_most_the_level(fdr_level):
    shares, found = [], []
    for seed in range(200):
        rng = np.random.RandomState(seed)
        detector = ConformalDetector(Distance(), random_state=seed).fit(clean(rng, 700))
        X = clean(rng, 100)
        X[:20] += 25
        flagged = detector.predict_batch(X, fdr_level=fdr_level) == -1
        shares.append(flagged[20:].sum() / max(flagged.sum(), 1))
        found.append(flagged[:20].mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) < 0.8 * fdr_level + 3 * error
    assert np.mean(found) > 0.5


def test_a_prefit_detector_is_calibrated_on_all_rows():
    X = clean(np.random.RandomState(0), 100)
    detector = ConformalDetector(Distance().fit(X), cv="prefit").fit(X)
    assert len(detector.calibration_scores_) == 100


def test_a_prefit_detector_must_be_fitted():
    with pytest.raises(NotFittedError, match="cv='prefit'"):
        ConformalDetector(IsolationForest(), cv="prefit").fit([[0.0], [1.0]])


def test_too_few_calibration_rows_are_warned_of():
    X = clean(np.random.RandomState(0), 50)
    with pytest.warns(UserWarning, match="With 15 calibration rows no p-value is smaller"):
        detector = ConformalDetector(Distance(), alpha=0.01).fit(X)
    np.testing.assert_array_equal(detector.predict([[1e9]]), 1)


@pytest.mark.parametrize("fdr_level", [0, 1, -0.1, None, "a", np.nan])
def test_a_level_that_is_no_share_is_refused(detector, mixed, fdr_level):
    with pytest.raises(ValueError, match="fdr_level must lie in"):
        detector.predict_batch(mixed, fdr_level=fdr_level)


def test_our_detector_is_calibrated(make_detector, curve):
    detector = ConformalDetector(make_detector(contamination=0.1), alpha=0.1, random_state=0)
    detector.fit(curve(600))
    assert np.mean(detector.predict(curve(1000, seed=1)) == -1) == pytest.approx(0.1, abs=0.06)
    assert np.all(detector.predict(100 + curve(10, seed=2)) == -1)
