"""OffsetMixin: decisions from scores and a threshold, for all outlier detectors here."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import OutlierMixin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class OffsetMixin(OutlierMixin):
    """Mixin for outlier detectors with `score_samples` and a threshold `offset_`."""

    offset_: Any

    @abstractmethod
    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each row; the lower, the more abnormal."""

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return how far the score of each row lies above the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``, in the units of the scores. It is negative for outliers.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> margin = detector.decision_function([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 9.0]])
        >>> margin < 0
        array([False,  True])
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict whether each row is an inlier or an outlier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to judge.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            +1 for inliers and -1 for outliers.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If X is not valid.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector
        >>> X = load_iris().data
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> detector.predict([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 9.0]])
        array([ 1, -1])
        """
        return np.where(self.decision_function(X) < 0, -1, 1)
