"""How a cell of a table becomes a number, a date or a category: the only place that says so.

The rules are expressions of DuckDB, so that files and dataframes of any size obey the same ones.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Kind = Literal["number", "date", "category"]

CURRENCIES = r"\p{Sc}|[A-Z]{1,2}\$|USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR|SEK|NOK|DKK|PLN|CZK|BRL"
"""The signs and codes that may stand before or after an amount, as a regular expression."""

_UNIT = r"^[-+(]?\s*\d[\d.,' ]*?\s*([^\d\s.,'()+-][^\d\s()-]{0,5})\)?\s*-?$"
"""A number and its unit."""

_WHOLE, _DIGITS = r"^(-?[0-9]+)[.]0$", r"\1"
"""A whole number, a float in pandas where some are missing, and what it becomes as a category."""

_ISO = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
"""ISO 8601: a date, or a date and a time, perhaps with its offset from UTC."""


@dataclass(frozen=True)
class ColumnSchema:
    """What a column holds and how it is written."""

    name: str
    kind: Kind
    format: str | None = None
    """How its dates are written, in the codes of strptime; None for ISO 8601."""
    decimal: str = "."
    """The decimal sign of its numbers."""
    thousands: str = ""
    """The sign between groups of three digits of its numbers."""
    affix: str = ""
    """The currency, percent sign or unit before or after each of its numbers."""
    signs: bool = False
    """Whether (5) and 5- stand for -5."""
    truth: bool = False
    """Whether its categories are true and false, written in any case."""

    @classmethod
    def of(cls, column: dict[str, Any]) -> ColumnSchema:
        """Return the column that `to_dict` has described."""
        return cls(**column)

    def to_dict(self) -> dict[str, Any]:
        """Return a description that can be written as JSON, without what is as usual."""
        usual = ColumnSchema(self.name, self.kind)
        return {
            name: value
            for name, value in asdict(self).items()
            if name in ("name", "kind") or value != getattr(usual, name)
        }

    @property
    def is_plain(self) -> bool:
        """Whether its numbers are written as programs write them."""
        return (self.decimal, self.thousands, self.affix, self.signs) == (".", "", "", False)


class Engine:
    """A database in memory, opened when it is first needed, that takes a bounded amount of it."""

    @functools.cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        n_threads = os.cpu_count() or 1
        if hasattr(os, "sched_getaffinity"):
            n_threads = len(os.sched_getaffinity(0))
        connection = duckdb.connect(
            config={"memory_limit": "500MB", "threads": min(n_threads, 8), "temp_directory": ""}
        )
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def query(self, table: pa.Table, select: str) -> pa.Table:
        """Return the result of a query on a table that it calls cells, in the order of its rows."""
        self._connection.register("cells", table)
        try:
            return self._connection.sql(select).to_arrow_table()
        finally:
            self._connection.unregister("cells")


def name(column: str) -> str:
    """Return the name of a column as SQL."""
    return '"' + column.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def is_text(dtype: pa.DataType) -> bool:
    """Return whether the cells of a column are texts, which have yet to be understood."""
    import pyarrow as pa

    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return (
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    )


def natural_kind(dtype: pa.DataType) -> Kind | None:
    """Return the kind of a column that is not text; None if no kind fits."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(dtype):
        return "category"
    if types.is_boolean(dtype):
        return "category"
    if types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype):
        return "number"
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return "date"
    return None


def fits(column: ColumnSchema, dtype: pa.DataType) -> bool:
    """Return whether cells of this type may be converted to the kind of a column."""
    import pyarrow as pa

    if is_text(dtype) or pa.types.is_null(dtype):
        return True
    natural = natural_kind(dtype)
    if column.kind == "category":
        return natural in ("number", "category")
    return natural == column.kind


def cell(column: str, dtype: pa.DataType, missing: Sequence[str] = ()) -> str:
    """Return the cell of a column, NULL where it is missing, as SQL."""
    import pyarrow as pa

    if is_text(dtype):
        text = f"CAST({name(column)} AS VARCHAR)"
        for empty in ("", *missing):
            text = f"nullif({text}, {literal(empty)})"
        return text
    if pa.types.is_floating(dtype):
        return f"CASE WHEN NOT isnan({name(column)}) THEN {name(column)} END"
    return name(column)


