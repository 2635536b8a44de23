"""WindowedDetector: anomaly detection in time series by an outlier detector on windows."""

from __future__ import annotations

from datetime import timedelta
from numbers import Integral
from typing import Any, Literal, Self

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
    Interval,
    StrOptions,
    _fit_context,
    _num_samples,
    _raise_for_params,
    get_chunk_n_rows,
)
from vae_anomaly.thresholds.fitting import DetectorMethods, final_step, own_threshold
from vae_anomaly.time_series.period import USUAL_SIZE, window_size_of
from vae_anomaly.time_series.whitening import WindowWhitening
from vae_anomaly.time_series.windows import AGGREGATIONS, SlidingWindow, Windows

_WINDOWS_PER_POINT = 8
"""The number of windows over a time point that are scored with ``stride="auto"``."""

_MAX_CELLS = 2**24
"""The largest number of cells of all windows that training takes."""

_ARRAYS_OF_WHITENING = 4
"""The number of arrays of the size of the windows that whitening needs."""


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

    window_size : int or "auto", default="auto"
        The number of time points in a window. "auto" means the first number of the `input_shape` of
        the detector, if it has one. Otherwise it is 64, or where the autocorrelation of the
        training series shows a period of up to 96 time points, the multiple of it that is nearest
        to 64; but at most a quarter of the longest training series. See `window_size_`. Where
        anomalies are much shorter, a shorter window finds them better.

    stride : int or "auto", default="auto"
        The number of time points from the start of one window to the start of the next, at most
        `window_size`. A larger stride makes training and scoring faster. "auto" means 1 in
        training, and an eighth of the window in scoring.

    whiten : bool, default=True
        Whether the detector is given whitened windows, see `WindowWhitening`. Otherwise most of
        what it sees is the level of the window, and departures that are small, but unlike any in
        training, count little. Each cell of a whitened window still belongs to its channel and time
        point. A detector of data in [0, 1] needs False.

    group_column : str or int, default=None
        The column that tells which series a row belongs to. X must then be a pandas DataFrame.

    max_gap : "auto", str or timedelta, default="auto"
        The longest time between consecutive rows of a window, such as "2h". "auto" means 1.5 times
        the median in `fit`. It has an effect only if X has a `DatetimeIndex`.

    aggregation : {"smooth", "mean", "max"}, default="smooth"
        How the `score_samples` of windows are combined.

        - "smooth": like "mean", but before that each window gets the mean over its time points of
          what "mean" gives them, and this is done twice. So time points less than three windows
          away have a part in the score, the less the further away. This finds abnormal stretches
          best.
        - "mean": the mean over the windows that cover a time point.
        - "max": the largest score of these windows. A time point is abnormal if all of them are,
          which locates a short anomaly more sharply, and finds a weak one beside a strong one.

    Attributes
    ----------
    detector_ : estimator
        The detector, fitted on the windows.

    windows_ : SlidingWindow
        The transformer that cuts the windows to score.

    window_size_ : int
        The number of time points in a window.

    whitening_ : WindowWhitening or None
        The transformer that whitens them, if `whiten` is true:
        ``detector_.score_samples(whitening_.transform(windows_.transform(X)))`` are the scores of
        the windows of X.

    offset_ : float
        The threshold of the detector: ``decision_function = score_samples - offset_``.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    SlidingWindow : The transformer that cuts the windows.
    WindowWhitening : The transformer that whitens them.
    explain : Tells which channels make a time point abnormal, and what was expected.

    Notes
    -----
    The score of a time point depends on its neighbours, including later ones: it is final once the
    next ``window_size - 1`` time points are known, or three times as many with "smooth".

    If a window has so many cells that all windows would have more than 2 ** 24, `fit` takes as many
    as do not, at random but the same ones each time. Long series are thus trained on in bounded
    time and memory. A time point that no window covers, because its
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
        "window_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "stride": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "whiten": ["boolean"],
        "aggregation": [StrOptions(set(AGGREGATIONS))],
    }

    def __init__(
        self,
        detector: Any,
        *,
        window_size: int | Literal["auto"] = "auto",
        stride: int | Literal["auto"] = "auto",
        whiten: bool = True,
        group_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 = "auto",
        aggregation: str = "smooth",
    ) -> None:
        self.detector = detector
        self.window_size = window_size
        self.stride = stride
        self.whiten = whiten
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
        sliding = self._sliding_window(X)
        channels, windows = sliding._locate(X, reset=True, allow_nan=self._takes_missing())
        windows = _bounded(self._unbroken(windows), channels.shape[1])
        fit_params = _of_windows(routed.detector.fit, windows)
        rows = windows.cut(channels)
        whitening = self._fitted_whitening(rows, sliding)
        detector = clone(self.detector).fit(_whitened(rows, whitening), **fit_params)
        self.windows_, self.whitening_, self.detector_ = sliding, whitening, detector
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
        sliding = self._sliding_window(X) if is_first else self.windows_
        channels, windows = sliding._locate(X, reset=is_first, allow_nan=self._takes_missing())
        windows = _bounded(windows, channels.shape[1])
        fit_params = _of_windows(routed.detector.partial_fit, windows)
        rows = windows.cut(channels)
        whitening = self._fitted_whitening(rows, sliding) if is_first else self.whitening_
        detector = clone(self.detector) if is_first else self.detector_
        detector.partial_fit(_whitened(rows, whitening), **fit_params)
        self.windows_, self.whitening_, self.detector_ = sliding, whitening, detector
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
        channels, windows = self._locate(X)
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
    def window_size_(self) -> int:
        """The number of time points in a window."""
        return self.windows_.window_size

    @property
    def n_features_in_(self) -> int:
        """The number of channels."""
        return self.windows_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the channels."""
        return self.windows_.feature_names_in_

    def _locate(self, X: Any) -> tuple[np.ndarray, Windows]:
        """Return the channels, sorted by series and time, and the windows that are scored."""
        channels, windows = self.windows_._locate(X, allow_nan=self._takes_missing())
        if self.stride == "auto":
            windows = windows.thinned(max(1, windows.size // _WINDOWS_PER_POINT))
        return channels, windows

    def _cut(self, channels: np.ndarray, windows: Windows, which: slice) -> np.ndarray:
        """Return what the detector is given of windows, one row for each."""
        return _whitened(windows.cut(channels, which), self.whitening_)

    def _window_scores(self, channels: np.ndarray, windows: Windows) -> np.ndarray:
        """Return the score of each window of sorted time points, (n_windows,)."""
        n_arrays = 1 if self.whitening_ is None else _ARRAYS_OF_WHITENING
        chunk_size = get_chunk_n_rows(n_arrays * 8 * channels.shape[1] * windows.size)
        scores = [
            self.detector_.score_samples(self._cut(channels, windows, chunk))
            for chunk in gen_batches(len(windows.starts), chunk_size)
        ]
        return np.concatenate(scores)

    def _sliding_window(self, X: Any) -> SlidingWindow:
        return SlidingWindow(
            self._found_window_size(X) if self.window_size == "auto" else self.window_size,
            stride=1 if self.stride == "auto" else self.stride,
            group_column=self.group_column,
            max_gap=self.max_gap,
        )

    def _found_window_size(self, X: Any) -> int:
        shape = getattr(final_step(self.detector), "input_shape", None)
        if shape is not None:
            return int(shape[0])
        pairs = SlidingWindow(2, group_column=self.group_column, max_gap=self.max_gap)
        channels, windows = pairs._locate(X, reset=True, allow_nan=self._takes_missing())
        # A stretch without a gap is one without a missing pair.
        stretches = np.split(windows.starts, np.flatnonzero(np.diff(windows.starts) != 1) + 1)
        longest = max(stretches, key=len)
        return window_size_of(channels[longest[0] : longest[-1] + 2])

    def _window_size_on(self, X: Any) -> int:
        """Return the window size, before `fit` that which it would find.

        See `vae_anomaly.thresholds.splitting`.
        """
        if hasattr(self, "windows_"):
            return self.window_size_
        if self.window_size != "auto":
            return self.window_size
        try:
            return self._found_window_size(X)
        except (TypeError, ValueError):  # X may be the input of steps in front, such as text
            return USUAL_SIZE

    def _fitted_whitening(self, rows: np.ndarray, sliding: SlidingWindow) -> WindowWhitening | None:
        return WindowWhitening(sliding.n_features_in_).fit(rows) if self.whiten else None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state; that of version 0.1 knows no whitening."""
        before = {"whiten": False, **({"whitening_": None} if "detector_" in state else {})}
        super().__setstate__(before | state)

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


def _whitened(rows: np.ndarray, whitening: WindowWhitening | None) -> np.ndarray:
    return rows if whitening is None else whitening.transform(rows)


def _bounded(windows: Windows, n_channels: int) -> Windows:
    """Return as many of the windows as training takes."""
    n_most = max(1, _MAX_CELLS // (windows.size * n_channels))
    n_windows = len(windows.starts)
    if n_windows <= n_most:
        return windows
    # At random, as evenly spaced ones might all be of one phase of a period.
    chosen = np.random.RandomState(0).choice(n_windows, n_most, replace=False)
    return windows._replace(starts=windows.starts[np.sort(chosen)])


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
