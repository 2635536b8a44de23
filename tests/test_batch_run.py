"""A run from file to file: what it writes, what it refuses, and what it leaves if it is stopped."""

import csv
import errno
import functools
import json
import os
import resource
import signal
import socket
import stat
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from vae_anomaly.batch import job, locking
from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.locking import RunFolder, RunLockedError
from vae_anomaly.batch.models import schema_of
from vae_anomaly.batch.run import score_table
from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.batch.signals import Terminated, termination_raises
from vae_anomaly.batch.source import ReadOptions, Source

N_ROWS, PART = 1000, 300


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"{number:06}" for number in range(N_ROWS)],
            "a": rng.standard_normal(N_ROWS),
            "b": rng.standard_normal(N_ROWS),
        }
    )


def fitted(seed=0):
    schema = TableSchema([{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}])
    forest = IsolationForest(n_estimators=5, random_state=seed)
    return Pipeline([("schema", schema), ("detector", forest)]).fit(rows())


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows().to_csv(path, index=False)
    return path


@pytest.fixture
def bad_table(table):
    """A table with two rows that cannot be scored."""
    lines = table.read_text().splitlines()
    lines[500] = lines[500].rsplit(",", 1)[0] + ",n/a?"
    lines[800] = "=1+1,x,1"
    table.write_text("\n".join(lines) + "\n")
    return table


@pytest.fixture
def score(model, table):
    """Score the table in small parts, unless the test says otherwise."""

    def run(output, **options):
        options = {"model": model, "table": table, "keep": ["id"], "rows_per_part": PART} | options
        return score_table(
            options.pop("model"), Source.open([options.pop("table")]), output, **options
        )

    return run


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "scores.csv"


@pytest.fixture
def undisturbed(score, tmp_path):
    """What a run writes that nothing disturbs."""

    @functools.cache
    def run(name="scores.csv"):
        (tmp_path / "undisturbed").mkdir(exist_ok=True)
        score(tmp_path / "undisturbed" / name)
        return (tmp_path / "undisturbed" / name).read_bytes()

    return run


def stop_at(row, error=KeyboardInterrupt):
    """Return a callback that raises an error once so many rows are done."""

    def progress(done, total):
        if done >= row:
            raise error

    return progress


def names(path):
    return sorted(path.name for path in path.parent.iterdir())


@pytest.mark.parametrize("name", ["scores.csv", "scores.csv.gz", "scores.jsonl", "scores.parquet"])
def test_scores_are_those_of_the_model_in_the_order_of_the_rows(name, score, model, output):
    path = output.with_name(name)
    score(path)
    match name.split(".", 1)[1]:
        case "parquet":
            scored = pd.read_parquet(path)
        case "jsonl":
            scored = pd.read_json(path, lines=True, dtype={"id": str}, precise_float=True)
        case _:
            scored = pd.read_csv(path, dtype={"id": str}, float_precision="round_trip")
    assert list(scored) == ["row", "id", "score", "is_outlier"]
    np.testing.assert_array_equal(scored["row"], np.arange(1, N_ROWS + 1))
    np.testing.assert_array_equal(scored["id"], rows()["id"])
    np.testing.assert_array_equal(scored["score"], -model.score_samples(rows()))
    np.testing.assert_array_equal(scored["is_outlier"], model.predict(rows()) == -1)


def test_parquet_keeps_the_types_of_columns(score, table, output):
    path = table.with_suffix(".parquet")
    rows().assign(
        n=np.arange(N_ROWS, dtype=np.int16), c=pd.Categorical(["x", "y"] * 500)
    ).to_parquet(path)
    score(output.with_suffix(".parquet"), table=path, keep=["n", "c"])
    schema = pq.read_schema(output.with_suffix(".parquet"))
    assert [str(schema.field(name).type) for name in ("n", "c")] == ["int16", "string"]


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet", "scores.jsonl"])
def test_an_empty_cell_that_is_kept_stays_a_missing_value(name, score, table, output):
    table.write_text("id,a,b\n,1,2\nx,3,4\n")
    path = output.with_name(name)
    score(path)
    match path.suffix:
        case ".parquet":
            assert pq.read_table(path)["id"].to_pylist() == [None, "x"]
        case ".jsonl":
            assert '"id":null' in path.read_text().splitlines()[0]
        case _:
            assert path.read_text().splitlines()[1].startswith("1,,")


