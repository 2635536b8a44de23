"""UsualValues: what the columns of X usually held in training, to compare abnormal values with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_anomaly.columns import Columns
from vae_anomaly.rows import Stream, Table, as_float64

QUANTILES = (0.05, 0.95)
"""The quantiles of the training rows between which a number is usual."""

_MAX_CELLS, _MIN_ROWS, _MAX_ROWS = 1_000_000, 500, 4_000
"""Bounds on the part of the rows, evenly spaced, that the quantiles are of."""

_N_LEVELS = 3


class UsualValues(NamedTuple):
    """The usual values of each column of X, (n_features,) each, in the units of X.

    They are those of rows with missing cells left out, and NaN where a column had no value at all
    or holds categories.
    """

    low: np.ndarray
    """The 5 % quantile."""
    high: np.ndarray
    """The 95 % quantile."""
    frequent: tuple[tuple[float, ...], ...]
    """The codes of the most frequent levels of each categorical column, the first one first."""

    @classmethod
    def of(cls, data: Table | Stream, columns: Columns) -> UsualValues:
        """Return the usual values of training rows, whose weights count."""
        sample = data.sample
        n_rows = int(np.clip(_MAX_CELLS // sample.n_features, _MIN_ROWS, _MAX_ROWS))
        chosen = np.unique(np.linspace(0, sample.n_rows - 1, n_rows).astype(int))
        rows, weight = as_float64(sample.X[chosen]), sample.sample_weight[chosen]
        low, high = weighted_quantiles(rows, weight, QUANTILES)
        frequent = []
        for category in columns.categories:
            codes = rows[:, category.column]
            known = (codes >= 0) & (codes < len(category.levels))
            counts = np.bincount(codes[known].astype(int), weight[known], len(category.levels))
            order = np.argsort(-counts, kind="stable")[:_N_LEVELS]
            frequent.append(tuple(float(code) for code in order if counts[code] > 0))
        for category in columns.categories:
            low[category.column] = high[category.column] = np.nan
        return cls(low, high, tuple(frequent))

    def with_later(self, later: UsualValues, share: float) -> UsualValues:
        """Return the means of these values and of those of later rows, a `share` of all rows."""
        low, high = (
            np.where(np.isnan(old), new, np.where(np.isnan(new), old, old + share * (new - old)))
            for old, new in ((self.low, later.low), (self.high, later.high))
        )
        return UsualValues(low, high, self.frequent)


def weighted_quantiles(
    rows: np.ndarray, weight: np.ndarray, quantiles: tuple[float, ...]
) -> list[np.ndarray]:
    """Return each quantile of the columns, (p,), where missing cells do not count.

    It is the smallest value at which the weights add up to the quantile's share of their sum.
    """
    order = np.argsort(rows, axis=0)  # NaN come last
    ordered = np.take_along_axis(rows, order, axis=0)
    total = np.cumsum(np.where(np.isnan(ordered), 0.0, weight[order]), axis=0)
    at = [np.argmax(total >= share * total[-1], axis=0) for share in quantiles]
    return [np.take_along_axis(ordered, index[None], axis=0)[0] for index in at]
