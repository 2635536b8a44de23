"""Source: the rows of one or more files, as they are and with the types that a model has learned.

The order of the rows is kept, and the memory needed does not grow with the size of the files.
"""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from vae_anomaly.batch import sql
from vae_anomaly.batch.dialect import Dialect, find_dialect, find_encoding, read_head
from vae_anomaly.batch.errors import ChangedInputError, TableError
from vae_anomaly.batch.records import BadRow, CsvFile, JsonFile, Lines, ParquetFile, Piece
from vae_anomaly.batch.schema import TableSchema, check_names, check_types, no_value, to_frame
from vae_anomaly.batch.sql import ColumnSchema

File = CsvFile | JsonFile | ParquetFile

Bad = Literal["stop", "missing", "reject"]

FILE_COLUMN = "file"
"""The column that tells the file of a row if there are several."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_COMPRESSIONS = {".gz": ("gzip", _GZIP), ".zst": ("zstd", _ZSTD)}
_NO_TABLES = {
    b"PK\x03\x04": "a workbook or a zip archive; save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel; save the sheet as CSV",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file; write it as Parquet or CSV",
    b"SQLite": "a database of SQLite; export the table as CSV",
    b"ORC": "an ORC file; write it as Parquet",
    b"ARROW1": "a Feather file; write it as Parquet",
    b"BZh": "packed by bzip2; pack it by gzip or zstd, or unpack it",
    b"\xfd7zXZ": "packed by xz; pack it by gzip or zstd, or unpack it",
    b"\x80\x04\x95": "a pickle",
    b"\x80\x05\x95": "a pickle",
    b"\x93NUMPY": "an array of NumPy; write it as CSV or Parquet with names of columns",
}


@dataclass(frozen=True)
class ReadOptions:
    """What is known of the files; what is None is found out."""

    sep: str | None = None
    """The delimiter of CSV."""
    decimal: str | None = None
    """The decimal sign of numbers, "." or ","."""
    thousands: str | None = None
    """The sign between groups of three digits."""
    encoding: str | None = None
    header: bool | None = None
    """Whether the first line of CSV holds the names of the columns."""
    missing: tuple[str, ...] = ()
    """Texts that stand for a missing value, besides an empty one."""

    def __post_init__(self) -> None:
        if self.sep == "\\t":  # as one writes it in a shell
            object.__setattr__(self, "sep", "\t")
        if self.sep is not None and len(self.sep.encode()) != 1:
            raise ValueError(f"--sep {self.sep}: the delimiter must be a single character")
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"--decimal {self.decimal}: it must be a point or a comma")
        if self.thousands is not None and len(self.thousands) != 1:
            raise ValueError(f"--thousands {self.thousands}: it must be a single character")
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError("--thousands and --decimal are the same character")

    def written(self, column: ColumnSchema) -> ColumnSchema:
        """Return a column as it is written in these files."""
        if column.kind != "number" or (self.decimal, self.thousands) == (None, None):
            return column
        decimal = self.decimal or column.decimal
        thousands = column.thousands if self.thousands is None else self.thousands
        if decimal == thousands and self.decimal is not None:  # the other is not what it was
            thousands = ""
        elif decimal == thousands:
            decimal = "," if thousands == "." else "."
        return replace(column, decimal=decimal, thousands=thousands)


@dataclass(frozen=True)
class Reject:
    """A row that was left out."""

    file: str
    line: int | None
    """The line in which it begins, counted from 1; None for Parquet."""
    row: int
    """Its number in the input, counted from 1."""
    column: str | None
    """The first column that does not fit; None if the row cannot be taken apart."""
    value: str | None
    reason: str


@dataclass(frozen=True)
class Frame:
    """Some rows of a source, one after the other."""

    rows: np.ndarray
    """The numbers of the rows in the input, counted from 1 over all files; rejects are left out."""
    table: pd.DataFrame
    """The columns of the model, with their types."""
    kept: pa.Table
    """Other columns, as they are in the file."""
    rejects: tuple[Reject, ...]
    stop: int
    """The number of rows of the input up to here, rejects included."""
    n_bad: dict[str, int] = field(default_factory=dict)
    """The number of bad cells that were taken for missing, by column."""


@dataclass(frozen=True)
class Source:
    """The rows of one or more files of the same columns, one file after the other.

    Use `open` to make one.
    """

    files: tuple[File, ...]
    format: Literal["csv", "json", "parquet"]
    options: ReadOptions
    findings: tuple[str, ...]
    """What was found about delimiters, encodings, headers and names, in sentences."""
    originals: dict[str, str]
    """The names in the header of further columns of one name, by how they are called here."""
    stamps: tuple[dict[str, object], ...]

    @classmethod
    def open(
        cls, patterns: Sequence[str | os.PathLike[str]], options: ReadOptions | None = None
    ) -> Source:
        """Find the files and what they hold.

        Parameters
        ----------
        patterns : sequence of str or path-like
            Files, patterns such as ``"2024-*.csv"``, and folders of Parquet files.
        options : ReadOptions, default=None
            What is known of the files.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        TableError
            If a file cannot be read as a table, or has other columns than the first.
        """
        options = options or ReadOptions()
        paths = _paths(patterns)
        stamps = tuple(_stamp(path) for path in paths)
        opened = [_opened(path, options) for path in paths]
        files = tuple(file for file, *_ in opened)
        for file in files[1:]:
            _check_same(files[0], file)
        if not any(has_rows for *_, has_rows in opened):
            where = str(paths[0]) if len(paths) == 1 else "none of the files"
            raise TableError(
                f"{where} has a header but no rows"
                if len(paths) == 1
                else f"{where} has any rows, such as {paths[0]}"
            )
        format: Literal["csv", "json", "parquet"] = (
            "csv"
            if isinstance(files[0], CsvFile)
            else "json"
            if isinstance(files[0], JsonFile)
            else "parquet"
        )
        findings = dict.fromkeys(sentence for _, found, _ in opened for sentence in found.findings)
        return cls(
            files,
            format,
            options,
            tuple(findings),
            opened[0][1].originals,
            stamps,
        )

    def __str__(self) -> str:
        if len(self.files) == 1:
            return str(self.files[0].path)
        return f"{self.files[0].path} and {len(self.files) - 1} more"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(file.path for file in self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.files[0].names

    @property
    def duplicates(self) -> set[str]:
        """The names that two or more columns have."""
        return set(self.originals.values())

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The types of the columns in the first file that has one; texts unless it is Parquet."""
        types: dict[str, pa.DataType] = {}
        for file in self.files:
            for name, found in file.types().items():
                if name not in types or pa.types.is_null(types[name]):
                    types[name] = found
        return types

    @property
    def n_rows(self) -> int | None:
        """The number of rows, if the files tell."""
        counts = [file.n_rows for file in self.files if isinstance(file, ParquetFile)]
        return sum(counts) if len(counts) == len(self.files) else None

    def fingerprint(self) -> list[dict[str, object]]:
        """Return the path, size, time of change and inode of each file as it was when opened."""
        return [dict(stamp) for stamp in self.stamps]

    def check_unchanged(self) -> None:
        """Raise ChangedInputError if a file is no longer what it was when opened."""
        for path, stamp in zip(self.paths, self.stamps, strict=True):
            try:
                now = _stamp(path)
            except FileNotFoundError:
                raise ChangedInputError(f"{path} has been removed while it was read") from None
            if now != stamp:
                raise ChangedInputError(f"{path} has changed while it was read")

    def extra_columns(self, schema: TableSchema, keep: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the names of the columns that are neither those of a model nor kept."""
        taken = {*(column.name for column in schema.schemas()), *keep}
        return tuple(name for name in self.names if name not in taken)

    def kept_types(self, keep: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the types of columns to keep, to which those of all files can be cast.

        Raises
        ------
        TableError
            If there is no such type.
        """
        if self.format != "parquet":
            return dict.fromkeys(keep, pa.string())
        kept: dict[str, pa.DataType] = {}
        for file in self.files:
            types = file.types()
            for name in keep:
                kept.setdefault(name, types[name])
                if types[name] == kept[name]:
                    continue
                before, here = _values(kept[name]), _values(types[name])
                try:
                    (both,) = pa.unify_schemas(
                        [pa.schema([("x", before)]), pa.schema([("x", here)])],
                        promote_options="permissive",
                    )
                except (pa.ArrowTypeError, pa.ArrowInvalid):
                    raise TableError(
                        f"{file.path}: column {name!r}, which is to be kept, is of the type "
                        f"{here}, and of the type {before} in a file before; write them alike, or "
                        "do not keep it"
                    ) from None
                kept[name] = both.type
        return kept

    def check_columns(self, schema: TableSchema, keep: Sequence[str] = ()) -> None:
        """Raise TableError unless the columns of a model and those to keep are all there.

        Their types must fit the model, and those of columns to keep each other in all files.
        """
        columns = schema.schemas()
        for file in self.files:
            try:
                check_names(file.names, [*(column.name for column in columns), *keep])
                types = file.types()
                check_types(pa.schema(list(types.items())), columns)
            except TableError as error:
                raise TableError(f"{file.path}: {error}") from None
        self.kept_types(keep)
        wanted = [*(column.name for column in columns), *keep]
        if twice := [name for name in wanted if name in self.duplicates]:
            raise TableError(
                f"{self.paths[0]}: two columns are named {twice[0]!r}; rename one of them"
            )

    def pieces(self, columns: Sequence[str], start: int = 0) -> Iterator[Part]:
        """Yield rows as they are in the files.

        Parameters
        ----------
        columns : sequence of str
            The columns to read.
        start : int, default=0
            The number of rows to leave out; numbers of rows count from the first of all files.
        """
        before = 0
        for at, file in enumerate(self.files):
            if isinstance(file, ParquetFile) and before + file.n_rows <= start:
                before += file.n_rows
                continue
            last = before
            # How many rows a file of texts has is known only when all of them have been read.
            read = (
                file.pieces(columns, max(0, start - before))
                if isinstance(file, ParquetFile)
                else file.pieces(columns)
            )
            for piece in read:
                bad = [BadRow(row.row + before, row.reason) for row in piece.bad]
                part = Part(at, before, Piece(piece.table, piece.rows + before, bad))
                last = max(last, _last_row(part.piece))
                if last > start:
                    yield _cut(part, start, None) if start else part
            before = last

    def sentence(self, part: Part, row: int, reason: str, column: str | None = None) -> str:
        """Return what is wrong with a row, and where it is."""
        lines = self.files[part.at].lines()
        line = None if lines is None else lines.of(row - part.before)
        path = str(self.files[part.at].path)
        return _sentence(Reject(path, line, row, column, None, reason))

    def frames(
        self,
        schema: TableSchema | None,
        *,
        keep: Sequence[str] = (),
        start: int = 0,
        rows_per_frame: int = 65_536,
        bad: Bad = "stop",
    ) -> Iterator[Frame]:
        """Yield all rows in order, some at a time.

        Frame number k holds the rows from k * rows_per_frame on, whatever `start` is.

        Parameters
        ----------
        schema : TableSchema or None
            The columns of the model.
        keep : sequence of str, default=()
            Other columns to read, as they are. If there are several files, a column "file" is
            added.
        start : int, default=0
            The number of rows to leave out, such as `stop` of the last frame of an earlier run.
        rows_per_frame : int, default=65_536
            The number of rows at a time.
        bad : {"stop", "missing", "reject"}, default="stop"
            What a cell does that is not of the kind of its column: raise TableError, count as
            missing, or make its row a reject. Rows that cannot be taken apart are rejects too, and
            an error otherwise.

        Yields
        ------
        frame : Frame
            The rows.

        Raises
        ------
        TableError
            If a column is missing or of another type, before anything is read, or if a file
            cannot be read, or for bad cells.
        """
        schema = schema or TableSchema([])
        self.check_columns(schema, keep)
        return _Frames(self, schema, tuple(keep), rows_per_frame, bad).read(start)


class Part(NamedTuple):
    """Some rows of one of the files."""

    at: int
    """The index of the file."""
    before: int
    """The number of rows of the files before it."""
    piece: Piece
    """The rows, with their numbers over all files."""


class _Frames:
    """Makes frames of the parts of a source."""

    def __init__(
        self,
        source: Source,
        schema: TableSchema,
        keep: tuple[str, ...],
        rows_per_frame: int,
        bad: Bad,
    ) -> None:
        self.source, self.keep, self.bad = source, keep, bad
        self.rows_per_frame = rows_per_frame
        self.columns = [source.options.written(column) for column in schema.schemas()]
        self.kept_types = source.kept_types(keep)
        self.missing = (*schema.missing, *source.options.missing)
        self.engine = sql.Engine()
        self.lines: tuple[int, Lines | None] | None = None
        self.is_first = True

    def read(self, start: int) -> Iterator[Frame]:
        """Yield the frames from a row on."""
        try:
            yield from self._read(start)
        finally:
            self._close_lines()

    def _read(self, start: int) -> Iterator[Frame]:
        names = list(dict.fromkeys([*(column.name for column in self.columns), *self.keep]))
        waiting: list[Part] = []
        end = (start // self.rows_per_frame + 1) * self.rows_per_frame
        for part in self.source.pieces(names, start):
            waiting.append(part)
            # All bad rows before a good one are known.
            while len(part.piece.rows) and part.piece.rows[-1] > end:
                yield self._frame([_cut(p, 0, end) for p in waiting], end)
                waiting = [_cut(p, end, None) for p in waiting if _last_row(p.piece) > end]
                end += self.rows_per_frame
        last = max((_last_row(part.piece) for part in waiting), default=0)
        while last > end - self.rows_per_frame:
            yield self._frame([_cut(p, 0, end) for p in waiting], min(last, end))
            waiting = [_cut(p, end, None) for p in waiting]
            end += self.rows_per_frame

    def _frame(self, parts: list[Part], stop: int) -> Frame:
        found: dict[int, tuple[Part, sql.BadCell | None, str]] = {}
        n_bad: Counter[str] = Counter()
        typed: list[tuple[Part, pa.Table]] = []
        for part in parts:
            values, cells = sql.converted(part.piece.table, self.columns, self.missing, self.engine)
            typed.append((part, values))
            self._check_first(part, values, cells)
            found.update({bad.row: (part, None, bad.reason) for bad in part.piece.bad})
            if self.bad == "missing":
                n_bad.update(cell.column.name for cell in cells)
                continue
            for cell in cells:
                found.setdefault(int(part.piece.rows[cell.row]), (part, cell, no_value(cell)))
        self.is_first = False
        if found and self.bad != "reject":
            row = min(found)
            way_out = "" if found[row][1] is None else f". {_WAYS_OUT}"
            raise TableError(_sentence(self._reject(row, *found[row])) + way_out)
        rejects = tuple(self._reject(row, *found[row]) for row in sorted(found))
        tables, kept, rows = [], [], []
        for part, values in typed:
            good = ~np.isin(part.piece.rows, list(found))
            rows.append(part.piece.rows[good])
            tables.append(
                values if good.all() or not self.columns else values.filter(pa.array(good))
            )
            others = self._kept(part)
            kept.append(others if good.all() else others.filter(pa.array(good)))
        n = sum(map(len, rows))
        return Frame(
            np.concatenate(rows).astype(np.int64),
            to_frame(pa.concat_tables(tables)) if self.columns else pd.DataFrame(index=range(n)),
            pa.concat_tables(kept, promote_options="permissive"),
            rejects,
            stop,
            dict(n_bad),
        )

    def _kept(self, part: Part) -> pa.Table:
        file = self.source.paths[part.at]
        kept = part.piece.table.select(list(self.keep))
        for at, (name, dtype) in enumerate(self.kept_types.items()):
            if kept[at].type != dtype:
                values = _cast(kept[at], dtype, f"{file}: column {name!r}")
                kept = kept.set_column(at, name, values)
        if len(self.source.files) > 1 and FILE_COLUMN not in self.keep:
            path = pa.array([str(file)] * len(part.piece.table), pa.string())
            kept = kept.append_column(FILE_COLUMN, path)
        return kept

    def _close_lines(self) -> None:
        if self.lines is not None and self.lines[1] is not None:
            self.lines[1].close()

    def _check_first(self, part: Part, typed: pa.Table, cells: list[sql.BadCell]) -> None:
        """Raise TableError if a column of the first rows is of another kind altogether."""
        if not self.is_first or self.bad == "stop":
            return
        for name, count in Counter(cell.column.name for cell in cells).items():
            n_good = len(typed) - typed[name].null_count
            if count > n_good:
                first = next(cell for cell in cells if cell.column.name == name)
                row = int(part.piece.rows[first.row])
                reject = self._reject(row, part, first, no_value(first))
                raise TableError(
                    f"{_sentence(reject)}, and so are {count:,} of {count + n_good:,} cells of "
                    "the column: it is not what the model has learned"
                )

    def _reject(self, row: int, part: Part, cell: sql.BadCell | None, reason: str) -> Reject:
        file = self.source.files[part.at]
        if self.lines is None or self.lines[0] != part.at:
            self._close_lines()
            self.lines = part.at, file.lines()
        lines = self.lines[1]
        line = None if lines is None else lines.of(row - part.before)
        if cell is None:
            return Reject(str(file.path), line, row, None, None, reason)
        return Reject(str(file.path), line, row, cell.column.name, cell.text, reason)


_WAYS_OUT = (
    "Correct the cell, or choose --bad-cells missing to take such cells for missing, or --rejects "
    "FILE to leave out such rows"
)


def _sentence(reject: Reject) -> str:
    place = f"row {reject.row:,}" if reject.line is None else f"line {reject.line:,}"
    column = "" if reject.column is None else f", column {reject.column!r}"
    return f"{reject.file}, {place}{column}: {reject.reason}"


def _values(dtype: pa.DataType) -> pa.DataType:
    """Return the type of the values, if these have codes."""
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def _cast(values: pa.ChunkedArray, dtype: pa.DataType, place: str) -> pa.ChunkedArray:
    try:
        return values.cast(dtype)
    except pa.ArrowInvalid as error:
        raise TableError(
            f"{place}, which is to be kept, is of the type {values.type} and of the type {dtype} "
            f"in other files, where not all of its values have a place: {error}"
        ) from None


def _last_row(piece: Piece) -> int:
    return max([0, *piece.rows[-1:].tolist(), *(row.row for row in piece.bad[-1:])])


def _cut(part: Part, after: int, end: int | None) -> Part:
    """Return the rows of a part with numbers above `after`, up to `end`."""
    piece = part.piece
    first = int(np.searchsorted(piece.rows, after, side="right"))
    stop = len(piece.rows) if end is None else int(np.searchsorted(piece.rows, end, side="right"))
    bad = [row for row in piece.bad if row.row > after and (end is None or row.row <= end)]
    table = piece.table.slice(first, stop - first)
    return part._replace(piece=Piece(table, piece.rows[first:stop], bad))


class _Found(NamedTuple):
    """What is special about a file."""

    findings: tuple[str, ...]
    originals: dict[str, str]


def _paths(patterns: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that paths and patterns name, each once, in order."""
    found: dict[Path, Path] = {}  # by what it is when links and dots are resolved

    def add(paths: Iterable[Path]) -> None:
        for path in paths:
            found.setdefault(path.resolve(), path)

    for given in patterns:
        pattern, path = str(given), Path(given)
        if not path.exists() and glob.has_magic(pattern):
            matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
            matches = [match for match in matches if match.is_file()]
            if not matches:
                raise FileNotFoundError(f"{pattern}: no file has such a name")
            add(matches)
        elif path.is_dir():
            parts = sorted(p for p in path.glob("*.parquet") if not p.name.startswith(("_", ".")))
            if not parts:
                raise TableError(f"{path} is a folder without Parquet files")
            add(parts)
        elif not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        elif not path.is_file():
            raise TableError(f"{path} is no regular file, and a pipe cannot be read twice")
        else:
            add([path])
    if not found:
        raise TableError("no file is named")
    return list(found.values())


def _stamp(path: Path) -> dict[str, object]:
    status = path.stat()
    return {
        "path": str(path),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "inode": status.st_ino,
    }


def _opened(path: Path, options: ReadOptions) -> tuple[File, _Found, bool]:
    """Return a file, what is special about it, and whether it has rows."""
    with path.open("rb") as stream:
        start = stream.read(16)
    if not start:
        raise TableError(f"{path} is empty")
    if start.startswith(b"PAR1"):
        return _opened_parquet(path)
    for magic, what in _NO_TABLES.items():
        if start.startswith(magic):
            raise TableError(f"{path} is {what}")
    compression = _compression(path, start)
    suffix = next(s for s in (*reversed(path.suffixes), "") if s not in _COMPRESSIONS)
    if suffix == ".parquet":
        raise TableError(f"{path} is not a Parquet file, or it is damaged")
    if suffix in (".json", ".jsonl", ".ndjson") or (not compression and start[:1] == b"{"):
        return _opened_json(path, compression, options)
    return _opened_csv(path, compression, options)


def _compression(path: Path, start: bytes) -> str | None:
    for suffix, (name, magic) in _COMPRESSIONS.items():
        if start.startswith(magic):
            return name
        if path.suffix == suffix:
            raise TableError(f"{path} is not packed by {name}, as its name says; rename it")
    return None


def _opened_parquet(path: Path) -> tuple[File, _Found, bool]:
    try:
        with pq.ParquetFile(path) as file:
            schema, n_rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error
    if twice := {name for name in schema.names if schema.names.count(name) > 1}:
        raise TableError(f"{path}: two columns are named {min(twice)!r}")
    return ParquetFile(path, schema, n_rows), _Found((), {}), n_rows > 0


def _opened_json(
    path: Path, compression: str | None, options: ReadOptions
) -> tuple[File, _Found, bool]:
    encoding = find_encoding(path, compression, options.encoding)
    text, _ = read_head(path, compression, encoding)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    if not text.strip():
        raise TableError(f"{path} is empty")
    if text.lstrip().startswith("["):
        raise TableError(
            f"{path}, line 1 begins with '[': write one JSON object in each line instead of an "
            "array, with `jq -c '.[]'` for example"
        )
    names: dict[str, None] = {}
    nested = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            if number == 1 or not names:
                raise TableError(f"{path}, line {number} is not a JSON object: {error}") from None
            continue
        if not isinstance(values, dict):
            if not names:
                raise TableError(f"{path}, line {number} is not a JSON object")
            continue
        names.update(dict.fromkeys(values))
        nested |= {name for name, value in values.items() if isinstance(value, dict | list)}
    dialect = Dialect(
        compression, encoding, ",", None, tuple(names), None, len(mark.encode()), (), True
    )
    packed = f", {compression}" if compression else ""
    found = _Found((f"JSON lines, {encoding}{packed}",), {})
    return JsonFile(path, dialect, tuple(names), frozenset(nested)), found, True


def _opened_csv(
    path: Path, compression: str | None, options: ReadOptions
) -> tuple[File, _Found, bool]:
    dialect = find_dialect(
        path,
        compression,
        sep=options.sep,
        encoding=options.encoding,
        header=options.header,
    )
    findings = [str(dialect)]
    if dialect.preamble:
        n = len(dialect.preamble)
        shown = dialect.preamble[0].strip()[:40]
        findings.append(
            f"{n} line{'s' * (n > 1)} above the header left out, beginning with {shown!r}"
        )
    names: list[str] = []
    originals: dict[str, str] = {}
    unnamed, padded = [], []
    for number, original in enumerate(dialect.names, start=1):
        name = original.strip()
        if name != original and name:
            padded.append(name)
        if not name:
            name = f"column_{number}"
            unnamed.append(name)
        if name in names:
            originals[f"{name} (column {number})"] = name
            name = f"{name} (column {number})"
        names.append(name)
    if padded:
        findings.append(f"blanks around names of columns removed: {', '.join(padded)}")
    if unnamed:
        findings.append(f"columns without a name are called {', '.join(unnamed)}")
    if originals:
        findings.append(f"two columns are named {', '.join(sorted(set(originals.values())))}")
    found = _Found(tuple(findings), originals)
    return CsvFile(path, dialect, tuple(names)), found, dialect.has_rows


def _check_same(first: File, other: File) -> None:
    """Raise TableError if two files are of different formats or have different columns."""
    if type(first) is not type(other):
        raise TableError(f"{other.path} is of another format than {first.path}")
    for name in first.names:
        if name not in other.names:
            raise TableError(f"{other.path} has no column {name!r}, which {first.path} has")
    for name in other.names:
        if name not in first.names:
            raise TableError(f"{other.path} has a column {name!r}, which {first.path} lacks")
