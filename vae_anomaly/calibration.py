"""Calibration: keeping scores comparable between rows in which different cells are missing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vae_anomaly.vae import VAE

Array = Any  # a numpy array or a value in an ONNX graph, depending on `xp`

_MIN_ROWS, _MAX_ROWS = 32, 512
_SHARE_OF_TRAINING = 1 / 800
"""The number of rows that are measured for each row that training has gone through.

A measured row takes about eight times the work of one row in a gradient step, so this is 1 %. After
hardly any training few rows are measured, and the exponent is not.
"""

_HIDDEN = (0.0, 0.25, 0.5, 0.75)
"""The fractions of the cells that are hidden to see how the differences between losses change.

This is done with half of the rows, as it takes most of the time.
"""

_BULK = 0.9
"""The fraction of the rows, those with the smallest losses, that the means are over."""

_UPPER = 0.95
_MAX_EXPONENT = 0.5
_MIN_OBSERVED_SHARE = 0.1
"""Smaller observed shares count as this one, so that a few cells are not taken too seriously."""


@dataclass(frozen=True)
class Calibration:
    """A map of the losses of rows with missing cells to what they would be with all cells.

    The loss of a row is a sum over its observed cells and the code. Each missing cell adds the mean
    over ordinary rows, and so does the part of the KL divergence that is lost with it. That makes
    the losses level. But the fewer cells a row shows, the less its loss still differs from the mean
    if the cells are independent, namely by the square root of the observed share; or the more, if
    the missing ones would have explained the others. So the difference to the mean is divided by a
    power of the observed share, whose exponent is measured by hiding cells of ordinary rows. A
    feature counts for as much in this share as its reconstruction varies.

    Parameters
    ----------
    mean : ndarray of shape (p,)
        The mean reconstruction of each feature where it is observed.
    importance : ndarray of shape (p,)
        What each feature counts for in the observed share; they add up to 1.
    kl_whole, kl_empty : float
        The mean KL divergence of rows without missing cells, and that of a row whose cells are all
        missing.
    exponent : float
        The power of the observed share, between -0.5 and 0.5.
    """

    mean: np.ndarray
    importance: np.ndarray
    kl_whole: float
    kl_empty: float
    exponent: float = 0.0

    def correction(self, loss: Array, observed: Array, xp: Any = np) -> Array:
        """Return what has to be added to losses (...) of rows by their observed cells (..., p)."""
        added, difference, observed_share = self.levelled(loss, observed, xp)
        return added + difference * (observed_share**-self.exponent - 1.0)

    def shares(
        self, cells: np.ndarray, kl: np.ndarray, observed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the terms of the loss with the correction divided among them.

        What a missing cell adds is its own. The stretching of the difference to the mean applies to
        each term's difference to its own mean.

        Parameters
        ----------
        cells : ndarray of shape (..., p)
            The reconstruction of each cell, 0 where it is missing.
        kl : ndarray of shape (..., d)
            The weighted KL divergence of each latent dimension.
        observed : ndarray of shape (..., p), dtype bool
            The cells that are observed.

        Returns
        -------
        cells, kl : ndarray of shape (..., p) and (..., d)
            The terms, which sum to the loss and its `correction`.
        """
        missing_share, observed_share = (share[..., None] for share in self._shown(observed, np))
        stretched = observed_share**-self.exponent - 1.0
        lost_kl = self.kl_whole - self.kl_empty
        cells = np.where(
            observed,
            cells + stretched * (cells - self.mean),
            self.mean + self.importance * lost_kl,
        )
        kl = kl + stretched * (kl + (missing_share * lost_kl - self.kl_whole) / kl.shape[-1])
        return cells, kl

    def levelled(self, loss: Array, observed: Array, xp: Any = np) -> tuple[Array, ...]:
        """Return what missing cells add, the difference to the mean, and the observed share."""
        missing_share, observed_share = self._shown(observed, xp)
        added = xp.where(observed, 0.0, self.mean).sum(axis=-1)
        added = added + missing_share * (self.kl_whole - self.kl_empty)
        difference = loss + added - (self.mean.sum() + self.kl_whole)
        return added, difference, observed_share

    def _shown(self, observed: Array, xp: Any) -> tuple[Array, Array]:
        """Return the missing and the observed share of rows, the latter not too small."""
        missing_share = xp.where(observed, 0.0, self.importance).sum(axis=-1)
        return missing_share, xp.maximum(1.0 - missing_share, _MIN_OBSERVED_SHARE)


