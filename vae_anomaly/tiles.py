"""Rows in, per-row terms of the score out: tiles, threads, draws and bounded memory."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from vae_anomaly.losses import loss_terms
from vae_anomaly.networks import NetworkSpec, Weights
from vae_anomaly.networks.dense_numpy import IDLE
from vae_anomaly.networks.forward import lanes, make_decode, make_encode
from vae_anomaly.sklearn_private import get_chunk_n_rows

# Rows of a tile: more would not fit the processor's cache, and fewer would not be worth a thread.
_MIN_TILE_ROWS, _MAX_TILE_ROWS = 512, 1024

_BYTES = 20  # of a number in the widest layer: five arrays of its kind at a time

Read = Callable[[slice], np.ndarray]
"""Gives the rows of a slice as the networks see them: (n, p) float32."""


def antithetic_noise(n_draws: int, latent_dim: int, rng: np.random.RandomState) -> np.ndarray:
    """Return the table of noise that averages the score over draws, (n_draws, latent_dim).

    Draws come in pairs (eps, -eps), and the table is rescaled to unit second moment in every
    dimension: the average of any quadratic function of one latent dimension is exact. With one
    draw the table is plain noise; with none it is empty, and the score is the plug-in at z_mean.
    """
    noise = rng.standard_normal(((n_draws + 1) // 2, latent_dim))
    if n_draws > 1:
        noise = np.concatenate([noise, -noise])[:n_draws]
        noise -= noise.mean(axis=0)
        noise /= np.sqrt(np.mean(noise**2, axis=0))
    return noise.astype(np.float32)


def score_terms(
    read: Read,
    n_rows: int,
    spec: NetworkSpec,
    weights: Weights,
    noise: np.ndarray,
    varies: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reconstruction term and the KL divergence of every row, each (n_rows,) float64.

    Parameters
    ----------
    read : callable
        Gives the rows of a slice, see `Read`.
    n_rows : int
        Number of rows.
    spec, weights : NetworkSpec, Weights
        The trained model.
    noise : array of shape (n_draws, latent_dim)
        The noise shared by all rows, see `antithetic_noise`.
    varies : bool array of shape (p,)
        Which columns varied in training, see `known`.
    """
    encode, decode = make_encode(spec, weights), make_decode(spec, weights)

    def terms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reconstruction, kl = loss_terms(
            x,
            known(x, varies),
            encode,
            decode,
            noise[:, None, None, :],
            spec.likelihood,
            weights.scale,
            np,
        )
        return reconstruction.sum(axis=-1), kl.sum(axis=-1)

    outputs = np.empty(n_rows), np.empty(n_rows)
    map_tiles(terms, read, outputs, spec, len(noise))
    return outputs


def known(x: np.ndarray, varies: np.ndarray) -> np.ndarray:
    """Return what the encoder sees of rows (..., p): columns constant in training stay so.

    It has learned nothing of them, and when one moves, by millions of its units, its random weights
    would spoil the code, and with it the reconstruction of all other columns.
    """
    return x if varies.all() else np.where(varies, x, np.float32(0))


def map_tiles(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    read: Read,
    outputs: tuple[np.ndarray, ...],
    spec: NetworkSpec,
    n_draws: int = 1,
) -> None:
    """Fill `outputs`, one entry per row, with what `function` makes of the rows.

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

    with _blas_on_one_thread() as n_threads:
        n_lanes = lanes(spec, n_rows)
        widest = max(spec.n_features, spec.latent_dim, *spec.hidden_layer_sizes)
        row_bytes = _BYTES * widest * max(1, n_draws)
        tile_rows = min(
            _MAX_TILE_ROWS,
            max(_MIN_TILE_ROWS, -(-n_rows // n_threads)),
            max(n_lanes, get_chunk_n_rows(row_bytes * n_threads)),
        )

        def fill(start: int) -> None:
            rows = slice(start, min(start + tile_rows, n_rows))
            for output, result in zip(outputs, function(_blocks(read(rows), n_lanes)), strict=True):
                used = result[:, IDLE:-IDLE].reshape(-1, *output.shape[1:])
                output[rows] = used[: rows.stop - rows.start]

        starts = range(0, n_rows, tile_rows)
        if len(starts) == 1 or n_threads == 1:
            for start in starts:
                fill(start)
        else:
            with ThreadPoolExecutor(min(n_threads, len(starts))) as pool:
                list(pool.map(fill, starts))


def _blocks(rows: np.ndarray, n_lanes: int) -> np.ndarray:
    """Return rows (n, p) as blocks (n_blocks, n_lanes + 2 * IDLE, p), filled up with zeros.

    In memory the rows of a block come last, see `vae_anomaly.networks.dense_numpy`.
    """
    n_missing = -len(rows) % n_lanes
    if n_missing:
        rows = np.concatenate([rows, np.zeros((n_missing, rows.shape[1]), rows.dtype)])
    used = rows.reshape(-1, n_lanes, rows.shape[1])
    blocks = np.zeros((len(used), rows.shape[1], n_lanes + 2 * IDLE), rows.dtype)
    blocks[..., IDLE:-IDLE] = np.swapaxes(used, 1, 2)
    return np.swapaxes(blocks, 1, 2)


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


_lock = threading.Lock()
_inside: list[
    tuple[Any, int]
] = []  # the limiter and the number of threads, once per scoring thread


@contextmanager
def _blas_on_one_thread() -> Iterator[int]:
    """Limit BLAS to one thread while any thread is inside; yield the number it had before."""
    with _lock:
        if not _inside:
            libraries = _blas().lib_controllers
            n_threads = max((library.num_threads for library in libraries), default=cpu_count())
            _inside.append((_blas().limit(limits=1), n_threads))
        else:
            _inside.append(_inside[0])
    try:
        yield _inside[0][1]
    finally:
        with _lock:
            limiter, _ = _inside.pop()
            if not _inside:
                limiter.restore_original_limits()
