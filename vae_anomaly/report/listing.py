"""The most abnormal rows and the reasons, which the model or a file of scores gives."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from vae_anomaly.batch.scoring import as_text
from vae_anomaly.explanations.explain import explain
from vae_anomaly.explanations.sentences import OTHERS, in_words, is_missing
from vae_anomaly.report.contents import ListedRow, Listing, Reason
from vae_anomaly.report.rows import NUMBER, Rows, texts

_LONG_NUMBER = re.compile(r"-?\d+\.\d{4,}(e[+-]?\d+)?")


def explained(
    listed: Rows, model: Any, is_outlier: np.ndarray | None, n_reasons: int, attribution: str
) -> tuple[Listing, str | None]:
    """Return rows with the reasons that the model gives, or why it gives none."""
    names, _ = _kept(listed)
    n = len(listed.positions)
    sentences: list[str | None] = [None] * n
    reasons: list[tuple[Reason, ...]] = [()] * n
    importance: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    why_not = None
    try:
        explanation = explain(model, listed.table, attribution=attribution)
    except (TypeError, ValueError) as error:  # as the model is no VAE, or its steps do not tell
        why_not = str(error)
    else:
        sentences = list(explanation.text(n_reasons))
        found = explanation.reasons(n_reasons)
        n_found = len(found) // n
        usual = _usual(explanation.usual)
        names_of_columns = ("column", "contribution", "observed", "expected", "share")
        cells = [
            Reason(
                OTHERS.get(column, str(column)),
                contribution,
                as_text(observed),
                None if is_missing(expected) else in_words(expected),
                usual.get(column),
                share,
            )
            for column, contribution, observed, expected, share in zip(
                *(found[name].tolist() for name in names_of_columns), strict=True
            )
        ]
        reasons = [tuple(cells[at : at + n_found]) for at in range(0, len(cells), n_found)]
        importance = tuple(
            (OTHERS.get(str(name), str(name)), float(value))
            for name, value in explanation.importance("all").items()
        )
        notes = explanation.notes
    listed_rows = _listed_rows(listed, is_outlier, sentences, reasons)
    return Listing(listed_rows, names, importance, notes), why_not


def listed_as_told(listed: Rows, n_reasons: int, is_outlier: np.ndarray | None) -> Listing:
    """Return rows of a file of scores with the reasons that it has."""
    reasons = []
    for row in listed.scored.to_dict("records"):
        found = [
            Reason(
                OTHERS.get(row[f"reason_{at}"], row[f"reason_{at}"]),
                row[f"contribution_{at}"],
                _rounded(as_text(row[f"value_{at}"])),
                _rounded(as_text(row[f"expected_{at}"])),
            )
            for at in range(1, n_reasons + 1)
            if isinstance(row[f"reason_{at}"], str)
        ]
        reasons.append(tuple(found))
    sentences = [_sentence(found) for found in reasons]
    listed_rows = _listed_rows(listed, is_outlier, sentences, reasons)
    return Listing(listed_rows, _kept(listed)[0], (), ())


def _kept(rows: Rows) -> tuple[tuple[str, ...], list[tuple[str | None, ...]]]:
    """Return the names of the kept columns, and their cells row by row."""
    names = tuple(name for name in rows.beside.column_names if name != NUMBER)
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


def _usual(usual: pd.DataFrame) -> dict[Any, str]:
    """Return the usual range or levels of each column, in words."""
    words = {}
    for name, low, high, levels in usual[["low", "high", "levels"]].itertuples(name=None):
        if not is_missing(low):
            words[name] = in_words(low) if low == high else f"{in_words(low)} to {in_words(high)}"
        elif levels:
            words[name] = ", ".join(in_words(level) for level in levels)
    return words


def _rounded(text: str | None) -> str | None:
    """Return a number that is written in full as it is read, and any other text as it is."""
    if text is None or not _LONG_NUMBER.fullmatch(text):
        return text
    return in_words(float(text))


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
