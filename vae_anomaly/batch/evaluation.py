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
    """How well the score ranks the rows, and how well the threshold separates them.

    Parameters
    ----------
    n_rows : int
        The number of rows with a label.
    n_outliers : int
        The number of rows that are labelled as outliers.
    auroc : float
        The area under the ROC curve of the scores, from 0 to 1.
    average_precision : float
        The average precision of the scores, from 0 to 1.
    n_found : int
        The number of outliers that raise an alarm.
    n_false_alarms : int
        The number of inliers that raise an alarm.

    See Also
    --------
    evaluate_table : Measures a model on labelled rows.

    Examples
    --------
    >>> from vae_anomaly.batch import Evaluation
    >>> figures = {"n_rows": 100, "auroc": 0.95, "average_precision": 0.8}
    >>> evaluation = Evaluation(n_outliers=10, n_found=8, n_false_alarms=2, **figures)
    >>> evaluation.precision, evaluation.recall
    (0.8, 0.8)
    """

    n_rows: int
    n_outliers: int
    auroc: float
    average_precision: float
    n_found: int
    n_false_alarms: int

    @property
    def precision(self) -> float:
        """The fraction of the alarms that are outliers; NaN if there are no alarms."""
        n_alarms = self.n_found + self.n_false_alarms
        return self.n_found / n_alarms if n_alarms else float("nan")

    @property
    def recall(self) -> float:
        """The fraction of the outliers that raise an alarm."""
        return self.n_found / self.n_outliers


def evaluation_of(score: np.ndarray, is_alarm: np.ndarray, is_outlier: np.ndarray) -> Evaluation:
    """Return the figures of rows that have been scored.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        The anomaly scores, higher for more abnormal rows.
    is_alarm, is_outlier : ndarray of shape (n_rows,), dtype bool
        Which rows raise an alarm, and which are labelled as outliers.

    Returns
    -------
    evaluation : Evaluation
        The figures.
    """
    return Evaluation(
        n_rows=len(score),
        n_outliers=int(is_outlier.sum()),
        auroc=float(roc_auc_score(is_outlier, score)),
        average_precision=float(average_precision_score(is_outlier, score)),
        n_found=int((is_alarm & is_outlier).sum()),
        n_false_alarms=int((is_alarm & ~is_outlier).sum()),
    )


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
        A fitted model with a threshold, whose columns `schema_of` finds.
    source : Source
        The table.
    labels : ndarray of shape (n_rows,)
        1 for outliers, 0 for inliers and -1 where the label is missing.
    rows : ndarray of shape (n_rows,), dtype bool, or None, default=None
        Which rows to measure on. By default, these are all rows that have a label.
    bad : {"stop", "missing"}, default="stop"
        Whether a cell that does not fit its column raises TableError or counts as missing.

    Returns
    -------
    evaluation : Evaluation
        The figures.

    Raises
    ------
    ValueError
        If the model does not know its columns or has no threshold, or no row has a label.
    TableError
        If the table does not fit the model.

    See Also
    --------
    Label : Reads the labels from a column of the table.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source, evaluate_table
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> labels = np.repeat([0, 1], [140, 10])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     X.assign(d=np.where(labels == 1, 9.0, 0.2)).to_csv(path, index=False)
    ...     evaluation = evaluate_table(detector, Source.open([path]), labels)
    >>> evaluation.n_rows, evaluation.n_outliers, evaluation.n_found
    (150, 10, 10)
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
    return evaluation_of(*map(np.concatenate, (scores, alarms, truth)))
