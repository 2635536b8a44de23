import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from malformed import COLUMNS, FIT, GOOD, N_ROWS, SCORE

from vae_anomaly import TableSchema
from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.kinds import find_schema
from vae_anomaly.batch.source import ReadOptions, Source

TIMES = pd.Series(pd.date_range("2024-01-01", periods=N_ROWS, freq="7h"))


def by_name(cases):
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def written(case, folder):
    path = folder / case.file
    path.write_bytes(case.content)
    return path


def check(error, case):
    message = str(error.value)
    assert "\n" not in message
    assert case.file in message or "--" in message
    for word in case.words:
        assert word in message


@by_name(FIT)
def test_what_cannot_be_trained_on_is_refused_by_name(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(TableError) as error:
        find_schema(Source.open([path], ReadOptions(**case.read)), **case.find)
    check(error, case)


@by_name(SCORE)
def test_what_cannot_be_scored_is_refused_by_name(case, tmp_path):
    path = written(case, tmp_path)
    with pytest.raises(TableError) as error:
        list(Source.open([path], ReadOptions(**case.read)).frames(TableSchema(COLUMNS)))
    check(error, case)


def opened(folder, text, name="table.csv", **options):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Source.open([path], ReadOptions(**options))


def found(source, **options):
    result = find_schema(source, **options)
    return {column["name"]: column for column in result.columns}, " | ".join(
        [*source.findings, *result.findings]
    )


def kinds(source, **options):
    return {name: column["kind"] for name, column in found(source, **options)[0].items()}


def read(source, columns=COLUMNS, **options):
    frames = list(source.frames(TableSchema(columns), **options))
    return pd.concat([frame.table for frame in frames], ignore_index=True)


def rows_of(source, **options):
    return [frame.rows.tolist() for frame in source.frames(TableSchema(COLUMNS), **options)]


# How files are written


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path, sep):
    source = opened(tmp_path, GOOD.to_csv(index=False, sep=sep))
    assert source.names == ("a", "b", "c")
    pd.testing.assert_frame_equal(read(source), GOOD, check_dtype=False)


def test_a_delimiter_inside_of_cells_does_not_count(tmp_path):
    text = "name;note\n" + "".join(f"n{i};a, b, c\n" for i in range(9))
    assert opened(tmp_path, text).names == ("name", "note")


def test_another_delimiter_is_named(tmp_path):
    assert opened(tmp_path, GOOD.to_csv(index=False, sep="~"), sep="~").names == ("a", "b", "c")


def test_a_tab_may_be_named_as_in_a_shell(tmp_path):
    source = opened(tmp_path, "a b\tc\n1 2\t3\n", sep="\\t")
    assert source.names == ("a b", "c")


def test_fields_may_be_very_long(tmp_path):
    text = "a,b,c\n" + '1,2,"x\n"\n' * 1100 + f'1,2,"{"x" * 200_000}"\n3,4\n5,6,y\n'
    (frame,) = opened(tmp_path, text).frames(TableSchema(COLUMNS), bad="reject")
    assert frame.table["c"].str.len().tolist() == [*[2] * 1100, 200_000, 1]
    assert [(reject.row, reject.line) for reject in frame.rejects] == [(1102, 2203)]


def test_ends_of_lines_inside_of_quotes_are_kept_wherever_a_block_ends(tmp_path):
    row = '"x\r\n' + 11 * "y" + '"\r\n'
    n_rows = (4 << 20) // len(row) + 2
    for shift in range(len(row)):
        source = opened(tmp_path, f"c\r\n{'z' * (1 + shift)}\r\n" + row * n_rows)
        cells = pa.concat_tables(part.piece.table for part in source.pieces(["c"]))["c"]
        assert set(cells.to_pylist()[1:]) == {row[1:-3]}


