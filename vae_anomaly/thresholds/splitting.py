"""Splits of the rows: those that train without outliers, and those of time points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_consistent_length

from vae_anomaly.thresholds.metrics import outlier_indicator


def strata(is_outlier: np.ndarray, n_least: int) -> np.ndarray:
    """Return the classes to stratify by: 0 for inliers, 1 for outliers, -1 for unlabelled rows.

    If there are fewer than `n_least` unlabelled rows, they are too few to be a class of their own
    and are treated as inliers.
    """
    unlabelled = np.isnan(is_outlier)
    return np.where(unlabelled, -1 if unlabelled.sum() >= n_least else 0, is_outlier).astype(int)


class OneClassKFold(StratifiedKFold):
    """Stratified k-fold cross-validator that trains on inliers only and tests on all rows.

    Each row is in the test set of exactly one fold, and each test set has about the same number of
    outliers. The training sets contain no outliers. Pass it as `cv` to `TunedThresholdDetectorCV`,
    which also refits without outliers, to `cross_val_score` or to `GridSearchCV`. The latter would
    refit on all rows: set ``refit=False`` and fit the best parameters on the inliers.

    Parameters
    ----------
    n_splits : int, default=5
        The number of folds. Must be at least 2.

    shuffle : bool, default=False
        Whether to shuffle the rows of each class before splitting into folds.

    random_state : int, RandomState instance or None, default=None
        Controls the shuffling. It must be None if `shuffle` is False. Pass an int for reproducible
        output across multiple function calls.

    pos_label : int, float, bool, str or None, default=None
        The label of the outliers. By default, it is 1 if the labels are {0, 1} or booleans, and -1
        if they are {-1, 1}.

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
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.pos_label = pos_label

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate indices to split the rows into training and test sets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to split.
        y : array-like of shape (n_samples,)
            The labels of inliers and outliers. Rows without a label (None, NaN or pandas' NA) are
            trained on.
        groups : Ignored
            Not used, present for API consistency by convention.

        Yields
        ------
        train, test : ndarray of shape (n_train,) and (n_test,), dtype int
            The indices of the rows to train on and to test on.

        Raises
        ------
        ValueError
            If the labels are missing or do not belong to two classes.

        Examples
        --------
        >>> import numpy as np
        >>> from vae_anomaly import OneClassKFold
        >>> y = np.array(["normal", "normal", "fraud", "normal", "normal", "fraud"])
        >>> folds = OneClassKFold(2, pos_label="fraud").split(np.zeros((6, 1)), y)
        >>> [train.tolist() for train, _ in folds]
        [[3, 4], [0, 1]]
        """
        if y is None:
            raise ValueError("OneClassKFold needs labels y, to leave outliers out of training.")
        check_consistent_length(X, y)
        is_outlier = outlier_indicator(y, self.pos_label)
        classes = strata(is_outlier, self.n_splits)
        for train, test in super().split(np.zeros(len(classes)), classes):
            yield train[is_outlier[train] != 1], test


_N_BLOCKS = 5


class TimeBlocks:
    """The positions of rows in time, for detectors that score neighbouring rows together.

    Neighbouring time points resemble each other and share windows. If they were held out at random,
    they would not be new to the detector, and windows could not be cut from them. They are
    therefore held out in blocks, separately for each series.

    Parameters
    ----------
    series : ndarray of shape (n_samples,)
        The number of the series that each row belongs to. The rows of each series must be in
        chronological order.
    window_size : int
        The number of time points that are scored together.
    """

    def __init__(self, series: np.ndarray, window_size: int) -> None:
        self.series = series
        self.window_size = window_size
        lengths = np.bincount(series)
        self.lengths = lengths[series]
        order = np.argsort(series, kind="stable")
        self.positions = np.empty(len(series), dtype=int)
        self.positions[order] = np.arange(len(series)) - np.repeat(
            np.cumsum(lengths) - lengths, lengths
        )

    def folds(self, n_splits: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the pairs of training and test rows; each block of time is tested once."""
        block = self.positions * n_splits // self.lengths
        return [
            (np.flatnonzero(block != fold), np.flatnonzero(block == fold))
            for fold in range(n_splits)
        ]

    def split(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the training and test rows: a few blocks of each series are tested.

        The blocks are spread over the series, with the last one at its end, and are long enough
        for windows. If only the end were tested, a drifting series would be tested on data unlike
        those that it was trained on.
        """
        room = share * self.lengths / (2 * self.window_size)
        n_blocks = np.clip(room.astype(int), 1, _N_BLOCKS)
        is_test = self.positions / self.lengths * n_blocks % 1 >= 1 - share
        return np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def check_level(self, n_held_out: int, level: float) -> None:
        """Raise a ValueError if too few time points are held out to estimate the given fraction.

        The scores of overlapping windows are correlated, so only non-overlapping windows count.
        """
        n_windows = n_held_out // self.window_size
        if level * (n_windows + 1) < 1:
            raise ValueError(
                f"{n_held_out} held-out time points make {n_windows} windows of {self.window_size} "
                f"that do not overlap, too few to set a threshold that flags {level:.2g} of them. "
                f"At least {math.ceil(1 / level) - 1} are needed: pass longer series, hold out "
                "more (cv), or ask for a larger fraction (alpha, or the budget)."
            )

    def runs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number and the length of the unbroken run that each of the rows belongs to.

        Runs are numbered within each series. `rows` must be in ascending order. A run starts at a
        time point if the preceding time point is not among the rows.
        """
        order = np.argsort(self.series[rows], kind="stable")
        series, positions = self.series[rows][order], self.positions[rows][order]
        is_first = np.diff(series, prepend=-1) != 0
        run = np.cumsum(is_first | (np.diff(positions, prepend=-1) != 1)) - 1
        first_of_series = run[is_first][np.cumsum(is_first) - 1]
        numbers, lengths = np.empty((2, len(rows)), dtype=int)
        numbers[order] = run - first_of_series
        lengths[order] = np.bincount(run)[run]
        return numbers, lengths

    def parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield masks of the rows to score together: a run of each series that fits a window."""
        numbers, lengths = self.runs(rows)
        has_room = lengths >= self.window_size
        for number in np.unique(numbers[has_room]):
            yield has_room & (numbers == number)

    def check(self, rows: np.ndarray, cv: Any) -> None:
        """Raise a ValueError if most of the rows lie in runs that are shorter than a window."""
        n_short = int(np.sum(self.runs(rows)[1] < self.window_size))
        if 2 * n_short > len(rows):
            raise ValueError(
                "The detector scores neighbouring time points together, so cv must hold out blocks "
                f"of time: of {len(rows)} rows that a split of cv={cv!r} trains on or tests, "
                f"{n_short} do not lie among window_size={self.window_size} neighbours. Set cv to "
                "an int, a float, 'prefit' or a splitter that does not shuffle, or pass more rows."
            )


def time_blocks(detector: Any, X: Any) -> TimeBlocks | None:
    """Return the positions of the rows in time, or None if the detector scores each row alone.

    A detector of time points declares itself by the methods ``_series_of(X)`` and
    ``_window_size_on(X)``.
    """
    detector = innermost(detector)
    if not hasattr(detector, "_series_of"):
        return None
    return TimeBlocks(detector._series_of(X), detector._window_size_on(X))


def innermost(detector: Any) -> Any:
    """Return the detector inside pipelines and meta-estimators, stopping at one of time points."""
    while not hasattr(detector, "_series_of"):
        if hasattr(detector, "steps"):
            detector = detector.steps[-1][1]
        elif hasattr(detector, "detector"):
            detector = detector.detector
        else:
            break
    return detector