def test_columns_that_are_not_used_are_told(score, table, output):
    rows().assign(**{f"new {at}": 0 for at in range(12)}).to_csv(table, index=False)
    (told,) = [found for found in score(output).findings if "ignored" in found]
    assert "'new 0', 'new 1'" in told
    assert told.endswith("'new 9' and 2 more")
    assert "'id'" not in told
    assert "'id'" in score(output, keep=[], overwrite=True).findings[-1]


def test_rows_of_several_files_tell_their_file(score, model, table, output):
    second = table.with_name("table2.csv")
    second.write_bytes(table.read_bytes())
    score_table(model, Source.open([table, second]), output)
    scored = pd.read_csv(output)
    assert list(scored) == ["row", "file", "score", "is_outlier"]
    assert list(scored["file"].unique()) == [str(table), str(second)]
    np.testing.assert_array_equal(scored["row"], np.arange(1, 2 * N_ROWS + 1))


def test_the_schema_of_a_model_is_found_in_a_meta_estimator(model):
    from sklearn.frozen import FrozenEstimator

    assert schema_of(FrozenEstimator(model)) is model["schema"]
    with pytest.raises(ValueError, match="does not tell the types of its columns"):
        schema_of(model["detector"])


def test_the_summary_counts_rows_alarms_and_scores(score, model, output):
    summary = score(output)
    written = json.loads(output.with_name("scores.csv.summary.json").read_text())
    scores = -model.score_samples(rows())
    assert written["rows_in"] == written["rows_out"] == summary.rows_out == N_ROWS
    assert written["rows_rejected"] == 0
    assert written["alarms"] == (model.predict(rows()) == -1).sum()
    assert written["threshold"] == -model["detector"].offset_
    quantiles = {float(level): value for level, value in written["score_quantiles"].items()}
    expected = np.quantile(scores, list(quantiles), method="inverted_cdf")
    np.testing.assert_allclose(list(quantiles.values()), expected, rtol=0.005)
    assert written["training_score_quantiles"] is None
    assert names(output) == ["scores.csv", "scores.csv.summary.json"]


def test_scores_above_those_of_training_are_a_warning(score, model, output):
    model["detector"].training_scores_ = -np.linspace(0.1, 0.2, 101)
    try:
        summary = score(output)
    finally:
        del model["detector"].training_scores_
    assert summary.training_score_quantiles["0.5"] == pytest.approx(0.15)
    assert "More than half of the scores are above 0.195" in summary.warnings[-1]


def test_progress_counts_rows_and_knows_the_number_of_parquet(score, table, output):
    path, calls = table.with_suffix(".parquet"), []
    rows().to_parquet(path)
    score(output, table=path, progress=lambda *numbers: calls.append(numbers))
    assert calls == [(done, N_ROWS) for done in (0, 300, 600, 900, 1000)]


def test_an_existing_output_is_refused_and_untouched(score, output):
    output.write_text("old")
    with pytest.raises(FileExistsError, match=r"scores.csv exists"):
        score(output)
    assert output.read_text() == "old"
    assert names(output) == ["scores.csv"]


def test_an_existing_summary_is_refused_and_untouched(score, output):
    summary = output.with_name("scores.csv.summary.json")
    summary.write_text("old")
    with pytest.raises(FileExistsError, match=r"scores.csv.summary.json exists"):
        score(output)
    assert summary.read_text() == "old"
    assert names(output) == [summary.name]


def test_an_existing_output_is_replaced_on_request_and_keeps_its_mode(score, output, undisturbed):
    output.touch(0o600)
    score(output, overwrite=True)
    assert output.read_bytes() == undisturbed()
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


