"""The search for columns that are the one-hot encoding of one categorical variable."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from vae_anomaly.rows import Table

_MIN_CATEGORIES = 3  # two say no more than a single two-valued column, which is no group either


def one_hot_groups(table: Table, low: np.ndarray, high: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Find the one-hot groups among the columns.

    A group is a run of three or more neighbouring columns with two values each, of which exactly
    one has its larger value in every row. This is what `sklearn.preprocessing.OneHotEncoder` makes
    of a categorical column, with or without a scaler after it. Constant columns in the run or next
    to it that have the smaller value, or zero, count as well: they are categories that the encoder
    knows but no row has. Between two groups they are taken to belong to the first.

    Parameters
    ----------
    table : Table
        The rows to search.
    low, high : ndarray of shape (n_features,)
        The smallest and the largest value of each column, in these rows and in any others that
        they represent.

    Returns
    -------
    groups : tuple of (int, int)
        The first column, and the one after the last, of each group.
    """
    varies = table.survey.low < table.survey.high
    groups: list[tuple[int, int]] = []
    for first, last in _runs(table, low, high, np.flatnonzero(varies)):
        never_hot = _never_hot(low, high, varies, first, last)
        if not (varies | never_hot)[first : last + 1].all():
            continue
        stop = last + 1
        while stop < len(low) and never_hot[stop]:
            stop += 1
        previous_stop = groups[-1][1] if groups else 0
        while first > previous_stop and never_hot[first - 1]:
            first -= 1
        if stop - first >= _MIN_CATEGORIES:
            groups.append((first, stop))
    return tuple(groups)


def _never_hot(
    low: np.ndarray, high: np.ndarray, varies: np.ndarray, first: int, last: int
) -> np.ndarray:
    """Return which columns may be categories, of the group from `first` to `last`, that no row has.

    In these rows they are constant: at zero, which is also what scalers make of such a column, or
    at the smaller value of a member. In other rows they may have its larger value too.
    """
    members = np.arange(first, last + 1)[varies[first : last + 1]]
    constant = (low == high) & ((low == 0) | np.isin(low, low[members]))
    hot_elsewhere = np.isin(low + 1j * high, low[members] + 1j * high[members])
    return ~varies & (constant | hot_elsewhere)


def _runs(
    table: Table, low: np.ndarray, high: np.ndarray, columns: np.ndarray
) -> list[tuple[int, int]]:
    """Return the first and the last column of each group, as if there were no other columns."""
    if not columns.size:
        return []
    low, high = low[columns], high[columns]
    two_valued, apart = low < high, np.ones(len(low) - 1, bool)
    together = sp.csr_array((len(low), len(low)))
    for chunk, _ in table.chunks():
        chunk = chunk[:, columns]
        is_high = chunk == high
        two_valued &= (is_high | (chunk == low)).all(axis=0)
        # A column that is high together with both of its neighbours is in no group: drop it early.
        apart &= ~(is_high[:, 1:] & is_high[:, :-1]).any(axis=0)
        candidate = two_valued & (np.append(apart, False) | np.append(False, apart))
        if not candidate.any():
            return []
        ones = sp.csr_array(is_high & candidate, dtype=np.float64)
        together += ones.T @ ones  # the number of rows in which both columns are high

    together, runs, first = together.tocsc(), [], 0
    count = together.diagonal()
    for last in range(len(low)):
        if not candidate[last]:
            first = last + 1
            continue
        overlapping = together[first:last, [last]].nonzero()[0]
        if overlapping.size:
            first += overlapping.max() + 1
        if count[first : last + 1].sum() == table.n_rows:
            if last > first:
                runs.append((int(columns[first]), int(columns[last])))
            first = last + 1
    return runs
