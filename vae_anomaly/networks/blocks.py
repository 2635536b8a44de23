"""The layout in which networks are computed for scoring: rows in blocks of equal size.

A float32 matrix product rounds a row differently by its place among the rows and by their number.
So there are as many rows in each block however many rows there are, with IDLE_ROWS idle ones at
both ends, which OpenBLAS rounds differently from those between. A row's result then does not
depend on the rows that come with it.
"""

from __future__ import annotations

import numpy as np

IDLE_ROWS = 8
"""Idle rows at either end of a block: the width of a vector."""


def to_blocks(rows: np.ndarray, block_rows: int) -> np.ndarray:
    """Return rows (n, p) as blocks (n_blocks, block_rows + 2 * IDLE_ROWS, p), filled with zeros.

    In memory the rows of a block come last, see `vae_anomaly.networks.dense_numpy`.
    """
    n_missing = -len(rows) % block_rows
    if n_missing:
        rows = np.concatenate([rows, np.zeros((n_missing, rows.shape[1]), rows.dtype)])
    used = rows.reshape(-1, block_rows, rows.shape[1])
    blocks = np.zeros((len(used), rows.shape[1], block_rows + 2 * IDLE_ROWS), rows.dtype)
    blocks[..., IDLE_ROWS:-IDLE_ROWS] = np.swapaxes(used, 1, 2)
    return np.swapaxes(blocks, 1, 2)


def from_blocks(blocks: np.ndarray) -> np.ndarray:
    """Return the rows (n_blocks * block_rows, ...) of blocks, without the idle ones."""
    return blocks[:, IDLE_ROWS:-IDLE_ROWS].reshape(-1, *blocks.shape[2:])
