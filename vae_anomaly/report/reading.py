"""Reading the rows of a report once, part by part.

Of each row only the score, the decision and the label are held in memory, 17 bytes; of the most
abnormal rows and of a random sample all cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_anomaly.batch.models import training_scores
from vae_anomaly.batch.profile import Profiler
from vae_anomaly.batch.summary import Tally
from vae_anomaly.report.inputs import RunSummary, ScoredFile, Table
from vae_anomaly.report.rows import Chosen, Rows
from vae_anomaly.thresholds.fitting import own_threshold

_N_SAMPLED = 4000


class Reading:
    """What has been read: scores, and the rows that were chosen.

    Parameters
    ----------
    rows : Table or ScoredFile
        The rows.
    model : estimator or None
        The model, if it is known.
    n_listed : int
        The number of the most abnormal rows to keep.
    progress : callable or None
        Called with the number of rows done and that of all rows.
    """

    def __init__(
        self,
        rows: Table | ScoredFile,
        model: Any,
        n_listed: int,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self.rows, self.model = rows, model
        is_table = isinstance(rows, Table)
        self.tally = Tally(rows.schema, None if model is None else training_scores(model))
        profiler = Profiler(rows.schema.schemas()) if is_table else None
        listed, sampled = Chosen(n_listed), Chosen(_N_SAMPLED)
        rng = np.random.RandomState(0)
        scores, alarms = [], []
        for frame, scored in rows.parts():
            if not np.isfinite(scored.score).all():
                row = scored.numbers[~np.isfinite(scored.score)][0]
                raise ValueError(f"{rows.source}, row {row:,}: the score is missing or infinite.")
            self.tally.add(frame, scored.score, scored.is_alarm)
            scores.append(scored.score)
            alarms.append(scored.is_alarm)
            listed.add(scored, scored.score)
            if profiler is not None:
                profiler.add(frame.table)
                sampled.add(scored, rng.random_sample(len(scored.positions)))
            if progress is not None:
                progress(frame.stop, rows.source.n_rows)
        rows.source.check_unchanged()
        self.scores, self.is_alarm = np.concatenate(scores), np.concatenate(alarms)
        assert listed.rows is not None  # a source without rows is refused
        self.listed: Rows = listed.rows
        self.sampled = sampled.rows
        self.profile = {} if profiler is None else profiler.profile()

    def summary(self) -> RunSummary | None:
        """Return what the run that wrote these scores has told beside them, if it is about them."""
        if isinstance(self.rows, Table):
            return None
        summary = RunSummary.beside(self.rows.source)
        if summary is None or not summary.describes(len(self.scores), int(self.is_alarm.sum())):
            return None
        return summary

    def threshold(self, summary: RunSummary | None) -> tuple[float, bool]:
        """Return the threshold, and whether it is known or only between which scores it lies."""
        alarms, others = self.scores[self.is_alarm], self.scores[~self.is_alarm]
        highest, lowest = others.max(initial=-np.inf), alarms.min(initial=np.inf)
        if lowest < highest:
            raise ValueError(
                f"{self.rows.source}: an alarm has the score {lowest:.6g}, and a row that is none "
                f"has {highest:.6g}. Write the report of rows that were scored with one threshold."
            )
        if self.model is not None:
            offset = own_threshold(self.model)
            assert offset is not None  # the model has been checked
            threshold = -offset
            if not highest <= threshold < lowest:
                raise ValueError(
                    f"{self.rows.source} was not scored with this model: its threshold is "
                    f"{threshold:.6g}, but the alarms have scores from {lowest:.6g} on, and the "
                    f"other rows up to {highest:.6g}."
                )
            return threshold, True
        if summary is not None and highest <= summary.content["threshold"] < lowest:
            return float(summary.content["threshold"]), True
        if not len(alarms):
            return float(highest), False
        if not len(others):
            return float(np.nextafter(lowest, -np.inf)), False
        return float(highest + (lowest - highest) / 2), False
