"""Thresholds by objective, and the grid search over them: what is chosen, and what it trains."""

import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    FixedThresholdDetector,
    OneClassKFold,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    get_outlier_scorer,
    make_outlier_scorer,
)

N_INLIERS, N_OUTLIERS = 300, 24


class CountingForest(IsolationForest):
    """Writes down each fit, of whatever clone."""

    n_fits = 0

    def fit(self, X, y=None, sample_weight=None):
        CountingForest.n_fits += 1
        return super().fit(X, y, sample_weight)


class SlowForest(CountingForest):
    """Gives other workers the time to come to the same fit."""

    def fit(self, X, y=None, sample_weight=None):
        time.sleep(0.2)
        return super().fit(X, y, sample_weight)


@pytest.fixture
def forest():
    """A detector whose fits are counted from here on."""
    CountingForest.n_fits = 0
    return CountingForest(n_estimators=10, random_state=0)


@pytest.fixture
def count_vae_fits(monkeypatch):
    """Count the fits of VAEs, of whatever clone."""
    fits = []
    fit = VAEAnomalyDetector.fit

    def counted(self, *args, **kwargs):
        fits.append(1)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(VAEAnomalyDetector, "fit", counted)
    return fits


@pytest.fixture(scope="module")
def labelled():
    """Rows of which some lie apart, and 0/1 labels, in random order."""
    rng = np.random.RandomState(0)
    rows = np.concatenate([rng.randn(N_INLIERS, 3), 1.5 * rng.randn(N_OUTLIERS, 3) + 3])
    y = np.repeat([0, 1], [N_INLIERS, N_OUTLIERS])
    order = rng.permutation(len(y))
    return rows[order], y[order]


def kept(threshold, scores, y):
    return f1_score(y, scores < threshold)


# What is trained


def test_200_thresholds_on_5_folds_train_5_times_and_once_more(forest, labelled):
    TunedThresholdDetectorCV(forest, scoring="f1", thresholds=200, cv=5).fit(*labelled)
    assert CountingForest.n_fits == 6


def test_a_vae_is_trained_5_times_and_once_more(make_detector, count_vae_fits, labelled):
    detector = make_detector(max_iter=1, contamination=0.1)
    TunedThresholdDetectorCV(detector, scoring="f1", thresholds=200, cv=5).fit(*labelled)
    assert len(count_vae_fits) == 6


def test_a_frozen_detector_is_never_trained(forest, labelled):
    frozen = FrozenEstimator(forest.fit(labelled[0]))
    TunedThresholdDetectorCV(frozen, scoring="f1", thresholds=200, cv=5).fit(*labelled)
    FixedThresholdDetector(frozen, threshold=-0.5).fit(*labelled)
    assert CountingForest.n_fits == 1


@pytest.mark.parametrize("refit", [True, False])
def test_a_prefit_detector_is_never_trained(forest, labelled, refit):
    fitted = forest.fit(labelled[0])
    tuned = TunedThresholdDetectorCV(fitted, scoring="f1", cv="prefit", refit=refit).fit(*labelled)
    assert CountingForest.n_fits == 1
    assert tuned.detector_ is fitted


def test_the_detector_given_stays_as_it_is(forest, labelled):
    TunedThresholdDetectorCV(forest, scoring="f1").fit(*labelled)
    assert not hasattr(forest, "offset_")


def test_grid_search_over_thresholds_trains_once_a_fold_with_memory(forest, labelled, tmp_path):
    search = GridSearchCV(
        FixedThresholdDetector(forest, memory=str(tmp_path)),
        {"threshold": np.linspace(-0.8, -0.4, 20)},
        scoring=get_outlier_scorer("f1"),
        cv=5,
    ).fit(*labelled)
    assert CountingForest.n_fits == 6
    assert search.best_score_ > 0.7


