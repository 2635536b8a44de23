"""Metadata routing of the meta-estimators, tested in the way scikit-learn tests its own."""

import re

import numpy as np
import pytest
import sklearn
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import SGDOneClassSVM
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.tests.metadata_routing_common import (
    ConsumingSplitter,
    _Registry,
    assert_request_is_empty,
    check_recorded_metadata,
    record_metadata_not_default,
)
from sklearn.utils.fixes import parse_version
from sklearn.utils.metadata_routing import MetadataRouter

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    AutoThreshold,
    ConformalDetector,
    ExtremeValueTail,
    FBeta,
    FixedThresholdDetector,
    PrecisionAtK,
    RecallAtPrecision,
    TunedThresholdDetectorCV,
    WindowedDetector,
    get_outlier_scorer,
    make_outlier_scorer,
)
from vae_anomaly.sklearn_private import _BaseScorer

rng = np.random.RandomState(42)
N = 100
X = rng.rand(N, 4)
y = (rng.randint(0, 3, size=N) >= 1).astype(int)
METADATA = {"sample_weight": rng.rand(N), "metadata": rng.randint(0, 10, size=N)}
groups = rng.randint(0, 10, size=N)


@pytest.fixture(autouse=True)
def routing():
    with config_context(enable_metadata_routing=True):
        yield


class ConsumingDetector(OutlierMixin, BaseEstimator):
    """A detector that records the metadata passed to it."""

    def __init__(self, registry=None):
        self.registry = registry

    def fit(self, X, y=None, sample_weight="default", metadata="default"):
        return self._learn(X, sample_weight, metadata)

    def partial_fit(self, X, y=None, sample_weight="default", metadata="default"):
        return self._learn(X, sample_weight, metadata)

    def _learn(self, X, sample_weight, metadata):
        if self.registry is not None:
            self.registry.append(self)
        record_metadata_not_default(self, sample_weight=sample_weight, metadata=metadata)
        self.center_, self.offset_ = X.mean(axis=0), -0.5
        return self

    def score_samples(self, X):
        return -np.abs(X - self.center_).sum(axis=1)


