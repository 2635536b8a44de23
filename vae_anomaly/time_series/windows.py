"""SlidingWindow: from a table of time points to one row per window, and back."""

from __future__ import annotations

import warnings
from bisect import bisect_left
from datetime import timedelta
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, assert_all_finite, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_anomaly.not_numbers import refuse_masks_and_dates
from vae_anomaly.sklearn_private import (
    Interval,
    StrOptions,
    _check_feature_names_in,
    _fit_context,
)
from vae_anomaly.time_series.clock import (
    Points,
    duration,
    read_points,
    refuse_what_is_no_channel,
    steps_between,
)

AGGREGATIONS = ("max", "mean")
"""The ways of combining the scores of the windows that cover a time point."""

_HALF_LIFE = 0.5
"""The time, in windows, after which a window counts half for later time points."""

_LONGEST_STEP = 1.5
"""The longest step between rows, in sampling intervals, with no row missing between them."""

_SHARE_COVERED = 0.9
"""The share of the time points that windows must cover; otherwise longer steps are no gaps."""

_OTHER_INTERVAL = 1.5
"""The factor between sampling intervals from which on they are regarded as different."""

_HALF_LIFE = 0.5
"""The time, in windows, after which a window counts half for later time points."""

_LONGEST_STEP = 1.5
"""The longest step between time points, in sampling intervals, that does not count as a gap."""

_SHARE_COVERED = 0.9
"""The share of the time points that windows must cover; otherwise longer steps are no gaps."""


