"""What a run counts: the rows, the alarms, the scores, and how they differ from training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Self, get_args, get_origin, get_type_hints

import numpy as np

from vae_anomaly.batch.profile import Drift
from vae_anomaly.batch.quantiles import ScoreQuantiles, quantiles_of

if TYPE_CHECKING:
    from vae_anomaly.batch.schema import TableSchema
    from vae_anomaly.batch.source import Frame

_FEWEST_SCORES = 100  # to compare their median


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run has done, as it is written beside the output.

    Parameters
    ----------
    vae_anomaly : str
        The version of the package.
    output : str
        The path of the output.
    rejects : str or None
        The path of the file with the rows that could not be scored.
    model : dict
        The path and the SHA-256 digest of the model.
    inputs : list of dict
        The path, size, time of change and inode of each file.
    findings : tuple of str
        What was found out about the input, in sentences.
    started : str
        When the run started, in ISO 8601.
    seconds : float
        How long this process took, without what an interrupted run had done before it.
    rows_per_second : float
        The number of rows per second.
    resumed_at_row : int
        The number of rows that interrupted runs had done; 0 if there was none.
    rows_in : int
        The number of rows read.
    rows_out : int
        The number of rows scored.
    rows_rejected : int
        The number of rows that could not be scored.
    bad_cells : dict of str to int
        For each column, the number of cells that were not of its kind and were taken for missing.
    alarms : int
        The number of rows with a score above the threshold.
    threshold : float
        The anomaly score above which a row is an alarm.
    score_quantiles : dict of str to float
        Quantiles of the anomaly scores by their levels, with a relative error of at most 0.5 %.
    training_score_quantiles : dict of str to float or None
        Those of the training rows, or None if the model does not keep them.
    drift : dict
        How each column differs from training, as far as the model knows what it held then.
    warnings : tuple of str
        How the rows differ from those of the training, in sentences.

    See Also
    --------
    score_table : Returns the summary of a run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source, score_table
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     X.to_csv(path, index=False)
    ...     summary = score_table(detector, Source.open([path]), Path(folder, "scores.csv"))
    >>> summary.rows_out, summary.rows_rejected
    (150, 0)
    """

    vae_anomaly: str
    output: str
    rejects: str | None
    model: dict[str, Any]
    inputs: list[dict[str, Any]]
    findings: tuple[str, ...]
    started: str
    seconds: float
    rows_per_second: float
    resumed_at_row: int
    rows_in: int
    rows_out: int
    rows_rejected: int
    bad_cells: dict[str, int]
    alarms: int
    threshold: float
    score_quantiles: dict[str, float]
    training_score_quantiles: dict[str, float] | None
    drift: dict[str, Any]
    warnings: tuple[str, ...]

    def to_json(self) -> str:
        """Return the summary as a JSON object.

        Returns
        -------
        text : str
            The JSON text, which ends with a new line.
        """
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the summary that `to_json` has written.

        Parameters
        ----------
        text : str
            The JSON text.

        Returns
        -------
        summary : Summary
            The summary.

        Raises
        ------
        ValueError
            If the text is damaged or no summary of this version.
        """
        content = json.loads(text)
        hints = get_type_hints(cls)
        fits = isinstance(content, dict) and content.keys() == hints.keys()
        if not fits or not all(_fits(content[name], hint) for name, hint in hints.items()):
            raise ValueError("This is not the summary of a run.")
        if not all(map(_is_drift, content["drift"].values())):
            raise ValueError("The summary does not tell the drift of its columns.")
        return cls(
            **content
            | {name: tuple(content[name]) for name in ("findings", "warnings")}
            | {"threshold": float(content["threshold"])}
        )


def summary_path(output: Path) -> Path:
    """Return where the summary of a run stands: beside its output."""
    return output.with_name(f"{output.name}.summary.json")


class Tally:
    """The counts of a run, which can be put aside as JSON and taken up again.

    Parameters
    ----------
    schema : TableSchema
        The columns of the model, with what they held in training, if it is known.
    training : ndarray of shape (n_training_rows,) or None
        The scores of the training rows, higher for abnormal ones, if the model keeps them.
    """

    def __init__(self, schema: TableSchema, training: np.ndarray | None = None) -> None:
        self.rows_in = self.rows_out = self.alarms = 0
        self.bad_cells: dict[str, int] = {}
        self.scores = ScoreQuantiles()
        self._schema = schema
        self.drift = Drift(schema)
        self.training = None if training is None else quantiles_of(training)

    def add(self, frame: Frame, scores: np.ndarray, is_outlier: np.ndarray) -> None:
        """Count a frame and what its rows, without rejects, got."""
        self.rows_in = frame.stop
        self.rows_out += len(frame.rows)
        self.alarms += int(np.count_nonzero(is_outlier))
        self.scores.add(scores)
        for column, count in frame.n_bad.items():
            self.bad_cells[column] = self.bad_cells.get(column, 0) + int(count)
        self.drift.add(frame.table)

    def warnings(self) -> tuple[str, ...]:
        """Say in what the rows no longer look like training."""
        found = tuple(self.drift.warnings())
        here, training = self.scores.quantiles(), self.training or {}
        usual = training.get("0.95", np.inf)
        if self.rows_out >= _FEWEST_SCORES and here["0.5"] > usual:
            found += (
                f"More than half of the scores are above {usual:.4g}, which 95 % of the training "
                "scores are below.",
            )
        if self.rows_out == 0:
            found += ("All rows were rejected.",)
        return found

    def state(self) -> dict[str, Any]:
        """Return the counts, as JSON can hold them, for `restore`."""
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "alarms": self.alarms,
            "bad_cells": self.bad_cells,
            "scores": self.scores.state(),
            "drift": self.drift.to_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set the counts to those of `state`."""
        self.rows_in, self.rows_out = state["rows_in"], state["rows_out"]
        self.alarms, self.bad_cells = state["alarms"], state["bad_cells"]
        self.scores.restore(state["scores"])
        self.drift = Drift.from_state(self._schema, state["drift"])


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value of JSON has a type."""
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (list, tuple):
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, arguments[1]) for v in value.values())
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(
            value, bool
        )
    return isinstance(value, hint)


_OF_DRIFT = {"psi": float | None, "warns": bool, "missing": float, "missing_in_training": float}
_OF_NUMBERS = {"below": float, "above": float}
_OF_LEVELS = {"unseen": float | None, "unseen_levels": dict[str, int]}


def _is_drift(told: Any) -> bool:
    """Return whether this is what `Drift.summary` tells of a column."""
    return isinstance(told, dict) and any(
        told.keys() | {"warns"} == hints.keys()  # which 0.1.0 did not tell
        and all(_fits(value, hints[name]) for name, value in told.items())
        for hints in (_OF_DRIFT | _OF_NUMBERS, _OF_DRIFT | _OF_LEVELS)
    )
