"""Calibration: keeping the scores of rows comparable in which different cells are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.rows import as_float64

if TYPE_CHECKING:
    from vae_anomaly.vae import VAE

_MAX_AMPLIFICATION = 20.0
"""How much more the deviation of a row with few observed cells counts than that of a whole row."""

_ROWS, _LEVELS, _BINS = 256, 8, 8
_UPPER = 0.9
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Calibration:
    """A map of the losses of rows to those of a typical row, by what is missing in them.

    The fewer cells a row shows, the smaller are its loss and the differences between losses. Both
    are measured on training rows of which more and more cells are hidden, as functions of the
    missing share of the row. In this share a feature counts as much as the reconstruction of its
    observed cells deviates on average. The loss is mapped linearly, so that its median, and the
    distance from there to the 90 % quantile, are those of a typical training row.

    Parameters
    ----------
    importance : ndarray of shape (p,)
        What each feature counts for in the missing share; they add up to 1.
    share : ndarray of shape (k,)
        Increasing missing shares, from 0 to 1.
    location, spread : ndarray of shape (k,)
        The median of the loss, and the distance from there to the 90 % quantile, at these shares.
    typical_share : float
        The missing share of a typical training row, whose loss is left unchanged.
    """

    importance: np.ndarray
    share: np.ndarray
    location: np.ndarray
    spread: np.ndarray
    typical_share: float

    def missing_share(self, observed: np.ndarray) -> np.ndarray:
        """Return the missing share of rows by their observed cells, (..., p) to (...)."""
        return np.where(observed, 0.0, self.importance).sum(axis=-1)

    def correction(self, loss: np.ndarray, missing_share: np.ndarray) -> np.ndarray:
        """Return what has to be added to the losses, of the same shape."""
        location = np.interp(missing_share, self.share, self.location)
        spread = np.interp(missing_share, self.share, self.spread)
        typical_location = np.interp(self.typical_share, self.share, self.location)
        typical_spread = np.interp(self.typical_share, self.share, self.spread)
        smallest = typical_spread / _MAX_AMPLIFICATION
        ratio = (typical_spread + _TINY) / (np.maximum(spread, smallest) + _TINY)
        return typical_location - location + (loss - location) * (ratio - 1.0)


def calibrated(vae: VAE, X: Any) -> VAE:
    """Return the VAE with a calibration by training rows X, (n, n_columns), in the user's units.

    The cells to hide are drawn from a fixed seed.
    """
    rng = np.random.RandomState(0)
    X = as_float64(X[rng.permutation(X.shape[0])[:_ROWS]])
    variable = vae.variables_of_columns()
    hidden_shares = np.arange(_LEVELS + 1) / _LEVELS
    # Along a path from whole rows to empty ones: each level hides more cells of the same rows.
    order = rng.uniform(size=(len(X), variable.max() + 1))[:, variable]
    stacked = np.concatenate([np.where(order < share, np.nan, X) for share in hidden_shares])
    reconstruction, kl = vae.contributions(stacked)
    n_cells = vae.encoding.n_cell_features
    cells, observed = reconstruction[:, :n_cells], ~np.isnan(reconstruction[:, :n_cells])
    with np.errstate(invalid="ignore"):
        first = cells[: len(X)]
        median = np.nanmedian(first, axis=0)
        importance = np.nanmean(np.abs(first - median), axis=0)
    importance = np.nan_to_num(importance) + _TINY
    importance /= importance.sum()
    loss = np.nansum(cells, axis=1) + vae.beta * kl.sum(axis=1)
    missing_share = np.where(observed, 0.0, importance).sum(axis=1)
    return vae.with_calibration(
        _fitted(importance, missing_share, loss, float(np.median(missing_share[: len(X)])))
    )


def _fitted(
    importance: np.ndarray, missing_share: np.ndarray, loss: np.ndarray, typical_share: float
) -> Calibration:
    order = np.argsort(missing_share, kind="stable")
    bins = np.array_split(order, _BINS + 1)
    share = np.array([np.median(missing_share[b]) for b in bins])
    location = np.array([np.median(loss[b]) for b in bins])
    spread = np.array([np.quantile(loss[b], _UPPER) for b in bins]) - location
    share, kept = np.unique(share, return_index=True)
    return Calibration(importance, share, location[kept], spread[kept], typical_share)