def test_json_lines_end_nowhere_but_at_line_feeds(tmp_path):
    rows = ['{"a": 1, "b": 2, "c": "\u2028\\","}', "", '{"a": 2, "b": 3, "c": "\x85"}', "3"]
    source = opened(tmp_path, "\n".join(rows), "t.jsonl")
    (frame,) = source.frames(TableSchema(COLUMNS), bad="reject")
    assert frame.table["c"].tolist() == ['\u2028",', "\x85"]
    assert [reject.line for reject in frame.rejects] == [4]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_encodings_are_found_or_named(tmp_path, encoding):
    text = GOOD.to_csv(index=False).replace("x", "é")
    named = {"encoding": encoding} if encoding in ("latin-1", "cp1252") else {}
    source = opened(tmp_path, text.encode(encoding), **named)
    assert source.names[0] == "a"
    assert set(read(source)["c"]) == {"é", "y"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_ends_of_lines_are_read(tmp_path, end):
    source = opened(tmp_path, GOOD.to_csv(index=False, lineterminator=end))
    pd.testing.assert_frame_equal(read(source), GOOD, check_dtype=False)


@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv.zst", "packed"])
def test_compressed_files_are_read(tmp_path, name):
    kind = "zstd" if name.endswith("zst") else "gzip"
    with pa.CompressedOutputStream(str(tmp_path / name), kind) as file:
        file.write(GOOD.to_csv(index=False).encode())
    pd.testing.assert_frame_equal(read(Source.open([tmp_path / name])), GOOD, check_dtype=False)


def test_lines_above_the_header_are_left_out_and_named(tmp_path):
    source = opened(tmp_path, "Report 2024\n\n" + GOOD.to_csv(index=False))
    assert len(read(source)) == N_ROWS
    assert "header in line 3" in source.findings[0]
    assert "1 line above the header left out, beginning with 'Report 2024'" in source.findings


def test_a_file_without_a_header_is_found(tmp_path):
    source = opened(tmp_path, GOOD.to_csv(index=False, header=False))
    assert source.names == ("column_1", "column_2", "column_3")
    assert "no header" in source.findings[0]
    assert sum(len(frame.rows) for frame in source.frames(None)) == N_ROWS


def test_a_header_of_numbers_is_named(tmp_path):
    text = "2019,2020\n1,2\n3,4\n"
    assert opened(tmp_path, text).names == ("column_1", "column_2")
    assert opened(tmp_path, text, header=True).names == ("2019", "2020")


def test_a_header_may_hold_years(tmp_path):
    text = "name,2019\n" + "x,1.5\ny,2.5\n" * 9
    assert opened(tmp_path, text).names == ("name", "2019")


def test_texts_that_recur_are_no_header(tmp_path):
    assert opened(tmp_path, "x,k\ny,l\nx,k\ny,k\n").names == ("column_1", "column_2")


def test_the_line_that_tells_excel_the_delimiter_is_read(tmp_path):
    source = opened(tmp_path, "sep=;\n" + GOOD.to_csv(index=False, sep=";"))
    assert source.names == ("a", "b", "c")
    assert len(read(source)) == N_ROWS


@pytest.mark.parametrize(
    "cells", [["1.2.3", "1.2.10"], ["10.0.0.1", "10.0.0.2"], ["10:30", "9:15"], ["A12", "B7"]]
)
def test_what_only_resembles_numbers_is_a_category(tmp_path, cells):
    assert kinds(opened(tmp_path, GOOD.assign(k=cells * 30).to_csv(index=False)))["k"] == "category"


def test_a_header_may_be_denied(tmp_path):
    source = opened(tmp_path, "k,l\nm,n\n", header=False)
    assert source.names == ("column_1", "column_2")
    assert sum(len(frame.rows) for frame in source.frames(None)) == 2


def test_blanks_around_names_are_removed_and_named(tmp_path):
    source = opened(tmp_path, GOOD.to_csv(index=False).replace("a,b,c", "a, b ,c"))
    assert source.names == ("a", "b", "c")
    assert "blanks around names of columns removed: b" in source.findings


def test_quoted_fields_may_hold_anything(tmp_path):
    source = opened(tmp_path, 'a,b,c\n1,2,"x, ""y""\nz"\n3,4,w\n')
    assert read(source)["c"].tolist() == ['x, "y"\nz', "w"]


def test_quotes_may_have_backslashes(tmp_path):
    source = opened(tmp_path, 'a,b,c\n1,2,"x \\"y\\" z"\n3,4,w\n')
    assert read(source)["c"].tolist() == ['x "y" z', "w"]


def test_a_quote_inside_of_a_cell_is_a_character(tmp_path):
    source = opened(tmp_path, 'a,b,c\n1,2,5" pipe\n3,4,w\n')
    assert read(source)["c"].tolist() == ['5" pipe', "w"]


def test_blank_lines_do_not_shift_rows(tmp_path):
    source = opened(tmp_path, "a,b,c\n1,2,x\n\n3,4,y\n\n5,k,z\n")
    with pytest.raises(TableError, match="line 6, column 'b'"):
        read(source)
    (frame,) = source.frames(TableSchema(COLUMNS), bad="reject")
    assert frame.rows.tolist() == [1, 2]
    assert [(reject.row, reject.line) for reject in frame.rejects] == [(3, 6)]


def test_a_blank_line_of_one_column_is_a_missing_value(tmp_path):
    source = opened(tmp_path, "a\n1\n\n3\n")
    np.testing.assert_array_equal(read(source, COLUMNS[:1])["a"], [1, np.nan, 3])


def test_only_an_empty_field_is_missing(tmp_path):
    text = 'a,b,c\n1,2,NA\n3,,None\n5,6,""\n'
    assert read(opened(tmp_path, text))["c"].tolist()[:2] == ["NA", "None"]
    assert read(opened(tmp_path, text)).isna().sum().tolist() == [0, 1, 1]
    assert read(opened(tmp_path, text, missing=("NA",)))["c"].isna().tolist() == [True, False, True]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TableError, match="no regular file"):
        Source.open([tmp_path / "pipe"])


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        Source.open([tmp_path / "none.csv"])
    with pytest.raises(FileNotFoundError, match=r"none-\*.csv"):
        Source.open([tmp_path / "none-*.csv"])


