"""gather: all that a report tells."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vae_anomaly.batch.job import unused_columns
from vae_anomaly.batch.labels import UNKNOWN
from vae_anomaly.batch.models import training_scores
from vae_anomaly.explanations.explain import Subject
from vae_anomaly.report.columns import column_summary, drift_as_told, drift_of
from vae_anomaly.report.contents import Contents, Sampled, Scores
from vae_anomaly.report.inputs import ScoredFile, Table
from vae_anomaly.report.listing import explained, listed_as_told
from vae_anomaly.report.measures import alternatives, cost_curve, measure
from vae_anomaly.report.origin import detector_of, origin_of
from vae_anomaly.report.reading import Reading
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    from vae_anomaly.batch.summary import Summary
    from vae_anomaly.detector import VAEAnomalyDetector
    from vae_anomaly.model_info import ModelInfo
    from vae_anomaly.thresholds.objectives import AlarmCost

_NEEDS_TABLE = "Write the report from the table that was scored, with its model, to see it."


def gather(
    rows: Table | ScoredFile,
    *,
    model: Any,
    info: ModelInfo | None,
    model_path: str | None,
    labels: np.ndarray | None,
    cost: AlarmCost | None,
    title: str | None,
    n_listed: int,
    n_reasons: int,
    attribution: str,
    command: str | None,
    made_at: datetime.datetime,
    progress: Callable[[int, int | None], None] | None,
) -> Contents:
    """Return all that a report tells.

    Parameters
    ----------
    rows : Table or ScoredFile
        The rows.
    labels : ndarray of shape (n_rows,) or None
        What `Label.read` returns.
    model, info, model_path, cost, title, n_listed, n_reasons, attribution, command, made_at
        See `write_report`; `info` is what `ModelInfo.of` tells of the model.
    progress : callable or None
        See `write_report`.

    Raises
    ------
    ValueError
        If the table cannot be read or scored, or a file of scores is not by this model.
    """
    detector = detector_of(model)
    read = Reading(rows, model, n_listed, progress)
    summary = read.summary()
    threshold, is_exact = read.threshold(summary)
    is_outlier = None if labels is None else np.where(labels == UNKNOWN, np.nan, labels)
    left_out: dict[str, str] = {}
    if isinstance(rows, ScoredFile):
        left_out["columns"] = f"A file of scores lacks the columns of the model. {_NEEDS_TABLE}"
        left_out["sampled"] = f"A file of scores does not tell the terms or codes. {_NEEDS_TABLE}"
        listing = listed_as_told(read.listed, min(rows.n_reasons, n_reasons), is_outlier)
        if not rows.n_reasons:
            left_out["reasons"] = (
                "The file of scores has no reasons. Score with `--reasons 3` to see them."
            )
        drift = drift_as_told({} if summary is None else summary.drift)
        if not drift:
            left_out["drift"] = (
                "The summary that `vae-anomaly score` writes beside the scores is not there, "
                "cannot be read, is about other scores, or the model of that run did not tell what "
                f"it had learned from. {_NEEDS_TABLE}"
            )
        sampled = None
    else:
        listing, why_not = explained(read.listed, model, is_outlier, n_reasons, attribution)
        if why_not is not None:
            left_out["reasons"] = why_not
        drift = drift_of(read.tally.drift, rows.schema)
        if not drift:
            left_out["drift"] = (
                "The model does not tell what its columns held in training. Make it with "
                "`vae-anomaly fit`, or let TableSchema be the first step of its pipeline."
            )
        sampled = _sampled(read, left_out)
    if is_outlier is None:
        left_out["metrics"] = (
            "Name the column that tells which rows are outliers (--label) to see how many of them "
            "are found."
        )
    if model is None:
        left_out["model"] = (
            "The model was not passed, so there is no word of its training. Pass it, too, to see "
            "its parameters and losses."
        )
    return Contents(
        title=f"Anomalies in {_name(rows)}" if title is None else title,
        source=", ".join(map(str, rows.source.paths)),
        n_rows=len(read.scores),
        n_alarms=int(read.is_alarm.sum()),
        threshold=threshold,
        is_threshold_exact=is_exact,
        beta=None if detector is None else _beta(detector),
        findings=_findings(read, summary),
        warnings=_warnings(read.tally.warnings() if summary is None else summary.warnings),
        knows_training=bool(drift),
        columns=tuple(column_summary(name, held) for name, held in read.profile.items()),
        alternatives=alternatives(read.scores, threshold, is_outlier, cost),
        curve=cost_curve(read.scores, is_outlier),
        scores=Scores(
            read.scores,
            is_outlier,
            None if model is None else training_scores(model),
            read.tally.scores.quantiles(),
            read.tally.training if summary is None else summary.training_score_quantiles,
        ),
        sampled=sampled,
        listing=listing,
        drift=drift,
        metrics=None if is_outlier is None else measure(read.scores, read.is_alarm, is_outlier),
        origin=origin_of(rows.source, detector, info, model_path, summary, command, made_at),
        left_out=left_out,
    )


def _beta(detector: VAEAnomalyDetector) -> float:
    """Return the weight of the KL divergence, of which a plain autoencoder has none."""
    return float(detector.beta) if detector.variational else 0.0


def _name(rows: Table | ScoredFile) -> str:
    first, *others = rows.source.paths
    return first.name if not others else f"{first.name} and {len(others)} more"


def _warnings(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return what is about the whole table before what is about single columns."""
    return tuple(sorted(sentences, key=lambda sentence: sentence.startswith("column ")))


def _findings(read: Reading, summary: Summary | None) -> tuple[str, ...]:
    """Return what was found about the files, in sentences."""
    rows, counts = read.rows, summary or read.tally
    found = list(rows.source.findings if summary is None else summary.findings)
    if isinstance(rows, Table):
        found += unused_columns(rows.source, rows.schema, rows.columns)
    found += [
        f"column {name!r}: {counted(n_cells, 'cell')} not of its kind, taken as missing"
        for name, n_cells in counts.bad_cells.items()
    ]
    if n_rejected := counts.rows_in - counts.rows_out:
        found.append(f"{counted(n_rejected, 'row')} rejected, so not scored and not in this report")
    return tuple(found)


def _sampled(read: Reading, left_out: dict[str, str]) -> Sampled | None:
    drawn = read.sampled
    assert drawn is not None  # a source without rows is refused
    kind = drawn.is_alarm.astype(int)
    kind[np.isin(drawn.positions, read.listed.positions) & drawn.is_alarm] = 2
    others = ~np.isin(read.listed.positions, drawn.positions) & read.listed.is_alarm
    chosen = pd.concat([drawn.table, read.listed.table[others]], ignore_index=True)
    try:
        subject = Subject.of(read.model, chosen)
    except (TypeError, ValueError) as error:
        left_out["sampled"] = str(error)
        return None
    components = subject.detector.score_components(subject.rows)
    return Sampled(
        reconstruction=np.asarray(components["reconstruction"], float),
        kl=np.asarray(components["kl"], float),
        codes=np.asarray(subject.detector.transform(subject.rows), float),
        kind=np.concatenate([kind, np.full(int(others.sum()), 2)]),
        n_random=len(drawn.positions),
    )
