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
from vae_anomaly.networks.dense_numpy import LANES
from vae_anomaly.networks.forward import make_decode, make_encode

_TILE_ROWS = 512  # their activations fit the processor's cache
_TILES_PER_TASK = 2  # few, so that the threads end at the same time

Read = Callable[[slice], np.ndarray]
"""Gives the rows of a slice as the networks see them: (n, p) float32."""


def antithetic_noise(n_draws: int, latent_dim: int, rng: np.random.RandomState) -> np.ndarray:
    """Return the table of noise that averages the score over draws, (n_draws, latent_dim).

    Draws come in pairs (eps, -eps), and the table is rescaled to unit second moment in every
    dimension: the average of any quadratic function of one latent dimension is exact. With one
    draw the table is plain noise; with none it is a row of zeros, the plug-in at z_mean.
    """
    if n_draws == 0:
        return np.zeros((1, latent_dim), np.float32)
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
    noise : array of shape (max(1, n_draws), latent_dim)
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
    map_tiles(terms, read, outputs)
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
) -> None:
    """Fill `outputs`, one entry per row, with what `function` makes of the rows.

    Parameters
    ----------
    function : callable
        Maps rows in blocks, (n_blocks, LANES, p), to one array (n_blocks, LANES, ...) per output.
    read : callable
        Gives the rows of a slice, see `Read`.
    outputs : tuple of arrays of shape (n_rows, ...)
        Filled in place. The memory used besides does not grow with the number of rows.
    """
    n_rows = len(outputs[0])

    def fill(first: int, stop: int) -> None:
        for start in range(first, stop, _TILE_ROWS):
            rows = slice(start, min(start + _TILE_ROWS, stop))
            for output, result in zip(outputs, function(_blocks(read(rows))), strict=True):
                output[rows] = result.reshape(-1, *output.shape[1:])[: rows.stop - rows.start]

    firsts = range(0, n_rows, _TILE_ROWS * _TILES_PER_TASK)
    stops = [*firsts[1:], n_rows]
    with _blas_on_one_thread() as n_threads:
        if len(firsts) <= 1 or n_threads == 1:
            fill(0, n_rows)
        else:
            with ThreadPoolExecutor(min(n_threads, len(firsts))) as pool:
                list(pool.map(fill, firsts, stops))


def _blocks(rows: np.ndarray) -> np.ndarray:
    """Return rows (n, p) as (n_blocks, LANES, p), the last block filled up with zeros."""
    n_missing = -len(rows) % LANES
    if n_missing:
        rows = np.concatenate([rows, np.zeros((n_missing, rows.shape[1]), rows.dtype)])
    return rows.reshape(-1, LANES, rows.shape[1])


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
