"""Categories: columns of dataframes and codes of arrays, levels old and new, and back again."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils import get_tags

from vae_anomaly import VAEAnomalyDetector
from vae_anomaly.losses import LOGIT_BOUND


def table(n_rows, seed=0):
    """Return rows in which the size tells the colour."""
    rng = np.random.RandomState(seed)
    kind = rng.choice(3, n_rows)
    colour = np.array(["red", "green", "blue"])[kind]
    size = 1.5 + 3 * kind + 0.4 * rng.randn(n_rows)
    return pd.DataFrame(
        {"size": size, "colour": pd.Categorical(colour), "noise": rng.randn(n_rows)}
    )


@pytest.fixture(scope="module")
def frame():
    """The training rows."""
    return table(600)


@pytest.fixture(scope="module")
def fitted(frame):
    """A detector that has learned the ties between the columns; no test may change it."""
    return VAEAnomalyDetector(random_state=0, max_iter=150).fit(frame)


def of_colour(frame, colour):
    return frame.assign(colour=pd.Categorical([colour] * len(frame)))


def test_each_category_column_is_one_variable(fitted):
    assert fitted.categories_ == [("blue", "green", "red")]
    np.testing.assert_array_equal(fitted.is_categorical_, [False, True, False])
    assert fitted.one_hot_groups_ == ((1, 4),)
    assert fitted.n_features_in_ == 3
    np.testing.assert_array_equal(fitted.center_[1:4], [0, 0, 0])


def test_a_level_that_does_not_go_with_the_others_stands_out(fitted):
    new = table(400, seed=1)
    wrong = new.assign(colour=new.colour.cat.rename_categories({"red": "blue", "blue": "red"}))
    wrong = wrong[new.colour != "green"]
    scores = -fitted.score_samples(pd.concat([new, wrong]))
    assert roc_auc_score(np.repeat([0, 1], [len(new), len(wrong)]), scores) > 0.9


def test_an_unknown_level_costs_15_nats_and_what_the_encoder_makes_of_none(fitted, frame):
    known, unknown = (-fitted.score_samples(rows) for rows in (frame, of_colour(frame, "pink")))
    assert np.quantile(unknown - known, 0.1) > LOGIT_BOUND - 2
    assert np.median(unknown - known) < 2 * LOGIT_BOUND


def test_a_missing_level_is_filled_in(frame):
    new = table(300, seed=1)
    holed = frame.assign(colour=frame.colour.where(np.arange(len(frame)) % 4 > 0))
    detector = VAEAnomalyDetector(random_state=0, max_iter=150, contamination=0.1).fit(holed)
    rebuilt = detector.reconstruct(of_colour(new, None))
    assert isinstance(rebuilt, pd.DataFrame)
    assert (rebuilt.colour.to_numpy() == new.colour.to_numpy()).mean() > 0.85
    np.testing.assert_array_equal(rebuilt.index, new.index)


def test_levels_are_told_by_their_values(fitted, frame):
    expected = fitted.score_samples(frame)
    recoded = frame.colour.cat.set_categories(["red", "unused", "blue", "green"], ordered=True)
    for colour in (recoded, frame.colour.astype(str), frame.colour.astype("string")):
        np.testing.assert_array_equal(fitted.score_samples(frame.assign(colour=colour)), expected)
    np.testing.assert_array_equal(fitted.score_samples(frame.to_numpy()), expected)
    arrow = pa.Table.from_pandas(frame)
    np.testing.assert_array_equal(fitted.score_samples(arrow), expected)
    polars = pl.from_arrow(arrow)
    np.testing.assert_array_equal(fitted.score_samples(polars), expected)


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["red", "blue", "green", "unused"])])
def test_categories_of_polars(make_detector, frame, dtype):
    colour = pl.Series("colour", frame.colour.astype(str).tolist()).cast(dtype)
    rows = pl.DataFrame({"size": frame["size"].to_numpy(), "noise": frame.noise.to_numpy()})
    rows = rows.with_columns(colour)
    detector = make_detector(max_iter=2).fit(rows)
    assert detector.categories_ == [("blue", "green", "red")]
    rebuilt = detector.reconstruct(rows)
    assert rebuilt.schema == rows.schema
    assert isinstance(detector.set_output(transform="polars").sample(2), pl.DataFrame)


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, 2, None] * 20, dtype="Int64"),
        pd.array([0.5, 1.5, None] * 20, dtype="Float64"),
        pd.array([True, False, None] * 20, dtype="boolean"),
        pd.array([1, 2, None] * 20, dtype="int64[pyarrow]"),
        pd.array([0.5, 1.5, None] * 20, dtype="double[pyarrow]"),
        pd.array([True, False, None] * 20, dtype="bool[pyarrow]"),
        np.array([1.0, 2.0, np.nan] * 20, np.float32),
        np.array([1, 2, 3] * 20, np.int8),
        np.array([1, 2, 3] * 20, np.uint16),
        np.array([True, False, False] * 20),
    ],
    ids=lambda column: str(column.dtype),
)
def test_numbers_of_every_dtype_of_pandas(make_detector, column):
    rows = pd.DataFrame({"a": np.arange(60.0), "b": column})
    detector = make_detector(max_iter=1, missing_indicator=False).fit(rows)
    assert detector.categories_ == []
    as_floats = rows.astype({"b": "float64"}).to_numpy()
    np.testing.assert_array_equal(detector.score_samples(rows), detector.score_samples(as_floats))


@pytest.mark.parametrize(
    "column",
    [
        pd.Categorical([1, 2, None] * 20),
        pd.Categorical([1.5, 2.5, None] * 20),
        pd.Categorical([True, False, None] * 20),
        pd.Categorical(["x", "y", None] * 20, categories=["z", "y", "x"], ordered=True),
        pd.Series(
            ["x", "y", None] * 20, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
        ),
        pd.Series(["x", "y", None] * 20, dtype="string"),
        pd.Series(["x", "y", None] * 20, dtype=object),
    ],
    ids=lambda column: str(column.dtype)[:30],
)
def test_levels_of_every_dtype_of_pandas(make_detector, column):
    rows = pd.DataFrame({"a": np.arange(60.0), "b": column})
    detector = make_detector(max_iter=1, categorical_features=["b"]).fit(rows)
    assert len(detector.categories_[0]) == 2
    assert np.isfinite(detector.score_samples(rows)).all()
    rebuilt = detector.reconstruct(rows)
    assert set(rebuilt.b) <= set(pd.Series(column).dropna())
    filled = rows.assign(b=rows.b.astype(object)).fillna({"b": rebuilt.b.astype(object)})
    assert filled.b.notna().all()


@pytest.mark.parametrize(
    "chosen",
    [["colour"], [1], [False, True, False], np.array([1]), pd.Index(["colour"])],
    ids=str,
)
def test_categorical_features_takes_the_forms_of_scikit_learn(make_detector, frame, chosen):
    strings = frame.assign(colour=frame.colour.astype(str))
    detector = make_detector(categorical_features=chosen, max_iter=2).fit(strings)
    other = make_detector(max_iter=2).fit(frame)
    np.testing.assert_array_equal(detector.score_samples(strings), other.score_samples(frame))
    assert clone(detector).categorical_features is not None


def test_arrays_may_hold_codes(make_detector, frame):
    codes = frame.assign(colour=frame.colour.cat.codes.astype(float)).to_numpy()
    codes[3, 1] = np.nan
    detector = make_detector(categorical_features=[1], max_iter=2).fit(codes)
    assert detector.categories_ == [(0.0, 1.0, 2.0)]
    rebuilt = detector.reconstruct(codes)
    assert rebuilt.dtype == np.float64
    assert set(rebuilt[:, 1]) <= {0.0, 1.0, 2.0}
    assert np.isfinite(detector.score_samples([[1.0, 7.0, 0.0]])).all()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([3], r"must lie in \[0, n_features - 1\] = \[0, 2\], got \[3\]"),
        ([-1], "must lie in"),
        (["hue"], "'hue', which is not a column of X"),
        ([True], "must have 3 entries"),
        ([1.5], "must be an array-like of bool, int or str"),
        ("colour", "categorical_features"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_training")
def test_categorical_features_that_do_not_fit_are_refused(make_detector, frame, chosen, message):
    with pytest.raises(ValueError, match=message):
        make_detector(categorical_features=chosen).fit(frame)


@pytest.mark.usefixtures("no_training")
def test_names_need_a_dataframe(make_detector, X):
    with pytest.raises(ValueError, match="X is not a dataframe"):
        make_detector(categorical_features=["a"]).fit(X)


@pytest.mark.parametrize("other", [{"architecture": "lstm"}, {"input_shape": (3,)}], ids=str)
@pytest.mark.usefixtures("no_training")
def test_images_and_sequences_hold_numbers_only(make_detector, frame, other):
    with pytest.raises(ValueError, match="Categorical columns need a dense network"):
        make_detector(**other).fit(frame)


@pytest.mark.usefixtures("no_training")
def test_sparse_categories_are_refused(make_detector, X):
    with pytest.raises(ValueError, match="Sparse X cannot have categorical_features"):
        make_detector(categorical_features=[0]).fit(sp.csr_matrix(X))


@pytest.mark.parametrize("loss", ["auto", "mse", "gaussian", "binary_crossentropy"])
def test_every_likelihood_takes_categories(make_detector, loss):
    rows = table(200)[["size", "colour"]]
    rows["size"] /= 9
    detector = make_detector(reconstruction_loss=loss, max_iter=3).fit(rows)
    scores = detector.score_samples(rows)
    assert np.isfinite(scores).all()
    assert np.isfinite(detector.score(rows))
    np.testing.assert_allclose(detector.vae_.output_shape[-1], 4)
    probabilities = detector.decoder_(np.zeros((1, 3), np.float32)).numpy()
    np.testing.assert_allclose(probabilities[0, 1:].sum(), 1.0, rtol=1e-5)


def test_a_column_of_two_levels_is_a_column_of_0_and_1(make_detector):
    rows = pd.DataFrame({"a": np.arange(60.0), "b": pd.Categorical(["no", "yes"] * 30)})
    detector = make_detector(max_iter=2).fit(rows)
    as_numbers = rows.assign(b=rows.b.cat.codes.astype(float))
    other = make_detector(max_iter=2).fit(as_numbers)
    np.testing.assert_array_equal(detector.score_samples(rows), other.score_samples(as_numbers))
    unknown = rows.assign(b=pd.Categorical(["perhaps"] * 60))
    np.testing.assert_array_equal(
        detector.score_samples(unknown), other.score_samples(as_numbers.assign(b=0.5))
    )


class TestLevels:
    """Rare, unused and constant levels."""

    def test_levels_of_single_rows_share_an_output_with_new_ones(self, make_detector):
        levels = ["a"] * 20 + ["b"] * 20 + ["c"] * 18 + ["once", "single"]
        rows = pd.DataFrame({"a": np.arange(60.0), "b": pd.Categorical(levels)})
        detector = make_detector(max_iter=2).fit(rows)
        assert detector.categories_ == [("a", "b", "c")]
        assert detector.one_hot_groups_ == ((1, 5),)
        known = rows.iloc[[59, 59]].assign(b=pd.Categorical(["single", "new"]))
        first, second = detector.score_samples(known)
        assert first == second

    def test_an_identifier_says_nothing(self, make_detector):
        rows = pd.DataFrame(
            {"a": np.arange(60.0), "id": pd.Categorical([f"x{i}" for i in range(60)])}
        )
        detector = make_detector(max_iter=2).fit(rows)
        assert detector.categories_ == [()]
        scores = detector.score_samples(rows)
        np.testing.assert_array_equal(detector.score_samples(rows.assign(id="new")), scores)
        assert detector.reconstruct(rows).id.isna().all()

    def test_the_most_frequent_levels_are_kept(self, make_detector):
        levels = np.repeat(np.arange(300), np.r_[np.full(255, 3), np.full(45, 2)])
        rows = pd.DataFrame({"a": np.arange(len(levels)), "b": pd.Categorical(levels)})
        (kept,) = make_detector(max_iter=1).fit(rows).categories_
        assert kept == tuple(range(255))

    def test_a_constant_category_counts_only_when_it_changes(self, make_detector, frame):
        rows = frame.assign(kind=pd.Categorical(["x"] * len(frame)))
        detector = make_detector(max_iter=2).fit(rows)
        changed = rows.assign(kind=pd.Categorical(["y"] * len(frame)))
        difference = detector.score_samples(rows) - detector.score_samples(changed)
        np.testing.assert_allclose(difference, LOGIT_BOUND, rtol=1e-4)

    def test_a_category_without_any_value_counts_for_nothing(self, make_detector, frame):
        rows = frame.assign(kind=pd.Categorical([None] * len(frame), categories=["x"]))
        detector = make_detector(max_iter=2).fit(rows)
        scores = detector.score_samples(rows)
        np.testing.assert_array_equal(detector.score_samples(rows.assign(kind="x")), scores)
        assert detector.reconstruct(rows).kind.isna().all()

    def test_rows_of_weight_zero_do_not_count(self, make_detector, frame):
        colour = pd.Categorical(["red"] * (len(frame) - 2) + ["blue"] * 2)
        rows = frame.assign(colour=colour)
        weight = np.repeat([1.0, 0.0], [len(frame) - 2, 2])
        assert make_detector(max_iter=1).fit(rows, sample_weight=weight).categories_ == [("red",)]


def test_batches_may_bring_new_levels(make_detector, frame):
    parts = [frame[frame.colour == colour] for colour in ("red", "green", "blue")]
    detector = make_detector(max_iter=2).fit_batches(parts)
    assert detector.categories_ == [("blue", "green", "red")]
    assert np.isfinite(detector.score_samples(frame)).all()
    later = make_detector().partial_fit(parts[0]).partial_fit(parts[1])
    assert later.categories_ == [("red",)]  # those of the first call


def test_one_hot_columns_beside_categories_are_still_found(make_detector, frame):
    rng = np.random.RandomState(0)
    one_hot = pd.DataFrame(np.eye(4)[rng.choice(4, len(frame))], columns=list("wxyz"))
    detector = make_detector(max_iter=1).fit(pd.concat([frame, one_hot], axis=1))
    assert detector.one_hot_groups_ == ((1, 4), (5, 9))


def test_codes_decode_to_dataframes(fitted, frame):
    decoded = fitted.inverse_transform(fitted.transform(frame))
    assert (decoded.colour == frame.colour.astype(decoded.colour.dtype)).mean() > 0.9
    sample = fitted.sample(5, random_state=0)
    assert list(sample) == ["size", "colour", "noise"]
    assert set(sample.colour) <= {"red", "green", "blue"}


def test_categories_survive_storage(fitted, frame):
    state = fitted.__getstate__()
    assert all(type(part) is tuple for part in state["_categories"])
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.score_samples(frame), fitted.score_samples(frame))
    assert copy.categories_ == fitted.categories_


def test_refitting_learns_the_categories_anew(make_detector, frame, X):
    detector = make_detector(max_iter=1).fit(frame).fit(X)
    assert detector.categories_ == []
    warm = make_detector(max_iter=1, warm_start=True).fit(frame)
    warm.fit(of_colour(frame, "red"))
    assert warm.categories_ == [("blue", "green", "red")]


def test_the_tags_tell_what_is_true():
    tags = get_tags(VAEAnomalyDetector()).input_tags
    assert tags.allow_nan
    assert tags.categorical


def test_one_level_and_a_rare_one_are_a_variable_of_two_outputs(make_detector):
    levels = ["x"] * 199 + ["y"]
    rows = pd.DataFrame({"a": np.arange(200.0), "b": pd.Categorical(levels)})
    detector = make_detector(max_iter=30).fit(rows)
    assert detector.one_hot_groups_ == ((1, 3),)
    common, new = detector.score_samples(rows.iloc[[5, 5]].assign(b=pd.Categorical(["x", "new"])))
    assert abs(common - new) < 2 * LOGIT_BOUND


@pytest.mark.parametrize(
    "levels",
    [
        pd.cut(np.arange(60.0), 4),
        pd.Series([(1, 2), (3, 4), (5, 6)] * 20),
        pd.Series([1, "one", (1,)] * 20),
        pd.Series([complex(1, 1), complex(2, 1), complex(0, 1)] * 20),
    ],
    ids=["intervals", "tuples", "mixed", "without order"],
)
def test_levels_may_be_anything_that_has_a_hash(make_detector, levels):
    rows = pd.DataFrame({"a": np.arange(60.0), "b": pd.Categorical(levels)})
    detector = make_detector(max_iter=1).fit(rows)
    assert len(detector.categories_[0]) == len(set(levels))
    assert np.isfinite(detector.score_samples(rows)).all()


@pytest.mark.parametrize("rows", [pd.Series([1.0, 2.0]), np.ones(3), 1.0, np.ones((3, 2, 2))])
@pytest.mark.usefixtures("no_training")
def test_other_shapes_are_refused_as_without_categories(make_detector, rows):
    with pytest.raises(ValueError, match=r"Expected|dim"):
        make_detector(categorical_features=[0]).fit(rows)


def test_other_categorical_features_are_refused_when_training_goes_on(make_detector, frame):
    detector = make_detector(max_iter=1, warm_start=True).fit(frame)
    with pytest.raises(ValueError, match="names other columns than those of the previous fit"):
        detector.set_params(categorical_features=["noise"]).fit(frame)


def test_a_table_of_pyarrow_comes_back_as_a_dataframe(fitted, frame):
    rebuilt = fitted.reconstruct(pa.Table.from_pandas(frame.head()))
    assert rebuilt.colour.tolist() == fitted.reconstruct(frame.head()).colour.tolist()


def test_a_narrower_enum_does_not_hinder_the_reconstruction(fitted, frame):
    rows = pl.from_pandas(frame.head(20).astype({"colour": str}))
    narrow = rows.with_columns(colour=pl.lit(None, dtype=pl.Enum(["red"])))
    assert fitted.reconstruct(narrow)["colour"].null_count() == 0
