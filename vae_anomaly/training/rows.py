"""Batches of training rows, from rows in memory or from one buffer of rows after another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from vae_anomaly.backend import tf

_BUFFER_ROWS = 65_536


class RowsInMemory:
    """All rows in one float32 tensor; batches are cut from one random permutation after another.

    Parameters
    ----------
    chunks : iterable of arrays of shape (n, p)
        The rows as float32. They are copied chunk by chunk, so that there is never a second copy
        of all rows.
    sample_weight : ndarray of shape (n_rows,)
        The weights of the rows in the loss. Only their ratios matter.
    batch_size : int
        The number of rows per batch; all rows if there are fewer.
    rng : RandomState
        Controls the order of the rows.
    has_missing : bool, default=False
        Whether cells are missing, which are NaN.
    """

    def __init__(
        self,
        chunks: Iterable[np.ndarray],
        sample_weight: np.ndarray,
        batch_size: int,
        rng: np.random.RandomState,
        *,
        has_missing: bool = False,
    ) -> None:
        self.n_rows, self.has_missing = len(sample_weight), has_missing
        self.batch_size = min(batch_size, self.n_rows)
        chunks, start = iter(chunks), 0
        first = next(chunks)
        rows = tf.Variable(tf.zeros([self.n_rows, first.shape[1]]))
        for chunk in itertools.chain([first], chunks):
            rows[start : start + len(chunk)].assign(chunk)
            start += len(chunk)
        self._X = rows.read_value()
        self._sample_weight = tf.constant(sample_weight / np.mean(sample_weight), tf.float32)
        self._rng = rng
        self._left = np.empty(0, np.int32)

    def take(self, n_batches: int) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """Return the rows, their weights and the next batches.

        The batches are the indices of their rows, (n_batches, batch_size) int32.
        """
        needed = n_batches * self.batch_size
        parts = [self._left]
        n_drawn = len(self._left)
        while n_drawn < needed:
            parts.append(self._rng.permutation(self.n_rows).astype(np.int32))
            n_drawn += self.n_rows
        drawn = np.concatenate(parts)
        self._left = drawn[needed:]
        return self._X, self._sample_weight, drawn[:needed].reshape(n_batches, self.batch_size)


class RowsInBuffers:
    """Rows that do not fit into memory, shuffled within one buffer at a time.

    Parameters
    ----------
    chunks : callable
        Returns an iterable over all rows, as float32 arrays of shape (n, p). It is called once per
        epoch.
    n_rows : int
        The total number of rows.
    batch_size : int
        The number of rows per batch; all rows if there are fewer.
    rng : RandomState
        Controls the order of the rows within a buffer.
    has_missing : bool, default=False
        Whether cells are missing, which are NaN.
    """

    def __init__(
        self,
        chunks: Callable[[], Iterable[np.ndarray]],
        n_rows: int,
        batch_size: int,
        rng: np.random.RandomState,
        *,
        has_missing: bool = False,
    ) -> None:
        self.has_missing = has_missing
        self.n_rows, self.batch_size = n_rows, min(batch_size, n_rows)
        self._chunks = itertools.chain.from_iterable(chunks() for _ in itertools.count())
        self._rng = rng
        self._left: list[np.ndarray] = []  # rows that were too few for another batch
        self._batches = np.empty((0, self.batch_size), np.int32)

    def take(self, n_batches: int) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """Return a buffer of rows, their weights, and at most `n_batches` of its batches."""
        if not len(self._batches):
            self._fill()
        taken, self._batches = self._batches[:n_batches], self._batches[n_batches:]
        return self._X, self._sample_weight, taken

    def _fill(self) -> None:
        parts, n_rows = self._left, sum(map(len, self._left))
        while n_rows < max(_BUFFER_ROWS, self.batch_size):
            parts.append(next(self._chunks))
            n_rows += len(parts[-1])
            if n_rows >= self.n_rows:
                break  # the buffer holds as many rows as there are
        order = self._rng.permutation(n_rows).astype(np.int32)
        n_used = n_rows - n_rows % self.batch_size
        rows = np.concatenate(parts)
        self._left = [rows[order[n_used:]]]
        self._batches = order[:n_used].reshape(-1, self.batch_size)
        self._X, self._sample_weight = tf.constant(rows), tf.ones(n_rows)
