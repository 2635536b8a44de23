"""Fits are all or nothing, and parameters set after a fit have no effect until the next one."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from vae_anomaly import VAEAnomalyDetector
from vae_anomaly.training import loop


@pytest.fixture
def fitted(make_detector, X):
    """A fitted detector that a test may change."""
    return make_detector(contamination=0.1).fit(X)


def interrupt_training(monkeypatch, n_calls=1):
    """Press Ctrl-C in the middle of the n-th training."""
    original, calls = loop.train, []

    def interrupted(*arguments, **keywords):
        calls.append(1)
        trained = original(*arguments, **keywords)
        if len(calls) == n_calls:
            raise KeyboardInterrupt
        return trained

    monkeypatch.setattr(loop, "train", interrupted)


BAD_REFITS = {
    "diverging": ({"learning_rate_init": 1e30, "max_iter": 50}, lambda X: 1000 * X + 5),
    "refused rows": ({}, lambda X: np.where(X[3, 2] == X, np.inf, X)),
    "fewer columns, refused parameter": ({"input_shape": (7,)}, lambda X: X[:, :4]),
    "refused parameter": ({"latent_dim": 0}, lambda X: X),
    "other names, refused rows": (
        {},
        lambda X: pd.DataFrame(X, columns=list("abcde")).assign(e=np.inf),
    ),
    "text": ({}, lambda X: pd.DataFrame(X, columns=list("abcde")).assign(e="x")),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_batches"])
@pytest.mark.parametrize("kind", BAD_REFITS)
def test_failed_refit_leaves_no_trace(fitted, X, method, kind):
    parameters, change = BAD_REFITS[kind]
    fitted.set_params(**parameters)
    before = joblib.hash(fitted)
    rows = change(X)
    with pytest.raises(ValueError):
        getattr(fitted, method)([rows] if method == "fit_batches" else rows)
    assert joblib.hash(fitted) == before


@pytest.mark.parametrize("n_calls", [1, 2], ids=["network", "threshold's network"])
def test_interrupted_refit_leaves_no_trace(make_detector, X, monkeypatch, n_calls):
    detector = make_detector().fit(X)
    before = joblib.hash(detector)
    interrupt_training(monkeypatch, n_calls)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(100 * X[:, :3])
    assert joblib.hash(detector) == before


@pytest.mark.parametrize("n_calls", [1, 2], ids=["network", "threshold's network"])
def test_interrupted_fit_leaves_the_detector_not_fitted(make_detector, X, monkeypatch, n_calls):
    interrupt_training(monkeypatch, n_calls)
    detector = make_detector()
    with pytest.raises(KeyboardInterrupt):
        detector.fit(X)
    with pytest.raises(NotFittedError):
        detector.predict(X)
    assert not hasattr(detector, "n_features_in_")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_no_trace(make_detector, curve, X):
    detector = make_detector(max_iter=100_000).set_params(max_iter=1).fit(X)
    before = detector.score_samples(X)
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        detector.set_params(max_iter=100_000).fit(1000 * X)
    np.testing.assert_array_equal(detector.score_samples(X), before)


def test_failed_warm_start_leaves_no_trace(make_detector, X):
    detector = make_detector(warm_start=True, contamination=0.1).fit(X)
    detector.set_params(n_draws=2, observation_noise=0.5, learning_rate_init=1e30, max_iter=50)
    before = joblib.hash(detector)
    with pytest.raises(ValueError, match="diverged"):
        detector.fit(X)
    assert joblib.hash(detector) == before


def test_refit_without_names_forgets_the_names(make_detector, X):
    detector = make_detector(max_iter=1).fit(pd.DataFrame(X, columns=list("abcde"))).fit(X)
    assert not hasattr(detector, "feature_names_in_")


@pytest.mark.parametrize(
    "change",
    [
        {"beta": 5.0},
        {"variational": False},
        {"input_shape": (5, 1)},
        {"reconstruction_loss": "binary_crossentropy"},
        {"observation_noise": 0.5},
        {"n_draws": 0},
        {"contamination": 0.3},
        {"architecture": "lstm"},
    ],
    ids=str,
)
def test_parameters_set_after_fit_change_nothing(fitted, X, change):
    labels, scores, bound = fitted.predict(X), fitted.score_samples(X), fitted.score(X)
    fitted.set_params(**change)
    np.testing.assert_array_equal(fitted.score_samples(X), scores)
    np.testing.assert_array_equal(fitted.predict(X), labels)
    assert fitted.score(X) == bound


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda detector: pickle.loads(pickle.dumps(detector))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copy_of_a_copy_is_the_same(fitted, copied):
    assert joblib.hash(copied(copied(fitted))) == joblib.hash(fitted)


# Continued training


def test_warm_start_keeps_the_automatic_threshold(make_detector, X):
    """The network of the threshold is trained for as many epochs as the detector in total."""
    detector = make_detector(warm_start=True, max_iter=300).fit(X)
    once = detector.offset_
    # With a network trained for only five epochs, the threshold would be eleven times as low.
    assert detector.set_params(max_iter=5).fit(X).offset_ > 4 * once


def test_threshold_after_early_stopping_is_that_of_a_network_stopped_as_early(make_detector, X):
    """The second network has the schedule of the first, not one for fewer epochs."""
    parameters = {"max_iter": 2000, "tol": 1e9, "n_iter_no_change": 12, "learning_rate_init": 0.01}
    stopped = make_detector(early_stopping=True, **parameters).fit(X)
    assert stopped.n_iter_ == 13
    constant = make_detector(
        early_stopping=True, **(parameters | {"learning_rate": "constant"})
    ).fit(X)
    # This early, half a cosine is still flat, so that the two thresholds are similar.
    assert stopped.offset_ == pytest.approx(constant.offset_, rel=0.05)


def test_partial_fit_draws_a_different_order_each_time(make_detector, X):
    """This holds for an int as random_state, too: the same rows get different noise."""
    detector = make_detector(learning_rate_init=1e-12, batch_size=100)
    losses = detector.partial_fit(X).partial_fit(X).partial_fit(X).history_["loss"]
    assert len(set(losses)) == 3


def test_partial_fit_repeats_from_its_seed(make_detector, X):
    first, second = (make_detector().partial_fit(X).partial_fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.score_samples(X), second.score_samples(X))


@pytest.mark.parametrize(
    "change",
    [{"latent_dim": 2}, {"reconstruction_loss": "gaussian"}, {"hidden_layer_sizes": (4,)}],
    ids=str,
)
def test_partial_fit_refuses_another_network(make_detector, X, change):
    detector = make_detector().partial_fit(X).set_params(**change)
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} has changed.*another network"):
        detector.partial_fit(X)


def test_partial_fit_validates_parameters_in_later_calls(make_detector, X):
    detector = make_detector().partial_fit(X).set_params(batch_size=0)
    with pytest.raises(ValueError, match="batch_size"):
        detector.partial_fit(X)


def test_partial_fit_uses_new_values_of_noise_and_draws(make_detector, X):
    detector = make_detector(learning_rate_init=1e-12).partial_fit(X)
    before = detector.score_components(X)["reconstruction"]
    detector.set_params(observation_noise=0.2).partial_fit(X)
    after = detector.score_components(X)["reconstruction"]
    np.testing.assert_allclose(after, before / 4, rtol=1e-3)


def test_partial_fit_keeps_the_validation_loss(make_detector, X):
    detector = make_detector(early_stopping=True, max_iter=3, contamination=0.1).fit(X)
    losses = list(detector.history_["val_loss"])
    detector.partial_fit(X)
    assert detector.history_["val_loss"][:-1] == losses
    assert np.isnan(detector.history_["val_loss"][-1])


def test_partial_fit_uses_sample_weights(make_detector, X):
    heavy = np.arange(len(X)) < 200
    two_kinds = np.where(heavy[:, None], X, X[:, ::-1])

    def learned(weight):
        detector = make_detector()
        for _ in range(60):
            detector.partial_fit(two_kinds, sample_weight=weight)
        return detector.score(two_kinds[heavy])

    assert learned(np.where(heavy, 50.0, 1.0)) > learned(np.where(heavy, 1.0, 50.0))


def test_fit_batches_does_not_discard_weights_that_warm_start_keeps(make_detector, X):
    detector = make_detector(warm_start=True, contamination=0.1).fit(X)
    with pytest.raises(ValueError, match=r"warm_start=True.*partial_fit"):
        detector.fit_batches([X])


def test_validation_rows_given_by_the_user_stop_the_training(make_detector, X, X_new):
    detector = make_detector(early_stopping=True, max_iter=3, contamination=0.1).fit(X, X_val=X_new)
    assert detector.history_["val_loss"][-1] == pytest.approx(
        min(-detector.score_samples(X_new).mean(), detector.history_["val_loss"][-1])
    )
    assert len(detector.training_scores_) == len(X)


def test_validation_rows_are_checked(make_detector, X):
    with pytest.raises(ValueError, match="early_stopping"):
        make_detector().fit(X, X_val=X)
    with pytest.raises(ValueError, match="X_val is not valid: X has 4 features"):
        make_detector(early_stopping=True).fit(X, X_val=X[:, :4])
    with pytest.raises(ValueError, match="X_val"):
        make_detector(early_stopping=True).fit(X, sample_weight_val=np.ones(3))


def test_fit_batches_has_no_early_stopping(make_detector, X):
    with pytest.raises(ValueError, match="early_stopping"):
        make_detector(early_stopping=True).fit_batches([X])


def test_constant_learning_rate_moves_the_weights_further(make_detector, X):
    cosine, constant = (
        make_detector(learning_rate=schedule, max_iter=2).fit(X)
        for schedule in ("cosine", "constant")
    )
    assert cosine.history_["loss"] != constant.history_["loss"]
    assert constant.history_["kl"] != cosine.history_["kl"]


# Training and scores beyond the range of float32


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate_init": 1e3, "observation_noise": 1e-6}, "observation_noise"),
        ({"observation_noise": 1e-30}, "observation_noise=1e-30"),
        ({"input_noise": 1e38}, "input_noise=1e"),
        ({"beta": 1e300}, "beta=1e"),
        ({"learning_rate_init": 1e300}, "learning_rate_init=1e"),
    ],
    ids=str,
)
def test_the_parameter_at_fault_is_named(make_detector, X, parameters, message):
    with pytest.raises(ValueError, match=message):
        make_detector(**parameters).fit(X)


def test_smallest_support_fraction_keeps_one_row(make_detector, X):
    assert np.isfinite(make_detector(support_fraction=1e-50).fit(X).offset_)


@pytest.mark.parametrize("value", [1e-320, 1e-200, 1e200, -1e300])
def test_constant_column_of_any_size_is_valid(make_detector, X, value):
    rows = np.column_stack([X, np.full(len(X), value)])
    detector = make_detector(max_iter=2).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()
    assert np.isfinite(detector.reconstruct(rows)).all()


def test_a_column_that_spans_too_much_is_named(make_detector, X):
    frame = pd.DataFrame(X, columns=list("abcde")).assign(c=1e200 * X[:, 2])
    with pytest.raises(ValueError, match="Column 'c' of X spans too wide a range"):
        make_detector().fit(frame)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_rows_of_relatively_negligible_weight_are_left_out(make_detector, X, X_new, early_stopping):
    weights = np.where(np.arange(len(X)) < 200, 1e300, 1e-300)
    heavy, alone = (
        make_detector(early_stopping=early_stopping).fit(rows, sample_weight=w).score_samples(X_new)
        for rows, w in ((X, weights), (X[:200], None))
    )
    np.testing.assert_array_equal(heavy, alone)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        make_detector().fit(X, sample_weight=np.where(np.arange(len(X)) == 3, 1e300, 1e-300))


def test_huge_weights_are_valid(make_detector, X, X_new, detector):
    other = make_detector().fit(X, sample_weight=np.full(len(X), 2.0**1000))
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


@pytest.mark.parametrize("exponent", [-1000, -600, 480])
def test_scores_do_not_depend_on_extreme_units(make_detector, X, X_new, detector, exponent):
    other = make_detector().fit(X * 2.0**exponent)
    scores = other.score_samples(X_new * 2.0**exponent)
    np.testing.assert_array_equal(scores, detector.score_samples(X_new))


def test_reconstructions_of_float32_rows_hold_large_units(make_detector, X):
    detector = make_detector(max_iter=2).fit(1e100 * X)
    rebuilt = detector.reconstruct(X.astype(np.float32))
    assert np.isfinite(rebuilt).all()
    assert rebuilt.dtype == np.float64


def test_columns_with_shared_bounds_keep_their_own_units(make_detector):
    """The unit does not matter for ratings from 1 to 5 or the output of MinMaxScaler."""
    rng = np.random.RandomState(0)
    X = np.column_stack([rng.beta(a, 2, size=400) for a in (0.1, 1, 5, 20)])
    X = (X - X.min(axis=0)) / (X.max(axis=0) - X.min(axis=0))
    units = 2.0 ** np.array([0, 3, -5, 9])
    plain, rescaled = make_detector().fit(X), make_detector().fit(X * units)
    np.testing.assert_array_equal(plain.score_samples(X), rescaled.score_samples(X * units))
    np.testing.assert_allclose(plain.scale_, X.std(axis=0))


def test_columns_share_a_unit_with_input_shape(make_detector):
    images = np.random.RandomState(0).uniform(size=(50, 4, 4, 2)) * [1, 10]
    scale = make_detector(input_shape=(4, 4, 2), max_iter=1).fit(images).scale_
    np.testing.assert_allclose(scale, np.tile(scale[:2], 16))
    assert scale[1] > 5 * scale[0]


def test_threshold_changes_smoothly_with_the_weights(make_detector, X):
    parameters = {"contamination": 0.1, "learning_rate_init": 1e-12}
    weights = np.ones(len(X))
    equal = make_detector(**parameters).fit(X, sample_weight=weights).offset_
    weights[0] += 1e-12
    nearly = make_detector(**parameters).fit(X, sample_weight=weights).offset_
    assert nearly == pytest.approx(equal, rel=1e-6)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_dropout_depends_on_the_seed(make_detector, kind):
    """In the first step, from the same weights, different masks give different losses."""
    X = np.random.RandomState(0).standard_normal((64, 16))
    parameters = {
        "dropout": 0.5,
        "input_noise": 0.0,
        "variational": False,
        "learning_rate_init": 1e-12,
        "batch_size": 64,
        "contamination": 0.1,
        "warm_start": True,
        "max_iter": 1,
    }
    if kind == "conv":
        parameters |= {"architecture": "conv", "input_shape": (4, 4, 1), "hidden_layer_sizes": (4,)}
    detector = make_detector(**parameters).fit(X)
    losses = {detector.set_params(random_state=s).fit(X).history_["loss"][0] for s in (1, 2, 3)}
    assert len(losses) == 3


def test_each_step_drops_different_units(make_detector):
    X = np.random.RandomState(0).standard_normal((64, 16))
    detector = make_detector(
        dropout=0.5,
        input_noise=0.0,
        variational=False,
        learning_rate_init=1e-12,
        batch_size=64,
        max_iter=6,
        contamination=0.1,
    ).fit(X)
    assert len(set(np.round(detector.history_["loss"], 6))) == 6


# Options without an effect


def test_plain_autoencoder_may_count_all_rows_alike(make_detector, X, X_new):
    alike, default = (
        make_detector(variational=False, **parameters).fit(X).score_samples(X_new)
        for parameters in ({"support_fraction": 1.0}, {})
    )
    np.testing.assert_array_equal(alike, default)


@pytest.mark.parametrize(
    "parameters",
    [
        {"variational": False, "beta": 2.0},
        {"variational": False, "n_draws": 4},
        {"variational": False, "support_fraction": 0.5},
        {"reconstruction_loss": "gaussian", "observation_noise": 0.5},
        {"reconstruction_loss": "binary_crossentropy", "observation_noise": 0.5},
        {"hidden_layer_sizes": (), "activation": "tanh"},
        {"hidden_layer_sizes": (), "dropout": 0.5},
    ],
    ids=str,
)
def test_parameter_without_effect_is_refused(make_detector, parameters):
    X = np.random.RandomState(0).uniform(size=(50, 4))
    with pytest.raises(ValueError, match="would have no effect"):
        make_detector(**parameters).fit(X)


@pytest.mark.parametrize("sizes", [True, (True,), [8, False]], ids=str)
def test_a_bool_is_not_a_layer_size(make_detector, X, sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        make_detector(hidden_layer_sizes=sizes).fit(X)


def test_an_int_is_one_hidden_layer(make_detector, X):
    one, same = (make_detector(hidden_layer_sizes=sizes).fit(X) for sizes in (6, (6,)))
    np.testing.assert_array_equal(one.score_samples(X), same.score_samples(X))


# Processes


FORKS = """
import multiprocessing as mp, os, threading
import numpy as np
from vae_anomaly import VAEAnomalyDetector
X = np.random.RandomState(0).normal(size=(400, 30))
detector = VAEAnomalyDetector(max_iter=2, random_state=0).fit(X)
def network(shape, latent_dim):
    import keras
    x = keras.Input(shape)
    hidden = keras.layers.Dense(2000)(x)
    return keras.Model(x, [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)])
