"""SlidingWindow: from a table of time points to one row per window, and back."""

from __future__ import annotations

import warnings
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
from vae_anomaly.sklearn_private import Interval, _check_feature_names_in, _fit_context

AGGREGATIONS = ("max", "mean", "smooth")
"""The ways of combining the scores of the windows that cover a time point."""

_SMOOTHINGS = 2
"""How often the scores of windows are replaced by the mean of their time points' with "smooth"."""

_LONGEST_STEP = 1.5
"""The longest step between time points, in sampling intervals, that does not count as a gap."""


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

    - Several series in one table, interleaved or not, are told apart by `group_column`.
    - With a `DatetimeIndex`, there is a gap between rows that are more than `max_gap` apart.
      Without one, the rows are assumed to be evenly spaced, in the order given.

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
        The column that tells which series a row belongs to. X must then be a pandas DataFrame.
        All other columns are channels.

    max_gap : "auto", str or timedelta, default="auto"
        The longest time between consecutive rows of a window, such as "2h". "auto" means 1.5 times
        `sampling_interval_`; set a value if the time points are not evenly spaced.

    Attributes
    ----------
    sampling_interval_ : pandas.Timedelta or None
        The median time between consecutive rows in `fit`; None without a `DatetimeIndex`.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    WindowedDetector : Scores time points by an outlier detector on windows.

    Notes
    -----
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
        "max_gap": [str, timedelta, np.timedelta64],
    }

    def __init__(
        self,
        window_size: int = 32,
        *,
        stride: int = 1,
        group_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 = "auto",
    ) -> None:
        self.window_size = window_size
        self.stride = stride
        self.group_column = group_column
        self.max_gap = max_gap

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the channels and the sampling interval.

        Parameters
        ----------
        X : array-like of shape (n_timepoints, n_channels)
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
            If X or a parameter is not valid, the times of a series are not strictly increasing, or
            no window fits into any series.
        """
        self._locate(X, reset=True)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Cut the windows of X.

        Parameters
        ----------
        X : array-like of shape (n_timepoints, n_channels)
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
        channels, windows = self._locate(X)
        return windows.cut(channels)

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
            Whether a time point gets the largest or the mean score of the windows that cover it.
            As `score_samples` is high for normal windows, "max" makes a time point abnormal only if
            all windows that cover it are. With "smooth", each window first gets the mean over its
            time points of what "mean" gives, and this is done twice.

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
        _, windows = self._locate(X)
        scores = check_array(
            window_scores, ensure_2d=False, dtype=np.float64, input_name="window_scores"
        )
        if scores.shape != windows.starts.shape:
            raise ValueError(
                f"window_scores has shape {scores.shape}, but X has {len(windows.starts)} "
                "windows; pass one score for each row of transform(X)."
            )
        return windows.to_points(scores, aggregation)

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
        self, X: Any, *, reset: bool = False, allow_nan: bool = True
    ) -> tuple[np.ndarray, Windows]:
        """Return the channels, sorted by series and time, and the windows in them."""
        if not reset:
            check_is_fitted(self)
        elif self.stride > self.window_size:
            raise ValueError(
                f"stride={self.stride} is larger than window_size={self.window_size}: time points "
                "between two windows would be left out."
            )
        series = None
        if self.group_column is not None:
            series = self._series(X)
            X = X.drop(columns=self.group_column)
        channels = self._channels(X, reset, allow_nan)
        if series is None:
            series = np.zeros(len(channels), dtype=int)
        order = np.argsort(series, kind="stable")
        is_break = np.diff(series[order]) != 0
        time = _time(X)
        if reset:
            self.sampling_interval_: Any = None
        elif (time is None) != (self.sampling_interval_ is None):
            raise ValueError(
                "X has a DatetimeIndex in one of fit and this call, but not in the other; pass it "
                "in both or in neither."
            )
        if time is not None:
            steps = np.diff(time[order])
            _check_steps(steps, is_break, order, time)
            if reset:
                # In nanoseconds, as pandas would round a median of half seconds to whole seconds.
                intervals = steps[~is_break].astype("timedelta64[ns]")
                self.sampling_interval_ = pd.Series(intervals).median()
            is_break |= steps > self._longest_step()
        return channels[order], self._place(order, is_break)

    def _series(self, X: Any) -> np.ndarray:
        """Return the index of each row's series, (n_timepoints,), in the order of appearance."""
        if not isinstance(X, pd.DataFrame):
            raise ValueError(
                f"group_column={self.group_column!r} needs a pandas DataFrame, got a "
                f"{type(X).__name__}."
            )
        if self.group_column not in X.columns:
            raise ValueError(
                f"group_column={self.group_column!r} is not a column of X, which has "
                f"{list(X.columns)}."
            )
        series = pd.factorize(X[self.group_column])[0]
        if (series < 0).any():
            raise ValueError(
                f"Column {self.group_column!r}, the group_column, is missing in row "
                f"{series.argmin()}."
            )
        return series

    def _channels(self, X: Any, reset: bool, allow_nan: bool) -> np.ndarray:
        """Return the channels as a float array, or raise ValueError if they are not valid."""
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
                "with a DatetimeIndex they count as a gap."
            ) from None
        return channels

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _longest_step(self) -> Any:
        if isinstance(self.max_gap, str) and self.max_gap == "auto":
            return self.sampling_interval_ * _LONGEST_STEP
        try:
            return pd.Timedelta(self.max_gap)
        except ValueError:
            raise ValueError(
                f"max_gap={self.max_gap!r} is neither 'auto' nor a duration such as '2h'."
            ) from None

    def _place(self, order: np.ndarray, is_break: np.ndarray) -> Windows:
        """Return the windows of all runs of rows in `order` that have no break."""
        firsts = np.concatenate([[0], np.flatnonzero(is_break) + 1])
        lengths = np.diff([*firsts, len(order)])
        if lengths.max() < self.window_size:
            raise ValueError(
                f"No window of window_size={self.window_size} time points fits into X: its "
                f"longest series without a gap has {lengths.max()}."
            )
        starts: list[np.ndarray] = []
        for first, length in zip(firsts, lengths, strict=True):
            last = first + length - self.window_size
            starts.append(np.arange(first, last + 1, self.stride))
            if last >= first and (last - first) % self.stride:
                starts.append(np.array([last]))
        return Windows(order, np.concatenate(starts).astype(int), self.window_size)