def value(column: ColumnSchema, dtype: pa.DataType, missing: Sequence[str] = ()) -> str:
    """Return the value of the cell of a column, NULL where it is missing or bad, as SQL.

    A number is DOUBLE and finite, a date TIMESTAMP in UTC, a category VARCHAR.
    """
    text = cell(column.name, dtype, missing)
    if column.kind == "category":
        text = f"CAST({text} AS VARCHAR)"
        if column.truth:
            return f"lower({text})"
        return f"regexp_replace({text}, {literal(_WHOLE)}, {literal(_DIGITS)})"
    if not is_text(dtype):
        if column.kind == "number":
            return _finite(f"CAST({text} AS DOUBLE)")
        return _utc(f"CAST({text} AS TIMESTAMPTZ)")
    return number(text, column) if column.kind == "number" else date(text, column.format)


def number(text: str, column: ColumnSchema) -> str:
    """Return the number that a text stands for, NULL if it is not one, as SQL."""
    if column.is_plain:
        # DuckDB takes 1_000 and +-1 for numbers; in a table they are rather names or mistakes.
        plain = f"NOT regexp_matches({text}, '_|[+]-')"
        return _finite(f"CASE WHEN {plain} THEN TRY_CAST({text} AS DOUBLE) END")
    cell_text, text = text, even(text)
    digits = (
        f"regexp_replace({text}, {literal('[^0-9' + re.escape(column.decimal) + ']')}, '', 'g')"
    )
    if column.decimal != ".":
        digits = f"replace({digits}, {literal(column.decimal)}, '.')"
    sign = f"CASE WHEN regexp_matches({text}, '[-(]') THEN -1 ELSE 1 END"
    pattern = literal(number_pattern(column))
    styled = _finite(
        f"CASE WHEN regexp_full_match({text}, {pattern}) "
        f"THEN ({sign}) * TRY_CAST({digits} AS DOUBLE) END"
    )
    if column.decimal == "." and not column.affix:
        # Groups of digits do not exclude others as programs write them, such as 1e-05.
        return f"coalesce({styled}, {number(cell_text, ColumnSchema(column.name, 'number'))})"
    return styled


def even(text: str) -> str:
    """Return a text with the usual characters for blanks, apostrophes and minus signs, as SQL."""
    return f"trim(translate({text}, '\u00a0\u202f\u2009\u2019\u2212', '   ''-'))"


def affix(text: str) -> str:
    """Return the currency, percent sign or unit of a text as `even` has made it, or '', as SQL."""
    sign = f"regexp_extract({text}, {literal(f'%|{CURRENCIES}')})"
    unit = f"regexp_extract({text}, {literal(_UNIT)}, 1)"
    return f"CASE WHEN {sign} <> '' THEN {sign} ELSE {unit} END"


def number_pattern(column: ColumnSchema) -> str:
    """Return the regular expression of the numbers of a column, as `even` has made them."""
    decimal, thousands = re.escape(column.decimal), re.escape(column.thousands)
    whole = rf"(?:[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+|\d+)" if column.thousands else r"\d+"
    digits = rf"(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)"
    if column.affix:
        affix = re.escape(column.affix)
        digits = rf"(?:{affix}\s*-?{digits}|{digits}\s*{affix})"
    # One sign at most: before or after the number, or parentheses around it.
    inside = digits.replace("-?", "")
    after = rf"|\({inside}\)|{inside}\s*-" if column.signs else ""
    return rf"[-+]?\s*{inside}|{digits}{after}"


