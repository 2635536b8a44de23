"""Validation of the user's X, with error messages that name the column and the row."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from vae_anomaly.columns import (
    Category,
    Columns,
    LevelCounter,
    categorical_columns,
    with_codes,
)
from vae_anomaly.not_numbers import (
    first_not_a_number,
    refuse_masks_and_dates,
    refuse_ragged,
)
from vae_anomaly.rows import Stream, Table
from vae_anomaly.sklearn_private import _check_sample_weight


def check_rows(
    estimator: Any,
    X: Any,
    input_shape: tuple[int, ...] | None,
    reconstruction_loss: str,
    *,
    reset: bool = False,
    counters: Sequence[LevelCounter] = (),
) -> Any:
    """Return X as a float array or CSR matrix, with NaN for missing cells and codes for categories.

    Parameters
    ----------
    estimator : estimator
        The estimator whose columns X must have or, with `reset`, on which they are stored.
    X : {array-like, sparse matrix} of shape (n, n_features) or (n, *input_shape)
        The user's rows.
    input_shape : tuple of int or None
        The shape of one sample.
    reconstruction_loss : str
        The name of the likelihood, which may restrict the range of the values.
    reset : bool, default=False
        Whether to learn the columns from X.
    counters : sequence of LevelCounter, default=()
        The categorical columns, while their levels are being learned; by default those that are
        stored on the estimator.

    Raises
    ------
    ValueError
        If X is not valid. The message names the column and the row where it can.
    """
    X = without_arrow(X)
    refuse_ragged(
        X,
        "Fill up the short ones with NaN, which counts as missing, or score each time point of a "
        "list of series by WindowedDetector.",
    )
    refuse_masks_and_dates(X)
    coders: Sequence[Category | LevelCounter] = counters
    if not (counters or reset):
        coders = getattr(estimator, "_categories", ())
    if coders and np.ndim(X) == 2:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        X = with_codes(X, coders)
    X = _without_na(X)
    try:
        rows = validate_data(
            estimator,
            _flattened(estimator, X, input_shape),
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
        )
    except (TypeError, ValueError, OverflowError) as error:
        culprit = first_not_a_number(X)
        if culprit is None:
            raise
        name, row, value = culprit
        # scikit-learn's checks want a TypeError of an array of objects that are no numbers.
        is_frame = hasattr(X, "columns")
        kind = TypeError if isinstance(error, TypeError) and not is_frame else ValueError
        raise kind(
            f"{error}\nColumn {name!r} does not hold numbers: name it in categorical_features, "
            "make it a category (by astype in pandas, by cast in polars), or leave it out. "
            f"Row {row} holds {value!r}."
        ) from None
    names = getattr(estimator, "feature_names_in_", None)
    try:
        assert_all_finite(
            rows, allow_nan=True, estimator_name=type(estimator).__name__, input_name="X"
        )
    except ValueError as error:
        place = _place_of_first(np.isinf, rows, names)
        raise ValueError(f"{error}\nFirst found in {place}.") from None
    if reconstruction_loss == "binary_crossentropy":
        _check_unit_interval(numbers_only(rows, [coder.column for coder in coders]), names)
    return rows


def check_table(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    *,
    reset: bool = False,
    columns: Columns | None = None,
    min_rows: int = 2,
) -> tuple[Table, Columns]:
    """Return the rows with positive weight, and the columns of X.

    The estimator is left unchanged, so that a fit that fails later leaves no trace on it.

    Parameters
    ----------
    estimator : estimator
        The estimator to be trained, whose columns X must have unless `reset` is True.
    X : {array-like, sparse matrix} of shape (n, n_features) or (n, *input_shape)
        The rows that the user has passed to `fit`.
    sample_weight : array-like of shape (n,) or None
        The weights of the rows.
    reset : bool, default=False
        Whether to learn the columns from X.
    columns : Columns or None, default=None
        The columns that X must have instead of those of the estimator.
    min_rows : int, default=2
        The smallest number of rows that is accepted.

    Raises
    ------
    ValueError
        If X or `sample_weight` is not valid, or there are too few rows.
    """
    learner = copy.copy(estimator)
    if columns is not None:
        columns.put_on(learner)
    X = without_arrow(X)
    counters = _level_counters(estimator, X) if reset else []
    if not (reset or columns):
        _check_same_categories(estimator, X)
    X = check_rows(
        learner,
        X,
        estimator.input_shape,
        estimator.reconstruction_loss,
        reset=reset,
        counters=counters,
    )
    refuse_masks_and_dates(sample_weight, "sample_weight")
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    # Rescale by a power of two, which is exact, as sums of huge weights would overflow.
    weight = np.ldexp(weight, -int(np.frexp(weight.max())[1]) + 1)
    if not weight.all():
        X, weight = X[weight > 0], weight[weight > 0]
    if X.shape[0] < min_rows:
        raise ValueError(
            "Found array with 1 sample (or only 1 with positive sample_weight) while a minimum "
            f"of 2 is required by {type(estimator).__name__}."
        )
    if reset:
        for counter in counters:
            counter.count(X[:, counter.column])
        X = _settled(learner, counters, X)
    table = Table(X, weight)
    if reset:
        _check_some_value(table)
    return table, Columns.of(learner)


def check_stream(
    estimator: Any, batches: Any, rng: np.random.RandomState
) -> tuple[Stream, Columns]:
    """Return the rows of `batches`, after a first pass over them, and their columns.

    The estimator is left unchanged.
    """
    learner = copy.copy(estimator)
    learner._categories = ()
    counters: list[LevelCounter] = []
    read = _batch_reader(learner, batches, counters)
    stream = Stream.read_once(read(reset=True), read, rng)
    stream.sample.X = _settled(learner, counters, stream.sample.X)
    if stream.n_rows < 2:
        raise ValueError(
            f"Found {stream.n_rows} samples in all batches while a minimum of 2 is required by "
            f"{type(estimator).__name__}."
        )
    _check_some_value(stream)
    return stream, Columns.of(learner)


def _batch_reader(
    learner: Any, batches: Any, counters: list[LevelCounter]
) -> Callable[..., Iterator[Any]]:
    """Return a generator function of validated batches; with `reset`, the first sets the columns.

    The reading with `reset` also fills `counters` and counts the levels. The function raises
    ValueError at the first batch that is not valid.
    """
    batches = getattr(batches, "to_batches", batches)
    if isinstance(batches, Iterator):
        raise ValueError(
            "batches is an iterator, which can be read only once, but training reads the rows "
            "several times. Pass the function that makes it."
        )
    if hasattr(batches, "columns") or getattr(batches, "ndim", 3) < 3:
        raise ValueError(
            f"batches is a single {type(batches).__name__}, but it must give X in parts; pass a "
            "list of them, or call fit."
        )

    def read(*, reset: bool = False) -> Iterator[Any]:
        is_first_reading, n_rows = reset, 0
        for number, batch in enumerate(batches() if callable(batches) else batches):
            if not (batch.shape[0] if sp.issparse(batch) else len(batch)):
                continue
            try:
                batch = without_arrow(batch)
                if reset:
                    counters.extend(_level_counters(learner, batch))
                X = check_rows(
                    learner,
                    batch,
                    learner.input_shape,
                    learner.reconstruction_loss,
                    reset=reset,
                    counters=counters if is_first_reading else (),
                )
            except ValueError as error:
                raise ValueError(f"Batch {number}, counted from 0: {error}") from None
            if is_first_reading:
                for counter in counters:
                    counter.count(X[:, counter.column])
            reset, n_rows = False, n_rows + X.shape[0]
            yield X
        if not (is_first_reading or n_rows):
            raise ValueError("batches gave rows when first read, but none when read again.")

    return read


def numbers_only(X: Any, columns: Sequence[int]) -> Any:
    """Return rows with NaN in the given columns, which hold no numbers."""
    if not columns:
        return X
    X = np.array(X)
    X[:, columns] = np.nan
    return X


def without_arrow(X: Any) -> Any:
    """Return a table of pyarrow as a dataframe of pandas, and anything else unchanged."""
    return X.to_pandas() if type(X).__module__.startswith("pyarrow") else X


def _without_na(X: Any) -> Any:
    """Return X with NaN in place of pandas's NA among objects, which does not convert to float."""
    if isinstance(X, np.ndarray) and X.dtype == object:
        return np.where(pd.isna(X), np.nan, X)
    if not isinstance(X, pd.DataFrame):
        return X
    objects = np.flatnonzero([dtype.kind == "O" for dtype in X.dtypes])
    if objects.size:
        X = X.copy(deep=False)
    for column in objects.tolist():
        values = X.iloc[:, column]
        X.isetitem(column, values.where(values.notna(), np.nan))
    return X


