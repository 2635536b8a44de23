"""Writing tables as CSV, JSON lines or Parquet: streams, parts, and wholes put together from parts.

The bytes depend on the rows alone, not on when or how often they are written.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vae_anomaly.batch.records import CsvFile
from vae_anomaly.batch.sql import literal
from vae_anomaly.files import replacing

if TYPE_CHECKING:
    import os

    import numpy as np

    from vae_anomaly.batch.source import Frame, Source

_KINDS: dict[str, Literal["csv", "json", "parquet"]] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}
_COMPRESSIONS: dict[str, Literal["gzip", "zstd"]] = {".gz": "gzip", ".zst": "zstd"}

# Formulas begin as OWASP lists it, with the wide characters of East Asia too; signed numbers are
# none, whatever their decimal mark. An empty text is put in quotes, as it is not a missing one.
_MACROS = r"""
CREATE MACRO escaped(t) AS CASE
    WHEN regexp_matches(t, '^[=+\-@\t\r\n\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]')
        AND NOT regexp_matches(t, '^[+-]?[.,]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$')
    THEN '''' || t ELSE t END;
CREATE MACRO quoted(t) AS CASE
    WHEN t = '' OR regexp_matches(t, '[",\r\n]')
    THEN '"' || replace(t, '"', '""') || '"' ELSE t END;
"""

Write = Callable[[pa.Table], None]


@dataclass(frozen=True)
class OutputFormat:
    """What the name of a file says about its content.

    Parameters
    ----------
    kind : {"csv", "json", "parquet"}
        CSV with commas and a header; JSON lines, one object a row; or Parquet.
    compression : {"gzip", "zstd"} or None
        That of the file. Parquet compresses its columns instead.
    escape_formulas : bool
        Whether cells of text that a spreadsheet would run as formulas, and names of columns like
        that, get an apostrophe in front. Only for CSV.
    """

    kind: Literal["csv", "json", "parquet"]
    compression: Literal["gzip", "zstd"] | None = None
    escape_formulas: bool = False

    @classmethod
    def of(cls, path: str | os.PathLike[str], *, escape_formulas: bool = False) -> OutputFormat:
        """Return the format that a name asks for; names without a suffix, as of pipes, are CSV."""
        suffixes = [suffix.lower() for suffix in Path(path).suffixes]
        compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
        if compression is not None:
            suffixes.pop()
        kind = _KINDS.get(suffixes[-1]) if suffixes else "csv"
        if kind is None or (kind == "parquet" and compression is not None):
            raise ValueError(
                f"{path}: the name must end in .csv, .json, .jsonl, .ndjson or .parquet; all but "
                ".parquet may be followed by .gz or .zst."
            )
        return cls(kind, compression, escape_formulas and kind == "csv")

    def check(self, schema: pa.Schema) -> None:
        """Raise a ValueError if a column cannot be written, naming it."""
        if self.kind != "csv":
            return
        for field in schema:
            if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
                raise ValueError(
                    f"Column {field.name!r} is of type {field.type}, which a CSV file cannot hold: "
                    "do not keep it, or write Parquet."
                )


@contextmanager
def writing(
    file: BinaryIO, form: OutputFormat, schema: pa.Schema, *, header: bool = True
) -> Iterator[Write]:
    """Yield a function that writes tables of a schema to a file, which need not be seekable.

    `header` says whether the names of the columns come first in a CSV file. If not, it is a part
    that continues another one.
    """
    if form.kind == "parquet":
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield lambda table: writer.write_table(table, row_group_size=max(1, len(table)))
        return
    with _compressed(file, form) as stream, duckdb.connect() as connection:
        connection.execute("SET threads = 1; SET TimeZone = 'UTC';" + _MACROS)

        def lines(query: str, table: pa.Table) -> Iterator[memoryview]:
            # DuckDB takes a and A for the same column: they go by their numbers.
            numbered = table.rename_columns([str(i) for i in range(table.num_columns)])
            connection.register("cells", numbered)
            for chunk in connection.sql(query).to_arrow_table()["line"].chunks:
                yield _joined(chunk)

        if form.kind == "csv" and header:
            names = pa.table([pa.array([name]) for name in schema.names], names=schema.names)
            stream.writelines(lines(_csv(names.schema, form.escape_formulas), names))
        query = _csv(schema, form.escape_formulas) if form.kind == "csv" else _json(schema)
        yield lambda table: stream.writelines(lines(query, table))


def put_together(parts: Sequence[Path], file: BinaryIO, form: OutputFormat) -> None:
    """Write the parts of a table, of which only the first has a header, one after the other."""
    if form.kind != "parquet":
        for path in parts:  # gzip and Zstandard allow files one after the other too
            with path.open("rb") as part:
                shutil.copyfileobj(part, file, 1 << 20)
        return
    with writing(file, form, pq.read_schema(parts[0])) as write:
        for path in parts:
            with pq.ParquetFile(path) as part:
                for number in range(part.num_row_groups):
                    write(part.read_row_group(number))


def write_rows(source: Source, path: str | os.PathLike[str], chosen: np.ndarray) -> None:
    """Write some rows of a source, as they are there, to a file, whole or not at all.

    Parameters
    ----------
    source : Source
        The table.
    path : str or path-like
        The file.
    chosen : ndarray of shape (n_rows,), dtype bool
        Which rows to write.
    """
    form = OutputFormat.of(path)
    frames = source.frames(None, keep=source.names)
    with ExitStack() as stack:
        part = stack.enter_context(replacing(path))
        file = stack.enter_context(part.open("wb"))
        write: Write | None = None
        for frame in frames:
            kept = kept_cells(source, frame).select(source.names)
            rows = kept.filter(pa.array(chosen[frame.rows - 1]))
            if write is None:
                form.check(rows.schema)
                write = stack.enter_context(writing(file, form, rows.schema))
            write(rows)


def kept_cells(source: Source, frame: Frame) -> pa.Table:
    """Return the kept columns of a frame, in which empty fields of CSV are missing values."""
    if not isinstance(source.files[0], CsvFile):
        return frame.kept
    # pyarrow 18 fails with if_else on parts of a text column.
    columns = [
        pc.case_when(pc.make_struct(pc.not_equal(column, "")), column)
        for column in frame.kept.columns
    ]
    return pa.table(columns, names=frame.kept.column_names)


def without_codes(table: pa.Table) -> pa.Table:
    """Return a table whose columns are values, not codes, which may differ from part to part."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


@contextmanager
def _compressed(file: BinaryIO, form: OutputFormat) -> Iterator[Any]:
    if form.compression == "gzip":  # no name and no time, so that equal rows give equal bytes
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as stream:
            yield stream
    elif form.compression == "zstd":
        with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as stream:
            yield stream
    else:
        yield file


def _csv(schema: pa.Schema, escape_formulas: bool) -> str:
    """Return the query for the lines of a CSV file: numbers in full, quotes only where needed."""
    cells = []
    for number, field in enumerate(schema):
        cell = text = f'"{number}"'
        if pa.types.is_floating(field.type):
            text = f"CASE WHEN NOT isnan({cell}) THEN {cell} END"
        text = f"({text})::VARCHAR"
        if not _is_plain(field.type):
            text = f"quoted({f'escaped({text})' if escape_formulas else text})"
        cells.append(f"coalesce({text}, '')")
    joined = " || ',' || ".join(cells)
    return f"SELECT {joined} || chr(10) AS line FROM cells"


def _json(schema: pa.Schema) -> str:
    """Return the query for JSON lines, in which NaN and infinity can only be null."""
    fields = []
    for number, field in enumerate(schema):
        cell = f'"{number}"'
        if pa.types.is_floating(field.type):
            cell = f"CASE WHEN isfinite({cell}) THEN {cell} END"
        fields.append(f"{literal(field.name)}, {cell}")
    return f"SELECT json_object({', '.join(fields)}) || chr(10) AS line FROM cells"


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether values of a type, as text, hold no comma, quote or end of a line."""
    return (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    )


def _joined(lines: pa.Array) -> memoryview:
    """Return the texts of an array as one, without a copy: Arrow keeps them that way."""
    lines = lines.cast(pa.large_string())
    offsets = memoryview(lines.buffers()[1]).cast("q")
    return memoryview(lines.buffers()[2])[
        offsets[lines.offset] : offsets[lines.offset + len(lines)]
    ]
