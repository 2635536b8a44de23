"""Scorers for model selection that know which label, and which sign, is the outlier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d


class _OutlierScorer:
    """Callable (estimator, X, y) -> float, as `scoring` of scikit-learn takes it."""

    def __init__(
        self, score_func: Callable[..., float], pos_label: Any, kwargs: dict[str, Any]
    ) -> None:
        self._score_func, self._pos_label, self._kwargs = score_func, pos_label, kwargs

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Score the anomaly scores of X against the labels y."""
        is_outlier = outlier_indicator(y, self._pos_label)
        return float(self._score_func(is_outlier, -estimator.score_samples(X), **self._kwargs))

    def __repr__(self) -> str:
        return f"make_outlier_scorer({self._score_func.__name__}, pos_label={self._pos_label!r})"


def make_outlier_scorer(
    score_func: Callable[..., float], *, pos_label: Any = None, **kwargs: Any
) -> _OutlierScorer:
    """Make a scorer of anomaly scores against labels, for `scoring=` in scikit-learn.

    scikit-learn's own ``scoring="roc_auc"`` takes `decision_function`, which is high for inliers:
    with outliers labelled 1 it rewards the worst detector. This scorer takes the opposite of
    `score_samples`, so high means outlier, and knows which label that is.

    Parameters
    ----------
    score_func : callable
        Metric of binary labels (1 for outliers) and scores, such as
        `sklearn.metrics.roc_auc_score` or `sklearn.metrics.average_precision_score`.
    pos_label : int, float, bool or str, default=None
        Label of the outliers. By default 1 where the labels are {0, 1} or booleans, and -1 where
        they are {-1, 1}, as in the output of `predict`.
    **kwargs
        Passed to `score_func`.

    Returns
    -------
    scorer : callable
        Takes (estimator, X, y) and returns a float; higher is better. Calling it raises
        ValueError where `y` does not hold two classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.metrics import roc_auc_score
    >>> from vae_anomaly import make_outlier_scorer
    >>> X, y = np.array([[0.0], [0.1], [0.2], [9.0]]), np.array([0, 0, 0, 1])
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> make_outlier_scorer(roc_auc_score)(forest, X, y)
    1.0
    """
    return _OutlierScorer(score_func, pos_label, kwargs)


def outlier_indicator(y: Any, pos_label: Any = None) -> np.ndarray:
    """Return 1 where `y` says outlier and 0 elsewhere.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of two classes.
    pos_label : int, float, bool or str, default=None
        Label of the outliers; see `make_outlier_scorer` for the default.

    Returns
    -------
    is_outlier : ndarray of shape (n,)
        Integers 0 and 1.

    Raises
    ------
    ValueError
        If there are not two classes, or nothing says which of them is the outlier.
    """
    y = column_or_1d(y)
    classes = np.unique(y).tolist()
    if len(classes) != 2:
        raise ValueError(f"Labels must be of two classes, inlier and outlier; got {classes}.")
    if pos_label is None:
        pos_label = {(0, 1): 1, (-1, 1): -1}.get(tuple(classes))
    if pos_label not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a label of y: say which of {classes} is the outlier."
        )
    return (y == pos_label).astype(int)