def test_grid_search_over_both_trains_once_a_detector_and_fold(forest, labelled, tmp_path):
    GridSearchCV(
        FixedThresholdDetector(
            Pipeline([("scale", StandardScaler()), ("pca", PCA()), ("forest", forest)]),
            memory=joblib.Memory(tmp_path, verbose=0),
        ),
        {
            "threshold": ["auto", -0.6, -0.5],
            "detector__forest__max_samples": [32, 64],
            "detector__pca__n_components": [2, 3],
        },
        scoring=get_outlier_scorer("f1"),
        cv=3,
    ).fit(*labelled)
    assert CountingForest.n_fits == 2 * 2 * 3 + 1


def test_grid_search_over_contamination_trains_once_a_fold(forest, labelled, tmp_path):
    GridSearchCV(
        FixedThresholdDetector(make_pipeline(StandardScaler(), forest), memory=str(tmp_path)),
        {"detector__countingforest__contamination": [0.02, 0.05, 0.1, 0.2]},
        scoring=get_outlier_scorer("f1"),
        cv=3,
    ).fit(*labelled)
    assert CountingForest.n_fits == 4


def test_grid_search_over_a_vae_trains_only_where_the_network_changes(
    make_detector, count_vae_fits, labelled, tmp_path
):
    GridSearchCV(
        FixedThresholdDetector(make_detector(max_iter=1), memory=str(tmp_path)),
        {"detector__latent_dim": [2, 3], "detector__contamination": [0.05, 0.1, 0.2]},
        scoring=get_outlier_scorer("f1"),
        cv=2,
    ).fit(*labelled)
    assert len(count_vae_fits) == 2 * 2 + 1


def test_grid_search_over_objectives_trains_once_a_fold(forest, labelled, tmp_path):
    GridSearchCV(
        TunedThresholdDetectorCV(forest, cv=2, memory=str(tmp_path)),
        {"scoring": ["f1", "f2", AlarmCost(missed=9, false_alarm=1)], "thresholds": [50, 100]},
        scoring=get_outlier_scorer("f1"),
        cv=2,
    ).fit(*labelled)
    assert CountingForest.n_fits == 3 * (2 + 1)


def test_parallel_workers_do_not_train_what_another_is_training(labelled, tmp_path):
    CountingForest.n_fits = 0
    search = GridSearchCV(
        FixedThresholdDetector(SlowForest(n_estimators=5, random_state=0), memory=str(tmp_path)),
        {"threshold": [-0.7, -0.6, -0.5, "auto"]},
        scoring=get_outlier_scorer("f1"),
        cv=2,
        n_jobs=4,
    )
    with joblib.parallel_config("threading"):
        search.fit(*labelled)
    assert CountingForest.n_fits == 2 + 1


def test_other_rows_are_trained_on_again(forest, labelled, tmp_path):
    X, _ = labelled
    fixed = FixedThresholdDetector(forest, memory=str(tmp_path))
    fixed.fit(X).fit(X)
    assert CountingForest.n_fits == 1
    fixed.fit(X[1:])
    assert CountingForest.n_fits == 2


@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(n_estimators=10, random_state=0),
        LocalOutlierFactor(novelty=True),
        EllipticEnvelope(random_state=0),
        VAEAnomalyDetector(hidden_layer_sizes=(8,), latent_dim=2, max_iter=2, random_state=0),
        make_pipeline(StandardScaler(), IsolationForest(n_estimators=10, random_state=0)),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_a_detector_from_the_cache_has_the_threshold_of_a_fresh_one(detector, labelled, tmp_path):
    X, _ = labelled
    for contamination in (0.05, 0.2):
        final = detector[-1] if isinstance(detector, Pipeline) else detector
        final.set_params(contamination=contamination)
        cached = FixedThresholdDetector(detector, memory=str(tmp_path)).fit(X)
        fresh = clone(detector).fit(X)
        np.testing.assert_allclose(cached.decision_function(X), fresh.decision_function(X))
        np.testing.assert_allclose(
            cached.detector_.decision_function(X), fresh.decision_function(X)
        )