@pytest.mark.parametrize(
    "options",
    [{"sep": ";;"}, {"decimal": "x"}, {"thousands": ",,"}, {"thousands": ".", "decimal": "."}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="--"):
        ReadOptions(**options)


# Several files, and other formats


def test_files_are_read_one_after_the_other(tmp_path):
    for name, part in (("p1.csv", GOOD[:20]), ("p2.csv", GOOD[20:50]), ("p3.csv", GOOD[50:])):
        part.to_csv(tmp_path / name, index=False)
    source = Source.open([tmp_path / "p*.csv"])
    pd.testing.assert_frame_equal(read(source, rows_per_frame=7), GOOD, check_dtype=False)
    (frame,) = source.frames(TableSchema(COLUMNS))
    assert frame.kept["file"].to_pylist()[19:21] == [str(tmp_path / f"p{n}.csv") for n in (1, 2)]


def test_a_file_is_read_once_however_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    GOOD.to_csv("t.csv", index=False)
    (tmp_path / "link.csv").symlink_to("t.csv")
    source = Source.open(["./t.csv", tmp_path / "t.csv", "*.csv"])
    assert [str(path) for path in source.paths] == ["t.csv"]


def test_files_may_have_their_columns_in_another_order(tmp_path):
    GOOD[:20].to_csv(tmp_path / "p1.csv", index=False)
    GOOD[["c", "b", "a"]][20:].to_csv(tmp_path / "p2.csv", index=False, sep=";")
    pd.testing.assert_frame_equal(
        read(Source.open([tmp_path / "p1.csv", tmp_path / "p2.csv"])), GOOD, check_dtype=False
    )


@pytest.mark.parametrize("columns", [["a", "b"], ["a", "b", "c", "d"]])
def test_a_file_of_other_columns_is_named(tmp_path, columns):
    GOOD.to_csv(tmp_path / "p1.csv", index=False)
    GOOD.assign(d=1)[columns].to_csv(tmp_path / "p2.csv", index=False)
    with pytest.raises(TableError, match=r"p2.csv (has no column 'c'|has a column 'd')"):
        Source.open([tmp_path / "p*.csv"])


def test_a_folder_of_parquet_files_is_read(tmp_path):
    GOOD[:20].to_parquet(tmp_path / "part-0.parquet", index=False)
    GOOD[20:].to_parquet(tmp_path / "part-1.parquet", index=False)
    (tmp_path / "_SUCCESS").touch()
    source = Source.open([tmp_path])
    assert source.n_rows == N_ROWS
    pd.testing.assert_frame_equal(read(source), GOOD, check_dtype=False)


def test_parquet_keeps_the_types_of_kept_columns(tmp_path):
    path = tmp_path / "table.parquet"
    GOOD.assign(k=np.arange(N_ROWS)).to_parquet(path, index=False)
    (frame,) = Source.open([path]).frames(TableSchema(COLUMNS), keep=["k"])
    assert frame.kept.schema.field("k").type == pa.int64()


def test_a_row_group_of_parquet_is_not_read_as_a_whole(tmp_path):
    rows = np.random.RandomState(0)
    table = pa.table({name: rows.randn(1_500_000) for name in "ab"})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=len(table), use_dictionary=False)
    n_bytes = table.nbytes
    del table
    before = pa.total_allocated_bytes()
    pieces = Source.open([tmp_path / "t.parquet"]).pieces(["a", "b"])
    next(pieces)
    assert pa.total_allocated_bytes() - before < n_bytes / 2
    pieces.close()


def in_files(folder, *columns):
    """Write a Parquet file for each column k, and open them."""
    for number, k in enumerate(columns):
        table = GOOD.iloc[:: 1 + number][: len(k)].reset_index(drop=True)
        table = pa.Table.from_pandas(table, preserve_index=False).append_column("k", k)
        pq.write_table(table, folder / f"{number}.parquet")
    return Source.open([folder])


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ([pa.nulls(2), pa.array([1, 2], pa.int32()), pa.array([3, None])], pa.int64()),
        ([pa.array([1, 2]), pa.array([2.5, None])], pa.float64()),
        ([pa.array(["x"]).dictionary_encode(), pa.array(["x", "y"])], pa.string()),
    ],
    ids=["integers", "numbers", "texts"],
)
def test_kept_columns_have_one_type_in_all_files(tmp_path, columns, dtype):
    source = in_files(tmp_path, *columns)
    for frame in source.frames(TableSchema(COLUMNS), keep=["k"], rows_per_frame=1):
        assert frame.kept.schema.field("k").type == dtype
    (frame,) = source.frames(TableSchema(COLUMNS), keep=["k"])
    assert frame.kept["k"].to_pylist() == [cell for k in columns for cell in k.to_pylist()]


