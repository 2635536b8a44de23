"""PyODModel: an outlier detector of scikit-learn as PyOD knows them. It needs PyOD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pyod.models.base import BaseDetector
from sklearn.base import clone

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class PyODModel(BaseDetector):
    """Let PyOD, and what builds on it, use an outlier detector of scikit-learn.

    PyOD's scores are the higher, the more abnormal, and its labels are 0 and 1. Its ensembles, and
    the adapters of sktime and aeon, would take the scores and labels of scikit-learn the wrong way
    round and flag nearly everything.

    Parameters
    ----------
    detector : estimator
        A detector with `score_samples`, such as `VAEAnomalyDetector`, or a pipeline that ends in
        one.
    contamination : float, default=0.1
        The share of the training rows that PyOD calls outliers, in (0, 0.5].

    Attributes
    ----------
    detector_ : estimator
        The fitted detector.
    decision_scores_ : ndarray of shape (n_samples,)
        The scores of the training rows.
    threshold_ : float
        The threshold on the scores.
    labels_ : ndarray of shape (n_samples,)
        1 for the outliers among the training rows, 0 for the others.
    """

    def __init__(self, detector: Any, contamination: float = 0.1) -> None:
        super().__init__(contamination=contamination)
        self.detector = detector

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit the detector.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : PyODModel
            The fitted model.
        """
        self._set_n_classes(None)
        self.detector_ = clone(self.detector).fit(X)
        self.decision_scores_ = self.decision_function(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the anomaly scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The opposite of `score_samples`: the higher, the more abnormal.
        """
        return -self.detector_.score_samples(X)
