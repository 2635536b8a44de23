"""What a run counts: the rows, the alarms, the scores, and how they differ from training."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vae_anomaly.batch.profile import Drift
from vae_anomaly.batch.quantiles import ScoreQuantiles

if TYPE_CHECKING:
    from vae_anomaly.batch.schema import TableSchema
    from vae_anomaly.batch.source import Frame

_FEWEST_SCORES = 100  # to compare their median


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run has done, as it is written beside the output."""

    vae_anomaly: str
    """The version of the package."""
    output: str
    rejects: str | None
    model: dict[str, Any]
    """The path and the SHA-256 digest of the model."""
    inputs: list[dict[str, Any]]
    """The path, size, time of change and inode of each file."""
    findings: tuple[str, ...]
    """What was found out about the input, in sentences."""
    started: str
    seconds: float
    """How long this process took, without what an interrupted run had done before it."""
    rows_per_second: float
    resumed_at_row: int
    """The number of rows that interrupted runs had done; 0 if there was none."""
    rows_in: int
    rows_out: int
    rows_rejected: int
    bad_cells: dict[str, int]
    """The number of cells that were not of the kind of their column and were taken for missing."""
    alarms: int
    threshold: float
    score_quantiles: dict[str, float]
    """Quantiles of the scores, by level, right to 0.5 %."""
    training_score_quantiles: dict[str, float] | None
    """Those of the training rows, if the model tells."""
    drift: dict[str, Any] | None
    """How each column differs from training, if the model tells what that held."""
    warnings: tuple[str, ...]
    """In what the rows no longer look like training, in sentences."""

    def to_json(self) -> str:
        """Return the summary as a JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"


class Tally:
    """The counts of a run, which can be put aside as JSON and taken up again.

    Parameters
    ----------
    schema : TableSchema or None
        The columns of the model, with what they held in training.
    """

    def __init__(self, schema: TableSchema | None) -> None:
        self._schema = schema
        self.rows_in = self.rows_out = self.alarms = 0
        self.bad_cells: dict[str, int] = {}
        self.scores = ScoreQuantiles()
        self.drift = None if schema is None else Drift(schema)

    def add(self, frame: Frame, scores: np.ndarray, is_outlier: np.ndarray) -> None:
        """Count a frame and what its rows, without rejects, got."""
        self.rows_in = frame.stop
        self.rows_out += len(frame.rows)
        self.alarms += int(np.count_nonzero(is_outlier))
        self.scores.add(scores)
        for column, count in frame.n_bad.items():
            self.bad_cells[column] = self.bad_cells.get(column, 0) + int(count)
        if self.drift is not None:
            self.drift.add(frame.table)

    def training_quantiles(self) -> dict[str, float] | None:
        """Return the quantiles of the training scores by level, if the model tells."""
        quantiles = getattr(self._schema, "score_quantiles_", None)
        return None if quantiles is None else {str(k): float(v) for k, v in quantiles.items()}

    def warnings(self) -> tuple[str, ...]:
        """Say in what the rows no longer look like training."""
        found = () if self.drift is None else tuple(self.drift.warnings())
        here, training = self.scores.quantiles(), self.training_quantiles() or {}
        usual = training.get("0.95", np.inf)
        if self.rows_out >= _FEWEST_SCORES and here["0.5"] > usual:
            found += (
                f"More than half of the scores are above {usual:.4g}, which 95 % of the training "
                "scores are below.",
            )
        if self.rows_out == 0:
            found += ("All rows were rejected.",)
        return found

    def to_state(self) -> dict[str, Any]:
        """Return what `from_state` needs, as JSON can hold it."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "alarms": self.alarms,
            "bad_cells": self.bad_cells,
            "scores": self.scores.to_state(),
            "drift": None if self.drift is None else self.drift.to_state(),
        }

    @classmethod
    def from_state(cls, schema: TableSchema | None, state: dict[str, Any]) -> Self:
        """Return the counts that gave a state."""
        made = cls(schema)
        made.rows_in, made.rows_out = state["rows_in"], state["rows_out"]
        made.alarms, made.bad_cells = state["alarms"], state["bad_cells"]
        made.scores = ScoreQuantiles.from_state(state["scores"])
        if schema is not None:
            made.drift = Drift.from_state(schema, state["drift"])
        return made