def test_kept_columns_of_types_that_do_not_go_together_are_refused_by_name(tmp_path):
    source = in_files(tmp_path, pa.array([1, 2]), pa.array(["x", "y"]))
    with pytest.raises(TableError, match=r"1.parquet: column 'k', .* type string, .* int64 in"):
        source.frames(TableSchema(COLUMNS), keep=["k"])
    source = in_files(tmp_path, pa.array([0.5]), pa.array([2**60 + 1]))
    with pytest.raises(TableError, match=r"1.parquet: column 'k', .* type int64 .* double"):
        list(source.frames(TableSchema(COLUMNS), keep=["k"]))


def test_columns_that_are_neither_of_the_model_nor_kept_are_named(tmp_path):
    source = opened(tmp_path, "a,k,b,c,l\n1,2,3,x,4\n")
    assert source.extra_columns(TableSchema(COLUMNS), ["l"]) == ("k",)


def test_dictionaries_of_parquet_are_categories(tmp_path):
    k = pa.array(["7", "12", None] * 20).dictionary_encode()
    assert kinds(in_files(tmp_path, k))["k"] == "category"


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (pa.nulls(4), pa.array([3, 1, 4, 1]), "number"),
        (pa.nulls(4), pa.array(TIMES[:4], pa.timestamp("us")), "date"),
        (pa.nulls(4), pa.array(["x", "y", "x", "y"]), "category"),
        (pa.array([3, 1, 4, 1], pa.int8()), pa.array([1.5, 2.5, 1.5, 2]), "number"),
        (pa.array([3, 1, 4, 1]), pa.nulls(4), "number"),
    ],
    ids=range(5),
)
def test_a_column_may_have_no_type_in_some_files(tmp_path, first, second, kind):
    source = in_files(tmp_path, first, second)
    columns = found(source)[0]
    assert columns["k"]["kind"] == kind
    assert read(source, list(columns.values()))["k"].notna().sum() in (4, 8)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array(["3", None, "1", "4"]), pa.array([3, 1, 4, 1])),
        (pa.array([3, 1, 4, 1]), pa.array(TIMES[:4], pa.timestamp("us"))),
    ],
    ids=["text and number", "number and date"],
)
def test_a_column_of_different_types_in_two_files_is_refused_by_name(tmp_path, first, second):
    with pytest.raises(TableError, match=r"1.parquet: column 'k' is of the type .* write them al"):
        find_schema(in_files(tmp_path, first, second))


def test_nan_in_parquet_is_missing(tmp_path):
    table = pa.table({"a": [1.0, np.nan, None], "b": [1, 2, 3], "c": ["x", "", None]})
    pq.write_table(table, tmp_path / "t.parquet")
    values = read(Source.open([tmp_path / "t.parquet"]))
    assert values.isna().to_numpy().tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 1]]


def test_json_lines_are_read_by_the_same_rules(tmp_path):
    text = '{"a": 1, "b": "2.5", "c": "x"}\n\n{"c": null, "a": 1e3, "b": ""}\n{"a": 3, "b": 4}\n'
    source = opened(tmp_path, text, "table.jsonl")
    values = read(source)
    np.testing.assert_array_equal(values["a"], [1, 1000, 3])
    np.testing.assert_array_equal(values["b"], [2.5, np.nan, 4])
    assert values["c"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "day,Day,x~/y\n2024-01-02,2023-05-06,1\n"),
        ("t.jsonl", '{"day": "2024-01-02", "Day": "2023-05-06", "x~/y": 1}\n'),
    ],
)
def test_names_may_differ_in_case_only(tmp_path, name, text):
    columns = [{"name": "day", "kind": "date"}, {"name": "Day", "kind": "date"}]
    columns.append({"name": "x~/y", "kind": "number"})
    values = read(opened(tmp_path, text, name), columns)
    assert values["day"][0] == pd.Timestamp("2024-01-02", tz="UTC")
    assert values["Day"][0] == pd.Timestamp("2023-05-06", tz="UTC")
    assert values["x~/y"][0] == 1


def test_truth_values_are_the_same_in_all_formats(tmp_path):
    table = GOOD.assign(flag=[True, False, True, True, False, True] * 10)
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet", index=False)
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    sources = [Source.open([tmp_path / f"t.{ending}"]) for ending in ("csv", "parquet", "jsonl")]
    flags = [found(source)[0]["flag"] for source in sources]
    assert flags == 3 * [{"name": "flag", "kind": "category", "truth": True}]
    schema = TableSchema().fit(table)
    assert schema.columns_[3] == flags[0]
    expected = [str(flag).lower() for flag in table["flag"]]
    for source in sources:
        values = read(source, schema.columns_)
        assert values["flag"].tolist() == expected
    written = table.astype({"flag": str})
    assert schema.transform(written)["flag"].tolist() == expected