def _level_counters(estimator: Any, X: Any) -> list[LevelCounter]:
    columns = categorical_columns(estimator.categorical_features, X)
    if columns and (estimator.input_shape is not None or estimator.architecture != "dense"):
        raise ValueError(
            "Categorical columns need a dense network without input_shape, as samples of a given "
            f"shape hold numbers only; got the categorical columns {columns}."
        )
    return [LevelCounter(column) for column in columns]


def _check_same_categories(estimator: Any, X: Any) -> None:
    """Raise ValueError if `categorical_features` names other columns than the fitted ones."""
    chosen = estimator.categorical_features
    if isinstance(chosen, str):
        return
    fitted = [category.column for category in estimator._categories]
    if categorical_columns(chosen, X) != fitted:
        raise ValueError(
            f"categorical_features={chosen!r} names other columns than those of the previous fit, "
            f"{fitted}, so training cannot go on. Set it back, or start afresh."
        )


def _settled(learner: Any, counters: Sequence[LevelCounter], X: Any) -> Any:
    """Store the categories that have been counted; return X with their final codes."""
    learner._categories = tuple(counter.category() for counter in counters)
    if counters:
        X = np.array(X)
    for counter, category in zip(counters, learner._categories, strict=True):
        X[:, counter.column] = counter.recoded(X[:, counter.column], category)
    return X


