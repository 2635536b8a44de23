"""Explanations: contributions that sum to the score, in the user's columns; reasons; sentences."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    StandardScaler,
)

from vae_anomaly import (
    ContributionsDisplay,
    FixedThresholdDetector,
    WindowedDetector,
    counterfactuals,
    explain,
)

ATTRIBUTIONS = ["terms", "hiding"]


def check_sums(explanation, scores, rtol=1e-9):
    sums = explanation.contributions.sum(axis=1).to_numpy()
    scale = np.abs(explanation.contributions.to_numpy()).sum(axis=1)
    assert (np.abs(sums + scores) <= rtol * scale).all()
    np.testing.assert_allclose(explanation.score, -scores, rtol=1e-9, atol=1e-9)


def make_table(n_rows, seed=0):
    """Make rows with numbers, categories of three and of two levels, and a few missing cells."""
    rng = np.random.RandomState(seed)
    t = rng.uniform(0, 6, size=n_rows)
    table = pd.DataFrame(
        {
            "t": t,
            "sin": np.sin(t) + 0.05 * rng.randn(n_rows),
            "third": pd.Categorical(np.choose((t // 2).astype(int), ["low", "mid", "high"])),
            "half": pd.Categorical(np.where(t < 3, "left", "right")),
            "noise": rng.randn(n_rows),
        }
    )
    table.loc[rng.uniform(size=n_rows) < 0.03, "noise"] = np.nan
    return table


@pytest.fixture(scope="module")
def table():
    return make_table(600)


@pytest.fixture(scope="module")
def new():
    return make_table(60, seed=1)


@pytest.fixture(scope="module")
def holes(new):
    """Rows in which a fifth of the cells is missing."""
    rng = np.random.RandomState(2)
    return new.mask(rng.uniform(size=new.shape) < 0.2)


@pytest.fixture(scope="module")
def mixed(make_detector, table):
    """A detector of numbers, categories and a missing indicator, with a measured calibration."""
    detector = make_detector(
        hidden_layer_sizes=(32, 32), max_iter=200, observation_noise=0.2, support_fraction=1.0
    )
    return detector.fit(table)


SETTINGS = {
    "mse": {},
    "gaussian": {"reconstruction_loss": "gaussian"},
    "binary_crossentropy": {"reconstruction_loss": "binary_crossentropy"},
    "beta": {"beta": 3.0},
    "no draws": {"n_draws": 0},
    "plain": {"variational": False},
    "linear": {"hidden_layer_sizes": ()},
    "conv": {"architecture": "conv", "input_shape": (5, 1), "hidden_layer_sizes": (4,)},
    "lstm": {"architecture": "lstm", "input_shape": (5, 1), "hidden_layer_sizes": (4,)},
    "gru": {"architecture": "gru", "input_shape": (5, 1), "hidden_layer_sizes": (4,)},
}


@pytest.fixture(scope="module", params=SETTINGS)
def fitted(request, make_detector, X):
    """A detector of each kind, and rows with and without holes for it."""
    rows = MinMaxScaler().fit_transform(X)
    detector = make_detector(**({"max_iter": 3, "contamination": 0.1} | SETTINGS[request.param]))
    holes = rows[:40].copy()
    holes[np.random.RandomState(0).uniform(size=holes.shape) < 0.2] = np.nan
    return detector.fit(rows), np.vstack([rows[:40], holes])


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_contributions_sum_to_the_score_with_every_network_and_likelihood(fitted, attribution):
    detector, rows = fitted
    explanation = detector.explain(rows, attribution=attribution)
    check_sums(explanation, detector.score_samples(rows))


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_contributions_sum_to_the_calibrated_score_of_rows_with_holes(mixed, holes, attribution):
    assert mixed._vae.calibration.exponent != 0
    explanation = mixed.explain(holes, attribution=attribution)
    check_sums(explanation, mixed.score_samples(holes))
    assert explanation.contributions.columns.tolist()[:-1] == holes.columns.tolist()


def test_contributions_of_the_latent_dimensions_sum_to_that_of_the_code(mixed, new):
    explanation = mixed.explain(new)
    assert explanation.latent.shape == (60, mixed.latent_dim_)
    np.testing.assert_allclose(
        explanation.latent.sum(axis=1), explanation.contributions["(code)"], rtol=1e-12
    )


def test_a_column_contributes_its_term_of_the_loss(make_detector, X, X_new):
    detector = make_detector(n_draws=0, reconstruction_loss="mse").fit(X)
    error = (X_new - detector.reconstruct(X_new)) / detector.scale_ / detector.observation_noise
    contributions = detector.explain(X_new).contributions.to_numpy()[:, :-1]
    np.testing.assert_allclose(contributions, error**2 / 2, rtol=1e-3, atol=1e-4)


def test_explaining_leaves_the_scores_as_they_are(mixed, holes):
    before = mixed.score_samples(holes)
    mixed.explain(holes, attribution="hiding")
    np.testing.assert_array_equal(mixed.score_samples(holes), before)


def test_an_explanation_does_not_depend_on_the_other_rows(mixed, holes):
    for attribution in ATTRIBUTIONS:
        together = mixed.explain(holes, attribution=attribution).contributions
        alone = mixed.explain(holes.iloc[[7]], attribution=attribution).contributions
        np.testing.assert_array_equal(together.iloc[[7]], alone)


def test_hiding_tells_what_the_score_loses_without_a_column(make_detector, X, X_new):
    detector = make_detector(max_iter=100, missing_indicator=False).fit(X)
    explanation = detector.explain(X_new, attribution="hiding")
    hidden = X_new.copy()
    hidden[:, 3] = np.nan
    lost = detector.score_samples(hidden) - detector.score_samples(X_new)
    np.testing.assert_allclose(explanation.contributions["x3"], lost, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_a_moved_column_contributes_most(trained, X_new, attribution):
    column = np.arange(len(X_new)) % 5
    moved = X_new.copy()
    moved[np.arange(len(X_new)), column] += 6 * trained.scale_[column]
    contributions = trained.explain(moved, attribution=attribution).contributions
    found = contributions.to_numpy()[:, :5].argmax(axis=1) == column
    assert found.mean() >= 0.9


def test_hiding_expects_what_the_other_columns_tell(trained, X_new):
    moved = X_new.copy()
    moved[:, 1] += 3
    expected = trained.explain(moved, attribution="hiding").expected["x1"]
    assert np.abs(expected - X_new[:, 1]).median() < 0.2


def test_a_missing_cell_that_is_hardly_ever_missing_is_a_reason(mixed, new):
    missing = new.assign(noise=np.nan)
    reasons = mixed.explain(missing, attribution="hiding").reasons(2)
    assert (reasons["column"] == "noise").groupby(level=0).any().mean() > 0.9


def test_what_two_columns_say_alike_is_found(make_detector):
    rng = np.random.RandomState(0)
    value = rng.randn(600)
    X = np.column_stack([value, value, rng.randn(600, 3)]) + 0.1 * rng.randn(600, 5)
    detector = make_detector(hidden_layer_sizes=(32, 32), max_iter=100).fit(X)
    moved = X[:20].copy()
    moved[:, :2] += 8
    explanation = detector.explain(moved, attribution="hiding")
    check_sums(explanation, detector.score_samples(moved))
    largest = explanation.contributions.iloc[:, :5].idxmax(axis=1)
    assert largest.isin(["x0", "x1"]).mean() > 0.9
    assert (explanation.expected[["x0", "x1"]] < 4).mean(axis=None) > 0.9


def test_columns_of_a_one_hot_group_are_hidden_together(make_detector, X):
    level = np.arange(len(X)) % 3
    rows = np.column_stack([X, np.eye(3)[level]])
    detector = make_detector().fit(rows)
    assert detector.one_hot_groups_ == ((5, 8),)
    explanation = detector.explain(rows[:20], attribution="hiding")
    check_sums(explanation, detector.score_samples(rows[:20]))
    hot = explanation.contributions.to_numpy()[np.arange(20), 5 + level[:20]]
    assert (hot >= explanation.contributions.iloc[:, 5:8].max(axis=1)).all() or (hot < 0).any()


def test_expected_values_have_the_units_and_levels_of_the_table(mixed, new):
    for attribution in ATTRIBUTIONS:
        explanation = mixed.explain(new, attribution=attribution)
        assert explanation.expected.columns.tolist() == new.columns.tolist()
        assert set(explanation.expected["half"]) <= {"left", "right"}
        assert explanation.expected["t"].between(-2, 8).all()
        pd.testing.assert_frame_equal(explanation.observed, new)


def test_usual_values_are_quantiles_and_frequent_levels(mixed, table, new):
    usual = mixed.explain(new).usual
    low, high = usual.loc["t", ["low", "high"]]
    assert low == pytest.approx(table["t"].quantile(0.05), abs=0.1)
    assert high == pytest.approx(table["t"].quantile(0.95), abs=0.1)
    assert set(usual.loc["third", "levels"]) == {"low", "mid", "high"}
    assert usual.loc["third", ["low", "high"]].isna().all()


def test_sample_weights_count_in_the_usual_values(make_detector):
    X = np.linspace(0, 1, 100)[:, None] * [1, 2]
    weight = np.where(X[:, 0] < 0.5, 1.0, 1e-6)
    detector = make_detector(max_iter=1, contamination=0.1).fit(X, sample_weight=weight)
    assert detector.explain(X[:2]).usual["high"].tolist() == pytest.approx([0.47, 0.94], abs=0.02)


def test_usual_values_of_batches_are_those_of_all_rows(make_detector, X):
    whole = make_detector(max_iter=1, contamination=0.1).fit(X)
    batches = make_detector(max_iter=1, contamination=0.1).fit_batches(np.array_split(X, 4))
    pd.testing.assert_frame_equal(whole.explain(X[:3]).usual, batches.explain(X[:3]).usual)


def test_explanations_survive_pickling(mixed, new):
    copy = pickle.loads(pickle.dumps(mixed))
    for attribution in ATTRIBUTIONS:
        before, after = (d.explain(new, attribution=attribution) for d in (mixed, copy))
        pd.testing.assert_frame_equal(before.contributions, after.contributions)
        pd.testing.assert_frame_equal(before.usual, after.usual)


def test_partial_fit_averages_the_usual_values_of_its_calls(make_detector, X):
    detector = make_detector().partial_fit(X[:200])
    first = detector.explain(X[:2]).usual
    both = detector.partial_fit(X[:200] + 9).explain(X[:2]).usual
    for bound in ("low", "high"):
        np.testing.assert_allclose(both[bound].astype(float), first[bound].astype(float) + 4.5)


def test_sparse_rows_and_polars_frames_are_explained(make_detector, X, table):
    polars = pytest.importorskip("polars")
    detector = make_detector(max_iter=2, contamination=0.1).fit(sp.csr_array(X))
    check_sums(detector.explain(sp.csr_array(X[:9])), detector.score_samples(X[:9]))
    numbers = table[["t", "sin"]]
    frame = polars.DataFrame(numbers.to_dict("list"))
    detector = make_detector(max_iter=2, contamination=0.1).fit(frame)
    explanation = detector.explain(frame)
    check_sums(explanation, detector.score_samples(frame))
    assert explanation.observed.columns.tolist() == ["t", "sin"]


def test_images_are_explained_in_their_shape(make_detector):
    images = np.random.RandomState(0).uniform(size=(60, 4, 4, 1))
    detector = make_detector(input_shape=(4, 4, 1), max_iter=2, contamination=0.1).fit(images)
    explanation = detector.explain(images[:7])
    check_sums(explanation, detector.score_samples(images[:7]))
    assert explanation.in_sample_shape.shape == (7, 4, 4, 1)
    np.testing.assert_array_equal(
        explanation.in_sample_shape.reshape(7, 16), explanation.contributions.iloc[:, :16]
    )


def test_rows_of_a_table_have_no_sample_shape(mixed, new):
    with pytest.raises(AttributeError, match="no input_shape"):
        mixed.explain(new).in_sample_shape  # noqa: B018


# Pipelines


def fit_pipeline(make_detector, step, table):
    detector = make_detector(max_iter=20, contamination=0.1, categorical_features=None)
    return make_pipeline(step, detector).fit(table)


def test_contributions_fold_back_through_encoders_imputers_and_scalers(make_detector, table, new):
    step = make_column_transformer(
        (OneHotEncoder(), ["third", "half"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["noise", "t"]),
        (PowerTransformer(), ["sin"]),
    )
    model = fit_pipeline(make_detector, step, table)
    assert model[-1].n_features_in_ == 9
    for attribution in ATTRIBUTIONS:
        explanation = explain(model, new, attribution=attribution)
        check_sums(explanation, model.score_samples(new))
        assert explanation.contributions.columns.tolist()[:-1] == table.columns.tolist()
        pd.testing.assert_frame_equal(explanation.observed, new)
        assert set(explanation.expected["third"]) <= {"low", "mid", "high"}
        assert explanation.expected["t"].between(-3, 9).all()
        assert explanation.usual.loc["t", "high"] == pytest.approx(5.7, abs=0.2)
        assert explanation.notes == ()


@pytest.mark.parametrize("drop", ["first", "if_binary"])
def test_levels_that_an_encoder_drops_can_be_expected(make_detector, table, new, drop):
    step = make_column_transformer(
        (OneHotEncoder(drop=drop), ["third", "half"]), ("passthrough", ["t"])
    )
    model = make_pipeline(
        step, make_detector(hidden_layer_sizes=(32,), max_iter=300, contamination=0.1)
    ).fit(table)
    expected = explain(model, new).expected
    assert (expected["third"] == new["third"].astype(str)).mean() > 0.9
    assert (expected["half"] == new["half"].astype(str)).mean() > 0.9


def test_infrequent_levels_of_an_encoder_fold_back(make_detector, table):
    rows = table.assign(third=table["third"].astype(str))
    rows.loc[rows.index[:6], "third"] = ["a", "b", "c", "d", "e", "f"]
    step = make_column_transformer(
        (OneHotEncoder(min_frequency=10), ["third"]), ("passthrough", ["t", "sin"])
    )
    model = fit_pipeline(make_detector, step, rows)
    explanation = explain(model, rows.head(9))
    check_sums(explanation, model.score_samples(rows.head(9)))
    assert explanation.contributions.columns.tolist() == ["t", "sin", "third", "(code)"]


def test_steps_that_mix_columns_are_named(make_detector, table, new):
    step = make_column_transformer(
        (PCA(2), ["t", "sin"]), ("passthrough", ["third"]), verbose_feature_names_out=False
    )
    step.set_params(passthrough=OrdinalEncoder())
    model = fit_pipeline(make_detector, make_pipeline(step, StandardScaler()), table)
    explanation = explain(model, new)
    check_sums(explanation, model.score_samples(new))
    assert explanation.observed.columns.tolist() == ["third", "pca__pca0", "pca__pca1"]
    assert "mixes columns" in explanation.notes[0]
    assert "pca__pca0" in explanation.notes[0]
    component = PCA(2).fit(table[["t", "sin"]]).transform(new[["t", "sin"]])
    np.testing.assert_allclose(explanation.observed["pca__pca0"], component[:, 0], rtol=1e-6)
    assert set(explanation.expected["third"]) <= {"low", "mid", "high"}


def test_polynomials_mix_columns_but_those_of_one_column_do_not(make_detector, X):
    detector = make_detector(max_iter=2, contamination=0.1)
    polynomials = make_pipeline(PolynomialFeatures(include_bias=False), detector).fit(X[:, :2])
    assert explain(polynomials, X[:3, :2]).observed.columns.tolist() == [
        "x0",
        "x1",
        "x0^2",
        "x0 x1",
        "x1^2",
    ]
    single = make_column_transformer(
        (PolynomialFeatures(include_bias=False), [0]), ("passthrough", [1, 2])
    )
    model = make_pipeline(single, detector).fit(X)
    explanation = explain(model, X[:3])
    assert explanation.observed.columns.tolist() == ["x0", "x1", "x2"]
    assert "x3, x4" in explanation.notes[0]


def test_bins_selectors_and_unions_fold_back(make_detector, X):
    step = Pipeline(
        [
            ("selector", VarianceThreshold(0.01)),
            (
                "union",
                FeatureUnion(
                    [
                        ("bins", KBinsDiscretizer(3, encode="onehot-dense")),
                        ("same", "passthrough"),
                        ("none", "drop"),
                    ]
                ),
            ),
        ]
    )
    rows = np.column_stack([X[:, :3], np.zeros(len(X))])
    model = make_pipeline(step, make_detector(max_iter=2, contamination=0.1)).fit(rows)
    explanation = explain(model, rows[:8])
    check_sums(explanation, model.score_samples(rows[:8]))
    assert explanation.observed.columns.tolist() == ["x0", "x1", "x2"]
    assert explanation.notes == ("No score depends on these columns: x3.",)
    assert explanation.expected.notna().all(axis=None)


def test_two_steps_that_mix_columns_are_told_apart(make_detector, X):
    union = make_union(PCA(1), PCA(2))
    model = make_pipeline(union, make_detector(max_iter=2, contamination=0.1)).fit(X)
    names = explain(model, X[:2]).observed.columns.tolist()
    assert names == ["pca-1__pca0", "pca-2__pca0", "pca-2__pca1"]


def month(dates):
    return dates.apply(lambda column: column.dt.month)


def hour(dates):
    return dates.apply(lambda column: column.dt.hour)


def test_the_parts_of_a_date_are_one_column(make_detector, table):
    rows = table[["t", "sin"]].assign(
        time=pd.date_range("2024-01-01", periods=len(table), freq="5h")
    )
    parts = FeatureUnion(
        [
            (part.__name__, FunctionTransformer(part, feature_names_out="one-to-one"))
            for part in (month, hour)
        ]
    )
    step = ColumnTransformer(
        [("date", parts, ["time"]), ("rest", "passthrough", ["t", "sin"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = fit_pipeline(make_detector, step, rows)
    explanation = explain(model, rows.head(4))
    check_sums(explanation, model.score_samples(rows.head(4)))
    assert explanation.observed.columns.tolist() == ["t", "sin", "time"]
    assert explanation.expected["time"].str.fullmatch(r"month \d+, hour -?\d+").all()


def year_month_and_hour(dates):
    date = dates.iloc[:, 0].dt
    return np.column_stack([date.year, date.month, date.hour])


def test_the_parts_of_a_date_are_named_by_the_steps_that_return_arrays(make_detector, table):
    rows = table[["t", "sin"]].assign(
        time=pd.date_range("2024-01-01", periods=len(table), freq="5h")
    )
    parts = FunctionTransformer(
        year_month_and_hour, feature_names_out=lambda step, names: ["year", "month", "hour"]
    )
    step = make_column_transformer((parts, ["time"]), (StandardScaler(), ["t", "sin"]))
    model = fit_pipeline(make_detector, step, rows)
    assert not hasattr(model[-1], "feature_names_in_")
    expected = explain(model, rows.head(4)).expected["time"]
    assert expected.str.fullmatch(r"year 2024, month \d+, hour -?\d+").all()


class Parts(TransformerMixin, BaseEstimator):
    """A step that tells which outputs it makes of each column, as skrub's vectorizers do."""

    def fit(self, X, y=None):
        self.feature_names_in_, self.n_features_in_ = np.array(X.columns, object), X.shape[1]
        self.input_to_outputs_ = {"t": ["whole", "left"], "sin": ["sin"]}
        return self

    def transform(self, X):
        return np.column_stack([X["t"] // 1, X["t"] % 1, X["sin"]])

    def get_feature_names_out(self, input_features=None):
        return np.array(["whole", "left", "sin"], object)


def test_a_step_may_tell_its_outputs(make_detector, table):
    model = fit_pipeline(make_detector, Parts(), table[["t", "sin"]])
    explanation = explain(model, table[["t", "sin"]].head(4))
    assert explanation.observed.columns.tolist() == ["t", "sin"]
    assert explanation.expected["sin"].notna().all()


def test_columns_that_a_transformer_does_not_take_do_not_matter(make_detector, table, new):
    step = make_column_transformer((StandardScaler(), ["t", "sin"]))
    model = fit_pipeline(make_detector, step, table)
    explanation = explain(model, new[["sin", "t", "third", "half", "noise"]].assign(more=1))
    assert explanation.observed.columns.tolist() == ["t", "sin"]
    assert explanation.notes == ("No score depends on these columns: third, half, noise.",)


def test_steps_that_change_the_number_of_rows_are_refused(make_detector, X):
    detector = make_detector(max_iter=2, contamination=0.1).fit(X)
    every_second = FunctionTransformer(lambda rows: rows[::2], feature_names_out="one-to-one")
    with pytest.raises(ValueError, match="returns 5 rows for 10"):
        explain(Pipeline([("half", every_second), ("vae", detector)]), X[:10])


def test_a_step_in_a_union_that_tells_nothing_is_refused(make_detector, X):
    union = make_union(FunctionTransformer(lambda rows: rows @ np.ones((5, 2))), "passthrough")
    model = make_pipeline(union, make_detector(max_iter=2, contamination=0.1)).fit(X)
    with pytest.raises(ValueError, match="does not tell how many columns"):
        explain(model, X[:3])


# Meta-estimators


def test_meta_estimators_are_explained_with_their_own_threshold(make_detector, X):
    detector = make_detector(max_iter=2, contamination=0.1)
    fixed = FixedThresholdDetector(detector, threshold=-50.0).fit(X)
    assert explain(fixed, X[:3]).threshold == 50.0
    unfitted = FixedThresholdDetector(detector.fit(X), threshold=-60.0)
    assert explain(unfitted, X[:3]).threshold == 60.0
    frozen = explain(FrozenEstimator(detector), X[:3])
    assert frozen.threshold == -detector.offset_
    check_sums(frozen, detector.score_samples(X[:3]))


def test_a_search_is_explained_by_its_best_model(make_detector, X):
    search = GridSearchCV(make_detector(max_iter=2), {"contamination": [0.1]}, cv=2).fit(X)
    explanation = explain(search, X[:3])
    check_sums(explanation, search.score_samples(X[:3]))
    assert explanation.threshold == -search.best_estimator_.offset_


def test_other_detectors_cannot_be_explained(X):
    with pytest.raises(TypeError, match="IsolationForest cannot be explained"):
        explain(FixedThresholdDetector(IsolationForest().fit(X), threshold=0.0), X)


def test_unknown_attributions_are_refused(mixed, new):
    with pytest.raises(ValueError, match="attribution must be one of"):
        mixed.explain(new, attribution="shap")


@pytest.mark.parametrize("kind", ["alone", "pipeline", "search", "windows"])
def test_models_that_are_not_fitted_are_refused(make_detector, X, kind):
    detector = make_detector()
    model = {
        "alone": detector,
        "pipeline": make_pipeline(StandardScaler(), detector),
        "search": GridSearchCV(detector, {"beta": [1.0]}),
        "windows": WindowedDetector(detector, window_size=4),
    }[kind]
    for call in (explain, counterfactuals, ContributionsDisplay.from_estimator):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(model, X)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("is_windowed", [False, True])
def test_rows_that_do_not_fit_are_refused_as_in_scoring(make_detector, table, is_windowed):
    numbers = table[["t", "sin"]]
    detector = make_detector(max_iter=1, contamination=0.1)
    if is_windowed:
        detector = WindowedDetector(detector, window_size=4)
    detector.fit(numbers)
    for rows, message in [
        (numbers.to_numpy()[0], "Expected 2D array, got 1D array"),
        (np.ones((5, 3)), r"X has 3 features, but .* is expecting 2"),
        (numbers[:0], "Found array with 0 sample"),
    ]:
        with pytest.raises(ValueError, match=message):
            explain(detector, rows)


# Time points


@pytest.fixture(scope="module")
def series():
    rng = np.random.RandomState(0)
    t = np.arange(300) / 5
    values = np.column_stack([np.sin(t), np.cos(t)]) + 0.05 * rng.randn(300, 2)
    return pd.DataFrame(values, columns=["sin", "cos"]).assign(
        place=np.where(np.arange(300) % 2, "here", "there")
    )


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
@pytest.mark.parametrize("aggregation", ["max", "mean", "causal"])
def test_time_points_are_explained_by_channel(make_detector, series, aggregation, attribution):
    detector = WindowedDetector(
        make_detector(max_iter=5, contamination=0.1),
        window_size=8,
        stride=3,
        group_column="place",
        aggregation=aggregation,
    ).fit(series)
    explanation = explain(detector, series, attribution=attribution)
    check_sums(explanation, detector.score_samples(series))
    other = "(code)" if attribution == "terms" else "(rest)"
    assert explanation.contributions.columns.tolist() == ["sin", "cos", "(neighbours)", other]
    pd.testing.assert_frame_equal(explanation.observed, series[["sin", "cos"]])


def test_the_abnormal_time_point_and_channel_contribute_most(make_detector, series):
    rows = series[["sin", "cos"]]
    detector = WindowedDetector(make_detector(max_iter=200, contamination=0.1), window_size=8)
    detector.fit(rows)
    broken = rows.copy()
    broken.loc[150, "cos"] += 5
    own = explain(detector, broken, attribution="hiding").contributions[["sin", "cos"]]
    assert own.stack().idxmax() == (150, "cos")


@pytest.mark.parametrize("aggregation", ["max", "mean", "causal"])
def test_time_points_that_no_window_covers_are_explained(make_detector, series, aggregation):
    rows = series[["sin", "cos"]].set_axis(pd.date_range("2024", periods=300, freq="h"))
    detector = WindowedDetector(
        make_detector(max_iter=2, contamination=0.1), window_size=8, aggregation=aggregation
    ).fit(rows)
    gappy = pd.concat([rows[:20], rows[30:33], rows[50:51]])
    check_sums(explain(detector, gappy), detector.score_samples(gappy))


def test_windows_whose_columns_are_mixed_are_refused(make_detector, series):
    mixing = make_pipeline(PCA(3), make_detector(max_iter=2, contamination=0.1))
    detector = WindowedDetector(mixing, window_size=4).fit(series[["sin", "cos"]])
    with pytest.raises(ValueError, match="mixes their columns"):
        explain(detector, series[["sin", "cos"]])


# Reasons, sentences, importance


def test_reasons_are_the_largest_contributions(mixed, new):
    explanation = mixed.explain(new)
    reasons = explanation.reasons(2)
    assert reasons.index.tolist()[:3] == [(0, 1), (0, 2), (1, 1)]
    first = reasons.xs(1, level="reason")
    np.testing.assert_array_equal(first["contribution"], explanation.contributions.max(axis=1))
    assert first["column"].tolist() == explanation.contributions.idxmax(axis=1).tolist()
    assert reasons["share"].between(0, 1).all()
    row = reasons[reasons["column"] == "t"].iloc[0]
    at = reasons[reasons["column"] == "t"].index[0][0]
    assert (row["observed"], row["expected"]) == (
        new.loc[at, "t"],
        explanation.expected.loc[at, "t"],
    )


def test_there_are_no_more_reasons_than_contributions(mixed, new):
    assert len(mixed.explain(new.head(2)).reasons(99)) == 2 * 6
    with pytest.raises(ValueError, match="n_reasons == 0, must be >= 1"):
        mixed.explain(new).reasons(0)


@pytest.mark.parametrize("n_reasons", [2.5, "3"])
def test_the_number_of_reasons_is_an_integer(mixed, new, n_reasons):
    with pytest.raises(TypeError, match="n_reasons must be an instance of int"):
        mixed.explain(new.head(2)).text(n_reasons)


def test_units_are_a_mapping(mixed, new):
    with pytest.raises(TypeError, match=r"units must be a mapping .* got 'min'"):
        mixed.explain(new.head(2)).text(units="min")


def test_an_explanation_tells_how_many_rows_it_has(mixed, new):
    assert repr(mixed.explain(new.head(6))) == "Explanation of 6 rows by 'terms'"
    assert repr(mixed.explain(new.head(1))) == "Explanation of 1 row by 'terms'"


def test_a_missing_cell_reads_alike_however_it_is_marked(mixed, new):
    row = new.iloc[[0]].assign(noise=np.nan)
    sentences = {
        mixed.explain_text(row.assign(noise=pd.array([mark], dtype=dtype)), 6)[0]
        for mark, dtype in [(np.nan, "float64"), (pd.NA, "Float64"), (None, "object")]
    }
    (sentence,) = sentences
    assert re.search(r"noise is missing, where -1\.\d+ to 1\.\d+ is usual", sentence)


def test_true_and_false_are_expected_of_truth_values(make_detector, table):
    rows = table[["t", "sin"]].assign(late=table["t"] > 3)
    detector = make_detector(hidden_layer_sizes=(32,), max_iter=100, support_fraction=1.0).fit(rows)
    sentences = detector.explain_text(rows.assign(late=~rows["late"]).head(9), 5)
    assert sentences.str.contains(r"late true, where false is expected").any()


def test_sentences_name_values_ranges_levels_units_and_missing_cells(mixed, new):
    row = new.iloc[[0]].assign(t=41.5)
    (sentence,) = mixed.explain_text(row, 1, units={"t": "min"})
    assert re.fullmatch(
        r"t 41.5 min, where 0.\d+ to 5.\d+ min is usual \(\d+ % of the score\)", sentence
    )
    level = new.iloc[[0]].assign(t=0.5, sin=np.sin(0.5))
    level["third"] = pd.Categorical(["high"], categories=new["third"].cat.categories)
    level["half"] = pd.Categorical(["left"], categories=new["half"].cat.categories)
    assert "third high, where low is expected" in mixed.explain_text(level, 6)[0]
    missing = new.iloc[[0]].assign(noise=np.nan)
    assert "noise is missing, where -1." in mixed.explain_text(missing, 6)[0]


def test_large_numbers_whole_numbers_and_dates_read_well():
    from vae_anomaly.explanations.sentences import in_words

    assert in_words(9120.4) == "9,120"
    assert in_words(-0.2) == "-0.2"
    assert in_words(-0.0) == "0"
    assert in_words(12.0, "EUR") == "12 EUR"
    assert in_words(123.456) == "123"
    assert in_words(np.True_) == "true"
    assert in_words(None) == "missing"
    assert in_words(pd.Timestamp("2024-03-01 14:05")) == "2024-03-01 14:05"
    assert in_words(pd.Timestamp("2024-03-01")) == "2024-03-01"


def test_importance_is_the_mean_contribution_among_alarms(mixed, new):
    moved = new.assign(t=new["t"] + 40)
    explanation = mixed.explain(pd.concat([moved.head(5), new]))
    importance = explanation.importance()
    is_alarm = (explanation.score > explanation.threshold).to_numpy()
    assert importance["t"] == pytest.approx(explanation.contributions["t"][is_alarm].mean())
    assert importance.index[0] in ("t", "(code)", "sin")
    assert explanation.importance(among="all").sum() == pytest.approx(explanation.score.mean())


def test_importance_among_alarms_needs_an_alarm(mixed, table):
    explanation = mixed.explain(table.loc[[mixed.score_samples(table).argmax()]])
    with pytest.raises(ValueError, match="No row is an alarm"):
        explanation.importance()
    with pytest.raises(ValueError, match="among must be"):
        explanation.importance(among="rows")


def test_permutation_importance_of_scikit_learn_takes_the_scores(trained, X_new):
    found = permutation_importance(
        trained,
        X_new,
        None,
        scoring=lambda detector, X, y=None: detector.score_samples(X).mean(),
        n_repeats=2,
        random_state=0,
    )
    assert (found.importances_mean > 0).all()
