"""Tables that cannot be used: for training (`FIT`), and for a model of a, b and c (`SCORE`)."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

N_ROWS = 60
_rng = np.random.RandomState(0)
GOOD = pd.DataFrame(
    {
        "a": _rng.normal(size=N_ROWS).round(3),
        "b": _rng.normal(5, 2, N_ROWS).round(3),
        "c": _rng.choice(["x", "y"], N_ROWS),
    }
)
"""A table without faults: two columns of numbers and one of categories."""

COLUMNS = [
    {"name": "a", "kind": "number"},
    {"name": "b", "kind": "number"},
    {"name": "c", "kind": "category"},
]
TEXT = GOOD.to_csv(index=False)


@dataclass(frozen=True)
class Malformed:
    """A file that is refused."""

    name: str
    content: bytes
    words: tuple[str, ...]
    """What the message has to name."""
    file: str = "table.csv"
    flags: tuple[str, ...] = ()
    """Options of the command."""
    read: dict[str, Any] = field(default_factory=dict)
    """The same for `ReadOptions`."""
    find: dict[str, Any] = field(default_factory=dict)
    """The same for `find_schema`."""


def csv(name: str, text: str, *words: str, **more: Any) -> Malformed:
    """Return a case of a text in UTF-8."""
    return Malformed(name, text.encode(), words, **more)


def changed(column: str, row: int, value: str) -> str:
    """Return the good table with another cell; the rows are counted from 1."""
    table = GOOD.astype({column: object})
    table.loc[row - 1, column] = value
    return table.to_csv(index=False)


def with_column(name: str, values: Any) -> str:
    """Return the good table with another column."""
    return GOOD.assign(**{name: values}).to_csv(index=False)


def parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _line(number: int, line: str) -> str:
    lines = _lines(TEXT)
    lines[number - 1] = line
    return "".join(lines)


_ARROW = pa.Table.from_pandas(GOOD, preserve_index=False)
_JSON = GOOD.to_json(orient="records", lines=True)

ANYWHERE = [
    Malformed("empty file", b"", ("table.csv", "empty")),
    csv("blank lines only", "\n\n\n", "table.csv", "empty"),
    csv("header without rows", "a,b,c\n", "table.csv", "no rows"),
    csv("web page", "<!DOCTYPE html>\n<html></html>\n", "table.csv", "HTML"),
    Malformed("Latin-1", TEXT.replace("x", "é").encode("latin-1"), ("not UTF-8", "--encoding")),
    Malformed("UTF-16 without mark", TEXT.encode("utf-16-le"), ("table.csv", "UTF-16")),
    csv(
        "unknown encoding",
        TEXT,
        "--encoding",
        "utf-99",
        flags=("--encoding", "utf-99"),
        read={"encoding": "utf-99"},
    ),
    Malformed("Excel workbook", b"PK\x03\x04" + b"\0" * 100, ("table.xlsx", "CSV"), "table.xlsx"),
    Malformed("old workbook", b"\xd0\xcf\x11\xe0" + b"\0" * 100, ("Excel",), "table.xls"),
    Malformed("text named .gz", TEXT.encode(), ("table.csv.gz", "gzip"), "table.csv.gz"),
    Malformed(
        "cut-off gzip", gzip.compress(TEXT.encode())[:-30], ("table.csv.gz",), "table.csv.gz"
    ),
    Malformed("text named .zst", TEXT.encode(), ("table.csv.zst", "zstd"), "table.csv.zst"),
    Malformed("text named .parquet", TEXT.encode(), ("table.parquet",), "table.parquet"),
    Malformed("cut-off Parquet", parquet(_ARROW)[:-20], ("table.parquet",), "table.parquet"),
    Malformed("Parquet without rows", parquet(_ARROW[:0]), ("no rows",), "table.parquet"),
    Malformed("bzip2", b"BZh91AY&SY", ("table.csv.bz2", "bzip2"), "table.csv.bz2"),
    Malformed("HDF5", b"\x89HDF\r\n\x1a\n", ("table.h5", "HDF5"), "table.h5"),
    Malformed("NumPy array", b"\x93NUMPY\x01\x00", ("table.npy", "NumPy"), "table.npy"),
    csv("long row", _line(9, "1,2,x,3\n"), "line 9", "4 fields", "3"),
    csv("short row", _line(9, "1,2\n"), "line 9", "2 fields", "3"),
    csv("header too short", _line(1, "a,b\n"), "line 1", "2 fields", "3"),
    csv("quote that is not closed", _line(9, '1,2,"x\n'), "table.csv", "line 9", "quote"),
    Malformed("byte that is no UTF-8", TEXT.encode().replace(b"x", b"\xff", 1), ("not UTF-8",)),
    csv("JSON array", '[{"a": 1, "b": 2, "c": "x"}]', "array", file="table.json"),
    csv("no JSON", "hello\n", "line 1", file="table.jsonl"),
    csv("cut-off JSON", _JSON + '{"a": 1,', "line 61", file="table.jsonl"),
    csv("JSON number in a line", _JSON + "12\n", "line 61", file="table.jsonl"),
    csv("bad number", changed("a", 8, "n/a?"), "line 9", "'a'", "'n/a?'", "--bad-cells missing"),
    csv("infinite number", changed("a", 8, "inf"), "line 9", "'a'", "'inf'"),
    csv("number that overflows", changed("a", 8, "1e999"), "line 9", "'a'", "'1e999'"),
    csv("NaN as text", changed("a", 8, "NaN"), "line 9", "'a'", "'NaN'"),
    csv("NULL as text", changed("b", 60, "NULL"), "line 61", "'b'", "'NULL'"),
    csv("dash for nothing", changed("b", 1, "-"), "line 2", "'b'", "'-'"),
    csv("number with an underscore", changed("b", 3, "1_000"), "line 4", "'b'", "'1_000'"),
    csv("decimal comma in a cell", changed("b", 3, "1,5"), "line 4", "'b'", "'1,5'"),
    csv("currency in a cell", changed("b", 3, "$5"), "line 4", "'b'", "'$5'"),
    csv("NUL in a cell", changed("b", 3, "5\0"), "line 4", "'b'"),
    csv("blank cell", changed("b", 3, "  "), "line 4", "'b'", "'  '"),
    Malformed(
        "infinite number in Parquet",
        parquet(_ARROW.set_column(0, "a", pa.array([np.inf, *range(N_ROWS - 1)]))),
        ("row 1", "'a'", "inf"),
        "table.parquet",
    ),
    csv(
        "JSON with a bad number",
        _JSON + '{"a": "k", "b": 1, "c": "x"}\n',
        "line 61",
        "'a'",
        "'k'",
        file="table.jsonl",
    ),
]
"""Files that neither can be trained on nor scored."""

_DAYS = [f"{day % 28 + 1:02}" for day in range(N_ROWS)]
FIT = [
    *ANYWHERE,
    csv("no delimiter", "a b c\n1 2 3\n4 5 6\n", "single column", "--sep"),
    csv(
        "wrong delimiter",
        TEXT,
        "single column",
        "--sep",
        flags=("--sep", ";"),
        read={"sep": ";"},
    ),
    csv("two columns of one name", _line(1, "a,b,b\n"), "table.csv", "'b'", "--drop"),
    csv(
        "second column of the label's name",
        "y,a,y\n" + "1,2,1\n0,3,0\n" * 9,
        "'y'",
        "label",
        flags=("--label", "y", "--outlier", "1"),
        find={"label": "y"},
    ),
    csv(
        "copy of the label",
        GOOD.assign(y=[0, 1] * 30, z=[0, 1] * 30).to_csv(index=False),
        "'z'",
        "label",
        flags=("--label", "y", "--outlier", "1"),
        find={"label": "y"},
    ),
    csv(
        "label in other words",
        GOOD.assign(y=[0, 1] * 30, z=["no", "yes"] * 30).to_csv(index=False),
        "'z'",
        "label",
        flags=("--label", "y", "--outlier", "1"),
        find={"label": "y"},
    ),
    csv("months for dates", with_column("month", [f"2024-{i % 12 + 1:02}" for i in range(60)]),
        "'month'", "--date 'month=%Y-%m'"),
    csv("label that is missing", TEXT, "'y'", flags=("--label", "y", "--outlier", "1"),
        find={"label": "y"}),
    csv("dropped column in another spelling", TEXT, "'A'", "did you mean 'a'",
        flags=("--drop", "A"), find={"drop": ["A"]}),
    csv("dates of a country", with_column("day", [f"{day}.01.2020" for day in _DAYS]), "'day'",
        "--date 'day=%d.%m.%Y'"),
    csv("dates of two countries", with_column("day", [f"0{i % 9 + 1}/01/2020" for i in range(60)]),
        "'day'", "%d/%m/%Y", "%m/%d/%Y"),
    csv("date that does not exist",
        with_column("day", ["2020-02-30"] + [f"2020-01-{day}" for day in _DAYS[1:]]),
        "line 2", "'day'", "'2020-02-30'"),
    csv(
        "date of another format",
        with_column("day", ["soon"] + [f"{day}.01.2020" for day in _DAYS[1:]]),
        "line 2", "'day'", "'soon'",
        flags=("--date", "day=%d.%m.%Y"),
        find={"dates": {"day": "%d.%m.%Y"}},
    ),
    csv("commas that mean two things",
        GOOD.assign(a=[f"{i % 9 + 1},{100 + i}" for i in range(60)]).to_csv(index=False, sep=";"),
        "'a'", "--decimal", "--thousands"),
    csv("numbers in two currencies",
        GOOD.assign(a=["$5", "5 €"] * 30).to_csv(index=False), "'a'", "more than one way"),
    csv("percent signs but for one", GOOD.assign(a=[f"{i}%" for i in range(59)] + ["0.5"])
        .to_csv(index=False), "line 61", "'a'", "'0.5'"),
    csv("words for numbers", changed("c", 8, "7"), "line 2", "'c'", flags=("--number", "c"),
        find={"numbers": ["c"]}),
    csv("constant columns only", "a,b\n" + "1,x\n" * 9, "no column to learn from"),
    csv("identifiers only", "k,id\n" + "".join(f"{i},A{i}\n" for i in range(99)),
        "no column to learn from"),
    Malformed("nested Parquet", parquet(_ARROW.append_column("d", pa.array([[1]] * N_ROWS))),
              ("'d'", "list", "--drop d"), "table.parquet"),
    Malformed("bytes in Parquet", parquet(_ARROW.append_column("d", pa.array([b"1"] * N_ROWS))),
              ("'d'", "binary", "--drop d"), "table.parquet"),
    Malformed("durations in Parquet",
              parquet(_ARROW.append_column("d", pa.array([1] * N_ROWS, pa.duration("s")))),
              ("'d'", "duration", "--drop d"), "table.parquet"),
    csv("nested JSON", '{"a": 1, "d": {"e": 2}}\n{"a": 2, "d": {"e": 3}}\n', "'d'", "--drop d",
        file="table.jsonl"),
]  # fmt: skip
"""Files that cannot be trained on."""

SCORE = [
    *ANYWHERE,
    csv("missing column", GOOD.drop(columns="b").to_csv(index=False), "table.csv", "'b'"),
    csv("two missing columns", GOOD[["a"]].to_csv(index=False), "'b'", "'c'"),
    csv("column in another spelling", _line(1, "a,B,c\n"), "'b'", "did you mean 'B'"),
    csv("columns separated otherwise", TEXT, "'a'", flags=("--sep", ";"), read={"sep": ";"}),
    csv("no header", "".join(_lines(TEXT)[1:]), "'a'"),
    csv("column of texts for numbers", GOOD.assign(a="k").to_csv(index=False), "line 2", "'a'"),
    csv("decimal commas for points", GOOD.to_csv(index=False, sep=";", decimal=","), "line 2",
        "'a'"),
    csv("two columns of one name", TEXT.replace("\n", ",1\n").replace("a,b,c,1", "a,b,c,a"), "'a'"),
    csv("bad number far below", changed("a", 60, "?"), "line 61", "'a'", "'?'"),
    Malformed("text column for numbers in Parquet",
              parquet(_ARROW.set_column(0, "a", pa.array(["k"] * N_ROWS))),
              ("row 1", "'a'", "'k'"), "table.parquet"),
    Malformed("dates for numbers in Parquet",
              parquet(_ARROW.set_column(0, "a", pa.array([0] * N_ROWS, pa.timestamp("us")))),
              ("'a'", "numbers", "timestamp"), "table.parquet"),
    Malformed("missing column in Parquet", parquet(_ARROW.drop_columns(["c"])), ("'c'",),
              "table.parquet"),
    csv("missing column in JSON", '{"a": 1, "b": 2}\n', "'c'", file="table.jsonl"),
]  # fmt: skip
"""Files that a model of a, b and c cannot score."""
