"""What a report tells, as plain values: no HTML and no pictures."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ColumnSummary:
    """What a column of the table holds."""

    name: str
    kind: str
    missing: float
    """The share of the rows whose cell is missing."""
    low: float | datetime.datetime | None = None
    median: float | datetime.datetime | None = None
    high: float | datetime.datetime | None = None
    levels: tuple[tuple[str, float], ...] = ()
    """The most frequent levels of a category, with their shares of the cells."""
    n_levels: int | None = None
    """The number of levels of a category; None if it has too many to count."""


@dataclass(frozen=True)
class Alternative:
    """What a threshold costs."""

    threshold: float
    what: str
    """What stands for it, such as "now"."""
    n_alarms: int
    alarms_per_1000: float
    n_found: int | None = None
    """The number of labelled outliers above it; this and what follows is None without labels."""
    n_false_alarms: int | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    cost: float | None = None
    """The cost of 1,000 rows, if prices were given."""


@dataclass(frozen=True)
class Curve:
    """What all thresholds cost, arrays of shape (n_thresholds,)."""

    thresholds: np.ndarray
    """In ascending order."""
    alarms_per_1000: np.ndarray
    precision: np.ndarray | None
    recall: np.ndarray | None
    f1: np.ndarray | None


@dataclass(frozen=True)
class Scores:
    """The scores of all rows, higher for more abnormal ones."""

    scores: np.ndarray
    is_outlier: np.ndarray | None
    """The labels, of shape (n_rows,): 1.0, 0.0, or NaN where there is none."""
    training: np.ndarray | None
    """The scores of the training rows, of shape (n_training_rows,)."""
    quantiles: dict[str, float]
    training_quantiles: dict[str, float] | None


@dataclass(frozen=True)
class Sampled:
    """The terms of the score of some rows, and where they lie, arrays of shape (n_sampled,)."""

    reconstruction: np.ndarray
    kl: np.ndarray
    codes: np.ndarray
    """The means of the latent variables, of shape (n_sampled, latent_dim)."""
    kind: np.ndarray
    """0 for rows that raise no alarm, 1 for alarms, and 2 for alarms that are listed."""
    n_random: int
    """The number of rows that were drawn at random; the others are there as they are listed."""


@dataclass(frozen=True)
class Reason:
    """A part of the score of a row."""

    column: str
    contribution: float
    value: str | None
    expected: str | None
    usual: str | None = None
    """The usual range or levels, in words."""
    share: float | None = None
    """The share of all that raises the score."""


@dataclass(frozen=True)
class ListedRow:
    """One of the most abnormal rows."""

    number: int
    kept: tuple[str | None, ...]
    score: float
    is_alarm: bool
    p_value: float | None
    label: bool | None
    sentence: str | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Listing:
    """The most abnormal rows, the first one first."""

    rows: tuple[ListedRow, ...]
    kept: tuple[str, ...]
    """The names of the kept columns."""
    importance: tuple[tuple[str, float], ...]
    """The columns by their mean contribution to the listed rows, the largest one first."""
    notes: tuple[str, ...]
    """What to know about the reasons."""


@dataclass(frozen=True)
class ColumnDrift:
    """How a column differs from training."""

    name: str
    psi: float | None
    warns: bool
    """Whether one of the warnings is about it."""
    missing: float
    missing_in_training: float
    outside: float | None
    """The share of numbers outside of the range of training."""
    unseen: float | None
    """The share of cells whose level training did not have."""
    unseen_levels: tuple[str, ...]
    bins: tuple[str, ...] = ()
    """What stands for each of the shares that follow."""
    then: tuple[float, ...] = ()
    now: tuple[float, ...] = ()


@dataclass(frozen=True)
class Metric:
    """A figure with the range in which it lies in 95 % of resamples."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Metrics:
    """How well the score ranks the labelled rows, and how well the threshold splits them."""

    metrics: tuple[Metric, ...]
    n_found: int
    n_missed: int
    n_false_alarms: int
    n_quiet: int
    """The number of inliers that raise no alarm."""
    n_resamples: int

    @property
    def n_rows(self) -> int:
        """The number of rows with a label."""
        return self.n_outliers + self.n_false_alarms + self.n_quiet

    @property
    def n_outliers(self) -> int:
        """The number of rows that are labelled as outliers."""
        return self.n_found + self.n_missed


