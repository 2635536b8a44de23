"""Encoders and decoders of the user's own."""

import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from vae_anomaly import VAEAnomalyDetector, make_outlier_scorer
from vae_anomaly.training import loop
from vae_anomaly.training import step as training

layers = keras.layers
SHAPE, LATENT_DIM = (4, 6), 3


def make_encoder(input_shape, latent_dim):
    """Build an encoder the way users do: a function that can be pickled."""
    x = keras.Input(input_shape)
    hidden = layers.Flatten()(x)
    hidden = layers.Dense(8, activation="relu")(hidden)
    hidden = layers.Dropout(0.1)(hidden)
    return keras.Model(x, [layers.Dense(latent_dim)(hidden), layers.Dense(latent_dim)(hidden)])


def make_decoder(input_shape, latent_dim):
    """Build a decoder that is not yet built: it does not know its input."""
    n_features = int(np.prod(input_shape))
    return keras.Sequential(
        [layers.Dense(8, "relu"), layers.Dense(n_features), layers.Reshape(input_shape)]
    )


@pytest.fixture(scope="module")
def samples():
    """Samples to train on."""
    rng = np.random.RandomState(0)
    return np.sin(np.arange(24).reshape(SHAPE) + rng.uniform(0, 6, size=(150, 1, 1)))


@pytest.fixture(scope="module")
def make():
    """Make a detector of own networks."""

    def make(**parameters):
        own = {"encoder": make_encoder, "decoder": make_decoder, "input_shape": SHAPE}
        small = {"latent_dim": LATENT_DIM, "max_iter": 4, "contamination": 0.1, "random_state": 0}
        return VAEAnomalyDetector(**(own | small | parameters))

    return make


@pytest.fixture(scope="module")
def fitted(make, samples):
    """A fitted detector that no test may change."""
    return make().fit(samples)


def test_own_networks_are_trained(make, samples):
    history = make(max_iter=100, input_noise=0.0).fit(samples).history_["reconstruction"]
    assert history[-1] < 0.8 * history[0]


def test_models_have_the_layers_of_the_own_ones(fitted, samples):
    assert fitted.encoder_.count_params() == make_encoder(SHAPE, LATENT_DIM).count_params()
    assert [layer.units for layer in fitted.decoder_.layers[1].layers[:2]] == [8, 24]
    assert fitted.vae_(samples[:2]).shape == (2, *SHAPE)


def test_score_is_that_of_the_models(make, samples):
    detector = make(observation_noise=0.5, n_draws=0).fit(samples)
    x = (samples - detector.center_.reshape(SHAPE)) / detector.scale_.reshape(SHAPE)
    z_mean, z_log_var = (np.asarray(z) for z in detector.encoder_(x.astype(np.float32)))
    residual = (x - np.asarray(detector.decoder_(z_mean))).reshape(len(x), -1)
    kl = 0.5 * np.sum(z_mean**2 + np.exp(z_log_var) - 1 - z_log_var, axis=1)
    expected = -(np.sum(residual**2, axis=1) / (2 * 0.5**2) + kl)
    np.testing.assert_allclose(detector.score_samples(samples), expected, rtol=1e-4)


def test_model_and_function_give_the_same_detector(make, fitted, samples):
    encoder, decoder = make_encoder(SHAPE, LATENT_DIM), make_decoder(SHAPE, LATENT_DIM)
    of_models = make(encoder=encoder, decoder=decoder).fit(samples)
    np.testing.assert_array_equal(of_models.score_samples(samples), fitted.score_samples(samples))


def test_fit_leaves_the_model_alone(make, samples):
    encoder, decoder = make_encoder(SHAPE, LATENT_DIM), make_decoder(SHAPE, LATENT_DIM)
    before = [w.copy() for w in encoder.get_weights()]
    make(encoder=encoder, decoder=decoder).fit(samples)
    for weight, expected in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert not decoder.built


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_one_own_network_goes_with_one_of_the_architecture(make, samples, name):
    parameters = {"architecture": "lstm", "hidden_layer_sizes": (4,), name: None}
    detector = make(**parameters).fit(samples)
    assert np.isfinite(detector.score_samples(samples)).all()


def test_rows_are_taken_where_no_shape_is_given(make, samples):
    rows = samples.reshape(len(samples), -1)
    detector = make(input_shape=None).fit(rows)
    assert detector.encoder_.input_shape == (None, 24)


@pytest.mark.parametrize("n_heads", [1, 2])
def test_plain_autoencoder_takes_the_first_of_the_encoders_outputs(make, samples, n_heads):
    def encoder(input_shape, latent_dim):
        model = make_encoder(input_shape, latent_dim)
        return keras.Model(model.input, model.outputs[:n_heads])

    detector = make(encoder=encoder, variational=False).fit(samples)
    assert len(detector.encoder_.outputs) == 1
    np.testing.assert_array_equal(detector.score_components(samples)["kl"], 0)


def test_log_variance_of_an_own_encoder_is_bounded(fitted, samples):
    _, z_log_var = fitted.encoder_(1e4 * samples.astype(np.float32))
    assert np.abs(z_log_var).max() <= 10


