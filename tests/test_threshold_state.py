"""Fits are all or nothing, both in the estimator and in the cache."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import ShuffleSplit, TimeSeriesSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from vae_anomaly import (
    AlarmBudget,
    ConformalDetector,
    FixedThresholdDetector,
    OneClassKFold,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    WindowedDetector,
    get_outlier_scorer,
)


class Witness(OutlierMixin, BaseEstimator):
    """A detector that records the number of rows of each fit, and can be told to fail."""

    sizes: list[int] = []

    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, X, y=None):
        Witness.sizes.append(len(X))
        if self.fails:
            raise RuntimeError("no luck")
        self.rows_, self.offset_ = len(X), float(-len(X))
        return self

    def score_samples(self, X):
        return np.asarray(X)[:, 0]


@pytest.fixture(autouse=True)
def sizes():
    Witness.sizes = []
    return Witness.sizes


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.RandomState(0)
    X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
    return X, np.repeat([0, 1], [190, 10])


def attributes(estimator):
    return {name for name in vars(estimator) if name.endswith("_")}


METAS = {
    "Fixed": lambda detector: FixedThresholdDetector(detector),
    "Conformal": lambda detector: ConformalDetector(detector, random_state=0),
    "Tuned": lambda detector: TunedThresholdDetectorCV(detector, cv=2),
    "Windowed": lambda detector: WindowedDetector(detector, window_size=2),
}


@pytest.fixture(params=METAS.values(), ids=METAS)
def make(request):
    return request.param


def test_a_fit_that_fails_leaves_an_unfitted_estimator(make, labelled):
    meta = make(Witness(fails=True))
    with pytest.raises(RuntimeError, match="no luck"):
        meta.fit(labelled[0])
    assert attributes(meta) == set()


def test_a_fit_that_fails_leaves_the_earlier_fit(make, labelled):
    X, _ = labelled
    meta = make(Witness()).fit(X[:150])
    before = vars(meta) | {"offset_": meta.offset_}
    meta.set_params(detector=Witness(fails=True))
    with pytest.raises(RuntimeError, match="no luck"):
        meta.fit(X)
    after = vars(meta) | {"offset_": meta.offset_}
    for name in attributes(meta) | {"offset_"}:
        assert after[name] is before[name] or after[name] == before[name]
    assert attributes(meta) == {name for name in before if name.endswith("_")} - (
        {"offset_"} - attributes(meta)
    )


def test_failing_to_set_a_threshold_leaves_the_earlier_fit(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(Witness(), scoring="f1", cv=2).fit(X, y)
    detector, scores = tuned.detector_, tuned.held_out_scores_
    with pytest.raises(ValueError, match="constant predictions"):
        tuned.fit(np.zeros((200, 1)), y)
    assert tuned.detector_ is detector
    assert tuned.held_out_scores_ is scores
    fixed = FixedThresholdDetector(OneClassSVM()).fit(X)
    offset = fixed.offset_
    fixed.set_params(detector=_NoOffset())
    with pytest.raises(ValueError, match="has none"):
        fixed.fit(X)
    assert fixed.offset_ == offset


class _NoOffset(Witness):
    def fit(self, X, y=None):
        self.rows_ = len(X)
        return self


def test_a_second_fit_leaves_nothing_of_the_first(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(
        IsolationForest(n_estimators=5, random_state=0), scoring="f1", calibration="sigmoid"
    )
    tuned.fit(pd.DataFrame(X, columns=["a", "b"]), y)
    assert {"cv_results_", "held_out_scores_", "feature_names_in_"} <= attributes(tuned)
    tuned.set_params(store_cv_results=False, calibration=None).fit(X, y)
    assert attributes(tuned) == {
        "best_score_",
        "best_threshold_",
        "calibration_scores_",
        "detector_",
        "n_features_in_",
        "offset_",
        "thresholds_",
    }


def test_feature_names_are_those_of_the_last_fit(labelled):
    X, _ = labelled
    fixed = FixedThresholdDetector(IsolationForest(n_estimators=5, random_state=0))
    fixed.fit(pd.DataFrame(X, columns=["a", "b"])).fit(X)
    assert not hasattr(fixed, "feature_names_in_")


def test_probabilities_are_those_of_the_last_fit(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(
        IsolationForest(n_estimators=5, random_state=0), scoring="f1", calibration="sigmoid"
    ).fit(X, y)
    expected = tuned.predict_proba(X)
    np.testing.assert_array_equal(tuned.set_params(calibration=None).predict_proba(X), expected)
    assert not hasattr(tuned.fit(X, y), "predict_proba")
    tuned.set_params(calibration="isotonic")
    with pytest.raises(NotFittedError, match="calibration=None; call fit again"):
        tuned.predict_proba(X)


# The rows of the refit


@pytest.mark.parametrize(
    "cv",
    [0.3, ShuffleSplit(1, random_state=0), TimeSeriesSplit(3), [(range(50), range(50, 80))]],
    ids=str,
)
def test_the_refit_is_on_all_rows(labelled, sizes, cv):
    X, _ = labelled
    TunedThresholdDetectorCV(Witness(), cv=cv, random_state=0).fit(X)
    assert sizes[-1] == len(X)
    assert max(sizes[:-1]) < len(X)


def test_the_refit_leaves_out_the_outliers_that_no_fold_trains_on(labelled, sizes):
    X, y = labelled
    for cv in (OneClassKFold(4), list(OneClassKFold(4).split(X, y))):
        TunedThresholdDetectorCV(Witness(), scoring="f1", cv=cv).fit(X, y)
        assert sizes[-1] == 190


def test_without_refit_there_is_one_fit(labelled, sizes):
    TunedThresholdDetectorCV(Witness(), cv=0.3, refit=False).fit(labelled[0])
    assert sizes == [140]


# Fitted detectors


@pytest.mark.parametrize(
    "detector",
    [IsolationForest(random_state=0), make_pipeline(StandardScaler(), OneClassSVM(nu=0.1))],
    ids=["forest", "pipeline"],
)
def test_a_threshold_can_be_set_on_a_fitted_detector_without_a_fit(labelled, detector):
    X, y = labelled
    fitted = clone(detector).fit(X)
    own = FixedThresholdDetector(fitted)
    np.testing.assert_array_equal(own.predict(X), fitted.predict(X))
    cut = np.quantile(fitted.score_samples(X), 0.3)
    by_hand = FixedThresholdDetector(fitted, threshold=cut)
    assert np.mean(by_hand.predict(X) == -1) == pytest.approx(0.3)
    np.testing.assert_array_equal(by_hand.decision_function(X), fitted.score_samples(X) - cut)
    assert 0 <= get_outlier_scorer("f1")(by_hand, X, y) <= 1
    assert ThresholdDisplay.from_estimator(by_hand, X, y).threshold == cut


def test_an_unfitted_detector_has_no_threshold(labelled):
    fixed = FixedThresholdDetector(IsolationForest(), threshold=0.0)
    for method in ("predict", "score_samples", "decision_function"):
        with pytest.raises(NotFittedError, match="FixedThresholdDetector instance is not fitted"):
            getattr(fixed, method)(labelled[0])


def test_a_fit_trains_a_clone_of_a_fitted_detector(labelled):
    X, _ = labelled
    fitted = Witness().fit(X)
    fixed = FixedThresholdDetector(fitted).fit(X[:50])
    assert (fitted.rows_, fixed.detector_.rows_) == (200, 50)
    fixed.set_params(threshold=3.0)
    assert fixed.offset_ == -50.0


def test_a_detector_can_be_trained_further_with_a_threshold(labelled):
    X, _ = labelled
    assert not hasattr(FixedThresholdDetector(IsolationForest()), "partial_fit")
    own = FixedThresholdDetector(SGDOneClassSVM(random_state=0)).partial_fit(X[:100])
    given = clone(own).set_params(threshold=0.5).partial_fit(X[:100])
    offset, scores = own.offset_, own.score_samples(X)
    own.partial_fit(X[100:])
    assert own.offset_ != offset
    assert (own.score_samples(X) != scores).any()
    assert given.partial_fit(X[100:]).offset_ == 0.5
    np.testing.assert_array_equal(own.score_samples(X), given.score_samples(X))


# The cache


def forest(**parameters):
    return IsolationForest(**({"n_estimators": 5, "random_state": 0} | parameters))


def entries(folder):
    return list(folder.rglob("output.pkl"))


def test_a_cache_entry_that_holds_something_else_is_replaced(labelled, tmp_path):
    X, _ = labelled
    fixed = FixedThresholdDetector(forest(), memory=str(tmp_path)).fit(X)
    expected = fixed.score_samples(X)
    for other in ("something", (Witness(), False), None):
        joblib.dump(other, entries(tmp_path)[0])
        with pytest.warns(UserWarning, match="something other than a fitted IsolationForest"):
            fixed.fit(X)
        np.testing.assert_array_equal(fixed.score_samples(X), expected)
    np.testing.assert_array_equal(fixed.fit(X).score_samples(X), expected)


def test_a_cache_that_cannot_be_written_is_refused(labelled, tmp_path):
    (tmp_path / "file").write_text("no folder")
    for memory in (str(tmp_path / "file"), str(tmp_path / "file" / "within"), "/proc/1/nowhere"):
        with pytest.raises(ValueError, match=r"memory=.* cannot keep fitted detectors"):
            FixedThresholdDetector(forest(), memory=memory).fit(labelled[0])


@pytest.mark.parametrize(
    "detector",
    [forest(random_state=None), make_pipeline(StandardScaler(), forest(random_state=None))],
    ids=["forest", "pipeline"],
)
def test_a_random_fit_is_different_each_time(labelled, tmp_path, detector):
    X, _ = labelled
    fixed = FixedThresholdDetector(detector, memory=str(tmp_path))
    scores = [fixed.fit(X).score_samples(X) for _ in range(3)]
    assert (scores[0] != scores[1]).any()
    assert (scores[1] != scores[2]).any()


def test_a_deterministic_detector_comes_from_the_cache(labelled, tmp_path, sizes):
    fixed = FixedThresholdDetector(Witness(), memory=str(tmp_path))
    fixed.fit(labelled[0]).fit(labelled[0])
    assert sizes == [200]


# Hints


@pytest.mark.parametrize(
    "detector",
    [LocalOutlierFactor(), make_pipeline(StandardScaler(), LocalOutlierFactor())],
    ids=["alone", "pipeline"],
)
def test_a_local_outlier_factor_is_told_what_it_lacks(make, labelled, detector):
    with pytest.raises(ValueError, match=r"'score_samples' .*novelty=True"):
        make(detector).fit(labelled[0])


def test_a_frozen_detector_is_not_compared_with_itself(labelled):
    frozen = FrozenEstimator(OneClassSVM().fit(labelled[0]))
    tuned = TunedThresholdDetectorCV(frozen, scoring=AlarmBudget(0.1)).fit(labelled[0])
    assert np.mean(tuned.predict(labelled[0]) == -1) == pytest.approx(0.1)


@pytest.mark.parametrize("threshold", [np.nan, "Auto", None, [1.0]], ids=str)
def test_a_threshold_that_is_not_valid_is_refused_without_fit_too(threshold):
    fitted = IsolationForest(random_state=0).fit(np.arange(20.0)[:, None])
    with pytest.raises(ValueError, match="'threshold' parameter of FixedThresholdDetector"):
        FixedThresholdDetector(fitted, threshold=threshold).predict([[1.0]])
