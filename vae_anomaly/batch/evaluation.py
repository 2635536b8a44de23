"""How well a model tells labelled outliers from the other rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from vae_anomaly.batch.labels import UNKNOWN
from vae_anomaly.batch.models import schema_of
from vae_anomaly.batch.scoring import score_frame

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Bad, Source


@dataclass(frozen=True)
class Evaluation:
    """How well the score ranks the rows, and how well the threshold splits them."""

    n_rows: int
    """The number of rows with a label."""
    n_outliers: int
    auroc: float
    average_precision: float
    n_found: int
    """The number of outliers that raise an alarm."""
    n_false_alarms: int

    @property
    def precision(self) -> float:
        """The share of outliers among the alarms; NaN without alarms."""
        n_alarms = self.n_found + self.n_false_alarms
        return self.n_found / n_alarms if n_alarms else float("nan")

    @property
    def recall(self) -> float:
        """The share of the outliers that raise an alarm."""
        return self.n_found / self.n_outliers


def evaluate_table(
    model: Any,
    source: Source,
    labels: np.ndarray,
    *,
    rows: np.ndarray | None = None,
    bad: Bad = "stop",
) -> Evaluation:
    """Measure a model on the labelled rows of a table.

    Parameters
    ----------
    model : estimator
        A fitted model.
    source : Source
        The table.
    labels : ndarray of shape (n_rows,)
        1 for outliers, 0 for inliers and -1 where the label is missing.
    rows : ndarray of shape (n_rows,), dtype bool, default=None
        Which rows to measure on; by default all that have a label.
    bad : {"stop", "missing"}, default="stop"
        What a cell that does not fit its column does.

    Returns
    -------
    evaluation : Evaluation
        The figures.
    """
    wanted = labels != UNKNOWN
    if rows is not None:
        wanted &= rows
    scores, alarms, truth = [], [], []
    for frame in source.frames(schema_of(model), bad=bad):
        at = frame.rows - 1
        if not wanted[at].any():
            continue
        scored = score_frame(model, frame.table[wanted[at]])
        scores.append(scored["score"].to_numpy())
        alarms.append(scored["is_outlier"].to_numpy())
        truth.append(labels[at][wanted[at]] == 1)
    score, is_alarm, is_outlier = map(np.concatenate, (scores, alarms, truth))
    return Evaluation(
        n_rows=len(score),
        n_outliers=int(is_outlier.sum()),
        auroc=float(roc_auc_score(is_outlier, score)),
        average_precision=float(average_precision_score(is_outlier, score)),
        n_found=int((is_alarm & is_outlier).sum()),
        n_false_alarms=int((is_alarm & ~is_outlier).sum()),
    )
