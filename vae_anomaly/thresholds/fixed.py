"""FixedThresholdDetector: a threshold set by hand."""

from __future__ import annotations

from numbers import Real
from typing import Any

from vae_anomaly.sklearn_private import Interval, StrOptions
from vae_anomaly.thresholds.base import BaseThresholdDetector
from vae_anomaly.thresholds.fitting import final_step, fit_detector, own_threshold


class FixedThresholdDetector(BaseThresholdDetector):
    """Outlier detector with a threshold set by hand.

    With `memory`, `GridSearchCV` searches over `threshold`, ``detector__contamination`` and the
    detector's other parameters in one grid, and trains only where one of the others changes.

    Parameters
    ----------
    detector : outlier detector
        Any with `fit` and `score_samples`: VAEAnomalyDetector, IsolationForest,
        LocalOutlierFactor(novelty=True), a Pipeline that ends in one. It is cloned and fitted;
        wrap it in `sklearn.frozen.FrozenEstimator` to use it as it is.

    threshold : "auto" or float, default="auto"
        Rows are outliers whose `score_samples` lie below. "auto" keeps the detector's own
        threshold, its `offset_`.

    memory : str or joblib.Memory, default=None
        Cache of fitted detectors, keyed on the detector's parameters and the training rows. A str
        is the path of its folder. For the detectors of this package and of scikit-learn a
        `contamination` that is a number is not part of the key, as it changes only the threshold;
        "auto" is, as for VAEAnomalyDetector it trains a second network. A parallel worker that
        comes to a fit that another is at waits for its result.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted detector.

    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.

    n_features_in_ : int
        Number of features seen in `fit`, where the detector tells it.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where the detector tells them.

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by an objective.
    ConformalDetector : Chooses it for a guaranteed false-alarm rate.
    sklearn.model_selection.FixedThresholdClassifier : The same for classifiers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly import FixedThresholdDetector
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> forest = IsolationForest(random_state=0)
    >>> detector = FixedThresholdDetector(forest, threshold=-0.7).fit(X)
    >>> detector.predict([[0.0, 0.0], [4.0, 4.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseThresholdDetector._parameter_constraints,
        "threshold": [StrOptions({"auto"}), Interval(Real, None, None, closed="neither")],
    }

    def __init__(
        self, detector: Any, *, threshold: float | str = "auto", memory: Any = None
    ) -> None:
        self.detector = detector
        self.threshold = threshold
        self.memory = memory

    def _fit(self, X: Any, y: Any, params: Any) -> None:
        self.detector_ = fit_detector(self.detector, X, y, params.detector.fit, self.memory)
        if self.threshold != "auto":
            self.offset_ = float(self.threshold)
            return
        offset = own_threshold(self.detector_)
        if offset is None:
            raise ValueError(
                f"threshold='auto' takes the threshold from the offset_ of the detector, and "
                f"{type(final_step(self.detector_)).__name__} has none; set threshold to a number."
            )
        self.offset_ = offset