def test_parallel_jobs_choose_the_same_threshold(labelled):
    forest = IsolationForest(n_estimators=10, random_state=0)
    one, two = (
        TunedThresholdDetectorCV(forest, scoring="f1", n_jobs=n_jobs).fit(*labelled)
        for n_jobs in (1, 2)
    )
    assert one.best_threshold_ == two.best_threshold_


# What is chosen


@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(random_state=0),
        LocalOutlierFactor(novelty=True),
        OneClassSVM(),
        EllipticEnvelope(random_state=0),
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_any_outlier_detector_can_be_tuned(detector, labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(detector, scoring="f1", cv=OneClassKFold(3)).fit(X, y)
    assert f1_score(y, tuned.predict(X) == -1) > 0.85


def test_the_threshold_of_any_outlier_detector_can_be_kept(labelled):
    X, _ = labelled
    svm = OneClassSVM(nu=0.1)
    kept_threshold = FixedThresholdDetector(svm).fit(X)
    np.testing.assert_array_equal(kept_threshold.predict(X), svm.fit(X).predict(X))


def test_the_outliers_are_those_of_the_scorer(labelled):
    X, y = labelled
    forest = IsolationForest(n_estimators=10, random_state=0)
    scorer = get_outlier_scorer("f1", pos_label=0)
    assert (
        TunedThresholdDetectorCV(forest, scoring=scorer).fit(X, 1 - y).best_threshold_
        == TunedThresholdDetectorCV(forest, scoring="f1").fit(X, y).best_threshold_
    )


def test_the_chosen_threshold_is_the_best_of_all(labelled):
    X, y = labelled
    forest = IsolationForest(random_state=0).fit(X[::2])
    tuned = TunedThresholdDetectorCV(forest, scoring="f1", cv="prefit").fit(X[1::2], y[1::2])
    scores, truth = forest.score_samples(X[1::2]), y[1::2]
    brute_force = max(kept(np.nextafter(score, np.inf), scores, truth) for score in scores)
    assert tuned.best_score_ == pytest.approx(brute_force)
    assert kept(tuned.best_threshold_, scores, truth) == pytest.approx(brute_force)


def test_the_curve_is_the_objective_of_each_threshold(labelled):
    X, y = labelled
    forest = IsolationForest(random_state=0).fit(X)
    tuned = TunedThresholdDetectorCV(forest, scoring="f1", cv="prefit", thresholds=50).fit(X, y)
    results, scores = tuned.cv_results_, forest.score_samples(X)
    np.testing.assert_array_equal(results["thresholds"], tuned.thresholds_)
    np.testing.assert_allclose(
        results["scores"], [f1_score(y, scores < t, zero_division=0) for t in tuned.thresholds_]
    )
    np.testing.assert_allclose(
        results["alarm_rate"], [np.mean(scores < t) for t in tuned.thresholds_]
    )


def test_thresholds_are_never_more_than_asked_for(labelled):
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), thresholds=20)
    assert 10 < len(tuned.fit(labelled[0]).thresholds_) <= 20


def test_thresholds_can_be_given(labelled):
    forest = IsolationForest(random_state=0)
    tuned = TunedThresholdDetectorCV(forest, scoring="f1", thresholds=[-0.5, -0.6]).fit(*labelled)
    assert tuned.best_threshold_ in (-0.6, -0.5)


def test_a_rule_without_labels_takes_the_nearest_given_threshold_that_flags_no_more(labelled):
    X, _ = labelled
    free = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=AlarmBudget(0.1))
    free.fit(X)
    at, step = free.best_threshold_, 0.01
    given = clone(free).set_params(thresholds=[at - 2 * step, at - step, at + step]).fit(X)
    assert given.best_threshold_ == at - step