def test_codes_are_the_same_where_some_are_missing(tmp_path):
    columns = [*COLUMNS, {"name": "k", "kind": "category"}]
    codes = pa.array([3, None, 12, 2**50] * 15)
    table = pa.Table.from_pandas(GOOD, preserve_index=False)
    pq.write_table(table.append_column("k", codes), tmp_path / "int.parquet")
    table = table.append_column("k", codes.cast(pa.float64()))
    pq.write_table(table, tmp_path / "float.parquet")
    table.to_pandas().to_csv(tmp_path / "float.csv", index=False)
    expected = ["3", "-", "12", str(2**50)]
    for name in ("int.parquet", "float.parquet", "float.csv"):
        values = read(Source.open([tmp_path / name]), columns)
        assert values["k"].fillna("-").tolist()[:4] == expected
    schema = TableSchema(columns).fit(table.to_pandas())
    texts = pd.read_csv(tmp_path / "float.csv", dtype={"k": str})
    assert schema.transform(texts)["k"].fillna("-").tolist()[:4] == expected


def test_kept_columns_are_copied_to_the_letter(tmp_path):
    text = "a,b,c,k\n1,2,x,007\n3,4,y, 1.50 \n5,6,z,\n"
    (frame,) = opened(tmp_path, text).frames(TableSchema(COLUMNS), keep=["k", "a"])
    assert frame.kept.to_pydict() == {"k": ["007", " 1.50 ", ""], "a": ["1", "3", "5"]}


# Parts of a table


@pytest.mark.parametrize("start", [0, 1, 9, 10, 25, 60])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_frames_have_the_same_bounds_wherever_they_start(tmp_path, name, start):
    path = tmp_path / name
    if name == "t.csv":
        GOOD.to_csv(path, index=False)
    elif name == "t.parquet":
        pq.write_table(pa.Table.from_pandas(GOOD), path, row_group_size=7)
    else:
        GOOD.to_json(path, orient="records", lines=True)
    found = rows_of(Source.open([path]), start=start, rows_per_frame=10)
    expected = [
        [row for row in range(first + 1, first + 11) if row > start] for first in range(0, 60, 10)
    ]
    assert found == [rows for rows in expected if rows]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_frames_of_several_files_have_the_same_bounds_wherever_they_start(tmp_path, ending):
    for number, (first, last) in enumerate([(0, 14), (14, 15), (15, 41), (41, N_ROWS)]):
        path, part = tmp_path / f"{number}.{ending}", GOOD[first:last]
        if ending == "csv":
            part.to_csv(path, index=False)
        elif ending == "parquet":
            pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path, 7)
        else:
            part.to_json(path, orient="records", lines=True)
    source = Source.open([tmp_path / f"*.{ending}"])
    for start in range(0, N_ROWS, 10):
        frames = source.frames(TableSchema(COLUMNS), start=start, rows_per_frame=10)
        table = pd.concat([frame.table for frame in frames], ignore_index=True)
        expected = GOOD[start:].reset_index(drop=True)
        pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_rejects_have_their_place(tmp_path):
    text = "a,b,c\n1,2,x\n3\n5,k,y\n\n7,8,z\n9,10,x,11\n"
    frames = list(opened(tmp_path, text).frames(TableSchema(COLUMNS), bad="reject"))
    rejects = [(r.line, r.row, r.column, r.value) for frame in frames for r in frame.rejects]
    assert rejects == [(3, 2, None, None), (4, 3, "b", "k"), (7, 5, None, None)]
    assert frames[0].rows.tolist() == [1, 4]
    assert frames[0].stop == 5


