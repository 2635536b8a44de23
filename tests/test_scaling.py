"""Columns of any scale, offset and type: finite scores, and the right ones."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr

SCALES = [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9]
MIXED = np.array([1e-9, 1e-3, 1.0, 1e4, 1e9])


def assert_finite(detector, X):
    assert np.isfinite(detector.score_samples(X)).all()
    assert np.isfinite(detector.transform(X)).all()
    assert np.isfinite(detector.reconstruct(X)).all()
    assert np.isfinite(detector.score(X))


@pytest.mark.parametrize("exponent", [-30, -10, 10, 30])
def test_scores_do_not_depend_on_the_unit(make_detector, X, X_new, detector, exponent):
    """A power of two rounds nothing, so the scores are equal to the bit."""
    other = make_detector().fit(X * 2.0**exponent)
    scores = other.score_samples(X_new * 2.0**exponent)
    np.testing.assert_array_equal(scores, detector.score_samples(X_new))


def test_scores_do_not_depend_on_the_units_of_single_columns(make_detector, X, X_new, detector):
    units = 2.0 ** np.array([-30, -7, 0, 9, 30])
    scores = make_detector().fit(X * units).score_samples(X_new * units)
    np.testing.assert_array_equal(scores, detector.score_samples(X_new))


@pytest.mark.parametrize("scale", [*SCALES, MIXED], ids=str)
def test_raw_columns_of_any_scale_score_alike(make_detector, X, X_new, detector, scale):
    scores = make_detector().fit(X * scale).score_samples(X_new * scale)
    np.testing.assert_allclose(scores, detector.score_samples(X_new), rtol=1e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_reconstructions_are_in_the_units_of_the_columns(make_detector, X, detector, scale):
    rebuilt = make_detector().fit(X * scale).reconstruct(X * scale)
    np.testing.assert_allclose(rebuilt / scale, detector.reconstruct(X), rtol=1e-3, atol=1e-3)


def test_samples_are_in_the_units_of_the_columns(make_detector, X, detector):
    samples = make_detector().fit(X * MIXED).sample(50, random_state=0)
    expected = detector.sample(50, random_state=0)
    np.testing.assert_allclose(samples / MIXED, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("offset", [-1e9, 1e3, 1e9])
def test_offset_of_the_columns_does_not_matter(make_detector, X, X_new, detector, offset):
    scores = make_detector().fit(X + offset).score_samples(X_new + offset)
    np.testing.assert_allclose(scores, detector.score_samples(X_new), rtol=1e-2)


def test_offset_hides_no_outlier(make_detector, X, X_new):
    detector = make_detector(max_iter=100).fit(X + 1e9)
    far = X_new + 10 * X.std(axis=0)
    np.testing.assert_array_equal(detector.predict(far + 1e9), -1)


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e-40, 1e37, 1e100, 1e150])
def test_columns_of_extreme_size_score_finitely(make_detector, X, size):
    assert_finite(make_detector(max_iter=2).fit(X * size), X * size)


def test_float32_at_its_limit_scores_finitely(make_detector):
    X = np.random.RandomState(0).uniform(-3e38, 3e38, size=(100, 3)).astype(np.float32)
    assert_finite(make_detector(max_iter=2).fit(X), X)


def test_a_spread_beyond_float64_is_an_error(make_detector, X):
    with pytest.raises(ValueError, match="range"):
        make_detector().fit(1e200 * X)


@pytest.mark.parametrize("value", [1e10, 1e100, 1e300, -1e300])
def test_rows_beyond_all_bounds_are_outliers(detector, X_new, value):
    far = X_new.copy()
    far[:, 2] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = detector.predict(far)
    assert_finite(detector, far)
    np.testing.assert_array_equal(labels, -1)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 0.1, 1e-9, 1e9, 1e9 + 0.1, 1e100])
def test_constant_column_scores_finitely(make_detector, X, value):
    X = np.column_stack([X, np.full(len(X), value)])
    assert_finite(make_detector().fit(X), X)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 1e-9, 1e9])
def test_constant_column_that_stays_raises_no_alarm(make_detector, X, X_new, value):
    X, X_new = (np.column_stack([rows, np.full(len(rows), value)]) for rows in (X, X_new))
    assert np.mean(make_detector(max_iter=100).fit(X).predict(X_new) == 1) > 0.9


@pytest.mark.parametrize(
    ("value", "moved"),
    [(0.0, 0.01), (0.0, -1.0), (1.0, 1.01), (-3.5, -3.6), (1e-9, 2e-9), (1e9, 1.01e9)],
)
def test_constant_column_that_moves_raises_the_alarm(make_detector, X, X_new, value, moved):
    detector = make_detector(max_iter=100).fit(np.column_stack([X, np.full(len(X), value)]))
    labels = detector.predict(np.column_stack([X_new, np.full(len(X_new), moved)]))
    np.testing.assert_array_equal(labels, -1)


def test_all_columns_constant_raise_the_alarm_when_one_moves(make_detector):
    detector = make_detector().fit(np.ones((50, 3)))
    assert detector.predict([[1.0, 1.1, 1.0]]).tolist() == [-1]


@pytest.mark.parametrize("loss", ["mse", "gaussian"])
def test_only_constant_columns_score_finitely(make_detector, loss):
    X = np.ones((50, 3))
    assert_finite(make_detector(reconstruction_loss=loss).fit(X), X)


def test_rounding_errors_of_a_constant_raise_no_alarm(make_detector, X, X_new):
    constant = np.full(len(X), 0.1 + 0.2)
    detector = make_detector(max_iter=100).fit(np.column_stack([X, constant]))
    labels = detector.predict(np.column_stack([X_new, np.full(len(X_new), 0.3)]))
    assert np.mean(labels == 1) > 0.9


@pytest.mark.parametrize("method", ["transform", "reconstruct"])
def test_constant_column_that_moves_leaves_the_others_alone(make_detector, X, method):
    detector = make_detector().fit(np.column_stack([X, np.zeros(len(X))]))
    still, moved = (
        getattr(detector, method)(np.column_stack([X, np.full(len(X), value)]))
        for value in (0.0, 0.3)
    )
    np.testing.assert_array_equal(moved, still)


def test_reconstruction_of_a_constant_is_the_constant(make_detector, X):
    X = np.column_stack([X, np.full(len(X), 7.0)])
    np.testing.assert_allclose(make_detector().fit(X).reconstruct(X)[:, 5], 7.0, rtol=1e-4)


def test_nearly_constant_column_does_not_drown_the_others(make_detector, X, X_new):
    rng = np.random.RandomState(0)
    columns = [1e9 * (1 + 1e-16 * rng.standard_normal(len(rows))) for rows in (X, X_new)]
    detector = make_detector(max_iter=100).fit(np.column_stack([X, columns[0]]))
    labels = detector.predict(np.column_stack([X_new, columns[1]]))
    assert np.mean(labels == 1) > 0.9


@pytest.mark.parametrize("make_sparse", [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array])
def test_sparse_rows_train_the_same_model(make_detector, X, X_new, detector, make_sparse):
    other = make_detector().fit(make_sparse(X))
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


@pytest.mark.parametrize("name", ["transform", "reconstruct", "score_components"])
def test_sparse_rows_give_dense_output(detector, X_new, name):
    method = getattr(detector, name)
    np.testing.assert_array_equal(method(sp.csr_matrix(X_new)), method(X_new))


def test_mostly_empty_sparse_rows_score_finitely(make_detector):
    X = sp.random(300, 40, density=0.02, format="csr", random_state=0)
    assert_finite(make_detector(max_iter=3).fit(X), X)


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, np.float32]
)
def test_any_number_type_scores_like_float64(make_detector, dtype):
    X = np.random.RandomState(0).randint(0, 2, size=(100, 4)).astype(dtype)
    as_float = X.astype(np.float64)
    detector = make_detector(max_iter=3).fit(X)
    assert_finite(detector, X)
    np.testing.assert_array_equal(
        detector.score_samples(X),
        make_detector(max_iter=3).fit(as_float).score_samples(as_float),
    )


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float64", "Float32", "int64[pyarrow]"])
def test_nullable_columns_score_like_float64(make_detector, dtype):
    X = pd.DataFrame(np.random.RandomState(0).randint(0, 2, size=(100, 4)), columns=list("abcd"))
    detector = make_detector(max_iter=3).fit(X.astype(dtype))
    scores = detector.score_samples(X.astype(dtype))
    np.testing.assert_array_equal(
        scores, make_detector(max_iter=3).fit(X.astype(float)).score_samples(X.astype(float))
    )


def test_numbers_in_object_columns_are_taken(make_detector, X, X_new, detector):
    other = make_detector().fit(X.astype(object))
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


def test_columns_of_mixed_types_are_taken(make_detector):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "flag": rng.uniform(size=100) > 0.5,
            "count": rng.poisson(3, size=100),
            "size": rng.standard_normal(100).astype(np.float32),
        }
    )
    assert_finite(make_detector(max_iter=3).fit(frame), frame)


@pytest.mark.parametrize("loss", ["mse", "gaussian", "binary_crossentropy"])
def test_one_column_scores_finitely(make_detector, loss):
    X = np.random.RandomState(0).uniform(size=(100, 1))
    assert_finite(make_detector(reconstruction_loss=loss).fit(X), X)


@pytest.mark.parametrize("loss", ["mse", "gaussian", "binary_crossentropy"])
@pytest.mark.parametrize("n_rows", [2, 3, 5, 127])
def test_fewer_rows_than_a_batch_score_finitely(make_detector, loss, n_rows):
    X = np.random.RandomState(0).uniform(size=(n_rows, 4))
    detector = make_detector(reconstruction_loss=loss, contamination=0.1, batch_size=128).fit(X)
    assert_finite(detector, X)


@pytest.mark.parametrize("loss", ["mse", "gaussian", "binary_crossentropy"])
def test_duplicated_rows_score_finitely(make_detector, loss):
    X = np.repeat(np.random.RandomState(0).uniform(size=(2, 4)), 50, axis=0)
    assert_finite(make_detector(reconstruction_loss=loss).fit(X), X)


def test_more_columns_than_rows_score_finitely(make_detector):
    X = np.random.RandomState(0).standard_normal((10, 500))
    assert_finite(make_detector(max_iter=3).fit(X), X)


def test_duplicated_columns_score_finitely(make_detector, X):
    X = np.column_stack([X, X, X])
    assert_finite(make_detector(max_iter=3).fit(X), X)


def test_farther_rows_score_lower(trained, X):
    steps = np.array([0, 3, 10, 100, 1e4])[:, None]
    rows = X.mean(axis=0) + steps * X.std(axis=0)
    assert (np.diff(trained.score_samples(rows)) < 0).all()


def test_data_in_the_unit_interval_are_not_standardised(make_detector):
    X = np.random.RandomState(0).uniform(0.4, 0.6, size=(100, 4))
    detector = make_detector(reconstruction_loss="binary_crossentropy").fit(X)
    np.testing.assert_array_equal(detector.center_, 0)
    np.testing.assert_array_equal(detector.scale_, 1)


def test_weighted_rows_count_in_the_scaling(make_detector, X):
    weights = np.random.RandomState(0).randint(1, 5, size=len(X))
    weighted = make_detector(max_iter=1).fit(X, sample_weight=weights)
    repeated = make_detector(max_iter=1).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(weighted.center_, repeated.center_)
    np.testing.assert_allclose(weighted.scale_, repeated.scale_)


def test_pixels_rank_alike_in_any_unit(make_detector):
    """Columns that share their bounds, as pixels do, may share their scale."""
    X = np.random.RandomState(0).binomial(16, np.linspace(0.05, 0.95, 12), size=(300, 12))
    grey, scaled = (make_detector().fit(X * s).score_samples(X * s) for s in (1.0, 1 / 255))
    assert spearmanr(grey, scaled).statistic > 0.999