def _check_some_value(data: Table | Stream) -> None:
    if np.isnan(data.survey.low).all():
        raise ValueError("All cells are missing: no column of X has any value to learn from.")


def _check_unit_interval(rows: Any, names: np.ndarray | None) -> None:
    values = rows.data if sp.issparse(rows) else rows
    if ((values < 0) | (values > 1)).any():
        place = _place_of_first(lambda values: (values < 0) | (values > 1), rows, names)
        raise ValueError(
            'reconstruction_loss="binary_crossentropy" takes values in [0, 1]; the first '
            f"outside is in {place}. Scale X, with MinMaxScaler(clip=True) for example."
        )


def _flattened(estimator: Any, X: Any, input_shape: tuple[int, ...] | None) -> Any:
    """Return X with each sample of shape `input_shape` flattened to a row; else X unchanged."""
    if getattr(X, "ndim", 2) <= 2:
        return X
    if input_shape is None or len(input_shape) == 1:
        raise ValueError(
            f"Found array with dim {X.ndim}, while dim <= 2 is required by "
            f"{type(estimator).__name__} without input_shape; set input_shape={X.shape[1:]}."
        )
    if X.shape[1:] != tuple(input_shape):
        raise ValueError(
            f"X has samples of shape {X.shape[1:]}, but input_shape={input_shape}; in a "
            "two-dimensional X each row is one flattened sample."
        )
    return np.reshape(X, (len(X), math.prod(X.shape[1:])))


def _place_of_first(
    is_bad: Callable[[np.ndarray], np.ndarray], X: Any, names: np.ndarray | None
) -> str:
    """Return a description of the column and the row of the first bad value."""
    if sp.issparse(X):
        X = X.tocoo()
        at = np.flatnonzero(is_bad(X.data))[0]
        row, column = X.row[at], X.col[at]
    else:
        row, column = np.argwhere(is_bad(X))[0]
    return f"column {column if names is None else repr(str(names[column]))}, row {row}"