@pytest.mark.parametrize("start", range(0, 40, 2))
def test_rejects_do_not_depend_on_where_a_run_starts(tmp_path, start):
    lines = [f"{row},2,x" if row % 3 else f"{row},2" for row in range(1, 41)]
    source = opened(tmp_path, "a,b,c\n" + "\n".join(lines))
    options = {"bad": "reject", "rows_per_frame": 2}
    whole = list(source.frames(TableSchema(COLUMNS), **options))
    rest = list(source.frames(TableSchema(COLUMNS), start=start, **options))
    assert [frame.rejects for frame in rest] == [frame.rejects for frame in whole[start // 2 :]]
    assert [frame.stop for frame in rest] == [frame.stop for frame in whole[start // 2 :]]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="files are not counted")
def test_rejects_leave_no_file_open(tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.csv").write_text("a,b,c\n1,2,x\n3\n5,6,x\n7\n")
    frames = Source.open([tmp_path / "*.csv"]).frames(TableSchema(COLUMNS), bad="reject")
    before = len(os.listdir("/proc/self/fd"))
    (frame,) = frames
    assert [reject.line for reject in frame.rejects] == 9 * [3, 5]
    assert len(os.listdir("/proc/self/fd")) <= before


def test_rows_may_be_read_without_the_columns_of_a_model(tmp_path):
    source = opened(tmp_path, "a,b\n1,2\n3\n5,6\n")
    (frame,) = source.frames(None, keep=["b"], bad="reject")
    assert frame.table.shape == (2, 0)
    assert frame.kept["b"].to_pylist() == ["2", "6"]
    (frame,) = source.frames(None, bad="reject")
    assert frame.rows.tolist() == [1, 3]


def test_bad_cells_may_count_as_missing(tmp_path):
    text = "a,b,c\n1,2,x\nk,4,y\nl,6,z\n7,8,x\n9,10,x\n"
    (frame,) = opened(tmp_path, text).frames(TableSchema(COLUMNS), bad="missing")
    assert frame.table["a"].isna().tolist() == [False, True, True, False, False]
    assert frame.n_bad == {"a": 2}


@pytest.mark.parametrize("bad", ["missing", "reject"])
def test_a_column_of_another_kind_is_refused_whatever_is_done_with_bad_cells(tmp_path, bad):
    source = opened(tmp_path, "a,b,c\n1,x,2\n2,y,3\n4,5,6\n")
    with pytest.raises(TableError, match=r"line 2, column 'b': 'x' .* 2 of 3 cells"):
        list(source.frames(TableSchema(COLUMNS), bad=bad))


def test_many_rows_are_read_in_order(tmp_path):
    n = 300_000
    table = pd.DataFrame({"a": np.arange(n), "b": np.arange(n) * 0.5, "c": "x" * 50})
    table.to_csv(tmp_path / "t.csv", index=False)
    values = read(Source.open([tmp_path / "t.csv"]))
    np.testing.assert_array_equal(values["a"], np.arange(n))


def test_a_changed_file_is_noticed(tmp_path):
    source = opened(tmp_path, GOOD.to_csv(index=False))
    source.check_unchanged()
    (tmp_path / "table.csv").write_text(GOOD[1:].to_csv(index=False))
    with pytest.raises(TableError, match=r"table.csv has changed"):
        source.check_unchanged()


def test_columns_are_checked_before_anything_is_read(tmp_path):
    source = opened(tmp_path, GOOD.to_csv(index=False))
    with pytest.raises(TableError, match="no column 'k'"):
        source.frames(TableSchema(COLUMNS), keep=["k"])


# Kinds of columns


def test_columns_are_numbers_dates_or_categories(tmp_path):
    table = GOOD.assign(
        day=[f"2024-01-{i % 28 + 1:02}" for i in range(N_ROWS)],
        time=[f"2024-01-{i % 28 + 1:02}T12:00Z" for i in range(N_ROWS)],
        flag=[True, False] * 30,
    )
    source = opened(tmp_path, table.to_csv(index=False))
    assert list(kinds(source).values()) == [
        "number",
        "number",
        "category",
        "date",
        "date",
        "category",
    ]


def test_parquet_columns_have_the_kinds_of_their_types(tmp_path):
    table = GOOD.assign(
        day=pd.date_range("2024-01-01", periods=N_ROWS), flag=[True, False] * 30, n=[1, 2, 3] * 20
    )
    table.to_parquet(tmp_path / "t.parquet", index=False)
    source = Source.open([tmp_path / "t.parquet"])
    assert list(kinds(source).values())[2:] == ["category", "date", "category", "number"]


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (pa.array(TIMES, pa.timestamp("s")), "date", TIMES[0].tz_localize("UTC")),
        (pa.array(TIMES, pa.timestamp("ns")), "date", TIMES[0].tz_localize("UTC")),
        (pa.array(TIMES, pa.timestamp("us", "Europe/Berlin")), "date", TIMES[0].tz_localize("UTC")),
        (pa.array(TIMES.dt.date, pa.date32()), "date", TIMES[0].tz_localize("UTC")),
        (pa.array([7, 5, 6] * 20, pa.uint64()), "number", 7.0),
        (pa.array([7, 5, 6] * 20).cast(pa.decimal128(21, 2)), "number", 7.0),
        (pa.array(["7.5", "5", "6"] * 20, pa.large_string()), "number", 7.5),
        (pa.array(["x", "y"] * 30, pa.large_string()), "category", "x"),
        (pa.array(["x", "y"] * 30).dictionary_encode(), "category", "x"),
        (pa.array([True, False] * 30), "category", "true"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else str(value),
)
def test_parquet_values_become_those_of_the_model(tmp_path, values, kind, first):
    table = pa.Table.from_pandas(GOOD, preserve_index=False).append_column("k", values)
    pq.write_table(table, tmp_path / "t.parquet")
    source = Source.open([tmp_path / "t.parquet"])
    columns = found(source)[0]
    assert columns["k"]["kind"] == kind
    assert read(source, list(columns.values()))["k"][0] == first


@pytest.mark.parametrize("values", [pa.nulls(N_ROWS), pa.array([np.nan] * N_ROWS)])
def test_empty_columns_of_parquet_are_left_out(tmp_path, values):
    table = pa.Table.from_pandas(GOOD, preserve_index=False).append_column("k", values)
    pq.write_table(table, tmp_path / "t.parquet")
    columns, findings = found(Source.open([tmp_path / "t.parquet"]))
    assert "k" not in columns
    assert "column 'k' is empty" in findings


def test_texts_in_parquet_obey_the_same_rules(tmp_path):
    table = GOOD.assign(a=[f"{value:.3f}".replace(".", ",") for value in GOOD["a"]])
    table.to_parquet(tmp_path / "t.parquet", index=False)
    source = Source.open([tmp_path / "t.parquet"])
    assert found(source)[0]["a"] == {"name": "a", "kind": "number", "decimal": ","}
    np.testing.assert_array_equal(read(source, list(found(source)[0].values()))["a"], GOOD["a"])


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda x: f"{x:.3f}".replace(".", ","), {"decimal": ","}),
        (lambda x: f"{1e6 * x:,.2f}", {"thousands": ","}),
        (lambda x: f"{1e6 * x:,.0f}", {"thousands": ","}),
        (
            lambda x: f"{1e6 * x:,.2f}".translate({44: 46, 46: 44}),
            {"decimal": ",", "thousands": "."},
        ),
        (lambda x: f"{1e6 * x:,.2f}".replace(",", "\u202f"), {"thousands": " "}),
        (lambda x: f"${abs(x):.2f}", {"affix": "$"}),
        (lambda x: f"{x:.2f} €", {"affix": "€"}),
        (lambda x: f"EUR {abs(x):.2f}", {"affix": "EUR"}),
        (lambda x: f"{x:.2f}%", {"affix": "%"}),
        (lambda x: f"{x:.2f} kg", {"affix": "kg"}),
        (lambda x: f"{x:.2f}m/s", {"affix": "m/s"}),
        (lambda x: f"({abs(x)})" if x < 0 else str(x), {"signs": True}),
        (lambda x: f"{abs(x)}-" if x < 0 else str(x), {"signs": True}),
    ],
)
def test_numbers_as_people_write_them_are_parsed_and_named(tmp_path, write, expected):
    table = GOOD.assign(a=[write(value) for value in GOOD["a"]])
    columns, findings = found(opened(tmp_path, table.to_csv(index=False, sep=";")))
    assert columns["a"] == {"name": "a", "kind": "number"} | expected
    assert "column 'a' holds numbers written like" in findings


@pytest.mark.parametrize(("option", "value"), [("decimal", 1.123), ("thousands", 1123.0)])
def test_what_a_comma_means_may_be_told(tmp_path, option, value):
    table = GOOD.assign(a=[f"{i % 9 + 1},{123 + i % 7}" for i in range(N_ROWS)])
    source = opened(tmp_path, table.drop(columns="b").to_csv(index=False, sep=";"), **{option: ","})
    assert read(source, list(found(source)[0].values()))["a"][0] == value


@pytest.mark.parametrize(
    ("learned", "options", "cells"),
    [
        ({}, {"decimal": ","}, ["1,5", "-1234", ",5"]),
        ({"decimal": ","}, {"decimal": "."}, ["1.5", "-1.234e3", ".5"]),
        ({}, {"thousands": "."}, ["1,5", "-1.234", "0,5"]),
        ({}, {"thousands": ","}, ["1.5", "-1,234", "5e-1"]),
        ({"thousands": ","}, {"decimal": ","}, ["1,5", "-1234", ",5"]),
    ],
)
def test_numbers_of_a_model_may_be_written_otherwise_in_a_file(tmp_path, learned, options, cells):
    text = "a;b\n" + "".join(f"{cell};x\n" for cell in cells)
    source = opened(tmp_path, text, **options)
    columns = [{"name": "a", "kind": "number"} | learned]
    assert read(source, columns)["a"].tolist() == [1.5, -1234, 0.5]


def test_integers_may_come_before_decimal_commas(tmp_path):
    n = 70_000
    cells = [str(i % 10) for i in range(n)] + ["1,5", "2,5"]
    text = "a;c;k\n" + "".join(f"{cell};x;{'y' * 100}{i % 2}\n" for i, cell in enumerate(cells))
    assert found(opened(tmp_path, text))[0]["a"]["decimal"] == ","


def test_codes_with_leading_zeros_are_categories(tmp_path):
    source = opened(tmp_path, GOOD.assign(zip=["00501", "90210"] * 30).to_csv(index=False))
    assert kinds(source)["zip"] == "category"
    assert "'zip' has codes with leading zeros" in found(source)[1]
    assert kinds(source, numbers=["zip"])["zip"] == "number"


def test_missing_cells_are_no_codes(tmp_path):
    table = GOOD.assign(zip=["00501", "90210", "999"] * 20)
    source = opened(tmp_path, table.to_csv(index=False), missing=("999",))
    assert kinds(source)["zip"] == "category"


def test_codes_that_are_taken_for_numbers_are_named(tmp_path):
    table = GOOD.assign(zip=[*["00501", "90210", "0"] * 19, "00501", "12.5", "1"])
    columns, findings = found(opened(tmp_path, table.to_csv(index=False)))
    assert columns["zip"]["kind"] == "number"
    assert "column 'zip' has leading zeros in 20 cells" in findings


def test_codes_that_look_like_numbers_with_units_are_not_worth_a_word(tmp_path):
    table = GOOD.assign(k=["9E", "AA", "UA"] * 20)
    columns, findings = found(opened(tmp_path, table.to_csv(index=False)))
    assert columns["k"]["kind"] == "category"
    assert "'k'" not in findings


def test_numbers_that_are_taken_for_categories_are_named(tmp_path):
    table = GOOD.assign(k=["NA", "NA", "NA", 1.5, 2.5] * 12, l=["x"] * 30 + ["y"] * 29 + ["1"])
    columns, findings = found(opened(tmp_path, table.to_csv(index=False)))
    assert columns["k"]["kind"] == "category"
    assert "column 'k' holds numbers in 24 of 60 cells and is taken for a category" in findings
    assert "column 'l'" not in findings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (range(7, 7 + N_ROWS), "counts the rows"),
        (["k"] * N_ROWS, "has the same value in all rows, 'k',"),
        ([5] * N_ROWS, "has the same value in all rows, 5,"),
        ([""] * N_ROWS, "is empty"),
        ([f"id{i}" for i in range(N_ROWS)], "has another text in nearly every row"),
    ],
)
def test_columns_that_say_nothing_are_left_out_and_named(tmp_path, values, words):
    columns, findings = found(opened(tmp_path, GOOD.assign(k=list(values)).to_csv(index=False)))
    assert "k" not in columns
    assert f"column 'k' {words}" in findings


