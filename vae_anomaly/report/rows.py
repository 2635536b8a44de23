"""Rows of a table that is read in parts: the most abnormal ones, and a random sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

NUMBER = "\0row"
"""The column of the numbers of rows, a name that no column of a table has."""


@dataclass(frozen=True)
class Rows:
    """Scored rows."""

    positions: np.ndarray
    """Where they are in the file that is read, counted from 0, of shape (n_rows,)."""
    beside: pa.Table
    """The number, and the kept columns as they are in the file."""
    table: pd.DataFrame
    """The columns of the model, with their types."""
    scored: pd.DataFrame
    """The score, whether it raises an alarm, and so on, as of `score_frame`."""

    @property
    def numbers(self) -> np.ndarray:
        """Their numbers in the table, counted from 1, of shape (n_rows,)."""
        return self.beside[NUMBER].to_numpy()

    @property
    def score(self) -> np.ndarray:
        """The scores, of shape (n_rows,)."""
        return self.scored["score"].to_numpy(np.float64)

    @property
    def is_alarm(self) -> np.ndarray:
        """Whether each row raises an alarm, of shape (n_rows,)."""
        return self.scored["is_outlier"].to_numpy(bool)

    def take(self, at: np.ndarray) -> Self:
        """Return the rows at these positions."""
        return type(self)(
            self.positions[at],
            self.beside.take(pa.array(at, pa.int64())),
            self.table.iloc[at].reset_index(drop=True),
            self.scored.iloc[at].reset_index(drop=True),
        )

    def followed_by(self, other: Self) -> Self:
        """Return these rows and others."""
        return type(self)(
            np.concatenate([self.positions, other.positions]),
            pa.concat_tables([self.beside, other.beside], promote_options="permissive"),
            pd.concat([self.table, other.table], ignore_index=True),
            pd.concat([self.scored, other.scored], ignore_index=True),
        )


class Chosen:
    """The rows with the largest keys of all that are added.

    Parameters
    ----------
    n_most : int
        The number of rows to keep.
    """

    def __init__(self, n_most: int) -> None:
        self._n_most = n_most
        self._keys = np.zeros(0)
        self.rows: Rows | None = None

    def add(self, rows: Rows, keys: np.ndarray) -> None:
        """Add rows; of equal keys, those that come first stay."""
        first = _largest(keys, self._n_most)
        rows, keys = rows.take(first), np.concatenate([self._keys, keys[first]])
        joined = rows if self.rows is None else self.rows.followed_by(rows)
        kept = _largest(keys, self._n_most)
        self.rows, self._keys = joined.take(kept), keys[kept]


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the cells of a kept column as texts, None where one is missing."""
    return [None if cell is None else str(cell) for cell in column.to_pylist()]


def _largest(keys: np.ndarray, n: int) -> np.ndarray:
    return np.argsort(-keys, kind="stable")[:n]
