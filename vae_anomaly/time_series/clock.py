"""From tables to time points: the channels, and the series and the time of each row."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vae_anomaly.inputs import without_arrow
from vae_anomaly.not_numbers import first_not_a_number, refuse_ragged
from vae_anomaly.sklearn_private import _num_samples

_HOUR = 3600.0
_USUAL_STEP = 3.0
"""The longest step after an hour that clocks repeat, in medians of all steps."""

_DROP = "drop it by reset_index(drop=True) if the rows are evenly spaced"


class Points(NamedTuple):
    """The time points of a table, in the order of its rows."""

    channels: Any
    """The table without the columns that tell the series and the time."""

    series: np.ndarray
    """The number of each row's series, (n_timepoints,), in the order of appearance."""

    names: pd.Index
    """The name of each series."""

    times: pd.Index | None
    """The times as they were given, converted to times of pandas; None without a clock."""

    seconds: np.ndarray | None
    """The times in seconds since the earliest, (n_timepoints,); None without a clock."""

    @property
    def is_local(self) -> bool:
        """Whether the clock may have been put back in autumn: dates without a time zone."""
        return isinstance(self.times, pd.DatetimeIndex) and self.times.tz is None


def read_points(
    X: Any,
    group_column: Any = None,
    time_column: Any = None,
    *,
    with_clock: bool = True,
) -> Points:
    """Return the time points of X.

    Parameters
    ----------
    X : array-like, DataFrame, Series or list of these
        What the user has passed, see `vae_anomaly.SlidingWindow`.
    group_column, time_column : str, int or None
        The columns of a dataframe that hold the series and the time.
    with_clock : bool, default=True
        Whether to read the times.

    Raises
    ------
    ValueError
        If a column is not there, or a series or a time is missing or cannot be read.
    """
    X, of_list = _one_table(X)
    keys = [] if of_list is None else [of_list]
    times = None
    if isinstance(X, pd.DataFrame):
        times = X.index
        if isinstance(times, pd.MultiIndex):
            keys += [times.get_level_values(level) for level in range(times.nlevels - 1)]
            times = times.get_level_values(-1)
    for name, column in (("group_column", group_column), ("time_column", time_column)):
        if column is not None:
            _check_column(X, name, column)
    if group_column is not None:
        keys.append(pd.Index(X[group_column]))
    where = "the index of X"
    if time_column is not None:
        times, where = pd.Index(X[time_column]), f"column {time_column!r}, the time_column"
    dropped = [column for column in (group_column, time_column) if column is not None]
    if dropped:
        X = X.drop(columns=dropped)
    series, names = _numbered(keys, X, group_column)
    if times is None or not with_clock:
        return Points(X, series, names, None, None)
    times = read_times(times, where, may_be_numbers=time_column is not None)
    return Points(X, series, names, times, None if times is None else _seconds(times))


def read_times(values: pd.Index, where: str, *, may_be_numbers: bool = False) -> pd.Index | None:
    """Return times as a DatetimeIndex, a TimedeltaIndex or numbers; None if they are row labels.

    Parameters
    ----------
    values : pandas.Index
        Times of any kind, or the labels of rows.
    where : str
        What they are called in messages.
    may_be_numbers : bool, default=False
        Whether numbers are times, in seconds. The numbers of an index are labels.

    Raises
    ------
    ValueError
        If a time is missing or cannot be read.
    """
    if isinstance(values, pd.CategoricalIndex):
        values = pd.Index(np.asarray(values))
    if isinstance(values.dtype, pd.ArrowDtype):
        values = pd.Index(values.to_numpy())
    if values.dtype == object:
        values = pd.Index(values.tolist())  # finds periods, durations and times of one zone
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        if not may_be_numbers:
            return None
        times = pd.Index(values.to_numpy(float, na_value=np.nan))
    elif isinstance(values, pd.PeriodIndex):
        times = values.to_timestamp()
    elif isinstance(values, pd.DatetimeIndex | pd.TimedeltaIndex):
        times = values
    elif values.dtype == object or pd.api.types.is_string_dtype(values):
        times = _parsed(values, where)
    else:
        raise ValueError(
            f"{_upper(where)} holds {values.dtype}, which is no time. Make times of it, or {_DROP}."
        )
    if times.hasnans:
        kind = "NaN" if may_be_numbers and values.dtype.kind == "f" else "NaT"
        raise ValueError(
            f"The time is missing ({kind}) in row {times.isna().argmax()} of {where}. Drop such "
            "rows, or fill in their times."
        )
    return times


