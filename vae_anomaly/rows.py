"""The training rows: a table in memory, or a stream of rows that do not fit into memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import gen_batches

if TYPE_CHECKING:
    from vae_anomaly.training.rows import RowsInBuffers, RowsInMemory

CHUNK_ROWS = 8192
"""The number of rows of a table that are converted to dense float64 at a time."""

_SAMPLE_ROWS = 10_000
"""The size of the sample of a stream that the one-hot groups and the threshold are based on."""

Chunks = Iterator[tuple[np.ndarray, np.ndarray]]
"""Pairs of rows, float64 of shape (n, p), and their weights of shape (n,), none of them zero."""

Standardize = Callable[[Any], np.ndarray]
"""From rows in the user's units to float32 rows as the networks take them."""


class Survey(NamedTuple):
    """What a first look at all rows tells of each column, (n_features,) each."""

    low: np.ndarray
    """The smallest value, NaN if there is none."""
    high: np.ndarray
    """The largest value, NaN if there is none."""
    n_missing: np.ndarray
    """The number of missing cells."""

    @classmethod
    def of(cls, rows: np.ndarray) -> Survey:
        """Return what these rows tell."""
        low, high = np.fmin.reduce(rows, axis=0), np.fmax.reduce(rows, axis=0)
        return cls(low, high, np.isnan(rows).sum(axis=0))

    def and_of(self, other: Survey) -> Survey:
        """Return what these rows and others tell together."""
        return Survey(
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.n_missing + other.n_missing,
        )


class Table:
    """Rows in memory, with their weights.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        The rows.
    sample_weight : ndarray of shape (n_rows,) or None, default=None
        The weights of the rows, none of them zero. Only their ratios matter. By default all
        weights are 1.
    """

    def __init__(self, X: Any, sample_weight: np.ndarray | None = None) -> None:
        self.X = X
        self.n_rows, self.n_features = X.shape
        self.sample_weight = np.ones(self.n_rows) if sample_weight is None else sample_weight

    @property
    def sample(self) -> Table:
        """The rows that represent all of them, here the table itself."""
        return self

    def take(self, indices: np.ndarray) -> Table:
        """Return the table of the rows at these indices."""
        return Table(self.X[indices], self.sample_weight[indices])

    def chunks(self) -> Chunks:
        """Yield all rows, chunk by chunk."""
        for chunk in gen_batches(self.n_rows, CHUNK_ROWS):
            yield as_float64(self.X[chunk]), self.sample_weight[chunk]

    @functools.cached_property
    def survey(self) -> Survey:
        """The bounds of the columns, and the number of missing cells in each."""
        return functools.reduce(Survey.and_of, (Survey.of(chunk) for chunk, _ in self.chunks()))

    def batches(
        self,
        standardize: Standardize,
        batch_size: int,
        rng: np.random.RandomState,
        *,
        has_missing: bool,
    ) -> RowsInMemory:
        """Return the scaled rows in batches for training."""
        from vae_anomaly.training.rows import RowsInMemory

        chunks = (standardize(self.X[c]) for c in gen_batches(self.n_rows, CHUNK_ROWS))
        return RowsInMemory(chunks, self.sample_weight, batch_size, rng, has_missing=has_missing)


class Stream:
    """Rows that do not fit into memory, read batch by batch.

    Parameters
    ----------
    read : callable
        Returns an iterator over all rows, as arrays or CSR matrices of shape (n, n_features).
    n_rows : int
        The total number of rows.
    sample : Table
        A random sample of the rows that represents all of them.
    survey : Survey
        The bounds of the columns, and the number of missing cells in each.
    """

    def __init__(
        self,
        read: Callable[[], Iterator[Any]],
        n_rows: int,
        sample: Table,
        survey: Survey,
    ) -> None:
        self._read = read
        self.n_rows, self.n_features = n_rows, sample.n_features
        self.sample = sample
        self.survey = survey

    @classmethod
    def read_once(cls, first: Iterator[Any], read: Callable, rng: np.random.RandomState) -> Stream:
        """Return a stream after a first pass that counts, surveys and samples its rows."""
        n_rows, keys, sample, survey = 0, np.empty(0), np.empty((0, 0)), None
        for batch in first:
            rows = as_float64(batch)
            keys = np.concatenate([keys, rng.uniform(size=len(rows))])
            seen = Survey.of(rows)
            survey = seen if survey is None else survey.and_of(seen)
            sample = np.concatenate([sample, rows]) if n_rows else rows
            n_rows += len(rows)
            if len(keys) > _SAMPLE_ROWS:
                kept = np.argpartition(keys, _SAMPLE_ROWS)[:_SAMPLE_ROWS]
                sample, keys = sample[kept], keys[kept]
        if survey is None:
            survey = Survey(*np.empty((3, 0)))
        return cls(read, n_rows, Table(sample), survey)

    def chunks(self) -> Chunks:
        """Yield all rows, batch by batch."""
        for batch in self._read():
            yield as_float64(batch), np.ones(batch.shape[0])

    def batches(
        self,
        standardize: Standardize,
        batch_size: int,
        rng: np.random.RandomState,
        *,
        has_missing: bool,
    ) -> RowsInBuffers:
        """Return the scaled rows in batches for training."""
        from vae_anomaly.training.rows import RowsInBuffers

        return RowsInBuffers(
            lambda: (standardize(batch) for batch in self._read()),
            self.n_rows,
            batch_size,
            rng,
            has_missing=has_missing,
        )


def as_float64(X: Any) -> np.ndarray:
    """Return X as a dense float64 array, without a copy if it is one already."""
    return np.asarray(X.toarray() if sp.issparse(X) else X, dtype=np.float64)
