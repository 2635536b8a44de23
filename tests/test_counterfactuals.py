"""Counterfactuals: changes that make rows normal, few and within the range of training."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from vae_anomaly import FixedThresholdDetector, WindowedDetector, counterfactuals


@pytest.fixture(scope="module")
def moved(trained, X_new):
    """Rows in which one column each is far from what the others tell."""
    column = np.arange(len(X_new)) % 5
    moved = X_new.copy()
    moved[np.arange(len(X_new)), column] += 6 * trained.scale_[column]
    return moved


def make_table(n_rows, seed=0):
    rng = np.random.RandomState(seed)
    t = rng.uniform(0, 6, size=n_rows)
    return pd.DataFrame(
        {
            "t": t,
            "count": np.round(20 * t).astype(int),
            "third": pd.Categorical(np.choose((t // 2).astype(int), ["low", "mid", "high"])),
            "sin": np.sin(t) + 0.05 * rng.randn(n_rows),
        }
    )


@pytest.fixture(scope="module")
def mixed(make_detector):
    detector = make_detector(hidden_layer_sizes=(32, 32), max_iter=200, observation_noise=0.2)
    return detector.fit(make_table(600))


def test_most_counterparts_are_normal_after_few_changes(trained, moved):
    found = trained.counterfactuals(moved)
    is_alarm = trained.predict(moved) == -1
    assert is_alarm.mean() > 0.9
    assert found.is_normal[is_alarm].mean() >= 0.95
    n_changes = found.changes.groupby(level=0).size()
    assert (n_changes <= 3).mean() > 0.5
    np.testing.assert_array_equal(trained.predict(found.rows.to_numpy()) == 1, found.is_normal)


def test_the_scores_of_the_last_changes_are_those_of_the_counterparts(trained, moved):
    found = trained.counterfactuals(moved)
    last = found.changes["score"].groupby(level=0).last()
    np.testing.assert_array_equal(last, found.new_score[last.index])
    np.testing.assert_array_equal(found.score, -trained.score_samples(moved))


def test_each_change_keeps_those_before_it(make_detector, X, X_new):
    detector = make_detector(support_fraction=1.0, max_iter=100).fit(X)
    moved = X_new[:30].copy()
    moved[:, [0, 3]] += [8, -40]
    found = detector.counterfactuals(moved)
    row, changes = max(found.changes.groupby(level=0), key=lambda group: len(group[1]))
    assert len(changes) >= 2
    step = moved[row].copy()
    for column, value, score in zip(
        changes["column"], changes["changed_to"], changes["score"], strict=True
    ):
        step[int(column[1:])] = value
        assert -detector.score_samples(step[None])[0] == score


def test_counterparts_stay_within_the_range_of_training(trained, X, moved):
    rows = trained.counterfactuals(moved).rows.to_numpy()
    is_changed = rows != moved
    inside = (rows >= X.min(axis=0)) & (rows <= X.max(axis=0))
    assert inside[is_changed].all()


def test_normal_rows_are_left_as_they_are(trained, X):
    rows = X[np.argsort(-trained.score_samples(X))[:5]]
    found = trained.counterfactuals(rows)
    np.testing.assert_array_equal(found.rows, rows)
    assert len(found.changes) == 0
    assert "is normal as it is" in found.text()[0]


def test_the_number_of_changes_can_be_limited(trained, X_new):
    far = X_new[:5] + 9 * trained.scale_ * [1, -1, 1, -1, 1]
    found = trained.counterfactuals(far, max_changes=1)
    assert (found.changes.groupby(level=0).size() == 1).all()
    assert "still above the threshold" in found.text()[0]
    with pytest.raises(ValueError, match="max_changes must be at least 1"):
        trained.counterfactuals(far, max_changes=0)


def test_levels_and_whole_numbers_are_changed_to_such(mixed):
    rows = make_table(20, seed=1)
    rows["count"] += 300
    rows["third"] = pd.Categorical(["low"] * 20, categories=["low", "mid", "high"])
    found = mixed.counterfactuals(rows)
    assert found.is_normal.all()
    assert found.rows.dtypes.tolist() == rows.dtypes.tolist()
    changed_to = found.changes.groupby("column")["changed_to"].agg(list)
    assert set(changed_to["third"]) <= {"low", "mid", "high"}
    assert all(value == round(value) for value in changed_to["count"])
    sentence = found.text(units={"count": "pieces"})[0]
    assert sentence.startswith("With ")
    assert "pieces instead of" in sentence
    assert sentence.endswith(f"below the threshold {-mixed.offset_:.3g}.")


def test_a_missing_cell_can_be_filled_in(make_detector, curve):
    X = curve(600)
    X[::40, 2] = np.nan
    detector = make_detector(support_fraction=1.0, max_iter=100).fit(X)
    rows = curve(20, seed=3)
    rows[:, 2] = np.nan
    assert (detector.predict(rows) == -1).all()
    found = detector.counterfactuals(rows)
    assert found.is_normal.mean() >= 0.9
    assert (found.changes["column"] == "x2").any()


def test_changes_behind_a_pipeline_are_in_the_columns_of_the_user(make_detector):
    table = make_table(600)
    table.loc[::50, "sin"] = np.nan
    step = make_column_transformer(
        (OneHotEncoder(), ["third"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["sin", "t"]),
        (StandardScaler(), ["count"]),
    )
    detector = make_detector(hidden_layer_sizes=(32, 32), max_iter=200)
    model = FixedThresholdDetector(make_pipeline(step, detector)).fit(table)
    rows = make_table(20, seed=1)
    rows["t"] += 6
    found = counterfactuals(model, rows)
    assert found.is_normal.mean() >= 0.95
    np.testing.assert_array_equal(found.new_score, -model.score_samples(found.rows))
    assert found.changes["column"].mode().tolist() == ["t"]


def test_only_steps_that_can_be_undone_allow_changes(make_detector, X):
    squares = FunctionTransformer(np.square, feature_names_out="one-to-one")
    model = make_pipeline(squares, make_detector(max_iter=2)).fit(X)
    with pytest.raises(ValueError, match="No column can be changed"):
        counterfactuals(model, X[:3] + 100)


def test_time_points_have_no_counterfactuals(make_detector, X):
    detector = WindowedDetector(make_detector(max_iter=1), window_size=4).fit(X)
    with pytest.raises(TypeError, match="takes rows, not time points"):
        counterfactuals(detector, X)