def test_a_link_is_kept_and_its_target_written(score, output, tmp_path, undisturbed):
    link = tmp_path / "link.csv"
    link.symlink_to(output)
    score(link)
    assert link.is_symlink()
    assert output.read_bytes() == undisturbed()


def test_rejects_that_exist_are_refused(score, output, tmp_path):
    (tmp_path / "rejects.csv").write_text("old")
    with pytest.raises(FileExistsError, match=r"rejects.csv exists"):
        score(output, rejects=tmp_path / "rejects.csv")
    assert names(output) == []


@pytest.mark.parametrize("role", ["table", "model", "rejects", "summary"])
def test_files_must_differ(role, score, table, output, tmp_path):
    (tmp_path / "model").write_text("model")
    options = {"overwrite": True, "model_path": tmp_path / "model"}
    link = tmp_path / "link.csv"
    match role:
        case "table":
            link.hardlink_to(table)
        case "model":
            link.symlink_to(tmp_path / "model")
        case "rejects":
            link, options["rejects"] = output, output
        case "summary":
            link, options["rejects"] = output, output.with_name("scores.csv.summary.json")
    before = table.read_bytes()
    with pytest.raises(ValueError, match="another file"):
        score(link, **options)
    assert table.read_bytes() == before
    assert (tmp_path / "model").read_text() == "model"


def test_a_folder_as_output_and_a_missing_folder_are_refused(score, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        score(tmp_path / "folder.csv")
    with pytest.raises(FileNotFoundError, match="no folder"):
        score(tmp_path / "mistyped" / "scores.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ["row"]}, "a column 'row' of its own"),
        ({"keep": ["score"]}, "a column 'score' of its own"),
        ({"keep": ["nothing"]}, "no column 'nothing'"),
        ({"reasons": -1}, "reasons"),
        ({"p_value": True}, "p-values"),
        ({"rows_per_part": 0}, "rows_per_part"),
        ({"bad_cells": "ignore"}, "bad_cells"),
        ({"bad_cells": "missing", "rejects": "rejects.csv"}, "rejected and scored"),
        ({"rejects": "rejects.txt"}, "must end in"),
    ],
)
def test_options_are_checked_before_the_work(options, message, score, output):
    def fail(done, total):
        if done:
            pytest.fail("rows were scored")

    with pytest.raises(ValueError, match=message):
        score(output, progress=fail, **options)
    assert names(output) == []


def test_a_bad_row_stops_the_run_and_leaves_nothing(score, bad_table, output):
    output.write_text("old")
    with pytest.raises(TableError, match=r"n/a\?"):
        score(output, overwrite=True)
    assert output.read_text() == "old"
    assert names(output) == ["scores.csv"]


def test_bad_rows_go_to_the_rejects_on_request(score, bad_table, model, output, tmp_path):
    summary = score(output, rejects=tmp_path / "rejects.csv")
    rejects = pd.read_csv(tmp_path / "rejects.csv")
    assert list(rejects) == ["file", "line", "row", "column", "value", "reason"]
    assert rejects[["line", "row", "column", "value"]].values.tolist() == [
        [501, 500, "b", "n/a?"],
        [801, 800, "a", "x"],
    ]
    assert (summary.rows_in, summary.rows_out, summary.rows_rejected) == (N_ROWS, N_ROWS - 2, 2)
    kept = np.delete(np.arange(N_ROWS), [499, 799])
    scored = pd.read_csv(output, float_precision="round_trip")
    np.testing.assert_array_equal(scored["row"], kept + 1)
    np.testing.assert_array_equal(scored["score"], -model.score_samples(rows().iloc[kept]))


