"""SlidingWindow: from a table of time points to one row per window, and back."""

from __future__ import annotations

import warnings
from bisect import bisect_left
from datetime import timedelta
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, assert_all_finite, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.not_numbers import refuse_masks_and_dates
from vae_anomaly.sklearn_private import (
    Interval,
    StrOptions,
    _check_feature_names_in,
    _fit_context,
)
from vae_anomaly.time_series.aggregation import AGGREGATIONS, to_points
from vae_anomaly.time_series.clock import (
    Points,
    duration,
    read_points,
    refuse_what_is_no_channel,
    steps_between,
)
from vae_anomaly.time_series.positions import Stretches, Windows

_LONGEST_STEP = 1.5
"""The longest step between rows, in sampling intervals, with no row missing between them."""

_SHARE_COVERED = 0.9
"""The share of the time points that windows must cover; otherwise longer steps are no gaps."""

_OTHER_INTERVAL = 1.5
"""The factor between sampling intervals from which on they are regarded as different."""


class SlidingWindow(  # without set_output, as a dataframe's index would not fit the windows
    DocLinkMixin,
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
      but the last level of a `MultiIndex`. In a list of dataframes, Series or arrays of shape
      (n_timepoints, n_channels), each is a series.
    - There is a gap between rows that are more than `max_gap` apart, according to the index or
      `time_column`. Without a clock, the rows are assumed to be evenly spaced, in the order given.
      The index is a clock if it holds dates, periods, durations, or text that can be read as such.
      Numbers are labels of rows; anything else is refused.

    Missing values stay missing in the windows. For a detector that refuses them, fill them, or drop
    their rows, which leaves a gap.

    Parameters
    ----------
    window_size : int, default=32
        The number of time points in a window.

    stride : int, default=1
        The number of time points from the start of one window to the start of the next, at most
        `window_size`. If time points are left over at the end, one more window covers them.

    group_column : str, int or None, default=None
        The column that says which series a row belongs to. X must then be a dataframe. All other
        columns but `time_column` are channels.

    time_column : str, int or None, default=None
        The column that holds the times, in place of the index. X must then be a dataframe. Numbers
        are taken as seconds.

    max_gap : "auto", str, timedelta or None, default="auto"
        The longest time between consecutive rows of a window, such as "2h". None means that there
        are no gaps: the times are ignored. "auto" means the time that a window usually spans,
        ``(window_size - 0.5) * sampling_interval_``, as a few missing rows hardly matter. A
        `WindowedDetector`, however, is trained on windows without missing rows, whose rows are at
        most 1.5 times `sampling_interval_` apart. If such windows cover less than 90 % of the time
        points, the shortest time with which they do is used instead, with a warning.

    duplicate_times : {"keep", "error"}, default="keep"
        What to do if times repeat, as those of events do. By default, such rows are taken in the
        order given, with a warning that counts them. The same applies to the hour of local time
        that repeats when the clocks go back, if the times have no time zone.

    Attributes
    ----------
    sampling_interval_ : pandas.Timedelta or None
        The median time between consecutive rows in `fit`; None without a clock.

    max_gap_ : pandas.Timedelta or None
        The longest time between consecutive rows of a window, except in the training of a
        `WindowedDetector`; None without a clock.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    WindowedDetector : Scores time points by an outlier detector on windows.

    Notes
    -----
    In a Pipeline, a previous step that returns an array loses the index, and with it the clock.
    Make it return a dataframe by ``set_output(transform="pandas")``.

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
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : SlidingWindow
            The fitted transformer.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, times are missing, cannot be read or go backwards, or
            no window fits into any series.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import SlidingWindow
        >>> table = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0], "wind": [5.0, 6.0, 7.0, 8.0]})
        >>> sliding = SlidingWindow(window_size=2).fit(table)
        >>> sliding.feature_names_in_.tolist()
        ['load', 'wind']
        """
        _, stretches = self._locate(X, reset=True)
        self._whole_windows(stretches)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Cut the windows of X.

        Parameters
        ----------
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        windows : ndarray of shape (n_windows, window_size * n_channels)
            The windows, ordered by series, as these first appear in X, and then by time.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            As in `fit`, or if X has other channels than in `fit`.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import SlidingWindow
        >>> table = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0], "wind": [5.0, 6.0, 7.0, 8.0]})
        >>> sliding = SlidingWindow(window_size=2).fit(table)
        >>> sliding.transform(table)
        array([[1., 5., 2., 6.],
               [2., 6., 3., 7.],
               [3., 7., 4., 8.]])
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
        aggregation : {"max", "mean", "smooth"}, default="max"
            How the scores of the windows that cover a time point are combined: by the largest or by
            their mean. As `score_samples` is high for normal windows, "max" makes a time point
            abnormal only if all windows that cover it are. With "smooth", each window first gets
            the mean of what "mean" gives its time points, and this is done twice.

        Returns
        -------
        scores : ndarray of shape (n_timepoints,)
            The scores in the order of X. They are NaN, with a warning, for time points that no
            window covers: those of a series, or of a stretch between two gaps, that is shorter than
            `window_size`.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If the number of scores is not the number of windows, or X or `aggregation` is not
            valid.

        Warns
        -----
        UserWarning
            If some time points get no score.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import SlidingWindow
        >>> table = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0], "wind": [5.0, 6.0, 7.0, 8.0]})
        >>> sliding = SlidingWindow(window_size=2).fit(table)
        >>> sliding.point_scores([-1.0, -5.0, -2.0], table)
        array([-1., -1., -2., -2.])
        >>> sliding.point_scores([-1.0, -5.0, -2.0], table, aggregation="mean")
        array([-1. , -3. , -3.5, -2. ])
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
        points = stretches.in_order_given(to_points(windows, scores, aggregation))
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
        """The median time between consecutive rows in `fit`; None without a clock.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        """
        check_is_fitted(self)
        return None if self._clock is None else duration(self._clock["interval"])

    @property
    def max_gap_(self) -> pd.Timedelta | None:
        """The longest time between consecutive rows of a window; None without a clock.

        The windows that a `WindowedDetector` is trained on may have a shorter one.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        """
        check_is_fitted(self)
        return None if self._clock is None else duration(self._clock["gap"])

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            The names of the channels. By default, they are those seen during `fit`.

        Returns
        -------
        names : ndarray of shape (window_size * n_channels,), dtype object
            The names, such as "load_lag2" for the channel "load" two time points before the last
            one of the window.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If `input_features` are not those seen during `fit`.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import SlidingWindow
        >>> table = pd.DataFrame({"load": [1.0, 2.0, 3.0, 4.0], "wind": [5.0, 6.0, 7.0, 8.0]})
        >>> sliding = SlidingWindow(window_size=2).fit(table)
        >>> sliding.get_feature_names_out().tolist()
        ['load_lag1', 'wind_lag1', 'load_lag0', 'wind_lag0']
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

        What counts as a gap may differ in the training of a detector. `runs` holds the unbroken run
        of each row, if rows between them have been held out.
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
        """Return the longest steps that are not gaps, in seconds, in scoring and in training."""
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
