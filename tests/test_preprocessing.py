"""SlidingWindow: which rows share a window, and how scores come back to the rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_anomaly import SlidingWindow


# scikit-learn's checks ask a transformer for as many rows as it is given.
@parametrize_with_checks([SlidingWindow(window_size=1)])
def test_windows_of_one_time_point_pass_the_check(estimator, check):
    check(estimator)


@pytest.fixture
def hourly():
    """Make a table of one channel that counts up, at given hours, in a given time zone."""

    def make(hours, tz=None):
        index = pd.Timestamp("2024-03-30", tz=tz) + pd.to_timedelta(hours, unit="h")
        return pd.DataFrame({"load": np.arange(len(hours), dtype=float)}, index=index)

    return make


def test_a_window_holds_its_time_points_in_order_channels_side_by_side():
    X = np.arange(12.0).reshape(4, 3)
    windows = SlidingWindow(window_size=2).fit_transform(X)
    np.testing.assert_array_equal(windows.reshape(3, 2, 3), [X[0:2], X[1:3], X[2:4]])


def test_columns_are_named_by_channel_and_lag():
    table = pd.DataFrame({"load": [1.0, 2.0], "wind": [3.0, 4.0]})
    names = SlidingWindow(window_size=2).fit(table).get_feature_names_out()
    assert names.tolist() == ["load_lag1", "wind_lag1", "load_lag0", "wind_lag0"]


def test_float32_stays_float32():
    X = np.zeros((5, 1), np.float32)
    assert SlidingWindow(window_size=2).fit_transform(X).dtype == np.float32


def test_the_last_window_covers_what_the_stride_leaves_over():
    X = np.arange(8.0)[:, None]
    windows = SlidingWindow(window_size=3, stride=2).fit_transform(X)
    np.testing.assert_array_equal(windows[:, 0], [0, 2, 4, 5])


def test_no_window_crosses_a_gap(hourly):
    windows = SlidingWindow(window_size=2).fit_transform(hourly([0, 1, 2, 4, 5]))
    np.testing.assert_array_equal(windows, [[0, 1], [1, 2], [3, 4]])


def test_max_gap_says_what_a_gap_is(hourly):
    table = hourly([0, 1, 2, 4, 5, 9])
    windows = SlidingWindow(window_size=2, max_gap="2h").fit_transform(table)
    np.testing.assert_array_equal(windows, [[0, 1], [1, 2], [2, 3], [3, 4]])


def test_jitter_is_no_gap(hourly):
    assert len(SlidingWindow(window_size=5).fit_transform(hourly([0, 1.1, 1.9, 3.2, 4]))) == 1


def test_jitter_is_no_gap_in_whole_seconds():
    seconds = pd.date_range("2024-01-01", periods=5, freq="s").as_unit("s")
    sliding = SlidingWindow(window_size=5).fit(pd.DataFrame({"a": np.arange(5.0)}, seconds))
    jittered = pd.DatetimeIndex(seconds + pd.to_timedelta([0, 200, 0, 200, 0], unit="ms"))
    assert len(sliding.transform(pd.DataFrame({"a": np.arange(5.0)}, jittered))) == 1


def test_the_gap_is_that_of_fit(hourly):
    sliding = SlidingWindow(window_size=2).fit(hourly([0, 1, 2]))
    assert sliding.sampling_interval_ == pd.Timedelta("1h")
    assert len(sliding.transform(hourly([0, 1, 3, 4, 6]))) == 2


def test_a_change_of_the_clocks_is_no_gap(hourly):
    table = hourly(range(48), tz="UTC").tz_convert("Europe/Berlin")
    assert len(SlidingWindow(window_size=48).fit_transform(table)) == 1


def test_without_a_datetime_index_the_order_of_the_rows_is_time():
    table = pd.DataFrame({"load": [0.0, 1.0, 2.0]}, index=[5, 1, 9])
    sliding = SlidingWindow(window_size=3).fit(table)
    np.testing.assert_array_equal(sliding.transform(table), [[0, 1, 2]])
    assert sliding.sampling_interval_ is None


@pytest.fixture
def interleaved():
    """Two series that take turns, one sensor starting later."""
    rows = [(0, "a", 0), (1, "a", 1), (1, "b", 10), (2, "a", 2), (2, "b", 11), (3, "b", 12)]
    hours, sensor, load = zip(*rows, strict=True)
    index = pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h")
    return pd.DataFrame({"sensor": sensor, "load": np.array(load, float)}, index=index)


def test_no_window_crosses_from_one_series_to_another(interleaved):
    sliding = SlidingWindow(window_size=2, group_column="sensor").fit(interleaved)
    expected = [[0, 1], [1, 2], [10, 11], [11, 12]]
    np.testing.assert_array_equal(sliding.transform(interleaved), expected)
    assert sliding.n_features_in_ == 1
    assert sliding.feature_names_in_.tolist() == ["load"]


def test_point_scores_come_in_the_order_of_the_input(interleaved):
    sliding = SlidingWindow(window_size=2, group_column="sensor").fit(interleaved)
    scores = sliding.point_scores([1.0, 2.0, 10.0, 20.0], interleaved, aggregation="mean")
    np.testing.assert_array_equal(scores, [1.0, 1.5, 10.0, 2.0, 15.0, 20.0])


def test_the_maximum_blames_only_points_in_none_but_abnormal_windows():
    X = np.zeros((9, 1))
    X[4] = 1.0
    sliding = SlidingWindow(window_size=3).fit(X)
    window_scores = -sliding.transform(X).max(axis=1)
    np.testing.assert_array_equal(sliding.point_scores(window_scores, X), -X[:, 0])


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_every_time_point_of_a_long_series_is_covered(stride):
    X = np.arange(23.0)[:, None]
    sliding = SlidingWindow(window_size=4, stride=stride).fit(X)
    scores = sliding.point_scores(sliding.transform(X).mean(axis=1), X)
    assert np.isfinite(scores).all()
    assert (np.abs(scores - X[:, 0]) <= 2).all()


def test_points_without_a_window_get_nan_and_a_warning(hourly):
    table = hourly([0, 1, 5, 9, 10])
    sliding = SlidingWindow(window_size=2, max_gap="1h").fit(table)
    with pytest.warns(UserWarning, match="1 of 5 time points get no score"):
        scores = sliding.point_scores([1.0, 2.0], table)
    np.testing.assert_array_equal(scores, [1, 1, np.nan, 2, 2])


def test_scores_of_other_windows_are_refused(hourly):
    table = hourly(range(5))
    sliding = SlidingWindow(window_size=2).fit(table)
    with pytest.raises(ValueError, match=r"shape \(5,\), but X has 4 windows"):
        sliding.point_scores(np.zeros(5), table)


def test_an_unknown_aggregation_is_refused(hourly):
    sliding = SlidingWindow(window_size=2).fit(hourly(range(5)))
    with pytest.raises(ValueError, match="aggregation must be one of"):
        sliding.point_scores(np.zeros(4), hourly(range(5)), aggregation="median")


def test_a_series_shorter_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"window_size=32 .* longest series without a gap has 31"):
        SlidingWindow().fit(np.zeros((31, 2)))


def test_a_stride_that_skips_time_points_is_refused():
    with pytest.raises(ValueError, match="stride=3 is larger than window_size=2"):
        SlidingWindow(window_size=2, stride=3).fit(np.zeros((9, 1)))


def test_time_that_goes_backwards_is_refused(hourly):
    with pytest.raises(ValueError, match=r"backwards from row 1 to row 2 .* sort X by time"):
        SlidingWindow(window_size=2).fit(hourly([0, 2, 1, 3]))


def test_equal_times_are_kept_with_a_warning(hourly):
    sliding = SlidingWindow(window_size=2)
    with pytest.warns(UserWarning, match=r"1 of 4 rows .* first of them row 2.*group_column"):
        windows = sliding.fit_transform(hourly([0, 1, 1, 2]))
    np.testing.assert_array_equal(windows, [[0, 1], [1, 2], [2, 3]])


def test_equal_times_are_refused_if_wished(hourly):
    sliding = SlidingWindow(window_size=2, duplicate_times="error")
    with pytest.raises(ValueError, match=r"from row 1 to row 2 .*duplicate_times='keep'"):
        sliding.fit(hourly([0, 1, 1, 2]))


def test_equal_times_of_two_series_are_fine_unless_nobody_tells_them_apart(interleaved):
    tell_apart = {"group_column": "sensor", "duplicate_times": "error"}
    SlidingWindow(window_size=2, **tell_apart).fit(interleaved)
    with pytest.raises(ValueError, match="Times repeat"):
        SlidingWindow(window_size=2, duplicate_times="error").fit(interleaved[["load"]])


def test_a_missing_time_is_refused(hourly):
    table = hourly([0, 1, 2])
    table.index = table.index[:2].append(pd.DatetimeIndex([pd.NaT]))
    with pytest.raises(ValueError, match=r"NaT\) in row 2"):
        SlidingWindow(window_size=2).fit(table)


def test_an_index_in_fit_only_is_refused(hourly):
    table = hourly([0, 1, 2])
    sliding = SlidingWindow(window_size=2).fit(table)
    with pytest.raises(ValueError, match=r"times .* in fit, but not in this call.*set_output"):
        sliding.transform(table.reset_index(drop=True))


def test_a_missing_value_stays_missing(hourly):
    table = hourly(range(4))
    table.iloc[2, 0] = np.nan
    windows = SlidingWindow(window_size=2).fit_transform(table)
    np.testing.assert_array_equal(windows, [[0, 1], [1, np.nan], [np.nan, 3]])


def test_an_infinite_value_is_named(hourly):
    table = hourly(range(4)).astype(float)
    table.iloc[2, 0] = np.inf
    with pytest.raises(ValueError, match=r"infinity.*'load', first in row 2"):
        SlidingWindow(window_size=2).fit(table)


def test_rows_dropped_for_missing_values_are_a_gap(hourly):
    table = hourly(range(6))
    table.iloc[2, 0] = np.nan
    windows = SlidingWindow(window_size=2).fit_transform(table.dropna())
    np.testing.assert_array_equal(windows, [[0, 1], [3, 4], [4, 5]])


def test_an_unknown_group_column_is_named(interleaved):
    with pytest.raises(ValueError, match=r"'site' is not a column of X.*'sensor', 'load'"):
        SlidingWindow(window_size=2, group_column="site").fit(interleaved)


def test_a_group_column_of_an_array_is_refused():
    with pytest.raises(ValueError, match="needs a pandas DataFrame or a polars one"):
        SlidingWindow(window_size=2, group_column=0).fit(np.zeros((5, 2)))


def test_a_missing_group_is_refused(interleaved):
    interleaved.iloc[3, 0] = None
    with pytest.raises(ValueError, match="'sensor', the group_column, is missing in row 3"):
        SlidingWindow(window_size=2, group_column="sensor").fit(interleaved)


def test_an_unreadable_max_gap_is_refused(hourly):
    with pytest.raises(ValueError, match="max_gap='soon'"):
        SlidingWindow(window_size=2, max_gap="soon").fit(hourly(range(4)))


def test_clones_keep_the_parameters():
    sliding = SlidingWindow(5, stride=2, group_column="a", max_gap=pd.Timedelta("1D"))
    assert clone(sliding).get_params() == sliding.get_params()
