"""Alarms for people: ranges of time points, with their peak and the channels behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from vae_anomaly.time_series.clock import Points
    from vae_anomaly.time_series.windows import Stretches

_MAX_CHANNELS, _LEAST_SHARE = 3, 0.1
"""At most so many channels are named, and only those with such a share of the contributions."""


class Ranges(NamedTuple):
    """Ranges of consecutive alarms among sorted time points."""

    firsts: np.ndarray
    """The first sorted row of each range."""

    lasts: np.ndarray
    """The last sorted row of each range."""

    peaks: np.ndarray
    """The sorted row of each range with the lowest score."""

    @classmethod
    def of(cls, scores: np.ndarray, offset: float, stretches: Stretches) -> Ranges:
        """Return the ranges of sorted rows whose scores lie below `offset`; gaps divide them."""
        is_alarm = scores < offset
        stretch = np.repeat(np.arange(len(stretches.firsts)), stretches.lengths)
        goes_on = is_alarm[1:] & is_alarm[:-1] & (np.diff(stretch) == 0)
        firsts = np.flatnonzero(is_alarm & ~np.append(False, goes_on))
        lasts = np.flatnonzero(is_alarm & ~np.append(goes_on, False))
        peaks = [
            first + scores[first : last + 1].argmin()
            for first, last in zip(firsts, lasts, strict=True)
        ]
        return cls(firsts, lasts, np.array(peaks, int))

    def around_peaks(self, stretches: Stretches, size: int) -> list[np.ndarray]:
        """Return the sorted rows that share a window of `size` with each peak."""
        stretch = np.searchsorted(stretches.firsts, self.peaks, side="right") - 1
        starts, lengths = stretches.firsts[stretch], stretches.lengths[stretch]
        return [
            np.arange(max(peak - size + 1, start), min(peak + size, start + length))
            for peak, start, length in zip(self.peaks, starts, lengths, strict=True)
        ]

    def table(self, points: Points, order: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        """Return a row for each range, the earliest first within each series."""
        labels: Any = np.arange(len(order)) if points.times is None else points.times
        return pd.DataFrame(
            {
                "series": points.names[points.series[order[self.firsts]]],
                "start": labels[order[self.firsts]],
                "end": labels[order[self.lasts]],
                "n_points": self.lasts - self.firsts + 1,
                "peak": labels[order[self.peaks]],
                "peak_score": -scores[self.peaks],
            }
        )


def main_channels(contributions: np.ndarray, names: list[str]) -> str:
    """Return the names of the channels that contribute most, the first of them first.

    Parameters
    ----------
    contributions : ndarray of shape (n_timepoints, n_channels)
        What each channel adds to the anomaly scores around a peak.
    names : list of str
        The names of the channels.
    """
    sums = np.maximum(contributions.sum(axis=0), 0.0)
    largest = np.argsort(-sums, kind="stable")[:_MAX_CHANNELS]
    named = [at for at in largest if sums[at] >= _LEAST_SHARE * sums.sum()]
    return ", ".join(names[at] for at in named or largest[:1])