def fit_calibration(vae: VAE, X: Any, n_trained: int) -> Calibration:
    """Return the calibration by ordinary rows.

    Parameters
    ----------
    vae : VAE
        The trained VAE.
    X : ndarray or CSR matrix of shape (n, n_columns)
        The rows, in the user's units. The fewer of them the VAE was trained on, the better: a
        network rebuilds the rows that it knows from fewer cells than new ones.
    n_trained : int
        The number of rows that training has gone through, over all epochs, which bounds the work.
    """
    n_rows = int(np.clip(n_trained * _SHARE_OF_TRAINING, _MIN_ROWS, _MAX_ROWS))
    rng = np.random.RandomState(0)
    # In the units of the networks, so that hiding a cell does not change its indicator.
    x = vae.standardize(X[rng.permutation(X.shape[0])[:n_rows]])
    n_cells = vae.encoding.n_cell_features
    empty = np.full(x.shape[1], np.nan, np.float32)
    empty[n_cells:] = np.median(x[:, n_cells:], axis=0)
    cells, kl = _terms(vae, np.vstack([x, empty]))
    cells, kl, kl_empty = cells[:-1], kl[:-1], float(kl[-1])
    loss = (cells - cells.mean(axis=0)).sum(axis=1).filled(0.0) + kl
    bulk = loss <= np.quantile(loss, _BULK)
    cells, kl = cells[bulk], kl[bulk]
    mean = cells.mean(axis=0).filled(0.0)
    importance = np.abs(cells - mean).mean(axis=0).filled(0.0)
    total = importance.sum()
    importance = importance / total if total > 0 else np.full(len(mean), 1.0 / len(mean))
    observed_share = np.where(cells.mask, 0.0, importance).sum(axis=1).mean()
    kl_whole = kl_empty + (kl.mean() - kl_empty) / max(observed_share, _MIN_OBSERVED_SHARE)
    levels = Calibration(mean, importance, float(kl_whole), kl_empty)
    if n_rows == _MIN_ROWS:
        return levels
    return dataclasses.replace(levels, exponent=_exponent(vae, levels, x, rng))


def _terms(vae: VAE, x: np.ndarray) -> tuple[np.ma.MaskedArray, np.ndarray]:
    """Return the reconstruction of cells, (n, p), masked where missing, and the weighted KL."""
    reconstruction, kl = vae.feature_terms(x)
    cells = np.ma.masked_invalid(reconstruction[:, : vae.encoding.n_cell_features])
    return cells, vae.beta * kl.sum(axis=1)


def _exponent(vae: VAE, levels: Calibration, x: np.ndarray, rng: np.random.RandomState) -> float:
    """Return the exponent of the observed share that makes differences alike."""
    x = x[: -(-len(x) // 2)]
    variable = vae.spec.variables
    order = rng.uniform(size=(len(x), variable[-1] + 1))[:, variable]
    order[:, vae.encoding.n_cell_features :] = 1.0  # indicators are never hidden
    hidden = [np.where(order < fraction, np.float32(np.nan), x) for fraction in _HIDDEN]
    cells, kl = _terms(vae, np.vstack(hidden))
    loss = cells.sum(axis=1).filled(0.0) + kl
    _, difference, share = levels.levelled(loss, ~np.ma.getmaskarray(cells))
    difference, share = (part.reshape(len(_HIDDEN), -1) for part in (difference, share))
    median = np.median(difference, axis=1)
    spread = np.quantile(difference, _UPPER, axis=1) - median
    share = np.median(share, axis=1)
    if not (spread > 0).all() or share[-1] == share[0]:
        return 0.0
    steps, growth = np.log(share[1:] / share[0]), np.log(spread[1:] / spread[0])
    exponent = (steps @ growth) / (steps @ steps)
    return float(np.clip(exponent, -_MAX_EXPONENT, _MAX_EXPONENT))
