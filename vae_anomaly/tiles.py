"""Rows in, results out: blocks of rows on several threads, in bounded memory."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from vae_anomaly.networks.blocks import from_blocks, to_blocks
from vae_anomaly.networks.compute import block_rows
from vae_anomaly.networks.spec import NetworkSpec
from vae_anomaly.sklearn_private import get_chunk_n_rows

# Rows of a tile: more would not fit the processor's cache, and fewer would not be worth a thread.
_MIN_TILE_ROWS, _MAX_TILE_ROWS = 512, 1024

_BYTES = 20  # of a number in the widest layer: five arrays of its kind at a time

_LONGEST_TILE_SECONDS = 10  # a fork waits no longer, whatever happened to a thread

Read = Callable[[slice], np.ndarray]
"""Gives the rows of a slice as the networks see them: (n, p) float32."""


def map_tiles(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    read: Read,
    outputs: tuple[np.ndarray, ...],
    spec: NetworkSpec,
    n_draws: int = 1,
) -> None:
    """Fill `outputs`, one entry per row, with what `function` makes of the rows.

    While this runs, the BLAS that NumPy uses is limited to one thread, for all threads of the
    process: tiles are computed side by side instead. BLAS libraries have no such limit for a single
    thread. The limit is lifted before the call returns.

    Parameters
    ----------
    function : callable
        Maps rows in blocks, (n_blocks, n, p), to one array (n_blocks, n, ...) per output.
    read : callable
        Gives the rows of a slice, see `Read`.
    outputs : tuple of arrays of shape (n_rows, ...)
        Filled in place. The memory used besides is bounded by scikit-learn's setting
        ``working_memory``, or one block of rows a thread if that takes more.
    spec : NetworkSpec
        The network that `function` computes.
    n_draws : int, default=1
        How often `function` computes the decoder.
    """
    n_rows = len(outputs[0])

    with _blas.on_one_thread() as n_threads:
        with _blas.in_use():
            n_block_rows = block_rows(spec, n_rows)
        widest = max(spec.n_features, spec.latent_dim, *spec.hidden_layer_sizes)
        row_bytes = _BYTES * widest * max(1, n_draws)
        tile_rows = min(
            _MAX_TILE_ROWS,
            max(_MIN_TILE_ROWS, -(-n_rows // n_threads)),
            max(n_block_rows, get_chunk_n_rows(row_bytes * n_threads)),
        )

        def fill(start: int) -> None:
            rows = slice(start, min(start + tile_rows, n_rows))
            x = read(rows)
            with _blas.in_use():
                results = function(to_blocks(x, n_block_rows))
            for output, result in zip(outputs, results, strict=True):
                output[rows] = from_blocks(result)[: rows.stop - rows.start]

        starts = range(0, n_rows, tile_rows)
        if len(starts) == 1 or n_threads == 1:
            for start in starts:
                fill(start)
        else:
            with ThreadPoolExecutor(min(n_threads, len(starts))) as pool:
                list(pool.map(fill, starts))


class _Blas:
    """The BLAS library of this process, shared by all scoring threads.

    OpenBLAS stops its threads before a fork, and hangs if another thread is inside it then. So a
    fork waits until the tiles at hand are done, and what comes after waits for the fork.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_scoring = 0
        self._limiter: Any = None
        self._n_threads = 1
        self._users: list[int] = []  # the threads that are inside BLAS
        self._n_forks = 0

    @contextmanager
    def on_one_thread(self) -> Iterator[int]:
        """Limit BLAS to one thread while any thread is here; yield the number it had before."""
        with self.in_use(), self._changed:
            if self._n_scoring == 0:
                blas = _blas_controller()
                threads = [library.num_threads for library in blas.lib_controllers]
                self._n_threads = max(threads) if threads else cpu_count()
                self._limiter = blas.limit(limits=1)
            self._n_scoring += 1
        try:
            yield self._n_threads
        finally:
            with self.in_use(), self._changed:
                self._n_scoring -= 1
                if self._n_scoring == 0:
                    self._limiter.restore_original_limits()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep forks from happening meanwhile."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._n_forks <= 0)
            self._users.append(me)
        try:
            yield
        finally:
            with self._changed:
                self._users.remove(me)
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait for the other threads to leave BLAS, and let none in."""
        me = threading.get_ident()
        with self._changed:
            self._n_forks += 1
            self._changed.wait_for(
                lambda: all(user == me for user in self._users), timeout=_LONGEST_TILE_SECONDS
            )

    def after_fork_in_parent(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._n_forks = max(0, self._n_forks - 1)
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Forget the threads of the parent, and lift the limit that they had set."""
        limiter = self._limiter if self._n_scoring else None
        self.__init__()  # type: ignore[misc]
        if limiter is not None:
            limiter.restore_original_limits()


_blas = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_blas.before_fork,
        after_in_parent=_blas.after_fork_in_parent,
        after_in_child=_blas.after_fork_in_child,
    )


@functools.cache
def _blas_controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
