"""gather: all that a report tells, of rows that are read once, part by part.

Of each row only the score and the label are held in memory, 16 bytes; of the most abnormal rows and
of a random sample all cells.
"""

from __future__ import annotations

import datetime
import inspect
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vae_anomaly.batch.job import ROW_COLUMN
from vae_anomaly.batch.labels import UNKNOWN
from vae_anomaly.batch.models import training_scores
from vae_anomaly.batch.profile import Profiler
from vae_anomaly.batch.scoring import as_text
from vae_anomaly.batch.summary import Tally
from vae_anomaly.explanations.explain import Subject, explain
from vae_anomaly.explanations.sentences import OTHERS, in_words, is_missing
from vae_anomaly.nested import inside
from vae_anomaly.report.contents import (
    ColumnDrift,
    ColumnSummary,
    Contents,
    ListedRow,
    Listing,
    Origin,
    Reason,
    Sampled,
    Scores,
)
from vae_anomaly.report.inputs import RunSummary, ScoredFile, Table
from vae_anomaly.report.measures import alternatives, cost_curve, measure
from vae_anomaly.report.rows import Chosen, Rows, texts
from vae_anomaly.report.text import number
from vae_anomaly.thresholds.fitting import own_threshold

if TYPE_CHECKING:
    from vae_anomaly.model_info import ModelInfo
    from vae_anomaly.thresholds.objectives import AlarmCost

_N_SAMPLED = 4000
_N_LEVELS = 3  # of a category, in a summary
_N_BARS = 8  # levels of a category beside each other

_NEEDS_TABLE = "Write the report from the table that was scored, with its model, to see it."
_NEEDS_MODEL = "Pass the model, too, to see it."
_NEEDS_LABEL = "Name the column that tells which rows are outliers (--label) to see it."


class Gathered:
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
    read = Gathered(rows, model, n_listed, progress)
    summary = _summary_beside(rows, read)
    threshold, is_exact = _threshold(rows, read, model, summary)
    is_outlier = None if labels is None else np.where(labels == UNKNOWN, np.nan, labels)
    left_out: dict[str, str] = {}
    told = {} if summary is None else summary.content
    if isinstance(rows, ScoredFile):
        left_out["columns"] = f"A file of scores lacks the columns of the model. {_NEEDS_TABLE}"
        left_out["sampled"] = f"A file of scores does not tell the terms or codes. {_NEEDS_TABLE}"
        listing = _listing_of_file(rows, read.listed, is_outlier, left_out)
        drift = _drift_of_summary(told, left_out)
        sampled = None
    else:
        listing = _listing(rows, read.listed, is_outlier, n_reasons, attribution, left_out)
        drift = _drift(rows, read, left_out)
        sampled = _sampled(rows, read, left_out)
    training = None if model is None else training_scores(model)
    if is_outlier is None:
        left_out["metrics"] = f"No column tells which rows are outliers. {_NEEDS_LABEL}"
    return Contents(
        title=f"Anomalies in {_name(rows)}" if title is None else title,
        source=", ".join(map(str, rows.source.paths)),
        n_rows=len(read.scores),
        n_alarms=int(read.is_alarm.sum()),
        threshold=threshold,
        is_threshold_exact=is_exact,
        findings=tuple(told.get("findings", _findings(rows))),
        warnings=tuple(told.get("warnings", read.tally.warnings())),
        knows_training=bool(drift),
        columns=tuple(_column(name, held) for name, held in read.profile.items()),
        alternatives=alternatives(read.scores, threshold, is_outlier, cost),
        curve=cost_curve(read.scores, is_outlier),
        scores=Scores(
            read.scores,
            is_outlier,
            training,
            read.tally.scores.quantiles(),
            told.get("training_score_quantiles", read.tally.training),
        ),
        sampled=sampled,
        listing=listing,
        drift=drift,
        metrics=None if is_outlier is None else measure(read.scores, read.is_alarm, is_outlier),
        origin=_origin(rows, model, info, model_path, told, command, made_at, left_out),
        left_out=left_out,
    )


def _name(rows: Table | ScoredFile) -> str:
    first, *others = rows.source.paths
    return first.name if not others else f"{first.name} and {len(others)} more"


