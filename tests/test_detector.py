"""The estimator's methods, attributes and promises, one by one."""

import inspect
import os
import random
import re
import warnings

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_info

from vae_anomaly import VAEAnomalyDetector

PARAMETERS = inspect.signature(VAEAnomalyDetector).parameters
METHODS_OF_ROWS = [
    "decision_function",
    "predict",
    "reconstruct",
    "score",
    "score_components",
    "score_samples",
    "transform",
]


def test_parameters_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        VAEAnomalyDetector((64,))


@pytest.mark.parametrize("name", PARAMETERS)
def test_docstring_gives_the_default_of_each_parameter(name):
    entry = re.search(rf"^    {name} : .*?default=(.+?)$", VAEAnomalyDetector.__doc__, re.M | re.S)
    assert entry, f"{name} is not documented"
    assert entry.group(1).replace('"', "'") == repr(PARAMETERS[name].default) or (
        float(entry.group(1)) == PARAMETERS[name].default
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_constructor_only_stores(name):
    value = object()
    assert getattr(VAEAnomalyDetector(**{name: value}), name) is value


def test_fit_changes_no_parameter(make_detector, X):
    detector = make_detector(max_iter=1)
    before = clone(detector).get_params()
    assert detector.fit(X).get_params() == before


def test_fit_ignores_labels(make_detector, X, X_new, detector):
    other = make_detector().fit(X, np.arange(len(X)))
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))


def test_refit_forgets_the_fit_before(make_detector, X, X_new, detector):
    refitted = make_detector().fit(100 + X[:50, :4]).fit(X)
    np.testing.assert_array_equal(refitted.score_samples(X_new), detector.score_samples(X_new))
    assert refitted.offset_ == detector.offset_


@pytest.mark.parametrize("name", METHODS_OF_ROWS)
def test_method_leaves_the_detector_as_it_was(detector, X_new, name):
    before = joblib.hash(detector)
    getattr(detector, name)(X_new)
    assert joblib.hash(detector) == before


def test_ordinary_rows_score_higher_than_rows_off_the_curve(trained, X_new):
    rng = np.random.RandomState(0)
    off = np.column_stack([rng.permutation(column) for column in X_new.T])
    assert np.median(trained.score_samples(X_new)) > np.quantile(trained.score_samples(off), 0.9)


def test_ordinary_rows_are_inliers(trained, X_new):
    assert np.mean(trained.predict(X_new) == 1) > 0.9


def test_far_rows_are_outliers(trained, X_new):
    far = X_new + 10 * X_new.std(axis=0)
    np.testing.assert_array_equal(trained.predict(far), -1)


def test_scores_are_float64(detector, X_new):
    assert detector.score_samples(X_new.astype(np.float32)).dtype == np.float64


def test_decision_function_is_the_score_above_the_offset(detector, X_new):
    expected = detector.score_samples(X_new) - detector.offset_
    np.testing.assert_array_equal(detector.decision_function(X_new), expected)


def test_predict_is_the_sign_of_the_decision_function(make_detector, X, X_new):
    detector = make_detector(contamination=0.3).fit(X)
    expected = np.where(detector.decision_function(X_new) < 0, -1, 1)
    labels = detector.predict(X_new)
    assert set(labels) == {-1, 1}
    np.testing.assert_array_equal(labels, expected)


def test_fit_predict_is_fit_then_predict(make_detector, X):
    labels = make_detector(contamination=0.1).fit_predict(X)
    expected = make_detector(contamination=0.1).fit(X).predict(X)
    np.testing.assert_array_equal(labels, expected)


def test_fit_transform_is_fit_then_transform(make_detector, X, detector):
    np.testing.assert_array_equal(make_detector().fit_transform(X), detector.transform(X))


def test_training_scores_are_the_scores_of_the_training_rows(detector, X):
    np.testing.assert_array_equal(detector.training_scores_, detector.score_samples(X))


def test_transform_gives_one_column_per_latent_dimension(detector, X_new):
    assert detector.transform(X_new).shape == (len(X_new), 3)
    assert detector.latent_dim_ == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["transform", "reconstruct", "inverse_transform"])
def test_floats_keep_their_precision(detector, X_new, name, dtype):
    rows = (detector.transform(X_new) if name == "inverse_transform" else X_new).astype(dtype)
    assert getattr(detector, name)(rows).dtype == dtype


def test_reconstruction_is_the_decoded_code(detector, X_new):
    decoded = detector.inverse_transform(detector.transform(X_new))
    np.testing.assert_allclose(detector.reconstruct(X_new), decoded, rtol=1e-5, atol=1e-5)


def test_reconstruction_explains_most_of_every_column(trained, X_new):
    residual = X_new - trained.reconstruct(X_new)
    assert (residual.var(axis=0) < 0.1 * X_new.var(axis=0)).all()


def test_reconstruction_removes_noise(trained, curve, X_new):
    noisy = X_new + 0.3 * X_new.std(axis=0) * np.random.RandomState(0).standard_normal(X_new.shape)
    error = np.mean(((trained.reconstruct(noisy) - X_new) / X_new.std(axis=0)) ** 2)
    assert error < 0.5 * 0.3**2


def test_samples_are_rows_like_the_training_rows(trained, X):
    samples = trained.sample(2000, random_state=0)
    assert samples.shape == (2000, X.shape[1])
    standardized = (samples - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=0.5)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=0.5)


def test_sample_gives_one_row_by_default(detector, X):
    assert detector.sample().shape == (1, X.shape[1])


