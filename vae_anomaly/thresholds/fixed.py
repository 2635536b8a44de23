"""FixedThresholdDetector: a threshold set by hand."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Self

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.learned import Learned, threshold_in_words
from vae_anomaly.sklearn_private import Interval, StrOptions, _fit_context, _raise_for_params
from vae_anomaly.thresholds.base import BaseThresholdDetector
from vae_anomaly.thresholds.fitting import final_step, fit_detector, own_threshold

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike


class FixedThresholdDetector(BaseThresholdDetector):
    """Outlier detector with a threshold set by hand.

    With `memory`, `GridSearchCV` can search over `threshold`, ``detector__contamination`` and the
    other parameters of the detector in one grid, and trains only if one of the latter changes.

    Parameters
    ----------
    detector : outlier detector
        Any detector with `fit` and `score_samples`: VAEAnomalyDetector, IsolationForest,
        LocalOutlierFactor(novelty=True) or a Pipeline that ends in one. A detector that is already
        fitted can be used without calling `fit`. `fit` trains a clone of the detector, unless it
        is wrapped in `sklearn.frozen.FrozenEstimator`.

    threshold : "auto" or float, default="auto"
        The threshold: rows whose `score_samples` lie below it are outliers. "auto" keeps the
        detector's own threshold, its `offset_`.

    memory : str, joblib.Memory or None, default=None
        The cache of fitted detectors, keyed on the parameters of the detector and the training
        rows. A str is the path of its folder. For the detectors of this package and of
        scikit-learn, a numeric `contamination` is not part of the key, as it changes only the
        threshold; "auto" is, as VAEAnomalyDetector then trains a second network. If several
        parallel workers need the same fit, one runs it and the others wait for its result. A
        detector that uses NumPy's global random state, as with ``random_state=None``, is fitted
        each time.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted detector.

    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.

    n_features_in_ : int
        The number of features seen during `fit`, if the detector exposes it.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the features seen during `fit`, if the detector exposes them.

    See Also
    --------
    TunedThresholdDetectorCV : Chooses the threshold by an objective.
    ConformalDetector : Chooses the threshold for a guaranteed false-alarm rate.
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

    @property  # it exists without a call of `fit`, too, if the detector is fitted
    def offset_(self) -> float:
        """The threshold: ``decision_function = score_samples - offset_``.

        Raises
        ------
        NotFittedError
            If neither the meta-estimator nor its detector is fitted.
        ValueError
            If ``threshold="auto"`` and the detector has no `offset_`.
        """
        if "offset_" in self.__dict__:
            return self.__dict__["offset_"]
        check_is_fitted(self)
        return self._offset_of(self.detector)

    @available_if(lambda self: hasattr(self.detector, "partial_fit"))
    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Train the detector further, and set the threshold again.

        This method is only available if the detector has `partial_fit`. The first call trains a
        clone of the detector.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,) or None, default=None
            Passed to the detector's `partial_fit`, which usually ignores it.
        **params : dict
            Metadata such as `sample_weight`, which are passed to the detector's `partial_fit` if it
            requests them.

        Returns
        -------
        self : FixedThresholdDetector
            The detector, fitted further.

        Raises
        ------
        ValueError
            If a parameter or X is not valid, or ``threshold="auto"`` and the detector has no
            `offset_`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.linear_model import SGDOneClassSVM
        >>> from vae_anomaly import FixedThresholdDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> detector = FixedThresholdDetector(SGDOneClassSVM(random_state=0), threshold=0.5)
        >>> for batch in np.split(X, 2):
        ...     detector = detector.partial_fit(batch)
        >>> detector.offset_
        0.5
        """
        _raise_for_params(params, self, None)
        routed = process_routing(self, "partial_fit", **params)
        detector = self.detector_ if hasattr(self, "detector_") else clone(self.detector)
        fitted = detector.partial_fit(X, y, **routed.detector.partial_fit)
        return self._store({"detector_": fitted, "offset_": self._offset_of(fitted)})

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

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the scores that the detector gives the rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The scores, in the units of the detector. The lower, the more abnormal.

        Raises
        ------
        NotFittedError
            If neither the meta-estimator nor its detector is fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import FixedThresholdDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> forest = IsolationForest(random_state=0).fit(X)
        >>> FixedThresholdDetector(forest, threshold=-0.7).score_samples(X).shape
        (200,)
        """
        check_is_fitted(self)
        return getattr(self, "detector_", self.detector).score_samples(X)

    def _fit(self, X: Any, y: Any, params: Any) -> dict[str, Any]:
        fitted = fit_detector(clone(self.detector), X, y, params.detector.fit, self.memory)
        return {"detector_": fitted, "offset_": self._offset_of(fitted)}

    def _offset_of(self, fitted: Any) -> float:
        """Return the threshold of a fitted detector."""
        self._validate_params()  # for there may have been no call of fit
        if self.threshold != "auto":
            return float(self.threshold)
        offset = own_threshold(fitted)
        if offset is None:
            raise ValueError(
                f"threshold='auto' takes the threshold from the offset_ of the detector, and "
                f"{type(final_step(fitted)).__name__} has none; set threshold to a number."
            )
        return offset

    def _learned(self) -> Learned:
        is_own = isinstance(self.threshold, str)  # "auto", its only text
        facts = {
            "threshold": threshold_in_words(self.offset_),
            "set": "by the detector itself" if is_own else "by hand",
        }
        return Learned(f"threshold {self.offset_:.4g}", facts)

    def __sklearn_is_fitted__(self) -> bool:
        if hasattr(self, "detector_"):
            return True
        try:
            check_is_fitted(self.detector)
        except NotFittedError:
            return False
        return True
