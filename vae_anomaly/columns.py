"""Which columns are the indicators of one categorical variable."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from vae_anomaly.scaling import Rows

_MIN_CATEGORIES = 3  # two say no more than one column of two values, which is no group either


def one_hot_groups(rows: Rows) -> tuple[tuple[int, int], ...]:
    """Find the one-hot groups among the columns.

    A group is a run of three or more neighbouring columns of two values each, of which in every
    row exactly one has its larger value: what `sklearn.preprocessing.OneHotEncoder` makes of a
    column of categories, also after a scaler.

    Parameters
    ----------
    rows : callable
        Goes through all rows, see `vae_anomaly.scaling.Rows`; called twice.

    Returns
    -------
    groups : tuple of (int, int)
        First column and the one after the last of each group.
    """
    bounds = [(chunk.min(axis=0), chunk.max(axis=0)) for chunk, _ in rows()]
    low, high = np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)
    two_valued, apart = low < high, np.ones(len(low) - 1, bool)
    together, n_rows = sp.csr_array((len(low), len(low))), 0
    for chunk, _ in rows():
        is_high = chunk == high
        two_valued &= (is_high | (chunk == low)).all(axis=0)
        # A column that meets both of its neighbours is in no group: leave it out early.
        apart &= ~(is_high[:, 1:] & is_high[:, :-1]).any(axis=0)
        candidate = two_valued & (np.append(apart, False) | np.append(False, apart))
        if not candidate.any():
            return ()
        ones = sp.csr_array(is_high & candidate, dtype=np.float64)
        together += ones.T @ ones  # in how many rows both columns have their larger value
        n_rows += len(chunk)

    together, groups, first = together.tocsc(), [], 0
    count = together.diagonal()
    for last in range(len(low)):
        if not candidate[last]:
            first = last + 1
            continue
        overlapping = together[first:last, [last]].nonzero()[0]
        if overlapping.size:
            first += overlapping.max() + 1
        if count[first : last + 1].sum() == n_rows:
            if last + 1 - first >= _MIN_CATEGORIES:
                groups.append((first, last + 1))
            first = last + 1
    return tuple(groups)
