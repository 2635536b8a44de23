"""A run of which the parts that are done are kept until the output is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.locking import RunFolder
from vae_anomaly.batch.models import training_scores
from vae_anomaly.batch.outputs import OutputFormat, Write, put_together, writing
from vae_anomaly.batch.summary import Tally
from vae_anomaly.files import (
    Hint,
    check_new,
    destination,
    flush,
    is_stream,
    open_replacing,
    publish,
    replacing,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from vae_anomaly.batch.job import ScoringJob


class PartedRun:
    """A run from the lock to the finished output, as a context manager.

    Parameters
    ----------
    job : ScoringJob
        What to do.
    target : Path
        The file to write, with links resolved.
    beside : Path
        The file for the summary.
    rejects : str or path-like or None
        The file for rows that cannot be scored.
    overwrite, resume : bool
        What to do about what is there, see `score_table`.

    Attributes
    ----------
    tally : Tally
        The counts of the rows that are done.
    """

    def __init__(
        self,
        job: ScoringJob,
        target: Path,
        beside: Path,
        rejects: str | os.PathLike[str] | None,
        *,
        overwrite: bool,
        resume: bool,
    ) -> None:
        self._job, self._target, self._beside, self._rejects = job, target, beside, rejects
        self._folder = RunFolder(target)
        self._overwrite, self._resume = overwrite, resume
        self._inputs = job.inputs()
        self._inputs["options"]["rejects"] = None if rejects is None else str(rejects)
        self._n_parts = self._n_done = 0
        self._stage: Literal["scoring", "finishing", "done"] = "scoring"
        self.tally = Tally(job.schema, training_scores(job.model))

    def __enter__(self) -> PartedRun:
        self._folder.acquire()
        try:
            self._take_up()
            if not self._n_parts:
                self._folder.clear()
        except BaseException:
            self._folder.release(keep=self._folder.checkpoint.exists())
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # A bad table stays bad: there is nothing to go on with.
        keep = error is not None and self._n_parts > 0 and not isinstance(error, TableError)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(self._target)
        if error is not None and keep:
            error.add_note(f"{self._n_done:,} rows are done and kept in {self._folder.path}")
            error.add_note(Hint("resume it to go on from there"))
        self._folder.release(keep=keep)

    def score(self, progress: Callable[[int], None]) -> None:
        """Score all rows that are not done yet, and tell how many are after each frame."""
        if self._stage != "scoring":
            return
        with closing(self._job.scored(self._n_done, self.tally)) as scored:
            for first in scored:
                self._write_part(first, scored, progress)

    def finish(self, summary: str) -> None:
        """Put the parts together, and move the output, the rejects and the summary into place."""
        if self._stage == "done":
            return
        self._stage = "finishing"
        self._put_aside()
        self._job.source.check_unchanged()
        with self._into_place(self._target) as file:
            put_together(self._parts("part"), file, self._job.form)
        if self._rejects is not None:
            with self._into_place(self._rejects) as file:
                put_together(self._parts("rejects"), file, self._job.rejects_form)
        with self._into_place(self._beside) as file:
            file.write(summary.encode())
        self._stage = "done"
        self._put_aside()
        # The checkpoint goes last, so that a kill before leaves something that can be resumed.
        for path in self._parts("part") + self._parts("rejects"):
            path.unlink(missing_ok=True)

    @contextmanager
    def _into_place(self, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
        """Yield a file in the folder of the run, which a kill does not leave lying elsewhere."""
        # From a folder further away it could be another mount, to which nothing can be moved.
        if is_stream(path) or destination(path).parent != self._folder.path.parent:
            with open_replacing(path) as file:
                yield file
            return
        whole = self._folder.path / "whole"
        with whole.open("wb") as file:
            yield file
        publish(whole, destination(path))

    def _take_up(self) -> None:
        """Find out what an earlier run has left, and whether this one may write."""
        left = self._left()
        asked = self._resume or self._overwrite
        if left is not None and left["stage"] != "done" and not asked:
            interrupted = FileExistsError(
                f"An interrupted run has left {left['tally']['rows_in']:,} rows of {self._target} "
                f"in {self._folder.path}"
            )
            interrupted.add_note(Hint("resume it, or overwrite it to start anew"))
            raise interrupted
        if left is not None and self._resume:
            differs = self._differences(left)
            if not differs:
                self._n_parts, self._stage = left["n_parts"], left["stage"]
                self._overwrite = self._overwrite or left["overwrite"]
                self.tally.restore(left["tally"])
                self._n_done = self.tally.rows_in
            elif not self._overwrite:
                other = ValueError(
                    f"The interrupted run in {self._folder.path} cannot be resumed, as it used "
                    f"{' and '.join(differs)}"
                )
                other.add_note(Hint("overwrite it to start anew"))
                raise other
        if not self._overwrite and self._stage == "scoring":
            check_new(self._target)
            check_new(self._beside)
            if self._rejects is not None:
                check_new(self._rejects)

    def _left(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._folder.checkpoint.read_bytes())
        except FileNotFoundError:
            return None

    def _differences(self, left: dict[str, Any]) -> list[str]:
        """Say in what a run that was interrupted differs from this one."""
        found = []
        if left["table"] != self._inputs["table"]:
            found.append("another table, or the table has changed since")
        if left["model"] != self._inputs["model"]:
            found.append("another model")
        for kind, wording in ("options", "other options"), ("versions", "other versions"):
            here, there = self._inputs[kind], left[kind]
            names = [name for name in here if here[name] != there.get(name)]
            if names:
                found.append(f"{wording} ({', '.join(names)})")
        return found

    def _write_part(
        self,
        first: tuple[pa.Table, pa.Table],
        others: Iterator[tuple[pa.Table, pa.Table]],
        progress: Callable[[int], None],
    ) -> None:
        """Write frames until a part is full, and then that it is there."""
        with ExitStack() as open_files:
            write = open_files.enter_context(self._writing("part", self._job.form, first[0].schema))
            write_rejects: Write | None = None
            if self._rejects is not None:
                write_rejects = open_files.enter_context(
                    self._writing("rejects", self._job.rejects_form, first[1].schema)
                )
            for table, rejected in chain([first], others):
                write(table)
                if write_rejects is not None:
                    write_rejects(rejected)
                progress(self.tally.rows_in)
                if self.tally.rows_in - self._n_done >= self._job.rows_per_part:
                    break
        self._job.source.check_unchanged()
        self._n_parts += 1
        self._n_done = self.tally.rows_in
        self._put_aside()

    @contextmanager
    def _writing(self, name: str, form: OutputFormat, schema: pa.Schema) -> Iterator[Write]:
        """Yield what writes tables to the part that comes next."""
        path = self._part(name, self._n_parts)
        with (
            path.open("wb") as file,
            writing(file, form, schema, header=self._n_parts == 0) as write,
        ):
            yield write
        flush(path)

    def _put_aside(self) -> None:
        """Write down how far the run has come."""
        state = {
            **self._inputs,
            "n_parts": self._n_parts,
            "stage": self._stage,
            "overwrite": self._overwrite,
            "tally": self.tally.state(),
        }
        with replacing(self._folder.checkpoint) as part:
            part.write_text(json.dumps(state))

    def _part(self, name: str, number: int) -> Path:
        return self._folder.path / f"{name}-{number:06}"

    def _parts(self, name: str) -> list[Path]:
        return [self._part(name, number) for number in range(self._n_parts)]
