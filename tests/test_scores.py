"""Scores: the same for the same row to the bit, and made of the terms that they say."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context

SCORE_ELSEWHERE = """
import sys, joblib, numpy as np
detector, X = joblib.load(sys.argv[1])
print(detector.score_samples(X).tobytes().hex())
"""

FIT_ELSEWHERE = """
import sys, joblib
detector, X, X_new = joblib.load(sys.argv[1])
print(detector.fit(X).score_samples(X_new).tobytes().hex())
"""

# Widths at which a BLAS changes its ways, and the activations with the trickiest rounding.
NETWORKS = {
    "linear": {"hidden_layer_sizes": (), "latent_dim": 1},
    "odd": {"hidden_layer_sizes": (17, 7), "latent_dim": 5, "activation": "tanh"},
    "wide": {"hidden_layer_sizes": (512, 256), "latent_dim": 32},
    "plug-in": {"hidden_layer_sizes": (256, 128), "latent_dim": 32, "n_draws": 0},
    "many draws": {"hidden_layer_sizes": (64,), "latent_dim": 8, "n_draws": 33},
    "elu": {"hidden_layer_sizes": (100,), "latent_dim": 8, "activation": "elu"},
    "gelu": {"hidden_layer_sizes": (100,), "latent_dim": 8, "activation": "gelu"},
    "sigmoid": {"hidden_layer_sizes": (100,), "latent_dim": 8, "activation": "sigmoid"},
    "silu": {"hidden_layer_sizes": (100,), "latent_dim": 8, "activation": "silu"},
    "softplus": {"hidden_layer_sizes": (100,), "latent_dim": 8, "activation": "softplus"},
    "gaussian": {"reconstruction_loss": "gaussian"},
    "bernoulli": {"reconstruction_loss": "binary_crossentropy"},
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, make_detector):
    """A fitted detector of some network, and 300 new rows of 30 columns in [0, 1]."""
    rng = np.random.RandomState(0)
    detector = make_detector(**NETWORKS[request.param], max_iter=1)
    return detector.fit(rng.uniform(size=(64, 30))), rng.uniform(size=(300, 30))


def test_score_of_a_row_alone_is_its_score_in_a_batch(network):
    detector, X = network
    alone = np.concatenate([detector.score_samples(row[None]) for row in X[:40]])
    np.testing.assert_array_equal(alone, detector.score_samples(X)[:40])


def test_code_of_a_row_alone_is_its_code_in_a_batch(network):
    detector, X = network
    alone = np.concatenate([detector.transform(row[None]) for row in X[:40]])
    np.testing.assert_array_equal(alone, detector.transform(X)[:40])


def test_score_is_independent_of_batch_order(network):
    detector, X = network
    order = np.random.RandomState(1).permutation(len(X))
    np.testing.assert_array_equal(
        detector.score_samples(X[order]), detector.score_samples(X)[order]
    )


@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 31, 33, 257, 1000])
def test_score_alone_is_the_score_in_a_batch_for_any_width(make_detector, n_features):
    X = np.random.RandomState(0).standard_normal((300, n_features))
    detector = make_detector(max_iter=1).fit(X)
    alone = np.concatenate([detector.score_samples(row[None]) for row in X[:40]])
    np.testing.assert_array_equal(alone, detector.score_samples(X)[:40])


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 128, 129, 256, 257, 1023, 1024, 1025, 8193])
def test_first_rows_score_alike_in_a_larger_batch(detector, curve, n_rows):
    X = curve(20_000, seed=2)
    np.testing.assert_array_equal(
        detector.score_samples(X[:n_rows]), detector.score_samples(X)[:n_rows]
    )


def test_working_memory_bounds_the_memory_and_changes_no_score(make_detector, curve):
    detector = make_detector(max_iter=1, hidden_layer_sizes=(500,), n_draws=8).fit(curve(100))
    X = curve(4_000, seed=2)
    expected = detector.score_samples(X)
    peaks = []
    for megabytes in (1024, 1):
        with config_context(working_memory=megabytes):
            tracemalloc.start()
            np.testing.assert_array_equal(detector.score_samples(X), expected)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 0.6 * peaks[0]


def test_score_is_the_same_from_call_to_call(detector, X_new):
    np.testing.assert_array_equal(detector.score_samples(X_new), detector.score_samples(X_new))


def test_equal_rows_score_alike(detector, X_new):
    scores = detector.score_samples(np.repeat(X_new[:1], 1000, axis=0))
    assert len(set(scores)) == 1


@pytest.mark.parametrize(
    "convert",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=0)[::2], np.ndarray.tolist, pd.DataFrame],
    ids=["fortran", "strided", "list", "frame"],
)
def test_score_is_independent_of_the_container(detector, X_new, convert):
    np.testing.assert_array_equal(
        detector.score_samples(convert(X_new)), detector.score_samples(X_new)
    )


@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, sp.coo_array, sp.csr_array])
def test_sparse_rows_score_like_dense_rows(detector, X_new, convert):
    np.testing.assert_array_equal(
        detector.score_samples(convert(X_new)), detector.score_samples(X_new)
    )


def test_scores_agree_between_threads(detector, curve):
    X = curve(10_000, seed=2)
    expected = detector.score_samples(X)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(detector.score_samples, [X] * 8):
            np.testing.assert_array_equal(scores, expected)


def test_wide_tables_score_alike_in_all_threads(make_detector):
    # Their products are so large that BLAS would share them out among its threads.
    X = np.random.RandomState(0).normal(size=(1_000, 103))
    wide = make_detector(hidden_layer_sizes=(256, 128), latent_dim=32, max_iter=1).fit(X)
    expected = wide.score_samples(X)
    with ThreadPoolExecutor(2) as pool:
        for scores in pool.map(wide.score_samples, [X] * 4):
            np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("n_threads", ["1", "2"])
def test_scores_agree_in_another_process(detector, curve, tmp_path, run_python, n_threads):
    X = curve(10_000, seed=2)
    joblib.dump((detector, X), tmp_path / "both")
    threads = {"OMP_NUM_THREADS": n_threads, "OPENBLAS_NUM_THREADS": n_threads}
    printed = run_python(SCORE_ELSEWHERE, tmp_path / "both", **threads)
    assert bytes.fromhex(printed) == detector.score_samples(X).tobytes()


def test_same_random_state_gives_the_same_model(make_detector, X, X_new, detector):
    other = make_detector().fit(X)
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))
    assert other.offset_ == detector.offset_


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden_layer_sizes": (256, 128), "latent_dim": 32},
        {"dropout": 0.3},
        {"early_stopping": True},
        {"reconstruction_loss": "gaussian"},
    ],
    ids=str,
)
def test_same_random_state_gives_the_same_model_twice(make_detector, X, X_new, parameters):
    first, second = (make_detector(**parameters).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.score_samples(X_new), second.score_samples(X_new))
    assert first.history_ == second.history_


def test_same_random_state_gives_the_same_model_in_another_process(
    make_detector, X, X_new, detector, tmp_path, run_python
):
    joblib.dump((make_detector(), X, X_new), tmp_path / "all")
    printed = run_python(FIT_ELSEWHERE, tmp_path / "all")
    assert bytes.fromhex(printed.split()[-1]) == detector.score_samples(X_new).tobytes()


def test_fits_at_the_same_time_do_not_disturb_each_other(make_detector, X, X_new, detector):
    with ThreadPoolExecutor(4) as pool:
        fitted = list(pool.map(lambda _: make_detector().fit(X), range(4)))
    for other in fitted:
        np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


def test_random_state_instance_is_taken(make_detector, X, X_new, detector):
    other = make_detector(random_state=np.random.RandomState(0)).fit(X)
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


@pytest.mark.parametrize("random_state", [1, None])
def test_other_random_state_gives_another_model(make_detector, X, X_new, detector, random_state):
    other = make_detector(random_state=random_state).fit(X)
    assert not np.array_equal(other.score_samples(X_new), detector.score_samples(X_new))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_components_sum_to_the_score(make_detector, X, X_new, beta):
    detector = make_detector(beta=beta).fit(X)
    components = detector.score_components(X_new)
    expected = -(components["reconstruction"] + beta * components["kl"])
    np.testing.assert_allclose(detector.score_samples(X_new), expected, rtol=1e-12)


def test_components_are_two_columns(detector, X_new):
    components = detector.score_components(X_new)
    assert components.columns.tolist() == ["reconstruction", "kl"]
    assert (components.dtypes == np.float64).all()


def test_components_keep_the_index_of_a_frame(detector, X_new):
    index = pd.Index([f"row {i}" for i in range(len(X_new))], name="key")
    frame = pd.DataFrame(X_new, index=index)
    pd.testing.assert_index_equal(detector.score_components(frame).index, index)


@pytest.mark.parametrize("name", ["reconstruction", "kl"])
def test_component_is_never_negative(make_detector, X, X_new, name):
    detector = make_detector(reconstruction_loss="mse").fit(X)
    assert (detector.score_components(X_new)[name] >= 0).all()


@pytest.mark.parametrize("training_only", [{}, {"dropout": 0.5}, {"input_noise": 2.0}], ids=str)
def test_plug_in_score_is_the_loss_of_the_clean_row(make_detector, X, X_new, training_only):
    """Computed anew from the Keras models and the documented formula."""
    parameters = {"reconstruction_loss": "mse", "observation_noise": 0.5, "beta": 2.0, "n_draws": 0}
    detector = make_detector(**parameters, **training_only).fit(X)
    x = ((X_new - detector.center_) / detector.scale_).astype(np.float32)
    z_mean, z_log_var = (np.asarray(output) for output in detector.encoder_(x))
    squared_error = np.sum((x - np.asarray(detector.decoder_(z_mean))) ** 2, axis=1)
    kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
    expected = -(squared_error / (2 * 0.5**2) + 2.0 * kl)
    np.testing.assert_allclose(detector.score_samples(X_new), expected, rtol=1e-4)


@pytest.mark.parametrize("n_draws", [2, 4, 64])
def test_averaged_draws_give_the_exact_expectation_of_a_square(make_detector, X, X_new, n_draws):
    """With a linear decoder of one latent dimension, E|x - dec(z)|^2 is known in closed form."""
    detector = make_detector(
        hidden_layer_sizes=(),
        latent_dim=1,
        reconstruction_loss="mse",
        observation_noise=0.5,
        n_draws=n_draws,
    ).fit(X)
    x = ((X_new - detector.center_) / detector.scale_).astype(np.float32)
    z_mean, z_log_var = (np.asarray(output) for output in detector.encoder_(x))
    kernel, _ = detector.decoder_.get_weights()
    squared_error = np.sum((x - np.asarray(detector.decoder_(z_mean))) ** 2, axis=1)
    spread = np.sum(kernel**2) * np.exp(z_log_var[:, 0])
    expected = (squared_error + spread) / (2 * 0.5**2)
    actual = detector.score_components(X_new)["reconstruction"]
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


def test_score_is_independent_of_the_order_in_memory(make_detector):
    X = np.random.RandomState(0).standard_normal((96, 30))
    detector = make_detector(max_iter=1).fit(X)
    expected = detector.score_samples(X)
    by_column = np.asfortranarray(X)  # as a frame read from a file is
    np.testing.assert_array_equal(detector.score_samples(by_column), expected)
    np.testing.assert_array_equal(detector.score_samples(by_column[5:6]), expected[5:6])
