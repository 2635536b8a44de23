"""Encoding: from the columns of X to those of the networks, and back."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from vae_anomaly.rows import as_float64

Groups = tuple[tuple[int, int], ...]
"""The first column, and the one after the last, of each group."""


@dataclass(frozen=True)
class Encoding:
    """The columns of the networks for those of X.

    A column of numbers stays one column, and a categorical column becomes as many columns of 0 and
    1 as it has outputs (see `columns.Category`). If it has just two levels, it becomes one column,
    in which a level that is neither of the two lies halfway between them. A missing cell is NaN in
    all of its columns. Behind them all stand the missing indicators: columns that are 1 where a
    cell is missing, and 0 elsewhere.

    Parameters
    ----------
    n_columns : int
        The number of columns of X.
    categories : tuple of (int, int, int)
        The index in X, the number of outputs and the number of levels of each categorical column.
        One more output than levels stands for all rare ones.
    indicators : tuple of int
        The columns of X that have a missing indicator.
    """

    n_columns: int
    categories: tuple[tuple[int, int, int], ...] = ()
    indicators: tuple[int, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether the columns of the networks are those of X."""
        return not (self.categories or self.indicators)

    @functools.cached_property
    def _widths(self) -> np.ndarray:
        widths = np.ones(self.n_columns, int)
        for column, n_outputs, n_levels in self.categories:
            widths[column] = 1 if _is_binary(n_outputs, n_levels) else n_outputs
        return widths

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(self._widths)])

    @functools.cached_property
    def _is_number(self) -> np.ndarray:
        """Which columns of X are one number to the networks, as categories of two levels are."""
        is_number = np.ones(self.n_columns, bool)
        for column, *counts in self.categories:
            is_number[column] = _is_binary(*counts)
        return is_number

    @property
    def n_cell_features(self) -> int:
        """The number of columns of the networks without those of the indicators."""
        return int(self._starts[-1])

    @property
    def n_features(self) -> int:
        """The number of columns of the networks."""
        return self.n_cell_features + len(self.indicators)

    @property
    def groups(self) -> Groups:
        """The columns of the networks that hold one categorical variable, for each of these."""
        return tuple(
            self.span(column)
            for column, *counts in self.categories
            if counts[0] and not _is_binary(*counts)
        )

    @functools.cached_property
    def column_of(self) -> np.ndarray:
        """The column of X that each column of the networks belongs to, (n_features,)."""
        cells = np.repeat(np.arange(self.n_columns), self._widths)
        return np.concatenate([cells, np.array(self.indicators, int)])

    def fold(self, values: np.ndarray) -> np.ndarray:
        """Return sums over the columns of the networks that belong to one column of X.

        Parameters
        ----------
        values : ndarray of shape (..., n_features)
            A value for each column of the networks.

        Returns
        -------
        sums : ndarray of shape (..., n_columns)
            A value for each column of X.
        """
        return sums_by_column(values, self.column_of, self.n_columns)

    def span(self, column: int) -> tuple[int, int]:
        """Return the first column of the networks for a column of X, and the one after the last."""
        return int(self._starts[column]), int(self._starts[column + 1])

    def expand(self, X: Any) -> Any:
        """Return rows (n, n_columns) as the networks take them, (n, n_features)."""
        if self.changes_nothing:
            return X
        X = as_float64(X)
        rows = np.empty((len(X), self.n_features))
        rows[:, self._starts[:-1][self._is_number]] = X[:, self._is_number]
        for column, n_outputs, n_levels in self.categories:
            first, stop = self.span(column)
            code = X[:, [column]]
            hot = (code == np.arange(n_outputs)).astype(np.float64)
            if _is_binary(n_outputs, n_levels):
                hot = np.where(code < 0, 0.5, code)
            rows[:, first:stop] = np.where(np.isnan(code), np.nan, hot)
        rows[:, self.n_cell_features :] = np.isnan(X[:, list(self.indicators)])
        return rows

    def collapse(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the networks, (n, n_features), as rows of X, with the most probable level.

        A categorical column without levels is NaN.
        """
        if self.changes_nothing:
            return rows
        X = np.full((len(rows), self.n_columns), np.nan, rows.dtype)
        X[:, self._is_number] = rows[:, self._starts[:-1][self._is_number]]
        for column, n_outputs, n_levels in self.categories:
            first, _ = self.span(column)
            if _is_binary(n_outputs, n_levels):
                X[:, column] = np.clip(np.round(X[:, column]), 0, 1)
            elif n_levels:
                X[:, column] = rows[:, first : first + n_levels].argmax(axis=1)
        return X

    def with_indicators(self, X: np.ndarray) -> np.ndarray:
        """Return rows (n, n_columns) with the indicators behind."""
        if not self.indicators:
            return X
        return np.hstack([X, np.isnan(X[:, list(self.indicators)])])

    def per_feature(self, values: np.ndarray, of_categories: Any) -> np.ndarray:
        """Return a value for each column of the networks, (n_features,).

        It is that of `values`, which has one for each column of X and each indicator, except that
        it is `of_categories` for the columns of categories.
        """
        values, indicators = np.split(values, [self.n_columns])
        cells = np.repeat(np.where(self._is_number, values, of_categories), self._widths)
        return np.concatenate([cells, indicators])


def sums_by_column(values: np.ndarray, column_of: np.ndarray, n_columns: int) -> np.ndarray:
    """Return the sums (..., n_columns) of the values (..., p) that belong to the same column."""
    if np.array_equal(column_of, np.arange(n_columns)):
        return values
    sums = np.zeros((*values.shape[:-1], n_columns), values.dtype)
    for at, column in enumerate(column_of):
        sums[..., column] += values[..., at]
    return sums


def _is_binary(n_outputs: int, n_levels: int) -> bool:
    """Return whether a categorical column has two levels and no rare ones."""
    return n_outputs == n_levels == 2
