"""Convolutional, LSTM and GRU networks, plain autoencoders, and samples that are no rows."""

import copy
import pickle

import joblib
import keras
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from vae_anomaly import VAEAnomalyDetector, make_outlier_scorer
from vae_anomaly.networks.keras_networks import build_decoder, build_encoder
from vae_anomaly.networks.spec import NetworkSpec
from vae_anomaly.training import step as training

# Equal networks share one trace, which takes longer than these trainings: few differ.
TINY = {"latent_dim": 3, "max_iter": 4, "contamination": 0.1, "random_state": 0}
SMALL = TINY | {"hidden_layer_sizes": (6, 4)}
KINDS = {
    "conv of images": {"architecture": "conv", "input_shape": (5, 7, 1)},
    "conv of colour images": {"architecture": "conv", "input_shape": (5, 3, 3)},
    "conv of sequences": {"architecture": "conv", "input_shape": (9, 2)},
    "lstm": {"architecture": "lstm", "input_shape": (6, 2)},
    "gru": {"architecture": "gru", "input_shape": (6, 2)},
    "dense": {"architecture": "dense", "input_shape": (3, 4)},
}
METHODS_OF_SAMPLES = [
    "decision_function",
    "predict",
    "reconstruct",
    "score",
    "score_components",
    "score_samples",
    "transform",
]


@pytest.fixture(scope="module")
def waves():
    """Make samples of a shape: sines of random phase along all axes."""

    def make(shape, n_samples=150, seed=0):
        rng = np.random.RandomState(seed)
        grid = sum(np.meshgrid(*map(np.arange, shape), indexing="ij"))
        phase = rng.uniform(0, 2 * np.pi, size=(n_samples, *[1] * len(shape)))
        return np.sin(0.9 * grid + phase) + 0.05 * rng.standard_normal((n_samples, *shape))

    return make


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    """Parameters of one architecture."""
    return SMALL | KINDS[request.param]


@pytest.fixture(scope="module")
def samples(waves, kind):
    """Samples to train on."""
    return waves(kind["input_shape"])


@pytest.fixture(scope="module")
def rows(samples):
    """The same samples, flattened."""
    return samples.reshape(len(samples), -1)


@pytest.fixture(scope="module")
def fitted(kind, rows):
    """A fitted detector that no test may change."""
    return VAEAnomalyDetector(**kind).fit(rows)


@pytest.mark.parametrize("method", METHODS_OF_SAMPLES)
def test_samples_are_taken_like_rows(fitted, samples, rows, method):
    of_samples, of_rows = (np.asarray(getattr(fitted, method)(X)) for X in (samples, rows))
    np.testing.assert_array_equal(of_samples.reshape(of_rows.shape), of_rows)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "fit_predict"])
def test_training_takes_samples_like_rows(fitted, kind, samples, rows, method):
    of_samples = VAEAnomalyDetector(**kind)
    getattr(of_samples, method)(samples)
    np.testing.assert_array_equal(of_samples.score_samples(rows), fitted.score_samples(rows))


def test_partial_fit_takes_samples_like_rows(kind, samples, rows):
    of_samples = VAEAnomalyDetector(**kind).partial_fit(samples)
    of_rows = VAEAnomalyDetector(**kind).partial_fit(rows)
    np.testing.assert_array_equal(of_samples.score_samples(rows), of_rows.score_samples(rows))


def test_reconstruction_has_the_shape_of_the_input(fitted, samples, rows):
    assert fitted.reconstruct(samples).shape == samples.shape
    assert fitted.reconstruct(rows).shape == rows.shape


def test_new_samples_are_rows(fitted, rows):
    assert fitted.sample(4).shape == (4, rows.shape[1])
    assert fitted.inverse_transform(fitted.transform(rows)).shape == rows.shape


@pytest.mark.parametrize("n_rows", [1, 2, 63, 64, 65, 130])
def test_score_is_independent_of_the_batch(fitted, rows, n_rows):
    """To the bit, though TensorFlow's kernels round a row by the number of rows."""
    expected = fitted.score_samples(rows)
    order = np.random.RandomState(n_rows).permutation(len(rows))[:n_rows]
    np.testing.assert_array_equal(fitted.score_samples(rows[order]), expected[order])


