"""WindowedDetector: one score per time point, from an outlier detector of windows."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
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
    assert fitted.offset_ == fitted.detector_.offset_


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


def test_points_that_no_window_covers_are_no_outliers_and_not_silent(fitted, series):
    gappy = series.iloc[[*range(5), *range(20, 60)]]
    with pytest.warns(UserWarning, match="5 of 45 time points get no score"):
        labels = fitted.predict(gappy)
    assert (labels[:5] == 1).all()
    with pytest.warns(UserWarning, match="no score"):
        np.testing.assert_array_equal(np.isnan(fitted.score_samples(gappy)), np.arange(45) < 5)


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
    fitted = WindowedDetector(detector, window_size=8, whiten=False, aggregation="mean").fit(series)
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
