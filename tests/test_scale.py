"""Thresholds chosen on folds, for detectors whose scores differ in scale between folds."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import KFold, ShuffleSplit, TimeSeriesSplit
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.svm import OneClassSVM

from vae_anomaly import AlarmBudget, OneClassKFold, TunedThresholdDetectorCV

BUDGET = AlarmBudget(0.05)


class SumOfDistances(OutlierMixin, BaseEstimator):
    """A detector whose scores tend to minus infinity as the training set grows."""

    def fit(self, X, y=None):
        self.rows_ = np.asarray(X)
        return self

    def score_samples(self, X):
        return -np.abs(np.asarray(X)[:, None] - self.rows_).sum(axis=(1, 2))


class Rote(SumOfDistances):
    """A detector that memorises its training rows and whose scores grow with their number."""

    def score_samples(self, X):
        is_known = (np.asarray(X)[:, None] == self.rows_).all(axis=2).any(axis=1)
        return len(self.rows_) * (1.0 + is_known) - np.abs(np.asarray(X)).sum(axis=1)


def draw(seed, n_columns=3):
    rng = np.random.RandomState(seed)
    return rng.randn(1000, n_columns), rng.randn(5000, n_columns)


def alarm_rate(detector, cv, seed, n_columns=3, **parameters):
    X, new = draw(seed, n_columns)
    tuned = TunedThresholdDetectorCV(
        detector, scoring=BUDGET, cv=cv, random_state=seed, **parameters
    )
    return np.mean(tuned.fit(X).predict(new) == -1)


@pytest.mark.parametrize("cv", [2, 5, 10, 0.3, TimeSeriesSplit(3)])
@pytest.mark.parametrize(
    "detector",
    [
        OneClassSVM(nu=0.1),
        OneClassSVM(kernel="linear"),
        SGDOneClassSVM(random_state=0),
        SumOfDistances(),
    ],
    ids=str,
)
def test_a_budget_is_kept_whatever_the_number_of_training_rows(detector, cv):
    rates = [alarm_rate(detector, cv, seed) for seed in range(5)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("cv", [2, 5, 0.3])
@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(n_estimators=50, random_state=0),
        LocalOutlierFactor(novelty=True),
        KernelDensity(),
        KernelDensity(bandwidth=0.2),  # it overfits
    ],
    ids=str,
)
def test_scores_on_the_same_scale_are_left_unchanged(detector, cv):
    X, _ = draw(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = TunedThresholdDetectorCV(detector, scoring=BUDGET, cv=cv, random_state=0).fit(X)
    splitter = KFold(cv) if cv > 1 else ShuffleSplit(1, test_size=cv, random_state=0)
    expected = [
        clone(detector).fit(X[train]).score_samples(X[test]) for train, test in splitter.split(X)
    ]
    np.testing.assert_array_equal(tuned.held_out_scores_, np.concatenate(expected))


def test_held_out_scores_are_in_units_of_the_refitted_detector():
    X, new = draw(0)
    tuned = TunedThresholdDetectorCV(OneClassSVM(nu=0.1), scoring=BUDGET, cv=2).fit(X)
    low, high = np.quantile(tuned.score_samples(new), [0.25, 0.75])
    assert low < np.median(tuned.held_out_scores_) < high


def test_known_outliers_are_not_taken_for_a_sign_of_overfitting():
    X, _ = draw(0)
    X = np.concatenate([X[:600], 6 + X[600:]])
    y = np.repeat([0, 1], [600, 400])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = TunedThresholdDetectorCV(OneClassSVM(nu=0.1), scoring="f1", cv=OneClassKFold(2))
        assert tuned.fit(X, y).best_score_ > 0.95
    assert np.mean(tuned.predict(draw(1)[1]) == -1) < 0.1


def test_a_difference_that_cannot_be_measured_gives_a_warning():
    with pytest.warns(UserWarning, match="scores depend on how many rows .* refitted detector"):
        alarm_rate(Rote(), 5, 0)


def test_the_detector_of_a_single_split_is_not_compared():
    """The threshold is chosen on its own scores."""
    X, _ = draw(0)
    tuned = TunedThresholdDetectorCV(Rote(), scoring=BUDGET, cv=0.3, refit=False, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned.fit(X)
    np.testing.assert_array_equal(
        tuned.held_out_scores_, tuned.score_samples(X[tuned.held_out_rows_])
    )
