"""The rows of one file, in order and as they are written, a bounded number at a time."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from vae_anomaly.batch import sql
from vae_anomaly.batch.dialect import Dialect, csv_reader, opened
from vae_anomaly.batch.errors import TableError

ROWS_PER_PIECE = 65_536
_BLOCK_BYTES = 4 << 20
_BUFFER_BYTES = 1 << 20
_SEPARATOR = "\x1f"
"""What no line of JSON holds, as control characters are escaped in it."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be parsed."""

    row: int
    """Its number in the file, counted from 1."""
    reason: str


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, one after the other except for those that cannot be parsed."""

    table: pa.Table
    rows: np.ndarray
    """The numbers of the rows in the file, counted from 1, int64."""
    bad: list[BadRow] = field(default_factory=list)
    """Those among and right after them that cannot be taken apart."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file and how it is written."""

    path: Path
    dialect: Dialect
    names: tuple[str, ...]
    """The names of its columns, all different."""

    def pieces(self, columns: Sequence[str]) -> Iterator[Piece]:
        """Yield the texts of the named columns."""
        places = [self.names.index(name) for name in columns]
        taken = {f"c{at}": name for at, name in zip(places, columns, strict=True)} or {"c0": ""}
        read = _read_csv(
            self.path,
            self.dialect,
            n_columns=len(self.names),
            columns=list(taken),
            quotes=True,
        )
        for piece in read:
            table = piece.table.rename_columns([*taken.values()]) if columns else piece.table
            yield Piece(table.select(list(columns)) if columns else table, piece.rows, piece.bad)

    def lines(self) -> Lines:
        """Return what finds the line of a row."""
        return Lines(self.path, self.dialect, len(self.names) == 1)

    def types(self) -> dict[str, pa.DataType]:
        """Return the types of the columns."""
        return dict.fromkeys(self.names, pa.string())


