"""score_table: the scores of a table in files, in a run that is safe and can be resumed."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import joblib
import numpy as np
import pyarrow as pa

from vae_anomaly.batch.locking import RunFolder
from vae_anomaly.batch.models import schema_of, training_scores
from vae_anomaly.batch.outputs import OutputFormat, Write, put_together, writing
from vae_anomaly.batch.scoring import output_columns, score_frame
from vae_anomaly.batch.source import FILE_COLUMN
from vae_anomaly.batch.summary import Summary, Tally
from vae_anomaly.files import (
    check_distinct,
    check_new,
    destination,
    flush,
    is_stream,
    open_stream,
    publish,
    replacing,
)
from vae_anomaly.thresholds.fitting import own_threshold

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Frame, Source

ROW_COLUMN = "row"
"""The column of the output that numbers the rows of the input from 1."""

REJECT_COLUMNS = pa.schema(
    {
        "file": pa.string(),
        "line": pa.int64(),
        "row": pa.int64(),
        "column": pa.string(),
        "value": pa.string(),
        "reason": pa.string(),
    }
)

_ROWS_PER_FRAME = 65_536  # scored at a time: enough to keep the threads busy

# What the bytes of the output may depend on besides the code of this package.
_LIBRARIES = ("vae-anomaly", "numpy", "scikit-learn", "duckdb", "pyarrow")


def score_table(
    model: Any,
    source: Source,
    output: str | os.PathLike[str],
    *,
    model_path: str | os.PathLike[str] | None = None,
    keep: Sequence[str] = (),
    p_value: bool = False,
    reasons: int = 0,
    attribution: str = "terms",
    rejects: str | os.PathLike[str] | None = None,
    bad_cells: Literal["stop", "missing"] = "stop",
    escape_formulas: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    rows_per_part: int = 262_144,
    progress: Callable[[int, int | None], None] | None = None,
) -> Summary:
    """Score the rows of a table in files, and write them to another file.

    The output appears under its name once it is whole, and a summary in JSON beside it. Until then
    the parts that are done lie in a hidden folder beside it, which also locks the output. If the
    run is interrupted, the parts stay there for another one to go on from.

    Parameters
    ----------
    model : estimator
        What `score_frame` takes. The columns of a `TableSchema` in it are read with its types.
    source : Source
        The table.
    output : str or path-like
        The file to write. Its name tells the format: .csv, .jsonl (JSON lines) or .parquet; the
        former two may be followed by .gz or .zst. A pipe or a device, and "-" for standard output,
        is written to row after row and gets no summary.
    model_path : str or path-like, default=None
        The file that the model was loaded from, to tell whether an interrupted run used the same.
    keep : sequence of str, default=()
        Columns of the table to copy to the output.
    p_value, reasons, attribution
        What to add to the scores, see `score_frame`.
    rejects : str or path-like, default=None
        A file for the rows that cannot be scored, with the reasons. Without it, the first such row
        is an error.
    bad_cells : {"stop", "missing"}, default="stop"
        What cells are that do not fit the kind of their column: an error, or missing values.
    escape_formulas : bool, default=False
        Whether cells of text in CSV that a spreadsheet would run get an apostrophe in front.
    overwrite : bool, default=False
        Whether to replace an existing output, and what an interrupted run has left.
    resume : bool, default=False
        Whether to go on from what an interrupted run has left. The output has the same bytes as if
        there had been no interruption. With `overwrite`, a run that used another table, model or
        options is started anew, otherwise that is an error.
    rows_per_part : int, default=262_144
        About how many rows may be lost by an interruption, and how many there are in a row group of
        Parquet.
    progress : callable, default=None
        Called with the number of rows done and the number of all rows, which is None if the files
        do not tell.

    Returns
    -------
    summary : Summary
        What was written beside the output.

    Raises
    ------
    TableError
        If the table cannot be read, does not fit the model or changes while it is read.
    ValueError
        If arguments do not fit together, or name one file twice.
    FileExistsError
        If the output exists, or an interrupted run has left parts of it, and neither `overwrite`
        nor `resume` says what to do.
    RunLockedError
        If another run is writing to the same output.

    Notes
    -----
    After an interruption the exception has a note that names the folder with the parts.
    """
    job = _Job(
        model,
        source,
        keep=tuple(dict.fromkeys(keep)),
        scores={"p_value": p_value, "reasons": reasons, "attribution": attribution},
        bad=_bad(bad_cells, rejects),
        form=OutputFormat.of(output, escape_formulas=escape_formulas),
        rejects_form=OutputFormat.of(
            "rejects.csv" if rejects is None else rejects, escape_formulas=escape_formulas
        ),
        rows_per_part=rows_per_part,
    )
    clock = _Clock(progress, source.n_rows)
    read = [*source.paths, *([] if model_path is None else [model_path])]
    if is_stream(output):
        if resume:
            raise ValueError(f"{output} is a pipe or a device, which cannot be resumed.")
        check_distinct(read, [output, *([] if rejects is None else [rejects])])
        tally = _pass_through(job, output, rejects, overwrite=overwrite, clock=clock)
        return _summary(job, tally, output, rejects, model_path, clock)
    target = destination(output)
    beside = target.with_name(f"{target.name}.summary.json")
    check_distinct(read, [output, beside, *([] if rejects is None else [rejects])])
    with _Run(job, target, rejects, model_path, overwrite=overwrite, resume=resume) as run:
        clock.start_at(run.tally.rows_in)
        run.score(clock)
        if resume and not clock.resumed_at:
            job.findings.append("There was nothing to resume: all rows were scored.")
        summary = _summary(job, run.tally, output, rejects, model_path, clock)
        run.finish(beside, summary.to_json())
    return summary


class _Job:
    """What a run does with each row, whatever file it goes to."""

    def __init__(
        self,
        model: Any,
        source: Source,
        *,
        keep: tuple[str, ...],
        scores: dict[str, Any],
        bad: Literal["stop", "missing", "reject"],
        form: OutputFormat,
        rejects_form: OutputFormat,
        rows_per_part: int,
    ) -> None:
        if rows_per_part < 1:
            raise ValueError(f"rows_per_part must be at least 1, got {rows_per_part}.")
        self.model, self.source, self.schema = model, source, schema_of(model)
        self.keep, self.scores, self.bad = keep, scores, bad
        self.form, self.rejects_form = form, rejects_form
        self.rows_per_part = rows_per_part
        self.rows_per_frame = min(rows_per_part, _ROWS_PER_FRAME)
        self.findings = list(source.findings)
        own = [ROW_COLUMN, *([FILE_COLUMN] if len(source.paths) > 1 else [])]
        if taken := set(own).intersection(keep):
            raise ValueError(
                f"The output has a column {', '.join(map(repr, sorted(taken)))} of its own: rename "
                "that of the input, or do not keep it."
            )
        self._columns = output_columns(model, keep=keep, **scores)
        self._first = [*own, *keep]

    def options(self) -> dict[str, Any]:
        """Return what the output depends on besides the table and the model, as JSON has it."""
        options = {
            "keep": self.keep,
            **self.scores,
            "bad_cells": self.bad,
            "format": dataclasses.asdict(self.form),
            "format of rejects": dataclasses.asdict(self.rejects_form),
            "rows_per_part": self.rows_per_part,
            "reading": dataclasses.asdict(self.source.options),
        }
        return json.loads(json.dumps(options))

    def scored(self, start: int, tally: Tally) -> Generator[tuple[pa.Table, pa.Table]]:
        """Yield, for each frame from a row on, the rows of the output and the rejects, counted."""
        frames = self.source.frames(
            self.schema,
            keep=self.keep,
            start=start,
            rows_per_frame=self.rows_per_frame,
            bad=self.bad,
        )
        with closing(_read_ahead(frames)) as ahead:
            for frame in ahead:
                scores = score_frame(self.model, frame.table, **self.scores)
                table = self._table(frame, scores)
                self.form.check(table.schema)
                tally.add(frame, scores["score"].to_numpy(), scores["is_outlier"].to_numpy(bool))
                rejects = [dataclasses.asdict(reject) for reject in frame.rejects]
                yield table, pa.Table.from_pylist(rejects, schema=REJECT_COLUMNS)

    def _table(self, frame: Frame, scores: Any) -> pa.Table:
        columns = {ROW_COLUMN: pa.array(frame.rows, pa.int64())}
        for name in self._first[1:]:
            column = frame.kept[name]
            if pa.types.is_dictionary(column.type):  # whose codes may differ in every frame
                column = column.cast(column.type.value_type)
            columns[name] = column
        scored = pa.Table.from_pandas(scores, self._columns, preserve_index=False)
        columns |= dict(zip(scored.column_names, scored.columns, strict=True))
        return pa.table(columns)


class _Run:
    """A run that keeps the parts that are done, from the lock to the finished output."""

    def __init__(
        self,
        job: _Job,
        target: Path,
        rejects: str | os.PathLike[str] | None,
        model_path: str | os.PathLike[str] | None,
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self._job, self._target, self._rejects = job, target, rejects
        self._folder = RunFolder(target)
        self._checkpoint = self._folder.path / "checkpoint.json"
        self._overwrite, self._resume = overwrite, resume
        self._what: dict[str, Any] = {
            "table": job.source.fingerprint(),
            "model": _digest(job.model, model_path),
            "options": {**job.options(), "rejects": None if rejects is None else str(rejects)},
            "versions": {name: version(name) for name in _LIBRARIES},
        }
        self._n_parts = self._n_done = 0
        self._is_finishing = False
        self.tally = Tally(job.schema, training_scores(job.model))

    def __enter__(self) -> _Run:
        self._folder.acquire()
        try:
            self._take_up()
            if not self._n_parts:
                self._folder.clear()
        except BaseException:
            self._folder.release(keep=self._checkpoint.exists())
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # Bad input stays bad input: there is nothing to go on with.
        keep = error is not None and self._n_parts > 0 and not isinstance(error, ValueError)
        if error is not None and keep:
            error.add_note(
                f"{self._n_done:,} rows are done and kept in {self._folder.path}: resume it to go "
                "on from there."
            )
        self._folder.release(keep=keep)

    def score(self, clock: _Clock) -> None:
        """Score all rows that are not done yet, part by part."""
        if self._is_finishing:
            return
        tables: list[pa.Table] = []
        rejects: list[pa.Table] = []
        with closing(self._job.scored(self._n_done, self.tally)) as scored:
            for table, rejected in scored:
                tables.append(table)
                rejects.append(rejected)
                clock.show(self.tally.rows_in)
                if self.tally.rows_in - self._n_done >= self._job.rows_per_part:
                    self._keep(tables, rejects)
                    tables, rejects = [], []
        if tables:
            self._keep(tables, rejects)

    def finish(self, beside: Path, summary: str) -> None:
        """Put the parts together, and move the output, the rejects and the summary into place."""
        self._is_finishing = True
        self._put_aside()
        self._job.source.check_unchanged()
        with self._into_place(self._target) as file:
            put_together(self._parts("part"), file, self._job.form)
        if self._rejects is not None:
            with self._into_place(self._rejects) as file:
                put_together(self._parts("rejects"), file, self._job.rejects_form)
        with self._into_place(beside) as file:
            file.write(summary.encode())

    @contextmanager
    def _into_place(self, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
        """Yield a file in the folder of the run, which a kill does not leave lying elsewhere."""
        if is_stream(path) or not _same_device(self._folder.path, path):
            with _replaced_or_passed_through(path) as file:
                yield file
            return
        whole = self._folder.path / "whole"
        with whole.open("wb") as file:
            yield file
        publish(whole, destination(path))

    def _take_up(self) -> None:
        """Find out what an earlier run has left, and whether this one may write."""
        left = self._left()
        if left is not None and not (self._resume or self._overwrite):
            raise FileExistsError(
                f"An interrupted run has left {left['tally']['rows_in']:,} rows of {self._target} "
                f"in {self._folder.path}: resume it, or overwrite it to start anew."
            )
        if left is not None and self._resume:
            differs = self._differences(left)
            if not differs:
                self._n_parts, self._is_finishing = left["n_parts"], left["is_finishing"]
                self._overwrite = self._overwrite or left["overwrite"]
                self.tally.restore(left["tally"])
                self._n_done = self.tally.rows_in
            elif not self._overwrite:
                raise ValueError(
                    f"The interrupted run in {self._folder.path} cannot be resumed, as it used "
                    f"{' and '.join(differs)}: overwrite it to start anew."
                )
        if not self._overwrite and not self._is_finishing:
            check_new(self._target)
            if self._rejects is not None:
                check_new(self._rejects)

    def _left(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._checkpoint.read_bytes())
        except FileNotFoundError:
            return None

    def _differences(self, left: dict[str, Any]) -> list[str]:
        """Say in what a run that was interrupted differs from this one."""
        found = []
        if left["table"] != self._what["table"]:
            found.append("another table, or the table has changed since")
        if left["model"] != self._what["model"]:
            found.append("another model")
        for kind, wording in ("options", "other options"), ("versions", "other versions"):
            here, there = self._what[kind], left[kind]
            names = [name for name in here if here[name] != there.get(name)]
            if names:
                found.append(f"{wording} ({', '.join(names)})")
        return found

    def _keep(self, tables: list[pa.Table], rejects: list[pa.Table]) -> None:
        """Write a part, and then that it is there."""
        self._job.source.check_unchanged()
        self._write("part", tables, self._job.form)
        if self._rejects is not None:
            self._write("rejects", rejects, self._job.rejects_form)
        self._n_parts += 1
        self._n_done = self.tally.rows_in
        self._put_aside()

    def _write(self, name: str, tables: list[pa.Table], form: OutputFormat) -> None:
        table = pa.concat_tables(tables)
        path = self._part(name, self._n_parts)
        with (
            path.open("wb") as file,
            writing(file, form, table.schema, header=self._n_parts == 0) as write,
        ):
            write(table)
        flush(path)

    def _put_aside(self) -> None:
        """Write down how far the run has come."""
        state = {
            **self._what,
            "n_parts": self._n_parts,
            "is_finishing": self._is_finishing,
            "overwrite": self._overwrite,
            "tally": self.tally.state(),
        }
        with replacing(self._checkpoint) as part:
            part.write_text(json.dumps(state))

    def _part(self, name: str, number: int) -> Path:
        return self._folder.path / f"{name}-{number:06}"

    def _parts(self, name: str) -> list[Path]:
        return [self._part(name, number) for number in range(self._n_parts)]


class _Clock:
    """Tells how far and how fast a run is."""

    def __init__(self, progress: Callable[[int, int | None], None] | None, n: int | None) -> None:
        self._progress, self._n_rows = progress, n
        self._start = time.perf_counter()
        self.started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self.resumed_at = 0

    def start_at(self, row: int) -> None:
        self.resumed_at = row
        self.show(row)

    def show(self, row: int) -> None:
        if self._progress is not None:
            self._progress(row, self._n_rows)

    def seconds(self) -> float:
        return time.perf_counter() - self._start


def _pass_through(
    job: _Job,
    output: str | os.PathLike[str],
    rejects: str | os.PathLike[str] | None,
    *,
    overwrite: bool,
    clock: _Clock,
) -> Tally:
    """Write the rows to a pipe or a device as they are scored."""
    if rejects is not None:
        check_new(rejects, overwrite=overwrite)
    tally = Tally(job.schema, training_scores(job.model))
    with ExitStack() as open_files:

        def add_to(file: BinaryIO, form: OutputFormat, schema: pa.Schema) -> Write:
            return open_files.enter_context(writing(file, form, schema))

        write: Write | None = None
        write_rejects: Write | None = None
        if rejects is not None:
            file = open_files.enter_context(_replaced_or_passed_through(rejects))
            write_rejects = add_to(file, job.rejects_form, REJECT_COLUMNS)
        for table, rejected in open_files.enter_context(closing(job.scored(0, tally))):
            if write is None:  # nothing is opened before the table and the model are known to fit
                file = open_files.enter_context(open_stream(output))
                write = add_to(file, job.form, table.schema)
            write(table)
            if write_rejects is not None:
                write_rejects(rejected)
            clock.show(tally.rows_in)
        job.source.check_unchanged()
    return tally


def _read_ahead(frames: Iterator[Frame]) -> Generator[Frame]:
    """Yield what an iterator yields, with the next one read in another thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = pool.submit(next, frames, None)
            yield frame


