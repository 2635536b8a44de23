"""The base class of the meta-estimators that set the threshold of a detector."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.decision import OffsetMixin
from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.html_view import LearnedAroundViewMixin
from vae_anomaly.sklearn_private import HasMethods, _fit_context, _raise_for_params
from vae_anomaly.thresholds.fitting import DetectorMethods

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class BaseThresholdDetector(
    LearnedAroundViewMixin, DocLinkMixin, OffsetMixin, MetaEstimatorMixin, BaseEstimator
):
    """Base class of meta-estimators that set the threshold of a detector.

    A subclass implements `_fit`, which returns the fitted attributes. This class validates the
    parameters, sets the attributes all at once, copies those that describe the features from the
    detector, and predicts.
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "detector": [DetectorMethods()],
        "memory": [str, HasMethods(["cache"]), None],
    }

    detector: Any
    detector_: Any
    memory: Any

    @abstractmethod
    def _fit(self, X: Any, y: Any, params: Any) -> dict[str, Any]:
        """Return the fitted attributes, with `detector_` and `offset_`, but do not set them."""

    @_fit_context(
        # The detector validates its own parameters.
        prefer_skip_nested_validation=False
    )
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Fit the detector and set the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,) or None, default=None
            The labels of inliers and outliers; the documentation of the class says when they are
            needed. They are also passed to the detector's `fit`, which usually ignores them.
        **params : dict
            Metadata such as `sample_weight`, which scikit-learn's metadata routing passes to the
            objects that request it, see `get_metadata_routing`.

        Returns
        -------
        self : object
            The fitted meta-estimator.

        Raises
        ------
        ValueError
            If a parameter, X or y is not valid, or labels are needed and not given.
        NotFittedError
            If ``cv="prefit"`` and the detector is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import FixedThresholdDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> forest = IsolationForest(random_state=0)
        >>> FixedThresholdDetector(forest, threshold=-0.7).fit(X).offset_
        -0.7
        """
        _raise_for_params(params, self, None)
        X, y = indexable(X, y)
        return self._store(self._fit(X, y, process_routing(self, "fit", **params)))

    def fit_predict(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> np.ndarray:
        """Fit the detector, set the threshold and label the training rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,) or None, default=None
            The labels of inliers and outliers, as in `fit`.
        **params : dict
            Metadata, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            +1 for inliers and -1 for outliers.

        Raises
        ------
        ValueError
            As in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import FixedThresholdDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> forest = IsolationForest(random_state=0)
        >>> labels = FixedThresholdDetector(forest, threshold=-0.6).fit_predict(X)
        >>> labels.shape, sorted(set(labels.tolist()))
        ((200,), [-1, 1])
        """
        return self.fit(X, y, **params).predict(X)

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
            If the meta-estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly import FixedThresholdDetector
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> forest = IsolationForest(random_state=0)
        >>> detector = FixedThresholdDetector(forest, threshold=-0.7).fit(X)
        >>> detector.score_samples(X).shape
        (200,)
        """
        check_is_fitted(self)
        return self.detector_.score_samples(X)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how the parameters of `fit` are passed on.

        See scikit-learn's user guide on metadata routing.

        Returns
        -------
        routing : MetadataRouter
            The routing information.
        """
        router = MetadataRouter(owner=self)
        if isinstance(getattr(self, "cv", None), str):  # "prefit": no fit that could request any
            return router
        return router.add(
            detector=self.detector,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )

    def _store(self, fitted: dict[str, Any]) -> Self:
        """Set the fitted attributes all at once, and remove those of an earlier fit."""
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted["detector_"], name):
                fitted[name] = getattr(fitted["detector_"], name)
        for name in [name for name in self.__dict__ if name.endswith("_") and name[0] != "_"]:
            del self.__dict__[name]
        self.__dict__.update(fitted)
        return self

    def _check_prefit(self) -> None:
        try:
            check_is_fitted(self.detector)
        except NotFittedError:
            raise NotFittedError(
                f"With cv='prefit' the detector of {type(self).__name__} must be fitted; fit the "
                f"{type(self.detector).__name__}, or choose another cv."
            ) from None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.detector).input_tags
        tags.input_tags.sparse, tags.input_tags.allow_nan = inner.sparse, inner.allow_nan
        tags.input_tags.pairwise = inner.pairwise
        tags.input_tags.categorical = inner.categorical
        return tags