def _summary_beside(rows: Table | ScoredFile, read: Gathered) -> RunSummary | None:
    if isinstance(rows, Table):
        return None
    summary = RunSummary.beside(rows.source)
    if summary is None or not summary.describes(len(read.scores), int(read.is_alarm.sum())):
        return None
    return summary


def _threshold(
    rows: Table | ScoredFile, read: Gathered, model: Any, summary: RunSummary | None
) -> tuple[float, bool]:
    """Return the threshold, and whether it is known or only between which scores it lies."""
    alarms, others = read.scores[read.is_alarm], read.scores[~read.is_alarm]
    highest, lowest = others.max(initial=-np.inf), alarms.min(initial=np.inf)
    if lowest < highest:
        raise ValueError(
            f"{rows.source}: an alarm has the score {lowest:.6g}, and a row that is none has "
            f"{highest:.6g}. Write the report of rows that were scored with one threshold."
        )
    if model is not None:
        offset = own_threshold(model)
        assert offset is not None  # the model has been checked
        threshold = -offset
        if not highest <= threshold < lowest:
            raise ValueError(
                f"{rows.source} was not scored with this model: its threshold is {threshold:.6g}, "
                f"but the alarms have scores from {lowest:.6g} on, and the other rows up to "
                f"{highest:.6g}."
            )
        return threshold, True
    if summary is not None and highest <= summary.content["threshold"] < lowest:
        return float(summary.content["threshold"]), True
    if not len(alarms):
        return float(highest), False
    if not len(others):
        return float(np.nextafter(lowest, -np.inf)), False
    return float(highest + (lowest - highest) / 2), False


def _findings(rows: Table | ScoredFile) -> list[str]:
    found = list(rows.source.findings)
    if isinstance(rows, Table):
        unused = rows.source.extra_columns(rows.schema, rows.columns)
        if unused:
            names = ", ".join(map(repr, unused[:10])) + (", ..." if len(unused) > 10 else "")
            found.append(f"not used, as the model has not learned from them: {names}")
    return found


def _column(name: str, held: dict[str, Any]) -> ColumnSummary:
    if held["kind"] == "category":
        levels = tuple(zip(held["levels"], held["shares"], strict=True))
        n_levels = len(levels) if held["all"] else None
        return ColumnSummary(
            name, held["kind"], held["missing"], levels=levels[:_N_LEVELS], n_levels=n_levels
        )
    if held["low"] is None:
        return ColumnSummary(name, held["kind"], held["missing"])
    at = int(np.searchsorted(np.cumsum(held["shares"]), 0.5 - 1e-9))
    values = (held["low"], [*held["edges"], held["high"]][at], held["high"])
    is_date = held["kind"] == "date"
    return ColumnSummary(
        name, held["kind"], held["missing"], *(_date(v) if is_date else v for v in values)
    )


def _date(seconds: float) -> datetime.datetime:
    return pd.Timestamp(seconds, unit="s").to_pydatetime()


def _kept(rows: Rows) -> tuple[tuple[str, ...], list[tuple[str | None, ...]]]:
    """Return the names of the kept columns, and their cells row by row."""
    names = tuple(name for name in rows.beside.column_names if name != ROW_COLUMN)
    if not names:
        return names, [()] * len(rows.positions)
    return names, list(zip(*(texts(rows.beside[name]) for name in names), strict=True))


def _listed_rows(
    rows: Rows,
    is_outlier: np.ndarray | None,
    sentences: list[str | None],
    reasons: list[tuple[Reason, ...]],
) -> tuple[ListedRow, ...]:
    numbers, scores, is_alarm = rows.numbers, rows.score, rows.is_alarm
    p_values = rows.scored["p_value"].tolist() if "p_value" in rows.scored else None
    listed = []
    for at, kept in enumerate(_kept(rows)[1]):
        label = np.nan if is_outlier is None else is_outlier[rows.positions[at]]
        listed.append(
            ListedRow(
                number=int(numbers[at]),
                kept=kept,
                score=float(scores[at]),
                is_alarm=bool(is_alarm[at]),
                p_value=None if p_values is None else float(p_values[at]),
                label=None if np.isnan(label) else bool(label),
                sentence=sentences[at],
                reasons=reasons[at],
            )
        )
    return tuple(listed)