def test_samples_repeat_with_their_random_state(detector):
    first, second = (detector.sample(5, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_samples_differ_without_random_state(detector):
    assert not np.array_equal(detector.sample(5), detector.sample(5))


def test_samples_follow_a_shared_random_state(detector):
    shared = np.random.RandomState(0)
    assert not np.array_equal(
        detector.sample(5, random_state=shared), detector.sample(5, random_state=shared)
    )


def test_inverse_transform_takes_nested_lists(detector, X):
    assert detector.inverse_transform([[0.0, 0.0, 0.0]]).shape == (1, X.shape[1])


def test_feature_names_out_are_numbered_after_the_class(detector):
    expected = ["vaeanomalydetector0", "vaeanomalydetector1", "vaeanomalydetector2"]
    assert detector.get_feature_names_out().tolist() == expected


def test_feature_names_in_are_the_columns(make_detector, X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    detector = make_detector(max_iter=1).fit(frame)
    assert detector.feature_names_in_.tolist() == list("abcde")
    assert detector.n_features_in_ == 5


def test_score_is_the_mean_evidence_lower_bound(make_detector, X, X_new):
    detector = make_detector(reconstruction_loss="mse", observation_noise=0.5, n_draws=0).fit(X)
    standardized = (X_new - detector.center_) / detector.scale_
    rebuilt = (detector.reconstruct(X_new) - detector.center_) / detector.scale_
    log_likelihood = norm.logpdf(standardized, rebuilt, 0.5).sum(axis=1)
    kl = detector.score_components(X_new)["kl"]
    assert detector.score(X_new) == pytest.approx(np.mean(log_likelihood - kl), rel=1e-4)


def test_score_counts_the_divergence_once_whatever_beta(make_detector, X, X_new):
    detector = make_detector(beta=4.0).fit(X)
    score = detector.score(X_new)
    assert detector.set_params(beta=1.0).score(X_new) == score


def test_score_ignores_labels(detector, X_new):
    assert detector.score(X_new, np.arange(len(X_new))) == detector.score(X_new)


@pytest.mark.parametrize("loss", ["mse", "gaussian"])
def test_score_prefers_the_detector_that_has_learned_more(make_detector, X, X_new, loss):
    short = make_detector(reconstruction_loss=loss, max_iter=2).fit(X)
    long = make_detector(reconstruction_loss=loss, max_iter=100).fit(X)
    assert long.score(X_new) > short.score(X_new)


def test_score_compares_observation_noises(make_detector, X, X_new):
    # Without its normalising constant the likelihood would reward the larger noise.
    parameters = {"reconstruction_loss": "mse", "max_iter": 200}
    fitting = make_detector(**parameters, observation_noise=0.3).fit(X)
    absurd = make_detector(**parameters, observation_noise=100.0).fit(X)
    assert fitting.score(X_new) > absurd.score(X_new)


@pytest.mark.parametrize("n_rows", [300, 3000])
def test_automatic_length_of_training_is_a_number_of_steps(make_detector, curve, n_rows):
    few = make_detector(max_iter="auto", batch_size=100).fit(curve(1500))
    some = make_detector(max_iter="auto", batch_size=100).fit(curve(n_rows))
    assert some.n_iter_ * n_rows == pytest.approx(few.n_iter_ * 1500, rel=0.05)


def test_automatic_length_of_training_is_at_least_one_epoch(make_detector, curve):
    detector = make_detector(max_iter="auto", batch_size=1).fit(curve(6000))
    assert detector.n_iter_ >= 1


@pytest.mark.parametrize("name", ["encoder_", "decoder_", "vae_"])
def test_networks_are_keras_models(detector, name):
    assert isinstance(getattr(detector, name), keras.Model)


@pytest.mark.parametrize(
    "name",
    ["history_", "latent_dim_", "n_features_in_", "n_iter_", "offset_", "training_scores_"],
)
def test_documented_attribute_is_there_after_fit(detector, name):
    assert hasattr(detector, name)
    assert f"    {name} : " in VAEAnomalyDetector.__doc__


def test_every_fitted_attribute_is_documented(detector):
    fitted = {name for name in vars(detector) if name.endswith("_") and not name.startswith("_")}
    described = {
        name
        for names in re.findall(r"^    (\w+_(?:, \w+_)*) : ", VAEAnomalyDetector.__doc__, re.M)
        for name in names.split(", ")
    }
    assert fitted - {"feature_names_in_"} <= described


def test_random_numbers_of_the_caller_are_left_alone(make_detector, X):
    numpys = check_random_state(None)
    before = str(numpys.get_state(legacy=False)), random.getstate()
    make_detector(random_state=0).fit(X).score_samples(X)
    assert (str(numpys.get_state(legacy=False)), random.getstate()) == before


def test_environment_of_the_caller_is_left_alone(make_detector, X):
    before = dict(os.environ)
    make_detector().fit(X).score_samples(X)
    assert dict(os.environ) == before


def test_threads_of_the_caller_are_left_alone(make_detector, X):
    before = [(info["filepath"], info["num_threads"]) for info in threadpool_info()]
    make_detector().fit(X).score_samples(X)
    assert [(info["filepath"], info["num_threads"]) for info in threadpool_info()] == before


@pytest.mark.parametrize("loss", ["mse", "gaussian", "binary_crossentropy"])
def test_nothing_warns(make_detector, loss):
    X = np.random.RandomState(0).uniform(size=(100, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = make_detector(reconstruction_loss=loss).fit(X)
        detector.predict(X)


def test_nothing_is_printed(make_detector, X, capfd):
    make_detector().fit(X).predict(X)
    assert capfd.readouterr() == ("", "")


def test_default_detector_takes_benign_for_ordinary(benign_and_malignant):
    benign, malignant = benign_and_malignant
    detector = VAEAnomalyDetector(random_state=0).fit(benign[::2])
    assert np.mean(detector.predict(benign[1::2]) == 1) > 0.9
    assert np.mean(detector.predict(malignant) == 1) < 0.9
