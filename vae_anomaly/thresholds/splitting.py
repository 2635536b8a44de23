"""Splits of the rows: those that outliers are kept out of, and those of time points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import check_consistent_length

from vae_anomaly.thresholds.metrics import outlier_indicator


def strata(is_outlier: np.ndarray, n_least: int) -> np.ndarray:
    """Return the classes to stratify rows by: 0 for inliers, 1 for outliers, -1 without a label.

    Rows without a label, if fewer than `n_least`, are too few for a class and go with the inliers.
    """
    unlabelled = np.isnan(is_outlier)
    return np.where(unlabelled, -1 if unlabelled.sum() >= n_least else 0, is_outlier).astype(int)


class OneClassKFold(StratifiedKFold):
    """Stratified folds that train on inliers only and test on all rows.

    Each row is in the test part of one fold, outliers in equal numbers; outliers are left out of
    the training parts. For `cv=` of `TunedThresholdDetectorCV`, which also refits without them,
    and of `GridSearchCV` or `cross_val_score`, which would refit on all rows: set ``refit=False``
    there and fit the best parameters on the inliers.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.

    shuffle : bool, default=False
        Whether to shuffle the rows first.

    random_state : int, RandomState instance or None, default=None
        Of the shuffle; leave it out without one.

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
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.pos_label = pos_label

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
        groups : object
            Ignored, present for API consistency.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If the labels are not of two classes.
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
    """Where the rows of a table lie in time, for detectors that score neighbours together.

    Neighbouring time points resemble each other and share windows: drawn at random, held-out ones
    would not be new, and the windows cut from them would be no windows. So they are held out in
    blocks, of each series its own.

    Parameters
    ----------
    series : ndarray of shape (n_samples,)
        The number of the series that each row belongs to; those of each in the order of time.
    window_size : int
        Number of time points that are scored together.
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
        """Return the pairs of training and test rows: each block of time is a test part once."""
        block = self.positions * n_splits // self.lengths
        return [
            (np.flatnonzero(block != fold), np.flatnonzero(block == fold))
            for fold in range(n_splits)
        ]

    def split(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return training and test rows: a few blocks of each series are tested.

        They lie all over it, the last at its end, and have room for windows. On the last part
        alone a series that drifts would be tested on what its first part knows nothing of.
        """
        room = share * self.lengths / (2 * self.window_size)
        n_blocks = np.clip(room.astype(int), 1, _N_BLOCKS)
        is_test = self.positions / self.lengths * n_blocks % 1 >= 1 - share
        return np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def check_level(self, n_held_out: int, level: float) -> None:
        """Raise ValueError where too few time points are held out to tell a share of them.

        Windows that overlap rise and fall together: only those beside each other are worth a row.
        """
        n_windows = n_held_out // self.window_size
        if level * (n_windows + 1) < 1:
            raise ValueError(
                f"{n_held_out} held-out time points make {n_windows} windows of {self.window_size} "
                f"that do not overlap, too few to set a threshold that flags {level:.2g} of them. "
                "Pass longer series, hold out more, or ask for a larger share."
            )

    def runs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each of the rows, the number of its unbroken run, and how long that is.

        Runs are counted within each series. `rows` are ascending; a run begins where the time point
        before is not among them.
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
        """Give which of the rows to score together: a run of each series, with room for windows."""
        numbers, lengths = self.runs(rows)
        has_room = lengths >= self.window_size
        for number in np.unique(numbers[has_room]):
            yield has_room & (numbers == number)

    def check(self, rows: np.ndarray, cv: Any) -> None:
        """Raise ValueError where most of the rows lie in runs that are shorter than a window."""
        n_short = int(np.sum(self.runs(rows)[1] < self.window_size))
        if 2 * n_short > len(rows):
            raise ValueError(
                "The detector scores neighbouring time points together, so cv must hold out blocks "
                f"of time: of {len(rows)} rows that a split of cv={cv!r} trains on or tests, "
                f"{n_short} do not lie among window_size={self.window_size} neighbours. Set cv to "
                "an int, a float, 'prefit' or a splitter that does not shuffle, or pass more rows."
            )


def time_blocks(detector: Any, X: Any) -> TimeBlocks | None:
    """Return where the rows lie in time, or None for a detector that scores each by itself.

    A detector of time points tells so by a method ``_series_of(X)``, and by `window_size`.
    """
    detector = innermost(detector)
    if not hasattr(detector, "_series_of"):
        return None
    return TimeBlocks(detector._series_of(X), detector.window_size)


def innermost(detector: Any) -> Any:
    """Return the detector of time points within pipelines and meta-estimators, or what is there."""
    while not hasattr(detector, "_series_of"):
        if hasattr(detector, "steps"):
            detector = detector.steps[-1][1]
        elif hasattr(detector, "detector"):
            detector = detector.detector
        else:
            break
    return detector
