"""Thresholds for time series: the time points held out, and the resulting false alarms."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold, ShuffleSplit, TimeSeriesSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    AlarmBudget,
    ConformalDetector,
    ScoreDistributionDisplay,
    SlidingWindow,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    WindowedDetector,
    bootstrap_threshold,
    make_outlier_scorer,
)

N_TRAIN, N_NEW, SIZE = 1200, 800, 12
NEIGHBOURS = LocalOutlierFactor(novelty=True)
INDEXES = {
    "DatetimeIndex": pd.date_range("2024-01-01", periods=N_TRAIN + N_NEW, freq="h"),
    "PeriodIndex": pd.period_range("2024-01-01", periods=N_TRAIN + N_NEW, freq="h"),
    "RangeIndex": pd.RangeIndex(N_TRAIN + N_NEW),
}


class Jumps(OutlierMixin, BaseEstimator):
    """A detector that scores a window by its largest step and stores that of the training."""

    def fit(self, X, y=None):
        self.largest_ = self._steps(X).max()
        self.n_windows_ = len(X)
        self.offset_ = -self.largest_
        return self

    def score_samples(self, X):
        return -self._steps(X)

    def _steps(self, X):
        return np.abs(np.diff(X, axis=1)).max(axis=1)


def waves(n_points=N_TRAIN + N_NEW, seed=0):
    rng = np.random.RandomState(seed)
    t = np.arange(n_points)
    return np.column_stack([np.sin(t / 3), np.cos(t / 5)]) + 0.1 * rng.randn(n_points, 2)


def table(kind, values=None):
    values = waves() if values is None else values
    return values if kind == "array" else pd.DataFrame(values, INDEXES[kind], ["a", "b"])


def rows(X, part):
    return X[part] if isinstance(X, np.ndarray) else X.iloc[part]


def windowed(detector=None, **parameters):
    density = make_pipeline(PCA(6, random_state=0), GaussianMixture(random_state=0))
    parameters = {"whiten": False, "aggregation": "max"} | parameters
    return WindowedDetector(detector or density, window_size=SIZE, **parameters)


@pytest.mark.parametrize("kind", ["array", *INDEXES])
@pytest.mark.parametrize(
    "make",
    [
        lambda detector: ConformalDetector(detector, random_state=0),
        lambda detector: ConformalDetector(make_pipeline(StandardScaler(), detector)),
        lambda detector: TunedThresholdDetectorCV(detector, scoring=AlarmBudget(0.05)),
        lambda detector: TunedThresholdDetectorCV(detector, scoring=AlarmBudget(0.05), cv=0.3),
    ],
    ids=["conformal", "pipeline", "folds", "split"],
)
def test_false_alarms_in_a_series_are_within_twice_the_level(kind, make):
    X = table(kind)
    judge = make(windowed()).fit(rows(X, slice(N_TRAIN)))
    assert np.mean(judge.predict(X)[N_TRAIN:] == -1) < 0.1


@pytest.mark.parametrize("kind", ["array", *INDEXES])
def test_a_stuck_sensor_is_found(kind):
    stuck = slice(N_TRAIN + 300, N_TRAIN + 360)
    values = waves()
    values[stuck] = 0.0
    X = table(kind, values)
    judge = ConformalDetector(windowed(NEIGHBOURS)).fit(rows(X, slice(N_TRAIN)))
    assert np.mean(judge.predict(X)[stuck] == -1) > 0.8


@pytest.mark.parametrize("cv", [0.3, 4, TimeSeriesSplit(3), KFold(4)])
def test_held_out_time_points_are_blocks(cv):
    tuned = TunedThresholdDetectorCV(windowed(), scoring=AlarmBudget(0.05), cv=cv)
    held_out = tuned.fit(table("array")[:N_TRAIN]).held_out_rows_
    lengths = np.diff(np.flatnonzero(np.diff(held_out, prepend=-9, append=-9) != 1))
    assert len(lengths) <= 5
    assert lengths.min() > 5 * SIZE


@pytest.mark.parametrize("make", [ConformalDetector, TunedThresholdDetectorCV])
def test_scores_of_windows_are_not_mistaken_for_scores_of_rows(make):
    pipeline = make_pipeline(SlidingWindow(window_size=SIZE), NEIGHBOURS)
    with pytest.raises(ValueError, match=r"one score for each row.*WindowedDetector"):
        make(pipeline).fit(waves(300))
    with pytest.raises(ValueError, match=r"one score for each row.*WindowedDetector"):
        make(pipeline.fit(waves(300)), cv="prefit").fit(waves(300))


def test_labels_do_not_scatter_the_blocks():
    X = waves(600)
    X[100:130] = X[500:530] = 0.0
    y = np.zeros(600, int)
    y[100:130] = y[500:530] = 1
    tuned = TunedThresholdDetectorCV(windowed(NEIGHBOURS), scoring="f1", cv=2).fit(X, y)
    np.testing.assert_array_equal(tuned.held_out_rows_, np.arange(600))
    assert tuned.best_score_ > 0.4


def test_no_window_spans_held_out_time_points():
    """The ramp has a gap where a block is held out, and a window across it would have a jump."""
    X = np.arange(400.0)[:, None]
    tuned = TunedThresholdDetectorCV(windowed(Jumps()), scoring=AlarmBudget(0.2), cv=4).fit(X)
    assert tuned.held_out_scores_.min() == -1
    split = [(np.r_[0:100, 200:400], np.arange(100, 200))]
    one = TunedThresholdDetectorCV(
        windowed(Jumps()), scoring=AlarmBudget(0.2), cv=split, refit=False
    ).fit(X)
    assert one.detector_.detector_.largest_ == 1
    assert one.detector_.detector_.n_windows_ == 300 - 2 * (SIZE - 1)
    assert one.detector_.fit(X).detector_.n_windows_ == 400 - (SIZE - 1)


@pytest.mark.parametrize("order", ["interleaved", "one after the other"])
def test_a_fraction_of_each_series_is_held_out(order):
    n = 200
    name = np.tile(["a", "b"], n) if order == "interleaved" else np.repeat(["a", "b"], n)
    X = pd.DataFrame({"value": waves(2 * n)[:, 0], "sensor": name})
    detector = windowed(Jumps(), group_column="sensor")
    tuned = TunedThresholdDetectorCV(detector, scoring=AlarmBudget(0.2), cv=0.25, refit=False).fit(
        X
    )
    for sensor in "ab":
        at = np.flatnonzero(name == sensor)
        held_out = np.r_[at[75:100], at[175:200]]
        np.testing.assert_array_equal(np.intersect1d(at, tuned.held_out_rows_), held_out)
    assert tuned.detector_.detector_.n_windows_ == 2 * 2 * (75 - (SIZE - 1))


@pytest.mark.parametrize("kind", ["array", *INDEXES])
@pytest.mark.parametrize("cv", [ShuffleSplit(2, random_state=0), KFold(3, shuffle=True)])
def test_scattered_time_points_are_refused(kind, cv):
    tuned = TunedThresholdDetectorCV(windowed(), cv=cv)
    with pytest.raises(ValueError, match=r"cv must hold out blocks of time: of .* window_size=12"):
        tuned.fit(table(kind))


@pytest.mark.parametrize(
    "judge",
    [
        ConformalDetector(windowed(), alpha=0.05),
        TunedThresholdDetectorCV(windowed(), scoring=AlarmBudget(0.05), cv=0.3),
    ],
    ids=["conformal", "budget"],
)
def test_an_alarm_rate_is_refused_if_there_are_too_few_windows(judge):
    with pytest.raises(ValueError, match="60 held-out time points make 5 windows of 12"):
        judge.fit(waves(200))


class OnlyWholeWindows(WindowedDetector):
    """A detector that has no score for time points that no whole window covers."""

    def score_samples(self, X):
        return np.where(self.is_covered(X), super().score_samples(X), np.nan)


@pytest.fixture
def gappy():
    """A detector, time points, five of which have no score, and labels."""
    X = table("DatetimeIndex")
    detector = OnlyWholeWindows(NEIGHBOURS, window_size=SIZE, whiten=False, aggregation="max")
    detector.fit(X.iloc[:N_TRAIN])
    rest = X.iloc[N_TRAIN:].copy()
    rest.iloc[300:340] = 0.0
    y = (np.arange(N_NEW) >= 300) & (np.arange(N_NEW) < 340)
    keep = np.r_[0:5, 20:N_NEW]
    return detector, rest.iloc[keep], y[keep].astype(int)


@pytest.mark.filterwarnings("ignore:5 of:UserWarning")
class TestTimePointsWithoutAScore:
    def test_are_left_out_of_scores(self, gappy):
        detector, X, y = gappy
        scorer = make_outlier_scorer(average_precision_score)
        assert scorer(detector, X, y) > 0.8
        expected = average_precision_score(y[5:], -detector.score_samples(X)[5:])
        assert scorer(detector, X, y) == expected

    @pytest.mark.filterwarnings("error:.*no score.*left out")
    def test_are_left_out_of_the_choice(self, gappy):
        detector, X, y = gappy
        tuned = TunedThresholdDetectorCV(detector, scoring="f1", cv="prefit", calibration="sigmoid")
        with pytest.warns(UserWarning, match=r"5 of 785 held-out rows have no score \(NaN\)"):
            tuned.fit(X, y)
        np.testing.assert_array_equal(tuned.held_out_rows_, np.arange(5, len(X)))
        assert (tuned.predict(X)[:5] == 1).all()
        probabilities = tuned.predict_proba(X)
        np.testing.assert_array_equal(np.isnan(probabilities[:, 1]), np.arange(len(X)) < 5)

    def test_are_left_out_of_the_calibration(self, gappy):
        detector, X, _ = gappy
        judge = ConformalDetector(detector, cv="prefit").fit(X)
        assert len(judge.calibration_scores_) == len(X) - 5
        assert (judge.p_values(X)[:5] == 1).all()

    def test_are_left_out_of_resamples(self, gappy):
        detector, X, y = gappy
        scores = detector.score_samples(X)
        one, other = (
            bootstrap_threshold("f1", scores[first:], y[first:], n_resamples=5, random_state=0)
            for first in (0, 5)
        )
        np.testing.assert_array_equal(one["thresholds"], other["thresholds"])

    def test_are_left_out_of_displays(self, gappy):
        detector, X, y = gappy
        display = ScoreDistributionDisplay.from_estimator(detector, X, y)
        assert len(display.scores) == len(X) - 5
        assert np.isfinite(ThresholdDisplay.from_estimator(detector, X, y).thresholds).all()

    def test_are_refused_if_there_are_no_others(self):
        with pytest.raises(ValueError, match="None of 3 held-out rows has a score"):
            bootstrap_threshold("auto", [np.nan] * 3)
