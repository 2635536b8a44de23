"""Texts that come from data, made fit to be read, and numbers in words."""

from __future__ import annotations

import datetime
import math
import unicodedata
from typing import Any

import numpy as np

MISSING = "\u2013"
"""What stands for a missing value."""

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""The categories of characters that are not seen, or of which nothing is known."""

_FILLERS = set("\u034f\u115f\u1160\u3164\uffa0")
"""Letters and marks that are not seen."""

_JOINERS = set("\u200c\u200d")
"""What forms letters of some scripts, and emoji, that stand on either side of it."""


def visible(text: str) -> str:
    """Return a text in which characters that hide or reorder others can be seen.

    Control characters are shown by their pictures, such as ␀; marks that change the direction of
    writing, blanks of no width, halves of surrogate pairs and the like by their numbers. Joiners
    are left where scripts and emoji need them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in _JOINERS and _joins(text, at) else _visible(character)
        for at, character in enumerate(text)
    )


def _joins(text: str, at: int) -> bool:
    """Return whether a joiner stands between two characters that it may form."""
    beside = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    return all(
        not one.isascii() and unicodedata.category(one)[0] in "LMS" and one not in _FILLERS
        for one in beside
        if one
    ) and all(beside)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in _FILLERS or unicodedata.category(character) in _INVISIBLE:
        return f"⟨U+{code:04X}⟩"
    return character


def cut_off(text: str, n_most: int = 200) -> str:
    """Return a text, of which only the beginning is left if it is long."""
    return text if len(text) <= n_most else f"{text[: n_most - 1]}…"


def number(value: Any, digits: int = 4) -> str:
    """Return a number or a date as it is read: four digits, thousands set apart."""
    if value is None:
        return MISSING
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    shown = f"{value:.{digits}g}"
    if abs(value) >= 1e15:
        return shown
    if abs(float(shown)) >= 10 ** (digits - 1) or value == round(value):
        return f"{value + 0.0:,.0f}"  # + 0.0 makes a zero of a negative one
    return shown


def fixed(value: float | None) -> str:
    """Return a number to three decimals."""
    if value is None:
        return MISSING
    return "< 0.001" if 0 < value < 0.001 else f"{value:z.3f}"


def percent(share: float | None) -> str:
    """Return a share in per cent; one that is small, but not 0, is not rounded to 0."""
    if share is None or math.isnan(share):
        return MISSING
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"