@pytest.mark.parametrize("as_models", [True, False], ids=["models", "functions"])
def test_own_networks_survive_clone_and_joblib(make, fitted, samples, tmp_path, as_models):
    parameters = {}
    if as_models:
        parameters["encoder"] = make_encoder(SHAPE, LATENT_DIM)
        parameters["decoder"] = make_decoder(SHAPE, LATENT_DIM)
    detector = clone(clone(make(**parameters))).fit(samples)
    joblib.dump(detector, tmp_path / "detector")
    restored = joblib.load(tmp_path / "detector")
    expected = fitted.score_samples(samples)
    np.testing.assert_array_equal(restored.score_samples(samples), expected)
    np.testing.assert_array_equal(clone(restored).fit(samples).score_samples(samples), expected)


def test_own_networks_survive_grid_search(make, samples):
    rows = np.concatenate([samples, np.random.RandomState(0).permutation(samples[:30])[:, ::-1]])
    search = GridSearchCV(
        make(),
        {"latent_dim": [2, 3], "variational": [True, False]},
        scoring=make_outlier_scorer(roc_auc_score),
        cv=StratifiedKFold(2),
        error_score="raise",
    ).fit(rows.reshape(len(rows), -1), np.repeat([0, 1], [150, 30]))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_equal_networks_trace_once(make, samples, monkeypatch):
    calls, original = [], training.loss_terms

    def counting(*arguments, **keywords):
        calls.append(1)
        return original(*arguments, **keywords)

    monkeypatch.setattr(training, "loss_terms", counting)
    make(latent_dim=4).fit(samples)
    n_traces = len(calls)
    make(latent_dim=4, random_state=1).fit(samples[:99])
    assert len(calls) == n_traces > 0


def test_warm_start_goes_on_with_an_equal_network(make, samples):
    detector = make(warm_start=True).fit(samples)
    once = detector.score(samples)
    assert detector.fit(samples).score(samples) > once


def test_warm_start_refuses_another_network(make, samples):
    detector = make(warm_start=True).fit(samples)
    with pytest.raises(ValueError, match="warm_start"):
        detector.set_params(decoder=None).fit(samples)


class Halved(layers.Layer):
    """A layer that Keras cannot rebuild: it is registered nowhere."""

    def call(self, inputs):
        return inputs / 2


class Subclassed(keras.Model):
    """A model without a configuration."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


def decoder_with(*extra, **keywords):
    """Return a function that builds a decoder with something in it."""
    dense = layers.Dense(24, **keywords)
    return lambda shape, latent_dim: keras.Sequential([dense, *extra, layers.Reshape(shape)])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (lambda: {"encoder": 3}, "'encoder' parameter"),
        (lambda: {"encoder": lambda shape, d: d}, "encoder must be a Keras model or a function"),
        (
            lambda: {"encoder": make_encoder(SHAPE, 5)},
            r"encoder must return two tensors \[z_mean, z_log_var\] of shape \(None, 3\).*"
            r"returns shapes \[\(None, 5\), \(None, 5\)\]",
        ),
        (
            lambda: {"encoder": make_encoder((6, 4), 3)},
            r"encoder does not take input of shape \(None, 4, 6\)",
        ),
        (
            lambda: {"encoder": lambda s, d: keras.Sequential([layers.Flatten(), layers.Dense(d)])},
            "encoder must return two tensors",
        ),
        (
            lambda: {"decoder": make_decoder((6, 4), 3)},
            r"decoder must return one tensor of shape \(None, 4, 6\).*\[\(None, 6, 4\)\]",
        ),
        (lambda: {"decoder": make_encoder}, "decoder does not take input"),
        (lambda: {"decoder": decoder_with(layers.Lambda(lambda x: x))}, "decoder holds a Lambda"),
        (lambda: {"decoder": decoder_with(activation=lambda x: x)}, "Lambda layer or a lambda"),
        (lambda: {"decoder": decoder_with(layers.BatchNormalization())}, "LayerNormalization"),
        (lambda: {"decoder": decoder_with(trainable=False)}, "frozen"),
        (lambda: {"decoder": decoder_with(kernel_regularizer="l2")}, "regularizer"),
        (lambda: {"decoder": decoder_with(activity_regularizer="l1")}, "activity_regularizer"),
        (lambda: {"decoder": decoder_with(kernel_constraint="non_neg")}, "constraint"),
        (lambda: {"decoder": decoder_with(dtype="float64")}, "float32"),
        (lambda: {"decoder": decoder_with(dtype="mixed_float16")}, "of float16.*dtype_policy"),
        (lambda: {"decoder": decoder_with(Halved())}, "register_keras_serializable"),
        (lambda: {"decoder": Subclassed(layers.Dense(3))}, "configuration"),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_network_that_does_not_fit_is_refused(
    make, samples, monkeypatch, method, parameters, message
):
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("training started"))
    with pytest.raises(ValueError, match=message):
        getattr(make(**parameters()), method)(samples)
