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


@pytest.fixture(scope="module")
def wide(make_detector):
    """Counterparts of rows of 30 columns, of which one is abnormal in the first, else many."""
    rng = np.random.RandomState(0)
    X = rng.randn(300, 3) @ rng.randn(3, 30) + 0.3 * rng.randn(300, 30)
    detector = make_detector(max_iter=50).fit(X)
    rows = X[:12] + 1.5 * np.arange(1, 13)[:, None] * rng.randn(12, 30)
    rows[0] = X[0]
    rows[0, 4] += 40
    return detector, detector.counterfactuals(rows), rows


def test_the_changes_end_with_the_first_normal_score(wide):
    _, found, _ = wide
    assert found.is_normal.all()
    assert found.changes.groupby(level=0).size().max() > 10
    is_last = ~found.changes.index.get_level_values(0).duplicated(keep="last")
    np.testing.assert_array_equal(found.changes["score"] <= found.threshold, is_last)


def test_none_of_the_changes_can_be_spared(wide):
    detector, found, rows = wide
    normal = found.rows.to_numpy()
    for row in np.unique(found.changes.index.get_level_values(0)):
        columns = np.flatnonzero(normal[row] != rows[row])
        without = np.repeat(normal[[row]], len(columns), axis=0)
        without[np.arange(len(columns)), columns] = rows[row, columns]
        assert (detector.predict(without) == -1).all()


def test_a_sentence_tells_few_changes_or_says_that_there_are_many(wide):
    _, found, _ = wide
    n_changes = found.changes.groupby(level=0).size()
    text = found.text()
    many = text[n_changes.idxmax()]
    assert many.startswith("No change of a few columns was found that makes the row normal.")
    assert f"With changes in {n_changes.max()} of 30 columns, among them x" in many
    assert many.count("instead of") == 4
    assert text[0].startswith("With x4 ")


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
    assert repr(found) == "Counterfactuals of 5 rows, 5 of them normal"
    with pytest.raises(TypeError, match="units must be a mapping"):
        found.text(units="min")


def test_the_number_of_changes_can_be_limited(trained, X_new):
    far = X_new[:5] + 9 * trained.scale_ * [1, -1, 1, -1, 1]
    found = trained.counterfactuals(far, max_changes=1)
    assert (found.changes.groupby(level=0).size() == 1).all()
    assert "still above the threshold" in found.text()[0]
    with pytest.raises(ValueError, match="max_changes == 0, must be >= 1"):
        trained.counterfactuals(far, max_changes=0)


def test_levels_and_whole_numbers_are_changed_to_such(mixed):
    rows = make_table(20, seed=1)
    rows["count"] += 300
    rows["third"] = pd.Categorical(["low"] * 20, categories=["low", "mid", "high"])
    found = mixed.counterfactuals(rows)
    assert found.is_normal.all()
    assert found.rows.dtypes.tolist() == rows.dtypes.tolist()
    changed_to = found.changes.groupby("column")["changed_to"].agg(list)
    assert all(value == round(value) for value in changed_to["count"])
    sentence = found.text(units={"count": "pieces"})[0]
    assert sentence.startswith("With ")
    assert "pieces instead of" in sentence
    assert sentence.endswith(f"below the threshold {-mixed.offset_:.3g}.")
    all_changed = counterfactuals(FixedThresholdDetector(mixed, threshold=1e9), rows).changes
    levels = all_changed.loc[all_changed["column"] == "third", "changed_to"]
    assert len(levels)
    assert set(levels) <= {"low", "mid", "high"}


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
    with pytest.raises(ValueError, match=r"the steps .* mix columns or cannot be undone"):
        counterfactuals(model, X[:3] + 100)


def test_rows_that_share_a_label_have_sentences_of_their_own(trained, moved):
    rows = pd.DataFrame(moved[:8])
    found = trained.counterfactuals(rows.to_numpy())
    named = pd.DataFrame(moved[:8], index=[0] * 8, columns=found.rows.columns)
    with pytest.warns(UserWarning, match="feature names"):
        same = trained.counterfactuals(named)
    assert same.text().tolist() == found.text().tolist()


def test_no_change_is_made_that_changes_nothing_or_comes_after_the_lowest_score(mixed):
    rows = make_table(20, seed=1)
    rows["t"] += 3
    model = FixedThresholdDetector(mixed, threshold=1e9)  # so that all columns are tried
    found = counterfactuals(model, rows)
    assert not found.is_normal.any()
    assert (found.changes["observed"] != found.changes["changed_to"]).all()
    for row, scores in found.changes["score"].groupby(level=0):
        assert scores.idxmin() == scores.index[-1]
        assert scores.index.get_level_values(1).tolist() == list(range(1, len(scores) + 1))
        assert scores.iloc[-1] == found.new_score[row] < found.score[row]
    np.testing.assert_array_equal(found.new_score, -mixed.score_samples(found.rows))
    n_changes = found.changes.groupby(level=0).size()
    assert n_changes.between(1, 3).any()


def test_a_row_whose_score_no_change_lowers_stays_as_it_is(trained, X_new):
    model = FixedThresholdDetector(trained, threshold=1e9)
    best = counterfactuals(model, X_new[:3]).rows.to_numpy()
    for _ in range(5):
        found = counterfactuals(model, best)
        best = found.rows.to_numpy()
    is_same = (found.new_score == found.score).to_numpy()
    assert is_same.any()
    assert found.text()[is_same].str.startswith("No change lowers the score").all()


@pytest.mark.parametrize("dtype", ["float32", "int64", "Int64", "Float64", "boolean", "bool"])
@pytest.mark.parametrize("is_behind_a_step", [False, True])
def test_changes_fit_the_types_of_columns(make_detector, dtype, is_behind_a_step):
    t = np.random.RandomState(0).uniform(0, 6, size=400)
    table = pd.DataFrame({"t": t, "sin": np.sin(t), "y": np.round(10 * t)})
    if dtype in ("boolean", "bool"):
        table["y"] = t > 3
    table = table.astype({"y": dtype})
    detector = make_detector(hidden_layer_sizes=(32,), max_iter=100, observation_noise=0.1)
    model = make_pipeline(StandardScaler(), detector) if is_behind_a_step else detector
    model.fit(table)
    rows = table.head(20).copy()
    rows["y"] = ~rows["y"] if "bool" in dtype else rows["y"] + 100
    found = counterfactuals(model, rows)
    changed_to = found.changes.loc[found.changes["column"] == "y", "changed_to"]
    assert len(changed_to)
    has_fractions = is_behind_a_step and dtype in ("int64", "Int64")
    expected = dtype.replace("int", "float").replace("Int", "Float") if has_fractions else dtype
    assert found.rows["y"].dtype == expected
    np.testing.assert_array_equal(found.new_score, -model.score_samples(found.rows))
    if "bool" in dtype:
        assert all(isinstance(value, bool) for value in changed_to)


@pytest.mark.parametrize("max_changes", [1.5, "2"])
def test_the_number_of_changes_is_an_integer(trained, X_new, max_changes):
    with pytest.raises(TypeError, match="max_changes must be an instance of int"):
        trained.counterfactuals(X_new, max_changes=max_changes)


def test_time_points_have_no_counterfactuals(make_detector, X):
    detector = WindowedDetector(make_detector(max_iter=1), window_size=4).fit(X)
    with pytest.raises(TypeError, match="takes rows, not time points"):
        counterfactuals(detector, X)