def date(text: str, format: str | None) -> str:
    """Return the date that a text stands for, NULL if it is none, as SQL."""
    if format is None:
        text = f"trim({text})"
        # Old versions of DuckDB want seconds in front of an offset.
        whole = rf"regexp_replace({text}, '([T ]\d\d:\d\d)(Z|[+-]|$)', '\1:00\2')"
        return (
            f"CASE WHEN regexp_full_match({text}, '{_ISO}') "
            f"THEN {_utc(f'TRY_CAST({whole} AS TIMESTAMPTZ)')} END"
        )
    return _utc(f"CAST(try_strptime(trim({text}), {literal(format)}) AS TIMESTAMPTZ)")


def _utc(moment: str) -> str:
    return f"({moment} AT TIME ZONE 'UTC')"


def _finite(number: str) -> str:
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def converted(
    table: pa.Table,
    columns: Iterable[ColumnSchema],
    missing: Sequence[str] = (),
    engine: Engine | None = None,
) -> tuple[pa.Table, list[BadCell]]:
    """Return the values of the columns of a table, and its cells that are none.

    Parameters
    ----------
    table : pa.Table
        The cells; columns whose types do not fit are an error of the caller.
    columns : iterable of ColumnSchema
        The columns to convert.
    missing : sequence of str, default=()
        Texts that stand for a missing cell, in addition to an empty one.
    engine : Engine or None, default=None
        Where to compute; by default a new one.

    Returns
    -------
    values : pa.Table
        The values of the columns, null where a cell is missing or bad.
    bad : list of BadCell
        The cells that are neither missing nor of the kind of their column, by row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = list(columns)
    done = {c.name: quickly(table[c.name], c, missing) for c in columns}
    rest = [column for column in columns if done[column.name] is None]
    bad: list[BadCell] = []
    if rest:
        engine = engine or Engine()
        # By their numbers, as names that differ in case only are the same for DuckDB.
        numbered = table.select([c.name for c in rest]).rename_columns(
            [f"x{at}" for at in range(len(rest))]
        )
        cells = ", ".join(
            f"{cell(found.name, found.type, missing)} AS c{at}, "
            f"{value(replace(column, name=found.name), found.type, missing)} AS v{at}"
            for at, (column, found) in enumerate(zip(rest, numbered.schema, strict=True))
        )
        checks = ", ".join(
            f"v{at}, c{at} IS NOT NULL AND v{at} IS NULL AS b{at}" for at in range(len(rest))
        )
        values = engine.query(numbered, f"SELECT {checks} FROM (SELECT {cells} FROM cells)")
        for at, column in enumerate(rest):
            done[column.name] = values[f"v{at}"]
            texts = table[column.name]
            bad += [
                BadCell(row, column, str(texts[row].as_py()))
                for row in pc.indices_nonzero(values[f"b{at}"]).to_pylist()
            ]
    bad.sort(key=lambda cell: cell.row)
    return pa.table({column.name: done[column.name] for column in columns}), bad


def quickly(
    values: pa.ChunkedArray, column: ColumnSchema, missing: Sequence[str]
) -> pa.ChunkedArray | None:
    """Return the values of a column if they can be told without DuckDB, which is far slower.

    What Arrow takes for a number is one for DuckDB too, and the same; the opposite is not true.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_text(values.type):
        if column.kind == "date" or not column.is_plain:
            return None
        values = values.cast(pa.string())
        if missing or pc.min(pc.binary_length(values)).as_py() == 0:
            is_missing = pc.is_in(values, pa.array(["", *missing], pa.string()))
            values = pc.if_else(is_missing, pa.scalar(None, pa.string()), values)
        if column.kind == "category":
            if column.truth:
                return pc.utf8_lower(values)
            if pc.any(pc.ends_with(values, ".0")).as_py():
                values = pc.replace_substring_regex(values, _WHOLE, _DIGITS)
            return values
    if column.kind != "number" or natural_kind(values.type) not in (None, "number"):
        return None
    try:
        numbers = pc.cast(values, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(numbers)).as_py():
        numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return numbers if pc.all(pc.is_finite(numbers)).as_py() is not False else None


@dataclass(frozen=True)
class BadCell:
    """A cell that is neither missing nor of the kind of its column."""

    row: int
    """The index of its row in the table."""
    column: ColumnSchema
    text: str
