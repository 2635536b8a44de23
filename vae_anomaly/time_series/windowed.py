"""WindowedDetector: anomaly detection in time series by an outlier detector on windows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import Tags, gen_batches, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.decision import OffsetMixin
from vae_anomaly.sklearn_private import (
    StrOptions,
    _fit_context,
    _num_samples,
    _raise_for_params,
    get_chunk_n_rows,
)
from vae_anomaly.thresholds.fitting import DetectorMethods, own_threshold
from vae_anomaly.time_series.windows import AGGREGATIONS, SlidingWindow, Windows


class WindowedDetector(OffsetMixin, MetaEstimatorMixin, BaseEstimator):
    """Detect anomalies in time series by an outlier detector on sliding windows.

    The detector is trained on windows, and the score of a time point is aggregated from those of
    all windows that cover it. There is one score for each row of X, in the order of X, even if X
    holds several series or has gaps; see `SlidingWindow` for how these are found.

    Parameters
    ----------
    detector : estimator
        An outlier detector with `score_samples` and `offset_`, as all detectors of scikit-learn
        have them: `VAEAnomalyDetector`, `sklearn.ensemble.IsolationForest`,
        ``LocalOutlierFactor(novelty=True)`` or a Pipeline that ends in one. Each of its rows is a
        flattened window of shape (window_size, n_channels).

    window_size : int, default=32
        The number of time points in a window.

    stride : int, default=1
        The number of time points from the start of one window to the start of the next, at most
        `window_size`. A larger stride makes training and scoring faster.

    group_column : str or int, default=None
        The column that tells which series a row belongs to. X must then be a pandas DataFrame.

    max_gap : "auto", str or timedelta, default="auto"
        The longest time between consecutive rows of a window, such as "2h". "auto" means 1.5 times
        the median in `fit`. It has an effect only if X has a `DatetimeIndex`.

    aggregation : {"max", "mean"}, default="max"
        How the `score_samples` of the windows that cover a time point are combined. With "max", a
        time point is abnormal if all of these windows are, which locates an anomaly more sharply.
        "mean" suits detectors with noisy scores, such as `sklearn.ensemble.IsolationForest`.

    Attributes
    ----------
    detector_ : estimator
        The detector, fitted on the windows.

    windows_ : SlidingWindow
        The transformer that cuts the windows.

    offset_ : float
        The threshold of the detector: ``decision_function = score_samples - offset_``.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    SlidingWindow : The transformer that cuts the windows.
    explain : Tells which channels make a time point abnormal, and what was expected.

    Notes
    -----
    The score of a time point depends on its neighbours, including later ones: it is final once the
    next ``window_size - 1`` time points are known. A time point that no window covers, because its
    series or the stretch between two gaps is too short, has the score NaN, with a warning;
    `predict` labels it as an inlier.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import WindowedDetector
    >>> X = np.sin(np.arange(400.0) / 5)[:, None]
    >>> X[300:310] = 0.0  # the sensor is stuck
    >>> detector = WindowedDetector(IsolationForest(random_state=0), window_size=16).fit(X[:200])
    >>> int(detector.score_samples(X).argmin())
    306
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "detector": [DetectorMethods()],
        **SlidingWindow._parameter_constraints,
        "aggregation": [StrOptions(set(AGGREGATIONS))],
    }

    def __init__(
        self,
        detector: Any,
        *,
        window_size: int = 32,
        stride: int = 1,
        group_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 = "auto",
        aggregation: str = "max",
    ) -> None:
        self.detector = detector
        self.window_size = window_size
        self.stride = stride
        self.group_column = group_column
        self.max_gap = max_gap
        self.aggregation = aggregation

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None, **params: Any) -> Self:
        """Fit the detector on the windows of X.

        Parameters
        ----------
        X : array-like of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : object
            Ignored, present for API consistency.
        **params : dict
            Metadata such as `sample_weight`, passed to the detector's `fit` if it requests them
            through scikit-learn's metadata routing. If there is one value for each time point, a
            window gets that of its last point; for `sample_weight`, it gets the mean of its points.

        Returns
        -------
        self : WindowedDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, the times of a series are not strictly increasing, or
            no window fits into any series.
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "fit", **params)
        sliding = self._sliding_window()
        channels, windows = sliding._locate(X, reset=True, allow_nan=self._takes_missing())
        windows = self._unbroken(windows)
        fit_params = _of_windows(routed.detector.fit, windows)
        detector = clone(self.detector).fit(windows.cut(channels), **fit_params)
        self.windows_, self.detector_ = sliding, detector
        return self

    @available_if(lambda self: hasattr(self.detector, "partial_fit"))
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: ArrayLike, y: object = None, **params: Any) -> Self:
        """Train the detector further, on the windows of more time points.

        This method is only available if the detector has `partial_fit`. No window spans the time
        points of two calls.

        Parameters
        ----------
        X : array-like of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : object
            Ignored, present for API consistency.
        **params : dict
            Metadata, passed to the detector's `partial_fit` as in `fit`.

        Returns
        -------
        self : WindowedDetector
            The detector, fitted further.
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "partial_fit", **params)
        is_first = not hasattr(self, "detector_")
        sliding = self._sliding_window() if is_first else self.windows_
        channels, windows = sliding._locate(X, reset=is_first, allow_nan=self._takes_missing())
        detector = clone(self.detector) if is_first else self.detector_
        detector.partial_fit(
            windows.cut(channels), **_of_windows(routed.detector.partial_fit, windows)
        )
        self.windows_, self.detector_ = sliding, detector
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each time point.

        Parameters
        ----------
        X : array-like of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        scores : ndarray of shape (n_timepoints,)
            The scores in the order of X. The lower, the more abnormal.
        """
        check_is_fitted(self)
        channels, windows = self.windows_._locate(X, allow_nan=self._takes_missing())
        return windows.to_points(self._window_scores(channels, windows), self.aggregation)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how the parameters of `fit` and `partial_fit` are passed on.

        See scikit-learn's metadata routing.

        Returns
        -------
        routing : MetadataRouter
            The routing information.
        """
        return MetadataRouter(owner=self).add(
            detector=self.detector,
            method_mapping=MethodMapping()
            .add(caller="fit", callee="fit")
            .add(caller="partial_fit", callee="partial_fit"),
        )

    @property
    def offset_(self) -> float:
        """The threshold of the detector."""
        check_is_fitted(self)
        offset = own_threshold(self.detector_)
        if offset is None:
            raise AttributeError(
                f"{type(self.detector_).__name__} has no offset_; wrap the WindowedDetector in a "
                "FixedThresholdDetector to set a threshold by hand."
            )
        return offset

    @property
    def n_features_in_(self) -> int:
        """The number of channels."""
        return self.windows_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the channels."""
        return self.windows_.feature_names_in_

    def _window_scores(self, channels: np.ndarray, windows: Windows) -> np.ndarray:
        """Return the score of each window of sorted time points, (n_windows,)."""
        chunk_size = get_chunk_n_rows(channels.itemsize * channels.shape[1] * windows.size)
        scores = [
            self.detector_.score_samples(windows.cut(channels, chunk))
            for chunk in gen_batches(len(windows.starts), chunk_size)
        ]
        return np.concatenate(scores)

    def _sliding_window(self) -> SlidingWindow:
        return SlidingWindow(
            self.window_size,
            stride=self.stride,
            group_column=self.group_column,
            max_gap=self.max_gap,
        )

    def _takes_missing(self) -> bool:
        try:
            return get_tags(self.detector).input_tags.allow_nan
        except AttributeError:  # an estimator without tags
            return False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_missing()
        return tags

    def _series_of(self, X: Any) -> np.ndarray:
        """Return the number of the series of each row, and so declare that rows are time points.

        See `vae_anomaly.thresholds.splitting`.
        """
        if isinstance(X, pd.DataFrame) and self.group_column in X.columns:
            return pd.factorize(X[self.group_column], use_na_sentinel=False)[0]
        return np.zeros(_num_samples(X), dtype=int)

    def _unbroken(self, windows: Windows) -> Windows:
        """Return the windows, without those that span rows which were held out.

        `_runs`, the number of the unbroken run of each row, is set if rows have been held out.
        """
        runs = self.__dict__.pop("_runs", None)
        if runs is None:
            return windows
        runs, last = runs[windows.order], windows.starts + windows.size - 1
        return windows._replace(starts=windows.starts[runs[windows.starts] == runs[last]])


def _of_windows(params: dict[str, Any], windows: Windows) -> dict[str, Any]:
    """Return the metadata of windows from those of time points, and all else unchanged."""
    return {name: _of_each_window(name, value, windows) for name, value in params.items()}


def _of_each_window(name: str, value: Any, windows: Windows) -> Any:
    if not hasattr(value, "__len__") or len(value) != len(windows.order):
        return value
    points = np.asarray(value)[windows.order]
    if name != "sample_weight":
        return points[windows.starts + windows.size - 1]
    return sliding_window_view(points, windows.size)[windows.starts].mean(axis=1)
