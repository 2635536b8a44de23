"""Wrong parameters and wrong input: scikit-learn's kind of error, before any training."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from vae_anomaly import VAEAnomalyDetector

METHODS = [
    "decision_function",
    "inverse_transform",
    "predict",
    "reconstruct",
    "score",
    "score_components",
    "score_samples",
    "transform",
]


def put(X, row, column, value):
    """Return X with one value replaced."""
    X = X.copy()
    X[row, column] = value
    return X


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation", "swish!"),
        ("activation", None),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("beta", -1.0),
        ("beta", "large"),
        ("contamination", 0.7),
        ("contamination", 0.0),
        ("contamination", -0.1),
        ("contamination", "some"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("early_stopping", "yes"),
        ("hidden_layer_sizes", None),
        ("hidden_layer_sizes", "wide"),
        ("hidden_layer_sizes", (0,)),
        ("hidden_layer_sizes", (16, -1)),
        ("hidden_layer_sizes", (16, 2.5)),
        ("hidden_layer_sizes", ("16",)),
        ("hidden_layer_sizes", ((16, 8), (8, 16))),
        ("input_noise", -0.1),
        ("latent_dim", 0),
        ("latent_dim", -1),
        ("latent_dim", 1.5),
        ("learning_rate_init", 0.0),
        ("max_iter", 0),
        ("max_iter", "many"),
        ("n_draws", -1),
        ("n_draws", 1.5),
        ("n_iter_no_change", 0),
        ("observation_noise", 0.0),
        ("random_state", "seed"),
        ("reconstruction_loss", "mae"),
        ("support_fraction", 0.0),
        ("support_fraction", 1.1),
        ("tol", -1.0),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("verbose", -1),
        ("warm_start", None),
        ("learning_rate", "linear"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.usefixtures("no_training")
def test_wrong_parameter_is_named(make_detector, X, method, name, value):
    detector = make_detector(**{name: value})
    with pytest.raises(ValueError, match=name):
        getattr(detector, method)(X)


@pytest.mark.parametrize("name", ["observation_noise", "beta", "learning_rate_init", "input_noise"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.usefixtures("no_training")
def test_parameter_that_is_no_number_is_named(make_detector, X, name, value):
    with pytest.raises(ValueError, match=name):
        make_detector(**{name: value}).fit(X)


@pytest.mark.parametrize("sizes", [(), [], (16,), [16, 8], np.array([16, 8])], ids=str)
def test_hidden_layer_sizes_may_be_any_sequence(make_detector, X, sizes):
    detector = make_detector(hidden_layer_sizes=sizes, max_iter=1).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.usefixtures("no_training")
def test_training_row_that_is_not_finite_is_refused(make_detector, X, method, value):
    with pytest.raises(ValueError, match="infinity"):
        getattr(make_detector(), method)(put(X, 7, 2, value))


@pytest.mark.parametrize("method", METHODS)
def test_row_that_is_not_finite_is_refused(detector, X, method):
    rows = np.full((2, 3 if method == "inverse_transform" else 5), np.inf)
    with pytest.raises(ValueError, match="infinity"):
        getattr(detector, method)(rows)


def test_codes_must_not_be_missing(detector):
    with pytest.raises(ValueError, match="NaN"):
        detector.inverse_transform(np.full((2, 3), np.nan))


def test_infinite_value_is_found_in_an_array(make_detector, X):
    with pytest.raises(ValueError, match="column 2, row 7"):
        make_detector().fit(put(put(X, 3, 1, np.nan), 7, 2, np.inf))


def test_infinite_value_is_found_in_a_frame(make_detector, X):
    frame = pd.DataFrame(put(X, 7, 2, np.inf), columns=list("abcde"))
    with pytest.raises(ValueError, match="column 'c', row 7"):
        make_detector().fit(frame)


def test_infinite_value_is_found_in_a_sparse_matrix(make_detector, X):
    with pytest.raises(ValueError, match="column 2, row 7"):
        make_detector().fit(sp.csr_matrix(put(X, 7, 2, np.inf)))


@pytest.mark.parametrize(
    "rows",
    [
        [["a", "b"], ["c", "d"]],
        np.array([["a"], ["b"]], dtype=object),
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}),
    ],
    ids=["list", "object", "text column"],
)
@pytest.mark.usefixtures("no_training")
def test_text_is_refused(make_detector, rows):
    with pytest.raises(ValueError, match="could not convert string to float"):
        make_detector().fit(rows)


@pytest.mark.parametrize(
    "column",
    [["x", "y"], pd.to_datetime(["2024-01-01", "2024-01-02"])],
    ids=["text", "date"],
)
@pytest.mark.usefixtures("no_training")
def test_the_column_that_holds_no_numbers_is_named(make_detector, column):
    rows = pd.DataFrame({"a": [1.0, 2.0], "b": pd.array([1, None], "Int64"), "c": column})
    with pytest.raises(ValueError, match="Column 'c' does not hold numbers:"):
        make_detector().fit(rows)


@pytest.mark.usefixtures("no_training")
def test_a_series_is_refused(make_detector):
    with pytest.raises(ValueError, match="Expected a 2-dimensional container"):
        make_detector().fit(pd.Series([1.0, 2.0]))


@pytest.mark.usefixtures("no_training")
def test_complex_numbers_are_refused(make_detector, X):
    with pytest.raises(ValueError, match="Complex data not supported"):
        make_detector().fit(X + 1j)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 5), "0 sample"),
        ((5, 0), "0 feature"),
        ((1, 5), "1 sample"),
        ((5,), "Expected 2D array, got 1D array"),
        ((5, 4, 3), "dim 3"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_training_data_of_a_wrong_shape_are_refused(make_detector, shape, message):
    with pytest.raises(ValueError, match=message):
        make_detector().fit(np.zeros(shape))


@pytest.mark.parametrize("method", [m for m in METHODS if m != "inverse_transform"])
def test_wrong_number_of_features_is_refused(detector, X_new, method):
    with pytest.raises(ValueError, match="X has 4 features, but VAEAnomalyDetector is expecting 5"):
        getattr(detector, method)(X_new[:, :4])


def test_partial_fit_refuses_another_number_of_features(make_detector, X):
    detector = make_detector().partial_fit(X)
    with pytest.raises(ValueError, match="X has 4 features"):
        detector.partial_fit(X[:, :4])


def test_wrong_names_of_features_are_refused(make_detector, X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    detector = make_detector(max_iter=1).fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        detector.predict(frame.rename(columns={"e": "f"}))


def test_other_order_of_features_is_refused(make_detector, X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    detector = make_detector(max_iter=1).fit(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        detector.predict(frame[list("edcba")])


def test_missing_names_of_features_are_warned_of(make_detector, X):
    detector = make_detector(max_iter=1).fit(pd.DataFrame(X, columns=list("abcde")))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        detector.predict(X)


def test_latent_points_of_a_wrong_dimension_are_refused(detector):
    with pytest.raises(ValueError, match=r"2 columns.*3 dimensions"):
        detector.inverse_transform(np.zeros((4, 2)))


@pytest.mark.parametrize("n_samples", [0, -1])
def test_wrong_number_of_samples_is_refused(detector, n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        detector.sample(n_samples)


@pytest.mark.parametrize("method", METHODS)
def test_method_of_a_detector_that_is_not_fitted_says_so(make_detector, X, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_detector(), method)(X)


@pytest.mark.parametrize("method", ["get_feature_names_out", "sample"])
def test_method_without_rows_of_a_detector_that_is_not_fitted_says_so(make_detector, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_detector(), method)()


@pytest.mark.parametrize("name", ["encoder_", "decoder_", "vae_", "offset_", "history_"])
def test_detector_that_is_not_fitted_has_no_fitted_attributes(name):
    assert not hasattr(VAEAnomalyDetector(), name)


@pytest.mark.usefixtures("no_training")
def test_failed_fit_leaves_the_detector_not_fitted(make_detector, X):
    detector = make_detector()
    with pytest.raises(ValueError, match="infinity"):
        detector.fit(put(X, 7, 2, np.inf))
    with pytest.raises(NotFittedError):
        detector.predict(X)


def test_diverged_fit_leaves_the_detector_not_fitted(make_detector, X):
    detector = make_detector(learning_rate_init=1e30, max_iter=50)
    with pytest.raises(ValueError, match="diverged"):
        detector.fit(X)
    with pytest.raises(NotFittedError):
        detector.predict(X)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full(400, -1.0), "Negative values"),
        (np.full(400, np.nan), "NaN"),
        (np.ones(399), "inconsistent|shape"),
        (np.ones((400, 2)), "1D"),
        (np.zeros(400), "sample_weight|zero"),
        (np.eye(400)[0], "sample_weight"),
        (["heavy"] * 400, "could not convert"),
    ],
    ids=["negative", "nan", "short", "two-dimensional", "zero", "one row", "text"],
)
@pytest.mark.usefixtures("no_training")
def test_wrong_weights_are_refused(make_detector, X, weights, message):
    with pytest.raises(ValueError, match=message):
        make_detector().fit(X, sample_weight=weights)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0])
@pytest.mark.usefixtures("no_training")
def test_cross_entropy_refuses_training_rows_outside_the_unit_interval(make_detector, value):
    X = put(np.random.RandomState(0).uniform(size=(20, 4)), 7, 2, value)
    with pytest.raises(ValueError, match=r"\[0, 1\].*column 2, row 7"):
        make_detector(reconstruction_loss="binary_crossentropy").fit(X)


def test_cross_entropy_refuses_rows_outside_the_unit_interval(make_detector):
    X = np.random.RandomState(0).uniform(size=(20, 4))
    detector = make_detector(reconstruction_loss="binary_crossentropy", max_iter=1).fit(X)
    with pytest.raises(ValueError, match=r"\[0, 1\].*column 2, row 7"):
        detector.predict(put(X, 7, 2, 1.5))


def test_cross_entropy_names_the_column_of_a_frame(make_detector):
    X = put(np.random.RandomState(0).uniform(size=(20, 2)), 7, 1, 2.0)
    with pytest.raises(ValueError, match="column 'size', row 7"):
        make_detector(reconstruction_loss="binary_crossentropy").fit(
            pd.DataFrame(X, columns=["age", "size"])
        )


def test_cross_entropy_takes_sparse_rows(make_detector):
    X = sp.random(100, 10, density=0.1, format="csr", random_state=0)
    detector = make_detector(reconstruction_loss="binary_crossentropy").fit(X)
    np.testing.assert_array_equal(detector.score_samples(X), detector.score_samples(X.toarray()))


@pytest.mark.usefixtures("no_training")
def test_too_few_rows_for_early_stopping_are_refused(make_detector, X):
    with pytest.raises(ValueError, match=r"validation_fraction|test_size|train set"):
        make_detector(early_stopping=True, validation_fraction=0.9).fit(X[:2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_is_not_written_to(make_detector, dtype):
    X = np.random.RandomState(0).uniform(size=(50, 4)).astype(dtype)
    before = X.copy()
    make_detector(max_iter=1).fit(X).score_samples(X)
    np.testing.assert_array_equal(X, before)


INSTANTS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]")[:60].astype(
    "datetime64[us]"
)
DATES = {
    "pandas": pd.DataFrame({"when": INSTANTS}),
    "pandas, time zone": pd.DataFrame({"when": pd.DatetimeIndex(INSTANTS, tz="UTC")}),
    "pandas, beside numbers": pd.DataFrame({"x": np.arange(60.0), "when": INSTANTS}),
    "pandas, duration": pd.DataFrame({"when": INSTANTS - INSTANTS[0]}),
    "pandas, period": pd.DataFrame({"when": pd.PeriodIndex(pd.DatetimeIndex(INSTANTS), freq="D")}),
    "polars": pl.DataFrame({"x": np.arange(60.0), "when": INSTANTS}),
    "polars, duration": pl.DataFrame({"when": INSTANTS - INSTANTS[0]}),
    "polars, time": pl.DataFrame({"when": [datetime.time(1, 2, 3)] * 60}),
    "arrow": pd.DataFrame({"when": INSTANTS}).astype("timestamp[us][pyarrow]"),
    "arrow table": pa.table({"x": np.arange(60.0), "when": INSTANTS}),
    "category": pd.DataFrame({"when": pd.Categorical(INSTANTS)}),
    "category of durations": pd.DataFrame({"when": pd.Categorical(INSTANTS - INSTANTS[0])}),
    "category beside numbers": pd.DataFrame({"x": 1.0, "when": pd.Categorical(INSTANTS)}),
    "objects in a frame": pd.DataFrame({"when": list(pd.DatetimeIndex(INSTANTS))}, dtype=object),
}
NAMELESS_DATES = {
    "array": INSTANTS[:, None],
    "durations": (INSTANTS - INSTANTS[0])[:, None],
    "objects": np.array([[day] for day in INSTANTS], dtype=object),
    "lists": [[day] for day in INSTANTS],
    "lists with numbers": [[float(i), day] for i, day in enumerate(INSTANTS)],
    "lists of durations": [[day - INSTANTS[0]] for day in INSTANTS],
    "lists of datetime": [[day] for day in INSTANTS.astype("datetime64[s]").tolist()],
}


@pytest.mark.parametrize("kind", DATES)
@pytest.mark.usefixtures("no_training")
def test_dates_are_not_taken_for_numbers(make_detector, kind):
    with pytest.raises(ValueError, match="Column 'when' does not hold numbers"):
        make_detector().fit(DATES[kind])


@pytest.mark.parametrize("kind", NAMELESS_DATES)
@pytest.mark.usefixtures("no_training")
def test_dates_without_a_name_are_not_taken_for_numbers(make_detector, kind):
    with pytest.raises((TypeError, ValueError), match=r"Column (of X|\d) does not hold numbers"):
        make_detector().fit(NAMELESS_DATES[kind])


def test_dates_are_not_taken_for_numbers_when_scoring(make_detector):
    detector = make_detector(max_iter=1).fit(np.arange(60.0)[:, None])
    with pytest.raises(ValueError, match="does not hold numbers"):
        detector.predict(NAMELESS_DATES["array"])


@pytest.mark.usefixtures("no_training")
def test_masked_values_are_refused(make_detector, X):
    masked = np.ma.array(X, mask=False)
    masked[7, 2] = np.ma.masked
    with pytest.raises(ValueError, match="column 2, row 7"):
        make_detector().fit(masked)
    with pytest.raises(ValueError, match="masked values"):
        make_detector().fit(list(masked))
    with pytest.raises(ValueError, match="sample_weight has masked values"):
        make_detector().fit(X, sample_weight=masked[:, 2])


def test_masks_and_dates_are_refused_as_codes(detector):
    with pytest.raises(ValueError, match="masked"):
        detector.inverse_transform(np.ma.masked_less(np.eye(3), 0.5))
    with pytest.raises(ValueError, match="does not hold numbers"):
        detector.inverse_transform(np.zeros((2, 3), dtype="datetime64[s]"))


def test_a_masked_array_of_one_dimension_is_told_to_have_one(make_detector):
    with pytest.raises(ValueError, match="masked values"):
        make_detector().fit(np.ma.masked_less(np.arange(5.0), 2))


@pytest.mark.parametrize("value", ["x", 10**400, pd.Timestamp("2024-01-01"), {}], ids=str)
@pytest.mark.usefixtures("no_training")
def test_a_value_that_is_no_number_is_named(make_detector, value):
    rows = [[1.0, 2.0], [3.0, value]]
    with pytest.raises(
        (TypeError, ValueError), match=r"Column 1 does not hold numbers.*Row 1 holds"
    ):
        make_detector().fit(np.array(rows, dtype=object))
    with pytest.raises(ValueError, match=r"Column 'b' does not hold numbers.*Row 1 holds"):
        make_detector().fit(pd.DataFrame(rows, columns=["a", "b"], dtype=object))


def test_masked_array_without_masked_values_is_taken(make_detector, X, detector):
    other = make_detector().fit(np.ma.array(X, mask=False))
    assert other.offset_ == detector.offset_


@pytest.mark.usefixtures("no_training")
def test_text_in_a_polars_frame_is_named(make_detector):
    frame = pl.DataFrame({"x": [1.0, 2.0], "city": ["Bern", "Zug"]})
    with pytest.raises(ValueError, match="Column 'city' does not hold numbers"):
        make_detector().fit(frame)


def test_components_come_in_the_container_that_is_asked_for(make_detector, X):
    frame, table = pd.DataFrame(X, columns=list("abcde")), pl.DataFrame(X, schema=list("abcde"))
    detector = make_detector(max_iter=1, contamination=0.1).fit(frame)
    assert isinstance(detector.score_components(frame), pd.DataFrame)
    assert isinstance(detector.score_components(table), pl.DataFrame)
    assert isinstance(detector.set_output(transform="pandas").score_components(table), pd.DataFrame)
    assert isinstance(detector.set_output(transform="polars").score_components(frame), pl.DataFrame)
