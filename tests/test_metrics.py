"""Scorers for model selection, by labels and from the scores alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import brier_score_loss, f1_score, recall_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    AlarmCost,
    TunedThresholdDetectorCV,
    get_outlier_scorer,
    make_excess_mass_scorer,
    make_mass_volume_scorer,
    make_outlier_scorer,
)
from vae_anomaly.thresholds.metrics import outlier_indicator


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.RandomState(0)
    X = np.concatenate([rng.randn(190, 2), 4 + rng.randn(10, 2)])
    return X, np.repeat([0, 1], [190, 10])


@pytest.fixture(scope="module")
def forest(labelled):
    return IsolationForest(n_estimators=30, random_state=0).fit(labelled[0])


@pytest.fixture(scope="module")
def two_blobs():
    """Rows of two far blobs: one normal fits them badly, two fit them well."""
    rng = np.random.RandomState(0)
    return np.concatenate([rng.randn(200, 2) - 6, rng.randn(200, 2) + 6])[rng.permutation(400)]


@pytest.mark.parametrize(
    "y",
    [
        [0, 1, None],
        [0.0, 1.0, np.nan],
        np.array([False, True, None], dtype=object),
        pd.array([0, 1, pd.NA], dtype="Int64"),
        pd.Series([1, -1, None]),
        pd.Series([False, True, None], dtype="boolean"),
    ],
    ids=["None", "nan", "object", "Int64", "Series", "boolean"],
)
def test_labels_may_be_missing(y):
    np.testing.assert_array_equal(outlier_indicator(y), [0, 1, np.nan])


def test_text_labels_may_be_missing():
    y = pd.Series(["ok", "bad", None], dtype="category")
    np.testing.assert_array_equal(outlier_indicator(y, "bad"), [0, 1, np.nan])


def test_labels_of_mixed_types_are_refused():
    with pytest.raises(ValueError, match="one type; y mixes int, str"):
        outlier_indicator(np.array([0, "1", 1], dtype=object))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "f1", "recall"])
def test_rows_without_a_label_are_left_out_of_a_score(forest, labelled, name):
    X, y = labelled
    partly = np.where(np.arange(len(y)) % 3, y, np.nan)
    known = ~np.isnan(partly)
    scorer = get_outlier_scorer(name)
    assert scorer(forest, X, partly) == scorer(forest, X[known], y[known])


def test_decisions_are_scored(forest, labelled):
    X, y = labelled
    expected = f1_score(y, forest.predict(X) == -1)
    assert get_outlier_scorer("f1")(forest, X, y) == expected
    assert get_outlier_scorer("f1", pos_label="a")(forest, X, np.where(y, "a", "b")) == expected


def test_an_objective_scores_decisions(forest, labelled):
    X, y = labelled
    cost = make_outlier_scorer(AlarmCost(missed=19, false_alarm=1), response_method="predict")
    found = recall_score(y, forest.predict(X) == -1)
    false_alarms = np.sum(forest.predict(X)[y == 0] == -1)
    assert cost(forest, X, y) == pytest.approx(-(19 * 10 * (1 - found) + false_alarms) / 200)


def test_probabilities_are_scored(labelled):
    X, y = labelled
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), calibration="sigmoid")
    scorer = make_outlier_scorer(
        brier_score_loss, response_method="predict_proba", greater_is_better=False
    )
    assert -0.03 < scorer(tuned.fit(X, y), X, y) < 0


def test_an_unknown_scorer_names_those_there_are():
    with pytest.raises(ValueError, match=r"there are average_precision, .*roc_auc"):
        get_outlier_scorer("auc")


def test_an_unknown_response_is_refused():
    with pytest.raises(ValueError, match="response_method must be one of"):
        make_outlier_scorer(f1_score, response_method="transform")


def test_scorers_say_what_they_are():
    assert "f1_score, response_method='predict'" in repr(get_outlier_scorer("f1"))
    assert repr(make_mass_volume_scorer()).startswith("make_mass_volume_scorer(")


@pytest.mark.parametrize("name", ["excess_mass", "mass_volume"])
def test_grid_search_without_labels_finds_the_model_that_made_the_rows(two_blobs, name):
    search = GridSearchCV(
        GaussianMixture(random_state=0),
        {"n_components": [1, 2]},
        scoring=get_outlier_scorer(name),
        cv=3,
    ).fit(two_blobs)
    assert search.best_params_ == {"n_components": 2}


@pytest.mark.parametrize("name", ["excess_mass", "mass_volume"])
def test_a_volume_score_takes_pipelines_frames_and_any_unit(two_blobs, name):
    frame = pd.DataFrame(two_blobs, columns=["a", "b"])
    scorer = get_outlier_scorer(name)
    scores = [
        scorer(make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0)).fit(X), X)
        for X in (frame, 1000 * frame)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_mass_volume_of_uniform_rows_is_the_mass():
    """Every level set of the first coordinate holds as much volume as mass."""
    X = np.random.RandomState(0).uniform(size=(5000, 1))

    class First:
        def score_samples(self, X):
            return X[:, 0]

    assert make_mass_volume_scorer()(First(), X) == pytest.approx(-0.95, abs=0.01)


def test_excess_mass_of_uniform_rows_is_a_triangle():
    """EM(t) = 1 - t, which falls below 0.9 at t = 0.1: the area is 0.095."""
    X = np.random.RandomState(0).uniform(size=(5000, 1))

    class First:
        def score_samples(self, X):
            return X[:, 0]

    assert make_excess_mass_scorer()(First(), X) == pytest.approx(0.095, abs=0.01)


def test_volumes_in_many_dimensions_are_warned_of():
    X = np.random.RandomState(0).randn(300, 60)
    mixture = GaussianMixture().fit(X)
    with pytest.warns(UserWarning, match="In 60 dimensions this criterion cannot compare"):
        get_outlier_scorer("mass_volume")(mixture, X)


@pytest.mark.parametrize("make", [make_excess_mass_scorer, make_mass_volume_scorer])
@pytest.mark.parametrize(
    "parameter", [{"n_generated": -1}, {"n_generated": 0}, {"random_state": -1}]
)
def test_a_number_of_rows_that_is_none_is_refused(make, parameter):
    (name,) = parameter
    with pytest.raises(ValueError, match=f"The '{name}' parameter of make_.* must be an int"):
        make(**parameter)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_outlier_scorer("f1"), "'score_func' parameter .* must be a callable"),
        (lambda: make_outlier_scorer(f1_score, greater_is_better=3), "'greater_is_better'"),
        (lambda: make_outlier_scorer(f1_score, pos_label=[1]), "'pos_label' parameter"),
        (lambda: make_outlier_scorer(f1_score, response_method=None), "'response_method'"),
        (lambda: get_outlier_scorer(f1_score), "'name' parameter of get_outlier_scorer"),
        (lambda: get_outlier_scorer("f1", pos_label=[1]), "'pos_label' parameter"),
    ],
)
def test_wrong_arguments_of_scorers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_weights_are_passed_to_the_metric(forest, labelled):
    X, y = labelled
    weight = np.where(y, 5, 1)
    expected = recall_score(y, forest.predict(X) == -1, sample_weight=weight)
    assert get_outlier_scorer("recall")(forest, X, y, sample_weight=weight) == expected
    cost = make_outlier_scorer(AlarmCost(missed=2, false_alarm=1), response_method="predict")
    again = np.repeat(np.arange(len(y)), weight)
    assert cost(forest, X, y, sample_weight=weight) == pytest.approx(
        cost(forest, X[again], y[again])
    )


def test_a_metric_of_decisions_names_the_response_that_it_needs():
    X = np.arange(20.0)[:, None]
    scorer = make_outlier_scorer(f1_score)
    with pytest.raises(ValueError, match=r"f1_score judges decisions.*response_method=.predict."):
        scorer(IsolationForest(random_state=0).fit(X), X, np.repeat([0, 1], [15, 5]))