def test_outliers_can_be_left_out_of_all_training(labelled):
    X, y = labelled

    class Witness(IsolationForest):
        def fit(self, X, y=None, sample_weight=None):
            assert not np.any(y), "an outlier was trained on"
            return super().fit(X, y, sample_weight)

    folds = OneClassKFold(5, shuffle=True, random_state=0)
    tuned = TunedThresholdDetectorCV(Witness(random_state=0), scoring="f1", cv=folds).fit(X, y)
    assert tuned.detector_.n_features_in_ == 3


def test_labels_are_ignored_without_a_labelled_objective(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(IsolationForest(n_estimators=10, random_state=0))
    without = clone(tuned).fit(X).best_threshold_
    assert tuned.fit(X, y).best_threshold_ == without
    assert tuned.fit(X, np.arange(len(X))).best_threshold_ == without


def test_fit_predict_passes_labels_on(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring="f1")
    np.testing.assert_array_equal(tuned.fit_predict(X, y), tuned.predict(X))


def test_a_fixed_threshold_is_that_of_score_samples(labelled):
    X, _ = labelled
    fixed = FixedThresholdDetector(IsolationForest(random_state=0), threshold=-0.55).fit(X)
    np.testing.assert_array_equal(fixed.predict(X) == -1, fixed.score_samples(X) < -0.55)


def test_the_automatic_fixed_threshold_is_the_detectors_own(detector, X, X_new):
    fixed = FixedThresholdDetector(FrozenEstimator(detector)).fit(X)
    np.testing.assert_array_equal(fixed.predict(X_new), detector.predict(X_new))


def test_tuning_is_nested_in_cross_validation(labelled):
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring="f1", cv=3)
    scorers = {name: get_outlier_scorer(name) for name in ("f1", "roc_auc")}
    results = cross_validate(tuned, *labelled, scoring=scorers, cv=3)
    assert results["test_f1"].mean() > 0.6
    assert results["test_roc_auc"].mean() > 0.95


def test_a_float_makes_one_split_that_need_not_be_refitted(forest, labelled):
    tuned = TunedThresholdDetectorCV(forest, scoring="f1", cv=0.5, refit=False, random_state=0).fit(
        *labelled
    )
    assert CountingForest.n_fits == 1
    assert tuned.best_score_ > 0.7


# Labels


@pytest.mark.parametrize(
    ("change", "pos_label"),
    [
        (lambda y: 1 - 2 * y, None),
        (lambda y: y.astype(bool), None),
        (lambda y: y.astype(float), None),
        (lambda y: np.where(y, "fraud", "fine"), "fraud"),
        (lambda y: np.where(y, "fraud", "fine").astype(object), "fraud"),
        (lambda y: 1 - y, 0),
        (lambda y: y.tolist(), None),
    ],
    ids=["-1 and 1", "bool", "float", "str", "object", "0 is the outlier", "list"],
)
def test_labels_come_in_many_forms(labelled, change, pos_label):
    X, y = labelled
    forest = IsolationForest(n_estimators=10, random_state=0)
    expected = TunedThresholdDetectorCV(forest, scoring="f1").fit(X, y).best_threshold_
    tuned = TunedThresholdDetectorCV(forest, scoring="f1", pos_label=pos_label).fit(X, change(y))
    assert tuned.best_threshold_ == expected


@pytest.mark.parametrize("missing", [np.nan, None])
def test_rows_without_a_label_are_not_counted(labelled, missing):
    X, y = labelled
    fitted = IsolationForest(random_state=0).fit(X)
    known = np.random.RandomState(0).uniform(size=len(y)) < 0.5
    partly = y.astype(object)
    partly[~known] = missing
    tuned = TunedThresholdDetectorCV(fitted, scoring="f1", cv="prefit")
    expected = clone(tuned).set_params(detector=fitted).fit(X[known], y[known]).best_score_
    assert tuned.fit(X, partly).best_score_ == expected


