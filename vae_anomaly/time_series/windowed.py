"""WindowedDetector: anomaly detection in time series by an outlier detector on windows."""

from __future__ import annotations

import math
import warnings
from datetime import timedelta
from functools import partial
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
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
from vae_anomaly.thresholds.offsets import AUTO_FALSE_ALARMS, auto_offset
from vae_anomaly.time_series.alarms import Ranges, main_channels
from vae_anomaly.time_series.blocks import (
    for_as_many_epochs,
    halves,
    point_scores,
    thinned,
    to_scale_of,
)
from vae_anomaly.time_series.clock import read_points
from vae_anomaly.time_series.windows import AGGREGATIONS, SlidingWindow, Stretches, Windows

_MAX_SHARE_UNUSED = 0.05
"""The largest share of the time points that may be left out of training without a warning."""

_N_USUAL = 1000
"""The number of windows that tell the usual score."""


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
        The column that tells which series a row belongs to. X must then be a dataframe.

    time_column : str or int, default=None
        The column that tells the times, in place of the index. X must then be a dataframe.

    max_gap : "auto", str, timedelta or None, default="auto"
        The longest time between consecutive rows of a window, such as "2h", see `SlidingWindow`.
        None ignores the times. It has an effect only if X has times.

    duplicate_times : {"keep", "error"}, default="keep"
        What to do if times repeat, see `SlidingWindow`.

    aggregation : {"max", "mean", "causal"}, default="max"
        How the `score_samples` of windows are combined. It may be changed without another `fit`.

        - "max": the largest score of the windows that cover a time point, which is abnormal only if
          all of these windows are. This locates an anomaly more sharply.
        - "mean": the mean over these windows. It suits detectors with noisy scores, such as
          `sklearn.ensemble.IsolationForest`.
        - "causal": the mean over the windows that end at the time point or before it. Their weights
          decrease with the distance, to one half at half a window. The score depends on no later
          time point, so it is final at once, as alarms in live operation need it. Until the first
          window is complete, time points have the usual score, the median in `fit`; pass the
          ``window_size - 1`` time points before the new ones as well. `stride` only matters in
          training.

    max_windows : int or None, default=50_000
        The largest number of windows that the detector is trained on, spread evenly over the
        series, so that training on a long series is quick and takes little memory. None means all.

    contamination : "auto", float or None, default="auto"
        How the threshold `offset_` of time points is set. The training does not depend on it.

        - "auto": the threshold aims at 1 % of false alarms on new time points. A second detector is
          trained on one half of the time points, some blocks of time, and scores the other half;
          for a network, this takes half as long as the training. The threshold is the 1 % quantile
          of a skewed distribution fitted to the bulk of these scores. As far as the series go on
          as before, that is: if they drift, there are more alarms.
        - float in (0, 0.5]: the fraction of the training time points that are called outliers.
        - None: the `offset_` of the detector itself, which is meant for windows.

        Otherwise than with None, a `VAEAnomalyDetector` trains no second network for its own
        ``contamination="auto"``: its own threshold flags 1 % of the training windows.

    Attributes
    ----------
    detector_ : estimator
        The detector, fitted on the windows.

    windows_ : SlidingWindow
        The transformer that cuts the windows.

    offset_ : float
        The threshold of time points, ``decision_function = score_samples - offset_``, for the
        present `aggregation`.

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
    The score of a time point depends on its neighbours, including later ones unless `aggregation`
    is "causal": it is final once the next ``window_size - 1`` time points are known.

    Every time point has a score. If a series, or the stretch between two gaps, is shorter than a
    window, there is one window for it, which starts with the medians of the channels in `fit`.
    `is_covered` tells these time points from others. The detector is trained on such windows only
    if there are no others.

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
        "aggregation": [StrOptions({*AGGREGATIONS, "causal"})],
        "max_windows": [Interval(Integral, 1, None, closed="left"), None],
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
            None,
        ],
    }

    def __init__(
        self,
        detector: Any,
        *,
        window_size: int = 32,
        stride: int = 1,
        group_column: str | int | None = None,
        time_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 | None = "auto",
        duplicate_times: str = "keep",
        aggregation: str = "max",
        max_windows: int | None = 50_000,
        contamination: float | str | None = "auto",
    ) -> None:
        self.detector = detector
        self.window_size = window_size
        self.stride = stride
        self.group_column = group_column
        self.time_column = time_column
        self.max_gap = max_gap
        self.duplicate_times = duplicate_times
        self.aggregation = aggregation
        self.max_windows = max_windows
        self.contamination = contamination

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None, **params: Any) -> Self:
        """Fit the detector on the windows of X.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
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
            If X or a parameter is not valid, or times are missing, cannot be read or go backwards.
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "fit", **params)
        sliding = self._sliding_window()
        runs = self.__dict__.pop("_runs", None)  # set if rows between them have been held out
        channels, stretches = sliding._locate(
            X, reset=True, allow_nan=self._takes_missing(), in_training=True, runs=runs
        )
        self._check_input_shape(channels.shape[1])
        windows, medians = self._to_train(stretches, sliding), _medians(channels)
        detector = self._new_detector()
        params = routed.detector.fit
        detector.fit(self._cut(channels, windows, medians), **_of_windows(params, windows))
        # Whoever holds out rows sets a threshold by them: a second detector is not worth its time.
        half = params if runs is None else None
        offsets = self._calibrated(channels, stretches, detector, medians, half)
        usual = self._window_scores(channels, windows.some(_N_USUAL), detector, medians)
        self.windows_, self.detector_ = sliding, detector
        self._medians, self._usual_score = medians, float(np.median(usual))
        self._offsets = offsets
        return self

    @available_if(lambda self: hasattr(self.detector, "partial_fit"))
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: ArrayLike, y: object = None, **params: Any) -> Self:
        """Train the detector further, on the windows of more time points.

        This method is only available if the detector has `partial_fit`. No window spans the time
        points of two calls: to train on the windows across the border as well, pass the last
        ``window_size - 1`` time points of the previous call again.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
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
        channels, stretches = sliding._locate(
            X, reset=is_first, allow_nan=self._takes_missing(), in_training=True
        )
        self._check_input_shape(channels.shape[1])
        windows = self._to_train(stretches, sliding)
        detector = self._new_detector() if is_first else self.detector_
        medians = _medians(channels) if is_first else self._medians
        detector.partial_fit(
            self._cut(channels, windows, medians),
            **_of_windows(routed.detector.partial_fit, windows),
        )
        usual = self._window_scores(channels, windows.some(_N_USUAL), detector, medians)
        self.windows_, self.detector_ = sliding, detector
        self._medians, self._usual_score = medians, float(np.median(usual))
        self._offsets = self._calibrated(channels, stretches, detector, medians)
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each time point.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        scores : ndarray of shape (n_timepoints,)
            The scores in the order of X. The lower, the more abnormal.
        """
        check_is_fitted(self)
        channels, stretches = self._locate(X)
        return stretches.in_order_given(self._point_scores(channels, stretches))

    def alarms(self, X: ArrayLike, *, offset: float | None = None) -> pd.DataFrame:
        """Return the ranges of consecutive time points that `predict` calls outliers.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        offset : float, default=None
            The score below which a time point is an alarm, such as the `offset_` of a
            `TunedThresholdDetectorCV` around this detector. By default it is `offset_`.

        Returns
        -------
        alarms : pandas.DataFrame of shape (n_alarms, 6) or (n_alarms, 7)
            A row for each range, which no gap divides, with the columns

            - "series": the name or the number of the series;
            - "start", "end": the times of the first and of the last time point, or their row
              numbers if there is no clock;
            - "n_points": the number of time points;
            - "peak", "peak_score": the time of the most abnormal time point, and its anomaly
              score, which is ``-score_samples(X)``;
            - "channels": the names of up to three channels that contribute most to the scores
              around the peak, see `explain`. This column is left out if the detector cannot be
              explained.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.neighbors import LocalOutlierFactor
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> X[300:330] = 0.0  # the sensor is stuck
        >>> detector = WindowedDetector(LocalOutlierFactor(novelty=True), window_size=16)
        >>> detector.fit(X[:200]).alarms(X)[["start", "end", "n_points"]]
           start  end  n_points
        0    311  318         8
        """
        check_is_fitted(self)
        channels, stretches = self._locate(X)
        scores = self._point_scores(channels, stretches)
        ranges = Ranges.of(scores, self.offset_ if offset is None else offset, stretches)
        points = self.windows_._read(X)
        table = ranges.table(points, stretches.order, scores)
        contributions = self._contributions(
            channels, ranges.around_peaks(stretches, self.windows_.window_size)
        )
        if contributions is None:
            return table
        names = [str(name) for name in getattr(self, "feature_names_in_", range(channels.shape[1]))]
        return table.assign(channels=[main_channels(part, names) for part in contributions])

    def is_covered(self, X: ArrayLike) -> np.ndarray:
        """Return whether a whole window covers each time point.

        Those that none covers, as their series or the stretch between two gaps is too short, have
        the score of a window that starts with the medians of the channels in `fit`. With
        ``aggregation="causal"``, the windows that count are those that end at the time point, and
        other time points have the usual score.

        Parameters
        ----------
        X : array-like, dataframe, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        is_covered : ndarray of bool of shape (n_timepoints,)
            The answers in the order of X.
        """
        check_is_fitted(self)
        stretches = self._locate(X)[1]
        windows = self._windows_to_score(stretches)
        if self.aggregation == "causal":
            is_covered = np.zeros(len(stretches.order), bool)
            is_covered[windows.ends] = True
        else:
            is_covered = windows.take(windows.lengths == windows.size).covered()
        return stretches.in_order_given(is_covered)

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
        """The threshold of time points."""
        check_is_fitted(self)
        if self._offsets:
            return self._offsets[self.aggregation]
        offset = own_threshold(self.detector_)
        if offset is None:
            raise AttributeError(
                f"{type(self.detector_).__name__} has no offset_ for contamination=None; set "
                "contamination, or wrap the WindowedDetector in a FixedThresholdDetector."
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

    def _new_detector(self) -> Any:
        detector = clone(self.detector)
        final = final_step(detector)
        # Its own calibration by a second network would be of no use.
        if (
            self.contamination is not None
            and getattr(final, "contamination", None) == "auto"
            and hasattr(final, "_training_scores_attribute")
        ):
            final.set_params(contamination=AUTO_FALSE_ALARMS)
        return detector

    def _calibrated(
        self,
        channels: np.ndarray,
        stretches: Stretches,
        detector: Any,
        medians: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> dict[str, float]:
        """Return the threshold for each `aggregation`, none if it is that of the detector.

        With "auto" and the parameters of `fit`, a second detector is trained on one half.
        """
        if self.contamination is None:
            return {}
        size, cut = self.window_size, partial(self._cut, channels, medians=medians)

        def scores_by(detector: Any, stretches: Stretches) -> dict[str, np.ndarray]:
            if self.max_windows is not None:
                stretches = thinned(stretches, size, self.max_windows)
            score = partial(self._window_scores, channels, detector=detector, medians=medians)
            return point_scores(stretches, size, self.stride, score)

        known = scores_by(detector, stretches)
        if not isinstance(self.contamination, str):
            level = float(self.contamination)
            return {name: float(np.quantile(points, level)) for name, points in known.items()}
        seen, unseen = halves(stretches, size)
        new = known
        if params is not None and all((part.lengths >= size).any() for part in (seen, unseen)):
            windows = self._at_most(seen.windows(size, self.stride), 0.5)
            other = for_as_many_epochs(self._new_detector(), detector)
            other.fit(cut(windows), **_of_windows(params, windows))
            common, by_other = scores_by(detector, seen), scores_by(other, seen)
            new = {
                name: to_scale_of(common[name], by_other[name], points)
                for name, points in scores_by(other, unseen).items()
            }
        return {
            name: auto_offset(points, np.ones(len(points)), known[name])
            for name, points in new.items()
        }

    def _to_train(self, stretches: Stretches, sliding: SlidingWindow) -> Windows:
        """Return the windows to train on, and warn of time points that are in none."""
        windows = stretches.windows(self.window_size, self.stride)
        n_points, n_short = len(stretches.order), stretches.n_without(self.window_size)
        remedy = f"Choose a smaller window_size{sliding._or_a_larger_gap()}."
        if not len(windows.ends):
            windows = stretches.short(self.window_size)
            warnings.warn(
                f"No window of window_size={self.window_size} time points fits into X: its longest "
                f"series without a gap has {stretches.lengths.max()}. The detector is trained on "
                f"{len(windows.ends)} windows that start with medians of the channels. {remedy}",
                stacklevel=3,
            )
        elif n_short > _MAX_SHARE_UNUSED * n_points:
            warnings.warn(
                f"{n_short} of {n_points} time points are not trained on: their series, or the "
                f"stretch between two gaps, is shorter than window_size={self.window_size}. "
                f"{remedy}",
                stacklevel=3,
            )
        return self._at_most(windows)

    def _at_most(self, windows: Windows, share: float = 1.0) -> Windows:
        """Return windows that are spread evenly, at most that share of `max_windows`."""
        if self.max_windows is None:
            return windows
        return windows.some(max(int(share * self.max_windows), 1))

    def _locate(self, X: Any) -> tuple[np.ndarray, Stretches]:
        """Return the channels, sorted by series and time, and the stretches without a gap."""
        return self.windows_._locate(X, allow_nan=self._takes_missing())

    def _windows_to_score(self, stretches: Stretches) -> Windows:
        """Return the windows that the scores of time points are aggregated from."""
        size = self.windows_.window_size
        if self.aggregation == "causal":
            return stretches.windows(size, 1)
        return stretches.windows(size, self.windows_.stride).and_these(stretches.short(size))

    def _cut(
        self, channels: np.ndarray, windows: Windows, medians: np.ndarray | None = None
    ) -> np.ndarray:
        """Return what the detector is given of windows, one row for each."""
        return windows.cut(channels, self._medians if medians is None else medians)

    def _point_scores(self, channels: np.ndarray, stretches: Stretches) -> np.ndarray:
        """Return the score of each sorted time point, (n_timepoints,)."""
        windows = self._windows_to_score(stretches)
        scores = self._window_scores(channels, windows)
        if self.aggregation == "causal":
            means = stretches.mean_of_past(scores, windows.size)
            return np.where(np.isnan(means), self._usual_score, means)
        return windows.to_points(scores, self.aggregation)

    def _contributions(
        self, channels: np.ndarray, parts: list[np.ndarray]
    ) -> list[np.ndarray] | None:
        """Return what each channel adds to the scores in each part, if that can be told.

        The parts are sorted rows without a gap, and are explained on their own.
        """
        from vae_anomaly.explanations.attribution import attribute  # imports this module

        if not hasattr(final_step(self.detector_), "_fitted_vae"):
            return None
        if not parts:
            return []
        lengths = np.array([len(part) for part in parts])
        stretches = Stretches(np.arange(lengths.sum()), np.cumsum(lengths) - lengths, lengths)
        rows = channels[np.concatenate(parts)], stretches
        try:
            found = attribute(self, rows, "terms", np.arange(channels.shape[1]))
        except ValueError:  # the VAE is given something else than the cells of windows
            return None
        return np.split(found.columns, np.cumsum(lengths)[:-1])

    def _window_scores(
        self,
        channels: np.ndarray,
        windows: Windows,
        detector: Any = None,
        medians: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the score of each window of sorted time points, (n_windows,).

        They are those of `detector_`, unless another detector is given.
        """
        detector = self.detector_ if detector is None else detector
        if not len(windows.ends):
            return np.empty(0)
        chunk_size = get_chunk_n_rows(channels.itemsize * channels.shape[1] * windows.size)
        scores = [
            detector.score_samples(self._cut(channels, windows.take(chunk), medians))
            for chunk in gen_batches(len(windows.ends), chunk_size)
        ]
        return np.concatenate(scores)

    def _check_input_shape(self, n_channels: int) -> None:
        """Raise ValueError if the detector wants windows of another shape."""
        shape = getattr(self.detector, "input_shape", None)
        if shape is not None and math.prod(np.atleast_1d(shape)) != self.window_size * n_channels:
            raise ValueError(
                f"input_shape={shape} of {type(self.detector).__name__} does not fit "
                f"window_size={self.window_size} and the {n_channels} channels of X; set "
                f"input_shape to ({self.window_size}, {n_channels})."
            )

    def _sliding_window(self) -> SlidingWindow:
        return SlidingWindow(
            self.window_size,
            stride=self.stride,
            group_column=self.group_column,
            time_column=self.time_column,
            max_gap=self.max_gap,
            duplicate_times=self.duplicate_times,
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
        series = read_points(X, self.group_column, self.time_column, with_clock=False).series
        if len(series) != _num_samples(X):
            raise ValueError(
                "Rows of a list of series cannot be held out. Pass one dataframe of all series, "
                "and name the column that tells them apart as group_column."
            )
        return series


def _of_windows(params: dict[str, Any], windows: Windows) -> dict[str, Any]:
    """Return the metadata of windows from those of time points, and all else unchanged."""
    return {name: _of_each_window(name, value, windows) for name, value in params.items()}


def _of_each_window(name: str, value: Any, windows: Windows) -> Any:
    if not hasattr(value, "__len__") or len(value) != len(windows.order):
        return value
    points = np.asarray(value)[windows.order]
    if name != "sample_weight":
        return points[windows.ends]
    return windows.means(points)


def _medians(channels: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without a value
        return np.nanmedian(channels, axis=0)
