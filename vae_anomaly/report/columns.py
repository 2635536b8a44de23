"""What the columns of a table hold, and how far they have drifted from training."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vae_anomaly.report.contents import ColumnDrift, ColumnSummary
from vae_anomaly.report.text import number

if TYPE_CHECKING:
    from vae_anomaly.batch.profile import Drift
    from vae_anomaly.batch.schema import TableSchema

_N_LEVELS = 3  # of a category, in a summary
_N_BARS = 8  # levels of a category beside each other


def column_summary(name: str, held: dict[str, Any]) -> ColumnSummary:
    """Return what a column holds, of which `Profiler.profile` has told."""
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
    low, median, high = map(_date, values) if held["kind"] == "date" else values
    return ColumnSummary(name, held["kind"], held["missing"], low, median, high)


def _date(seconds: float) -> datetime.datetime:
    return pd.Timestamp(seconds, unit="s").to_pydatetime()


def drift_of(drift: Drift, schema: TableSchema) -> tuple[ColumnDrift, ...]:
    """Return the drift of each column, the largest first; none if training is not known."""
    counts = drift.to_state()["columns"]
    found = []
    for name, summary in drift.summary().items():
        bins, then = _bins(schema.profile_[name])
        now = np.asarray(counts[name]["counts"], float) / max(counts[name]["n_present"], 1)
        found.append(_column_drift(name, summary, bins, then, tuple(now.tolist()[: len(bins)])))
    return _most_first(found)


def drift_as_told(summary: dict[str, dict[str, Any]]) -> tuple[ColumnDrift, ...]:
    """Return the drift of each column, of which `Drift.summary` has told, the largest first."""
    return _most_first([_column_drift(name, told) for name, told in summary.items()])


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
        warns=found.get("warns", False),
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
    return tuple(sorted(drift, key=lambda column: np.inf if column.psi is None else -column.psi))


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