def test_an_index_without_a_name_is_left_out_and_named(tmp_path):
    columns, findings = found(opened(tmp_path, GOOD.to_csv()))
    assert list(columns) == ["a", "b", "c"]
    assert "columns without a name are called column_1" in findings
    assert "column 'column_1' counts the rows and is left out" in findings


def test_an_index_of_each_file_is_left_out(tmp_path):
    for number, (first, last) in enumerate([(0, 20), (20, 50), (50, N_ROWS)]):
        GOOD[first:last].reset_index(drop=True).to_csv(tmp_path / f"{number}.csv")
    columns, findings = found(Source.open([tmp_path / "*.csv"]))
    assert list(columns) == ["a", "b", "c"]
    assert "column 'column_1' counts the rows and is left out" in findings


def test_a_column_may_be_made_a_category(tmp_path):
    source = opened(tmp_path, GOOD.assign(k=[f"id{i}" for i in range(N_ROWS)]).to_csv(index=False))
    assert kinds(source, categories=["k"])["k"] == "category"


def test_bad_cells_that_count_as_missing_are_named(tmp_path):
    table = GOOD.astype({"a": object})
    table.loc[[7, 9], "a"] = "?"
    columns, findings = found(opened(tmp_path, table.to_csv(index=False)), bad_cells="missing")
    assert columns["a"]["kind"] == "number"
    assert "line 9, column 'a': '?' is not a finite number" in findings
    assert "cells taken as missing in this column: 2" in findings