@dataclass(frozen=True)
class Origin:
    """How the report was made, to make it again."""

    made_at: datetime.datetime
    command: str | None
    inputs: tuple[tuple[str, int], ...]
    """The files of the table, with their sizes in bytes."""
    model_path: str | None
    model_digest: str | None
    model: str | None
    """The classes of the model, the outermost one first."""
    trained_at: str | None
    n_training_rows: int | None
    n_epochs: int | None
    history: dict[str, list[float]] | None
    parameters: tuple[tuple[str, str, bool], ...]
    """The parameters of the detector: name, value, and whether it differs from the default."""
    versions: tuple[tuple[str, str], ...]
    versions_of_model: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Contents:
    """All that a report tells, as plain values.

    What could not be told is None or empty, and `left_out` says why.

    Parameters
    ----------
    title : str
        The title.
    source : str
        The paths of the table.
    n_rows : int
        The number of rows.
    n_alarms : int
        The number of rows that raise an alarm.
    threshold : float
        The anomaly score above which a row raises an alarm.
    is_threshold_exact : bool
        Whether the threshold is known, or only that it lies between two scores.
    beta : float or None
        The weight of the KL divergence in the score, 0 for a plain autoencoder; None if the model
        is another one or not known.
    findings : tuple of str
        What was found about the files, in sentences.
    warnings : tuple of str
        In what the rows no longer look like training, in sentences.
    knows_training : bool
        Whether there was anything to compare the columns with.
    columns : tuple of ColumnSummary
        What each column of the table holds: its `name`, `kind`, the share that is `missing`, and
        `low`, `median` and `high` or the most frequent `levels`.
    alternatives : tuple of Alternative
        What this threshold and others cost, the highest `threshold` first: `n_alarms` and, with
        labels, `n_found`, `n_false_alarms`, `precision`, `recall`, `f1` and `cost`.
    curve : Curve
        What all thresholds cost, as arrays.
    scores : Scores
        The `scores` of all rows, the labels, and the scores of the training rows.
    sampled : Sampled or None
        The terms of the score and the codes of some of the rows.
    listing : Listing
        The most abnormal `rows`, the first one first, with their `score`, `sentence` and `reasons`.
    drift : tuple of ColumnDrift
        How each column differs from training, the largest `psi` first.
    metrics : Metrics or None
        How well labelled outliers are told from the other rows.
    origin : Origin
        How the report was made.
    left_out : dict of str to str
        Why a part is missing, and how to get it, by the name of the field.

    See Also
    --------
    write_report : Writes a report and returns what it tells.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from vae_anomaly import TableSchema, VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source
    >>> from vae_anomaly.report import write_report
    >>> rows = pd.DataFrame(np.random.RandomState(0).normal(size=(200, 2)), columns=["a", "b"])
    >>> detector = VAEAnomalyDetector(max_iter=2, random_state=0)
    >>> model = make_pipeline(TableSchema(), detector).fit(rows)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = Path(folder, "table.csv")
    ...     rows.to_csv(table, index=False)
    ...     contents = write_report(model, Source.open([table]), Path(folder, "report.html"))
    >>> [column.name for column in contents.columns]
    ['a', 'b']
    >>> contents.n_rows, contents.metrics
    (200, None)
    >>> list(contents.left_out)
    ['metrics']
    """

    title: str
    source: str
    n_rows: int
    n_alarms: int
    threshold: float
    is_threshold_exact: bool
    beta: float | None
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    knows_training: bool
    columns: tuple[ColumnSummary, ...]
    alternatives: tuple[Alternative, ...]
    curve: Curve
    scores: Scores
    sampled: Sampled | None
    listing: Listing
    drift: tuple[ColumnDrift, ...]
    metrics: Metrics | None
    origin: Origin
    left_out: dict[str, str]

    @property
    def unit(self) -> str:
        """The unit of the scores; empty if it is not known."""
        return "" if self.beta is None else "nats"

    @property
    def n_listed_alarms(self) -> int:
        """The number of listed rows that raise an alarm."""
        return sum(row.is_alarm for row in self.listing.rows)

    @property
    def facts(self) -> dict[str, Any]:
        """The figures that stand at the top."""
        return {
            "rows": self.n_rows,
            "alarms": self.n_alarms,
            "threshold": self.threshold,
            "warnings": list(self.warnings),
        }
