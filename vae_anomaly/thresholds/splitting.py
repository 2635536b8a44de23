"""A splitter for detectors that are fitted on inliers and judged by labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, StratifiedKFold
from sklearn.utils import check_consistent_length

from vae_anomaly.thresholds.metrics import outlier_indicator


def strata(is_outlier: np.ndarray, n_least: int) -> np.ndarray:
    """Return the classes to stratify rows by: 0 for inliers, 1 for outliers, -1 without a label.

    Rows without a label, if fewer than `n_least`, are too few for a class and go with the inliers.
    """
    unlabelled = np.isnan(is_outlier)
    return np.where(unlabelled, -1 if unlabelled.sum() >= n_least else 0, is_outlier).astype(int)


class OneClassKFold(BaseCrossValidator):
    """Stratified folds that train on inliers only and test on all rows.

    Each row is in the test part of one fold, outliers in equal numbers; outliers are left out of
    the training parts. For `cv=` of `TunedThresholdDetectorCV`, which also refits without them,
    and of `GridSearchCV` or `cross_val_score`, which would refit on all rows: set ``refit=False``
    there and fit the best parameters on the inliers.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds.

    shuffle : bool, default=False
        Whether to shuffle the rows first.

    random_state : int, RandomState instance or None, default=None
        Of the shuffle.

    pos_label : int, float, bool or str, default=None
        Label of the outliers. By default 1 where the labels are {0, 1} or booleans, and -1 where
        they are {-1, 1}.

    See Also
    --------
    sklearn.model_selection.StratifiedKFold : Trains on all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_anomaly import OneClassKFold
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> for train, test in OneClassKFold(2).split(np.zeros((6, 1)), y):
    ...     print(train, test)
    [2 3] [0 1 4]
    [0 1] [2 3 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
        pos_label: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.pos_label = pos_label

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : ignored
            Present for API consistency.

        Returns
        -------
        n_splits : int
            Number of folds.
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows to train on and to test on, fold by fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels of inliers and outliers. Rows without one (None, NaN or pandas' NA) are trained
            on.
        groups : ignored
            Present for API consistency.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If the labels are not of two classes, or `n_splits` is not valid.
        """
        if y is None:
            raise ValueError("OneClassKFold needs labels y, to leave outliers out of training.")
        check_consistent_length(X, y)
        is_outlier = outlier_indicator(y, self.pos_label)
        folds = StratifiedKFold(
            self.n_splits,
            shuffle=self.shuffle,
            random_state=self.random_state if self.shuffle else None,
        )
        classes = strata(is_outlier, self.n_splits)
        for train, test in folds.split(np.zeros(len(classes)), classes):
            yield train[is_outlier[train] != 1], test
