"""What the columns of X are: their names, and which of them hold categories instead of numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from vae_anomaly.not_numbers import frame_column, frame_columns

MAX_LEVELS = 255
"""The largest number of levels of a column that have an output of their own."""

_UNSEEN = -1.0


class Category(NamedTuple):
    """A column that holds the levels of a categorical variable.

    In the float arrays that all other modules work with, a cell is the index of its level in
    `levels`. If training had rare levels, these and all levels that it has not seen share the next
    index; if not, levels that it has not seen are -1. Missing cells are NaN.

    A level is rare if only one training row has it, or if `MAX_LEVELS` others are more frequent.
    The share of the levels that occur once estimates the probability of new ones (I. J. Good, "The
    population frequencies of species and the estimation of population parameters", Biometrika 40,
    1953), so a new level costs as much as one of these.
    """

    column: int
    """The index of the column in X."""
    levels: tuple[Any, ...]
    """The levels that are not rare, in the order of their outputs."""
    has_rare: bool
    """Whether training had rare levels."""

    @property
    def n_outputs(self) -> int:
        """The number of outputs that the networks have for this column."""
        return len(self.levels) + self.has_rare

    def codes(self, values: Any) -> np.ndarray:
        """Return the cells of a column as float64 codes, (n,)."""
        index = {level: float(code) for code, level in enumerate(self.levels)}
        other = float(len(self.levels)) if self.has_rare else _UNSEEN
        return _coded(values, lambda level: index.get(level, other))

    def values(self, codes: np.ndarray) -> np.ndarray:
        """Return the levels for the codes (n,), None where there is none, as an object array."""
        levels = np.empty(len(self.levels) + 2, object)  # the last two stand for rare and unseen
        levels[: len(self.levels)] = self.levels
        at = np.nan_to_num(codes, nan=_UNSEEN)
        return levels[np.minimum(at, len(self.levels)).astype(int)]


class LevelCounter:
    """The levels of a categorical column while training rows are first read.

    It codes each level by the order in which it has first appeared.

    Parameters
    ----------
    column : int
        The index of the column in X.
    """

    def __init__(self, column: int) -> None:
        self.column = column
        self._codes: dict[Any, float] = {}
        self._counts = np.zeros(0, int)

    def codes(self, values: Any) -> np.ndarray:
        """Return the cells of a column as float64 codes, (n,), which `recoded` makes final."""
        return _coded(values, lambda level: self._codes.setdefault(level, float(len(self._codes))))

    def count(self, codes: np.ndarray) -> None:
        """Count the rows of each level among these codes, (n,)."""
        seen = codes[~np.isnan(codes)].astype(int)
        counts = np.bincount(seen, minlength=len(self._codes))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def category(self) -> Category:
        """Return the column as counted."""
        found = list(self._codes)
        frequent = np.flatnonzero(self._counts > 1)
        if len(frequent) > MAX_LEVELS:
            frequent = frequent[np.argsort(-self._counts[frequent], kind="stable")[:MAX_LEVELS]]
        levels = _sorted([found[at] for at in frequent])
        n_seen = int(np.count_nonzero(self._counts))
        return Category(self.column, tuple(levels), len(levels) < n_seen)

    def recoded(self, codes: np.ndarray, category: Category) -> np.ndarray:
        """Return the codes of `category` for those that `codes` has returned, (n,)."""
        final = np.append(category.codes(list(self._codes)), np.nan)
        return final[np.nan_to_num(codes, nan=-1.0).astype(int)]


class Columns(NamedTuple):
    """The columns of X: `n_features_in_`, `feature_names_in_` and the categorical ones."""

    n_features: int
    names: np.ndarray | None
    categories: tuple[Category, ...] = ()

    @classmethod
    def of(cls, estimator: Any) -> Columns:
        """Return the columns that are stored on an estimator."""
        names = getattr(estimator, "feature_names_in_", None)
        return cls(estimator.n_features_in_, names, getattr(estimator, "_categories", ()))

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that tell the columns."""
        names = {} if self.names is None else {"feature_names_in_": self.names}
        return {"n_features_in_": self.n_features, "_categories": self.categories, **names}

    def put_on(self, estimator: Any) -> None:
        """Store these columns on an estimator for scikit-learn's validation to compare with."""
        vars(estimator).pop("feature_names_in_", None)
        vars(estimator).update(self.attributes())


def categorical_columns(categorical_features: Any, X: Any) -> list[int]:
    """Return the indices of the categorical columns of X.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of {bool, int, str} or None
        The parameter of the detector.
    X : array-like, sparse matrix or DataFrame
        The training rows.

    Raises
    ------
    ValueError
        If `categorical_features` does not fit the columns of X.
    """
    frame = frame_columns(X)
    if categorical_features is None:
        return []
    if isinstance(categorical_features, str):  # "from_dtype"
        return [number for number, (_, dtype) in enumerate(frame) if _is_category(dtype)]
    chosen = np.asarray(categorical_features)
    if chosen.size == 0 or np.ndim(X) != 2:
        return []
    names = [name for name, _ in frame]
    n_columns = len(names) or np.shape(X)[-1]
    if chosen.ndim != 1 or not all(isinstance(c, str | bool | np.bool_ | Integral) for c in chosen):
        raise ValueError(
            "categorical_features must be an array-like of bool, int or str, got "
            f"{categorical_features!r}."
        )
    if chosen.dtype.kind == "b":
        if len(chosen) != n_columns:
            raise ValueError(
                f"categorical_features, set as a boolean mask, must have {n_columns} entries, one "
                f"for each column of X, got {len(chosen)}."
            )
        return np.flatnonzero(chosen).tolist()
    if chosen.dtype.kind in "iu":
        if chosen.min() < 0 or chosen.max() >= n_columns:
            raise ValueError(
                "categorical_features, set as integers, must lie in [0, n_features - 1] = [0, "
                f"{n_columns - 1}], got {sorted(set(chosen.tolist()))}."
            )
        return sorted(set(chosen.tolist()))
    if not names:
        raise ValueError(
            "categorical_features has names of columns, but X is not a dataframe. Pass the indices "
            "of the columns, or a boolean mask."
        )
    for name in chosen:
        if name not in names:
            raise ValueError(
                f"categorical_features has {str(name)!r}, which is not a column of X: {names}."
            )
    return sorted({names.index(name) for name in chosen})


