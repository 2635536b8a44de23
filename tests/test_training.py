"""Training: what stops it, continues it, weighs on it and shows it."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vae_anomaly.networks.spec import NetworkSpec
from vae_anomaly.training import loop, support
from vae_anomaly.training import step as training
from vae_anomaly.training.plan import TrainingPlan
from vae_anomaly.training.rows import RowsInMemory


def test_history_has_one_entry_per_epoch(detector):
    assert detector.n_iter_ == 10
    assert set(detector.history_) == {"loss", "reconstruction", "kl"}
    assert [len(losses) for losses in detector.history_.values()] == [10, 10, 10]


def test_history_holds_plain_floats(detector):
    assert {type(loss) for losses in detector.history_.values() for loss in losses} == {float}


def test_loss_falls(make_detector, X):
    # Less the KL divergence, whose weight rises while training goes on.
    reconstruction = make_detector(max_iter=200).fit(X).history_["reconstruction"]
    assert reconstruction[-1] < 0.5 * reconstruction[0]


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_loss_is_reconstruction_and_weighted_divergence(make_detector, X, beta):
    history = make_detector(beta=beta).partial_fit(X).history_
    expected = history["reconstruction"][0] + beta * history["kl"][0]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_loss_of_training_is_the_score(make_detector, X):
    """On the same rows, by the same weights, without noise: a step too small to change them."""
    detector = make_detector(
        learning_rate_init=1e-12, input_noise=0.0, dropout=0.0, n_draws=512
    ).partial_fit(X)
    components = detector.score_components(X)
    assert detector.history_["kl"][0] == pytest.approx(components["kl"].mean(), rel=0.05)
    expected = components["reconstruction"].mean()
    assert detector.history_["reconstruction"][0] == pytest.approx(expected, rel=0.1)


def test_larger_beta_buys_a_smaller_divergence(make_detector, X):
    weak, strong = (make_detector(beta=beta, max_iter=100).fit(X) for beta in (0.1, 20.0))
    assert strong.score_components(X)["kl"].mean() < 0.8 * weak.score_components(X)["kl"].mean()


@pytest.mark.parametrize("batch_size", [1, 7, 399, 400, 401, 10_000])
def test_any_batch_size_trains(make_detector, X, batch_size):
    detector = make_detector(batch_size=batch_size, max_iter=2).fit(X)
    assert detector.n_iter_ == 2
    assert np.isfinite(detector.history_["loss"]).all()


@pytest.mark.parametrize("parameter", ["dropout", "input_noise"])
def test_regularisation_changes_the_model(make_detector, X, X_new, parameter):
    without, with_it = (make_detector(**{parameter: value}).fit(X) for value in (0.0, 0.5))
    assert not np.array_equal(without.score_samples(X_new), with_it.score_samples(X_new))


def test_input_noise_teaches_to_remove_noise(make_detector, X, X_new):
    noisy = X_new + 0.5 * X.std(axis=0) * np.random.RandomState(0).standard_normal(X_new.shape)
    plain, denoising = (
        make_detector(hidden_layer_sizes=(64, 32), latent_dim=5, max_iter=150, input_noise=noise)
        .fit(X)
        .reconstruct(noisy)
        for noise in (0.0, 0.5)
    )
    assert np.mean((denoising - X_new) ** 2) < np.mean((plain - X_new) ** 2)


def test_support_fraction_keeps_outliers_from_being_learned(make_detector, X):
    """A tenth of the rows lie together, far from the others: a network learns them too."""
    rng = np.random.RandomState(0)
    is_outlier = np.arange(len(X)) < 40
    rows = np.where(is_outlier[:, None], X.mean(axis=0) + 3 * X.std(axis=0), X)
    rows = rows + 0.01 * X.std(axis=0) * rng.standard_normal(X.shape)
    all_rows, weighted, the_core = (
        roc_auc_score(
            is_outlier,
            -make_detector(support_fraction=fraction, max_iter=150).fit(rows).score_samples(rows),
        )
        for fraction in (1.0, "auto", 0.5)
    )
    assert the_core > 0.95
    assert weighted > 0.95
    assert the_core > all_rows
    assert weighted > all_rows


def test_weights_that_fade_away_are_no_error(make_detector, X, X_new):
    """Those of whole batches are zero in float32."""
    fading = 0.5 ** np.arange(len(X))
    detector = make_detector(batch_size=8).fit(X, sample_weight=fading)
    assert np.isfinite(detector.score_samples(X_new)).all()


def test_diverging_training_is_an_error(make_detector, X):
    with pytest.raises(ValueError, match="learning_rate_init"):
        make_detector(learning_rate_init=1e30, max_iter=50).fit(X)


def test_early_stopping_stops_early(make_detector, X):
    detector = make_detector(early_stopping=True, tol=1e9, n_iter_no_change=3, max_iter=100).fit(X)
    assert detector.n_iter_ == 4


def test_early_stopping_waits_for_the_epochs_it_is_told(make_detector, X):
    detector = make_detector(early_stopping=True, tol=1e9, n_iter_no_change=8, max_iter=100).fit(X)
    assert detector.n_iter_ == 9


def test_early_stopping_goes_on_while_the_loss_falls(make_detector, X):
    detector = make_detector(early_stopping=True, max_iter=20, n_iter_no_change=20).fit(X)
    assert detector.n_iter_ == 20


def test_early_stopping_records_the_held_out_loss(make_detector, X):
    detector = make_detector(early_stopping=True).fit(X)
    assert len(detector.history_["val_loss"]) == detector.n_iter_
    assert np.isfinite(detector.history_["val_loss"]).all()


def test_early_stopping_keeps_the_best_epoch(make_detector):
    """Nine tenths of the rows are held out: their loss is nearly the loss of all rows."""
    noise = np.random.RandomState(0).standard_normal((200, 10))
    detector = make_detector(
        hidden_layer_sizes=(64,),
        reconstruction_loss="mse",
        observation_noise=0.1,
        input_noise=0.0,
        n_draws=0,
        support_fraction=1.0,
        batch_size=2,
        learning_rate_init=0.01,
        early_stopping=True,
        validation_fraction=0.9,
        n_iter_no_change=100,
        max_iter=100,
    ).fit(noise)
    losses = detector.history_["val_loss"]
    assert losses[-1] > 1.1 * min(losses)
    assert -detector.score_samples(noise).mean() < 1.02 * min(losses)


def test_early_stopping_holds_rows_out(make_detector, X):
    few_left, all_left = (
        make_detector(early_stopping=stop, validation_fraction=0.99, batch_size=1).fit(X)
        for stop in (True, False)
    )
    assert few_left.score(X) < all_left.score(X)


def test_early_stopping_still_scores_all_training_rows(make_detector, X):
    detector = make_detector(early_stopping=True).fit(X)
    assert len(detector.training_scores_) == len(X)


def test_early_stopping_weighs_the_held_out_rows(make_detector, X):
    weights = np.random.RandomState(0).randint(1, 100, size=len(X))
    weighted, plain = (
        make_detector(early_stopping=True, learning_rate_init=1e-12).fit(X, sample_weight=w)
        for w in (weights, None)
    )
    assert weighted.history_["val_loss"] != plain.history_["val_loss"]


def test_heavier_rows_score_higher(make_detector, X):
    heavy = np.arange(len(X)) < 200
    two_kinds = np.where(heavy[:, None], X, X[:, ::-1])
    favoured, neglected = (
        make_detector(max_iter=60).fit(two_kinds, sample_weight=w).score(two_kinds[heavy])
        for w in (np.where(heavy, 50.0, 1.0), np.where(heavy, 1.0, 50.0))
    )
    assert favoured > neglected


def test_warm_start_goes_on_from_the_weights(make_detector, X):
    detector = make_detector(warm_start=True, max_iter=100).fit(X)
    first_loss = detector.history_["reconstruction"][0]
    detector.set_params(max_iter=1).fit(X)
    assert detector.history_["reconstruction"][0] < 0.7 * first_loss


def test_warm_start_learns_more(make_detector, X, X_new):
    detector = make_detector(warm_start=True, max_iter=20).fit(X)
    once = detector.score(X_new)
    assert detector.fit(X).score(X_new) > once


def test_first_fit_is_the_same_with_warm_start(make_detector, X, X_new, detector):
    warm = make_detector(warm_start=True).fit(X)
    np.testing.assert_array_equal(warm.score_samples(X_new), detector.score_samples(X_new))


def test_warm_start_keeps_the_scaling(make_detector, X):
    detector = make_detector(warm_start=True).fit(X)
    scale = detector.scale_.copy()
    np.testing.assert_array_equal(detector.fit(2 * X).scale_, scale)


def test_warm_start_sets_the_threshold_anew(make_detector, X, X_new):
    detector = make_detector(warm_start=True, contamination=0.1).fit(X)
    labels = detector.fit(X_new).predict(X_new)
    assert np.mean(labels == -1) == pytest.approx(0.1, abs=0.011)


def test_warm_start_takes_over_what_does_not_change_the_network(make_detector, X, X_new):
    detector = make_detector(warm_start=True, max_iter=1).fit(X)
    detector.set_params(observation_noise=0.5, n_draws=0).fit(X)
    np.testing.assert_allclose(detector.observation_log_var_, 2 * np.log(0.5), rtol=1e-6)
    error = (X_new - detector.reconstruct(X_new)) / detector.scale_
    np.testing.assert_allclose(
        detector.score_components(X_new)["reconstruction"],
        0.5 * np.sum((error / 0.5) ** 2, axis=1),
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"latent_dim": 2},
        {"hidden_layer_sizes": (4,)},
        {"reconstruction_loss": "gaussian"},
        {"activation": "tanh"},
    ],
    ids=str,
)
def test_warm_start_refuses_another_network(make_detector, X, change):
    detector = make_detector(warm_start=True, max_iter=1, reconstruction_loss="mse").fit(X)
    with pytest.raises(ValueError, match="warm_start"):
        detector.set_params(**change).fit(X)


def test_warm_start_refuses_another_number_of_features(make_detector, X):
    detector = make_detector(warm_start=True, max_iter=1).fit(X)
    with pytest.raises(ValueError, match="features"):
        detector.fit(X[:, :3])


def test_partial_fit_goes_on_with_a_single_row(make_detector, X):
    detector = make_detector().partial_fit(X).partial_fit(X[:1])
    assert detector.n_iter_ == 2
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        make_detector().partial_fit(X[:1])


def test_partial_fit_learns_from_call_to_call(make_detector, X, X_new):
    detector = make_detector().partial_fit(X)
    once = detector.score(X_new)
    for _ in range(20):
        detector.partial_fit(X)
    assert detector.score(X_new) > once


def test_partial_fit_counts_its_epochs(make_detector, X):
    detector = make_detector().partial_fit(X).partial_fit(X)
    assert detector.n_iter_ == 2
    assert [len(losses) for losses in detector.history_.values()] == [2, 2, 2]


def test_partial_fit_keeps_the_first_scaling(make_detector, X):
    detector = make_detector().partial_fit(X)
    center = detector.center_.copy()
    np.testing.assert_array_equal(detector.partial_fit(X + 1).center_, center)


def test_partial_fit_goes_on_after_fit(make_detector, X, X_new, detector):
    other = make_detector().fit(X).partial_fit(X)
    assert other.n_iter_ == 11
    assert not np.array_equal(other.score_samples(X_new), detector.score_samples(X_new))


def test_partial_fit_goes_on_after_early_stopping(make_detector, X):
    detector = make_detector(early_stopping=True, max_iter=3).fit(X).partial_fit(X)
    assert detector.n_iter_ == 4
    assert len(detector.history_["loss"]) == 4


def test_partial_fit_shuffles_differently_in_each_call(make_detector, X):
    detector = make_detector(learning_rate_init=1e-12, batch_size=100).partial_fit(X)
    losses = detector.partial_fit(X).history_["loss"]
    assert losses[0] != losses[1]


def test_partial_fit_moves_the_threshold_with_the_rows_seen(make_detector, X):
    detector = make_detector(contamination=0.1).fit(X)
    off_the_curve = np.random.RandomState(0).permutation(X.ravel()).reshape(X.shape)
    # A step too small to change the scores of the rows seen before.
    detector.set_params(learning_rate_init=1e-12).partial_fit(off_the_curve)
    labels = detector.predict(np.concatenate([X, off_the_curve]))
    assert np.mean(labels == -1) == pytest.approx(0.1, abs=0.01)


def test_partial_fit_takes_small_batches_after_the_first(make_detector, X):
    detector = make_detector().partial_fit(X)
    for rows in np.split(X, 100):
        detector.partial_fit(rows)
    assert np.isfinite(detector.score_samples(X)).all()


@pytest.mark.parametrize("convert", [list, np.ndarray.tolist], ids=["rows", "nested lists"])
def test_partial_fit_takes_what_fit_takes(make_detector, X, convert):
    detector = make_detector().partial_fit(convert(X))
    np.testing.assert_array_equal(
        detector.score_samples(X), make_detector().partial_fit(X).score_samples(X)
    )


def test_partial_fit_goes_on_after_unpickling(make_detector, X, X_new):
    detector = make_detector().partial_fit(X)
    copy = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(
        copy.partial_fit(X).score_samples(X_new), detector.partial_fit(X).score_samples(X_new)
    )


def test_verbose_shows_progress_on_stderr(make_detector, X, capfd):
    make_detector(verbose=1).fit(X)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "loss" in printed.err


def test_progress_reaches_the_end(make_detector, X, capfd):
    make_detector(verbose=1).fit(X)
    assert "100%" in capfd.readouterr().err


def test_progress_ends_with_a_line_break(make_detector, X, capfd):
    make_detector(verbose=1).fit(X)
    assert capfd.readouterr().err.endswith("\n")


def test_progress_in_a_log_file_is_short(make_detector, curve, capfd):
    make_detector(verbose=1, max_iter=100).fit(curve(2000))
    printed = capfd.readouterr().err
    assert printed.count("\r") + printed.count("\n") < 10


def test_verbose_changes_no_score(make_detector, X, X_new, detector):
    loud = make_detector(verbose=1).fit(X)
    np.testing.assert_array_equal(loud.score_samples(X_new), detector.score_samples(X_new))


@pytest.fixture
def traces(monkeypatch):
    """Count how often TensorFlow traces the loss."""
    calls = []

    def counting(*arguments, **keywords):
        calls.append(1)
        return original(*arguments, **keywords)

    original = training.loss_terms
    monkeypatch.setattr(training, "loss_terms", counting)
    return calls


def test_fits_of_one_architecture_trace_once(make_detector, curve, traces):
    unique = {"hidden_layer_sizes": (13,), "latent_dim": 2}  # that no other test has traced
    make_detector(**unique).fit(curve(100))
    n_traces = len(traces)
    assert n_traces > 0
    make_detector(
        **unique,
        beta=2.0,
        learning_rate_init=0.01,
        max_iter=3,
        n_draws=2,
        observation_noise=0.7,
        random_state=1,
    ).fit(curve(333))
    assert len(traces) == n_traces


@pytest.mark.parametrize("batch_size", [21, 128, 2000])
def test_batch_larger_than_the_data_is_all_rows(make_detector, curve, batch_size):
    # Without noise, so that the batch is all there is to tell two fits apart.
    exact = {"variational": False, "input_noise": 0.0, "max_iter": 20}
    X = curve(20)
    expected = make_detector(**exact, batch_size=20).fit(X)
    detector = make_detector(**exact, batch_size=batch_size).fit(X)
    np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X), rtol=1e-3)
    np.testing.assert_allclose(
        detector.history_["loss"], expected.history_["loss"], rtol=1e-4, err_msg="mean over rows"
    )


def test_trimming_leaves_out_the_same_share_of_few_rows():
    kl = np.arange(5, dtype=np.float32)
    weight, kl = np.ones(5, np.float32), kl[::-1].copy()
    expected = [0, 0, 1, 1, 1]
    np.testing.assert_array_equal(support.trimmed(weight, kl, 0.6), expected)
    idle = np.zeros(7, np.float32)
    padded = support.trimmed(np.append(weight, idle), np.append(kl, idle), 0.6)
    np.testing.assert_array_equal(padded, [*expected, *idle])


def test_influence_falls_with_the_square_of_the_divergence():
    kl = np.array([3.0, 6.0, 5.0, 9.0, 60.0], np.float32)
    influence = support.bounded(np.ones(5, np.float32), kl)
    np.testing.assert_allclose(influence, 1 / (1 + (kl / 6) ** 2), rtol=1e-5)


def test_idle_rows_have_no_say_in_the_influence():
    weight, kl = np.array([1.0, 2.0, 0.5], np.float32), np.array([4.0, 8.0, 30.0], np.float32)
    idle = np.zeros(4, np.float32)
    padded = support.bounded(np.append(weight, idle), np.append(kl, idle)).numpy()
    np.testing.assert_allclose(padded, [*support.bounded(weight, kl).numpy(), *idle], rtol=1e-6)


def test_no_row_stands_out_where_codes_tell_nothing():
    kl = np.array([1e-9, 1e-8, 1e-3, 0.0], np.float32)
    np.testing.assert_allclose(support.bounded(np.ones(4, np.float32), kl), 1.0, atol=1e-5)


@pytest.mark.parametrize("n_rows", [20, 64, 65, 1000])
def test_number_of_rows_costs_no_traces(make_detector, curve, traces, n_rows):
    detector = make_detector(hidden_layer_sizes=(14,), latent_dim=2).partial_fit(curve(50))
    n_traces = len(traces)
    detector.partial_fit(curve(n_rows))
    assert len(traces) == n_traces


# What the compiled step and its schedules do, one by one


def test_weight_of_the_divergence_rises_over_three_tenths_of_the_training(make_detector, X):
    """One step an epoch, too small to change the weights: the loss tells the weight."""
    history = (
        make_detector(learning_rate_init=1e-12, batch_size=len(X), max_iter=10, beta=2.0)
        .fit(X)
        .history_
    )
    loss, reconstruction, kl = (
        np.array(history[name]) for name in ("loss", "reconstruction", "kl")
    )
    expected = 2.0 * np.minimum(1.0, np.arange(10) / 3)
    np.testing.assert_allclose((loss - reconstruction) / kl, expected, atol=0.05)


def test_gradients_are_clipped(X):
    """The first moment after the first step is a tenth of the gradient."""
    spec = NetworkSpec((5,), 2, (7,), "relu", 0.0, "mse")
    log_var = spec.likelihood.initial_log_var(5, 0.01)
    weights = loop.initial_weights(spec, log_var, np.random.RandomState(0))
    plan = TrainingPlan(
        beta=1.0,
        input_noise=0.0,
        batch_size=128,
        learning_rate=1e-3,
        cosine=True,
        warm_up=True,
        support_fraction=1.0,
        n_epochs=1,
        n_epochs_to_run=1,
        tol=0.0,
        n_iter_no_change=1,
        progress="",
    )
    rows = [X[:128].astype(np.float32)]
    batches = RowsInMemory(rows, np.ones(128), 128, np.random.RandomState(0))
    moments = loop.train(batches, spec, weights, plan, np.random.RandomState(0)).moments
    assert moments.n_steps == 1
    assert np.linalg.norm(moments.mean) == pytest.approx(0.1 * training.MAX_GRADIENT_NORM, rel=1e-3)


def test_each_row_draws_a_noise_level_of_its_own(make_detector, monkeypatch):
    """Uniform between none and twice the mean, whose mean square is 4/3 of a fixed level's."""

    def noise_instead_of_loss(x, x_input, *arguments):
        return (x_input - x) ** 2, 0.0 * x

    monkeypatch.setattr(training, "loss_terms", noise_instead_of_loss)
    X = np.random.RandomState(0).standard_normal((4000, 6))
    history = (
        make_detector(hidden_layer_sizes=(11,), input_noise=0.5, batch_size=1000, max_iter=2)
        .partial_fit(X)
        .history_
    )
    training.compiled_steps.cache_clear()
    assert history["reconstruction"][0] == pytest.approx(6 * 0.5**2 * 4 / 3, rel=0.05)
