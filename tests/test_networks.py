"""The Keras models and layers, and the numpy functions that score in their place."""

import warnings

import keras
import numpy as np
import pytest

from vae_anomaly.networks.build import build_decoder, build_encoder
from vae_anomaly.networks.custom_layers import Sampling
from vae_anomaly.networks.keras_networks import keras_networks
from vae_anomaly.networks.spec import NetworkSpec

ACTIVATIONS = [
    "elu",
    "gelu",
    "linear",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]


@pytest.fixture(scope="module")
def textbook(make_detector):
    """The textbook's network on rows of 28 x 28 pixels."""
    images = np.random.RandomState(0).uniform(size=(32, 784))
    return make_detector(
        hidden_layer_sizes=(512, 256),
        latent_dim=2,
        reconstruction_loss="binary_crossentropy",
        max_iter=1,
    ).fit(images)


@pytest.fixture(scope="module")
def standardize():
    """Put rows in the units that the networks of a detector work in."""

    def standardize(detector, X):
        return ((X - detector.center_) / detector.scale_).astype(np.float32)

    return standardize


def layers(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_encoder_has_the_textbooks_number_of_parameters(textbook):
    assert textbook.encoder_.count_params() == 534_276


def test_decoder_has_the_textbooks_number_of_parameters(textbook):
    assert textbook.decoder_.count_params() == 534_544


def test_end_to_end_model_adds_no_parameters(textbook):
    trainable = sum(int(np.prod(v.shape)) for v in textbook.vae_.trainable_variables)
    assert trainable == 534_276 + 534_544


@pytest.mark.parametrize(
    ("name", "expected"),
    [("encoder_", "534,276"), ("decoder_", "534,544"), ("vae_", "Sampling")],
)
def test_summary_prints(textbook, capsys, name, expected):
    getattr(textbook, name).summary()
    assert expected in capsys.readouterr().out


def test_decoder_mirrors_the_encoder(make_detector, X):
    detector = make_detector(hidden_layer_sizes=(9, 7, 5), max_iter=1).fit(X)
    units = [layer.units for layer in layers(detector.encoder_, keras.layers.Dense)]
    mirrored = [layer.units for layer in layers(detector.decoder_, keras.layers.Dense)]
    assert units == [9, 7, 5, 3, 3]
    assert mirrored == [5, 7, 9, 5]


def test_no_hidden_layers_make_a_linear_network(make_detector, X):
    detector = make_detector(hidden_layer_sizes=(), max_iter=1).fit(X)
    a, b = np.random.RandomState(0).standard_normal((2, 10, 3)).astype(np.float32)
    middle = detector.decoder_((a + b) / 2)
    ends = (np.asarray(detector.decoder_(a)) + np.asarray(detector.decoder_(b))) / 2
    np.testing.assert_allclose(middle, ends, atol=1e-5)


def test_hidden_layers_have_the_activation(make_detector, X):
    detector = make_detector(activation="gelu", max_iter=1).fit(X)
    hidden = layers(detector.encoder_, keras.layers.Dense)[:2]
    assert [keras.activations.serialize(layer.activation) for layer in hidden] == ["gelu", "gelu"]


def test_dropout_follows_every_hidden_layer(make_detector, X):
    detector = make_detector(dropout=0.25, max_iter=1).fit(X)
    for model in (detector.encoder_, detector.decoder_):
        assert [layer.rate for layer in layers(model, keras.layers.Dropout)] == [0.25, 0.25]


def test_networks_without_dropout_have_no_such_layer(make_detector, X):
    detector = make_detector(dropout=0.0, max_iter=1).fit(X)
    assert layers(detector.encoder_, keras.layers.Dropout) == []


@pytest.mark.parametrize(
    ("loss", "activation"),
    [("mse", "linear"), ("gaussian", "linear"), ("binary_crossentropy", "sigmoid")],
)
def test_likelihood_decides_on_the_last_activation(make_detector, loss, activation):
    X = np.random.RandomState(0).uniform(size=(50, 4))
    detector = make_detector(reconstruction_loss=loss, max_iter=1).fit(X)
    last = detector.decoder_.layers[-1]
    assert keras.activations.serialize(last.activation) == activation


def test_end_to_end_model_holds_a_sampling_layer(detector):
    assert len(layers(detector.vae_, Sampling)) == 1


def test_end_to_end_model_draws_around_the_reconstruction(detector, standardize, X_new):
    x = standardize(detector, X_new)
    draws = np.stack([np.asarray(detector.vae_(x)) for _ in range(100)])
    z_mean, z_log_var = (np.asarray(output) for output in detector.encoder_(x))
    noise = np.random.RandomState(0).standard_normal((100, *z_mean.shape)).astype(np.float32)
    z = z_mean + np.exp(z_log_var / 2) * noise
    expected = np.stack([np.asarray(detector.decoder_(z_of_draw)) for z_of_draw in z])
    assert draws.std(axis=0).min() > 0
    np.testing.assert_allclose(draws.mean(axis=0), expected.mean(axis=0), atol=0.6)


@pytest.mark.parametrize("name", ["encoder_", "decoder_", "vae_"])
def test_model_takes_an_array_without_a_warning(detector, name):
    model = getattr(detector, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(np.zeros((2, *model.input_shape[1:]), np.float32))


def test_models_are_built_once(detector):
    assert detector.encoder_ is detector.encoder_


def test_models_follow_a_refit(make_detector, X):
    detector = make_detector(max_iter=1).fit(X)
    before = detector.encoder_.get_weights()[0]
    assert not np.array_equal(detector.fit(2 * X[:200]).encoder_.get_weights()[0], before)


def test_models_follow_partial_fit(make_detector, X):
    detector = make_detector().partial_fit(X)
    before = detector.decoder_.get_weights()[0]
    assert not np.array_equal(detector.partial_fit(X).decoder_.get_weights()[0], before)


def test_a_model_taken_away_does_not_follow(make_detector, X):
    detector = make_detector(max_iter=1).fit(X)
    encoder = detector.encoder_
    before = encoder.get_weights()[0]
    detector.fit(X[:200])
    np.testing.assert_array_equal(encoder.get_weights()[0], before)


def test_training_a_model_taken_away_leaves_the_detector_alone(make_detector, X, X_new):
    detector = make_detector(max_iter=1).fit(X)
    before = detector.score_samples(X_new)
    detector.decoder_.set_weights([np.zeros_like(w) for w in detector.decoder_.get_weights()])
    np.testing.assert_array_equal(detector.score_samples(X_new), before)


@pytest.mark.parametrize("name", ["encoder_", "decoder_", "vae_"])
def test_model_can_be_saved_by_keras(detector, tmp_path, name):
    model = getattr(detector, name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for actual, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.fixture(scope="module", params=ACTIVATIONS)
def fitted_and_far(request, make_detector, X):
    """A detector of some activation, and rows in and far out of its training range."""
    detector = make_detector(activation=request.param).fit(X)
    scales = np.logspace(-3, 1, 200)[:, None]
    return detector, X.mean(axis=0) + scales * (X[:200] - X.mean(axis=0))


def test_numpy_encodes_like_keras(fitted_and_far, standardize):
    detector, X = fitted_and_far
    z_mean, _ = detector.encoder_(standardize(detector, X))
    np.testing.assert_allclose(detector.transform(X), z_mean, rtol=1e-4, atol=1e-5)


def test_numpy_finds_the_divergence_of_keras(fitted_and_far, standardize):
    detector, X = fitted_and_far
    z_mean, z_log_var = (np.asarray(z) for z in detector.encoder_(standardize(detector, X)))
    kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
    np.testing.assert_allclose(detector.score_components(X)["kl"], kl, rtol=1e-3, atol=1e-4)


def test_numpy_decodes_like_keras(fitted_and_far):
    detector, _ = fitted_and_far
    z = 3 * np.random.RandomState(0).standard_normal((200, 3)).astype(np.float32)
    expected = np.asarray(detector.decoder_(z)) * detector.scale_ + detector.center_
    np.testing.assert_allclose(detector.inverse_transform(z), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_stays_finite_far_out(make_detector, X, activation):
    detector = make_detector(activation=activation, max_iter=1).fit(X)
    assert np.isfinite(detector.score_samples(1e5 * X)).all()


def test_log_variance_is_bounded(detector, X_new):
    _, z_log_var = detector.encoder_(1e5 * X_new.astype(np.float32))
    assert np.abs(z_log_var).max() <= 10


def test_bernoulli_decoder_gives_probabilities(textbook):
    rebuilt = textbook.inverse_transform(10 * np.random.RandomState(0).standard_normal((50, 2)))
    assert rebuilt.min() >= 0
    assert rebuilt.max() <= 1


def test_sampling_draws_from_the_posterior():
    z_mean, z_log_var = np.full((20_000, 2), 3.0), np.full((20_000, 2), np.log(0.25))
    z = np.asarray(Sampling(seed=0)([z_mean.astype("float32"), z_log_var.astype("float32")]))
    np.testing.assert_allclose(z.mean(axis=0), 3.0, atol=0.02)
    np.testing.assert_allclose(z.std(axis=0), 0.5, atol=0.02)


def test_sampling_draws_anew_at_each_call():
    layer, moments = Sampling(seed=0), [np.zeros((5, 2), np.float32)] * 2
    assert not np.array_equal(layer(moments), layer(moments))


def test_sampling_repeats_with_its_seed():
    moments = [np.zeros((5, 2), np.float32)] * 2
    np.testing.assert_array_equal(Sampling(seed=0)(moments), Sampling(seed=0)(moments))


def test_sampling_without_variance_is_the_mean():
    z_mean = np.random.RandomState(0).standard_normal((5, 2)).astype(np.float32)
    z = Sampling()([z_mean, np.full((5, 2), -100.0, np.float32)])
    np.testing.assert_allclose(z, z_mean, rtol=1e-6)


def test_sampling_is_rebuilt_from_its_configuration():
    layer = Sampling(seed=7, name="draw")
    rebuilt = Sampling.from_config(layer.get_config())
    assert (rebuilt.seed, rebuilt.name) == (7, "draw")


def test_equal_layers_of_encoder_and_decoder_drop_different_units():
    """With identity matrices as weights, the output is the mask of the hidden layer."""
    from vae_anomaly.backend import tf

    spec = NetworkSpec((50,), 50, (50,), "linear", 0.5, "mse", variational=False)
    networks = keras_networks(spec)
    weights = [np.eye(50, dtype=np.float32), np.zeros(50, np.float32)] * 2
    ones, seed = np.ones((4, 50), np.float32), tf.constant([3, 7])
    encoded, _ = networks.encode(ones, weights, seed)
    decoded = networks.decode(ones, weights, seed)
    assert 0.3 < np.mean(np.asarray(encoded) == 0) < 0.7
    assert not np.array_equal(encoded, decoded)


def test_initial_weights_are_those_of_newly_built_models():
    spec = NetworkSpec((6, 2), 3, (5, 4), "tanh", 0.2, "mse", architecture="lstm")
    rng = np.random.RandomState(3)
    encoder, decoder = build_encoder(spec, rng), build_decoder(spec, rng)
    after = rng.randint(1000)
    rng = np.random.RandomState(3)
    initial = keras_networks(spec).initial_weights(np.zeros(12, np.float32), rng)
    assert rng.randint(1000) == after
    for model, weights in ((encoder, initial.encoder), (decoder, initial.decoder)):
        expected = [variable.numpy() for variable in model.trainable_variables]
        for actual, wanted in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
