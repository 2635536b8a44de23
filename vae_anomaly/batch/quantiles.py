"""Quantiles of scores that arrive in parts, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""The levels of the quantiles that are compared with those of training."""

_GROWTH = 1.01  # from one bin to the next
_SMALLEST = 1e-9  # scores closer to 0 share a bin
_OFFSET = 1 - int(np.floor(np.log(_SMALLEST) / np.log(_GROWTH)))


def quantiles_of(scores: np.ndarray) -> dict[str, float]:
    """Return the quantiles of `LEVELS` of an array of scores, by level."""
    values = np.quantile(scores, LEVELS, method="inverted_cdf")
    return dict(zip(map(str, LEVELS), values.tolist(), strict=True))


class ScoreQuantiles:
    """Counts of scores in bins that widen with the score, for quantiles that are right to 0.5 %.

    The counts, and so the quantiles, do not depend on the order or the parts in which scores come.

    References
    ----------
    Masson, C., Rim, J. E. and Lee, H. K. (2019). DDSketch: a fast and fully-mergeable quantile
    sketch with relative-error guarantees. PVLDB 12(12).
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._range: tuple[float, ...] = (np.inf, -np.inf)

    def add(self, scores: np.ndarray) -> None:
        """Count the scores of an array of shape (n_rows,)."""
        if not len(scores):
            return
        sizes = np.maximum(np.abs(scores), _SMALLEST)
        bins = np.ceil(np.log(sizes) / np.log(_GROWTH)).astype(np.int64) + _OFFSET
        bins = np.where(np.abs(scores) < _SMALLEST, 0, np.sign(scores) * bins).astype(np.int64)
        for key, count in zip(*np.unique(bins, return_counts=True), strict=True):
            self._counts[int(key)] = self._counts.get(int(key), 0) + int(count)
        least, most = self._range
        self._range = (min(least, float(scores.min())), max(most, float(scores.max())))

    def quantiles(self) -> dict[str, float]:
        """Return the quantiles of `LEVELS` by level; none if there are no scores."""
        if not self._counts:
            return {}
        keys = np.array(sorted(self._counts))
        ranks = np.cumsum([self._counts[key] for key in keys.tolist()])
        found = keys[np.searchsorted(ranks, np.array(LEVELS) * ranks[-1])]
        # The middle of a bin, seen from both of its ends at the same relative distance.
        middles = 2 / (1 + _GROWTH) * _GROWTH ** (np.abs(found) - float(_OFFSET))
        least, most = self._range
        values = np.clip(np.where(found == 0, 0.0, np.sign(found) * middles), least, most)
        return dict(zip(map(str, LEVELS), values.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """Return the counts, as JSON can hold them, for `restore`."""
        return {
            "counts": {str(key): self._counts[key] for key in sorted(self._counts)},
            "range": list(self._range) if self._counts else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set the counts to those of `state`."""
        self._counts = {int(key): count for key, count in state["counts"].items()}
        self._range = tuple(state["range"] or (np.inf, -np.inf))
