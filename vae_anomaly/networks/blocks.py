"""The layout of rows for scoring: blocks of a fixed size.

How a float32 matrix product rounds a row depends on the row's position and on the number of rows.
So all blocks have the same number of rows however many rows there are, with IDLE_ROWS idle rows at
either end, because OpenBLAS rounds these differently from the rows between them. The result for a
row then does not depend on the other rows.
"""

from __future__ import annotations

import numpy as np

IDLE_ROWS = 8
"""The number of idle rows at either end of a block: the width of a SIMD vector."""


def to_blocks(rows: np.ndarray, block_rows: int) -> np.ndarray:
    """Return rows (n, p) as blocks (n_blocks, block_rows + 2 * IDLE_ROWS, p), padded with zeros.

    In memory the rows are the last axis of a block, see `vae_anomaly.networks.dense_numpy`.
    """
    n_missing = -len(rows) % block_rows
    if n_missing:
        rows = np.concatenate([rows, np.zeros((n_missing, rows.shape[1]), rows.dtype)])
    used = rows.reshape(-1, block_rows, rows.shape[1])
    blocks = np.zeros((len(used), rows.shape[1], block_rows + 2 * IDLE_ROWS), rows.dtype)
    blocks[..., IDLE_ROWS:-IDLE_ROWS] = np.swapaxes(used, 1, 2)
    return np.swapaxes(blocks, 1, 2)


def from_blocks(blocks: np.ndarray) -> np.ndarray:
    """Return the rows of blocks, (n_blocks * block_rows, ...), without the idle ones."""
    return blocks[:, IDLE_ROWS:-IDLE_ROWS].reshape(-1, *blocks.shape[2:])
