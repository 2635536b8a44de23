"""Tables are written as CSV, JSON lines and Parquet, at once or in parts, with the same bytes."""

import csv
import datetime
import gzip
import io
import json
import os
import threading

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vae_anomaly.batch.outputs import OutputFormat, put_together, writing

NAMES = [
    "out.csv",
    "out.csv.gz",
    "out.csv.zst",
    "out.jsonl",
    "out.jsonl.gz",
    "out.ndjson.zst",
    "out.parquet",
]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "row": np.arange(1, 1001),
            "id": pa.array(["007", "", None, 'x,"y"\nz', "é"] * 200),
            "score": rng.standard_normal(1000) * 10.0 ** rng.integers(-300, 300, 1000),
            "is_outlier": rng.random(1000) < 0.5,
        }
    )


def write(path, table, **options):
    form = OutputFormat.of(path, **options)
    with path.open("wb") as file, writing(file, form, table.schema) as add:
        add(table)
    return path


def text(table, name="out.csv", **options):
    file = io.BytesIO()
    form = OutputFormat.of(name, **options)
    with writing(file, form, table.schema) as add:
        add(table)
        return file.getvalue().decode()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_back_to_the_bit(name, table, tmp_path):
    path = write(tmp_path / name, table)
    types = "{'id': 'VARCHAR'}"
    match OutputFormat.of(path).kind:
        case "csv":
            query = f"read_csv('{path}', types = {types}, allow_quoted_nulls = false)"
        case "json":
            query = f"read_json('{path}')"
        case _:
            query = f"'{path}'"
    back = duckdb.sql(f"FROM {query}").to_arrow_table()
    assert back.to_pydict() == table.to_pydict()


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.csv.zst"])
def test_pandas_reads_the_csv_files(name, table, tmp_path):
    path = write(tmp_path / name, table)
    back = pd.read_csv(path, dtype={"id": str})
    pd.testing.assert_series_equal(back["score"], table["score"].to_pandas(), check_names=False)
    assert back["is_outlier"].dtype == bool


@pytest.fixture
def in_parts(table, tmp_path):
    """Write a table in four parts and put them together."""

    def write_parts(path):
        form, parts = OutputFormat.of(path), []
        for start in range(0, 1000, 300):
            parts.append(tmp_path / f"part{start}")
            with (
                parts[-1].open("wb") as file,
                writing(file, form, table.schema, header=start == 0) as add,
            ):
                add(table.slice(start, 300))
        with path.open("wb") as file:
            put_together(parts, file, form)
        return path

    return write_parts


@pytest.mark.parametrize("name", NAMES[:-1])
def test_parts_put_together_are_the_text_written_at_once(name, table, in_parts, tmp_path):
    with pa.input_stream(in_parts(tmp_path / name), OutputFormat.of(name).compression) as file:
        assert file.read().decode() == text(table, name.removesuffix(".gz").removesuffix(".zst"))


def test_parts_put_together_are_row_groups_of_parquet(table, in_parts, tmp_path):
    path = in_parts(tmp_path / "out.parquet")
    assert pq.read_table(path).equals(table)
    assert pq.ParquetFile(path).num_row_groups == 4


@pytest.mark.parametrize("name", ["out.csv.gz", "out.csv.zst"])
def test_compressed_parts_put_together_are_read_whole_by_others(name, in_parts, tmp_path):
    path = in_parts(tmp_path / name)
    assert len(pd.read_csv(path)) == 1000
    assert duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall() == [(1000,)]


@pytest.mark.parametrize("name", NAMES)
def test_equal_rows_give_equal_bytes(name, table, tmp_path):
    first = write(tmp_path / name, table).read_bytes()
    assert write(tmp_path / name, table).read_bytes() == first


def test_gz_is_gzip(table, tmp_path):
    with gzip.open(write(tmp_path / "out.csv.gz", table), "rt", newline="") as file:
        assert len(list(csv.reader(file))) == 1001


def test_only_cells_that_need_quotes_have_them(table):
    lines = text(table.select(["id"])).splitlines()
    assert lines[:6] == ["id", "007", '""', "", '"x,""y""', 'z"']


def test_columns_whose_names_differ_in_case_only_are_told_apart():
    table = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "A", 'it\'s "a"'])
    assert text(table) == 'a,A,"it\'s ""a"""\n1,2,3\n'
    assert json.loads(text(table, "out.jsonl")) == {"a": 1, "A": 2, 'it\'s "a"': 3}


def test_numbers_that_json_lacks_are_null_and_nan_in_csv_is_empty():
    table = pa.table({"x": [np.nan, np.inf, 0.1]})
    assert [json.loads(line)["x"] for line in text(table, "a.jsonl").splitlines()] == [
        None,
        None,
        0.1,
    ]
    assert text(table) == "x\n\ninf\n0.1\n"


def test_times_are_written_in_utc():
    noon = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.UTC)
    table = pa.table({"at": pa.array([noon], pa.timestamp("us", "Europe/Berlin"))})
    assert text(table) == "at\n2024-07-01 12:00:00+00\n"


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|x", "-2+3", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"]
)
def test_cells_that_a_spreadsheet_would_run_are_escaped_on_request(cell):
    table = pa.table({cell: [cell]})
    escaped = list(csv.reader(io.StringIO(text(table, escape_formulas=True), newline="")))
    assert escaped == [["'" + cell], ["'" + cell]]
    assert list(csv.reader(io.StringIO(text(table), newline=""))) == [[cell], [cell]]


@pytest.mark.parametrize(
    "cell", ["-5", "+4.5e-3", "-.5", "-1,5", "-1.234,5", "a=b", "", "-1.", "x"]
)
def test_numbers_and_other_text_are_not_escaped(cell):
    table = pa.table({"x": [cell], "y": [-1.5]})
    escaped = list(csv.reader(io.StringIO(text(table, escape_formulas=True), newline="")))
    assert escaped == [["x", "y"], [cell, "-1.5"]]


@pytest.mark.parametrize("name", ["out.xlsx", "out.parquet.gz", "out.gz.csv.bz2", "out.txt"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        OutputFormat.of(name)


def test_columns_that_csv_cannot_hold_are_refused_by_name():
    schema = pa.schema({"row": pa.int64(), "tags": pa.list_(pa.string())})
    with pytest.raises(ValueError, match="Column 'tags' is of type list"):
        OutputFormat.of("out.csv").check(schema)
    OutputFormat.of("out.parquet").check(schema)


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_takes_every_format(name, table, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with pipe.open("wb") as file, writing(file, OutputFormat.of(name), table.schema) as add:
        add(table)
    reader.join()
    assert got == [write(tmp_path / name, table).read_bytes()]


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_an_os_error(name, table):
    with (
        pytest.raises(OSError, match="No space left"),
        open("/dev/full", "wb") as file,
        writing(file, OutputFormat.of(name), table.schema) as add,
    ):
        add(pa.concat_tables([table] * 100))