def test_the_message_counts_bad_cells_and_names_other_columns(tmp_path):
    table = GOOD.astype({"a": object, "b": object})
    table.loc[[7, 9], "a"] = "?"
    table.loc[3, "b"] = "?"
    with pytest.raises(TableError) as error:
        find_schema(opened(tmp_path, table.to_csv(index=False)))
    for words in ("line 5, column 'b'", "so do cells of 'a'", "--category b", "--drop b"):
        assert words in str(error.value)


@pytest.mark.parametrize("format", [None, "%d.%m.%Y"])
def test_the_format_of_dates_may_be_named_or_found(tmp_path, format):
    days = [f"{i % 28 + 1:02}.01.2024" for i in range(N_ROWS)]
    source = opened(tmp_path, GOOD.assign(day=days).to_csv(index=False))
    assert found(source, dates={"day": format})[0]["day"]["format"] == "%d.%m.%Y"


def test_copies_of_a_column_may_be_left_out(tmp_path):
    source = opened(tmp_path, "a,b,b\n1,2,3\n2,3,5\n3,5,1\n2,2,2\n")
    assert list(kinds(source, drop=["b"])) == ["a"]


def test_a_column_of_numbers_may_be_alone(tmp_path):
    assert kinds(opened(tmp_path, "a\n1\n5\n2\n")) == {"a": "number"}


def test_the_rows_are_counted(tmp_path):
    assert find_schema(opened(tmp_path, GOOD.to_csv(index=False))).n_rows == N_ROWS
