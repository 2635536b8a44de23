"""What the columns of a table held in training, and how far a later table has drifted from it.

Numbers are told by the shares of ten bins that hold as many training rows each, categories by the
shares of their most frequent levels. The shares of a later table are compared by the population
stability index, the symmetrised Kullback-Leibler divergence: the sum over the bins of
(share now - share then) * ln(share now / share then).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from vae_anomaly.batch.sql import ColumnSchema

N_BINS = 10
"""The number of bins of numbers and dates."""

MAX_LEVELS = 255
"""The number of levels of a category that are remembered, the most frequent ones."""

MAX_NAMES = 20
"""The number of unseen levels that are reported by name."""

_LARGE = 0.25
"""The index above which a distribution is usually said to have changed."""


def profile(values: pd.DataFrame, columns: Sequence[ColumnSchema]) -> dict[str, dict[str, Any]]:
    """Return what columns hold, as plain lists and numbers.

    Parameters
    ----------
    values : DataFrame of shape (n_rows, n_columns)
        The values of the columns, of their types.
    columns : sequence of ColumnSchema
        The columns.

    Returns
    -------
    profile : dict of str to dict
        For each column "n" (rows), "missing" (share of the rows) and either "low", "high", "edges"
        and "shares" of the bins between them (of numbers, and of dates in seconds since 1970), or
        "levels", their "shares" and whether these are "all" of them (of categories). Shares are of
        the rows that are not missing.
    """
    return {column.name: _held(values[column.name], column.kind) for column in columns}


def _held(values: pd.Series, kind: str) -> dict[str, Any]:
    present = values.dropna()
    held: dict[str, Any] = {
        "kind": kind,
        "n": len(values),
        "missing": 1.0 - len(present) / len(values) if len(values) else 0.0,
    }
    if kind == "category":
        counts = present.value_counts()
        top = counts.head(MAX_LEVELS)
        return held | {
            "levels": [str(level) for level in top.index],
            "shares": [float(share) for share in top / max(len(present), 1)],
            "all": len(top) == len(counts),
        }
    numbers = _as_numbers(present)
    if not len(numbers):
        return held | {"low": None, "high": None, "edges": [], "shares": []}
    quantiles = np.quantile(numbers, np.arange(1, N_BINS) / N_BINS)
    edges = np.unique(quantiles)
    counts = np.bincount(_bins(numbers, edges), minlength=len(edges) + 1)
    return held | {
        "low": float(numbers.min()),
        "high": float(numbers.max()),
        "edges": edges.tolist(),
        "shares": (counts / len(numbers)).tolist(),
    }


def _as_numbers(values: pd.Series) -> np.ndarray:
    if values.dtype.kind == "M":
        return values.dt.as_unit("us").astype("int64").to_numpy() / 1e6
    return values.to_numpy(float)


def _bins(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bins of numbers; one that equals an edge is in the lower bin."""
    return np.searchsorted(edges, numbers, side="left")


class Drift:
    """How far tables have drifted from what a model was trained on, column by column.

    Parameters
    ----------
    profile : dict of str to dict
        What the columns held in training, as `profile` returns it.
    """

    def __init__(self, profile: dict[str, dict[str, Any]]) -> None:
        self.profile = profile
        self.n_rows = 0
        self._columns = {name: _Counts(held) for name, held in profile.items()}

    def add(self, values: pd.DataFrame) -> None:
        """Count the rows of another part of the table.

        Parameters
        ----------
        values : DataFrame of shape (n_rows, n_columns)
            The columns of the model, with their types.
        """
        self.n_rows += len(values)
        for name, counts in self._columns.items():
            counts.add(values[name])

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the drift of each column, as plain numbers.

        Returns
        -------
        drift : dict of str to dict
            For each column "psi" (None if there is nothing to compare), "missing" and
            "missing_in_training" (shares), and either "below" and "above" (shares of the values
            outside of the range of training) or "unseen" (share of the values whose level was not
            seen in training) and "unseen_levels" (the most frequent of these with their counts).
        """
        return {name: counts.to_dict() for name, counts in self._columns.items()}

    def warnings(self) -> list[str]:
        """Return what no longer looks like training, in sentences.

        The index of a column warns above 0.25, after what rows as few as these give by chance is
        taken off.
        """
        return [
            f"column {name!r}: {sentence}"
            for name, counts in self._columns.items()
            for sentence in counts.warnings()
        ]

    def state(self) -> dict[str, Any]:
        """Return the counts, as plain numbers, for `restore`."""
        return {
            "n_rows": self.n_rows,
            "columns": {name: counts.state() for name, counts in self._columns.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set the counts to those of `state`."""
        self.n_rows = state["n_rows"]
        for name, counts in self._columns.items():
            counts.restore(state["columns"][name])


