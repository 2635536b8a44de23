"""What a run does with each row, wherever the scores go."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import joblib
import pyarrow as pa

from vae_anomaly.batch.models import schema_of
from vae_anomaly.batch.outputs import OutputFormat, kept_cells, without_codes
from vae_anomaly.batch.scoring import output_columns, score_frame
from vae_anomaly.batch.source import FILE_COLUMN
from vae_anomaly.files import digest_of

if TYPE_CHECKING:
    from vae_anomaly.batch.schema import TableSchema
    from vae_anomaly.batch.source import Frame, Source
    from vae_anomaly.batch.summary import Tally

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

_FEW = 10  # names of columns in a sentence
_ROWS_PER_FRAME = 65_536  # scored at a time: enough to keep the threads busy

# What the bytes of the output may depend on besides the code of this package.
_LIBRARIES = ("vae-anomaly", "numpy", "scikit-learn", "duckdb", "pyarrow")


class ScoringJob:
    """The scoring of a table: what is asked for, checked, and how it is done frame by frame.

    Parameters
    ----------
    model, source, model_path
        See `score_table`.
    keep : tuple of str
        The columns to copy to the output.
    scores : dict
        The options of `score_frame`.
    bad : {"stop", "missing", "reject"}
        What bad cells do, see `Source.frames`.
    form, rejects_form : OutputFormat
        How the output and the rejects are written.
    rows_per_part : int
        The number of rows after which a part is done.
    """

    def __init__(
        self,
        model: Any,
        source: Source,
        *,
        model_path: str | os.PathLike[str] | None,
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
        self.model_digest = _digest(model, model_path)
        self.keep, self.scores, self.bad = keep, scores, bad
        self.form, self.rejects_form = form, rejects_form
        self.rows_per_part = rows_per_part
        self.rows_per_frame = min(rows_per_part, _ROWS_PER_FRAME)
        self.findings = [*source.findings, *unused_columns(source, self.schema, keep)]
        own = [ROW_COLUMN, *([FILE_COLUMN] if len(source.paths) > 1 else [])]
        if taken := set(own).intersection(keep):
            raise ValueError(
                f"The output has a column {', '.join(map(repr, sorted(taken)))} of its own: rename "
                "that of the input, or do not keep it."
            )
        self._columns = output_columns(model, keep=keep, **scores)
        self._first = [*own, *keep]

    def inputs(self) -> dict[str, Any]:
        """Return all that the output depends on, as JSON has it."""
        inputs = {
            "table": self.source.fingerprint(),
            "model": self.model_digest,
            "options": {
                "keep": self.keep,
                **self.scores,
                "bad_cells": self.bad,
                "format": dataclasses.asdict(self.form),
                "format of rejects": dataclasses.asdict(self.rejects_form),
                "rows_per_part": self.rows_per_part,
                "reading": dataclasses.asdict(self.source.options),
            },
            "versions": {name: version(name) for name in _LIBRARIES},
        }
        return json.loads(json.dumps(inputs))

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
        kept = without_codes(kept_cells(self.source, frame).select(self._first[1:]))
        columns = {ROW_COLUMN: pa.array(frame.rows, pa.int64())}
        columns |= dict(zip(kept.column_names, kept.columns, strict=True))
        scored = pa.Table.from_pandas(scores, self._columns, preserve_index=False)
        columns |= dict(zip(scored.column_names, scored.columns, strict=True))
        return pa.table(columns)


def unused_columns(source: Source, schema: TableSchema, keep: tuple[str, ...]) -> list[str]:
    """Say which columns of the table are neither scored nor kept."""
    names = [repr(name) for name in source.extra_columns(schema, keep)]
    if not names:
        return []
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return [f"ignored, as the model has not learned from them: {', '.join(names[:_FEW])}{more}"]


def _read_ahead(frames: Iterator[Frame]) -> Generator[Frame]:
    """Yield what an iterator yields, with the next one read in another thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = pool.submit(next, frames, None)
            yield frame


def _digest(model: Any, path: str | os.PathLike[str] | None) -> str:
    if path is None:
        return joblib.hash(model)
    return digest_of(path)