class SlidingWindow(  # without set_output, as a dataframe's index would not fit the windows
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]
):
    """Cut a table of time points into overlapping windows, one row per window.

    A row holds `window_size` consecutive time points, the oldest first, with all channels of a
    time point next to each other. Reshaped to (n_windows, window_size, n_channels), the rows are
    the input of recurrent and convolutional networks. `point_scores` maps the scores of windows
    back to time points; `WindowedDetector` does both for an outlier detector.

    No window extends over more than one series or across a gap in time:

    - Several series in one table, interleaved or not, are told apart by `group_column`, or by all
      but the last level of a `MultiIndex`. A list of dataframes, Series or arrays of shape
      (n_timepoints, n_channels) has a series in each.
    - There is a gap between rows that are more than `max_gap` apart, by the index or `time_column`.
      Without a clock, the rows are assumed to be evenly spaced, in the order given. The index is a
      clock if it holds dates, periods, durations, or text in which they can be read. Numbers are
      labels of rows; anything else is refused.

    Missing values stay missing in the windows. For a detector that refuses them, fill them, or drop
    their rows, which leaves a gap.

    Parameters
    ----------
    window_size : int, default=32
        The number of time points in a window.

    stride : int, default=1
        The number of time points from the start of one window to the start of the next, at most
        `window_size`. If time points are left over at the end, one more window covers them.

    group_column : str or int, default=None
        The column that tells which series a row belongs to. X must then be a dataframe. All other
        columns but `time_column` are channels.

    time_column : str or int, default=None
        The column that tells the times, in place of the index. X must then be a dataframe. Numbers
        are taken as seconds.

    max_gap : "auto", str, timedelta or None, default="auto"
        The longest time between consecutive rows of a window, such as "2h". None means that there
        are no gaps: the times are not looked at. "auto" means the time that a window usually spans,
        ``(window_size - 0.5) * sampling_interval_``, as a few missing rows hardly matter. But
        `WindowedDetector` is trained on windows without missing rows: with rows that are at most
        1.5 times `sampling_interval_` apart or, if there is then room for windows around less than
        90 % of the time points, the shortest time with which there is, with a warning.

    duplicate_times : {"keep", "error"}, default="keep"
        What to do if times repeat, as those of events do. By default, such rows are taken in the
        order given, with a warning that counts them. So is an hour of local time that is repeated
        when clocks go back, if the times have no time zone.

    Attributes
    ----------
    sampling_interval_ : pandas.Timedelta or None
        The median time between consecutive rows in `fit`; None without a clock.

    max_gap_ : pandas.Timedelta or None
        The longest time between consecutive rows of a window, except in the training of a
        `WindowedDetector`; None without a clock.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    WindowedDetector : Scores time points by an outlier detector on windows.

    Notes
    -----
    In a Pipeline, a step in front that returns an array loses the index, and with it the clock. Let
    it return a dataframe, by ``set_output(transform="pandas")``.

    There are fewer windows than time points, unless `window_size` is 1. The scores of a
    `sklearn.pipeline.Pipeline` with this transformer are therefore those of windows.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_anomaly import SlidingWindow
    >>> index = pd.DatetimeIndex([f"2024-01-01 {hour}:00" for hour in (1, 2, 3, 9, 10)])
    >>> table = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0, 5.0]}, index=index)
    >>> sliding = SlidingWindow(window_size=2).fit(table)
    >>> sliding.transform(table)
    array([[1., 2.],
           [2., 3.],
           [4., 5.]])
    >>> sliding.point_scores([-1.0, -5.0, -2.0], table)
    array([-1., -1., -5., -2., -2.])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "window_size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "group_column": [None, str, Integral],
        "time_column": [None, str, Integral],
        "max_gap": [None, str, timedelta, np.timedelta64],
        "duplicate_times": [StrOptions({"keep", "error"})],
    }

    def __init__(
        self,
        window_size: int = 32,
        *,
        stride: int = 1,
        group_column: str | int | None = None,
        time_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 | None = "auto",
        duplicate_times: str = "keep",
    ) -> None:
        self.window_size = window_size
        self.stride = stride
        self.group_column = group_column
        self.time_column = time_column
        self.max_gap = max_gap
        self.duplicate_times = duplicate_times

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the channels and the sampling interval.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : ignored
            Present for API consistency.

        Returns
        -------
        self : SlidingWindow
            The fitted transformer.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, times are missing, cannot be read or go backwards, or
            no window fits into any series.
        """
        _, stretches = self._locate(X, reset=True)
        self._whole_windows(stretches)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Cut the windows of X.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        windows : ndarray of shape (n_windows, window_size * n_channels)
            The windows, ordered by series, as these first appear in X, and then by time.

        Raises
        ------
        ValueError
            As in `fit`.
        """
        channels, stretches = self._locate(X)
        return self._whole_windows(stretches).cut(channels)

    def point_scores(
        self, window_scores: ArrayLike, X: ArrayLike, *, aggregation: str = "max"
    ) -> np.ndarray:
        """Map scores of windows to the time points that they cover.

        Parameters
        ----------
        window_scores : array-like of shape (n_windows,)
            One score for each row of ``transform(X)``.
        X : array-like of shape (n_timepoints, n_channels)
            The time points that the windows were cut from.
        aggregation : {"max", "mean"}, default="max"
            Whether a time point gets the largest or the mean score of the windows that cover it.
            As `score_samples` is high for normal windows, "max" makes a time point abnormal only if
            all windows that cover it are.

        Returns
        -------
        scores : ndarray of shape (n_timepoints,)
            The scores in the order of X. They are NaN, with a warning, for time points that no
            window covers: those of a series, or of a stretch between two gaps, that is shorter than
            `window_size`.

        Raises
        ------
        ValueError
            If the number of scores is not the number of windows, or X or `aggregation` is not
            valid.
        """
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation must be one of {AGGREGATIONS}, got {aggregation!r}.")
        stretches = self._locate(X)[1]
        windows = self._whole_windows(stretches)
        scores = check_array(
            window_scores, ensure_2d=False, dtype=np.float64, input_name="window_scores"
        )
        if scores.shape != windows.ends.shape:
            raise ValueError(
                f"window_scores has shape {scores.shape}, but X has {len(windows.ends)} "
                "windows; pass one score for each row of transform(X)."
            )
        points = stretches.in_order_given(windows.to_points(scores, aggregation))
        n_missing = int(np.isnan(points).sum())
        if n_missing:
            warnings.warn(
                f"{n_missing} of {len(points)} time points get no score (NaN): their series, or "
                f"the stretch between two gaps, is shorter than window_size={self.window_size}. "
                "A larger max_gap makes fewer gaps; WindowedDetector scores all time points.",
                stacklevel=2,
            )
        return points

    @property
    def sampling_interval_(self) -> pd.Timedelta | None:
        """The median time between consecutive rows in `fit`; None without a clock."""
        check_is_fitted(self)
        return None if self._clock is None else duration(self._clock["interval"])

    @property
    def max_gap_(self) -> pd.Timedelta | None:
        """The longest time between consecutive rows of a window; None without a clock."""
        check_is_fitted(self)
        return None if self._clock is None else duration(self._clock["gap"])

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The names of the channels. By default they are those seen during `fit`.

        Returns
        -------
        names : ndarray of shape (window_size * n_channels,)
            The names, such as "load_lag2" for the channel "load" two time points before the last
            one of the window.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        lags = reversed(range(self.window_size))
        return np.array([f"{name}_lag{lag}" for lag in lags for name in names], dtype=object)

    def _locate(
        self,
        X: Any,
        *,
        reset: bool = False,
        allow_nan: bool = True,
        in_training: bool = False,
        runs: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Stretches]:
        """Return the channels, sorted by series and time, and the stretches without a gap in them.

        What is a gap may differ in the training of a detector. `runs` tells the unbroken run of
        each row, if rows between them have been held out.
        """
        if not reset:
            check_is_fitted(self)
        elif self.stride > self.window_size:
            raise ValueError(
                f"stride={self.stride} is larger than window_size={self.window_size}: time points "
                "between two windows would be left out."
            )
        points = self._read(X)
        channels = self._channels(points.channels, reset, allow_nan)
        order = np.argsort(points.series, kind="stable")
        is_break = np.diff(points.series[order]) != 0
        if runs is not None:
            is_break |= np.diff(runs[order]) != 0
        is_gap = self._gaps(points, order, is_break, reset, in_training)
        return channels[order], Stretches.between(order, is_break | is_gap)

    def _read(self, X: Any) -> Points:
        return read_points(
            X, self.group_column, self.time_column, with_clock=self.max_gap is not None
        )

    def _gaps(
        self,
        points: Points,
        order: np.ndarray,
        is_break: np.ndarray,
        reset: bool,
        in_training: bool,
    ) -> np.ndarray:
        """Return whether there is a gap after each but the last of the sorted rows."""
        if reset:
            self._clock: dict[str, float] | None = None
        elif (points.seconds is None) != (self._clock is None):
            has, lacks = ("fit", "this call") if points.seconds is None else ("this call", "fit")
            raise ValueError(
                f"X has times (an index of dates, for example) in {has}, but not in {lacks}; pass "
                "them in both or in neither. In a Pipeline, a step that returns an array loses "
                'them: call set_output(transform="pandas").'
            )
        if points.seconds is None:
            return np.zeros_like(is_break)
        steps = steps_between(points, order, is_break, self.duplicate_times)
        within = steps[~is_break]
        interval = float(np.median(within)) if len(within) else 0.0
        if reset:
            scored, trained = self._longest_steps(interval, order, steps, is_break)
            self._clock = {"interval": interval, "gap": scored, "gap_in_training": trained}
        elif len(within) >= self.window_size:
            self._compare(interval)
        assert self._clock is not None
        return steps > self._clock["gap_in_training" if in_training else "gap"]

    def _longest_steps(
        self, interval: float, order: np.ndarray, steps: np.ndarray, is_break: np.ndarray
    ) -> tuple[float, float]:
        """Return the longest steps that are no gaps, in seconds, in scoring and in training."""
        if self.max_gap is not None and self.max_gap != "auto":
            try:
                longest = pd.Timedelta(self.max_gap).total_seconds()
            except ValueError:
                raise ValueError(
                    f"max_gap={self.max_gap!r} is neither 'auto' nor None nor a duration such as "
                    "'2h'."
                ) from None
            return longest, longest

        def n_covered(longest: float) -> int:
            stretches = Stretches.between(order, is_break | (steps > longest))
            return len(order) - stretches.n_without(self.window_size)

        trained = usual = interval * _LONGEST_STEP
        enough = _SHARE_COVERED * n_covered(np.inf)
        if n_covered(usual) < enough:
            longer = np.unique(steps[~is_break & (steps > usual)])
            trained = float(longer[bisect_left(longer, enough, key=n_covered)])
            warnings.warn(
                f"The clock is irregular: if steps of more than {duration(usual)} were gaps, "
                f"windows of {self.window_size} time points would cover {n_covered(usual)} of "
                f"{len(order)} time points only. Steps of up to {duration(trained)} are therefore "
                "no gaps. Set max_gap to decide yourself, or to None to ignore the times.",
                stacklevel=5,
            )
        spanned = interval * (self.window_size - 1 + _LONGEST_STEP - 1)
        return max(spanned, trained), trained

    def _compare(self, interval: float) -> None:
        """Warn if the sampling interval, in seconds, is another one than in `fit`."""
        assert self._clock is not None
        known = self._clock["interval"]
        if known > interval * _OTHER_INTERVAL or interval > known * _OTHER_INTERVAL:
            warnings.warn(
                f"The time points of X are {duration(interval)} apart (median), and those of fit "
                f"were {duration(known)}: a window spans another time than those that were "
                "learned. Resample X, or fit again.",
                stacklevel=5,
            )

    def _whole_windows(self, stretches: Stretches) -> Windows:
        """Return the windows that fit into stretches, at least one."""
        windows = stretches.windows(self.window_size, self.stride)
        if not len(windows.ends):
            raise ValueError(
                f"No window of window_size={self.window_size} time points fits into X: its "
                f"longest series without a gap has {stretches.lengths.max()}. Choose a smaller "
                f"window_size{self._or_a_larger_gap()}."
            )
        return windows

    def _or_a_larger_gap(self) -> str:
        """Return what else helps if stretches are too short for a window."""
        if self._clock is None:
            return ""
        longest = duration(self._clock["gap_in_training"])
        return f", or a larger max_gap, now {longest} (None ignores gaps)"

    def _channels(self, X: Any, reset: bool, allow_nan: bool) -> np.ndarray:
        """Return the channels as a float array, or raise ValueError if they are not valid."""
        refuse_what_is_no_channel(X)
        refuse_masks_and_dates(X)
        channels = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
        )
        try:
            assert_all_finite(channels, allow_nan=allow_nan)
        except ValueError as error:
            is_bad = np.isinf(channels) if allow_nan else ~np.isfinite(channels)
            row, column = np.argwhere(is_bad)[0]
            name = getattr(self, "feature_names_in_", range(self.n_features_in_))[column]
            where = "in all rows" if is_bad[:, column].all() else f"first in row {row}"
            raise ValueError(
                f"{error} See column {name!r}, {where}. Fill missing values, or drop their rows: "
                "with an index of times they count as a gap."
            ) from None
        return channels

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class Stretches(NamedTuple):
    """The stretches without a gap of a table whose rows are sorted by series and time."""

    order: np.ndarray
    """The index in the original table of each sorted row, (n_timepoints,)."""

    firsts: np.ndarray
    """The indices of the sorted rows at which stretches start, (n_stretches,)."""

    lengths: np.ndarray
    """The number of time points of each stretch, (n_stretches,)."""

    @classmethod
    def between(cls, order: np.ndarray, is_break: np.ndarray) -> Stretches:
        """Return the stretches between breaks, which follow each but the last sorted row."""
        firsts = np.concatenate([[0], np.flatnonzero(is_break) + 1])
        return cls(order, firsts, np.diff(firsts, append=len(order)))

    def take(self, which: Any) -> Stretches:
        """Return some of the stretches of the table."""
        return self._replace(firsts=self.firsts[which], lengths=self.lengths[which])

    def in_order_given(self, values: np.ndarray) -> np.ndarray:
        """Return values of sorted rows in the order of the original table."""
        unsorted = np.empty_like(values)
        unsorted[self.order] = values
        return unsorted

    def n_without(self, size: int) -> int:
        """Return the number of time points in stretches that have no room for a window."""
        return int(self.lengths[self.lengths < size].sum())

    def windows(self, size: int, stride: int) -> Windows:
        """Return the windows in all stretches that have room for one."""
        starts = [
            np.append(np.arange(first, last, stride), last)
            for first, last in zip(self.firsts, self.firsts + self.lengths - size, strict=True)
            if last >= first
        ]
        ends = np.concatenate([np.empty(0, int), *starts]) + size - 1
        return Windows(self.order, ends, np.full(len(ends), size), size)

    def short(self, size: int) -> Windows:
        """Return a window for each stretch that has no room for one: it starts too early."""
        short = np.flatnonzero(self.lengths < size)
        ends = self.firsts[short] + self.lengths[short] - 1
        return Windows(self.order, ends, self.lengths[short], size)

    def mean_of_past(self, scores: np.ndarray, size: int) -> np.ndarray:
        """Return the mean of the scores of windows up to each sorted row, NaN where there is none.

        The weights decrease exponentially with the distance, and do not reach across gaps.

        Parameters
        ----------
        scores : ndarray of shape (n_windows,)
            The scores of all windows, with stride 1, in the order of `windows`.
        size : int
            The size of the windows.
        """
        from scipy.signal import lfilter  # takes long to import

        means = np.full(len(self.order), np.nan)
        stop = 0
        for first, length in zip(self.firsts, self.lengths, strict=True):
            start, stop = stop, stop + max(length - size + 1, 0)
            total = lfilter([1.0], [1.0, -_decay(size)], scores[start:stop])
            weight = newest_weight(np.arange(1, stop - start + 1), size)
            means[first + length - (stop - start) : first + length] = total * weight
        return means


def newest_weight(n_values: np.ndarray, size: int) -> np.ndarray:
    """Return the weight of the newest of so many values in `Stretches.mean_of_past`."""
    return (1 - _decay(size)) / (1 - _decay(size) ** n_values)


def _decay(size: int) -> float:
    return 0.5 ** (1 / (_HALF_LIFE * size))


class Windows(NamedTuple):
    """The positions of windows in a table whose rows are sorted by series and time."""

    order: np.ndarray
    """The index in the original table of each sorted row, (n_timepoints,)."""

    ends: np.ndarray
    """The indices of the sorted rows at which the windows end, (n_windows,)."""

    lengths: np.ndarray
    """The number of sorted rows in each window, (n_windows,): less than `size` if a window starts
    earlier than its stretch."""

    size: int

    def take(self, which: Any) -> Windows:
        """Return some of the windows."""
        return self._replace(ends=self.ends[which], lengths=self.lengths[which])

    def some(self, n_windows: int) -> Windows:
        """Return at most so many of the windows, spread evenly."""
        if len(self.ends) <= n_windows:
            return self
        return self.take(np.linspace(0, len(self.ends) - 1, n_windows).astype(int))

    def and_these(self, others: Windows) -> Windows:
        """Return the windows, followed by others of the same table."""
        return self._replace(
            ends=np.concatenate([self.ends, others.ends]),
            lengths=np.concatenate([self.lengths, others.lengths]),
        )

    def cut(self, channels: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
        """Return the windows, (n_windows, size * n_channels), of sorted rows.

        What lies before the start of a stretch is taken to be `before`, (n_channels,).
        """
        n_channels = channels.shape[1]
        width = self.size * n_channels
        cells = np.ascontiguousarray(channels).ravel()  # a window is a part of these
        if len(cells) < width:
            cells = np.pad(cells, (0, width - len(cells)))
        firsts = np.clip((self.ends - self.size + 1) * n_channels, 0, len(cells) - width)
        windows = sliding_window_view(cells, width)[firsts]
        for at in np.flatnonzero(self.lengths < self.size):
            stop, length = self.ends[at] + 1, self.lengths[at]
            window = windows[at].reshape(self.size, n_channels)
            window[: self.size - length] = before
            window[self.size - length :] = channels[stop - length : stop]
        return windows

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over each window of values (n_timepoints,) of sorted rows."""
        rows = self.ends[:, None] - np.arange(self.size)[::-1]
        is_inside = np.arange(self.size)[::-1] < self.lengths[:, None]
        return np.mean(values[rows], axis=1, where=is_inside)

    def covered(self) -> np.ndarray:
        """Return a mask of the sorted rows that the windows cover, (n_timepoints,)."""
        steps = np.zeros(len(self.order) + 1, int)
        np.add.at(steps, self.ends - self.lengths + 1, 1)
        np.add.at(steps, self.ends + 1, -1)
        return np.cumsum(steps)[:-1] > 0

    def to_points(self, scores: np.ndarray, aggregation: str) -> np.ndarray:
        """Return the score of each sorted row, (n_timepoints,), NaN where it is not covered."""
        is_mean = aggregation == "mean"
        combine = np.add if is_mean else np.maximum
        combined = np.full(len(self.order), 0.0 if is_mean else -np.inf)
        n_windows = np.zeros(len(self.order), dtype=int)
        for back in range(self.size):
            holds = self.lengths > back
            places = self.ends[holds] - back
            combined[places] = combine(combined[places], scores[holds])
            n_windows[places] += 1
        covered = n_windows > 0
        if is_mean:
            combined[covered] /= n_windows[covered]
        combined[~covered] = np.nan
        return combined