def test_rejects_may_go_to_another_mount(score, output, tmp_path, monkeypatch):
    replace = os.replace

    def within_a_mount(part, target):
        if Path(part).parent not in (Path(target).parent, Path(target).parent / ".scores.csv.run"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(part, target)

    monkeypatch.setattr(os, "replace", within_a_mount)
    score(output, rejects=tmp_path / "rejects.csv")
    assert (tmp_path / "rejects.csv").exists()


def test_rejects_are_written_even_if_there_are_none(score, output, tmp_path):
    score(output, rejects=tmp_path / "rejects.csv")
    assert (tmp_path / "rejects.csv").read_text() == "file,line,row,column,value,reason\n"


def test_formulas_are_escaped_in_the_output_and_the_rejects(score, bad_table, output, tmp_path):
    bad_table.write_text(bad_table.read_text().replace("n/a?", "@SUM(A1)"))
    bad_table.write_text(bad_table.read_text().replace("000007,", "=1+1,"))
    score(output, rejects=tmp_path / "rejects.csv", escape_formulas=True)
    assert pd.read_csv(output)["id"][7] == "'=1+1"
    assert pd.read_csv(tmp_path / "rejects.csv")["value"][0] == "'@SUM(A1)"


@pytest.fixture
def interrupted(score, output):
    """A run of which two parts of four are done."""
    with pytest.raises(KeyboardInterrupt):
        score(output, progress=stop_at(900))
    return output.with_name(".scores.csv.run")


def test_an_interruption_says_where_the_parts_are(score, output):
    output.write_text("old")
    with pytest.raises(KeyboardInterrupt) as stopped:
        score(output, overwrite=True, progress=stop_at(900))
    kept, hint = stopped.value.__notes__
    assert kept == f"600 rows are done and kept in {output.parent / '.scores.csv.run'}"
    assert hint == "resume it to go on from there"
    assert output.read_text() == "old"


def test_an_interruption_before_the_first_part_leaves_nothing(score, output):
    with pytest.raises(KeyboardInterrupt):
        score(output, progress=stop_at(300))
    assert names(output) == []


def test_an_error_that_is_not_the_tables_leaves_the_parts(score, output, undisturbed):
    with pytest.raises(ValueError, match="out of luck"):
        score(output, progress=stop_at(900, ValueError("out of luck")))
    assert score(output, resume=True).resumed_at_row == 600
    assert output.read_bytes() == undisturbed()


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_a_part_is_written_frame_by_frame(name, score, output, undisturbed, monkeypatch):
    monkeypatch.setattr(job, "_ROWS_PER_FRAME", 100)
    path = output.with_name(name)

    def look(done, total):
        if done == 900:
            raise KeyboardInterrupt
        if done == 100:
            assert (path.parent / f".{name}.run" / "part-000000").exists()

    with pytest.raises(KeyboardInterrupt):
        score(path, progress=look)
    assert score(path, resume=True).resumed_at_row == 600
    assert path.read_bytes() == undisturbed(name)


def test_what_is_left_is_neither_taken_nor_thrown_away_unasked(score, output, interrupted):
    left = sorted(interrupted.iterdir())
    with pytest.raises(FileExistsError, match=r"(?s)left 600 rows .*resume it, or overwrite"):
        score(output)
    assert sorted(interrupted.iterdir()) == left


@pytest.mark.parametrize("name", ["scores.csv", "scores.csv.gz", "scores.parquet"])
def test_a_resumed_run_gives_the_same_bytes_and_counts(name, score, output, undisturbed):
    path = output.with_name(name)
    with pytest.raises(KeyboardInterrupt):
        score(path, progress=stop_at(900))
    summary = score(path, resume=True)
    assert summary.resumed_at_row == 600
    assert "this one started from row 601" in summary.findings[-1]
    assert path.read_bytes() == undisturbed(name)
    assert names(path) == [name, f"{name}.summary.json"]
    whole = score(path, overwrite=True)
    for counted in ("rows_in", "rows_out", "alarms", "score_quantiles", "drift", "warnings"):
        assert getattr(summary, counted) == getattr(whole, counted)


def test_what_is_left_is_thrown_away_on_request(score, output, interrupted, undisturbed):
    assert score(output, overwrite=True).resumed_at_row == 0
    assert output.read_bytes() == undisturbed()
    assert not interrupted.exists()


def test_resume_without_anything_to_resume_starts_and_says_so(score, output, undisturbed):
    assert "started from row 1." in score(output, resume=True).findings[-1]
    assert output.read_bytes() == undisturbed()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("table", "another table"),
        ("model", "another model"),
        ("keep", r"other options \(keep\)"),
        ("options", r"other options \(bad_cells\)"),
    ],
)
def test_a_run_of_something_else_is_not_resumed(
    changed, message, score, output, interrupted, table
):
    options = {"resume": True}
    match changed:
        case "table":
            rows(seed=1).to_csv(table, index=False)
        case "model":
            options["model"] = fitted(seed=1)
        case "keep":
            options["keep"] = []
        case "options":
            options["bad_cells"] = "missing"
    with pytest.raises(ValueError, match=message):
        score(output, **options)
    assert interrupted.exists()
    assert score(output, overwrite=True, **options).resumed_at_row == 0
    assert names(output) == ["scores.csv", "scores.csv.summary.json"]


