"""TableSchema: the columns of a table as a model has learned them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.batch.errors import TableError
from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.explanations.sentences import is_missing

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import ArrayLike

    from vae_anomaly.batch.sql import BadCell, ColumnSchema

_HOLDS = {"number": "numbers", "date": "dates", "category": "categories"}


class TableSchema(DocLinkMixin, TransformerMixin, BaseEstimator):
    """Give the columns of a table the types that they had in training.

    As the first step of a Pipeline, it makes the other steps independent of how a table was read: a
    column of numbers that is read as text is parsed, and a table that does not fit is refused with
    the names of its columns. Columns that `fit` has not seen are left out.

    Parameters
    ----------
    columns : list of dict or None, default=None
        The columns, as `vae_anomaly.batch.find_schema` returns them. Each has a "name" and a "kind"
        ("number", "date" or "category"). Further entries say how values are written as text: the
        "format" of dates, in the codes of strptime, which is ISO 8601 by default; the "decimal"
        sign, the "thousands" separator, the "affix" (a currency or unit) and the accounting "signs"
        of numbers that are not written as programs write them; and the "truth" of categories that
        are true and false, which may then be written in upper or lower case. By default, the kinds
        are those of the columns of X in `fit`.

    missing : sequence of str, default=()
        Texts that stand for a missing value, in addition to an empty one.

    Attributes
    ----------
    n_features_in_ : int
        The number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,), dtype object
        The names of the columns.

    columns_ : list of dict
        The columns, in the form of the parameter.

    profile_ : dict
        What the columns held in `fit`, with which later tables are compared.

    See Also
    --------
    CalendarEncoder : Turns the dates into numbers.
    vae_anomaly.batch.find_schema : Finds the kinds of the columns of files.

    Examples
    --------
    >>> import pandas as pd
    >>> from vae_anomaly import TableSchema
    >>> X = pd.DataFrame({"amount": [1.5, 2.0], "shop": ["north", "south"]})
    >>> schema = TableSchema().fit(X)
    >>> schema.columns_
    [{'name': 'amount', 'kind': 'number'}, {'name': 'shop', 'kind': 'category'}]
    >>> texts = pd.DataFrame({"shop": ["north"], "amount": ["3.5"], "note": [""]})
    >>> schema.transform(texts)
       amount   shop
    0     3.5  north
    """

    def __init__(
        self, columns: list[dict[str, Any]] | None = None, missing: Sequence[str] = ()
    ) -> None:
        self.columns = columns
        self.missing = missing

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Learn the columns and what they hold.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            The table.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : TableSchema
            The transformer.

        Raises
        ------
        TypeError
            If X is not a DataFrame, or the name of a column is not a string.
        ValueError
            If `columns` is not valid, or X lacks one of the columns or has values that do not fit
            the kind of their column.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import TableSchema
        >>> X = pd.DataFrame({"amount": [1.5, 2.0], "shop": ["north", "south"]})
        >>> TableSchema().fit(X).n_features_in_
        2
        """
        return self.fit_batches(lambda: iter([X]))

    def fit_batches(self, batches: Callable[[], Iterable[pd.DataFrame]]) -> Self:
        """Learn the columns and what they hold from a table in parts.

        Parameters
        ----------
        batches : callable
            A function that returns an iterable of the parts, which are DataFrames of the same
            columns.

        Returns
        -------
        self : TableSchema
            The transformer.

        Raises
        ------
        TypeError
            If a part is not a DataFrame, or the name of a column is not a string.
        ValueError
            If there is no part, `columns` is not valid, or a part lacks one of the columns or has
            values that do not fit the kind of their column.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import TableSchema
        >>> X = pd.DataFrame({"amount": [1.5, 2.0], "shop": ["north", "south"]})
        >>> TableSchema().fit_batches(lambda: [X.head(1), X.tail(1)]).n_features_in_
        2
        """
        from vae_anomaly.batch.profile import Profiler

        schemas: list[ColumnSchema] | None = None
        for X in batches():
            if schemas is None:
                columns = columns_of_frame(X) if self.columns is None else self.columns
                schemas = _checked(columns)
                profiler = Profiler(schemas)
            profiler.add(self._values(X, schemas))
        if schemas is None:
            raise ValueError("There is no part of the table to learn from.")
        self.columns_ = [column.to_dict() for column in schemas]
        self.feature_names_in_ = np.array([column.name for column in schemas], object)
        self.n_features_in_ = len(schemas)
        self.profile_ = profiler.profile()
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that `fit` has seen, in that order and with their types.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            The table. Columns that `fit` has not seen are left out.

        Returns
        -------
        values : DataFrame of shape (n_samples, n_features)
            The columns. Numbers are float64, dates are datetime64 in UTC, and categories are
            strings.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        TypeError
            If X is not a DataFrame.
        ValueError
            If X lacks columns, or has values that do not fit the kind of their column. The message
            names the column and the row.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import TableSchema
        >>> X = pd.DataFrame({"amount": [1.5, 2.0], "shop": ["north", "south"]})
        >>> texts = pd.DataFrame({"shop": ["north"], "amount": ["3.5"], "note": [""]})
        >>> TableSchema().fit(X).transform(texts)
           amount   shop
        0     3.5  north
        """
        check_is_fitted(self)
        return self._values(X, self.schemas())

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns of the result.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Not used, present for API consistency by convention.

        Returns
        -------
        names : ndarray of shape (n_features,), dtype object
            The names of the columns seen during `fit`.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.

        Examples
        --------
        >>> import pandas as pd
        >>> from vae_anomaly import TableSchema
        >>> X = pd.DataFrame({"amount": [1.5, 2.0], "shop": ["north", "south"]})
        >>> TableSchema().fit(X).get_feature_names_out().tolist()
        ['amount', 'shop']
        """
        check_is_fitted(self)
        return self.feature_names_in_

    def no_rows(self) -> pd.DataFrame:
        """Return a table without rows whose columns have the types of those of `transform`.

        Returns
        -------
        values : DataFrame of shape (0, n_features)
            The columns.

        Examples
        --------
        >>> from vae_anomaly import TableSchema
        >>> schema = TableSchema([{"name": "amount", "kind": "number"}])
        >>> schema.no_rows().dtypes.to_dict()
        {'amount': dtype('float64')}
        """
        dtypes = {"number": "float64", "date": "datetime64[us, UTC]", "category": "object"}
        return pd.DataFrame({c.name: pd.Series(dtype=dtypes[c.kind]) for c in self.schemas()})

    def schemas(self) -> list[ColumnSchema]:
        """Return what each column holds and how it is written.

        Returns
        -------
        schemas : list of ColumnSchema
            The columns seen during `fit` or, before it, those of the parameter `columns`.

        Examples
        --------
        >>> from vae_anomaly import TableSchema
        >>> schema = TableSchema([{"name": "amount", "kind": "number", "decimal": ","}])
        >>> schema.schemas()[0].decimal
        ','
        """
        from vae_anomaly.batch.sql import ColumnSchema

        columns = getattr(self, "columns_", self.columns) or []
        return [ColumnSchema.of(column) for column in columns]

    def _values(self, X: Any, schemas: Sequence[ColumnSchema]) -> pd.DataFrame:
        if not isinstance(X, pd.DataFrame):
            if not hasattr(X, "to_pandas"):
                raise TypeError(f"TableSchema takes a DataFrame, got {type(X).__name__}.")
            X = X.to_pandas()
        names = [column.name for column in schemas]
        check_names(list(X.columns), names)
        if not X.columns.is_unique:
            twice = [n for n in names if (X.columns == n).sum() > 1]
            if twice:
                raise TableError(f"Two columns are named {_listed(twice)}.")
        if list(X.columns) != names:
            X = X[names]
        if all(_is_typed(X[column.name], column) for column in schemas):
            return X
        return self._converted(X, schemas)

    def _converted(self, X: pd.DataFrame, schemas: Sequence[ColumnSchema]) -> pd.DataFrame:
        from vae_anomaly.batch.sql import converted

        table = _arrow(X, schemas)
        check_types(table.schema, schemas)
        values, bad = converted(table, schemas, self.missing)
        if bad:
            first = bad[0]
            raise TableError(
                f"Column {first.column.name!r}, row {first.row}, counted from 0: {no_value(first)}."
            )
        return to_frame(values).set_axis(X.index)