@pytest.mark.parametrize("method", ["transform", "reconstruct"])
def test_code_and_reconstruction_are_independent_of_the_batch(fitted, rows, method):
    whole = getattr(fitted, method)(rows)
    np.testing.assert_array_equal(getattr(fitted, method)(rows[70:71]), whole[70:71])


def test_same_random_state_gives_the_same_model(fitted, kind, rows):
    again = VAEAnomalyDetector(**kind).fit(rows)
    np.testing.assert_array_equal(again.score_samples(rows), fitted.score_samples(rows))


def test_state_is_whole(fitted, rows):
    before = joblib.hash(fitted)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.score_samples(rows), fitted.score_samples(rows))
    assert joblib.hash(fitted) == before


def test_components_sum_to_the_score(fitted, rows):
    components = fitted.score_components(rows)
    total = components["reconstruction"] + components["kl"]
    np.testing.assert_allclose(fitted.score_samples(rows), -total, rtol=1e-12)


def test_keras_models_take_samples(fitted, samples, kind):
    x = samples[:2].astype(np.float32)
    z_mean, z_log_var = fitted.encoder_(x)
    assert z_mean.shape == z_log_var.shape == (2, 3)
    assert fitted.decoder_(z_mean).shape == fitted.vae_(x).shape == (2, *kind["input_shape"])


def test_score_is_that_of_the_keras_models(kind, samples):
    detector = VAEAnomalyDetector(**kind, observation_noise=0.5, n_draws=0).fit(samples)
    shape = samples.shape[1:]
    x = (samples - detector.center_.reshape(shape)) / detector.scale_.reshape(shape)
    z_mean, z_log_var = (np.asarray(z) for z in detector.encoder_(x.astype(np.float32)))
    residual = (x - np.asarray(detector.decoder_(z_mean))).reshape(len(x), -1)
    kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
    expected = -(np.sum(residual**2, axis=1) / (2 * 0.5**2) + kl)
    np.testing.assert_allclose(detector.score_samples(samples), expected, rtol=1e-4)


def test_sparse_rows_train_and_score_like_dense_ones(fitted, kind, rows):
    sparse = VAEAnomalyDetector(**kind).fit(sp.csr_matrix(rows))
    np.testing.assert_array_equal(
        sparse.score_samples(sp.csr_matrix(rows)), fitted.score_samples(rows)
    )


def test_partial_fit_and_warm_start_go_on(kind, rows):
    detector = VAEAnomalyDetector(**kind, warm_start=True).fit(rows)
    once = detector.score(rows)
    detector.fit(rows)
    for _ in range(5):
        detector.partial_fit(rows)
    assert detector.n_iter_ == 9
    assert detector.score(rows) > once