class NonConsumingDetector(OutlierMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.center_, self.offset_ = X.mean(axis=0), -0.5
        return self

    partial_fit = fit

    def score_samples(self, X):
        return -np.abs(X - self.center_).sum(axis=1)


class ConsumingScorer(_BaseScorer):
    """A scorer that records the metadata passed to its metric."""

    def __init__(self, registry=None):
        super().__init__(score_func=self.metric, sign=1, kwargs={}, response_method="predict")
        self.registry, self.received = registry, []

    def metric(self, y_true, y_pred, **metadata):
        if self.registry is not None:
            self.registry.append(self)
        self.received.append(metadata)
        return float(np.mean(np.asarray(y_true) == y_pred))

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        return self.metric(y_true, estimator.predict(X), **kwargs)


def scored(registry=None):
    return ConsumingScorer(registry=registry)


CASES = {
    "Fixed": (lambda detector: FixedThresholdDetector(detector), "fit"),
    "Fixed further": (lambda detector: FixedThresholdDetector(detector), "partial_fit"),
    "Conformal": (lambda detector: ConformalDetector(detector), "fit"),
    "Tuned": (lambda detector: TunedThresholdDetectorCV(detector, cv=3), "fit"),
    "Windowed": (lambda detector: WindowedDetector(detector, window_size=1), "fit"),
    "Windowed further": (lambda detector: WindowedDetector(detector, window_size=1), "partial_fit"),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    return request.param


@pytest.fixture(params=METADATA)
def key(request):
    return request.param


def test_the_default_request_is_empty(case):
    make, _ = case
    routing = make(ConsumingDetector()).get_metadata_routing()
    assert isinstance(routing, MetadataRouter)
    assert_request_is_empty(routing)


def test_the_default_request_of_scorer_and_splitter_is_empty():
    tuned = TunedThresholdDetectorCV(ConsumingDetector(), scoring=scored(), cv=ConsumingSplitter())
    assert_request_is_empty(tuned.get_metadata_routing(), exclude={"splitter": ["split"]})


def test_metadata_without_a_request_is_refused(case, key):
    make, method = case
    message = (
        f"[{key}] are passed but are not explicitly set as requested or not requested for "
        f"ConsumingDetector.{method}"
    )
    with pytest.raises(UnsetMetadataPassedError, match=re.escape(message)):
        getattr(make(ConsumingDetector()), method)(X, y, **{key: METADATA[key]})


def test_metadata_is_passed_to_the_detector_that_requests_it(case, key):
    make, method = case
    registry = _Registry()
    detector = ConsumingDetector(registry)
    getattr(detector, f"set_{method}_request")(**{key: True})
    getattr(make(detector), method)(X, y, **{key: METADATA[key]})
    assert registry
    for fitted in registry:
        check_recorded_metadata(
            fitted,
            method=method,
            parent=method,
            split_params=(key,),
            **{key: METADATA[key]},
        )


def test_a_detector_that_takes_no_metadata_needs_no_request(case):
    make, method = case
    getattr(make(NonConsumingDetector()), method)(X, y)


def test_metadata_that_no_detector_takes_is_refused(case):
    make, method = case
    with pytest.raises(TypeError, match=f"{method} got unexpected argument"):
        getattr(make(NonConsumingDetector()), method)(X, y, nonsense=METADATA["metadata"])


@pytest.mark.parametrize(
    "make",
    [
        lambda fitted: TunedThresholdDetectorCV(fitted, cv="prefit"),
        lambda fitted: ConformalDetector(fitted, cv="prefit"),
    ],
    ids=["Tuned", "Conformal"],
)
def test_weights_that_a_prefit_detector_cannot_use_are_refused(make):
    fitted = IsolationForest(random_state=0).set_fit_request(sample_weight=True).fit(X)
    with pytest.raises(TypeError, match=r"fit got unexpected argument.*sample_weight"):
        make(fitted).fit(X, sample_weight=METADATA["sample_weight"])


@pytest.mark.parametrize("cv", [3, 0.3, "prefit"])
def test_metadata_is_passed_to_the_scorer_that_requests_it(key, cv):
    registry = _Registry()
    scorer = scored(registry).set_score_request(**{key: True})
    detector = ConsumingDetector().set_fit_request(sample_weight=True, metadata=True).fit(X)
    tuned = TunedThresholdDetectorCV(detector, scoring=scorer, cv=cv, thresholds=5)
    tuned.fit(X, y, **{key: METADATA[key]})
    assert registry
    for used in registry:
        for received in used.received:
            assert list(received) == [key]
            assert set(received[key]) <= set(METADATA[key])


def test_metadata_is_passed_to_the_splitter_that_requests_it():
    registry = _Registry()
    splitter = ConsumingSplitter(registry=registry).set_split_request(groups=True, metadata=True)
    detector = ConsumingDetector().set_fit_request(sample_weight=False, metadata=False)
    scorer = scored().set_score_request(sample_weight=False, metadata=False)
    tuned = TunedThresholdDetectorCV(detector, scoring=scorer, cv=splitter)
    tuned.fit(X, y, groups=groups, metadata=METADATA["metadata"])
    assert registry
    for used in registry:
        check_recorded_metadata(
            used,
            method="split",
            parent="fit",
            groups=groups,
            metadata=METADATA["metadata"],
        )


def test_a_scorer_without_a_request_refuses_weights():
    detector = ConsumingDetector().set_fit_request(sample_weight=True)
    scorings = ["f1", AlarmCost(2, 1)]
    if parse_version(sklearn.__version__) >= parse_version("1.9"):  # it checks scorers, too
        scorings += ["balanced_accuracy", get_outlier_scorer("f1")]
    for scoring in scorings:
        tuned = TunedThresholdDetectorCV(detector, scoring=scoring)
        with pytest.raises(UnsetMetadataPassedError, match=r"sample_weight.*score"):
            tuned.fit(X, y, sample_weight=METADATA["sample_weight"])


def test_rules_without_labels_leave_the_weights_to_the_detector():
    detector = ConsumingDetector().set_fit_request(sample_weight=True)
    tuned = TunedThresholdDetectorCV(detector, scoring=AlarmBudget(0.1))
    assert (
        tuned.fit(X, sample_weight=METADATA["sample_weight"]).best_threshold_
        == tuned.fit(X).best_threshold_
    )


OBJECTIVES = [
    FBeta(2.0),
    AlarmCost(missed=3, false_alarm=1),
    RecallAtPrecision(0.8),
    PrecisionAtK(10),
    AlarmBudget(0.1),
    AutoThreshold(),
    ExtremeValueTail(0.01),
]


@pytest.fixture(scope="module")
def weighted():
    """The rows, the labels, and how often each row occurs."""
    rng = np.random.RandomState(0)
    rows = np.concatenate([rng.randn(400, 2), 3 + rng.randn(30, 2)])
    return rows, np.repeat([0, 1], [400, 30]), rng.randint(1, 4, 430)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_a_weight_counts_as_that_many_rows(weighted, objective):
    rows, labels, weight = weighted
    fitted = NonConsumingDetector().fit(rows[:400])
    objective.set_score_request(sample_weight=True)
    tuned = TunedThresholdDetectorCV(fitted, scoring=objective, cv="prefit", thresholds=10**6)
    again = np.repeat(np.arange(430), weight)
    one = tuned.fit(rows, labels, sample_weight=weight)
    results = (one.best_threshold_, one.best_score_, one.cv_results_)
    other = tuned.fit(rows[again], labels[again])
    assert results[0] == pytest.approx(other.best_threshold_, rel=1e-3)
    assert results[1] == pytest.approx(other.best_score_, abs=1e-3)
    for name, values in results[2].items():
        np.testing.assert_allclose(values, other.cv_results_[name])


def test_zero_and_negative_weights_are_refused(weighted):
    rows, labels, _ = weighted
    scoring = FBeta().set_score_request(sample_weight=True)
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=scoring)
    for weight, message in ((np.zeros(430), "non-zero"), (-np.ones(430), "[Nn]egative")):
        tuned.detector.set_fit_request(sample_weight=False)
        with pytest.raises(ValueError, match=message):
            tuned.fit(rows, labels, sample_weight=weight)


def test_an_objective_can_request_weights_under_another_name(weighted):
    rows, labels, _ = weighted
    weight = np.where(labels, 1, 30)
    fitted = NonConsumingDetector().fit(rows[:400])
    thresholds = []
    for scoring in (
        FBeta().set_score_request(sample_weight="worth"),
        make_outlier_scorer(FBeta(), response_method="predict").set_score_request(
            sample_weight="worth"
        ),
        make_outlier_scorer(fbeta_score, beta=1, response_method="predict").set_score_request(
            sample_weight="worth"
        ),
    ):
        tuned = TunedThresholdDetectorCV(fitted, scoring=scoring, cv="prefit")
        thresholds.append(tuned.fit(rows, labels, worth=weight).best_threshold_)
    assert len(set(thresholds)) == 1
    assert thresholds[0] != tuned.set_params(scoring="f1").fit(rows, labels).best_threshold_


def test_the_request_does_not_affect_the_equality_of_objectives():
    assert FBeta().set_score_request(sample_weight=True) == FBeta()


def test_requests_need_routing():
    with (
        config_context(enable_metadata_routing=False),
        pytest.raises(RuntimeError, match="metadata routing is enabled"),
    ):
        FBeta().set_score_request(sample_weight=True)


def gain(y_true, y_pred, amount):
    """Each detected fraud saves its amount, and each alarm costs 5."""
    return np.sum(amount * y_true * y_pred) - 5 * np.sum(y_pred)


@pytest.mark.parametrize(
    "make",
    [make_scorer, lambda score: make_outlier_scorer(score, response_method="predict")],
    ids=["make_scorer", "make_outlier_scorer"],
)
@pytest.mark.parametrize("cv", [3, "prefit"])
def test_costs_may_differ_by_row(weighted, make, cv):
    rows, labels, _ = weighted
    amount = np.where(labels, np.linspace(1, 200, 430), 0)
    fitted = NonConsumingDetector().fit(rows[:400])
    scorer = make(gain).set_score_request(amount=True)
    tuned = TunedThresholdDetectorCV(fitted, scoring=scorer, cv=cv, thresholds=10**6)
    tuned.fit(rows, labels, amount=amount)
    held_out, scores = tuned.held_out_rows_, tuned.held_out_scores_
    best = max(
        gain(labels[held_out], scores < np.nextafter(score, np.inf), amount[held_out])
        for score in scores
    )
    assert tuned.best_score_ == best


def test_an_outlier_scorer_is_passed_the_metadata_of_labelled_rows(weighted):
    rows, labels, weight = weighted
    partly = np.where(np.arange(430) % 3, labels, np.nan)
    known = ~np.isnan(partly)
    forest = IsolationForest(random_state=0).fit(rows)
    scorer = get_outlier_scorer("average_precision")
    expected = scorer(forest, rows[known], labels[known], sample_weight=weight[known])
    assert scorer(forest, rows, partly, sample_weight=weight) == expected
    assert scorer(forest, rows, partly) != expected


@pytest.mark.parametrize("search", [False, True], ids=["cross_validate", "GridSearchCV"])
def test_scikit_learn_routes_weights_to_an_outlier_scorer(weighted, search):
    rows, labels, weight = weighted
    scorer = get_outlier_scorer("average_precision").set_score_request(sample_weight=True)
    weight = weight * np.where(rows[:, 0] > 1, 30, 1)
    detector, cv = NonConsumingDetector(), KFold(3, shuffle=True, random_state=0)
    rows = rows + np.random.RandomState(0).randn(*rows.shape)
    if search:
        grid = GridSearchCV(detector, {}, scoring=scorer, cv=cv)
        got = grid.fit(rows, labels, sample_weight=weight).cv_results_["split0_test_score"][0]
    else:
        got = cross_validate(
            detector, rows, labels, scoring=scorer, cv=cv, params={"sample_weight": weight}
        )["test_score"][0]
    train, test = next(cv.split(rows))
    fitted = NonConsumingDetector().fit(rows[train])
    assert got == scorer(fitted, rows[test], labels[test], sample_weight=weight[test])
    assert got != scorer(fitted, rows[test], labels[test])


def test_a_window_has_the_mean_weight_and_the_last_metadata_of_its_points():
    registry = _Registry()
    detector = ConsumingDetector(registry).set_fit_request(sample_weight=True, metadata=True)
    WindowedDetector(detector, window_size=4, stride=3).fit(X, **METADATA)
    (calls,) = registry[0]._records.values()  # by the recording method and its caller
    ((record,),) = calls.values()
    starts = np.arange(0, N - 3, 3)
    weight, metadata = METADATA.values()
    np.testing.assert_allclose(
        record["sample_weight"], [weight[start : start + 4].mean() for start in starts]
    )
    np.testing.assert_array_equal(record["metadata"], metadata[starts + 3])


def test_windows_can_be_learned_incrementally():
    detector = WindowedDetector(SGDOneClassSVM(random_state=0), window_size=4)
    assert not hasattr(WindowedDetector(IsolationForest()), "partial_fit")
    detector.partial_fit(X[:50])
    before = detector.score_samples(X)
    assert (detector.partial_fit(X[50:]).score_samples(X) != before).any()
    with pytest.raises(ValueError, match="features"):
        detector.partial_fit(X[:, :2])
