"""WindowWhitening: windows whose cells are uncorrelated, so that small variations count as well."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.networks.blocks import from_blocks, to_blocks
from vae_anomaly.scaling import STANDARD_BOUND
from vae_anomaly.sklearn_private import Interval, _fit_context

_POWER = 0.75
"""The power of the modulus transformation: 1 would change nothing, and 0 would be a logarithm."""

_FLOOR = 0.003
"""The smallest variance of a direction, relative to the largest one."""

_IQR_OF_NORMAL = 1.349
"""The interquartile range of a standard normal distribution."""

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

_BLOCK_ROWS = 256


class WindowWhitening(DocLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Decorrelate the cells of windows of time series.

    The cells of a window are strongly correlated, so most of its variance lies in a few
    directions, such as its level. Anomalies often show in the others: two channels that no longer
    go together, or a jump. This transformer gives all directions the same variance, except for
    those that hardly vary at all, in three steps:

    1. Each channel is measured from its median in units of its interquartile range, and single
       extreme values are drawn in by the modulus transformation [1]_,
       ``sign(x) * ((1 + abs(x)) ** 0.75 - 1) / 0.75``. Then it is standardised.
    2. The covariance of the cells is estimated. That of two cells depends only on their channels
       and on the time between them, as in a stationary series, so that few windows suffice.
    3. The cells are multiplied by the inverse square root of the covariance. Of all ways of
       whitening, this one, "ZCA-cor", keeps each cell closest to what it was [2]_: a cell says by
       how much this channel at this time departs from what the rest of the window makes likely. The
       variance of a direction counts as at least 0.3 % of the largest.

    `WindowedDetector` whitens the windows of its detector by default.

    Parameters
    ----------
    n_channels : int, default=1
        The number of channels. A row is a window flattened as by `SlidingWindow`, with all channels
        of a time point next to each other.

    Attributes
    ----------
    quantiles_ : ndarray of shape (7, n_channels)
        The minimum, the 5 %, 25 %, 50 %, 75 % and 95 % quantile, and the maximum of each channel.

    median_, unit_ : ndarray of shape (n_channels,)
        The median of each channel, and its interquartile range over that of a standard normal
        distribution. If this is 0, the unit is the standard deviation, and the absolute value of a
        channel that is constant.

    mean_, scale_ : ndarray of shape (n_channels,)
        The mean and the standard deviation of each channel after the modulus transformation.

    matrix_ : ndarray of shape (n_features, n_features)
        The inverse square root of the covariance, which is symmetric.

    n_features_in_ : int
        The number of cells of a window.

    See Also
    --------
    SlidingWindow : Cuts windows.
    WindowedDetector : Scores time points by an outlier detector on windows.

    Notes
    -----
    Missing cells are interpolated in time within their window for the computation, and are missing
    again in the result. Channels that are constant in training are not mixed with others.

    The time that `fit` takes grows with the third power of the number of cells of a window: 512
    take a fraction of a second, and 2,500 several seconds.

    References
    ----------
    .. [1] John, J. A. and Draper, N. R., "An Alternative Family of Transformations", Applied
       Statistics 29(2), 1980.
    .. [2] Kessy, A., Lewin, A. and Strimmer, K., "Optimal Whitening and Decorrelation", The
       American Statistician 72(4), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import SlidingWindow, WindowWhitening
    >>> walk = np.random.RandomState(0).normal(size=(2000, 1)).cumsum(axis=0) % 40
    >>> windows = SlidingWindow(8).fit_transform(walk)
    >>> white = WindowWhitening().fit_transform(windows)
    >>> [float(abs(np.corrcoef(rows.T)[0, 1]).round(1)) for rows in (windows, white)]
    [0.9, 0.0]
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_channels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_channels: int = 1) -> None:
        self.n_channels = n_channels

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the units of the channels and the covariance of the cells.

        Parameters
        ----------
        X : array-like of shape (n_windows, window_size * n_channels)
            The windows.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : WindowWhitening
            The fitted transformer.

        Raises
        ------
        ValueError
            If X is not valid, or its number of columns is not a multiple of `n_channels`.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import SlidingWindow, WindowWhitening
        >>> walk = np.random.RandomState(0).normal(size=(500, 1)).cumsum(axis=0)
        >>> windows = SlidingWindow(8).fit_transform(walk)
        >>> whitening = WindowWhitening().fit(windows)
        >>> whitening.matrix_.shape
        (8, 8)
        """
        X = self._check(X, reset=True)
        if X.shape[1] % self.n_channels:
            raise ValueError(
                f"X has {X.shape[1]} columns, which is no multiple of n_channels={self.n_channels}."
            )
        channels = X.reshape(-1, self.n_channels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a channel without any value
            self.quantiles_ = np.nanquantile(channels, _QUANTILES, axis=0)
            deviation = np.nanstd(channels, axis=0)
        smallest, _, lower, median, upper, _, largest = self.quantiles_
        varies = smallest < largest
        self.median_ = np.nan_to_num(median)
        self.unit_ = (upper - lower) / _IQR_OF_NORMAL
        self.unit_ = np.where(self.unit_ > 0, self.unit_, deviation)
        self.unit_ = np.where(varies & (self.unit_ > 0), self.unit_, np.abs(self.median_))
        self.unit_[self.unit_ == 0] = 1.0
        self.mean_, self.scale_ = np.zeros(self.n_channels), np.ones(self.n_channels)
        z = self._standardized(X)[0].astype(np.float64)
        self.mean_ = np.where(varies, z.mean(axis=(0, 1)), 0.0)
        self.scale_ = np.where(varies, z.std(axis=(0, 1)), 1.0)
        z -= self.mean_
        z /= self.scale_
        covariance = _stationary_covariance(z)
        cells = np.tile(varies, z.shape[1])
        self.matrix_ = np.eye(X.shape[1], dtype=np.float32)
        if varies.any():
            mixed = np.ix_(cells, cells)
            self.matrix_[mixed] = _inverse_square_root(covariance[mixed])
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Whiten the cells of windows.

        Parameters
        ----------
        X : array-like of shape (n_windows, window_size * n_channels)
            The windows.

        Returns
        -------
        white : ndarray of shape (n_windows, window_size * n_channels)
            The whitened windows, float32, in units of standard deviations.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If X is not valid.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import SlidingWindow, WindowWhitening
        >>> walk = np.random.RandomState(0).normal(size=(500, 1)).cumsum(axis=0)
        >>> windows = SlidingWindow(8).fit_transform(walk)
        >>> whitening = WindowWhitening().fit(windows)
        >>> whitening.transform(windows).shape
        (493, 8)
        """
        check_is_fitted(self)
        z, missing = self._standardized(self._check(X))
        # In blocks, so that how a window is rounded does not depend on the others.
        blocks = to_blocks(z.reshape(len(z), -1), _BLOCK_ROWS).swapaxes(1, 2)
        white = from_blocks(np.matmul(self.matrix_, blocks).swapaxes(1, 2))[: len(z)]
        if missing is not None:
            white = np.where(missing, np.float32(np.nan), white)
        return white

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Turn whitened windows back into the units of the channels.

        Parameters
        ----------
        X : array-like of shape (n_windows, window_size * n_channels)
            The whitened windows.

        Returns
        -------
        windows : ndarray of shape (n_windows, window_size * n_channels)
            The windows.

        Raises
        ------
        NotFittedError
            If the transformer is not fitted.
        ValueError
            If X is not valid.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import SlidingWindow, WindowWhitening
        >>> walk = np.random.RandomState(0).normal(size=(500, 1)).cumsum(axis=0)
        >>> windows = SlidingWindow(8).fit_transform(walk)
        >>> whitening = WindowWhitening().fit(windows)
        >>> white = whitening.transform(windows)
        >>> np.allclose(whitening.inverse_transform(white), windows, atol=0.01)
        True
        """
        check_is_fitted(self)
        z = self._check(X) @ np.linalg.inv(self.matrix_.astype(np.float64))
        x = z.reshape(len(z), -1, self.n_channels) * self.scale_ + self.mean_
        x = np.sign(x) * ((1.0 + _POWER * np.abs(x)) ** (1.0 / _POWER) - 1.0)
        return (x * self.unit_ + self.median_).reshape(z.shape)

    def _check(self, X: ArrayLike, *, reset: bool = False) -> np.ndarray:
        return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")

    def _standardized(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return windows (n, window_size, n_channels) after the first step, float32, without gaps.

        Also return which cells of X are missing, None if there are none.
        """
        x = (X.reshape(len(X), -1, self.n_channels) - self.median_) / self.unit_
        # In float32 the power takes a tenth of the time.
        x = np.clip(x, -STANDARD_BOUND, STANDARD_BOUND, out=x).astype(np.float32)
        size = ((1 + np.abs(x)) ** np.float32(_POWER) - 1) / np.float32(_POWER)
        x = (np.copysign(size, x) - self.mean_.astype(np.float32)) / self.scale_.astype(np.float32)
        missing = np.isnan(X)
        rows = np.flatnonzero(missing.any(axis=1))
        if not rows.size:
            return x, None
        x[rows] = _interpolated(x[rows])
        return x, missing

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _interpolated(x: np.ndarray) -> np.ndarray:
    """Return windows (n, window_size, n_channels) with missing cells interpolated in time.

    Beyond the first and the last observed cell these are repeated; if there is none, 0 is taken.
    """
    size = x.shape[1]
    at = np.arange(size)[:, None]
    is_observed = ~np.isnan(x)
    before = np.maximum.accumulate(np.where(is_observed, at, -1), axis=1)
    after = np.minimum.accumulate(np.where(is_observed, at, size)[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == size, before, after)
    before, after = np.minimum(before, size - 1), np.maximum(after, 0)
    first, last = (np.nan_to_num(np.take_along_axis(x, cell, axis=1)) for cell in (before, after))
    share = (at - before) / np.maximum(after - before, 1)
    return first + np.clip(share, 0.0, 1.0) * (last - first)


def _stationary_covariance(z: np.ndarray) -> np.ndarray:
    """Return the covariance of the cells of windows (n, window_size, n_channels) with mean zero.

    It depends on the channels and on the time between them alone. Products at long lags, of which a
    series has fewer, count less, as usual for autocovariances.
    """
    n_windows, size, n_channels = z.shape
    rows = z.reshape(n_windows, -1)
    ahead = (z[:, 0].T @ rows).reshape(n_channels, size, n_channels).swapaxes(0, 1)
    back = (rows.T @ z[:, -1]).reshape(size, n_channels, n_channels)[::-1]
    count = np.arange(size)[:, None, None]
    lagged = (ahead + back) / (2 * n_windows) * (1.0 - count / (n_windows + size - 1))
    lagged = np.concatenate([lagged[:0:-1].swapaxes(1, 2), lagged])
    lag = np.arange(size) - np.arange(size)[:, None] + size - 1
    return lagged[lag].swapaxes(1, 2).reshape(size * n_channels, size * n_channels)


def _inverse_square_root(covariance: np.ndarray) -> np.ndarray:
    variance, directions = np.linalg.eigh(covariance)
    variance = np.maximum(variance, _FLOOR * variance[-1])
    return (directions / np.sqrt(variance)) @ directions.T