@pytest.mark.parametrize(("name", "rate"), [("conv of sequences", 0.003), ("lstm", 0.001)])
def test_automatic_learning_rate_goes_with_the_architecture(waves, name, rate):
    samples = waves(KINDS[name]["input_shape"])
    scores = [
        VAEAnomalyDetector(**SMALL, **KINDS[name], **chosen).fit(samples).score_samples(samples)
        for chosen in ({}, {"learning_rate_init": rate})
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("name", ["conv of images", "gru"])
def test_dropout_weights_and_early_stopping_work(waves, name):
    samples = waves(KINDS[name]["input_shape"])
    weight = np.random.RandomState(0).uniform(size=len(samples))
    parameters = {"dropout": 0.2, "early_stopping": True}
    detector = VAEAnomalyDetector(**SMALL, **KINDS[name], **parameters)
    detector.fit(samples, sample_weight=weight)
    assert np.isfinite(detector.history_["val_loss"]).all()


@pytest.mark.parametrize("name", ["dense", "conv of images", "gru"])
def test_bernoulli_decoder_gives_probabilities(waves, name):
    samples = 0.5 + 0.4 * np.tanh(waves(KINDS[name]["input_shape"]))
    detector = VAEAnomalyDetector(**SMALL, **KINDS[name], reconstruction_loss="binary_crossentropy")
    decoded = detector.fit(samples).inverse_transform(100 * np.eye(3))
    assert decoded.min() >= 0
    assert decoded.max() <= 1


@pytest.fixture(scope="module")
def spec():
    """Specify a network, small unless the test says otherwise."""

    def spec(**parameters):
        small = {"latent_dim": 2, "dropout": 0.0, "reconstruction_loss": "mse"}
        return NetworkSpec(**(small | {"activation": "relu"} | parameters))

    return spec


@pytest.mark.parametrize(
    "size", [(1,), (2,), (13,), (16,), (1, 1), (1, 9), (8, 8), (11, 6)], ids=str
)
@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_give_any_size_back(spec, size, channels):
    shape = (*size, channels)
    decoder = build_decoder(
        spec(architecture="conv", input_shape=shape, hidden_layer_sizes=(3, 2, 2)),
        np.random.RandomState(0),
    )
    assert decoder.output_shape == (None, *shape)


def test_a_dense_layer_lies_between_convolutions_and_code(spec):
    network = spec(architecture="conv", input_shape=(9, 5, 1), hidden_layer_sizes=(4, 6))
    for build, units in ((build_encoder, [24, 2, 2]), (build_decoder, [24, 3 * 2 * 6])):
        model = build(network, np.random.RandomState(0))
        dense = [part.units for part in model.layers if isinstance(part, keras.layers.Dense)]
        assert dense == units


def test_convolutions_halve_the_size(spec):
    encoder = build_encoder(
        spec(architecture="conv", input_shape=(9, 5, 1), hidden_layer_sizes=(4, 6)),
        np.random.RandomState(0),
    )
    shapes = [tuple(layer.output.shape[1:]) for layer in encoder.layers]
    assert [shape for shape in shapes if len(shape) == 3] == [(9, 5, 1), (5, 3, 4), (3, 2, 6)]


@pytest.mark.parametrize(
    ("architecture", "layer"), [("lstm", keras.layers.LSTM), ("gru", keras.layers.GRU)]
)
def test_recurrent_layers_are_mirrored(spec, architecture, layer):
    network = spec(architecture=architecture, input_shape=(6, 2), hidden_layer_sizes=(5, 4))
    for build, units in ((build_encoder, [5, 4]), (build_decoder, [4, 5])):
        model = build(network, np.random.RandomState(0))
        assert [part.units for part in model.layers if isinstance(part, layer)] == units


@pytest.mark.parametrize("architecture", ["conv", "lstm"])
def test_row_without_input_shape_is_a_sequence_of_one_feature(X, architecture):
    detector = VAEAnomalyDetector(**TINY, architecture=architecture, hidden_layer_sizes=(4,)).fit(X)
    assert detector.encoder_.input_shape == (None, X.shape[1], 1)
    assert detector.decoder_.output_shape == (None, X.shape[1], 1)


@pytest.mark.parametrize("architecture", ["conv", "lstm"])
def test_columns_of_any_unit_are_taken_without_input_shape(X, X_new, architecture):
    parameters = TINY | {"architecture": architecture, "hidden_layer_sizes": (4,)}
    units = np.array([1e-9, 1.0, 1e9, 1e3, 1.0])
    plain = VAEAnomalyDetector(**parameters).fit(X).score_samples(X_new)
    scaled = VAEAnomalyDetector(**parameters).fit(X * units).score_samples(X_new * units)
    np.testing.assert_allclose(scaled, plain, rtol=1e-3)


@pytest.mark.parametrize("name", ["conv of sequences", "lstm", "gru"])
def test_constant_channel_that_moves_raises_the_alarm(waves, name):
    samples = waves(KINDS[name]["input_shape"])
    samples[:, :, 1] = 3.0
    detector = VAEAnomalyDetector(**SMALL, **KINDS[name]).fit(samples)
    moved = samples.copy()
    moved[:, 5, 1] += 0.01
    assert detector.score_samples(moved).max() < detector.score_samples(samples).min() - 1e6
    np.testing.assert_array_equal(detector.predict(moved), -1)


@pytest.mark.parametrize("name", ["conv of sequences", "lstm"])
def test_positions_of_a_channel_have_centers_of_their_own_and_one_unit(waves, name):
    shape = KINDS[name]["input_shape"]
    rng = np.random.RandomState(0)
    samples = waves(shape) * [1.0, 50.0] + 100 * rng.standard_normal(shape)
    weight = rng.uniform(size=len(samples))
    detector = VAEAnomalyDetector(**SMALL, **KINDS[name]).fit(samples, sample_weight=weight)
    center = np.average(samples, axis=0, weights=weight)
    variance = np.average((samples - center) ** 2, axis=0, weights=weight).mean(axis=0)
    np.testing.assert_allclose(detector.center_.reshape(shape), center)
    np.testing.assert_allclose(
        detector.scale_.reshape(shape), np.tile(np.sqrt(variance), (shape[0], 1))
    )


@pytest.mark.parametrize("architecture", ["conv", "lstm", "gru"])
def test_sequences_out_of_step_stand_out(waves, architecture):
    shape = (12, 2)
    samples, new = waves(shape, 400), waves(shape, 100, seed=1)
    detector = VAEAnomalyDetector(
        architecture=architecture,
        input_shape=shape,
        hidden_layer_sizes=(16,),
        latent_dim=4,
        max_iter=60,
        learning_rate_init=0.01,
        contamination=0.1,
        random_state=0,
    ).fit(samples)
    stuck = new.copy()
    stuck[:, 6:, 0] = stuck[:, 6:7, 0]
    scores = np.concatenate([detector.score_samples(new), detector.score_samples(stuck)])
    assert roc_auc_score(np.repeat([0, 1], 100), -scores) > 0.95
    residual = new - detector.reconstruct(new)
    assert residual.var() < 0.2 * new.var()


@pytest.fixture
def traces(monkeypatch):
    """Count how often TensorFlow traces the loss."""
    calls, original = [], training.loss_terms
    monkeypatch.setattr(
        training, "loss_terms", lambda *a, **k: (calls.append(1), original(*a, **k))[1]
    )
    return calls


@pytest.mark.parametrize("name", ["dense", "conv of images", "gru"])
def test_fits_of_one_architecture_trace_once(waves, traces, name):
    samples = waves(KINDS[name]["input_shape"])
    parameters = TINY | KINDS[name] | {"hidden_layer_sizes": (5,), "contamination": "auto"}
    VAEAnomalyDetector(**parameters).fit(samples)
    n_traces = len(traces)
    VAEAnomalyDetector(**parameters, beta=2.0).fit(2 * samples[:99])
    assert len(traces) == n_traces > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"architecture": "conv", "input_shape": (24,)}, r"\(height, width, channels\).*\(24,\)"),
        ({"architecture": "conv", "input_shape": (2, 2, 2, 3)}, r"\(timesteps, features\)"),
        ({"architecture": "lstm", "input_shape": (4, 3, 2)}, r"\(timesteps, features\).*4, 3, 2"),
        ({"architecture": "gru", "input_shape": (5, 5)}, r"24 columns, but input_shape=\(5, 5\)"),
        ({"architecture": "dense", "input_shape": (5, 5)}, "makes 25 of a sample"),
        ({"architecture": "conv", "input_shape": (24, 0)}, "input_shape must be positive integers"),
        ({"architecture": "conv", "input_shape": (2.0, 12)}, "input_shape must be positive"),
        ({"architecture": "conv", "input_shape": 24}, "input_shape"),
        ({"architecture": "transformer"}, "architecture"),
        ({"architecture": "lstm", "hidden_layer_sizes": ()}, "at least one hidden layer"),
        ({"variational": "no"}, "variational"),
        ({"variational": False, "support_fraction": 0.5}, "support_fraction"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_wrong_network_is_refused(parameters, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(VAEAnomalyDetector(**parameters), method)(np.zeros((10, 24)))


@pytest.fixture(scope="module")
def sequences(waves):
    """Sequences of nine time steps and two features."""
    return waves((9, 2))


@pytest.fixture(scope="module")
def of_sequences(sequences):
    """A fitted detector of sequences, to copy before it is changed."""
    return VAEAnomalyDetector(**SMALL, **KINDS["conv of sequences"]).fit(sequences)


@pytest.mark.parametrize("shape", [(10, 2, 9), (10, 9, 2, 1), (10, 18, 1)])
@pytest.mark.parametrize("method", ["fit", "predict", "reconstruct"])
def test_samples_of_a_wrong_shape_are_refused(of_sequences, shape, method):
    with pytest.raises(ValueError, match=r"samples of shape .* but input_shape=\(9, 2\)"):
        getattr(copy.copy(of_sequences), method)(np.zeros(shape))


def test_no_samples_at_all_are_refused(of_sequences):
    with pytest.raises(ValueError, match="0 sample"):
        of_sequences.predict(np.empty((0, 9, 2)))


def test_samples_that_are_no_rows_need_an_input_shape():
    with pytest.raises(ValueError, match=r"set input_shape=\(9, 2\)"):
        VAEAnomalyDetector(architecture="lstm").fit(np.zeros((10, 9, 2)))


@pytest.mark.parametrize("change", [{"architecture": "gru"}, {"variational": False}], ids=str)
def test_warm_start_refuses_another_architecture(of_sequences, sequences, change):
    detector = copy.copy(of_sequences).set_params(warm_start=True, **change)
    with pytest.raises(ValueError, match="warm_start"):
        detector.fit(sequences)


@pytest.fixture(scope="module", params=["dense", "conv", "lstm"])
def plain(request, waves):
    """A plain autoencoder."""
    shape = {"architecture": request.param, "input_shape": (6, 2)}
    return VAEAnomalyDetector(**SMALL, **shape, variational=False).fit(waves((6, 2)))


def test_plain_autoencoder_scores_by_reconstruction_alone(plain, waves):
    samples = waves((6, 2))
    x = (samples.reshape(len(samples), -1) - plain.center_) / plain.scale_
    rebuilt = (plain.reconstruct(samples).reshape(x.shape) - plain.center_) / plain.scale_
    components = plain.score_components(samples)
    np.testing.assert_array_equal(components["kl"], 0)
    np.testing.assert_allclose(
        components["reconstruction"], np.sum((x - rebuilt) ** 2, axis=1) / (2 * 0.1**2), rtol=1e-3
    )
    assert plain.history_["kl"] == [0.0] * 4


def test_plain_autoencoder_has_one_head_and_no_sampling(plain, waves):
    x = waves((6, 2), 3).astype(np.float32)
    z_mean = plain.encoder_(x)
    z_mean = z_mean[0] if isinstance(z_mean, list) else z_mean
    np.testing.assert_allclose(plain.vae_(x), plain.decoder_(z_mean), rtol=1e-5, atol=1e-6)


def test_plain_autoencoder_has_no_bound(plain):
    assert not hasattr(plain, "score")
    with pytest.raises(AttributeError) as caught:
        plain.score([[0.0] * 12])
    assert "make_outlier_scorer" in str(caught.value.__cause__)


def test_plain_autoencoder_draws_samples(plain):
    np.testing.assert_array_equal(plain.sample(5, random_state=0), plain.sample(5, random_state=0))


def test_one_grid_compares_plain_and_variational(X):
    rng = np.random.RandomState(0)
    shuffled = np.column_stack([rng.permutation(column) for column in X.T])
    rows, y = np.concatenate([X, shuffled[:80]]), np.repeat([0, 1], [len(X), 80])
    search = GridSearchCV(
        VAEAnomalyDetector(**TINY, hidden_layer_sizes=(8,)),
        {"variational": [True, False], "architecture": ["dense", "conv"]},
        scoring=make_outlier_scorer(roc_auc_score),
        cv=StratifiedKFold(2),
        error_score="raise",
    ).fit(rows, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_one_hot_groups_are_found_in_dense_samples(waves):
    samples = np.eye(4)[np.random.RandomState(0).randint(4, size=(200, 3))]
    detector = VAEAnomalyDetector(**TINY, input_shape=(3, 4)).fit(samples)
    assert detector.one_hot_groups_ == ((0, 4), (4, 8), (8, 12))
    assert detector.decoder_.output_shape == (None, 3, 4)
    np.testing.assert_allclose(detector.reconstruct(samples).sum(axis=-1), 1, rtol=1e-5)