class _Counts:
    """The counts of one column."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.held = held
        self.n = self.n_missing = self.below = self.above = self.n_unseen = 0
        self.unseen: Counter[str] = Counter()
        self.is_category = held["kind"] == "category"
        self.edges = np.array(held.get("edges", []))
        self.levels = held.get("levels", [])
        self.counts = np.zeros(len(held["shares"]), int)

    def add(self, values: pd.Series) -> None:
        present = values.dropna()
        self.n += len(values)
        self.n_missing += len(values) - len(present)
        if self.is_category:
            self._add_levels(present)
        elif self.held["low"] is not None:
            numbers = _as_numbers(present)
            self.counts += np.bincount(_bins(numbers, self.edges), minlength=len(self.counts))
            self.below += int((numbers < self.held["low"]).sum())
            self.above += int((numbers > self.held["high"]).sum())

    def _add_levels(self, present: pd.Series) -> None:
        found = present.value_counts()
        self.counts += found.reindex(self.levels, fill_value=0).to_numpy()
        others = found.drop(self.levels, errors="ignore")
        self.n_unseen += int(others.sum())
        for level, count in others.items():
            if level in self.unseen or len(self.unseen) < 50 * MAX_NAMES:
                self.unseen[str(level)] += int(count)

    @property
    def n_present(self) -> int:
        return self.n - self.n_missing

    def psi(self) -> float | None:
        """Return the population stability index."""
        if not self.n_present or not len(self.counts):
            return None
        then, now = np.array(self.held["shares"]) * self._n_then, self.counts
        if self.is_category:
            then = np.append(then, self._n_then - then.sum())
            now = np.append(now, self.n_present - now.sum())
        # Half a row more in each bin keeps the index finite, and small in small tables.
        then = (then + 0.5) / (then + 0.5).sum()
        now = (now + 0.5) / (now + 0.5).sum()
        return float(((now - then) * np.log(now / then)).sum())

    @property
    def _n_then(self) -> float:
        return self.held["n"] * (1 - self.held["missing"])

    def by_chance(self) -> float:
        """Return the index that rows of the same distribution are expected to have.

        It is (number of bins - 1) * (1 / rows now + 1 / rows then) to first order, as that of a
        chi-squared statistic.
        """
        n_bins = len(self.counts) + self.is_category - 1
        return n_bins * (1 / max(self.n_present, 1) + 1 / max(self._n_then, 1))

    def to_dict(self) -> dict[str, Any]:
        drift: dict[str, Any] = {
            "psi": self.psi(),
            "missing": self.n_missing / self.n if self.n else 0.0,
            "missing_in_training": self.held["missing"],
        }
        n = max(self.n_present, 1)
        if not self.is_category:
            return drift | {"below": self.below / n, "above": self.above / n}
        names = dict(self.unseen.most_common(MAX_NAMES)) if self.held["all"] else {}
        return drift | {
            "unseen": self.n_unseen / n if self.held["all"] else None,
            "unseen_levels": names,
        }

    def warnings(self) -> list[str]:
        sentences = []
        psi = self.psi()
        if psi is not None and psi - 3 * self.by_chance() > _LARGE:
            sentences.append(
                f"its values are distributed otherwise than in training (population stability "
                f"index {psi:.2f})"
            )
        if self.n:
            now, then = self.n_missing / self.n, self.held["missing"]
            error = 3 * np.sqrt(max(then, 1 / self.held["n"]) / self.n)
            if now - then > 0.1 + error:
                sentences.append(f"{now:.0%} of its cells are missing, {then:.0%} were in training")
        outside = self.below + self.above
        if outside and outside / self.n_present > 0.05 + 3 * np.sqrt(0.05 / self.n_present):
            sentences.append(
                f"{outside:,} of {self.n_present:,} values are outside of the range of training, "
                f"{self.held['low']:g} to {self.held['high']:g}"
            )
        if self.unseen and self.held["all"]:
            names = [repr(level) for level, _ in self.unseen.most_common(5)]
            more = ", ..." if len(self.unseen) > 5 else ""
            sentences.append(
                f"{self.n_unseen:,} values were never seen in training: {', '.join(names)}{more}"
            )
        return sentences

    def state(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "n_missing": self.n_missing,
            "below": self.below,
            "above": self.above,
            "n_unseen": self.n_unseen,
            "unseen": dict(self.unseen),
            "counts": self.counts.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.unseen = Counter(state["unseen"])
        self.counts = np.array(state["counts"], int)
