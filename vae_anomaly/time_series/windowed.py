"""WindowedDetector: anomaly detection in time series by an outlier detector on windows."""

from __future__ import annotations

import contextlib
import math
import warnings
from datetime import timedelta
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.decision import OffsetMixin
from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.html_view import LearnedAroundViewMixin
from vae_anomaly.learned import Learned, threshold_in_words
from vae_anomaly.sklearn_private import (
    Interval,
    StrOptions,
    _fit_context,
    _num_samples,
    _raise_for_params,
)
from vae_anomaly.thresholds.fitting import DetectorMethods, final_step, own_threshold
from vae_anomaly.thresholds.offsets import AUTO_FALSE_ALARMS
from vae_anomaly.time_series.aggregation import AGGREGATIONS, mean_of_past, to_points
from vae_anomaly.time_series.alarms import Ranges, main_channels
from vae_anomaly.time_series.blocks import for_as_many_epochs, offsets_of, point_scores, thinned
from vae_anomaly.time_series.clock import read_points
from vae_anomaly.time_series.period import USUAL_SIZE, window_size_of
from vae_anomaly.time_series.positions import Stretches, Windows
from vae_anomaly.time_series.scoring import WindowScorer
from vae_anomaly.time_series.windows import SlidingWindow
from vae_anomaly.wording import counted, first_of

_WINDOWS_PER_POINT = 8
"""The number of windows over a time point that are scored with ``stride="auto"``."""

_MAX_CELLS = 2**24
"""The largest number of cells of all windows that are trained on with ``max_windows="auto"``."""

_MAX_SHARE_UNUSED = 0.05
"""The largest share of the time points that may be left out of training without a warning."""

_N_USUAL = 1000
"""The number of windows that tell the usual score."""