@pytest.mark.parametrize("cv", [4, 0.3, OneClassKFold(4)])
def test_a_single_row_may_lack_a_label(labelled, cv):
    X, y = labelled
    partly = np.where(np.arange(len(y)) == 7, np.nan, y)
    forest = IsolationForest(n_estimators=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = TunedThresholdDetectorCV(forest, scoring="f1", cv=cv, random_state=0)
        assert tuned.fit(X, partly).best_score_ > 0.7


def test_rows_without_a_label_are_trained_on(labelled):
    X, y = labelled
    partly = np.where(np.arange(len(y)) < 150, y, np.nan)
    splits = list(OneClassKFold(5).split(X, partly))
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(X)))
    assert all(np.isnan(partly[train]).any() for train, _ in splits)


def test_one_class_folds_train_on_inliers_and_test_each_row_once(labelled):
    X, y = labelled
    splits = list(OneClassKFold(5, shuffle=True, random_state=0).split(X, y))
    assert not any(y[train].any() for train, _ in splits)
    assert all(y[test].any() for _, test in splits)
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(len(X)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: OneClassKFold(1), ValueError, "requires at least one train/test split"),
        (lambda: OneClassKFold(2.5), ValueError, "must be of Integral type"),
        (lambda: OneClassKFold(5, random_state=0), ValueError, "no effect since shuffle is False"),
        (lambda: OneClassKFold(5, shuffle="yes"), TypeError, "shuffle must be True or False"),
    ],
)
def test_folds_that_make_no_sense_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("thresholds", [1000, [-1.0, 0.0, 1.0]])
@pytest.mark.parametrize("scoring", ["f1", "balanced_accuracy"])
def test_equal_scores_leave_nothing_to_choose(scoring, thresholds):
    tuned = TunedThresholdDetectorCV(
        IsolationForest(random_state=0), scoring=scoring, thresholds=thresholds
    )
    with pytest.raises(
        ValueError, match=r"makes constant predictions. Therefore, it is impossible"
    ):
        tuned.fit(np.zeros((50, 2)), np.repeat([0, 1], 25))


def test_a_budget_of_equal_scores_flags_nothing():
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=AlarmBudget(0.1))
    assert (tuned.fit(np.zeros((50, 2))).predict(np.zeros((50, 2))) == 1).all()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            lambda y: y + 5 * (np.arange(len(y)) == 0),
            r"two classes, inlier and outlier; got \[0, 1",
        ),
        (lambda y: np.zeros_like(y), r"two classes, inlier and outlier; got \[0\]"),
        (lambda y: np.ones_like(y), r"got \[1\]"),
        (lambda y: np.full(len(y), np.nan), r"got \[\], and 324 rows without a label"),
        (lambda y: np.where(y, "a", "b"), "say which of"),
        (lambda y: y[:-1], "inconsistent numbers"),
        (lambda y: [*y[:-1], "?"], "one type|two classes"),
        (lambda y: None, "needs labels: pass y"),
    ],
    ids=["three", "no outlier", "no inlier", "none", "no pos_label", "length", "mixed", "no y"],
)
def test_wrong_labels_are_refused_before_any_training(forest, labelled, y, message):
    X, labels = labelled
    tuned = TunedThresholdDetectorCV(forest, scoring="f1")
    with pytest.raises(ValueError, match=message):
        tuned.fit(X, y(labels))
    assert CountingForest.n_fits == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scoring": "nonsense"}, "no name of an objective"),
        ({"scoring": "roc_auc"}, "does not judge decisions"),
        ({"scoring": make_outlier_scorer(f1_score)}, "does not judge decisions"),
        ({"scoring": make_scorer(f1_score, pos_label=0)}, "make_outlier_scorer.*pos_label=0"),
        ({"thresholds": []}, "thresholds must be"),
        ({"thresholds": [0.0, np.nan]}, "thresholds must be"),
        ({"cv": 5, "refit": False}, "refit=False keeps"),
        ({"pos_label": 7}, "pos_label=7 is not a label"),
        ({"detector": StandardScaler()}, "score_samples"),
        ({"detector": LocalOutlierFactor()}, "score_samples"),
        ({"calibration": "platt"}, "calibration"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_parameters_are_refused_before_any_training(forest, labelled, parameters, message):
    tuned = TunedThresholdDetectorCV(forest, scoring="f1").set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        tuned.fit(*labelled)
    assert CountingForest.n_fits == 0


def test_a_prefit_detector_must_be_fitted(forest, labelled):
    with pytest.raises(NotFittedError, match="cv='prefit'"):
        TunedThresholdDetectorCV(forest, cv="prefit").fit(labelled[0])


def test_held_out_rows_must_have_both_classes(forest, labelled):
    X, y = labelled
    split = [(np.arange(len(y)), np.flatnonzero(y == 0))]
    with pytest.raises(ValueError, match="labels of both classes"):
        TunedThresholdDetectorCV(forest, scoring="f1", cv=split).fit(X, y)


# Probabilities


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated(labelled, method):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), calibration=method)
    proba = tuned.fit(X[::2], y[::2]).predict_proba(X[1::2])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    base_rate = np.full(len(proba), y[::2].mean())
    assert brier_score_loss(y[1::2], proba[:, 1]) < 0.5 * brier_score_loss(y[1::2], base_rate)
    assert proba[:, 1].mean() == pytest.approx(y[1::2].mean(), abs=0.03)


