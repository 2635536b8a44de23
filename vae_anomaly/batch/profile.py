"""What the columns of a table held in training, and how far a later table has drifted from it.

Numbers are described by the shares of ten bins that hold equally many training rows, categories by
the shares of their most frequent levels. The shares of a later table are compared by the population
stability index, the symmetrised Kullback-Leibler divergence: the sum over the bins of
(share now - share then) * ln(share now / share then).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from vae_anomaly.batch.schema import TableSchema
    from vae_anomaly.batch.sql import ColumnSchema

N_BINS = 10
"""The number of bins of numbers and dates."""

MAX_LEVELS = 255
"""The number of levels of a category that are remembered, the most frequent ones."""

MAX_NAMES = 20
"""The number of unseen levels that are reported by name."""

_MAX_COUNTED = 10_000
"""The number of different levels that are counted in training."""

_MAX_UNSEEN = 1000
"""The number of different unseen levels that are counted one by one."""

_SAMPLE = 100_000
"""The number of values from which the bins of a column are told."""

SMALL = 0.1
"""The index below which a distribution is usually said not to have changed."""

LARGE = 0.25
"""The index above which a distribution is usually said to have changed a lot."""


class Profiler:
    """Adds up what columns hold.

    Parameters
    ----------
    columns : sequence of ColumnSchema
        The columns.
    """

    def __init__(self, columns: Sequence[ColumnSchema]) -> None:
        self._columns = {
            column.name: _Levels() if column.kind == "category" else _Numbers(column.kind)
            for column in columns
        }

    def add(self, values: pd.DataFrame) -> None:
        """Add the next rows, whose columns have their types."""
        for name, held in self._columns.items():
            held.add(values[name])

    def profile(self) -> dict[str, dict[str, Any]]:
        """Return what the columns hold, as plain lists and numbers.

        Returns
        -------
        profile : dict of str to dict
            For each column its "kind", "n" (rows), "missing" (share of the rows) and either "low",
            "high", "edges" and "shares" of the bins between them (of numbers, and of dates in
            seconds since 1970), or "levels", their "shares" and whether these are "all" of them
            (of categories). Shares are of the rows that are not missing.
        """
        return {name: held.profile() for name, held in self._columns.items()}


class _Held:
    """What a column holds."""

    kind = "category"

    def __init__(self) -> None:
        self.n = self.n_present = 0

    def add(self, values: pd.Series) -> None:
        present = values.dropna()
        self.n += len(values)
        self.n_present += len(present)
        self.add_present(present)

    def add_present(self, present: pd.Series) -> None:
        raise NotImplementedError

    def profile(self) -> dict[str, Any]:
        missing = 1.0 - self.n_present / self.n if self.n else 0.0
        return {"kind": self.kind, "n": self.n, "missing": missing}


class _Levels(_Held):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.is_complete = True

    def add_present(self, present: pd.Series) -> None:
        self.is_complete &= not _count(self.counts, present.value_counts(), _MAX_COUNTED)

    def profile(self) -> dict[str, Any]:
        # Levels that are as frequent are in order, whatever the order of the rows.
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return super().profile() | {
            "levels": [level for level, _ in ordered[:MAX_LEVELS]],
            "shares": [count / max(self.n_present, 1) for _, count in ordered[:MAX_LEVELS]],
            "all": self.is_complete and len(ordered) <= MAX_LEVELS,
        }


class _Numbers(_Held):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.low, self.high = np.inf, -np.inf
        self.sample = np.zeros(0)
        self.step = 1
        """Every how manyth value is in the sample."""

    def add_present(self, present: pd.Series) -> None:
        numbers = _as_numbers(present)
        if not len(numbers):
            return
        self.low, self.high = min(self.low, numbers.min()), max(self.high, numbers.max())
        first = -(self.n_present - len(numbers)) % self.step
        self.sample = np.append(self.sample, numbers[first :: self.step])
        while len(self.sample) > _SAMPLE:
            self.sample, self.step = self.sample[::2], 2 * self.step

    def profile(self) -> dict[str, Any]:
        held = super().profile()
        if not self.n_present:
            return held | {"low": None, "high": None, "edges": [], "shares": []}
        edges = np.unique(np.quantile(self.sample, np.arange(1, N_BINS) / N_BINS))
        counts = np.bincount(_bins(self.sample, edges), minlength=len(edges) + 1)
        return held | {
            "low": float(self.low),
            "high": float(self.high),
            "edges": edges.tolist(),
            "shares": (counts / len(self.sample)).tolist(),
        }


def _count(counts: Counter[str], found: pd.Series, limit: int) -> bool:
    """Add counts of levels to others; return whether there are too many to count them all."""
    too_many = False
    for level, count in zip(found.index, found, strict=True):
        if level in counts or len(counts) < limit:
            counts[str(level)] += int(count)
        else:
            too_many = True
    return too_many


def _as_numbers(values: pd.Series) -> np.ndarray:
    if values.dtype.kind == "M":
        return values.dt.as_unit("us").astype("int64").to_numpy() / 1e6
    return values.to_numpy(float)


def _bins(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bins of numbers; one that equals an edge is in the lower bin."""
    return np.searchsorted(edges, numbers, side="left")


