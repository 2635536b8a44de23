"""Sentences: values, ranges and reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vae_anomaly.explanations.attribution import CODE, NEIGHBOURS, REST

OTHERS = {
    CODE: "an unusual combination of values",
    REST: "all columns taken together",
    NEIGHBOURS: "the time points around it",
}
"""What is no column, in words."""


def is_missing(value: Any) -> bool:
    """Return whether a cell is missing."""
    if isinstance(value, float):
        return value != value
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def in_words(value: Any, unit: str = "") -> str:
    """Return a value as text: numbers to three digits or whole ones, dates without idle zeros."""
    if is_missing(value):
        return "missing"
    if _is_truth(value):
        return "true" if value else "false"
    if _is_number(value):
        return _number(float(value)) + (f" {unit}" if unit else "")
    if isinstance(value, np.datetime64 | pd.Timestamp):
        text = pd.Timestamp(value).strftime("%Y-%m-%d %H:%M:%S")
        return text.removesuffix(" 00:00:00").removesuffix(":00") if len(text) > 10 else text
    return str(value)


def as_truth(expected: Any, observed: Any) -> Any:
    """Return an expected number as true or false if what was observed is; else as it is."""
    is_truth = _is_truth(observed) and _is_number(expected) and not is_missing(expected)
    return bool(round(float(expected))) if is_truth else expected


def check_units(units: Any) -> Mapping[Any, str]:
    """Return the units of the columns by name; raise TypeError if they are no mapping."""
    if units is None:
        return {}
    if not isinstance(units, Mapping):
        raise TypeError(
            "units must be a mapping from the names of columns to their units, such as "
            f"{{'amount': 'EUR'}}, got {units!r}."
        )
    return units


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, float | int | np.integer | np.floating)
    return is_number and not _is_truth(value)


def _number(value: float) -> str:
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if abs(value) >= 999.5 or value == round(value):
        return f"{value + 0.0:,.0f}"  # + 0.0 makes a zero of a negative one
    return f"{value:.3g}"


def reason_in_words(
    name: Any, observed: Any, expected: Any, usual: Any, units: Mapping[Any, str]
) -> str:
    """Return why a value is abnormal, such as "amount 9,120, where 40 to 310 is usual".

    Parameters
    ----------
    name : str
        The name of the column, or of what else contributes.
    observed, expected : object
        The value, and the one that is expected.
    usual : tuple of (low, high, levels) or None
        The usual range in training; None if `name` is not a column.
    units : mapping
        The units of the columns by name.
    """
    if usual is None:
        return OTHERS.get(name, str(name))
    unit = units.get(name, "")
    low, high, levels = usual
    value = in_words(observed, unit)
    absent = is_missing(observed)
    text = f"{name} is missing" if absent else f"{name} {value}"
    is_number = _is_number(observed)
    if not is_missing(low) and (absent or (is_number and not low <= observed <= high)):
        if low == high:
            return f"{text}, where {in_words(low, unit)} is usual"
        return f"{text}, where {in_words(low)} to {in_words(high, unit)} is usual"
    wanted = in_words(as_truth(expected, observed), unit)
    if wanted not in ("missing", value):
        return f"{text}, where {wanted} is expected"
    if levels and (absent or observed not in levels):
        return f"{text}, where {' or '.join(in_words(level) for level in levels)} is usual"
    return text
