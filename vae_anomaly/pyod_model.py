"""PyODModel: an outlier detector of scikit-learn as PyOD knows them. It needs PyOD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pyod.models.base import BaseDetector
from sklearn.base import clone

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class PyODModel(BaseDetector):
    """Let PyOD [1]_, and what builds on it, use an outlier detector of scikit-learn.

    In PyOD, higher scores are more abnormal, and the labels are 0 and 1. Its ensembles, and the
    adapters of sktime and aeon, would interpret the scores and labels of scikit-learn the wrong way
    round and flag nearly everything.

    Parameters
    ----------
    detector : estimator
        A detector with `score_samples`, such as `VAEAnomalyDetector`, or a pipeline that ends in
        one.
    contamination : float in (0, 0.5], default=0.1
        The fraction of the training rows that PyOD calls outliers.

    Attributes
    ----------
    detector_ : estimator
        The fitted detector.
    decision_scores_ : ndarray of shape (n_samples,)
        The scores of the training rows, in the units of the detector.
    threshold_ : float
        The score above which a row is an outlier.
    labels_ : ndarray of shape (n_samples,)
        1 for the outliers among the training rows, 0 for the others.

    See Also
    --------
    vae_anomaly.FixedThresholdDetector : Sets the threshold as scikit-learn does.

    References
    ----------
    .. [1] Zhao, Y., Nasrullah, Z. and Li, Z., "PyOD: A Python Toolbox for Scalable Outlier
       Detection", Journal of Machine Learning Research 20(96), 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from vae_anomaly.pyod_model import PyODModel
    >>> X = np.random.RandomState(0).randn(200, 2)
    >>> model = PyODModel(IsolationForest(random_state=0), contamination=0.05).fit(X)
    >>> model.predict([[0.0, 0.0], [5.0, 5.0]])
    array([0, 1])
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

        Raises
        ------
        ValueError
            If X or `contamination` is not valid.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly.pyod_model import PyODModel
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> PyODModel(IsolationForest(random_state=0)).fit(X).decision_scores_.shape
        (200,)
        """
        self._set_n_classes(None)
        self.detector_ = clone(self.detector).fit(X)
        self.decision_scores_ = self.decision_function(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the anomaly score of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The opposite of `score_samples`: the higher, the more abnormal.

        Raises
        ------
        AttributeError
            If the model is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import IsolationForest
        >>> from vae_anomaly.pyod_model import PyODModel
        >>> X = np.random.RandomState(0).randn(200, 2)
        >>> model = PyODModel(IsolationForest(random_state=0)).fit(X)
        >>> model.decision_function(X).shape
        (200,)
        """
        return -self.detector_.score_samples(X)