def _listing(
    rows: Table,
    listed: Rows,
    is_outlier: np.ndarray | None,
    n_reasons: int,
    attribution: str,
    left_out: dict[str, str],
) -> Listing:
    names, _ = _kept(listed)
    n = len(listed.positions)
    sentences: list[str | None] = [None] * n
    reasons: list[tuple[Reason, ...]] = [()] * n
    importance: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    try:
        explanation = explain(rows.model, listed.table, attribution=attribution)
    except (TypeError, ValueError) as error:  # as the model is no VAE, or its steps do not tell
        left_out["reasons"] = str(error)
    else:
        sentences = list(explanation.text(n_reasons))
        found = explanation.reasons(n_reasons)
        n_found = len(found) // n
        usual = _usual(explanation.usual)
        cells = [
            Reason(
                OTHERS.get(one.column, str(one.column)),
                float(one.contribution),
                as_text(one.observed),
                None if is_missing(one.expected) else in_words(one.expected),
                usual.get(one.column),
                float(one.share),
            )
            for one in found.itertuples()
        ]
        reasons = [tuple(cells[at : at + n_found]) for at in range(0, len(cells), n_found)]
        importance = tuple(
            (OTHERS.get(name, str(name)), float(value)) for name, value in explanation.importance("all").items()
        )
        notes = explanation.notes
    listed_rows = _listed_rows(listed, is_outlier, sentences, reasons)
    return Listing(listed_rows, names, importance, notes)


def _usual(usual: pd.DataFrame) -> dict[Any, str]:
    """Return the usual range or levels of each column, in words."""
    words = {}
    for name, low, high, levels in usual[["low", "high", "levels"]].itertuples(name=None):
        if not is_missing(low):
            words[name] = in_words(low) if low == high else f"{in_words(low)} to {in_words(high)}"
        elif levels:
            words[name] = ", ".join(in_words(level) for level in levels)
    return words


def _listing_of_file(
    rows: ScoredFile, listed: Rows, is_outlier: np.ndarray | None, left_out: dict[str, str]
) -> Listing:
    if not rows.n_reasons:
        left_out["reasons"] = (
            "The file of scores has no reasons: score with `--reasons 3` to see them."
        )
    reasons = []
    for row in listed.scored.to_dict("records"):
        found = [
            Reason(
                OTHERS.get(row[f"reason_{at}"], row[f"reason_{at}"]),
                row[f"contribution_{at}"],
                row[f"value_{at}"],
                row[f"expected_{at}"],
            )
            for at in range(1, rows.n_reasons + 1)
            if isinstance(row[f"reason_{at}"], str)
        ]
        reasons.append(tuple(found))
    sentences = [_sentence(found) for found in reasons]
    listed_rows = _listed_rows(listed, is_outlier, sentences, reasons)
    return Listing(listed_rows, _kept(listed)[0], (), ())


def _sentence(reasons: tuple[Reason, ...]) -> str | None:
    """Return reasons of a file of scores in words, which lack the share and what is usual."""
    parts = []
    for reason in reasons:
        if reason.column in OTHERS.values():
            parts.append(reason.column)
            continue
        value = "is missing" if reason.value is None else reason.value
        expected = "" if reason.expected in (None, reason.value) else reason.expected
        parts.append(
            f"{reason.column} {value}" + (f", where {expected} is expected" if expected else "")
        )
    return "; ".join(parts) or None


def _drift(rows: Table, read: Gathered, left_out: dict[str, str]) -> tuple[ColumnDrift, ...]:
    held = getattr(rows.schema, "profile_", {})
    if not held:
        left_out["drift"] = (
            "The model does not tell what its columns held in training. Make it with "
            "`vae-anomaly fit`, or let TableSchema be the first step of its pipeline."
        )
        return ()
    counts = read.tally.drift.to_state()["columns"]
    drift = []
    for name, found in read.tally.drift.summary().items():
        bins, then = _bins(held[name])
        now = np.asarray(counts[name]["counts"], float) / max(counts[name]["n_present"], 1)
        drift.append(_column_drift(name, found, bins, then, tuple(now.tolist()[: len(bins)])))
    return _most_first(drift)


def _drift_of_summary(told: dict[str, Any], left_out: dict[str, str]) -> tuple[ColumnDrift, ...]:
    if not told.get("drift"):
        left_out["drift"] = (
            "The summary that `vae-anomaly score` writes beside the scores is not there, or does "
            f"not belong to them, or the model does not tell what it learned from. {_NEEDS_TABLE}"
        )
        return ()
    return _most_first([_column_drift(name, found) for name, found in told["drift"].items()])