class WindowedDetector(
    LearnedAroundViewMixin, DocLinkMixin, OffsetMixin, MetaEstimatorMixin, BaseEstimator
):
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
        the detector, if it has one. Otherwise, it is 64 or, where the autocorrelation of the
        training series shows a period of up to 96 time points, the multiple of the period that is
        nearest to 64, but at most a quarter of the longest stretch without a gap. See
        `window_size_`. If anomalies are much shorter than this, a shorter window finds them better.

    stride : int or "auto", default="auto"
        The number of time points from the start of one window to the start of the next, at most
        `window_size`. A larger stride makes training and scoring faster. "auto" means 1 in
        training, and an eighth of the window in scoring; "causal" scores take every window.

    whiten : bool, default=True
        Whether the detector is given whitened windows, see `WindowWhitening`. Otherwise, most of
        what it sees is the level of the window, and departures that are small, but unlike any in
        training, count little. Each cell of a whitened window still belongs to its channel and time
        point. Set it to False for a detector that takes data in [0, 1].

    group_column : str, int or None, default=None
        The column that says which series a row belongs to. X must then be a dataframe.

    time_column : str, int or None, default=None
        The column that holds the times, in place of the index. X must then be a dataframe.

    max_gap : "auto", str, timedelta or None, default="auto"
        The longest time between consecutive rows of a window, such as "2h", see `SlidingWindow`.
        None means that the times are ignored. It has an effect only if X has times.

    duplicate_times : {"keep", "error"}, default="keep"
        What to do if times repeat, see `SlidingWindow`.

    aggregation : {"smooth", "mean", "max", "causal"}, default="smooth"
        How the `score_samples` of windows are combined. It may be changed without another `fit`.

        - "smooth": like "mean", but each window first gets the mean of what "mean" gives its time
          points, and this is done twice. All time points less than three windows away thus
          contribute to the score, with a weight that falls with the distance. This finds abnormal
          stretches best.
        - "mean": the mean over the windows that cover a time point.
        - "max": the largest score of these windows. A time point is abnormal if all of them are,
          which locates a short anomaly more sharply, and finds a weak one beside a strong one.
        - "causal": the mean over the windows that end at the time point or before it. Their weights
          halve with each tenth of a window. The score depends on no later time point, so it is
          final at once, as live alarms need it. Until the first window is complete, time points
          have the usual score, the median in `fit`; pass the ``window_size_ - 1`` time points
          before the new ones as well.

    max_windows : "auto", int or None, default="auto"
        The largest number of windows that the detector is trained on, so that training on a long
        series is quick and takes little memory. They are drawn at random, but the same ones are
        drawn each time. "auto" means as many as have 2 ** 24 cells together, and None means all.

    contamination : "auto", float or None, default="auto"
        How the threshold `offset_` of time points is set. The training does not depend on it.

        - "auto": the threshold aims at 1 % of false alarms on new time points. A second detector is
          trained on one half of the time points, some blocks of time, and scores the other half;
          for a network, this takes half as long as the training. The threshold is the 1 % quantile
          of a skewed distribution fitted to the bulk of these scores. This holds as long as the
          series go on as before: if they drift, there are more alarms.
        - float in (0, 0.5]: the fraction of the training time points that are called outliers.
        - None: the `offset_` of the detector itself, which is meant for windows.

        Unless this is None, a `VAEAnomalyDetector` trains no second network for its own
        ``contamination="auto"``: its own threshold flags 1 % of the training windows.

    Attributes
    ----------
    detector_ : estimator
        The detector, fitted on the windows.

    windows_ : SlidingWindow
        The transformer that cuts the windows.

    window_size_ : int
        The number of time points in a window.

    whitening_ : WindowWhitening or None
        The transformer that whitens them, if `whiten` is true:
        ``detector_.score_samples(whitening_.transform(windows_.transform(X)))`` are the scores of
        the windows of X.

    offset_ : float
        The threshold of time points, ``decision_function = score_samples - offset_``, for the
        present `aggregation`.

    n_features_in_ : int
        The number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the channels seen during `fit`, if X has feature names that are all strings.

    See Also
    --------
    SlidingWindow : The transformer that cuts the windows.
    WindowWhitening : The transformer that whitens them.
    explain : Tells which channels make a time point abnormal, and what was expected.

    Notes
    -----
    The score of a time point depends on its neighbours, including later ones unless `aggregation`
    is "causal": it is final once the next ``window_size_ - 1`` time points are known, or three
    times as many with "smooth".

    Every time point has a score. If a series, or the stretch between two gaps, is shorter than a
    window, there is one window for it, which starts with the medians of the channels in `fit`.
    `is_covered` tells these time points apart from the others. The detector is trained on such
    windows only if there are no others.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import WindowedDetector
    >>> X = np.sin(np.arange(400.0) / 5)[:, None]
    >>> X[300:310] = 0.0  # the sensor is stuck
    >>> detector = WindowedDetector(IsolationForest(random_state=0), window_size=16).fit(X[:200])
    >>> int(detector.score_samples(X).argmin())
    304
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "detector": [DetectorMethods()],
        **SlidingWindow._parameter_constraints,
        "window_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "stride": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "whiten": ["boolean"],
        "aggregation": [StrOptions({*AGGREGATIONS, "causal"})],
        "max_windows": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), None],
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
        window_size: int | Literal["auto"] = "auto",
        stride: int | Literal["auto"] = "auto",
        whiten: bool = True,
        group_column: str | int | None = None,
        time_column: str | int | None = None,
        max_gap: str | timedelta | np.timedelta64 | None = "auto",
        duplicate_times: str = "keep",
        aggregation: str = "smooth",
        max_windows: int | Literal["auto"] | None = "auto",
        contamination: float | str | None = "auto",
    ) -> None:
        self.detector = detector
        self.window_size = window_size
        self.stride = stride
        self.whiten = whiten
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
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : Ignored
            Not used, present for API consistency by convention.
        **params : dict
            Metadata such as `sample_weight`, passed to the detector's `fit` if it requests them
            through scikit-learn's metadata routing. If there is one value for each time point, a
            window gets that of its last point or, for `sample_weight`, the mean of its points.

        Returns
        -------
        self : WindowedDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If X or a parameter is not valid, or times are missing, cannot be read or go backwards.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> forest = IsolationForest(n_estimators=20, random_state=0)
        >>> WindowedDetector(forest, window_size=16).fit(X).detector_.n_features_in_
        16
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "fit", **params)
        sliding = self._sliding_window(X)
        runs = self.__dict__.pop("_runs", None)  # set if rows between them have been held out
        channels, stretches = sliding._locate(
            X, reset=True, allow_nan=self._takes_missing(), in_training=True, runs=runs
        )
        self._check_input_shape(sliding.window_size, channels.shape[1])
        windows, params = self._to_train(channels, stretches, sliding), routed.detector.fit
        scorer = WindowScorer.of(self._new_detector(), channels, windows, whiten=self.whiten)
        scorer.train("fit", channels, windows, params)
        self._set(sliding, scorer, channels, windows)
        # Whoever holds out rows sets a threshold by them: a second detector is not worth its time.
        self._offsets = self._calibrated(channels, stretches, params if runs is None else None)
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
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        y : Ignored
            Not used, present for API consistency by convention.
        **params : dict
            Metadata, which are passed to the detector's `partial_fit` as in `fit`.

        Returns
        -------
        self : WindowedDetector
            The detector, fitted further.

        Raises
        ------
        ValueError
            As in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.linear_model import SGDOneClassSVM
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> detector = WindowedDetector(SGDOneClassSVM(random_state=0), window_size=16)
        >>> for hours in np.split(X, 2):
        ...     detector = detector.partial_fit(hours)
        >>> detector.score_samples(X).shape
        (400,)
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "partial_fit", **params)
        is_first = not hasattr(self, "detector_")
        sliding = self._sliding_window(X) if is_first else self.windows_
        channels, stretches = sliding._locate(
            X, reset=is_first, allow_nan=self._takes_missing(), in_training=True
        )
        self._check_input_shape(sliding.window_size, channels.shape[1])
        windows = self._to_train(channels, stretches, sliding)
        if is_first:
            scorer = WindowScorer.of(self._new_detector(), channels, windows, whiten=self.whiten)
        else:
            scorer = self._scorer
        scorer.train("partial_fit", channels, windows, routed.detector.partial_fit)
        self._set(sliding, scorer, channels, windows)
        self._offsets = self._calibrated(channels, stretches, None)
        return self

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each time point.

        Parameters
        ----------
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        scores : ndarray of shape (n_timepoints,)
            The scores in the order of X, in the units of the detector. The lower, the more
            abnormal.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other channels than in `fit`, times in one of the two only, or
            times that are missing, cannot be read or go backwards.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> forest = IsolationForest(n_estimators=20, random_state=0)
        >>> detector = WindowedDetector(forest, window_size=16).fit(X)
        >>> stuck = X.copy()
        >>> stuck[300:330] = 0.0
        >>> bool(300 <= detector.score_samples(stuck).argmin() < 330)
        True
        """
        check_is_fitted(self)
        channels, stretches = self._locate(X)
        return stretches.in_order_given(self._point_scores(channels, stretches))

    def alarms(self, X: ArrayLike, *, offset: float | None = None) -> pd.DataFrame:
        """Return the ranges of consecutive time points that `predict` calls outliers.

        Parameters
        ----------
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.
        offset : float or None, default=None
            The score below which a time point is an alarm, such as the `offset_` of a
            `TunedThresholdDetectorCV` around this detector. By default, it is `offset_`.

        Returns
        -------
        alarms : DataFrame of shape (n_alarms, 6) or (n_alarms, 7)
            A row for each range, none of which extends across a gap, with the columns

            - "series": the name or the number of the series;
            - "start", "end": the times of the first and of the last time point, or their row
              numbers if there is no clock;
            - "n_points": the number of time points;
            - "peak", "peak_score": the time of the most abnormal time point, and its anomaly
              score, which is ``-score_samples(X)``;
            - "channels": the names of up to three channels that contribute most to the scores
              around the peak, see `explain`. This column is left out if the detector cannot be
              explained.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other channels than in `fit`, times in one of the two only, or
            times that are missing, cannot be read or go backwards.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.neighbors import LocalOutlierFactor
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> X[300:330] = 0.0  # the sensor is stuck
        >>> lof = LocalOutlierFactor(novelty=True)
        >>> detector = WindowedDetector(lof, window_size=16, whiten=False, aggregation="max")
        >>> detector.fit(X[:200]).alarms(X)[["start", "end", "n_points"]]
           start  end  n_points
        0    310  317         8
        """
        check_is_fitted(self)
        channels, stretches = self._locate(X)
        scores = self._point_scores(channels, stretches)
        ranges = Ranges.of(scores, self.offset_ if offset is None else offset, stretches)
        points = self.windows_._read(X)
        table = ranges.table(points, stretches.order, scores)
        around_peaks = ranges.around_peaks(stretches, self.window_size_)
        contributions = self._contributions(channels, around_peaks)
        if contributions is None:
            return table
        names = [str(name) for name in getattr(self, "feature_names_in_", range(channels.shape[1]))]
        return table.assign(channels=[main_channels(part, names) for part in contributions])

    def is_covered(self, X: ArrayLike) -> np.ndarray:
        """Return whether a whole window covers each time point.

        Time points that no whole window covers, because their series or the stretch between two
        gaps is too short, have the score of a window that starts with the medians of the channels
        in `fit`. With ``aggregation="causal"``, the windows that count are those that end at the
        time point, and other time points have the usual score.

        Parameters
        ----------
        X : array-like, DataFrame, Series or list of these, of shape (n_timepoints, n_channels)
            The time points. Those of each series must be in chronological order.

        Returns
        -------
        is_covered : ndarray of shape (n_timepoints,), dtype bool
            Whether a whole window covers each time point, in the order of X.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid: it has other channels than in `fit`, times in one of the two only, or
            times that are missing, cannot be read or go backwards.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import WindowedDetector
        >>> X = np.sin(np.arange(400.0) / 5)[:, None]
        >>> forest = IsolationForest(n_estimators=20, random_state=0)
        >>> detector = WindowedDetector(forest, window_size=16).fit(X)
        >>> is_covered = detector.is_covered([X, X[:10]])
        >>> int(is_covered[:400].sum()), int(is_covered[400:].sum())
        (400, 0)
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

        See scikit-learn's user guide on metadata routing.

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
        """The threshold of time points for the present `aggregation`.

        Raises
        ------
        AttributeError
            If ``contamination=None`` and the detector has no threshold of its own.
        NotFittedError
            If the detector is not fitted.
        """
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
    def window_size_(self) -> int:
        """The number of time points in a window."""
        return self.windows_.window_size

    @property
    def n_features_in_(self) -> int:
        """The number of channels seen during `fit`."""
        return self.windows_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the channels seen during `fit`, (`n_features_in_`,)."""
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

    def _set(
        self, sliding: SlidingWindow, scorer: WindowScorer, channels: np.ndarray, windows: Windows
    ) -> None:
        """Set what has been fitted on windows, but for the threshold."""
        self.windows_ = sliding
        self.detector_, self.whitening_, self._medians = scorer
        self._usual_score = float(np.median(scorer.score(channels, windows.at_most(_N_USUAL))))

    @property
    def _scorer(self) -> WindowScorer:
        return WindowScorer(self.detector_, self.whitening_, self._medians)

    def _calibrated(
        self, channels: np.ndarray, stretches: Stretches, params: dict[str, Any] | None
    ) -> dict[str, float]:
        """Return the threshold for each `aggregation`, none if it is that of the detector.

        With "auto" and the parameters of `fit`, a second detector is trained on one half.
        """
        if self.contamination is None:
            return {}
        size, n_most = self.window_size_, self._n_most(channels, self.window_size_)

        def score(scorer: WindowScorer, part: Stretches) -> dict[str, np.ndarray]:
            return point_scores(
                scorer, channels, thinned(part, size, n_most), size, self._scored_stride()
            )

        def train(half: Stretches) -> WindowScorer:
            windows = half.windows(size, self.windows_.stride)
            windows = windows.at_most(None if n_most is None else max(n_most // 2, 1))
            detector = for_as_many_epochs(self._new_detector(), self.detector_)
            other = WindowScorer.of(detector, channels, windows, whiten=self.whiten)
            return other.train("fit", channels, windows, params or {})

        other = None if params is None else train
        return offsets_of(self._scorer, score, stretches, size, self.contamination, other)

    def _to_train(
        self, channels: np.ndarray, stretches: Stretches, sliding: SlidingWindow
    ) -> Windows:
        """Return the windows to train on, and warn of time points that are in none."""
        size = sliding.window_size
        windows = stretches.windows(size, sliding.stride)
        n_points, n_short = len(stretches.order), stretches.n_without(size)
        remedy = f"Choose a smaller window_size{sliding._or_a_larger_gap()}."
        if not len(windows.ends):
            windows = stretches.short(size)
            warnings.warn(
                f"No window of window_size={size} time points fits into X: its longest "
                f"series without a gap has {stretches.lengths.max()}. The detector is trained on "
                f"{len(windows.ends)} windows that start with medians of the channels. {remedy}",
                stacklevel=3,
            )
        elif n_short > _MAX_SHARE_UNUSED * n_points:
            warnings.warn(
                f"{n_short} of {n_points} time points are not trained on: their series, or the "
                f"stretch between two gaps, is shorter than window_size={size}. "
                f"{remedy}",
                stacklevel=3,
            )
        return windows.at_most(self._n_most(channels, size))

    def _n_most(self, channels: np.ndarray, size: int) -> int | None:
        """Return the largest number of windows of that size to train on, None if all."""
        if self.max_windows != "auto":
            return self.max_windows
        return max(1, _MAX_CELLS // (size * channels.shape[1]))

    def _locate(self, X: Any) -> tuple[np.ndarray, Stretches]:
        """Return the channels, sorted by series and time, and the stretches without a gap."""
        return self.windows_._locate(X, allow_nan=self._takes_missing())

    def _windows_to_score(self, stretches: Stretches) -> Windows:
        """Return the windows that the scores of time points are aggregated from."""
        size = self.window_size_
        if self.aggregation == "causal":
            return stretches.windows(size, 1)
        return stretches.windows(size, self._scored_stride()).and_these(stretches.short(size))

    def _scored_stride(self) -> int:
        if self.stride == "auto":
            return max(1, self.window_size_ // _WINDOWS_PER_POINT)
        return self.windows_.stride

    def _point_scores(self, channels: np.ndarray, stretches: Stretches) -> np.ndarray:
        """Return the score of each sorted time point, (n_timepoints,)."""
        windows = self._windows_to_score(stretches)
        scores = self._scorer.score(channels, windows)
        if self.aggregation == "causal":
            means = mean_of_past(stretches, scores, windows.size)
            return np.where(np.isnan(means), self._usual_score, means)
        return to_points(windows, scores, self.aggregation)

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

    def _check_input_shape(self, size: int, n_channels: int) -> None:
        """Raise ValueError if the detector wants windows of another shape."""
        shape = getattr(self.detector, "input_shape", None)
        if shape is not None and math.prod(np.atleast_1d(shape)) != size * n_channels:
            raise ValueError(
                f"input_shape={shape} of {type(self.detector).__name__} does not fit "
                f"window_size={size} and the {n_channels} channels of X; set "
                f"input_shape to ({size}, {n_channels})."
            )

    def _sliding_window(self, X: Any) -> SlidingWindow:
        return self._sliding_window_of(
            self._found_window_size(X) if self.window_size == "auto" else self.window_size
        )

    def _sliding_window_of(self, size: int) -> SlidingWindow:
        return SlidingWindow(
            size,
            stride=1 if self.stride == "auto" else self.stride,
            group_column=self.group_column,
            time_column=self.time_column,
            max_gap=self.max_gap,
            duplicate_times=self.duplicate_times,
        )

    def _found_window_size(self, X: Any) -> int:
        shape = getattr(final_step(self.detector), "input_shape", None)
        if shape is not None:
            return int(np.atleast_1d(shape)[0])
        size = USUAL_SIZE
        for _ in range(2):  # what is a gap in an irregular clock depends on the size
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they come again with the size that is found
                channels, stretches = self._sliding_window_of(size)._locate(
                    X, reset=True, allow_nan=self._takes_missing(), in_training=True
                )
            size = window_size_of(channels[stretches.longest()])
        return size

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

    def _takes_missing(self) -> bool:
        try:
            return get_tags(self.detector).input_tags.allow_nan
        except AttributeError:  # an estimator without tags
            return False

    def _learned(self) -> Learned:
        names = getattr(self, "feature_names_in_", range(self.n_features_in_))
        channels = counted(self.n_features_in_, "channel")
        windows = f"windows of {counted(self.window_size_, 'time point')}"
        facts = {"channels": f"{channels} ({first_of(list(names))})", "windows": windows}
        headline = f"{channels}, {windows}"
        with contextlib.suppress(AttributeError):  # there is none with contamination=None
            facts["threshold"] = threshold_in_words(self.offset_)
            headline += f", threshold {self.offset_:.4g}"
        return Learned(headline, facts)

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