def steps_between(
    points: Points, order: np.ndarray, is_break: np.ndarray, duplicate_times: str
) -> np.ndarray:
    """Return the seconds from each row to the next, (n_timepoints - 1,), of sorted rows.

    Parameters
    ----------
    points : Points
        Time points with a clock.
    order : ndarray of int
        The rows, sorted by series.
    is_break : ndarray of bool
        Where one series ends and another begins.
    duplicate_times : {"keep", "error"}
        What to do where times repeat.

    Raises
    ------
    ValueError
        If time goes backwards or, unless they are kept, if times repeat.
    """
    assert points.seconds is not None
    assert points.times is not None
    steps = np.diff(points.seconds[order])
    back = ~is_break & (steps < 0)
    repeats = ~is_break & (steps == 0)
    put_back = np.zeros(len(steps), bool)
    if points.is_local and back.any():
        # An hour that a change of the clocks repeats: an hour later, the row follows as others do.
        known = steps[~is_break & (steps >= 0)]
        usual = _USUAL_STEP * np.median(known) if known.size else 0.0
        put_back = back & (steps + _HOUR > 0) & (steps + _HOUR <= usual)
        steps = steps + _HOUR * put_back
    for bad, problem in (
        (back & ~put_back, "Time goes backwards from"),
        ((repeats | put_back) & (duplicate_times == "error"), "Times repeat from"),
    ):
        if not bad.any():
            continue
        at = bad.argmax()
        before, row = order[at], order[at + 1]
        remedy = (
            "First sort X by time, or pass max_gap=None to ignore the times"
            if "backwards" in problem
            else "Keep one of them, or all by duplicate_times='keep'; give local times a time "
            "zone, as clocks go back in autumn"
        )
        raise ValueError(
            f"{problem} row {before} to row {row} of X: {points.times[before]}, then "
            f"{points.times[row]}. {remedy}. If X holds several series, name the column that tells "
            "them apart as group_column."
        )
    n_repeated = int((repeats | put_back).sum())
    if n_repeated:
        at = (repeats | put_back).argmax()
        warnings.warn(
            f"{n_repeated} of {len(order)} rows of X have a time that the row before has or that "
            f"came before, the first of them row {order[at + 1]} ({points.times[order[at + 1]]}); "
            "they are taken in the order given. If X holds several series, name the column that "
            "tells them apart as group_column; duplicate_times='error' refuses such rows.",
            stacklevel=2,
        )
    return steps


def duration(seconds: float) -> pd.Timedelta:
    """Return a time of pandas, to the nanosecond."""
    return pd.Timedelta(round(seconds * 1e9), "ns")


def refuse_what_is_no_channel(X: Any) -> None:
    """Raise ValueError if a column of a dataframe holds times or text, and name the parameter."""
    if not isinstance(X, pd.DataFrame):
        return
    for number, name in enumerate(X.columns):
        column = X.iloc[:, number]
        if pd.api.types.is_numeric_dtype(column) or not len(column):
            continue
        if _are_times(pd.Index(column)):
            raise ValueError(
                f"Column {name!r} of X holds times. Pass time_column={name!r} if it tells when, "
                "or leave it out."
            )
        culprit = first_not_a_number(column.to_frame())
        if culprit is not None:
            raise ValueError(
                f"Column {name!r} of X does not hold numbers: row {culprit[1]} has "
                f"{culprit[2]!r}. Pass group_column={name!r} if it tells which series a row "
                "belongs to; otherwise leave it out, or make numbers of it."
            )


def _are_times(values: pd.Index) -> bool:
    if values.dtype == object or pd.api.types.is_string_dtype(values):
        values = values[:1]  # the others do not matter, as none of them is a number
    try:
        return read_times(values, "") is not None
    except ValueError:
        return isinstance(values, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex)