@contextmanager
def _replaced_or_passed_through(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    if is_stream(path):
        with open_stream(path) as file:
            yield file
        return
    with replacing(path) as part, part.open("wb") as file:
        yield file


def _same_device(folder: Path, path: str | os.PathLike[str]) -> bool:
    return folder.stat().st_dev == destination(path).parent.stat().st_dev


def _bad(
    bad_cells: str, rejects: str | os.PathLike[str] | None
) -> Literal["stop", "missing", "reject"]:
    if bad_cells not in ("stop", "missing"):
        raise ValueError(f"bad_cells must be 'stop' or 'missing', got {bad_cells!r}.")
    if rejects is None:
        return bad_cells  # type: ignore[return-value]
    if bad_cells == "missing":
        raise ValueError("Rows with bad cells cannot be both rejected and scored as missing.")
    return "reject"


def _digest(model: Any, path: str | os.PathLike[str] | None) -> str:
    if path is None:
        return joblib.hash(model)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _summary(
    job: _Job,
    tally: Tally,
    output: str | os.PathLike[str],
    rejects: str | os.PathLike[str] | None,
    model_path: str | os.PathLike[str] | None,
    clock: _Clock,
) -> Summary:
    seconds = clock.seconds()
    offset = own_threshold(job.model)
    return Summary(
        vae_anomaly=version("vae-anomaly"),
        output=str(output),
        rejects=None if rejects is None else str(rejects),
        model={
            "path": None if model_path is None else str(model_path),
            "digest": _digest(job.model, model_path),
        },
        inputs=job.source.fingerprint(),
        findings=tuple(job.findings),
        started=clock.started,
        seconds=round(seconds, 3),
        rows_per_second=round((tally.rows_in - clock.resumed_at) / seconds, 1),
        resumed_at_row=clock.resumed_at,
        rows_in=tally.rows_in,
        rows_out=tally.rows_out,
        rows_rejected=tally.rows_in - tally.rows_out,
        bad_cells=tally.bad_cells,
        alarms=tally.alarms,
        threshold=float(-np.asarray(offset).item()),
        score_quantiles=tally.scores.quantiles(),
        training_score_quantiles=tally.training,
        drift=None if tally.drift is None else tally.drift.to_dict(),
        warnings=tally.warnings(),
    )