def test_probabilities_are_there_only_where_they_are_calibrated(labelled):
    assert not hasattr(TunedThresholdDetectorCV(IsolationForest()), "predict_proba")


@pytest.mark.parametrize("n_outliers", [0, 50])
@pytest.mark.parametrize(
    "detector",
    [IsolationForest(random_state=0), OneClassSVM(nu=0.1), EllipticEnvelope(random_state=0)],
    ids=lambda detector: type(detector).__name__,
)
def test_p_values_mean_the_same_for_every_detector(detector, n_outliers):
    rng = np.random.RandomState(0)
    X = np.concatenate([rng.randn(1000, 3), 9 + rng.randn(n_outliers, 3)])
    y = np.repeat([0, 1], [1000, n_outliers])
    tuned = TunedThresholdDetectorCV(
        detector, scoring="f1" if n_outliers else "auto", cv=KFold(5, shuffle=True, random_state=0)
    ).fit(X, y)
    assert len(tuned.calibration_scores_) == 1000
    new = rng.randn(1000, 3)
    p_values = tuned.p_values(new)
    assert (np.diff(p_values[np.argsort(tuned.score_samples(new))]) >= 0).all()
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(p_values <= level) == pytest.approx(level, abs=0.06)
    assert tuned.p_values([[99.0, 99.0, 99.0]]) < 0.06


def test_a_tuned_detector_is_stored_and_loaded(make_detector, labelled, tmp_path):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(
        make_detector(contamination=0.1), scoring="f1", cv=0.5, calibration="sigmoid"
    ).fit(X, y)
    joblib.dump(tuned, tmp_path / "tuned")
    loaded = joblib.load(tmp_path / "tuned")
    np.testing.assert_array_equal(loaded.predict(X), tuned.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), tuned.predict_proba(X))


def test_sample_weights_are_routed_to_the_detector(labelled):
    import sklearn

    X, y = labelled
    with sklearn.config_context(enable_metadata_routing=True):
        svm = OneClassSVM().set_fit_request(sample_weight=True)
        tuned = TunedThresholdDetectorCV(svm, cv=KFold(3))
        weighted = clone(tuned).fit(X, sample_weight=np.where(y, 0.01, 1.0)).best_threshold_
        assert weighted != tuned.fit(X).best_threshold_


def test_costs_move_the_threshold(labelled):
    forest = IsolationForest(random_state=0)
    careful, lax = (
        TunedThresholdDetectorCV(forest, scoring=AlarmCost(missed=missed, false_alarm=1))
        .fit(*labelled)
        .best_threshold_
        for missed in (100, 0.1)
    )
    assert careful > lax