def _is_category(dtype: Any) -> bool:
    """Return whether a dtype is pandas's category, or polars's Categorical or Enum."""
    return str(dtype).startswith(("category", "Categorical", "Enum"))


def with_codes(X: Any, coders: Sequence[Category | LevelCounter]) -> Any:
    """Return X with the codes of the categorical columns in place of their levels.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n, n_features)
        Rows as the user has passed them.
    coders : sequence of Category or LevelCounter
        The categorical columns, at least one.

    Raises
    ------
    ValueError
        If X is sparse.
    """
    if sp.issparse(X):
        raise ValueError(
            "Sparse X cannot have categorical_features. Pass X.toarray(), or one-hot columns, "
            "which are recognised."
        )
    if hasattr(X, "iloc"):
        X = X.copy(deep=False)
        for coder in coders:
            X.isetitem(coder.column, coder.codes(X.iloc[:, coder.column]))
        return X
    if frame_columns(X):
        import polars as pl

        return X.with_columns(
            pl.Series(X.columns[c.column], c.codes(frame_column(X, c.column))) for c in coders
        )
    X = np.asarray(X)
    coded = X.astype(np.float64 if X.dtype.kind in "biuf" else object)
    for coder in coders:
        coded[:, coder.column] = coder.codes(X[:, coder.column])
    return coded


def with_levels(rows: np.ndarray, columns: Columns, like: Any = None, container: str = "") -> Any:
    """Return rows of numbers and codes as the user knows them, with levels in place of codes.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Numbers, and codes in categorical columns.
    columns : Columns
        The columns of X.
    like : array-like, DataFrame or None, default=None
        The rows of the user whose container and index are taken. By default, columns with names
        make a dataframe.
    container : str, default=""
        "polars" for a dataframe of polars instead of pandas, if `like` is None.

    Returns
    -------
    rows : ndarray or DataFrame of shape (n, n_features)
        An array of objects if levels are not numbers. Without categorical columns, `rows` itself.
    """
    if not columns.categories:
        return rows
    frame = None if like is None else frame_columns(like)
    names = columns.names if frame is None else [name for name, _ in frame]
    levels = {c.column: c.values(rows[:, c.column]) for c in columns.categories}
    if names is None or not len(names):
        is_numeric = all(
            isinstance(level, int | float) for c in columns.categories for level in c.levels
        )
        array = np.array(rows, dtype=np.float64 if is_numeric else object)
        for column, values in levels.items():
            array[:, column] = values
        return array
    is_polars = container == "polars" if like is None else not hasattr(like, "iloc")
    if is_polars:
        return _polars_frame(rows, names, levels, like)
    table = pd.DataFrame(rows, index=None if like is None else like.index)
    for category in columns.categories:
        found = pd.Categorical(levels[category.column], categories=list(category.levels))
        table.isetitem(category.column, found)
    return table.set_axis(names, axis=1)


def _polars_frame(rows: np.ndarray, names: Any, levels: dict[int, np.ndarray], like: Any) -> Any:
    import polars as pl

    table = pl.DataFrame(rows, schema=[str(name) for name in names])
    for column, values in levels.items():
        series = pl.Series(table.columns[column], values.tolist(), strict=False)
        if like is not None:
            with contextlib.suppress(pl.exceptions.InvalidOperationError):  # a narrower Enum
                series = series.cast(like.schema[series.name])
        table = table.with_columns(series)
    return table


def _coded(values: Any, code: Any) -> np.ndarray:
    """Return `code(level)` for each cell of a column, NaN where it is missing."""
    if hasattr(values, "cat") and hasattr(values, "iloc"):
        found, levels = values.cat.codes.to_numpy(), values.cat.categories
        # Levels that no row has, such as the unused ones of a slice, are not counted as seen.
        used = np.unique(found[found >= 0])
    else:
        values = values.to_list() if hasattr(values, "to_list") else list(values)
        cells = np.empty(len(values), object)
        cells[:] = values
        found, levels = pd.factorize(cells)
        used = np.arange(len(levels))
    codes = np.full(len(levels) + 1, np.nan)  # the last stands for a missing cell
    for at in used:
        level = levels[at]
        codes[at] = code(level.item() if isinstance(level, np.generic) else level)
    return codes[found]


def _sorted(levels: list[Any]) -> list[Any]:
    """Return levels in order, numbers first; or as they are, if they have none."""
    try:
        return sorted(
            levels,
            key=lambda v: ("", v) if isinstance(v, int | float) else (type(v).__name__, v),
        )
    except TypeError:
        return levels