def say(get):  # also why there is nothing to say, so that the other parts are heard
    try:
        print(get())
    except Exception as error:
        print(type(error).__name__, error)
def fit(_):
    many = np.tile(X, (200, 1))  # enough for TensorFlow to want its threads
    new = dict(max_iter=1, hidden_layer_sizes=(4,), random_state=0)
    errors = set()
    for try_to in (
        lambda: VAEAnomalyDetector(**new).fit(many),
        lambda: VAEAnomalyDetector(encoder=network, **new).fit(X),
        lambda: VAEAnomalyDetector(**new).fit_batches([many, many]),
        lambda: detector.partial_fit(many),
        lambda: detector.set_params(warm_start=True).fit(many),
        lambda: detector.encoder_,
    ):
        try:
            try_to()
            errors.add("no error")
        except RuntimeError as error:
            errors.add(str(error))
    return " ".join(errors)
def score(_):
    return detector.score_samples(X)
stop = False
def score_on():
    while not stop:
        detector.score_samples(X[:20])
def child():
    detector.score_samples(X[:20])
    os._exit(0)
if __name__ == "__main__":
    def in_a_fork(part):
        with mp.get_context("fork").Pool(1) as pool:
            return pool.map_async(part, [0]).get(timeout=60)[0]
    say(lambda: in_a_fork(fit))
    say(lambda: np.array_equal(in_a_fork(score), score(0)))
    threads = [threading.Thread(target=score_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    hung = 0
    for _ in range(20):
        process = mp.get_context("fork").Process(target=child)
        process.start()
        process.join(20)
        if process.is_alive():
            hung += 1
            process.kill()
    stop = True
    print("hung", hung)
"""

FORK_BEFORE_IMPORT = """
import multiprocessing as mp
import numpy as np
import tensorflow as tf
def fit(_):
    from vae_anomaly import VAEAnomalyDetector
    try:
        VAEAnomalyDetector(max_iter=1, hidden_layer_sizes=(4,)).fit(np.random.rand(60, 3))
    except RuntimeError as error:
        return str(error)
if __name__ == "__main__":
    big = tf.ones((500, 500))
    (big @ big).numpy()
    with mp.get_context("fork").Pool(1) as pool:
        print(pool.map_async(fit, [0]).get(timeout=60)[0])
"""

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.fixture(scope="module")
def forks(run_python):
    """What forks of one process say: of their fits, of their scores, and while threads score."""
    return run_python(FORKS).splitlines()


@needs_fork
def test_fit_in_a_process_forked_after_a_fit_says_what_to_do(forks):
    assert "spawn" in forks[0] and "loky" in forks[0] and "forkserver" in forks[0]
    assert "no error" not in forks[0]


@needs_fork
def test_a_process_forked_after_a_fit_scores_like_its_parent(forks):
    assert forks[1] == "True"


@needs_fork
def test_a_fork_waits_for_the_products_of_other_threads(forks):
    assert forks[2] == "hung 0"


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted in /proc")
def test_fit_in_a_process_forked_before_the_import_says_what_to_do(run_python):
    assert "spawn" in run_python(FORK_BEFORE_IMPORT)


EAGER_DISABLED = """
import numpy as np, tensorflow as tf
from vae_anomaly import VAEAnomalyDetector
tf.compat.v1.disable_eager_execution()
try:
    VAEAnomalyDetector(max_iter=1).fit(np.random.rand(50, 3))
except RuntimeError as error:
    print(str(error).splitlines()[0])
"""

KERAS_SETTINGS = """
import sys
import keras
policy, floatx, data_format = sys.argv[1:]
keras.config.set_floatx(floatx)
keras.config.set_dtype_policy(policy)
keras.config.set_image_data_format(data_format)
"""

SUM_OF_SCORES = """
import numpy as np
from vae_anomaly import VAEAnomalyDetector
X = np.random.RandomState(0).uniform(size=(60, 6, 6, 1))
small = dict(latent_dim=2, max_iter=2, random_state=0, contamination=0.1)
total = 0.0
for kind, sizes, rows in [
    ("dense", (8,), X.reshape(60, -1)), ("conv", (4,), X), ("lstm", (4,), X[..., 0])
]:
    shape = rows.shape[1:] if rows.ndim > 2 else None
    detector = VAEAnomalyDetector(
        architecture=kind, input_shape=shape, hidden_layer_sizes=sizes, dropout=0.1, **small
    ).fit(rows)
    detector.vae_(np.asarray(rows[:2], np.float32))
    total += detector.score_samples(rows).sum()
"""


def test_eager_execution_that_is_disabled_is_named(run_python):
    assert "disable_eager_execution" in run_python(EAGER_DISABLED)


def test_settings_of_keras_do_not_matter(run_python):
    script = KERAS_SETTINGS + SUM_OF_SCORES + "print(repr(float(total)))"
    by_default = {}
    exec(SUM_OF_SCORES, by_default)
    for setting in (
        ("mixed_float16", "float32", "channels_first"),
        ("float64", "float64", "channels_last"),
    ):
        assert float(run_python(script, *setting)) == by_default["total"]


@pytest.mark.parametrize(
    "target",
    ["functools.partial(say)", "in_subshell(say)"],
    ids=["without a module", "subshell of a notebook"],
)
def test_importing_tensorflow_beside_other_threads_leaves_their_stderr_alone(target):
    script = """
import functools, subprocess, sys, threading, time
stop = False
lines = []
def say():
    while not stop:
        subprocess.run([sys.executable, "-S", "-c", "import sys; sys.stderr.write('heard\\\\n')"])
        lines.append(1)
        time.sleep(0.01)
def in_subshell(run):
    run.__module__ = "ipykernel.subshell"  # whose threads run the code of the user
    return run
thread = threading.Thread(target=TARGET)
thread.start()
import vae_anomaly.backend
stop = True
thread.join()
print(len(lines))
""".replace("TARGET", target)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.count("heard") == int(run.stdout)


def test_repeated_fits_do_not_grow(run_python):
    script = """
import gc
import numpy as np
from vae_anomaly import VAEAnomalyDetector
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
X = np.random.RandomState(0).normal(size=(60, 4))
def fit(seed):
    VAEAnomalyDetector(
        hidden_layer_sizes=(256, 128), max_iter=1, contamination=0.1, random_state=seed
    ).fit(X)
for seed in range(60):
    fit(seed)
before = resident()
for seed in range(120):
    fit(seed)
print(resident() - before)
"""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("resident memory is read from /proc")
    assert float(run_python(script)) < 12  # it was 0.28 MB per fit


def test_custom_layers_do_not_need_tensorflow(run_python):
    script = "import sys, vae_anomaly.networks.spec; print('keras' in sys.modules)"
    assert run_python(script).strip() == "False"


def test_scores_are_those_of_a_detector_made_alone(fitted, X):
    assert isinstance(fitted, VAEAnomalyDetector)
    np.testing.assert_array_equal(
        fitted.score_samples(X), -fitted.score_components(X).sum(axis=1).to_numpy()
    )
