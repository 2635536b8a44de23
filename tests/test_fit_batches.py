"""fit_batches: rows that do not fit into memory, read batch by batch."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from vae_anomaly.training import rows as training

BATCHES = 4


@pytest.fixture(scope="module")
def parts(X):
    return np.array_split(X, BATCHES)


@pytest.fixture
def fit_batches(make_detector):
    return lambda batches, **params: make_detector(**params).fit_batches(batches)


def test_scaling_is_that_of_all_rows(fit_batches, parts, detector):
    fitted = fit_batches(parts)
    np.testing.assert_allclose(fitted.center_, detector.center_)
    np.testing.assert_allclose(fitted.scale_, detector.scale_)


def test_it_learns_as_fit_does(make_detector, parts, X, X_new):
    longer = {"max_iter": 60, "support_fraction": 1.0}
    whole = make_detector(**longer).fit(X).score_samples(X_new)
    batchwise = make_detector(**longer).fit_batches(parts).score_samples(X_new)
    assert np.mean(batchwise) == pytest.approx(np.mean(whole), rel=0.15)


@pytest.mark.parametrize("buffer_rows", [1, 50, 100_000])
def test_every_row_is_learned_from_once_an_epoch(make_detector, X, monkeypatch, buffer_rows):
    """Rows are told by their number, which they carry in their only column."""
    monkeypatch.setattr(training, "_BUFFER_ROWS", buffer_rows)
    numbers = np.arange(90, dtype=np.float32)[:, None]
    source = training.RowsInBuffers(
        lambda: np.array_split(numbers, 7), 90, 6, np.random.RandomState(0)
    )
    seen = []
    while len(seen) < 90 * 3:
        rows, weight, batches = source.take(2)
        assert batches.shape[1] == 6
        assert (weight.numpy() == 1).all()
        seen += rows.numpy()[batches.ravel(), 0].tolist()
    epoch = np.sort(np.reshape(seen, (3, 90)), axis=1)
    if buffer_rows <= 50:  # a larger buffer holds rows of the next epoch too
        assert len(set(seen)) == 90
    if buffer_rows == 100_000:
        np.testing.assert_array_equal(epoch, np.tile(np.arange(90), (3, 1)))


@pytest.mark.parametrize("kind", ["list", "function", "frames", "sparse", "polars", "arrow", "tf"])
def test_all_kinds_of_streams_give_the_same_model(fit_batches, parts, X_new, kind):
    names = [f"x{i}" for i in range(parts[0].shape[1])]
    frames = [pd.DataFrame(part, columns=names) for part in parts]
    if kind == "list":
        batches = parts
    elif kind == "function":

        def batches():
            yield from parts

    elif kind == "frames":
        batches = frames
    elif kind == "sparse":
        batches = [sp.csr_array(part) for part in parts]
    elif kind == "polars":
        polars = pytest.importorskip("polars")
        batches = [polars.from_pandas(frame) for frame in frames]
    elif kind == "arrow":
        pa = pytest.importorskip("pyarrow")
        dataset = pytest.importorskip("pyarrow.dataset")
        batches = dataset.dataset(
            pa.Table.from_batches([pa.RecordBatch.from_pandas(frame) for frame in frames])
        )
    else:
        from vae_anomaly.backend import tf

        batches = tf.data.Dataset.from_tensor_slices(np.stack(parts))
    fitted = fit_batches(batches)
    if kind in {"frames", "polars", "arrow"}:
        assert fitted.feature_names_in_.tolist() == names
        X_new = pd.DataFrame(X_new, columns=names)
    expected = fit_batches(parts).score_samples(np.asarray(X_new))
    np.testing.assert_array_equal(fitted.score_samples(X_new), expected)


def test_an_iterator_is_refused(fit_batches, parts):
    with pytest.raises(ValueError, match=r"read only once.*Pass the function that makes it"):
        fit_batches(part for part in parts)


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sp.csr_array], ids=str)
def test_rows_that_are_not_in_parts_are_refused(fit_batches, X, kind):
    with pytest.raises(ValueError, match=r"batches is a single .*pass a list of them, or call fit"):
        fit_batches(kind(X))


def test_a_function_that_returns_a_used_iterator_is_refused(fit_batches, parts):
    used = iter(parts)
    with pytest.raises(ValueError, match="none when read again"):
        fit_batches(lambda: used)


@pytest.mark.parametrize("batches", [[], [np.empty((0, 3))], [np.ones((1, 3))]], ids=len)
def test_too_few_rows_are_refused(fit_batches, batches):
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        fit_batches(batches)


def test_a_bad_batch_is_named_before_training(fit_batches, parts):
    bad = [part.copy() for part in parts]
    bad[2][5, 1] = np.inf
    with pytest.raises(ValueError, match=r"(?s)Batch 2, counted from 0:.*column 1, row 5"):
        fit_batches(bad)


def test_batches_of_different_width_are_refused(fit_batches, parts):
    with pytest.raises(ValueError, match=r"Batch 1.*expecting 5 features"):
        fit_batches([parts[0], parts[1][:, :4]])


def test_batches_with_other_columns_are_refused(fit_batches, parts):
    frames = [pd.DataFrame(part, columns=list("abcde")) for part in parts]
    frames[3] = frames[3].rename(columns={"e": "f"})
    with pytest.raises(ValueError, match=r"(?s)Batch 3.*feature names"):
        fit_batches(frames)


def test_threshold_flags_the_share_asked_for(fit_batches, parts, X):
    fitted = fit_batches(parts, contamination=0.2)
    assert np.mean(fitted.predict(X) == -1) == pytest.approx(0.2, abs=0.01)


def test_same_seed_same_model(fit_batches, parts, X_new):
    first, second = (fit_batches(parts).score_samples(X_new) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_partial_fit_goes_on(fit_batches, parts, X):
    fitted = fit_batches(parts)
    center = fitted.center_.copy()
    fitted.partial_fit(X)
    np.testing.assert_array_equal(fitted.center_, center)


def test_rows_of_a_buffer_are_shuffled():
    numbers = np.arange(1000, dtype=np.float32)[:, None]
    source = training.RowsInBuffers(lambda: [numbers], 1000, 100, np.random.RandomState(0))
    rows, _, batches = source.take(10)
    seen = rows.numpy()[batches.ravel(), 0]
    assert abs(np.corrcoef(seen, np.arange(1000))[0, 1]) < 0.2


def test_threshold_is_set_by_a_sample_of_all_rows(fit_batches):
    """The first third of the rows are equal; few of a random sample are."""
    rng = np.random.RandomState(0)
    parts = [np.zeros((12_000, 2)), rng.standard_normal((24_000, 2))]
    scores = fit_batches(parts, max_iter=1, hidden_layer_sizes=(4,)).training_scores_
    assert len(scores) == 10_000
    _, counts = np.unique(scores, return_counts=True)
    assert counts.max() == pytest.approx(10_000 / 3, rel=0.1)
