"""WindowedDetector: one score per time point, from an outlier detector of windows."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_anomaly import SlidingWindow, VAEAnomalyDetector, WindowedDetector, make_outlier_scorer


class Windows(OutlierMixin, BaseEstimator):
    """A detector that keeps the windows it is given."""

    def fit(self, X, y=None):
        self.X_ = X
        return self

    def score_samples(self, X):
        return -np.abs(X).max(axis=1)


# scikit-learn's checks score rows alone and shuffled: no time point may have neighbours.
@parametrize_with_checks(
    [WindowedDetector(IsolationForest(n_estimators=10, random_state=0), window_size=1)]
)
def test_detector_of_single_time_points_passes_the_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def series():
    """Two noisy sines of one period, 600 hours."""
    t = np.arange(600)
    rng = np.random.RandomState(0)
    values = np.column_stack([np.sin(t / 3), np.cos(t / 3)]) + 0.05 * rng.standard_normal((600, 2))
    index = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC")
    return pd.DataFrame(values, index=index, columns=["sine", "cosine"])


@pytest.fixture(scope="module")
def broken(series):
    """The last 200 hours of the series, in which one sensor is stuck for a while."""
    table = series.iloc[400:].copy()
    table.iloc[80:110, 0] = table.iloc[80, 0]
    return table


@pytest.fixture(scope="module")
def stuck():
    """Where the sensor is stuck."""
    return (np.arange(200) >= 80) & (np.arange(200) < 110)


def clone_with(fitted, **parameters):
    """Return a copy of a fitted detector with other parameters, as set_params makes it."""
    return copy.copy(fitted).set_params(**parameters)


@pytest.fixture(scope="module")
def fitted(series):
    """A fitted detector that no test may change."""
    return WindowedDetector(IsolationForest(random_state=0), window_size=12).fit(series.iloc[:400])


def test_scores_of_points_are_those_of_the_windows_around_them(fitted, broken):
    sliding = SlidingWindow(window_size=12).fit(broken)
    windows = fitted.whitening_.transform(sliding.transform(broken))
    scores = fitted.detector_.score_samples(windows)
    expected = sliding.point_scores(scores, broken, aggregation="smooth")
    np.testing.assert_array_equal(fitted.score_samples(broken), expected)


def test_decision_is_the_score_beyond_the_threshold_of_the_detector(fitted, broken):
    decision = fitted.decision_function(broken)
    np.testing.assert_array_equal(decision, fitted.score_samples(broken) - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(broken), np.where(decision < 0, -1, 1))


@pytest.mark.parametrize("aggregation", ["smooth", "mean", "max", "causal"])
def test_a_fraction_of_the_training_points_are_outliers(series, aggregation):
    forest = IsolationForest(n_estimators=20, random_state=0)
    detector = WindowedDetector(forest, window_size=12, aggregation=aggregation, contamination=0.05)
    known = series.iloc[:400]
    outliers = detector.fit_predict(known)[detector.is_covered(known)] == -1
    assert outliers.mean() == pytest.approx(0.05, abs=0.01)


def test_the_threshold_is_that_of_the_aggregation(series):
    forest = IsolationForest(n_estimators=20, random_state=0)
    of_each = WindowedDetector(forest, aggregation="mean").fit(series)
    changed = WindowedDetector(forest).fit(series).set_params(aggregation="mean")
    assert changed.offset_ == of_each.offset_


def test_scores_do_not_depend_on_the_working_memory(fitted, broken):
    expected = fitted.score_samples(broken)
    with config_context(working_memory=0.01):
        np.testing.assert_array_equal(fitted.score_samples(broken), expected)


@pytest.mark.parametrize("architecture", ["dense", "lstm"])
def test_vae_finds_the_stuck_sensor(series, broken, stuck, architecture):
    vae = VAEAnomalyDetector(
        architecture=architecture,
        input_shape=(12, 2),
        hidden_layer_sizes=(32,),
        latent_dim=4,
        max_iter=60,
        learning_rate_init=0.01,
        contamination=0.01,
        random_state=0,
    )
    detector = WindowedDetector(vae, window_size=12, aggregation="max").fit(series.iloc[:400])
    assert average_precision_score(stuck, -detector.score_samples(broken)) > 0.9
    assert (detector.predict(broken)[stuck] == -1).mean() > 0.5
    assert (detector.predict(broken)[~stuck] == -1).mean() < 0.1


def test_scores_come_in_the_order_of_rows_of_interleaved_series(series):
    first = series.assign(sensor="a")
    second = (series * [1.0, -1.0]).assign(sensor="b")
    both = pd.concat([first, second]).sort_index(kind="stable")
    forest = IsolationForest(random_state=0)
    detector = WindowedDetector(forest, window_size=12, group_column="sensor").fit(both)
    scores = pd.Series(detector.score_samples(both))
    for sensor, table in (("a", first), ("b", second)):
        alone = detector.score_samples(table)
        np.testing.assert_array_equal(scores[(both["sensor"] == sensor).to_numpy()], alone)


def test_points_that_no_window_covers_have_scores_and_are_marked(fitted, series):
    gappy = series.iloc[[*range(5), *range(20, 60)]]
    assert np.isfinite(fitted.score_samples(gappy)).all()
    np.testing.assert_array_equal(fitted.is_covered(gappy), np.arange(45) >= 5)


def after_the_medians(series, rows):
    """A window that ends with these rows and starts with the medians of training."""
    medians = np.tile(series.iloc[:400].median(), (12 - len(rows), 1))
    return np.concatenate([medians, rows]).reshape(1, -1)


def test_a_window_of_a_short_stretch_starts_with_the_medians_of_training(fitted, series):
    short = series.iloc[400:405]
    window = fitted.whitening_.transform(after_the_medians(series, short))
    expected = fitted.detector_.score_samples(window)
    np.testing.assert_allclose(fitted.score_samples(short), np.repeat(expected, 5))


def test_causal_scores_depend_on_the_past_only(fitted, broken):
    causal = clone_with(fitted, aggregation="causal")
    scores = causal.score_samples(broken)
    for n_known in (1, 5, 40, 150):
        known = causal.score_samples(broken.iloc[:n_known])
        np.testing.assert_allclose(known, scores[:n_known], rtol=1e-12)


def test_causal_scores_are_weighted_means_over_the_windows_so_far(fitted, broken):
    causal = clone_with(fitted, aggregation="causal")
    windows = SlidingWindow(window_size=12).fit_transform(broken)
    of_windows = fitted.detector_.score_samples(fitted.whitening_.transform(windows))
    weights = 0.5 ** (np.arange(len(windows)) / 1.2)
    expected = [
        np.average(of_windows[n::-1], weights=weights[: n + 1]) for n in range(len(windows))
    ]
    np.testing.assert_allclose(causal.score_samples(broken)[11:], expected, rtol=1e-9)


def test_causal_scores_are_the_usual_one_until_there_is_a_window(fitted, series, broken):
    causal = clone_with(fitted, aggregation="causal")
    np.testing.assert_array_equal(causal.is_covered(broken), np.arange(len(broken)) >= 11)
    training_windows = SlidingWindow(window_size=12).fit_transform(series.iloc[:400])
    whitened = fitted.whitening_.transform(training_windows)
    usual = np.median(fitted.detector_.score_samples(whitened))
    np.testing.assert_array_equal(causal.score_samples(broken)[:11], usual)
    assert (causal.predict(broken)[:11] == 1).all()


def test_causal_scores_are_lowest_as_long_as_windows_hold_the_stuck_sensor(fitted, broken, stuck):
    causal = clone_with(fitted, aggregation="causal")
    scores = np.where(causal.is_covered(broken), causal.score_samples(broken), np.inf)
    assert stuck[scores.argmin() - 11 : scores.argmin() + 1].any()


def test_gaps_that_leave_room_for_windows_do_not_warn(fitted, series):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = fitted.score_samples(series.iloc[[*range(20), *range(40, 60)]])
    assert np.isfinite(scores).all()


def test_a_pipeline_before_it_scores_time_points(series, broken, stuck):
    detector = WindowedDetector(LocalOutlierFactor(novelty=True), window_size=12)
    pipeline = make_pipeline(StandardScaler(), detector).set_output(transform="pandas")
    pipeline.fit(series.iloc[:400])
    assert pipeline[-1].windows_.sampling_interval_ == pd.Timedelta("1h")
    assert average_precision_score(stuck, -pipeline.score_samples(broken)) > 0.7


def test_grid_search_compares_windows_by_labels_of_time_points(broken, stuck):
    search = GridSearchCV(
        WindowedDetector(IsolationForest(random_state=0)),
        {"window_size": [4, 12], "detector__n_estimators": [10]},
        scoring=make_outlier_scorer(average_precision_score),
        cv=[(np.arange(60), np.arange(60, 200))],
    )
    search.fit(broken, stuck)
    assert search.best_estimator_.detector_.n_estimators == 10
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_time_series_split_gives_unbroken_series(fitted, series):
    train, test = next(TimeSeriesSplit(n_splits=3).split(series))
    detector = WindowedDetector(IsolationForest(random_state=0), window_size=12)
    assert np.isfinite(detector.fit(series.iloc[train]).score_samples(series.iloc[test])).all()


def test_pickles(fitted, broken):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.score_samples(broken), fitted.score_samples(broken))


def test_training_takes_at_most_so_many_windows(series):
    detector = WindowedDetector(Windows(), window_size=12, whiten=False, max_windows=50)
    first_values = detector.fit(series).detector_.X_[:, 0]
    at = np.flatnonzero(np.isin(series["sine"], first_values))
    assert len(at) == 50
    assert np.histogram(at, bins=4)[0].min() > 5
    np.testing.assert_array_equal(clone(detector).fit(series).detector_.X_[:, 0], first_values)


def test_the_detector_passed_stays_unfitted(series):
    forest = IsolationForest(n_estimators=5)
    WindowedDetector(forest).fit(series)
    assert not hasattr(forest, "estimators_")


def test_a_detector_without_scores_is_refused(series):
    with pytest.raises(ValueError, match=r"'detector' parameter .* 'score_samples'"):
        WindowedDetector(LocalOutlierFactor()).fit(series)


def test_unfitted_is_said(series):
    with pytest.raises(NotFittedError, match="WindowedDetector instance is not fitted"):
        WindowedDetector(IsolationForest()).predict(series)


@pytest.mark.parametrize(
    "detector",
    [make_pipeline(StandardScaler(), IsolationForest(random_state=0)), OneClassSVM(nu=0.01)],
    ids=lambda detector: type(detector).__name__,
)
def test_any_outlier_detector_brings_its_threshold(detector, series):
    fitted = WindowedDetector(
        detector, window_size=8, whiten=False, aggregation="mean", contamination=None
    ).fit(series)
    assert isinstance(fitted.offset_, float)
    windows = fitted.windows_.transform(series)
    expected = detector.fit(windows).score_samples(windows[:1]) - fitted.offset_
    assert fitted.decision_function(series)[0] == expected


def test_a_detector_that_refuses_missing_values_has_the_first_named():
    frame = pd.DataFrame({"load": np.sin(np.arange(60.0)), "wind": np.cos(np.arange(60.0))})
    detector = WindowedDetector(OneClassSVM(), window_size=4).fit(frame)
    frame.loc[7, "wind"] = np.nan
    for method in (detector.fit, detector.score_samples):
        with pytest.raises(ValueError, match=r"NaN.*'wind', first in row 7.*drop"):
            method(frame)
    with pytest.raises(ValueError, match="'wind', in all rows"):
        detector.fit(frame.assign(wind=np.nan))


def test_missing_values_go_to_a_detector_that_takes_them(make_detector):
    X = np.sin(np.arange(120.0) / 4)[:, None]
    X[50] = np.nan
    detector = WindowedDetector(make_detector(missing_indicator=False), window_size=8).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    assert get_tags(detector).input_tags.allow_nan


# Thresholds of time points, and ranges of alarms


@pytest.mark.parametrize("aggregation", ["max", "mean", "causal"])
def test_the_threshold_holds_for_new_time_points(series, aggregation):
    detector = WindowedDetector(OneClassSVM(nu=0.1), window_size=12, aggregation=aggregation)
    detector.fit(series.iloc[:400])
    assert (detector.predict(series)[400:] == -1).mean() < 0.05
    assert (detector.predict(series)[:400] == -1).mean() <= 0.1


def test_a_second_detector_trains_on_half_of_the_windows_for_as_many_epochs(
    series, make_detector, monkeypatch
):
    fits, fit = [], VAEAnomalyDetector.fit

    def recorded(self, X, *arguments, **keywords):
        fit(self, X, *arguments, **keywords)
        fits.append((len(X), self.n_iter_))
        return self

    monkeypatch.setattr(VAEAnomalyDetector, "fit", recorded)
    vae = make_detector(max_iter="auto", contamination="auto", batch_size=400)
    WindowedDetector(vae, window_size=12).fit(series.iloc[:400])
    (n_windows, n_epochs), (n_half, n_epochs_half) = fits
    assert n_half <= n_windows / 2
    assert n_epochs_half == n_epochs


@pytest.fixture(scope="module")
def two_series(series):
    """A detector of two sensors, of which one breaks twice, and what it is given."""
    both = pd.concat([series.assign(sensor="a"), series.assign(sensor="b")])
    detector = WindowedDetector(
        VAEAnomalyDetector(
            hidden_layer_sizes=(16,), latent_dim=4, max_iter=60, contamination=0.1, random_state=0
        ),
        window_size=12,
        group_column="sensor",
        aggregation="max",
    ).fit(both)
    broken = both.copy()
    of_b = np.flatnonzero(both["sensor"] == "b")
    broken.iloc[of_b[100:130], 0] = 3.0
    broken.iloc[of_b[300:320], 1] = -3.0
    return detector, broken


def test_alarms_are_ranges_with_a_peak_and_the_channels_behind_it(two_series, series):
    detector, broken = two_series
    alarms = detector.alarms(broken)
    worst = alarms.nlargest(2, "n_points").sort_values("start")
    assert worst["series"].tolist() == ["b", "b"]
    assert worst["channels"].str.split(", ").str[0].tolist() == ["sine", "cosine"]
    for (_, alarm), part in zip(worst.iterrows(), (slice(100, 130), slice(300, 320)), strict=True):
        times = series.index[part]
        assert abs(alarm["start"] - times[0]) <= pd.Timedelta("12h")
        assert abs(alarm["end"] - times[-1]) <= pd.Timedelta("12h")
        assert alarm["start"] <= alarm["peak"] <= alarm["end"]


def test_alarms_are_the_time_points_that_are_outliers(two_series):
    detector, broken = two_series
    alarms, scores = detector.alarms(broken), detector.score_samples(broken)
    assert alarms["n_points"].sum() == (detector.predict(broken) == -1).sum()
    assert alarms["peak_score"].max() == -scores.min()
    lower = detector.alarms(broken, offset=2 * detector.offset_)
    assert lower["n_points"].sum() == (scores < 2 * detector.offset_).sum()


def test_no_alarms_are_an_empty_table(two_series, series):
    detector, broken = two_series
    alarms = detector.alarms(broken, offset=-np.inf)
    assert alarms.shape == (0, 7)


def test_alarms_without_a_clock_have_row_numbers_and_no_channels_if_unexplained():
    X = np.sin(np.arange(400.0) / 5)[:, None]
    X[300:330] = 5.0
    detector = WindowedDetector(
        LocalOutlierFactor(novelty=True), window_size=8, whiten=False, aggregation="max"
    ).fit(X[:300])
    alarm = detector.alarms(X).nlargest(1, "n_points").iloc[0]
    assert 290 <= alarm["start"] <= 305
    assert 325 <= alarm["end"] <= 340
    assert "channels" not in alarm


def test_windows_over_the_border_of_two_calls_are_trained_on_if_passed_again(series):
    class Counting(Windows):
        def partial_fit(self, X, y=None):
            self.n_ = getattr(self, "n_", 0) + len(X)
            return self.fit(X)

    detector = WindowedDetector(Counting(), window_size=12)
    detector.partial_fit(series[:100]).partial_fit(series[100 - 11 : 200])
    assert detector.detector_.n_ == 200 - 11
