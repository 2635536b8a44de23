"""The scored rows that a report is about: of a table, by a model, or of a file of scores."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.job import ROW_COLUMN
from vae_anomaly.batch.models import schema_of
from vae_anomaly.batch.outputs import kept_cells, without_codes
from vae_anomaly.batch.schema import TableSchema, check_names
from vae_anomaly.batch.scoring import score_frame
from vae_anomaly.batch.source import FILE_COLUMN
from vae_anomaly.batch.summary import Summary, summary_path
from vae_anomaly.report.rows import NUMBER, Rows
from vae_anomaly.thresholds.conformal import PValuesMixin
from vae_anomaly.thresholds.fitting import final_step

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Frame, Source

_OF_REASONS = ("reason", "contribution", "value", "expected")


class Part(NamedTuple):
    """Some rows, one after the other."""

    frame: Frame
    rows: Rows


class Table:
    """A table whose rows a model scores.

    Parameters
    ----------
    model : estimator
        What `score_frame` takes.
    source : Source
        The table.
    keep : sequence of str
        The columns to show beside the scores.
    bad : {"stop", "missing"}
        What bad cells do.

    Raises
    ------
    ValueError
        If the model cannot score the table.
    """

    def __init__(
        self, model: Any, source: Source, keep: Sequence[str], bad: Literal["stop", "missing"]
    ) -> None:
        self.model, self.source, self._bad = model, source, bad
        self.schema = schema_of(model)
        self.columns = tuple(dict.fromkeys(keep))
        self._p_value = isinstance(final_step(model), PValuesMixin)
        source.check_columns(self.schema, self.columns)
        if len(source.paths) > 1 and FILE_COLUMN not in self.columns:
            self._beside = (FILE_COLUMN, *self.columns)
        else:
            self._beside = self.columns

    def parts(self) -> Generator[Part]:
        """Yield all rows, some at a time."""
        for frame in self.source.frames(self.schema, keep=self.columns, bad=self._bad):
            scored = score_frame(self.model, frame.table, p_value=self._p_value)
            numbers = pa.array(frame.rows, pa.int64())
            kept = without_codes(kept_cells(self.source, frame))
            beside = pa.table(
                [numbers, *kept.select(self._beside).columns], [NUMBER, *self._beside]
            )
            yield Part(frame, Rows(frame.rows - 1, beside, frame.table, scored))


class ScoredFile:
    """A file of scores, as `score_table` writes it.

    Parameters
    ----------
    source : Source
        The file.
    keep : sequence of str
        The columns to show beside the scores; by default all that were kept.
    bad : {"stop", "missing"}
        What bad cells do.

    Raises
    ------
    TableError
        If the file has no scores.
    """

    def __init__(
        self, source: Source, keep: Sequence[str], bad: Literal["stop", "missing"]
    ) -> None:
        self.source, self._bad = source, bad
        names = source.names
        self.n_reasons = 0
        while all(f"{part}_{self.n_reasons + 1}" in names for part in _OF_REASONS):
            self.n_reasons += 1
        reasons = [f"{part}_{at + 1}" for at in range(self.n_reasons) for part in _OF_REASONS]
        self._numbers = ["score", *(name for name in names if name == "p_value")]
        self._texts = [name for name in reasons if not name.startswith("contribution_")]
        self._numbers += [name for name in reasons if name.startswith("contribution_")]
        own = {ROW_COLUMN, "is_outlier", *self._numbers, *self._texts}
        check_names(names, [ROW_COLUMN, *keep])
        self.columns = tuple(dict.fromkeys(keep or (name for name in names if name not in own)))
        kinds = {**dict.fromkeys(self._numbers, "number"), "is_outlier": "category"}
        columns = [{"name": name, "kind": kind} for name, kind in kinds.items()]
        self.schema = TableSchema(columns)
        source.check_columns(self.schema)

    def parts(self) -> Generator[Part]:
        """Yield all rows, some at a time."""
        keep = list(dict.fromkeys([ROW_COLUMN, *self.columns, *self._texts]))
        for frame in self.source.frames(self.schema, keep=keep, bad=self._bad):
            kept = without_codes(kept_cells(self.source, frame))
            scored = frame.table[self._numbers].assign(is_outlier=self._alarms(frame))
            texts = {name: kept[name].to_pandas().to_numpy(object) for name in self._texts}
            scored = scored.assign(**texts)
            numbers = kept[ROW_COLUMN].cast(pa.int64())
            beside = pa.table(
                [numbers, *kept.select(self.columns).columns], [NUMBER, *self.columns]
            )
            no_columns = pd.DataFrame(index=scored.index)
            yield Part(frame, Rows(frame.rows - 1, beside, no_columns, scored))

    def _alarms(self, frame: Frame) -> np.ndarray:
        cells = frame.table["is_outlier"].astype(str).str.lower()
        unknown = ~cells.isin(["true", "false"]).to_numpy()
        if unknown.any():
            raise TableError(
                f"{self.source}, row {frame.rows[unknown][0]:,}, column 'is_outlier': "
                f"{frame.table['is_outlier'][unknown].iloc[0]!r} is neither true nor false"
            )
        return (cells == "true").to_numpy()


def summary_beside(source: Source) -> Summary | None:
    """Return what the run that wrote a file of scores has told beside it, if it can be read."""
    if len(source.paths) == 1:
        path = summary_path(source.paths[0])
        with suppress(OSError, ValueError):
            return Summary.from_json(path.read_text(encoding="utf-8"))
    return None