class Windows(NamedTuple):
    """The positions of windows in a table whose rows are sorted by series and time."""

    order: np.ndarray
    """The index in the original table of each sorted row, (n_timepoints,)."""

    starts: np.ndarray
    """The indices of the sorted rows at which the windows start, (n_windows,)."""

    size: int

    def cut(self, channels: np.ndarray, which: slice = slice(None)) -> np.ndarray:
        """Return the windows `which`, (n_windows, size * n_channels), of sorted rows."""
        views = sliding_window_view(channels, self.size, axis=0)[self.starts[which]]
        return np.swapaxes(views, 1, 2).reshape(len(views), -1)

    def thinned(self, step: int) -> Windows:
        """Return every `step`-th window of each stretch without a gap, and its last one."""
        is_first = np.diff(self.starts, prepend=-2) != 1
        first = np.maximum.accumulate(np.where(is_first, np.arange(len(self.starts)), 0))
        kept = (np.arange(len(self.starts)) - first) % step == 0
        kept |= np.append(is_first[1:], True)
        return self._replace(starts=self.starts[kept])

    def to_points(self, scores: np.ndarray, aggregation: str) -> np.ndarray:
        """Return the score of each row of the original table, (n_timepoints,)."""
        if aggregation == "max":
            combined, n_windows = self._combined(scores, np.maximum, -np.inf)
            combined[n_windows == 0] = np.nan
        else:
            combined = self.mean_by_row(scores)
        if aggregation == "smooth":
            combined = self.smoothed(combined)
        is_missing = np.isnan(combined)
        if is_missing.any():
            warnings.warn(
                f"{np.sum(is_missing)} of {len(combined)} time points get no score (NaN): their "
                f"series, or the stretch between two gaps, is shorter than "
                f"window_size={self.size}.",
                stacklevel=3,
            )
        points = np.empty_like(combined)
        points[self.order] = combined
        return points

    def mean_by_row(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of the values of the windows that cover each sorted row, or NaN."""
        total, n_windows = self._combined(values, np.add, 0.0)
        return np.divide(total, n_windows, out=np.full(len(total), np.nan), where=n_windows > 0)

    def smoothed(self, values: np.ndarray) -> np.ndarray:
        """Return values of sorted rows, twice averaged over each window and then over windows."""
        for _ in range(_SMOOTHINGS):
            of_windows = np.zeros(len(self.starts))
            for offset in range(self.size):
                of_windows += values[self.starts + offset]
            values = self.mean_by_row(of_windows / self.size)
        return values

    def _combined(
        self, values: np.ndarray, combine: np.ufunc, start: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the combined values of the windows over each sorted row, and their number."""
        combined = np.full(len(self.order), start)
        n_windows = np.zeros(len(self.order), dtype=int)
        for offset in range(self.size):
            places = self.starts + offset
            combined[places] = combine(combined[places], values)
            n_windows[places] += 1
        return combined, n_windows


def _time(X: Any) -> np.ndarray | None:
    """Return the time of each row, datetime64 in UTC, or None if X has no DatetimeIndex."""
    if not isinstance(X, pd.DataFrame) or not isinstance(X.index, pd.DatetimeIndex):
        return None
    index = X.index if X.index.tz is None else X.index.tz_convert("UTC").tz_localize(None)
    if index.hasnans:
        raise ValueError(f"The DatetimeIndex of X is missing (NaT) in row {index.isna().argmax()}.")
    return index.to_numpy()


def _check_steps(
    steps: np.ndarray, is_break: np.ndarray, order: np.ndarray, time: np.ndarray
) -> None:
    """Raise ValueError unless times are strictly increasing within each series."""
    bad = np.flatnonzero(~is_break & (steps <= np.timedelta64(0)))
    if not bad.size:
        return
    before, row = order[bad[0]], order[bad[0] + 1]
    if time[before] == time[row]:
        raise ValueError(
            f"Rows {before} and {row} of X have the same time, {pd.Timestamp(time[row])} (UTC, "
            "where the index has a time zone). Keep one of them; use group_column to tell several "
            "series apart; give local times a time zone, as clocks go back in autumn."
        )
    raise ValueError(
        f"Time goes backwards from row {before} to row {row} of X, {pd.Timestamp(time[row])}; "
        "sort X by time first."
    )