@dataclass(frozen=True)
class JsonFile:
    """A file with a JSON object in each line."""

    path: Path
    dialect: Dialect
    names: tuple[str, ...]
    nested: frozenset[str]
    """The columns that hold objects or arrays."""

    def pieces(self, columns: Sequence[str]) -> Iterator[Piece]:
        """Yield the texts of the named columns."""
        engine = sql.Engine()
        read = _read_csv(self.path, self.dialect, n_columns=1, columns=["c0"], quotes=False)
        # Names of columns of DuckDB that differ in case only would be the same.
        paths = ", ".join(sql.literal(_pointer(name)) for name in columns)
        cells = ", ".join(f"o[{at}] AS c{at}" for at in range(1, len(columns) + 1))
        objects = f"SELECT json_extract_string(c0, [{paths}]) AS o FROM cells"
        query = f"SELECT {cells} FROM ({objects})" if columns else "SELECT c0 FROM cells"
        is_object = (
            "SELECT coalesce(json_type(CASE WHEN json_valid(c0) THEN c0 END) = 'OBJECT', FALSE) "
            "AS ok FROM cells"
        )
        for piece in read:
            good = engine.query(piece.table, is_object)["ok"].to_numpy()
            bad = [BadRow(int(row), "it is not a JSON object") for row in piece.rows[~good]]
            values = engine.query(piece.table.filter(pa.array(good)), query)
            if columns:
                values = values.rename_columns(list(columns))
            yield Piece(
                values, piece.rows[good], sorted([*piece.bad, *bad], key=lambda found: found.row)
            )

    def lines(self) -> Lines:
        """Return what finds the line of a row."""
        return Lines(self.path, self.dialect, False, has_quotes=False)

    def types(self) -> dict[str, pa.DataType]:
        """Return the types of the columns."""
        return {name: pa.struct([]) if name in self.nested else pa.string() for name in self.names}


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file."""

    path: Path
    schema: pa.Schema
    n_rows: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(self.schema.names)

    def pieces(self, columns: Sequence[str], start: int = 0) -> Iterator[Piece]:
        """Yield the cells of the named columns, from the row of index `start` on."""
        try:
            yield from self._pieces(list(columns), start)
        except (pa.ArrowException, OSError) as error:
            raise TableError(f"{self.path} cannot be read as Parquet: {error}") from error

    def _pieces(self, columns: list[str], start: int) -> Iterator[Piece]:
        # With a buffer, a row group is not read as a whole.
        with pq.ParquetFile(self.path, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
            sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
            ends = list(itertools.accumulate(sizes))
            groups = [at for at, end in enumerate(ends) if end > start]
            if not groups:
                return
            last = ends[groups[0]] - sizes[groups[0]]
            for batch in file.iter_batches(ROWS_PER_PIECE, row_groups=groups, columns=columns):
                rows = np.arange(last, last + len(batch)) + 1
                last += len(batch)
                if last > start:
                    n_left_out = int(np.searchsorted(rows, start, side="right"))
                    table = pa.Table.from_batches([batch]).select(columns)
                    yield Piece(table.slice(n_left_out), rows[n_left_out:])

    def lines(self) -> None:
        """Return None: there are no lines."""

    def types(self) -> dict[str, pa.DataType]:
        """Return the types of the columns."""
        return {found.name: found.type for found in self.schema}


class Lines:
    """Finds the lines of rows, which must be asked for in ascending order."""

    def __init__(
        self, path: Path, dialect: Dialect, is_one_column: bool, *, has_quotes: bool = True
    ) -> None:
        self._path, self._dialect = path, dialect
        self._found = self._starts(is_one_column, has_quotes)
        self._row = 0

    def of(self, row: int) -> int | None:
        """Return the number of the line in which a row begins; both are counted from 1."""
        line = None
        while self._row < row:
            line = next(self._found, None)
            self._row += 1
        return line

    def close(self) -> None:
        """Close the file."""
        self._found.close()

    def _starts(self, is_one_column: bool, has_quotes: bool) -> Generator[int]:
        dialect = self._dialect
        with opened(self._path, dialect.compression, dialect.encoding) as stream:
            line = offset = _n_lines(stream.read(dialect.n_bytes_before))
            text = io.TextIOWrapper(stream, "utf-8", errors="replace", newline="")
            reader: Any = (
                csv_reader(iter(text), dialect.delimiter, dialect.escape)
                if has_quotes
                else csv.reader(text, delimiter=_SEPARATOR, quoting=csv.QUOTE_NONE)
            )
            for fields in reader:
                if fields or is_one_column:
                    yield line + 1
                line = offset + reader.line_num


def _pointer(name: str) -> str:
    """Return the JSON pointer, RFC 6901, of a value of an object."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _read_csv(
    path: Path, dialect: Dialect, *, n_columns: int, columns: list[str], quotes: bool
) -> Iterator[Piece]:
    """Yield the chosen columns, which are called c0, c1 and so on, as texts."""
    names = [f"c{at}" for at in range(n_columns)]
    found: list[BadRow] = []

    def note(row: Any) -> str:
        found.append(BadRow(row.number, _field_count(row)))
        return "skip"

    try:
        with opened(path, dialect.compression, dialect.encoding) as stream:
            stream.read(dialect.n_bytes_before)
            watched = _Watched(stream)
            reader = pyarrow.csv.open_csv(
                watched,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=_BLOCK_BYTES
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=dialect.delimiter if quotes else _SEPARATOR,
                    quote_char='"' if quotes else False,
                    double_quote=dialect.escape is None,
                    escape_char=dialect.escape or False,
                    newlines_in_values=quotes,
                    ignore_empty_lines=n_columns > 1 or not quotes,
                    invalid_row_handler=note,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.binary()),
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            )
            last = 0
            for batch in reader:
                bad = [row for row in found if row.row <= last + len(batch) + len(found)]
                rows = _numbers(last + 1, len(batch), [row.row for row in bad])
                last = int(rows[-1]) if len(rows) else last
                among = [row for row in bad if row.row <= last]
                del found[: len(among)]
                yield _decoded(path, batch, rows, among)
            if quotes and watched.may_hide_rows(last + len(found)):
                _check_quotes(path, dialect)
            if found:
                empty = pa.table({name: pa.array([], pa.string()) for name in columns})
                yield Piece(empty, np.zeros(0, int), list(found))
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return
        if "straddling" in str(error):
            raise TableError(
                f"{path} has a row of more than {_BLOCK_BYTES >> 20} MiB below row {last:,}, most "
                "likely because a quote is not closed"
            ) from error
        raise TableError(f"{path} cannot be read below row {last:,}: {error}") from error
    except (OSError, UnicodeError) as error:
        raise TableError(f"{path} cannot be read: {error}") from error


