"""What does not hold numbers, although NumPy would take some of it for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp


def refuse_masks_and_dates(X: Any, name: str = "X") -> None:
    """Raise ValueError if X has masked values, dates, times or durations.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame
        What a user has passed.
    name : str, default="X"
        What it is called.
    """
    for rows in X if isinstance(X, list | tuple) else [X]:
        if isinstance(rows, np.ma.MaskedArray) and np.ma.is_masked(rows):
            place = ""
            if rows is X and rows.ndim > 1:
                row, column = np.argwhere(np.ma.getmaskarray(rows))[0][:2]
                place = f", the first in column {column}, row {row}"
            raise ValueError(
                f"{name} has masked values{place}. Fill them first: in X, filled(np.nan) marks "
                "them as missing."
            )
    column = next(_dates(X, name), None)
    if column is not None:
        raise ValueError(
            f"Column {column} does not hold numbers: it has dates, times or durations. Leave it "
            "out, or make numbers of it in a pipeline before the detector, for example by skrub's "
            "DatetimeEncoder or by a FunctionTransformer."
        )


def refuse_ragged(X: Any, remedy: str) -> None:
    """Raise ValueError if X is a list of rows that differ in length."""
    if not isinstance(X, list | tuple):
        return
    lengths = [len(row) if isinstance(row, list | tuple | np.ndarray) else None for row in X]
    if None in lengths or len(set(lengths)) < 2:
        return
    row = next(at for at, length in enumerate(lengths) if length != lengths[0])
    raise ValueError(
        f"The rows of X differ in length: row 0 has {lengths[0]} values, row {row} has "
        f"{lengths[row]}. {remedy}"
    )


def first_not_a_number(X: Any) -> tuple[Any, int, Any] | None:
    """Return the column, the row and the first value that is not a number.

    Missing values do not count. Return None if there is no such value, or X is not a table.
    """
    names = [name for name, _ in frame_columns(X)]
    columns = [frame_column(X, number) for number in range(len(names))]
    if not names and not sp.issparse(X):
        try:
            table = np.array(X, dtype=object)
        except ValueError:  # rows of several lengths
            return None
        if table.ndim == 2:
            columns = list(table.T)
            names = list(range(len(columns)))
    for name, column in zip(names, columns, strict=True):
        for row, value in enumerate(column):
            if not _is_number(value):
                return name, row, value
    return None


def _is_number(value: Any) -> bool:
    if value is None or type(value).__name__ == "NAType":  # missing
        return True
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def frame_columns(X: Any) -> list[tuple[Any, Any]]:
    """Return the names and the dtypes of the columns of a pandas or polars frame, else nothing."""
    if not hasattr(X, "columns") or not hasattr(X, "dtypes"):
        return []
    return list(zip(X.columns, X.dtypes, strict=True))


def frame_column(X: Any, number: int) -> Any:
    """Return a column of a frame by its number, for two columns may have one name."""
    return X.iloc[:, number] if hasattr(X, "iloc") else X[X.columns[number]]


def _dates(X: Any, name: str) -> Iterator[str]:
    """Give the names of the columns that hold dates, times or durations."""
    frame = frame_columns(X)
    for number, (column, dtype) in enumerate(frame):
        levels = getattr(getattr(dtype, "categories", None), "dtype", None)
        if str(levels).startswith("interval"):  # as pandas.cut makes them: labels like others
            continue
        dtype = dtype if levels is None else levels
        if _is_time(dtype) or (_is_object(dtype) and _has_numpy_time(frame_column(X, number))):
            yield repr(column)
    if frame or sp.issparse(X):
        return
    if isinstance(X, list | tuple):
        try:
            X = np.asarray(X)
        except ValueError:  # rows of several lengths, which scikit-learn refuses
            return
    dtype = getattr(X, "dtype", None)
    if _is_time(dtype) or (_is_object(dtype) and _has_numpy_time(np.ravel(X))):
        yield f"of {name}"


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _is_time(dtype: Any) -> bool:
    if getattr(dtype, "kind", None) in ("m", "M"):
        return True
    # polars' Date, Datetime, Duration and Time; pandas' Period and Interval; pyarrow's.
    return not isinstance(dtype, np.dtype) and str(dtype).lower().startswith(
        ("date", "duration", "time", "period", "interval")
    )


def _has_numpy_time(values: Any) -> bool:
    # NumPy makes numbers of its own dates, but of no others.
    return any(isinstance(value, np.datetime64 | np.timedelta64) for value in values)