def _one_table(X: Any) -> tuple[Any, pd.Index | None]:
    """Return X as a dataframe of pandas where it is one of any kind, and a list's numbers."""
    X = without_arrow(X)
    if isinstance(X, pd.Series):
        return X.to_frame(), None
    if type(X).__module__.partition(".")[0] == "polars":
        frame = X if hasattr(X, "columns") else X.to_frame()
        # Older versions of polars crash in to_numpy where the cells are not numbers.
        cells = {
            name: column.to_numpy() if column.dtype.is_numeric() else column.to_list()
            for name, column in zip(frame.columns, frame.get_columns(), strict=True)
        }
        return pd.DataFrame(cells), None
    if not isinstance(X, list | tuple) or not X:
        return X, None
    parts = [_one_table(part)[0] for part in X]
    if all(isinstance(part, pd.DataFrame) for part in parts):
        if all(isinstance(part, pd.Series) for part in X) and len({part.name for part in X}) > 1:
            parts = [part.set_axis([0], axis=1) for part in parts]  # the names are of the series
        columns = [list(part.columns) for part in parts]
        for number, found in enumerate(columns):
            if found != columns[0]:
                raise ValueError(
                    "The series of a list must have the same columns; those of number 0 are "
                    f"{columns[0]}, those of number {number} are {found}."
                )
        return pd.concat(parts), _numbers(parts)
    if all(isinstance(part, np.ndarray) and part.ndim == 2 for part in parts):
        widths = [part.shape[1] for part in parts]
        if len(set(widths)) > 1:
            raise ValueError(
                f"The series of a list must have the same channels; they have {widths} columns."
            )
        return np.concatenate(parts), _numbers(parts)
    refuse_ragged(
        X,
        "Pass several series as a list of dataframes, of Series or of arrays of shape "
        "(n_timepoints, n_channels), one for each.",
    )
    return X, None


def _numbers(parts: list[Any]) -> pd.Index:
    return pd.Index(np.repeat(np.arange(len(parts)), [len(part) for part in parts]))


def _check_column(X: Any, parameter: str, column: Any) -> None:
    if not isinstance(X, pd.DataFrame):
        raise ValueError(
            f"{parameter}={column!r} needs a pandas DataFrame or a polars one, got a "
            f"{type(X).__name__}."
        )
    if column not in X.columns:
        raise ValueError(
            f"{parameter}={column!r} is not a column of X, which has {list(X.columns)}."
        )


def _numbered(keys: list[pd.Index], X: Any, group_column: Any) -> tuple[np.ndarray, pd.Index]:
    """Return the number of each row's series, in the order of appearance, and the names."""
    if not keys:
        return np.zeros(_num_samples(X), int), pd.Index([0])
    for key in keys:
        if key.hasnans:
            where = "the index" if group_column is None else f"column {group_column!r}"
            what = "" if group_column is None else ", the group_column,"
            raise ValueError(
                f"{_upper(where)}{what} is missing in row {key.isna().argmax()}: it tells which "
                "series a row belongs to."
            )
    if len(keys) == 1:
        return pd.factorize(keys[0])
    series, names = pd.factorize(pd.MultiIndex.from_arrays(keys))
    return series, names


def _parsed(values: pd.Index, where: str) -> pd.Index:
    """Return text or objects as times."""
    attempts: tuple[Any, ...] = (
        lambda: pd.to_datetime(values, format="ISO8601"),
        lambda: pd.to_datetime(values, format="ISO8601", utc=True),  # several offsets
        lambda: pd.to_timedelta(values),
        lambda: _unambiguous(values, where),
    )
    if values.map(lambda value: isinstance(value, str) and value.isdigit()).all():
        attempts = attempts[:1]  # as a duration, it would be nanoseconds
    for attempt in attempts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of dates whose form pandas does not know
                return attempt()
        except _AmbiguousDate:
            raise
        except (ValueError, TypeError, OverflowError, UserWarning, FutureWarning):
            continue
    are_unread = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True).isna()
    row = int((np.asarray(are_unread) & ~np.asarray(values.isna())).argmax())
    raise ValueError(
        f"{_upper(where)} holds {values[row]!r} in row {row}, which is no time that can be read. "
        f"Convert it by pandas.to_datetime with its format, or {_DROP}."
    )


class _AmbiguousDate(ValueError):
    """The first number of a date may be the day as well as the month."""


def _unambiguous(values: pd.Index, where: str) -> pd.Index:
    times = pd.to_datetime(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swapped = pd.to_datetime(values, dayfirst=True)
    differs = swapped != times
    if differs.any():
        row = int(differs.argmax())
        raise _AmbiguousDate(
            f"{_upper(where)} holds {values[row]!r} in row {row}, which may be "
            f"{times[row]} or {swapped[row]}. Convert it by pandas.to_datetime with its format."
        )
    return times


def _seconds(times: pd.Index) -> np.ndarray:
    if isinstance(times, pd.DatetimeIndex) and times.tz is not None:
        times = times.tz_convert("UTC").tz_localize(None)
    values = times.to_numpy()
    since = values - values.min() if len(values) else values
    return since if since.dtype.kind == "f" else since / np.timedelta64(1, "s")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
