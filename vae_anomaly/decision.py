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
            ``score_samples(X) - offset_``, which is negative for outliers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict whether each row is an inlier or an outlier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to predict.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            +1 for inliers and -1 for outliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)
