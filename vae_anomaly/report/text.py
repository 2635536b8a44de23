"""Texts that come from data, made fit to be read, and numbers in words."""

from __future__ import annotations

import datetime
import math
import unicodedata
from typing import Any

import numpy as np

MISSING = "\u2013"
"""What stands for a missing value."""

_DIRECTIONS = {"\u200e", "\u200f", "\u061c", *map(chr, range(0x202A, 0x202F))}
_DIRECTIONS |= set(map(chr, range(0x2066, 0x206A)))
_INVISIBLE = {"\u200b", "\u2060", "\ufeff", "\u00ad", "\u2028", "\u2029"}


def visible(text: str) -> str:
    """Return a text in which characters that hide or reorder others can be seen.

    Control characters are shown by their pictures, such as ␀; marks that change the direction of
    writing, blanks of no width and halves of surrogate pairs by their numbers.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in _DIRECTIONS or character in _INVISIBLE:
        return f"⟨U+{code:04X}⟩"
    if unicodedata.category(character) in ("Cc", "Cs"):
        return f"⟨U+{code:04X}⟩"
    return character


def shortened(text: str, n_most: int = 200) -> str:
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
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10 ** (digits - 1) or value == round(value):
        return f"{value + 0.0:,.0f}"  # + 0.0 makes a zero of a negative one
    return f"{value:.{digits}g}"


def fixed(value: float | None) -> str:
    """Return a number to three decimals."""
    if value is None:
        return MISSING
    return "< 0.001" if 0 < value < 0.001 else f"{value:.3f}"


def percent(share: float | None) -> str:
    """Return a share in per cent; one that is small, but not 0, is not rounded to 0."""
    if share is None or math.isnan(share):
        return MISSING
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"
