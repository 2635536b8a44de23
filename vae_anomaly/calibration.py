"""Calibration: keeping the scores of rows comparable in which different cells are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.rows import as_float64

if TYPE_CHECKING:
    from vae_anomaly.vae import VAE

_ROWS = 512
_BULK = 0.9
"""The fraction of the training rows, those with the smallest losses, that the means are over."""

_MIN_OBSERVED_SHARE = 0.1
"""Smaller observed shares count as this one, so that a few cells are not taken too seriously."""


@dataclass(frozen=True)
class Calibration:
    """A map of the losses of rows with missing cells to what they would be with all cells.

    The loss of a row is a sum over its observed cells and the code. Each missing cell adds the mean
    over training rows, and so does the part of the KL divergence that is lost with it. That makes
    the losses level, but the fewer cells a row shows, the less its loss still varies: by the square
    root of the observed share, as sums do. So the difference to the mean is divided by that. A
    feature counts for as much in this share as its reconstruction varies in training.

    Parameters
    ----------
    mean : ndarray of shape (p,)
        The mean reconstruction of each feature where it is observed.
    importance : ndarray of shape (p,)
        What each feature counts for in the observed share; they add up to 1.
    kl_whole, kl_empty : float
        The mean KL divergence of rows without missing cells, and that of a row without any other.
    """

    mean: np.ndarray
    importance: np.ndarray
    kl_whole: float
    kl_empty: float

    def correction(self, loss: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return what has to be added to losses (...) of rows by their observed cells (..., p)."""
        missing_share = np.where(observed, 0.0, self.importance).sum(axis=-1)
        added = np.where(observed, 0.0, self.mean).sum(axis=-1)
        added += missing_share * (self.kl_whole - self.kl_empty)
        difference = loss + added - (self.mean.sum() + self.kl_whole)
        observed_share = np.maximum(1.0 - missing_share, _MIN_OBSERVED_SHARE)
        return added + difference * (1.0 / np.sqrt(observed_share) - 1.0)


def calibrated(vae: VAE, X: Any) -> VAE:
    """Return the VAE with a calibration by training rows X, (n, n_columns), in the user's units."""
    chosen = np.random.RandomState(0).permutation(X.shape[0])[:_ROWS]
    X = as_float64(X[chosen])
    # The last row is one without any observed cell.
    reconstruction, kl = vae.contributions(np.vstack([X, np.full(X.shape[1], np.nan)]))
    n_cells = vae.encoding.n_cell_features
    *kl, kl_empty = vae.beta * kl.sum(axis=1)
    cells = np.ma.masked_invalid(reconstruction[:-1, :n_cells])
    mean = cells.mean(axis=0)
    loss = (cells - mean).sum(axis=1).filled(0.0) + kl
    bulk = loss <= np.quantile(loss, _BULK)
    cells, kl = cells[bulk], np.array(kl)[bulk]
    mean = cells.mean(axis=0).filled(0.0)
    importance = np.abs(cells - mean).mean(axis=0).filled(0.0)
    total = importance.sum()
    importance = importance / total if total > 0 else np.full(n_cells, 1.0 / n_cells)
    observed_share = np.where(cells.mask, 0.0, importance).sum(axis=1).mean()
    kl_whole = kl_empty + (kl.mean() - kl_empty) / max(observed_share, _MIN_OBSERVED_SHARE)
    return vae.with_calibration(Calibration(mean, importance, float(kl_whole), float(kl_empty)))
