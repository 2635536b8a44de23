"""Computing a function of many rows in tiles, on several threads and in bounded memory."""

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

# More rows per tile would not fit into the processor's cache; fewer would not be worth a thread.
_MIN_TILE_ROWS, _MAX_TILE_ROWS = 512, 1024

_BYTES = 20  # per number in the widest layer: five float32 arrays of its size at a time

_LONGEST_TILE_SECONDS = 10  # a fork waits no longer than this, even if a thread is stuck

Read = Callable[[slice], np.ndarray]
"""Returns the rows of a slice in the units of the networks, as float32 of shape (n, p)."""


def map_tiles(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    read: Read,
    outputs: tuple[np.ndarray, ...],
    spec: NetworkSpec,
    n_draws: int = 1,
) -> None:
    """Fill `outputs` with the values of `function` for all rows, one entry per row.

    While this runs, the BLAS library of NumPy is limited to one thread, because tiles are computed
    in parallel instead. The limit holds for the whole process, as BLAS libraries have none for a
    single thread, and is lifted before the function returns.

    Parameters
    ----------
    function : callable
        Maps rows in blocks (n_blocks, n, p) to one array (n_blocks, n, ...) per output.
    read : callable
        Returns the rows of a slice, see `Read`.
    outputs : tuple of arrays of shape (n_rows, ...)
        The arrays to fill in place. The memory needed beyond them is bounded by scikit-learn's
        setting ``working_memory``, or by one block of rows per thread if that is more.
    spec : NetworkSpec
        The network that `function` evaluates.
    n_draws : int, default=1
        The number of times that `function` evaluates the decoder.
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

    OpenBLAS stops its threads before a fork, and hangs if another thread is calling it at that
    moment. So a fork waits for the tiles that are being computed, and the next tiles wait for the
    fork.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_scoring = 0
        self._n_threads: list[int] = []  # of each library, before the limit
        self._users: list[int] = []  # the threads that are calling BLAS
        self._n_forks = 0

    @contextmanager
    def on_one_thread(self) -> Iterator[int]:
        """Limit BLAS to one thread within the block; yield the number of threads it had before."""
        with self.in_use(), self._changed:
            if self._n_scoring == 0:
                self._n_threads = [library.num_threads for library in _blas_libraries()]
                _set_threads([1] * len(self._n_threads))
            self._n_scoring += 1
            n_threads = max(self._n_threads, default=cpu_count())
        try:
            yield n_threads
        finally:
            with self.in_use(), self._changed:
                self._n_scoring -= 1
                if self._n_scoring == 0:
                    _set_threads(self._n_threads)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Delay forks until the end of the block."""
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
        """Wait until no other thread is calling BLAS, and keep new ones from doing so."""
        me = threading.get_ident()
        with self._changed:
            self._n_forks += 1
            self._changed.wait_for(
                lambda: all(user == me for user in self._users), timeout=_LONGEST_TILE_SECONDS
            )

    def after_fork_in_parent(self) -> None:
        """Let threads call BLAS again."""
        with self._changed:
            self._n_forks = max(0, self._n_forks - 1)
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Forget the threads of the parent process and lift the limit that they had set."""
        n_threads = self._n_threads if self._n_scoring else []
        self.__init__()  # type: ignore[misc]
        if n_threads:
            _set_threads(n_threads)


_blas = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_blas.before_fork,
        after_in_parent=_blas.after_fork_in_parent,
        after_in_child=_blas.after_fork_in_child,
    )


@functools.cache
def _blas_libraries() -> list[Any]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_threads(n_threads: list[int]) -> None:
    """Set the number of threads of each BLAS library.

    Since version 3.8, threadpoolctl lets one thread set it, the first that has done so, and ignores
    all others. Here the first thread to score limits BLAS, and the last one lifts the limit.
    """
    for library, n in zip(_blas_libraries(), n_threads, strict=True):
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(n)
        release(force=True)
