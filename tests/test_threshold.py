"""The threshold: a share of the training rows, or a rule that needs no guess."""

import numpy as np
import pytest


def normal(rng, n_rows):
    return rng.standard_normal((n_rows, 6)) @ np.random.RandomState(1).standard_normal((6, 6))


def skewed(rng, n_rows):
    return np.exp(normal(rng, n_rows) / 3)


def clustered(rng, n_rows):
    centers = np.random.RandomState(1).uniform(-10, 10, size=(4, 6))
    return centers[rng.randint(4, size=n_rows)] + rng.standard_normal((n_rows, 6))


@pytest.fixture(scope="module")
def false_alarms(make_detector):
    """Share of new, clean rows that the automatic threshold flags, by kind of data."""
    return {
        kind: np.mean(
            make_detector(hidden_layer_sizes=(32,), max_iter="auto")
            .fit(kind(np.random.RandomState(0), 1000))
            .predict(kind(np.random.RandomState(1), 4000))
            == -1
        )
        for kind in (normal, skewed, clustered)
    }


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.25, 0.5])
def test_contamination_is_the_share_of_training_rows_flagged(make_detector, X, contamination):
    labels = make_detector(contamination=contamination).fit_predict(X)
    assert np.sum(labels == -1) == pytest.approx(contamination * len(X), abs=1)


def test_offset_of_a_share_is_the_quantile_of_the_training_scores(make_detector, X):
    detector = make_detector(contamination=0.2).fit(X)
    assert detector.offset_ == pytest.approx(np.quantile(detector.training_scores_, 0.2))


@pytest.mark.parametrize("contamination", [0.01, 0.5])
def test_contamination_does_not_change_training(make_detector, X, X_new, detector, contamination):
    other = make_detector(contamination=contamination).fit(X)
    np.testing.assert_array_equal(other.score_samples(X_new), detector.score_samples(X_new))
    assert other.history_ == detector.history_


def test_automatic_threshold_flags_about_one_percent_of_clean_rows(false_alarms):
    assert 0.004 < np.mean(list(false_alarms.values())) < 0.02


@pytest.mark.parametrize("kind", [normal, skewed, clustered])
def test_automatic_threshold_suits_each_kind_of_data(false_alarms, kind):
    assert 0.001 < false_alarms[kind] < 0.03


def test_automatic_threshold_suits_a_network_that_learns_by_heart(make_detector):
    """It scores the rows that it was trained on much better than new ones."""
    detector = make_detector(
        hidden_layer_sizes=(128,), latent_dim=6, input_noise=0.0, max_iter=500
    ).fit(normal(np.random.RandomState(0), 150))
    new = normal(np.random.RandomState(1), 4000)
    assert np.mean(detector.predict(new) == -1) < 0.15


@pytest.fixture(scope="module", params=[0.02, 0.05], ids=["2 %", "5 %"])
def labels_and_truth(request, make_detector):
    """Labels of training rows of which some are gross outliers, and which these are."""
    X = normal(np.random.RandomState(0), 1000)
    is_outlier = np.arange(len(X)) < request.param * len(X)
    X[is_outlier] *= 30
    return make_detector(hidden_layer_sizes=(32,)).fit_predict(X), is_outlier


def test_automatic_threshold_finds_gross_outliers_among_the_training_rows(labels_and_truth):
    labels, is_outlier = labels_and_truth
    assert np.mean(labels[is_outlier] == -1) > 0.6


def test_outliers_among_the_training_rows_raise_no_false_alarms(labels_and_truth):
    labels, is_outlier = labels_and_truth
    assert np.mean(labels[~is_outlier] == -1) < 0.03


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_duplicated_rows_are_all_inliers(make_detector, contamination):
    X = np.tile([1.0, 2.0, 3.0], (50, 1))
    np.testing.assert_array_equal(make_detector(contamination=contamination).fit_predict(X), 1)


def test_a_majority_of_equal_rows_are_inliers(make_detector):
    X = np.zeros((100, 3))
    X[:5] = np.random.RandomState(0).standard_normal((5, 3))
    labels = make_detector().fit_predict(X)
    np.testing.assert_array_equal(labels[5:], 1)


@pytest.mark.parametrize("contamination", ["auto", 0.1])
@pytest.mark.parametrize("n_rows", [2, 3, 4, 10])
def test_threshold_of_few_rows_is_finite(make_detector, X, contamination, n_rows):
    detector = make_detector(contamination=contamination).fit(X[:n_rows])
    assert np.isfinite(detector.offset_)


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_offset_is_a_plain_float(make_detector, X, contamination):
    assert type(make_detector(contamination=contamination, max_iter=1).fit(X).offset_) is float


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_threshold_follows_a_fixed_random_state(make_detector, X, contamination):
    first, second = (make_detector(contamination=contamination).fit(X).offset_ for _ in range(2))
    assert first == second


def test_rows_of_zero_weight_do_not_move_the_threshold(make_detector, X):
    far = np.concatenate([X, 100 * X[:40]])
    weights = np.repeat([1.0, 0.0], [400, 40])
    for_all = make_detector(contamination=0.1).fit(far, sample_weight=weights)
    assert for_all.offset_ == make_detector(contamination=0.1).fit(X).offset_


def test_automatic_threshold_weighs_the_rows_it_has_not_seen(make_detector, X):
    """Rows of next to no weight do not draw the line down, though they score low."""
    rng = np.random.RandomState(0)
    light = np.arange(len(X)) < 160
    rows = np.where(light[:, None], rng.standard_normal(X.shape) * X.std(axis=0) * 3, X)
    weights = np.where(light, 1e-6, 1.0)
    detector = make_detector(max_iter=60).fit(rows, sample_weight=weights)
    # It lies as high as it may: a tenth of the training rows are called outliers.
    highest = np.quantile(detector.training_scores_, 0.1, method="inverted_cdf")
    assert detector.offset_ == highest
