"""The detector among scikit-learn's own tools, frames, copies and processes."""

import copy
import pickle
import pickletools

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone, is_outlier_detector
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from vae_anomaly import VAEAnomalyDetector, make_outlier_scorer

NAMES = list("abcde")
CODES = ["vaeanomalydetector0", "vaeanomalydetector1", "vaeanomalydetector2"]


@pytest.fixture(scope="module")
def frame(X):
    """The rows to train on as a pandas frame with an index of its own."""
    return pd.DataFrame(X, columns=NAMES, index=[f"row {i}" for i in range(len(X))])


@pytest.fixture(scope="module")
def labelled(X_new):
    """Rows on and off the curve, and labels: 1 for those off it."""
    off_the_curve = np.random.RandomState(0).permutation(X_new.ravel()).reshape(X_new.shape)
    return np.concatenate([X_new, off_the_curve[:40]]), np.repeat([0, 1], [100, 40])


@pytest.fixture(scope="module")
def mixed():
    """A frame of numbers with missing values, and of categories."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.standard_normal((200, 3)), columns=["x", "y", "z"])
    frame.loc[rng.uniform(size=200) < 0.1, "y"] = np.nan
    return frame.assign(city=rng.choice(["Basel", "Bern", "Zug"], size=200))


@pytest.fixture(scope="module")
def preprocessing():
    """Imputation and scaling of numbers, one-hot columns of categories."""
    return ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            ("categories", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )


def test_detector_counts_as_an_outlier_detector(detector):
    assert is_outlier_detector(detector)


def test_clone_is_not_fitted_and_has_the_parameters(detector):
    cloned = clone(detector)
    assert cloned.get_params() == detector.get_params()
    assert not hasattr(cloned, "offset_")


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda detector: pickle.loads(pickle.dumps(detector))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copy_scores_to_the_bit(detector, X_new, copied):
    other = copied(detector)
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))
    np.testing.assert_array_equal(other.predict(X_new), detector.predict(X_new))


@pytest.mark.parametrize("compress", [0, 3])
def test_detector_stored_by_joblib_scores_to_the_bit(detector, X_new, tmp_path, compress):
    joblib.dump(detector, tmp_path / "detector", compress=compress)
    loaded = joblib.load(tmp_path / "detector")
    np.testing.assert_array_equal(loaded.score_samples(X_new), detector.score_samples(X_new))


def test_memory_mapped_detector_scores_to_the_bit(detector, X_new, tmp_path):
    joblib.dump(detector, tmp_path / "detector")
    loaded = joblib.load(tmp_path / "detector", mmap_mode="r")
    np.testing.assert_array_equal(loaded.score_samples(X_new), detector.score_samples(X_new))


def test_deepcopy_learns_on_its_own(detector, X, X_new):
    before = detector.score_samples(X_new)
    copy.deepcopy(detector).partial_fit(X)
    np.testing.assert_array_equal(detector.score_samples(X_new), before)


def test_copy_has_keras_models_of_the_same_weights(detector):
    copied = pickle.loads(pickle.dumps(detector))
    for actual, expected in zip(
        copied.vae_.get_weights(), detector.vae_.get_weights(), strict=True
    ):
        if expected.dtype == np.float32:  # all but the state of the random numbers
            np.testing.assert_array_equal(actual, expected)


def test_pickle_is_plain_data(detector):
    """Nothing of Keras or TensorFlow, whether or not the models were looked at."""
    assert detector.vae_ is not None
    strings = {
        argument
        for _, argument, _ in pickletools.genops(pickle.dumps(detector, protocol=4))
        if isinstance(argument, str)
    }
    modules = {string for string in strings if string.startswith(("keras", "tensorflow"))}
    assert modules == set()
    assert {s for s in strings if s.startswith("vae_anomaly")} == {"vae_anomaly.detector"}


def test_pipeline_ends_with_the_detector(make_detector, X, X_new, detector):
    pipeline = make_pipeline(StandardScaler(), make_detector(max_iter=3)).fit(X)
    Z = pipeline[:-1].transform(X_new)
    np.testing.assert_array_equal(pipeline.predict(X_new), pipeline[-1].predict(Z))
    np.testing.assert_array_equal(pipeline.score_samples(X_new), pipeline[-1].score_samples(Z))
    np.testing.assert_array_equal(
        pipeline.decision_function(X_new), pipeline[-1].decision_function(Z)
    )


def test_pipeline_of_the_detector_has_fit_predict(make_detector, X):
    labels = make_pipeline(StandardScaler(), make_detector(contamination=0.1)).fit_predict(X)
    assert np.mean(labels == -1) == pytest.approx(0.1, abs=0.01)


def test_detector_compresses_in_the_middle_of_a_pipeline(make_detector, labelled):
    rows, labels = labelled
    pipeline = make_pipeline(make_detector(), StandardScaler(), LogisticRegression())
    assert pipeline.fit(rows, labels).predict(rows).shape == labels.shape


def test_pipeline_inverts_the_detector(make_detector, X, X_new):
    pipeline = make_pipeline(StandardScaler(), make_detector()).fit(X)
    rebuilt = pipeline.inverse_transform(pipeline.transform(X_new))
    assert rebuilt.shape == X_new.shape


def test_column_transformer_feeds_the_detector(make_detector, mixed, preprocessing):
    pipeline = make_pipeline(preprocessing, make_detector(contamination=0.1)).fit(mixed)
    assert np.isfinite(pipeline.score_samples(mixed)).all()


def test_unknown_category_scores_finitely(make_detector, mixed, preprocessing):
    pipeline = make_pipeline(preprocessing, make_detector()).fit(mixed)
    assert np.isfinite(pipeline.score_samples(mixed.assign(city="Paris"))).all()


def test_sparse_output_of_a_column_transformer_scores_like_dense(make_detector, mixed):
    scores = [
        make_pipeline(OneHotEncoder(sparse_output=sparse), make_detector())
        .fit(mixed[["city"]])
        .score_samples(mixed[["city"]])
        for sparse in (True, False)
    ]
    np.testing.assert_array_equal(*scores)


def test_column_transformer_holds_the_detector(make_detector, frame):
    transformer = ColumnTransformer(
        [("code", make_detector(), ["a", "b", "c"])], remainder="passthrough"
    )
    transformed = transformer.set_output(transform="pandas").fit_transform(frame)
    expected = [f"code__{name}" for name in CODES] + ["remainder__d", "remainder__e"]
    assert transformed.columns.tolist() == expected


def test_feature_union_puts_codes_beside_components(make_detector, X, detector):
    union = FeatureUnion([("code", make_detector()), ("pca", PCA(2))]).fit(X)
    assert union.transform(X).shape == (len(X), 5)
    np.testing.assert_array_equal(union.transform(X)[:, :3], detector.transform(X))
    expected = [f"code__{name}" for name in CODES] + ["pca__pca0", "pca__pca1"]
    assert union.get_feature_names_out().tolist() == expected


def test_feature_union_trains_in_two_processes(make_detector, X):
    codes = [
        make_union(make_detector(), make_detector(random_state=1), n_jobs=n_jobs).fit_transform(X)
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*codes)


def test_frames_come_out_where_they_are_asked_for(make_detector, frame):
    codes = make_detector(max_iter=1).set_output(transform="pandas").fit_transform(frame)
    assert codes.columns.tolist() == CODES
    pd.testing.assert_index_equal(codes.index, frame.index)


def test_output_can_be_set_after_fit(make_detector, frame):
    detector = make_detector(max_iter=1).fit(frame)
    assert isinstance(detector.transform(frame), np.ndarray)
    assert isinstance(detector.set_output(transform="pandas").transform(frame), pd.DataFrame)


def test_pandas_frame_scores_like_its_values(frame, make_detector, X, detector):
    np.testing.assert_array_equal(
        make_detector().fit(frame).score_samples(frame), detector.score_samples(X)
    )


def test_polars_frame_scores_like_its_values(make_detector, X, detector):
    table = pl.DataFrame(X, schema=NAMES)
    other = make_detector().fit(table)
    assert other.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(other.score_samples(table), detector.score_samples(X))


def test_polars_frame_of_integers_and_flags_is_taken(make_detector):
    rng = np.random.RandomState(0)
    table = pl.DataFrame({"count": rng.poisson(3, size=50), "flag": rng.uniform(size=50) > 0.5})
    assert np.isfinite(make_detector().fit(table).score_samples(table)).all()


def test_polars_frame_comes_out_where_it_is_asked_for(make_detector, X):
    detector = make_detector(max_iter=1).set_output(transform="polars")
    codes = detector.fit_transform(pl.DataFrame(X, schema=NAMES))
    assert isinstance(codes, pl.DataFrame)
    assert codes.columns == CODES


def test_polars_frame_has_components(make_detector, X):
    table = pl.DataFrame(X, schema=NAMES)
    assert len(make_detector(max_iter=1).fit(table).score_components(table)) == len(X)


def test_weights_are_routed_through_a_pipeline(make_detector, X, X_new):
    weights = np.random.RandomState(0).randint(1, 4, size=len(X))
    expected = make_detector().fit(X, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        requesting = make_detector().set_fit_request(sample_weight=True)
        routed = make_pipeline("passthrough", requesting).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(routed.score_samples(X_new), expected.score_samples(X_new))


def test_weights_are_routed_through_a_grid_search(make_detector, X):
    weights = np.random.RandomState(0).randint(1, 4, size=len(X))
    with config_context(enable_metadata_routing=True):
        requesting = make_detector().set_fit_request(sample_weight=True)
        search = GridSearchCV(requesting, {"max_iter": [1, 3]}, cv=2)
        search.fit(X, sample_weight=weights)
    expected = make_detector(**search.best_params_).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(
        search.best_estimator_.score_samples(X), expected.score_samples(X)
    )


@pytest.mark.parametrize("method", ["score", "predict", "transform", "inverse_transform"])
def test_method_without_metadata_requests_none(method):
    assert not hasattr(VAEAnomalyDetector, f"set_{method}_request")


def test_frozen_detector_is_not_trained_again(detector, X, X_new):
    frozen = FrozenEstimator(detector)
    frozen.fit(X[:10], None)
    np.testing.assert_array_equal(frozen.score_samples(X_new), detector.score_samples(X_new))
    np.testing.assert_array_equal(frozen.predict(X_new), detector.predict(X_new))


def test_frozen_detector_compresses_in_a_pipeline(detector, labelled):
    rows, labels = labelled
    pipeline = make_pipeline(FrozenEstimator(detector), LogisticRegression()).fit(rows, labels)
    assert pipeline[0].estimator is detector


@pytest.fixture(scope="module")
def folds():
    """Shuffled halves, the same each time."""
    return KFold(2, shuffle=True, random_state=0)


def test_cross_validation_without_labels_agrees_between_processes(make_detector, X, folds):
    in_one, in_two = (
        cross_val_score(make_detector(), X, cv=folds, n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(in_one, in_two)


def test_cross_validation_with_labels_agrees_between_processes(make_detector, labelled, folds):
    scorer = make_outlier_scorer(roc_auc_score)
    in_one, in_two = (
        cross_val_score(make_detector(), *labelled, scoring=scorer, cv=folds, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(in_one, in_two)


def test_grid_search_without_labels_finds_the_longer_training(make_detector, X, folds):
    search = GridSearchCV(make_detector(), {"max_iter": [1, 100]}, cv=folds, n_jobs=2)
    assert search.fit(X).best_params_ == {"max_iter": 100}


def test_grid_search_with_labels_finds_the_longer_training(make_detector, labelled, folds):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), make_detector(batch_size=16)),
        {"vaeanomalydetector__max_iter": [1, 100]},
        scoring=make_outlier_scorer(roc_auc_score),
        cv=folds,
        n_jobs=2,
    )
    assert search.fit(*labelled).best_params_ == {"vaeanomalydetector__max_iter": 100}
    assert set(search.predict(labelled[0])) <= {-1, 1}


def test_cross_validated_scores_are_those_of_the_folds(make_detector, X, folds):
    scores = cross_val_predict(make_detector(), X, cv=folds, method="decision_function")
    train, test = next(folds.split(X))
    expected = make_detector().fit(X[train]).decision_function(X[test])
    np.testing.assert_array_equal(scores[test], expected)


def test_roc_auc_by_name_rewards_the_worst_detector(trained, labelled):
    """Why `make_outlier_scorer` is there."""
    assert get_scorer("roc_auc")(trained, *labelled) < 0.2
    assert make_outlier_scorer(roc_auc_score)(trained, *labelled) > 0.8


@pytest.mark.parametrize(
    ("inlier", "outlier", "pos_label"),
    [(0, 1, None), (False, True, None), (1, -1, None), ("good", "bad", "bad"), (1, 0, 0)],
    ids=str,
)
def test_scorer_knows_the_label_of_the_outliers(trained, labelled, inlier, outlier, pos_label):
    rows, labels = labelled
    y = np.where(labels == 1, outlier, inlier)
    expected = roc_auc_score(labels, -trained.score_samples(rows))
    assert make_outlier_scorer(roc_auc_score, pos_label=pos_label)(trained, rows, y) == expected


def test_scorer_takes_other_metrics(trained, labelled):
    rows, labels = labelled
    expected = average_precision_score(labels, -trained.score_samples(rows))
    assert make_outlier_scorer(average_precision_score)(trained, rows, labels) == expected


def test_scorer_passes_its_arguments_to_the_metric(trained, labelled):
    rows, labels = labelled
    expected = roc_auc_score(labels, -trained.score_samples(rows), max_fpr=0.1)
    assert make_outlier_scorer(roc_auc_score, max_fpr=0.1)(trained, rows, labels) == expected


def test_scorer_takes_other_detectors(labelled):
    rows, labels = labelled
    forest = IsolationForest(random_state=0).fit(rows[labels == 0])
    expected = roc_auc_score(labels, -forest.score_samples(rows))
    assert make_outlier_scorer(roc_auc_score)(forest, rows, labels) == expected


def test_scorer_refuses_labels_that_do_not_say_which_is_the_outlier(trained, labelled):
    rows, labels = labelled
    with pytest.raises(ValueError, match="pos_label"):
        make_outlier_scorer(roc_auc_score)(trained, rows, labels.astype(str))


def test_scorer_refuses_labels_of_one_class(trained, labelled):
    rows, labels = labelled
    with pytest.raises(ValueError, match="two classes"):
        make_outlier_scorer(roc_auc_score)(trained, rows, np.zeros_like(labels))


def test_scorer_can_be_pickled(trained, labelled):
    scorer = make_outlier_scorer(roc_auc_score, pos_label=1)
    assert pickle.loads(pickle.dumps(scorer))(trained, *labelled) == scorer(trained, *labelled)


def test_detector_draws_itself_in_a_notebook(detector):
    assert "VAEAnomalyDetector" in detector._repr_html_()