class Drift:
    """How far a table has drifted from what a model was trained on, column by column.

    Parameters
    ----------
    schema : TableSchema
        The columns of the model. Those whose contents in training are not known are not compared.
    """

    def __init__(self, schema: TableSchema) -> None:
        held = getattr(schema, "profile_", {})
        self._columns: dict[str, _Counts] = {
            name: _LevelCounts(found) if found["kind"] == "category" else _NumberCounts(found)
            for name, found in held.items()
        }

    def add(self, values: pd.DataFrame) -> None:
        """Count the rows of another part of the table.

        Parameters
        ----------
        values : DataFrame of shape (n_rows, n_columns)
            The columns of the model, with their types.
        """
        for name, counts in self._columns.items():
            counts.add(values[name])

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the drift of each column, as plain numbers.

        Returns
        -------
        drift : dict of str to dict
            For each column "psi" (None if there is nothing to compare), "warns" (whether `warnings`
            names it), "missing" and "missing_in_training" (shares of the rows), and either "below"
            and "above" (shares of the values outside of the range of training) or "unseen" (share
            of the values whose level training did not have; None if it had too many to remember)
            and "unseen_levels" (the most frequent of these with their counts).
        """
        return {name: counts.summary() for name, counts in self._columns.items()}

    def warnings(self) -> list[str]:
        """Return in sentences what no longer looks like training.

        The index of a column warns above 0.25, when three times what so few rows give by chance is
        taken off; unseen levels always do.
        """
        return [
            f"column {name!r}: {sentence}"
            for name, counts in self._columns.items()
            for sentence in counts.warnings()
        ]

    def to_state(self) -> dict[str, Any]:
        """Return what `from_state` needs, as JSON can hold it."""
        return {"columns": {name: counts.to_state() for name, counts in self._columns.items()}}

    @classmethod
    def from_state(cls, schema: TableSchema, state: dict[str, Any]) -> Self:
        """Return the drift that gave a state."""
        drift = cls(schema)
        for name, counts in drift._columns.items():
            counts.restore(state["columns"][name])
        return drift


class _Counts:
    """The cells of one column, by bins."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.held = held
        self.n = self.n_present = 0
        self.counts = np.zeros(len(held["shares"]), int)

    def add(self, values: pd.Series) -> None:
        present = values.dropna()
        self.n += len(values)
        self.n_present += len(present)
        if len(self.counts):
            self.add_present(present)

    def add_present(self, present: pd.Series) -> None:
        raise NotImplementedError

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of rows in the bins, in training and now."""
        return np.array(self.held["shares"]) * self.n_then, self.counts

    @property
    def n_then(self) -> float:
        """The number of rows of training that are not missing."""
        return self.held["n"] * (1 - self.held["missing"])

    def psi(self) -> float | None:
        """Return the population stability index."""
        if not self.n_present or not len(self.counts):
            return None
        # Half a row more in each bin keeps the index finite, and small in small tables.
        then, now = ((rows + 0.5) / (rows + 0.5).sum() for rows in self.pairs())
        return float(((now - then) * np.log(now / then)).sum())

    def by_chance(self) -> float:
        """Return the index that as many rows of the same distribution are expected to have.

        To first order it is (number of bins - 1) * (1 / rows now + 1 / rows then), that of a
        chi-squared statistic.
        """
        then, _ = self.pairs()
        return (len(then) - 1) * (1 / self.n_present + 1 / max(self.n_then, 1))

    def summary(self) -> dict[str, Any]:
        return {
            "psi": self.psi(),
            "warns": bool(self.warnings()),
            "missing": 1.0 - self.n_present / self.n if self.n else 0.0,
            "missing_in_training": self.held["missing"],
        }

    def warnings(self) -> list[str]:
        sentences = []
        psi = self.psi()
        if psi is not None and psi - 3 * self.by_chance() > LARGE:
            sentences.append(
                "its values are distributed differently from training (population stability "
                f"index {psi:.2f})"
            )
        if self.n:
            now, then = 1 - self.n_present / self.n, self.held["missing"]
            error = 3 * np.sqrt(max(then, 1 / self.held["n"]) / self.n)
            if now - then > 0.1 + error:
                sentences.append(f"{now:.0%} of its cells are missing, {then:.0%} were in training")
        return sentences

    def to_state(self) -> dict[str, Any]:
        return {"n": self.n, "n_present": self.n_present, "counts": self.counts.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        self.n, self.n_present = state["n"], state["n_present"]
        self.counts = np.array(state["counts"], int)


class _NumberCounts(_Counts):
    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__(held)
        self.below = self.above = 0
        self.edges = np.array(held["edges"])

    def add_present(self, present: pd.Series) -> None:
        numbers = _as_numbers(present)
        self.counts += np.bincount(_bins(numbers, self.edges), minlength=len(self.counts))
        self.below += int((numbers < self.held["low"]).sum())
        self.above += int((numbers > self.held["high"]).sum())

    def summary(self) -> dict[str, Any]:
        n = max(self.n_present, 1)
        return super().summary() | {"below": self.below / n, "above": self.above / n}

    def warnings(self) -> list[str]:
        sentences = super().warnings()
        n_outside = self.below + self.above
        if n_outside > 0.05 * self.n_present + 3 * np.sqrt(0.05 * self.n_present):
            low, high = self.held["low"], self.held["high"]
            if self.held["kind"] == "date":
                low, high = (
                    pd.Timestamp(t, unit="s").isoformat(" ", "seconds") for t in (low, high)
                )
            else:
                low, high = f"{low:g}", f"{high:g}"
            sentences.append(
                f"{n_outside:,} of {self.n_present:,} values are outside of the range of training, "
                f"{low} to {high}"
            )
        return sentences

    def to_state(self) -> dict[str, Any]:
        return super().to_state() | {"below": self.below, "above": self.above}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.below, self.above = state["below"], state["above"]


class _LevelCounts(_Counts):
    def __init__(self, held: dict[str, Any]) -> None:
        super().__init__(held)
        self.n_unseen = 0
        self.unseen: Counter[str] = Counter()

    def add_present(self, present: pd.Series) -> None:
        found = present.value_counts()
        self.counts += found.reindex(self.held["levels"], fill_value=0).to_numpy()
        others = found.drop(self.held["levels"], errors="ignore")
        self.n_unseen += int(others.sum())
        _count(self.unseen, others, _MAX_UNSEEN)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        then, now = super().pairs()
        return np.append(then, self.n_then - then.sum()), np.append(now, self.n_unseen)

    @property
    def names(self) -> list[tuple[str, int]]:
        """The levels that training did not have, the most frequent ones first."""
        if not self.held["all"]:
            return []
        return sorted(self.unseen.items(), key=lambda item: (-item[1], item[0]))

    def summary(self) -> dict[str, Any]:
        share = self.n_unseen / max(self.n_present, 1) if self.held["all"] else None
        names = dict(self.names[:MAX_NAMES])
        return super().summary() | {"unseen": share, "unseen_levels": names}

    def warnings(self) -> list[str]:
        sentences = super().warnings()
        if self.names:
            shown = ", ".join(repr(level) for level, _ in self.names[:5])
            more = ", ..." if len(self.names) > 5 else ""
            sentences.append(
                f"{self.n_unseen:,} of {self.n_present:,} values have levels that training did not "
                f"have: {shown}{more}"
            )
        return sentences

    def to_state(self) -> dict[str, Any]:
        return super().to_state() | {"n_unseen": self.n_unseen, "unseen": dict(self.unseen)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.n_unseen, self.unseen = state["n_unseen"], Counter(state["unseen"])