def test_rejects_before_an_interruption_are_in_the_resumed_ones(score, bad_table, output, tmp_path):
    paths = [tmp_path / name for name in ("once.csv", "resumed.csv")]
    score(output, rejects=paths[0])
    with pytest.raises(KeyboardInterrupt):
        score(output, rejects=paths[1], overwrite=True, progress=stop_at(900))
    assert not paths[1].exists()
    assert score(output, rejects=paths[1], resume=True).rows_rejected == 2
    assert paths[1].read_bytes() == paths[0].read_bytes()


def test_a_table_that_changes_meanwhile_is_an_error_that_leaves_nothing(score, table, output):
    def change(done, total):
        if done == 600:
            table.write_bytes(table.read_bytes())

    with pytest.raises(TableError, match="has changed while it was read"):
        score(output, progress=change)
    assert names(output) == []


def test_a_request_to_end_is_an_exception_with_the_status_of_shells(score, output):
    def end(done, total):
        if done == 900:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated, match="SIGTERM") as ended, termination_raises():
        score(output, progress=end)
    assert ended.value.code == 143
    assert "600 rows are done" in ended.value.__notes__[0]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_full_disk_leaves_the_old_output_and_the_parts(score, output, undisturbed):
    output.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, limits[1])
    )  # a part fits, the whole does not
    try:
        with pytest.raises(OSError) as full:
            score(output, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.EFBIG
    assert full.value.filename == str(output)
    assert "1,000 rows are done" in full.value.__notes__[0]
    assert output.read_text() == "old"
    score(output, resume=True)
    assert output.read_bytes() == undisturbed()


def test_a_second_run_on_the_output_is_refused_and_told_who_has_it(score, output, undisturbed):
    found = []

    def again(done, total):
        if done == 300:
            with pytest.raises(RunLockedError) as refused:
                score(output, overwrite=True)
            found.append(str(refused.value))

    score(output, progress=again)
    (message,) = found
    for word in (str(output), f"process {os.getpid()}", socket.gethostname(), "since 20"):
        assert word in message
    assert output.read_bytes() == undisturbed()


def test_a_lock_that_is_removed_while_it_is_waited_for_is_not_taken(tmp_path, monkeypatch):
    lock = locking._lock

    def removed_first(file):
        monkeypatch.setattr(locking, "_lock", lock)
        (tmp_path / ".scores.csv.run" / "lock").unlink()
        return lock(file)

    monkeypatch.setattr(locking, "_lock", removed_first)
    first, second = RunFolder(tmp_path / "scores.csv"), RunFolder(tmp_path / "scores.csv")
    first.acquire()
    with pytest.raises(RunLockedError):
        second.acquire()
    first.release(keep=False)
    assert list(tmp_path.iterdir()) == []


KILLS = """
import os, signal, sys
from pathlib import Path
import joblib
from vae_anomaly.batch.models import schema_of
from vae_anomaly.batch.run import score_table
from vae_anomaly.batch.source import Source

# Four parts, the end of scoring, the output, the rejects, the summary, and the end.
N_STEPS = 9

table, model_path, folder = map(Path, sys.argv[1:])
model = joblib.load(model_path)

def score(output, **options):
    return score_table(
        model, Source.open([table]), output, model_path=model_path, keep=["id"],
        rejects=output.with_name("rejects.csv"), rows_per_part=300, **options
    )

def in_child(work):
    # The parent has no threads and no BLAS call behind it.
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def killed_at(step, after):
    # Everything that is kept is moved into place: each move is a step.
    replace, calls = os.replace, []
    def counted(*paths):
        calls.append(paths)
        if len(calls) == step and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths)
        if len(calls) == step and after:
            os.kill(os.getpid(), signal.SIGKILL)
    os.replace = counted
    score(output)

once = folder / "once" / "scores.csv"
once.parent.mkdir()
assert in_child(lambda: score(once)) == 0
whole = {path.name: path.read_bytes() for path in once.parent.iterdir()}
for step, after in [*((step, False) for step in range(1, N_STEPS + 1)), (N_STEPS, True)]:
    output = folder / f"{step}{after}" / "scores.csv"
    output.parent.mkdir()
    assert in_child(lambda: killed_at(step, after)) == -signal.SIGKILL, (step, after)
    there = [output.with_name(name) for name in whole if output.with_name(name).exists()]
    assert len(there) == min(3, max(0, step - 6)), (step, after, there)
    for path in there:
        if path.name != "scores.csv.summary.json":
            assert path.read_bytes() == whole[path.name], (step, after, path)
    assert in_child(lambda: score(output, resume=True)) == 0, (step, after)
    assert {path.name for path in output.parent.iterdir()} == set(whole), (step, after)
    for name in ("scores.csv", "rejects.csv"):
        assert output.with_name(name).read_bytes() == whole[name], (step, after, name)
"""


def test_a_run_killed_at_any_step_is_never_seen_half_and_resumes_to_the_same_bytes(
    run_python, model, bad_table, tmp_path
):
    joblib.dump(model, tmp_path / "model")
    run_python(KILLS, bad_table, tmp_path / "model", tmp_path)


def read_in_background(pipe):
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    return reader, got


@pytest.mark.parametrize("name", ["pipe", "pipe.jsonl.gz", "pipe.parquet"])
def test_a_pipe_is_written_through(name, score, tmp_path):
    pipe = tmp_path / name
    os.mkfifo(pipe)
    reader, got = read_in_background(pipe)
    before = sorted(tmp_path.iterdir())
    summary = score(pipe)
    reader.join()
    assert summary.rows_out == N_ROWS
    assert got[0]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == before


def test_standard_output_takes_the_same_text(score, capfdbinary, undisturbed):
    whole = undisturbed()
    capfdbinary.readouterr()
    score("-")
    assert capfdbinary.readouterr().out == whole


def test_rejects_go_beside_a_pipe(score, bad_table, tmp_path):
    score("/dev/null", rejects=tmp_path / "rejects.csv")
    with (tmp_path / "rejects.csv").open() as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["500", "800"]


@pytest.mark.parametrize(
    "name", ["pipe", "pipe.csv.gz", "pipe.csv.zst", "pipe.jsonl", "pipe.parquet"]
)
def test_a_closed_pipe_is_an_error_of_its_own(name, score, tmp_path):
    pipe = tmp_path / name
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: pipe.open("rb").close())
    reader.start()
    with pytest.raises(BrokenPipeError):
        score(pipe, progress=lambda done, total: reader.join())
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_a_pipe_cannot_be_resumed(score):
    with pytest.raises(ValueError, match="cannot be resumed"):
        score("/dev/null", resume=True)


def test_a_bad_table_is_found_before_a_pipe_is_opened(score, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it would wait for a reader
    with pytest.raises(ValueError, match="no column 'nothing'"):
        score(pipe, keep=["nothing"])


def test_how_the_table_is_read_is_part_of_what_is_resumed(score, output, interrupted, model, table):
    with pytest.raises(ValueError, match=r"other options \(reading\)"):
        score_table(
            model,
            Source.open([table], ReadOptions(missing=("?",))),
            output,
            keep=["id"],
            rows_per_part=PART,
            resume=True,
        )
