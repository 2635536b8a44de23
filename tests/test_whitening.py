"""WindowWhitening: uncorrelated cells of windows, and what WindowedDetector does with them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_anomaly import SlidingWindow, WindowedDetector, WindowWhitening, explain, load, save

SIZE = 8


@parametrize_with_checks([WindowWhitening()])
def test_whitening_passes_the_check(estimator, check):
    check(estimator)


class SquaredNorm(BaseEstimator):
    """A detector whose score is the negative squared norm of a row."""

    def fit(self, X, y=None):
        self.n_rows_, self.offset_ = len(X), 0.0
        return self

    def score_samples(self, X):
        return -np.sum(np.square(X, dtype=float), axis=1)


def coupled(n_points, seed=0):
    """Two channels that follow the same random walk, up to noise."""
    rng = np.random.RandomState(seed)
    walk = np.sin(np.arange(n_points) / 7) + rng.standard_normal(n_points).cumsum() / 20
    return walk[:, None] * [1.0, 50.0] + rng.standard_normal((n_points, 2)) * [0.1, 5.0]


@pytest.fixture(scope="module")
def windows():
    return SlidingWindow(SIZE).fit_transform(coupled(3000))


@pytest.fixture(scope="module")
def whitening(windows):
    return WindowWhitening(2).fit(windows)


def test_cells_are_uncorrelated_and_resemble_those_before(whitening, windows):
    white = whitening.transform(windows)
    covariance = np.cov(white.T)
    between = covariance - np.diag(np.diag(covariance))
    assert np.abs(np.corrcoef(windows.T)).min() > 0.5
    assert np.abs(between).max() < 0.25  # the direction of the smallest variance keeps less
    of_both = np.corrcoef(windows.T, white.T)[2 * SIZE :, : 2 * SIZE]
    assert (of_both.argmax(axis=1) == np.arange(2 * SIZE)).all()


def test_windows_come_back_in_their_units(whitening, windows):
    again = whitening.inverse_transform(whitening.transform(windows))
    np.testing.assert_allclose(again, windows, atol=1e-2)


def test_a_window_is_whitened_alike_among_any_others(whitening, windows):
    white = whitening.transform(windows)
    np.testing.assert_array_equal(whitening.transform(windows[700:701]), white[700:701])
    np.testing.assert_array_equal(whitening.transform(windows[500:]), white[500:])


def test_scale_does_not_matter(whitening, windows):
    scaled = windows.reshape(len(windows), -1, 2) * [1e6, 1e-6] + [3.0, -7e4]
    scaled = scaled.reshape(windows.shape)
    again = WindowWhitening(2).fit(scaled)
    np.testing.assert_allclose(
        again.transform(scaled), whitening.transform(windows), rtol=1e-3, atol=1e-3
    )


def test_a_departure_that_is_small_for_each_channel_is_large_for_both(whitening, windows):
    odd = windows[:1].copy()
    odd[0, SIZE] += 0.6  # the first channel alone
    assert odd[0, SIZE] < windows.max()
    usual = np.square(whitening.transform(windows)).sum(axis=1)
    assert np.square(whitening.transform(odd)).sum() > np.quantile(usual, 0.95)


def test_missing_cells_are_interpolated_for_the_others_and_stay_missing(whitening, windows):
    gappy = windows[:3].copy()
    gappy[0, 6], gappy[1, ::2], gappy[2, :4] = np.nan, np.nan, np.nan
    white = whitening.transform(gappy)
    np.testing.assert_array_equal(np.isnan(white), np.isnan(gappy))
    filled = windows[:1].copy()
    filled[0, 6] = (filled[0, 4] + filled[0, 8]) / 2
    expected = whitening.transform(filled)[0]
    np.testing.assert_allclose(np.delete(white[0], 6), np.delete(expected, 6), atol=0.1)


def test_a_constant_channel_is_not_mixed_with_others(windows):
    constant = windows.copy()
    constant[:, 1::2] = 7.0
    white = WindowWhitening(2).fit(constant).transform(constant)
    assert (white[:, 1::2] == 0).all()
    changed = constant[:1].copy()
    changed[0, 5] = 8.0
    difference = WindowWhitening(2).fit(constant).transform(changed)[0] - white[0]
    np.testing.assert_array_equal(np.flatnonzero(difference), [5])


def test_rare_events_have_a_unit():
    counts = np.zeros((400, 1))
    counts[::40] = 3.0
    white = WindowWhitening().fit_transform(SlidingWindow(4).fit_transform(counts))
    assert np.isfinite(white).all()
    assert white.std() > 0.1


def test_columns_that_are_no_windows_of_the_channels_are_refused(windows):
    with pytest.raises(ValueError, match="16 columns, which is no multiple of n_channels=3"):
        WindowWhitening(3).fit(windows)


# WindowedDetector


def test_window_size_is_a_multiple_of_the_period():
    t = np.arange(600)
    rng = np.random.RandomState(0)
    X = np.sin(2 * np.pi * t / 24)[:, None] + 0.1 * rng.standard_normal((600, 1))
    assert WindowedDetector(SquaredNorm()).fit(X).window_size_ == 72
    assert WindowedDetector(SquaredNorm()).fit(rng.standard_normal((600, 1))).window_size_ == 64


def test_window_size_of_a_short_series_is_a_quarter_of_its_longest_stretch():
    X = np.random.RandomState(0).standard_normal((110, 1))
    index = pd.date_range("2024-01-01", periods=200, freq="h")
    frame = pd.DataFrame(X, index=index[np.r_[0:80, 100:130]])
    assert WindowedDetector(SquaredNorm()).fit(frame).window_size_ == 20


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_window_size_is_that_of_the_network(make_detector, in_pipeline):
    vae = make_detector(architecture="conv", input_shape=(12, 2), max_iter=1, contamination=0.1)
    detector = WindowedDetector(make_pipeline(vae) if in_pipeline else vae).fit(coupled(100))
    assert detector.window_size_ == 12
    assert np.isfinite(detector.score_samples(coupled(100))).all()


def test_an_eighth_of_the_windows_is_scored_and_every_time_point_has_a_score():
    X = coupled(1000)
    detector = WindowedDetector(SquaredNorm(), window_size=32).fit(X)
    assert detector.detector_.n_rows_ == 1000 - 31
    every = WindowedDetector(SquaredNorm(), window_size=32, stride=1).fit(X)
    scores, of_all = detector.score_samples(X[:203]), every.score_samples(X[:203])
    assert np.isfinite(scores).all()
    assert np.corrcoef(scores, of_all)[0, 1] > 0.95
    strided = WindowedDetector(SquaredNorm(), window_size=32, stride=4).fit(X)
    strided.detector_, strided.whitening_ = detector.detector_, detector.whitening_
    np.testing.assert_allclose(strided.score_samples(X[:203]), scores)


def test_smooth_scores_are_means_of_means():
    X = coupled(60)
    detector = WindowedDetector(SquaredNorm(), window_size=4).fit(X)
    sliding = SlidingWindow(4).fit(X)
    scores = detector.detector_.score_samples(detector.whitening_.transform(sliding.transform(X)))
    for _ in range(2):
        points = sliding.point_scores(scores, X, aggregation="mean")
        scores = np.lib.stride_tricks.sliding_window_view(points, 4).mean(axis=1)
    expected = sliding.point_scores(scores, X, aggregation="mean")
    np.testing.assert_allclose(detector.score_samples(X), expected)


def test_training_takes_part_of_the_windows_of_a_long_series(monkeypatch):
    monkeypatch.setattr("vae_anomaly.time_series.windowed._MAX_CELLS", 3_200)
    X = coupled(1000)
    detector = WindowedDetector(SquaredNorm(), window_size=16).fit(X)
    assert detector.detector_.n_rows_ == 100
    again = WindowedDetector(SquaredNorm(), window_size=16).fit(X)
    np.testing.assert_array_equal(again.score_samples(X), detector.score_samples(X))


def test_a_broken_coupling_is_found_by_whitened_windows_only():
    X = coupled(2000)
    X[1500:1530, 0] = np.roll(X[:, 0], 9)[1500:1530]
    scores = {}
    for whiten in (True, False):
        detector = WindowedDetector(
            SquaredNorm(), window_size=SIZE, whiten=whiten, aggregation="mean"
        )
        scores[whiten] = detector.fit(X[:1000]).score_samples(X)[1000:]
    assert 500 <= scores[True].argmin() < 530
    assert not 500 <= scores[False].argmin() < 530


@pytest.fixture(scope="module")
def fitted(make_detector):
    detector = WindowedDetector(make_detector(max_iter=20, contamination=0.1), window_size=SIZE)
    return detector.fit(pd.DataFrame(coupled(300), columns=["flow", "pressure"]))


@pytest.fixture(scope="module")
def unwhitened(make_detector):
    vae = make_detector(max_iter=5, contamination=0.1)
    detector = WindowedDetector(vae, window_size=SIZE, whiten=False)
    return detector.fit(pd.DataFrame(coupled(300), columns=["flow", "pressure"]))


@pytest.mark.parametrize("n_points", [200, SIZE - 3], ids=["long", "shorter than a window"])
@pytest.mark.parametrize("aggregation", ["smooth", "mean", "max", "causal"])
@pytest.mark.parametrize("name", ["fitted", "unwhitened"])
def test_contributions_to_windows_sum_to_the_score(name, aggregation, n_points, request):
    X = pd.DataFrame(coupled(n_points, seed=1), columns=["flow", "pressure"])
    detector = request.getfixturevalue(name).set_params(aggregation=aggregation)
    total = explain(detector, X).contributions.sum(axis="columns")
    np.testing.assert_allclose(total, -detector.score_samples(X), rtol=1e-9)
    detector.set_params(aggregation="smooth")


def test_what_is_expected_and_usual_is_in_the_units_of_the_channels(fitted):
    X = pd.DataFrame(coupled(300), columns=["flow", "pressure"])
    explanation = explain(fitted, X)
    low, high = X.quantile(0.05), X.quantile(0.95)
    np.testing.assert_allclose(explanation.usual["low"], low, rtol=0.05, atol=0.1)
    np.testing.assert_allclose(explanation.usual["high"], high, rtol=0.05, atol=0.1)
    for name in X:
        assert explanation.expected[name].between(X[name].min(), X[name].max()).all()


def test_the_channel_that_departs_contributes_most(fitted):
    X = pd.DataFrame(coupled(300), columns=["flow", "pressure"])
    X.loc[150, "pressure"] += 100
    fitted.set_params(aggregation="max")
    contributions = explain(fitted, X).contributions[["flow", "pressure"]]
    fitted.set_params(aggregation="smooth")
    assert contributions.stack().idxmax() == (150, "pressure")


def test_saves_and_loads(fitted, tmp_path):
    X = pd.DataFrame(coupled(100), columns=["flow", "pressure"])
    save(fitted, tmp_path / "model.skops")
    again = load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.score_samples(X), fitted.score_samples(X))