def _column_drift(
    name: str,
    found: dict[str, Any],
    bins: tuple[str, ...] = (),
    then: tuple[float, ...] = (),
    now: tuple[float, ...] = (),
) -> ColumnDrift:
    return ColumnDrift(
        name=name,
        psi=found["psi"],
        missing=found["missing"],
        missing_in_training=found["missing_in_training"],
        outside=found["below"] + found["above"] if "below" in found else None,
        unseen=found.get("unseen"),
        unseen_levels=tuple(found.get("unseen_levels", ())),
        bins=bins,
        then=then,
        now=now,
    )


def _most_first(drift: list[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    return tuple(sorted(drift, key=lambda column: -1.0 if column.psi is None else -column.psi))


def _bins(held: dict[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return what stands for the bins of a column in training, and their shares."""
    shares = tuple(held["shares"])
    if held["kind"] == "category":
        return tuple(held["levels"][:_N_BARS]), shares[:_N_BARS]
    if not held["edges"]:
        return (("all",), shares) if shares else ((), ())
    is_date = held["kind"] == "date"
    edges = [number(_date(edge) if is_date else edge, 3) for edge in held["edges"]]
    return (*(f"≤ {edge}" for edge in edges), f"> {edges[-1]}"), shares


def _sampled(rows: Table, read: Gathered, left_out: dict[str, str]) -> Sampled | None:
    drawn = read.sampled
    assert drawn is not None  # a source without rows is refused
    kind = drawn.is_alarm.astype(int)
    kind[np.isin(drawn.positions, read.listed.positions) & drawn.is_alarm] = 2
    others = ~np.isin(read.listed.positions, drawn.positions) & read.listed.is_alarm
    chosen = pd.concat([drawn.table, read.listed.table[others]], ignore_index=True)
    try:
        subject = Subject.of(rows.model, chosen)
    except (TypeError, ValueError) as error:
        left_out["sampled"] = str(error)
        return None
    components = subject.detector.score_components(subject.rows)
    return Sampled(
        reconstruction=np.asarray(components["reconstruction"], float),
        kl=np.asarray(components["kl"], float),
        beta=float(subject.detector.beta),
        codes=np.asarray(subject.detector.transform(subject.rows), float),
        kind=np.concatenate([kind, np.full(int(others.sum()), 2)]),
        n_random=len(drawn.positions),
    )


def _origin(
    rows: Table | ScoredFile,
    model: Any,
    info: ModelInfo | None,
    model_path: str | None,
    told: dict[str, Any],
    command: str | None,
    made_at: datetime.datetime,
    left_out: dict[str, str],
) -> Origin:
    detector = _detector(model)
    if model is None:
        left_out["model"] = f"The model is not known. {_NEEDS_MODEL}"
    parameters = [] if detector is None else _parameters(detector)
    of_run = told.get("model", {})
    return Origin(
        made_at=made_at,
        command=command,
        inputs=tuple((str(path), os.stat(path).st_size) for path in rows.source.paths),
        model_path=of_run.get("path") if model_path is None else model_path,
        model_digest=of_run.get("digest") if info is None else info.digest or None,
        model=None
        if info is None
        else " > ".join(name.rpartition(".")[2] for name in (info.model, *info.steps)),
        trained_at=None if info is None else info.trained_at,
        n_training_rows=None if info is None else info.n_samples,
        n_epochs=getattr(detector, "n_iter_", None),
        history=getattr(detector, "history_", None),
        parameters=tuple(parameters),
        versions=tuple(
            (name, version(name)) for name in ("vae-anomaly", "scikit-learn", "numpy", "pandas")
        ),
        versions_of_model=() if info is None else tuple(info.versions.items()),
    )


def _detector(model: Any) -> Any:
    """Return the detector at the end of a model; None if it is no VAE."""
    while model is not None and not hasattr(model, "history_"):
        model = inside(model)
    return model


def _parameters(detector: Any) -> list[tuple[str, str, bool]]:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(type(detector)).parameters.items()
    }
    found = detector.get_params(deep=False)
    return [
        (name, repr(value), repr(value) != repr(defaults.get(name)))
        for name, value in sorted(found.items())
    ]
