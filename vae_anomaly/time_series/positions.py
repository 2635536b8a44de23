"""Where windows lie in a table of time points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Stretches(NamedTuple):
    """The stretches without a gap of a table whose rows are sorted by series and time."""

    order: np.ndarray
    """The index in the original table of each sorted row, (n_timepoints,)."""

    firsts: np.ndarray
    """The indices of the sorted rows at which stretches start, (n_stretches,)."""

    lengths: np.ndarray
    """The number of time points of each stretch, (n_stretches,)."""

    @classmethod
    def between(cls, order: np.ndarray, is_break: np.ndarray) -> Stretches:
        """Return the stretches between breaks, which follow each but the last sorted row."""
        firsts = np.concatenate([[0], np.flatnonzero(is_break) + 1])
        return cls(order, firsts, np.diff(firsts, append=len(order)))

    def take(self, which: Any) -> Stretches:
        """Return some of the stretches of the table."""
        return self._replace(firsts=self.firsts[which], lengths=self.lengths[which])

    def longest(self) -> slice:
        """Return the sorted rows of the longest stretch."""
        at = self.lengths.argmax()
        return slice(self.firsts[at], self.firsts[at] + self.lengths[at])

    def in_order_given(self, values: np.ndarray) -> np.ndarray:
        """Return values of sorted rows in the order of the original table."""
        unsorted = np.empty_like(values)
        unsorted[self.order] = values
        return unsorted

    def n_without(self, size: int) -> int:
        """Return the number of time points in stretches that have no room for a window."""
        return int(self.lengths[self.lengths < size].sum())

    def windows(self, size: int, stride: int) -> Windows:
        """Return the windows in all stretches that have room for one."""
        starts = [
            np.append(np.arange(first, last, stride), last)
            for first, last in zip(self.firsts, self.firsts + self.lengths - size, strict=True)
            if last >= first
        ]
        ends = np.concatenate([np.empty(0, int), *starts]) + size - 1
        return Windows(self.order, ends, np.full(len(ends), size), size)

    def short(self, size: int) -> Windows:
        """Return a window for each stretch that has no room for one: it starts too early."""
        short = np.flatnonzero(self.lengths < size)
        ends = self.firsts[short] + self.lengths[short] - 1
        return Windows(self.order, ends, self.lengths[short], size)


class Windows(NamedTuple):
    """The positions of windows in a table whose rows are sorted by series and time."""

    order: np.ndarray
    """The index in the original table of each sorted row, (n_timepoints,)."""

    ends: np.ndarray
    """The indices of the sorted rows at which the windows end, (n_windows,)."""

    lengths: np.ndarray
    """The number of sorted rows in each window, (n_windows,): less than `size` if a window starts
    earlier than its stretch."""

    size: int

    def take(self, which: Any) -> Windows:
        """Return some of the windows."""
        return self._replace(ends=self.ends[which], lengths=self.lengths[which])

    def at_most(self, n_windows: int | None) -> Windows:
        """Return at most so many of the windows, always the same ones."""
        if n_windows is None or len(self.ends) <= n_windows:
            return self
        # At random, as evenly spaced ones might all be of one phase of a period.
        chosen = np.random.RandomState(0).choice(len(self.ends), n_windows, replace=False)
        return self.take(np.sort(chosen))

    def and_these(self, others: Windows) -> Windows:
        """Return the windows, followed by others of the same table."""
        return self._replace(
            ends=np.concatenate([self.ends, others.ends]),
            lengths=np.concatenate([self.lengths, others.lengths]),
        )

    def rows(self) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield the last row of the windows, the one before, and so on.

        Each time, these are the windows that reach so far back, and the sorted row of each.
        """
        are_whole = bool((self.lengths == self.size).all())
        for back in range(self.size):
            which = slice(None) if are_whole else np.flatnonzero(self.lengths > back)
            yield which, self.ends[which] - back

    def cut(self, channels: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
        """Return the windows, (n_windows, size * n_channels), of sorted rows.

        What lies before the start of a stretch is taken to be `before`, (n_channels,).
        """
        n_channels = channels.shape[1]
        width = self.size * n_channels
        cells = np.ascontiguousarray(channels).ravel()  # a window is a part of these
        if len(cells) < width:
            cells = np.pad(cells, (0, width - len(cells)))
        firsts = np.clip((self.ends - self.size + 1) * n_channels, 0, len(cells) - width)
        windows = sliding_window_view(cells, width)[firsts]
        for at in np.flatnonzero(self.lengths < self.size):
            stop, length = self.ends[at] + 1, self.lengths[at]
            window = windows[at].reshape(self.size, n_channels)
            window[: self.size - length] = before
            window[self.size - length :] = channels[stop - length : stop]
        return windows

    def covered(self) -> np.ndarray:
        """Return a mask of the sorted rows that the windows cover, (n_timepoints,)."""
        steps = np.zeros(len(self.order) + 1, int)
        np.add.at(steps, self.ends - self.lengths + 1, 1)
        np.add.at(steps, self.ends + 1, -1)
        return np.cumsum(steps)[:-1] > 0

    def means_over(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over each window, (n_windows,), of values of sorted rows."""
        total = np.zeros(len(self.ends))
        for which, rows in self.rows():
            total[which] += values[rows]
        return total / self.lengths

    def means_at(self, values: np.ndarray) -> np.ndarray:
        """Return the mean at each sorted row of the values of the windows that cover it, or NaN."""
        total, n_windows = np.zeros(len(self.order)), np.zeros(len(self.order), int)
        for which, rows in self.rows():
            total[rows] += values[which]
            n_windows[rows] += 1
        return np.divide(total, n_windows, out=np.full(len(total), np.nan), where=n_windows > 0)

    def deciding(self, scores: np.ndarray) -> np.ndarray:
        """Return the window with the largest score over each sorted row, -1 if there is none."""
        largest, deciding = np.full(len(self.order), -np.inf), np.full(len(self.order), -1)
        for which, rows in self.rows():
            is_larger = (scores[which] > largest[rows]) | (deciding[rows] < 0)
            rows, number = rows[is_larger], np.arange(len(self.ends))[which][is_larger]
            largest[rows], deciding[rows] = scores[number], number
        return deciding
