"""What the beginning of a CSV file reveals: encoding, delimiter, header and names of the columns.

The delimiter is the one by which most of the first rows have the same number of fields. What is
above the first of these rows is not part of the table.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_anomaly.batch.errors import TableError

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_BYTES = 1 << 20
"""How much of a file is looked at to find out how it is written."""

_HEAD_RECORDS = 1000
_MAX_FIELD = 16 << 20
"""The longest field, in characters; Arrow refuses a row before it is as long."""

_DELIMITERS = ("\t", ";", "|", ",")
"""The delimiters that are tried; of two that fit as well, the one that is rarer inside of cells."""

_DELIMITER_NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas", " ": "blanks"}
_VALUE = re.compile(
    r"\s*[-+(]?\s*[^\w\s]?\s*\d[\d.,' \u00a0\u202f]*(e[-+]?\d+)?\s*[^\w\s]?\)?-?\s*"
    r"|\s*\d{4}-\d{2}-\d{2}([T ].*)?|\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*",
    re.IGNORECASE,
)
"""What a number or a date looks like, and the name of a column rarely does."""
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The first line that tells the delimiter to Excel."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    compression: str | None
    encoding: str
    delimiter: str
    escape: str | None
    """What stands before a quote inside of a quoted field; None if quotes are doubled."""
    names: tuple[str, ...]
    """The names of the columns as they are in the header, or made up if there is none."""
    header_line: int | None
    """The number of the line of the header, counted from 1."""
    n_bytes_before: int
    """The number of bytes before the first row, in UTF-8."""
    preamble: tuple[str, ...]
    """The lines above the header."""
    has_rows: bool

    def __str__(self) -> str:
        delimiter = _DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))
        header = "no header" if self.header_line is None else f"header in line {self.header_line}"
        separated = f"separated by {delimiter}, " if len(self.names) > 1 else ""
        packed = f", {self.compression}" if self.compression else ""
        return f"CSV {separated}{header}, {self.encoding}{packed}"


def opened(path: Path, compression: str | None, encoding: str) -> pa.NativeFile:
    """Return a file as a stream of UTF-8, without compression.

    Raises
    ------
    TableError
        If the encoding is not known.
    """
    import pyarrow as pa

    stream = pa.input_stream(str(path), compression=compression)
    if encoding in ("utf-8", "ascii"):
        return stream
    return pa.transcoding_input_stream(stream, encoding, "utf-8")


def read_head(path: Path, compression: str | None, encoding: str) -> tuple[str, bool]:
    """Return the beginning of a file, whole lines, and whether there is more.

    Raises
    ------
    TableError
        If it cannot be read or decoded.
    """
    try:
        with opened(path, compression, encoding) as stream:
            data = stream.read(HEAD_BYTES)
            goes_on = bool(stream.read(1)) if len(data) == HEAD_BYTES else False
    except (OSError, UnicodeError) as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    if goes_on:
        end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        if end < 0:
            raise TableError(f"{path}, line 1 is longer than {HEAD_BYTES:,} bytes")
        data = data[: end + 1]
    try:
        return data.decode(), goes_on
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(not_utf8(path, line, data[error.start : error.start + 1])) from None


def not_utf8(path: Path, line: int | None, byte: bytes) -> str:
    """Return what to say about a file in another encoding."""
    at = "" if line is None else f", line {line}"
    shown = f" (byte 0x{byte.hex()})" if byte else ""
    return (
        f"{path}{at} is not UTF-8{shown}; name its encoding, such as --encoding cp1252 or "
        "--encoding latin-1"
    )


def find_encoding(path: Path, compression: str | None, wanted: str | None) -> str:
    """Return the encoding of a file, by its first bytes unless it is given.

    Raises
    ------
    TableError
        If it is not known, or the file holds bytes that are not text.
    """
    import pyarrow as pa

    if wanted is not None:
        try:
            return codecs.lookup(wanted).name
        except LookupError:
            raise TableError(f"--encoding {wanted}: there is no such encoding") from None
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            start = stream.read(4096)
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error}") from error
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start.count(b"\0") > len(start) // 4:
        raise TableError(
            f"{path} is no text, or it is in UTF-16 without a mark; if so, name it by --encoding "
            "utf-16-le or utf-16-be"
        )
    return "utf-8"


def find_dialect(
    path: Path,
    compression: str | None,
    *,
    sep: str | None,
    encoding: str | None,
    header: bool | None,
) -> Dialect:
    """Find out how a CSV file is written.

    Parameters
    ----------
    path : Path
        The file.
    compression : str or None
        How it is compressed.
    sep, encoding, header
        What is known, or None.

    Raises
    ------
    TableError
        If it cannot be read, is empty, or has a header that does not fit its rows.
    """
    encoding = find_encoding(path, compression, encoding)
    text, goes_on = read_head(path, compression, encoding)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    if not text.strip():
        raise TableError(f"{path} is empty")
    if text.lstrip().startswith("<"):
        raise TableError(f"{path}, line 1 begins with '<': it is HTML or XML and not a table")
    told = _SEP_LINE.match(text)
    if told is not None and sep is None:
        sep = told[1]
    best: list[_Record] = []
    n_fields = 1
    if sep is None:
        sep, share = ",", 0.0
        for delimiter in _DELIMITERS:
            records = list(_records(text, delimiter, path))
            fields, found = _usual_number_of_fields(records)
            if fields > 1 and found > share:
                sep, share, best, n_fields = delimiter, found, records, fields
    if not best:
        best = list(_records(text, sep, path))
        if told is not None and len(best) == 1:
            raise TableError(f"{path} is empty but for its first line")
        n_fields, _ = _usual_number_of_fields(best[told is not None :])
    first = next(
        at
        for at, record in enumerate(best)
        if len(record.fields) == n_fields and at >= (told is not None)
    )
    above, rest = best[:first], best[first:]
    has_header = _is_header(rest) if header is None else header
    if above and (header is False or (not has_header and header is None)):
        line, found = above[-1].line, len(above[-1].fields)
        raise TableError(
            f"{path}, line {line} has {found} field{'s' * (found != 1)}, but most rows have "
            f"{n_fields}; correct the line, or name the delimiter by --sep"
        )
    if has_header:
        names = tuple(rest[0].fields)
        n_before, header_line = rest[0].end, rest[0].line
    else:
        names = tuple(f"column_{number}" for number in range(1, n_fields + 1))
        n_before, header_line = 0, None
    return Dialect(
        compression,
        encoding,
        sep,
        _escape(text, sep),
        names,
        header_line,
        n_before + len(mark.encode()),
        tuple(sep.join(record.fields) for record in above),
        len(rest) > has_header or goes_on,
    )


@dataclass(frozen=True)
class _Record:
    fields: list[str]
    line: int
    """The number of its first line, counted from 1."""
    end: int
    """The number of bytes up to its end, in UTF-8."""


def _records(text: str, delimiter: str, path: Path) -> Iterator[_Record]:
    """Yield the first records that are not blank."""
    n_bytes = 0

    def lines() -> Iterator[str]:
        nonlocal n_bytes
        for line in io.StringIO(text, newline=""):
            n_bytes += len(line.encode())
            yield line

    reader = csv_reader(lines(), delimiter, _escape(text, delimiter))
    n_records, line = 0, 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields) or len(fields) > 1:
                yield _Record(fields, line, n_bytes)
                n_records += 1
            if n_records == _HEAD_RECORDS:
                return
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}, line {line} cannot be read: {error}") from error


def csv_reader(
    lines: Iterator[str], delimiter: str, escape: str | None, *, strict: bool = False
) -> Any:
    """Return the reader of the standard library that parses records as the rest does."""
    # The limit of 128 KiB holds for all readers; a caller who has chosen a larger one keeps it.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
    return csv.reader(
        lines, delimiter=delimiter, doublequote=escape is None, escapechar=escape, strict=strict
    )


def _escape(text: str, delimiter: str) -> str | None:
    """Return the backslash if quotes inside of quoted fields have one, and are not doubled."""
    ends = re.escape(delimiter) + r"\r\n"
    inside = re.search(rf'\\"[^{ends}"]', text)
    return "\\" if inside and '""' not in text.replace('\\""', "") else None


def _usual_number_of_fields(records: Sequence[_Record]) -> tuple[int, float]:
    """Return how many fields most records have, and the share of the records that do."""
    counts = Counter(len(record.fields) for record in records)
    n_fields, n_records = max(counts.items(), key=lambda item: (item[1], item[0]))
    if len(records) > n_records and n_records == 1:
        # Two lines that differ: the header decides.
        n_fields = len(records[0].fields)
    return n_fields, n_records / len(records)


def _is_header(records: Sequence[_Record]) -> bool:
    """Return whether the first of these records holds names rather than values.

    It does if it holds no values, or a text above values, or a text that does not recur in a column
    whose texts do.
    """
    first, rows = records[0].fields, [record.fields for record in records[1:101]]
    is_value = [bool(_VALUE.fullmatch(field)) for field in first]
    recurs = []
    for at, field in enumerate(first):
        if is_value[at] or not field.strip():
            continue
        below = [row[at] for row in rows if at < len(row) and row[at].strip()]
        n_values = sum(bool(_VALUE.fullmatch(cell)) for cell in below)
        if 2 * n_values > len(below) or (field not in below and 2 * len(set(below)) < len(below)):
            return True
        recurs.append(field in below)
    return not any(is_value) and not (recurs and all(recurs))
