"""Clocks: times of every kind, several series, and what is refused."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from vae_anomaly import SlidingWindow, VAEAnomalyDetector, WindowedDetector, load, save

N, SIZE = 80, 4
HOURS = pd.date_range("2024-01-01", periods=N, freq="h")
GAPPY = HOURS[:40].append(HOURS[40:] + pd.Timedelta("30D"))
DAYS = pd.date_range("2024-01-01", periods=N)
GAPPY_DAYS = DAYS[:40].append(DAYS[40:] + pd.Timedelta("300D"))
CLOCKS = {
    "dates": GAPPY,
    "dates of a zone": GAPPY.tz_localize("America/New_York"),
    "periods": GAPPY.to_period("h"),
    "durations": GAPPY - GAPPY[0],
    "text": GAPPY.astype(str),
    "text of a zone": GAPPY.tz_localize("UTC").map(lambda time: time.isoformat()),
    "text of two offsets": pd.Index(
        [
            time.tz_localize("UTC").tz_convert("Europe/Berlin" if at % 2 else "UTC").isoformat()
            for at, time in enumerate(GAPPY)
        ]
    ),
    "text of durations": (GAPPY - GAPPY[0]).astype(str),
    "text in words": GAPPY_DAYS.strftime("%d %B %Y"),
    "compact text": GAPPY_DAYS.strftime("%Y%m%d"),
    "objects": pd.Index(list(GAPPY), dtype=object),
    "datetime.date": pd.Index(list(GAPPY_DAYS.date), dtype=object),
    "datetime.datetime": pd.Index(list(GAPPY.to_pydatetime()), dtype=object),
    "periods as objects": pd.Index(list(GAPPY.to_period("h")), dtype=object),
    "categories": pd.CategoricalIndex(GAPPY),
    "Arrow": pd.Index(GAPPY.astype("timestamp[us][pyarrow]")),
    "Arrow durations": pd.Index((GAPPY - GAPPY[0]).astype("duration[us][pyarrow]")),
    "Arrow dates": pd.Index(pd.Series(GAPPY_DAYS.date).astype("date32[pyarrow]")),
}


@pytest.fixture
def counts():
    """A channel that counts up."""
    return pd.DataFrame({"v": np.arange(float(N))})


def has_no_window_across_the_gap(windows):
    # Windows of each half.
    return len(windows) == N - 2 * (SIZE - 1) and (windows[:, -1] - windows[:, 0] == SIZE - 1).all()


@pytest.mark.parametrize("kind", CLOCKS)
def test_an_index_of_any_times_is_a_clock(counts, kind):
    assert has_no_window_across_the_gap(
        SlidingWindow(SIZE).fit_transform(counts.set_axis(CLOCKS[kind]))
    )


@pytest.mark.parametrize("kind", CLOCKS)
def test_a_column_of_any_times_is_a_clock(counts, kind):
    table = counts.assign(time=pd.Series(CLOCKS[kind]))
    sliding = SlidingWindow(SIZE, time_column="time")
    assert has_no_window_across_the_gap(sliding.fit_transform(table))
    assert sliding.feature_names_in_.tolist() == ["v"]


def test_numbers_in_the_time_column_are_seconds(counts):
    seconds = (GAPPY - GAPPY[0]) / pd.Timedelta("1s")
    sliding = SlidingWindow(SIZE, time_column="time")
    assert has_no_window_across_the_gap(sliding.fit_transform(counts.assign(time=seconds)))
    assert sliding.sampling_interval_ == pd.Timedelta("1h")


def test_a_polars_frame_has_its_times_in_a_column(counts):
    table = pl.DataFrame({"time": GAPPY.to_numpy(), "v": counts["v"].to_numpy()})
    sliding = SlidingWindow(SIZE, time_column="time")
    assert has_no_window_across_the_gap(sliding.fit_transform(table))
    assert sliding.sampling_interval_ == pd.Timedelta("1h")


def test_numbers_in_the_index_are_no_times(counts):
    sliding = SlidingWindow(SIZE).fit(counts.set_axis(np.arange(N)[::-1] * 100))
    assert sliding.sampling_interval_ is None


# Several series


def of_two(values):
    """Whether the windows are those of two series of half the length."""
    return has_no_window_across_the_gap(np.asarray(values))


TWO = {
    "group_column": (lambda t: t.assign(s=["A"] * 40 + ["B"] * 40), {"group_column": "s"}),
    "polars": (
        lambda t: pl.DataFrame({"s": ["A"] * 40 + ["B"] * 40, "v": t["v"].to_numpy()}),
        {"group_column": "s"},
    ),
    "MultiIndex": (
        lambda t: t.set_axis(
            pd.MultiIndex.from_arrays([["A"] * 40 + ["B"] * 40, [*HOURS[:40]] * 2])
        ),
        {},
    ),
    "MultiIndex of numbers": (
        lambda t: t.set_axis(pd.MultiIndex.from_arrays([[1] * 40 + [2] * 40, [*range(40)] * 2])),
        {},
    ),
    "list of frames": (lambda t: [t[:40], t[40:]], {}),
    "list of Series": (lambda t: [t["v"][:40], t["v"][40:]], {}),
    "list of Series of several names": (
        lambda t: [t["v"][:40].rename("A"), t["v"][40:].rename("B")],
        {},
    ),
    "list of arrays": (lambda t: [t.to_numpy()[:40], t.to_numpy()[40:]], {}),
}


@pytest.mark.parametrize("kind", TWO)
def test_several_series_are_told_apart(counts, kind):
    make, parameters = TWO[kind]
    assert of_two(SlidingWindow(SIZE, **parameters).fit_transform(make(counts)))


@pytest.mark.parametrize("kind", TWO)
def test_every_time_point_of_several_series_has_a_score(counts, kind):
    make, parameters = TWO[kind]
    detector = WindowedDetector(
        IsolationForest(n_estimators=5, random_state=0), window_size=SIZE, **parameters
    )
    assert detector.fit(make(counts)).score_samples(make(counts)).shape == (N,)


def test_a_series_of_pandas_is_one_channel(counts):
    np.testing.assert_array_equal(
        SlidingWindow(SIZE).fit_transform(counts["v"]), SlidingWindow(SIZE).fit_transform(counts)
    )


def test_series_of_a_list_may_be_shorter_than_a_window(counts):
    detector = WindowedDetector(IsolationForest(n_estimators=5, random_state=0), window_size=SIZE)
    series = [counts[:40], counts[40:43]]
    with pytest.warns(UserWarning, match="3 of 43 time points are not trained on"):
        detector.fit(series)
    assert np.isfinite(detector.score_samples(series)).all()
    np.testing.assert_array_equal(detector.is_covered(series), np.arange(43) < 40)


# What is refused, and what to do


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (pd.Index([f"row {at}" for at in range(N)]), r"'row 0' in row 0.*reset_index\(drop=True\)"),
        (pd.Index([*GAPPY[:-1].astype(str), "soon"]), r"'soon' in row 79, .*pandas\.to_datetime"),
        (GAPPY_DAYS.strftime("%d/%m/%Y"), "'01/01/2024'|which may be|no time that can be read"),
        (pd.Index([datetime.time(at % 24) for at in range(N)]), "no time that can be read"),
        (pd.Index([str(at) for at in range(N)]), r"'0' in row 0.*reset_index\(drop=True\)"),
        (pd.interval_range(0, N), "holds interval.*which is no time"),
        (GAPPY[:-1].append(pd.DatetimeIndex([pd.NaT])), r"missing \(NaT\) in row 79"),
    ],
)
def test_what_is_no_time_is_refused_with_its_place(counts, index, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindow(SIZE).fit(counts.set_axis(index))


def test_dates_whose_day_may_be_the_month_are_refused(counts):
    days = pd.date_range("2024-01-02", periods=9).strftime("%m/%d/%Y")
    with pytest.raises(ValueError, match=r"'01/02/2024' in row 0, which may be 2024-01-02 .*02-01"):
        SlidingWindow(SIZE).fit(counts[:9].set_axis(days))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (GAPPY, "Column 'c' of X holds times. Pass time_column='c'"),
        (GAPPY.astype(str), "Column 'c' of X holds times. Pass time_column='c'"),
        (["A"] * N, "row 0 has 'A'. Pass group_column='c'"),
    ],
)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_column_that_is_no_channel_names_the_parameter(counts, column, message, library):
    table = counts.assign(c=column)
    if library == "polars":
        table = pl.DataFrame({name: table[name].to_numpy() for name in table})
    with pytest.raises(ValueError, match=message):
        SlidingWindow(SIZE).fit(table)


def test_unknown_columns_are_named(counts):
    with pytest.raises(ValueError, match=r"time_column='when' is not a column of X, .*'v'"):
        SlidingWindow(SIZE, time_column="when").fit(counts)


def test_rows_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match=r"row 0 has 3 values, row 1 has 2\. Pass several series"):
        SlidingWindow(SIZE).fit([[1, 2, 3], [1, 2]])
    with pytest.raises(ValueError, match=r"row 0 has 3 values, row 1 has 2\. Fill up .*NaN"):
        VAEAnomalyDetector().fit([[1, 2, 3], [1, 2]])


def test_series_of_other_columns_are_refused(counts):
    with pytest.raises(ValueError, match=r"same columns.*number 1 are \['u'\]"):
        SlidingWindow(SIZE).fit([counts, counts.rename(columns={"v": "u"})])


def test_windows_of_another_shape_than_the_networks_take_are_refused(counts):
    detector = VAEAnomalyDetector(architecture="lstm", input_shape=(8, 1))
    with pytest.raises(ValueError, match=r"\(8, 1\) .*window_size=4 and the 1 channels.*\(4, 1\)"):
        WindowedDetector(detector, window_size=SIZE).fit(counts)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_step_that_loses_the_times_is_noticed(counts):
    table = counts.set_axis(GAPPY)
    detector = WindowedDetector(IsolationForest(n_estimators=5), window_size=SIZE).fit(table)
    with pytest.raises(ValueError, match=r"in fit, but not in this call.*set_output"):
        detector.score_samples(SimpleImputer().fit_transform(table))


def test_a_pipeline_keeps_the_times_by_set_output(counts):
    detector = WindowedDetector(IsolationForest(n_estimators=5), window_size=SIZE)
    pipeline = make_pipeline(SimpleImputer(), detector).set_output(transform="pandas")
    pipeline.fit(counts.set_axis(GAPPY))
    assert pipeline[-1].windows_.sampling_interval_ == pd.Timedelta("1h")


# Irregular clocks


def local_hours(start, n_minutes, step):
    """Times of a wall clock in Berlin, without the zone."""
    aware = pd.date_range(start, periods=n_minutes // step, freq=f"{step}min", tz="Europe/Berlin")
    return aware.tz_localize(None)


@pytest.mark.parametrize("step", [5, 30, 60])
def test_an_hour_that_the_clocks_repeat_is_kept_in_order(step):
    times = local_hours("2024-10-27 00:00", 6 * 60, step)
    table = pd.DataFrame({"v": np.arange(float(len(times)))}, times)
    n_repeated = (np.diff(times) <= np.timedelta64(0)).sum()
    with pytest.warns(UserWarning, match=f"{n_repeated} of {len(times)} rows"):
        windows = SlidingWindow(SIZE).fit_transform(table)
    assert len(windows) == len(times) - SIZE + 1


def test_other_times_that_go_backwards_are_refused(counts):
    times = HOURS[:40].append(HOURS[30:70])
    with pytest.raises(ValueError, match=r"backwards from row 39 to row 40.*sort.*max_gap=None"):
        SlidingWindow(SIZE).fit(counts.set_axis(times))


def test_without_max_gap_the_times_are_ignored(counts):
    times = HOURS[::-1]
    windows = SlidingWindow(SIZE, max_gap=None).fit_transform(counts.set_axis(times))
    assert len(windows) == N - SIZE + 1


def test_weekends_are_no_gaps_and_are_told(counts):
    table = counts[:40].set_axis(pd.bdate_range("2024-01-01", periods=40))
    with pytest.warns(UserWarning, match="Steps of up to 3 days .* are therefore no gaps.*max_gap"):
        assert len(SlidingWindow(6).fit_transform(table)) == 35


def test_missing_rows_are_bridged_in_scoring_but_not_in_training(counts):
    table = counts.set_axis(HOURS).drop(HOURS[[30, 31]])
    detector = WindowedDetector(IsolationForest(n_estimators=5, random_state=0), window_size=SIZE)
    detector.fit(table)
    n_windows = int(N - 2 - 2 * (SIZE - 1))
    assert detector.detector_.estimators_samples_[0].max() < n_windows
    assert detector.is_covered(table.iloc[28:33]).all()
    assert len(detector.windows_.transform(table)) == N - 2 - (SIZE - 1)


def test_an_irregular_clock_is_warned_of_in_fit(counts):
    gaps = np.tile([1, 1, 50], N)[:N].cumsum()  # bursts of three
    table = counts.set_axis(pd.Timestamp("2024-01-01") + pd.to_timedelta(gaps, unit="h"))
    with pytest.warns(UserWarning, match=r"would cover 0 of 80 time points only.*max_gap"):
        sliding = SlidingWindow(SIZE).fit(table)
    assert sliding.max_gap_ == pd.Timedelta("50h")


def test_too_large_a_window_names_the_gap(counts):
    with pytest.raises(ValueError, match=r"longest series without a gap has 40.*larger max_gap"):
        SlidingWindow(48, max_gap="2h").fit(counts.set_axis(GAPPY))


def test_training_points_without_a_window_are_counted(counts):
    detector = WindowedDetector(IsolationForest(n_estimators=5), window_size=SIZE)
    table = counts.set_axis(GAPPY)
    with pytest.warns(UserWarning, match=r"3 of 43 time points are not trained on.*max_gap"):
        detector.fit(table.iloc[37:])


def test_another_sampling_interval_is_noticed(counts):
    sliding = SlidingWindow(SIZE).fit(counts.set_axis(HOURS))
    minutes = pd.date_range("2024-01-01", periods=N, freq="5min")
    with pytest.warns(UserWarning, match=r"00:05:00 apart .* of fit were 0 days 01:00:00"):
        sliding.transform(counts.set_axis(minutes))


def test_a_series_shorter_than_a_window_can_be_trained_on(counts):
    detector = WindowedDetector(IsolationForest(n_estimators=5, random_state=0), window_size=32)
    short = [counts[:20], counts[20:45]]
    with pytest.warns(UserWarning, match="No window of window_size=32 .* trained on 2 windows"):
        detector.fit(short)
    assert np.isfinite(detector.score_samples(short)).all()


def test_a_detector_with_a_clock_can_be_stored(counts, make_detector, tmp_path):
    table = counts.set_axis(HOURS)
    detector = WindowedDetector(make_detector(max_iter=1), window_size=SIZE).fit(table)
    save(detector, tmp_path / "model.skops")
    again = load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.score_samples(table), detector.score_samples(table))
    assert again.windows_.max_gap_ == pd.Timedelta("3h 30min")