def columns_of_frame(X: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the columns of a dataframe, with the kinds of their types."""
    import pyarrow as pa

    from vae_anomaly.batch.sql import ColumnSchema, is_text, natural_kind

    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"TableSchema takes a DataFrame, got {type(X).__name__}.")
    columns: list[dict[str, Any]] = []
    for found in _arrow(X).schema:
        kind = "category" if is_text(found.type) else natural_kind(found.type)
        if kind is None:
            raise TableError(
                f"Column {found.name!r} holds values of the type {found.type}, which are neither "
                "numbers, dates nor categories; leave it out."
            )
        columns.append(
            ColumnSchema(found.name, kind, truth=pa.types.is_boolean(found.type)).to_dict()
        )
    return columns


def check_names(names: Sequence[Any], wanted: Iterable[str]) -> None:
    """Raise TableError if a column that is wanted is not among these names."""
    wanted = list(wanted)
    missing = [name for name in wanted if name not in set(names)]
    if not missing:
        return
    others = [str(name) for name in names if name not in set(wanted)]
    hints = []
    for name in missing:
        near = _nearest(name, others)
        hints.append(f"{name!r}" + (f" (did you mean {near!r}?)" if near else ""))
    raise TableError(
        f"there {'is no column' if len(hints) == 1 else 'are no columns'} {', '.join(hints)}"
    )


def check_types(schema: pa.Schema, schemas: Iterable[ColumnSchema]) -> None:
    """Raise TableError if the type of a column does not fit its kind."""
    from vae_anomaly.batch.sql import fits

    wrong = [
        f"{column.name!r} should hold {_HOLDS[column.kind]} and is of the type "
        f"{schema.field(column.name).type}"
        for column in schemas
        if not fits(column, schema.field(column.name).type)
    ]
    if wrong:
        raise TableError(f"column {'; column '.join(wrong)}")


def no_value(cell: BadCell) -> str:
    """Return what is wrong with a cell."""
    column = cell.column
    written = ""
    if column.kind == "date":
        written = " in ISO 8601" if column.format is None else f" of the form {column.format}"
    elif not column.is_plain:
        signs = [column.thousands, column.decimal.replace(".", ""), column.affix]
        written = (
            f" with {' and '.join(repr(sign) for sign in signs if sign)}" if any(signs) else ""
        )
    article = "finite number" if column.kind == "number" and column.is_plain else column.kind
    return f"{cell.text!r} is not a {article}{written}"


def to_frame(values: pa.Table) -> pd.DataFrame:
    """Return values as a dataframe: float64, datetime64 in UTC, and texts."""
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field(f.name, pa.timestamp("us", "UTC") if pa.types.is_timestamp(f.type) else f.type)
            for f in values.schema
        ]
    )
    return values.cast(schema).to_pandas()


def _checked(columns: Any) -> list[ColumnSchema]:
    from vae_anomaly.batch.sql import ColumnSchema

    try:
        schemas = [ColumnSchema.of(column) for column in columns]
    except TypeError as error:
        raise ValueError(
            f"columns must be a list of dicts with a name and a kind: {error}."
        ) from None
    if not schemas:
        raise ValueError("columns is empty: there is nothing to learn from.")
    for column in schemas:
        if column.kind not in _HOLDS:
            raise ValueError(
                f"The kind of column {column.name!r} must be 'number', 'date' or 'category', got "
                f"{column.kind!r}."
            )
    names = [column.name for column in schemas]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"columns names {_listed(twice)} twice.")
    return schemas


def _is_typed(values: pd.Series, column: ColumnSchema) -> bool:
    if column.kind == "number":
        return values.dtype == np.float64
    if column.kind == "date":
        return str(values.dtype).endswith(", UTC]")
    # Objects may be anything; those that `transform` has made itself are texts and missing values.
    if not isinstance(values.dtype, pd.StringDtype) and (
        values.dtype != object
        or pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty")
    ):
        return False
    levels = values.dropna().unique()
    if column.truth:
        return set(levels) <= {"true", "false"}
    return not any(level == "" or level.endswith(".0") for level in levels)


def _arrow(X: pd.DataFrame, schemas: Sequence[ColumnSchema] = ()) -> pa.Table:
    """Return a dataframe as a table of Arrow; the kinds of its columns are for what is wrong."""
    import pyarrow as pa

    if not all(isinstance(name, str) for name in X.columns):
        raise TypeError("TableSchema needs columns whose names are texts.")
    try:
        return pa.Table.from_pandas(X, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        kind_of = {column.name: column.kind for column in schemas}
        for name in X.columns:
            try:
                pa.Array.from_pandas(X[name])
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                raise TableError(_mixture(X[name], kind_of.get(name))) from None
        raise


def _mixture(values: pd.Series, kind: str | None) -> str:
    """Return what is wrong with a column that Arrow has no type for."""
    cells = [(row, value) for row, value in enumerate(values) if not is_missing(value)]
    if kind == "number":
        for row, value in cells:
            if not isinstance(value, Number) or isinstance(value, bool):
                text = "the text " if isinstance(value, str) else ""
                return (
                    f"Column {values.name!r} was learned as numbers, but holds {text}{value!r} in "
                    f"row {row}, counted from 0."
                )
    first_row, first = cells[0]
    for row, value in cells:
        if type(value) is not type(first):
            return (
                f"Column {values.name!r} holds values of more than one type: {first!r} in row "
                f"{first_row} and {value!r} in row {row}, counted from 0."
            )
    return (
        f"Column {values.name!r} holds values that are neither numbers, dates nor texts, such as "
        f"{first!r} in row {first_row}, counted from 0."
    )


def _nearest(name: str, others: Sequence[str]) -> str | None:
    def key(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    for other in others:
        if key(other) == key(name):
            return other
    found = difflib.get_close_matches(name, others, n=1, cutoff=0.75)
    return found[0] if found else None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
