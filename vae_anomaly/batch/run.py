"""score_table: the scores of a table in files, in a run that is safe and can be resumed."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import pyarrow as pa

from vae_anomaly.batch.job import REJECT_COLUMNS, ScoringJob
from vae_anomaly.batch.models import training_scores
from vae_anomaly.batch.outputs import OutputFormat, Write, writing
from vae_anomaly.batch.parts import PartedRun
from vae_anomaly.batch.summary import Summary, Tally, summary_path
from vae_anomaly.files import (
    check_distinct,
    check_new,
    destination,
    is_stream,
    open_replacing,
    open_stream,
)
from vae_anomaly.thresholds.fitting import own_threshold

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Source


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

    The output appears under its name once it is complete, with a summary in JSON beside it. Until
    then, the parts that are done are kept in a hidden folder beside it, which also locks the
    output. If the run is interrupted, the parts stay there, so that another run can resume it.

    Parameters
    ----------
    model : estimator
        A fitted model, as `score_frame` takes it, whose columns `schema_of` finds.
    source : Source
        The table.
    output : str or path-like
        The file to write. The format is that of its suffix: .csv, .jsonl (JSON lines) or .parquet;
        the first two may be followed by .gz or .zst. A pipe, a device or "-", which is the standard
        output, is written to row by row and gets no summary.
    model_path : str, path-like or None, default=None
        The file that the model was loaded from, by which a resumed run checks that the interrupted
        one used the same model.
    keep : sequence of str, default=()
        Columns of the table to copy to the output.
    p_value : bool, default=False
        Whether to add the p-value of each row, see `score_frame`.
    reasons : int, default=0
        The number of reasons to add for each row, see `score_frame`.
    attribution : {"terms", "hiding"}, default="terms"
        How the score is divided among the columns, see `vae_anomaly.explain`.
    rejects : str, path-like or None, default=None
        A file to which the rows that cannot be scored are written, with the reasons. Without it,
        the first such row is an error.
    bad_cells : {"stop", "missing"}, default="stop"
        Whether cells that do not fit the kind of their column are an error or count as missing.
    escape_formulas : bool, default=False
        Whether to put an apostrophe before text in CSV that a spreadsheet would run as a formula.
    overwrite : bool, default=False
        Whether to replace an existing output, and to discard what an interrupted run has left.
    resume : bool, default=False
        Whether to resume an interrupted run. The output has the same bytes as if there had been no
        interruption. If the interrupted run used another table, model or options, this is an error,
        or with `overwrite` a new start.
    rows_per_part : int, default=262_144
        The approximate number of rows whose scores an interruption may lose.
    progress : callable or None, default=None
        A function that is called with the number of rows done and the number of all rows, which is
        None if the format of the files does not say.

    Returns
    -------
    summary : Summary
        The summary of the run, which is also written beside the output.

    Raises
    ------
    TableError
        If the table cannot be read, does not fit the model or changes while it is read.
    ValueError
        If arguments do not fit together or name one file twice, or the model cannot give what is
        asked for.
    FileExistsError
        If the output or its summary exists, or an interrupted run has left parts of it, and neither
        `overwrite` nor `resume` is set.
    RunLockedError
        If another run is writing to the same output.

    See Also
    --------
    score_frame : Scores the rows of a dataframe.
    fit_table : Trains a model on a table in files.

    Notes
    -----
    A `TableError` leaves no files behind. After any other error, such as an interruption or a full
    disk, the parts that are done are kept, and the exception has a note that names their folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from vae_anomaly import TableSchema, VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source, score_table
    >>> rows = pd.DataFrame(np.random.RandomState(0).normal(size=(200, 2)), columns=["a", "b"])
    >>> detector = VAEAnomalyDetector(max_iter=2, random_state=0)
    >>> model = make_pipeline(TableSchema(), detector).fit(rows)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table, output = Path(folder, "table.csv"), Path(folder, "scores.parquet")
    ...     rows.to_csv(table, index=False)
    ...     summary = score_table(model, Source.open([table]), output, keep=["a"])
    ...     scores = pd.read_parquet(output)
    >>> summary.rows_out, list(scores)
    (200, ['row', 'a', 'score', 'is_outlier'])
    """
    job = ScoringJob(
        model,
        source,
        model_path=model_path,
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
    beside = summary_path(target)
    check_distinct(read, [output, beside, *([] if rejects is None else [rejects])])
    with PartedRun(job, target, beside, rejects, overwrite=overwrite, resume=resume) as run:
        clock.start_at(run.tally.rows_in)
        run.score(clock.show)
        if resume:
            job.findings.append(
                f"The first {clock.resumed_at:,} rows had been scored by an interrupted run; this "
                f"one started from row {clock.resumed_at + 1:,}."
                if clock.resumed_at
                else "No interrupted run was found that can be resumed; started from row 1."
            )
        summary = _summary(job, run.tally, output, rejects, model_path, clock)
        run.finish(summary.to_json())
    return summary


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
    job: ScoringJob,
    output: str | os.PathLike[str],
    rejects: str | os.PathLike[str] | None,
    *,
    overwrite: bool,
    clock: _Clock,
) -> Tally:
    """Write the rows to a pipe or a device as they are scored."""
    if rejects is not None and not overwrite:
        check_new(rejects)
    tally = Tally(job.schema, training_scores(job.model))
    with ExitStack() as open_files:

        def add_to(file: BinaryIO, form: OutputFormat, schema: pa.Schema) -> Write:
            return open_files.enter_context(writing(file, form, schema))

        write: Write | None = None
        write_rejects: Write | None = None
        if rejects is not None:
            file = open_files.enter_context(open_replacing(rejects))
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


def _summary(
    job: ScoringJob,
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
            "digest": job.model_digest,
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
        drift=tally.drift.summary(),
        warnings=tally.warnings(),
    )