class _Watched(io.RawIOBase):
    """A stream whose quotes and ends of lines are counted, which cuts no end of a line in two.

    Arrow leaves out the line feed at the beginning of a block after a carriage return, even if both
    stand inside of quotes.
    """

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream
        self._n_quotes = self._n_lines = 0
        self._held = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._held + self._stream.read(size - len(self._held))
        self._held = b"\r" if len(data) > 1 and data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._held)]
        self._n_quotes += data.count(b'"')
        self._n_lines += data.count(b"\n")
        return data

    def may_hide_rows(self, n_rows: int) -> bool:
        """Return whether a quote that is not closed may have made one row of several lines."""
        return self._n_quotes % 2 == 1 or (self._n_quotes > 0 and self._n_lines > n_rows)


def _check_quotes(path: Path, dialect: Dialect) -> None:
    """Raise TableError if a quoted field continues after its second quote, or never ends."""
    with opened(path, dialect.compression, dialect.encoding) as stream:
        line = _n_lines(stream.read(dialect.n_bytes_before))
        text = io.TextIOWrapper(stream, "utf-8", errors="replace", newline="")
        reader = csv_reader(iter(text), dialect.delimiter, dialect.escape, strict=True)
        before = 0
        try:
            for _ in reader:
                before = reader.line_num
        except csv.Error as error:
            raise TableError(
                f"{path}, line {line + before + 1}: a quote is not closed, or not doubled inside "
                f"of a quoted field ({error})"
            ) from None


def _n_lines(data: bytes) -> int:
    """Return the number of ends of lines."""
    return data.count(b"\n") or data.count(b"\r")


def _field_count(row: Any) -> str:
    fields = f"{row.actual_columns} field{'s' * (row.actual_columns != 1)}"
    return f"it has {fields} instead of {row.expected_columns}"


def _numbers(first: int, n_rows: int, left_out: Sequence[int]) -> np.ndarray:
    """Return the next `n_rows` numbers from `first` on that are not left out."""
    numbers = np.arange(first, first + n_rows + len(left_out))
    return numbers[~np.isin(numbers, left_out)][:n_rows]


def _decoded(path: Path, batch: pa.RecordBatch, rows: np.ndarray, bad: list[BadRow]) -> Piece:
    """Return texts for bytes; rows with bytes that are not UTF-8 are bad."""
    table = pa.Table.from_batches([batch])
    try:
        return Piece(
            table.cast(pa.schema([(n, pa.string()) for n in table.column_names])), rows, bad
        )
    except pa.ArrowInvalid:
        good = np.ones(len(rows), bool)
        for column in table.columns:
            for at, value in enumerate(column.to_pylist()):
                try:
                    value.decode()
                except UnicodeDecodeError:
                    good[at] = False
        bad = sorted(
            [*bad, *(BadRow(int(row), "it is not UTF-8") for row in rows[~good])],
            key=lambda found: found.row,
        )
        table = table.filter(pa.array(good))
        return Piece(
            table.cast(pa.schema([(n, pa.string()) for n in table.column_names])), rows[good], bad
        )
