"""Numbers of things, and lists of them, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def counted(n: int, noun: str) -> str:
    """Return a number of things in words, such as "1 row" and "2 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def first_of(values: Sequence[Any], n_most: int = 5) -> str:
    """Return the first of some values and, if these are not all, how many there are."""
    shown = ", ".join(map(str, values[:n_most]))
    return f"{shown}, ... ({len(values)} in all)" if len(values) > n_most else shown
