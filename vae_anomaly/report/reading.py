"""Reading the rows of a report once, part by part.

Of all rows a few arrays of one number per row are held in memory, such as the scores, the decisions
and the labels; of the most abnormal rows and of a random sample all cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vae_anomaly.batch.models import training_scores
from vae_anomaly.batch.profile import Profiler
from vae_anomaly.batch.summary import Summary, Tally
from vae_anomaly.report.inputs import ScoredFile, Table, summary_beside
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

    def summary(self) -> Summary | None:
        """Return what the run that wrote these scores has told beside them, if it is about them."""
        if isinstance(self.rows, Table):
            return None
        summary = summary_beside(self.rows.source)
        if summary is None or not self._is_about_these(summary):
            return None
        return summary

    def _is_about_these(self, summary: Summary) -> bool:
        here, there = self.tally.scores.quantiles(), summary.score_quantiles
        # Either is accurate to 0.5 %.
        return (
            (summary.rows_out, summary.alarms) == (self.tally.rows_out, self.tally.alarms)
            and here.keys() == there.keys()
            and np.allclose(list(here.values()), [there[level] for level in here], rtol=0.01)
        )

    def threshold(self, summary: Summary | None) -> tuple[float, bool]:
        """Return the threshold, and whether it is known or only between which scores it lies."""
        known = self._threshold_of_model()
        if isinstance(self.rows, Table):
            assert known is not None  # a table is only scored by a model with a threshold
            return known, True
        alarms, others = self.scores[self.is_alarm], self.scores[~self.is_alarm]
        highest, lowest = others.max(initial=-np.inf), alarms.min(initial=np.inf)
        if lowest <= highest:
            raise ValueError(
                f"{self.rows.source}: an alarm has the score {lowest:.6g}, and a row that is none "
                f"has {highest:.6g}. Write the report of rows that were scored with one threshold."
            )
        if known is not None:
            if not self._decides(known):
                raise ValueError(
                    f"{self.rows.source} was not scored with this model: above its threshold of "
                    f"{known:.6g} lie {np.count_nonzero(self.scores > known):,} of the "
                    f"{len(self.scores):,} scores, but {len(alarms):,} rows are alarms."
                )
            return known, True
        if summary is not None and self._decides(summary.threshold):
            return summary.threshold, True
        if not len(alarms):
            return float(highest), False
        if not len(others):
            return float(np.nextafter(lowest, -np.inf)), False
        return float(highest + (lowest - highest) / 2), False

    def _threshold_of_model(self) -> float | None:
        if self.model is None:
            return None
        offset = own_threshold(self.model)
        assert offset is not None  # the model has been checked
        return float(-offset)

    def _decides(self, threshold: float) -> bool:
        """Return whether a threshold raises the alarms that the rows have."""
        return np.array_equal(self.scores > threshold, self.is_alarm)
