"""Standardisation of the columns: the units that the networks work in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from vae_anomaly.encoding import Encoding, Groups
from vae_anomaly.rows import Stream, Table, as_float64

STANDARD_BOUND = 1e6
"""Standardised values are clipped to +-STANDARD_BOUND, so that float32 cannot overflow."""

_CONSTANT_UNIT = 1e-6
"""The unit of a column that was constant in training, relative to its value.

Any change of such a column beyond rounding error counts as huge.
"""

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Scaling:
    """An affine map of each column to standardised units.

    Parameters
    ----------
    center, scale : ndarray of shape (n_features,)
        Standardised values are ``(X - center) / scale``. The scale of a column that had no value in
        training is NaN, so its values count as missing.
    varies : ndarray of shape (n_features,), dtype bool
        False for the columns that were constant in training.
    """

    center: np.ndarray
    scale: np.ndarray
    varies: np.ndarray

    @classmethod
    def identity(cls, data: Table | Stream, encoding: Encoding) -> Scaling:
        """Return the scaling that leaves all values unchanged, in columns that have any."""
        has_value = ~np.isnan(data.survey.low)
        scale = np.append(np.where(has_value, 1.0, np.nan), np.ones(len(encoding.indicators)))
        return cls(np.zeros(len(scale)), scale, np.ones(len(scale), bool)).expanded(encoding)

    def apply(self, X: Any) -> np.ndarray:
        """Return X as float32 in standardised units, clipped to +-STANDARD_BOUND; NaN stays NaN."""
        Z = as_float64(X) - self.center  # in float64: a large offset would swallow the digits
        Z /= self.scale
        return np.clip(Z, -STANDARD_BOUND, STANDARD_BOUND, out=Z).astype(np.float32)

    def undo(self, Z: np.ndarray) -> np.ndarray:
        """Return standardised rows in the units of X, as float64."""
        return Z * self.scale + self.center

    def hide_constants(self, x: Any, xp: Any = np) -> Any:
        """Return rows (..., p) for the encoder, with 0 in columns that were constant in training.

        The encoder has learned nothing about these columns. If one changed, by millions of its
        units, its untrained weights would spoil the code, and with it the reconstruction of all
        other columns.
        """
        return x if self.varies.all() else xp.where(self.varies, x, np.float32(0))

    def fits_float32(self) -> bool:
        """Return whether float32 can hold all values that `undo` may return."""
        largest = np.abs(self.center).max() + STANDARD_BOUND * np.nanmax(self.scale)
        return bool(largest < np.finfo(np.float32).max)

    def expanded(self, encoding: Encoding) -> Scaling:
        """Return the scaling of the columns of the networks for that of X and the indicators.

        The columns of categories hold 0 and 1 already.
        """
        if encoding.changes_nothing:
            return self
        varies = encoding.per_feature(self.varies, of_categories=True)
        for first, stop in encoding.groups:
            varies[first:stop] = stop - first > 1
        return Scaling(
            encoding.per_feature(self.center, of_categories=0.0),
            encoding.per_feature(self.scale, of_categories=1.0),
            varies,
        )


def fit_scaling(
    data: Table | Stream,
    n_channels: int,
    encoding: Encoding,
    one_hot_groups: Groups = (),
    names: np.ndarray | None = None,
) -> Scaling:
    """Return the scaling that standardises the columns of the networks.

    The center is the weighted mean and the unit is the weighted standard deviation, with three
    exceptions. The unit of a constant column is one millionth of its value, unless the column
    shares that of a channel. The columns of one-hot groups are mapped to 0 and 1. All positions of
    a channel of an image or sequence are measured in the same unit and keep a common one, the root
    mean square of their standard deviations; otherwise a pixel that is hardly ever lit would count
    too much.

    Parameters
    ----------
    data : Table or Stream
        All training rows.
    n_channels : int
        The number of channels, that is, the last axis of an image or sequence. In a table each
        column is a channel of its own.
    encoding : Encoding
        The columns of the networks for those of X.
    one_hot_groups : tuple of (int, int)
        The first column, and the one after the last, of each group among the columns of X.
    names : ndarray of shape (n_features,) or None, default=None
        The names of the columns, for error messages.

    Raises
    ------
    ValueError
        If the variance of a column is beyond the range of float64.
    """
    low, high, _ = data.survey
    if encoding.indicators:
        low = np.append(low, np.zeros(len(encoding.indicators)))
        high = np.append(high, np.ones(len(encoding.indicators)))
    has_value = ~np.isnan(low)
    # Rescale by a power of two, which is exact, as the squares of tiny or huge values would leave
    # the range of float64.
    largest = np.maximum(np.abs(low), np.abs(high))
    exponent = np.frexp(np.where(has_value, largest, 1.0))[1]
    scaler = StandardScaler()
    for chunk, weight in data.chunks():
        chunk = encoding.with_indicators(chunk)
        with np.errstate(invalid="ignore"):  # of columns without any value
            scaler.partial_fit(np.ldexp(chunk, -exponent), sample_weight=weight)
    # StandardScaler sets the scale to 1 if the spread of a column is mere rounding error; but 1 may
    # be tiny for one column and huge for another.
    spread = np.where(np.sqrt(scaler.var_) == scaler.scale_, scaler.var_, 0.0)
    spread[~(low < high)] = 0.0
    mean = np.ldexp(np.where(has_value, scaler.mean_, 0.0), exponent)

    n_positions = len(spread) // n_channels
    common = exponent.reshape(n_positions, n_channels).max(axis=0)
    with np.errstate(over="ignore", under="ignore"):
        share = np.ldexp(spread, 2 * (exponent - np.tile(common, n_positions)))
        variance = np.sum(share.reshape(n_positions, n_channels) / n_positions, axis=0)
        overflowing = np.flatnonzero(np.isinf(np.ldexp(variance, 2 * common)))
    if overflowing.size:
        at = overflowing[0]
        name = at if names is None else repr(str(names[at]))
        raise ValueError(f"Column {name} of X spans too wide a range for float64; rescale it.")
    magnitude = np.abs(mean).reshape(n_positions, n_channels).max(axis=0)
    magnitude[magnitude == 0] = 1.0
    constant = variance == 0
    constant_unit = np.maximum(_CONSTANT_UNIT * magnitude, _TINY)
    scale = np.where(constant, constant_unit, np.ldexp(np.sqrt(variance), common))
    center, scale = mean, np.where(has_value, np.tile(scale, n_positions), np.nan)
    varies = np.tile(~constant, n_positions)
    for first, stop in one_hot_groups:
        group = slice(first, stop)
        # The column of a category that no row has is constant: it takes the unit of a member with
        # the same smaller value, or else 1, which is what scalers leave of it.
        unit = high[group] - low[group]
        for column in np.flatnonzero(unit == 0):
            alike = (low[group] == low[group][column]) & (unit > 0)
            unit[column] = unit[alike].max(initial=0.0) or 1.0
        center[group], scale[group] = low[group], unit
    return Scaling(center, scale, varies).expanded(encoding)
