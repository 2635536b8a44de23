"""Explanation: the contributions to the scores of some rows, with what was expected instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from vae_anomaly.explanations.sentences import check_units, reason_in_words
from vae_anomaly.html_view import N_SENTENCES, sentences_html
from vae_anomaly.wording import counted


@dataclass(frozen=True)
class Explanation:
    """What makes rows abnormal: the contributions of the columns to the anomaly score.

    `vae_anomaly.explain` and `VAEAnomalyDetector.explain` return it. All tables are pandas objects
    with one line for each row that was explained, and have the index of X if X has one.

    Parameters
    ----------
    contributions : DataFrame of shape (n_samples, n_columns + 1)
        What each column adds to the anomaly score, in nats. The last column holds what belongs to
        no column: "(code)" is the KL divergence, and "(rest)" is the part of the score that hiding
        single columns does not account for. For time points, "(neighbours)" is what the other time
        points of the window add. The sum of each line is ``-score_samples``.
    observed : DataFrame of shape (n_samples, n_columns)
        The values of the rows.
    expected : DataFrame of shape (n_samples, n_columns)
        The values that the decoder expects, in the units of the columns and within the range of
        the training rows, or the most probable levels.
    usual : DataFrame of shape (n_columns, 3)
        For each column, the 5 % and the 95 % quantile of the training rows, "low" and "high", and
        the most frequent "levels" if it holds categories.
    score : Series of shape (n_samples,)
        The anomaly scores in nats, ``-score_samples``.
    threshold : float or None
        The anomaly score above which a row is an alarm, ``-offset_``; None if the model has no
        threshold.
    attribution : {"terms", "hiding"}
        How the score is divided among the columns, see `explain`.
    latent : DataFrame of shape (n_samples, latent_dim) or None, default=None
        What each latent dimension adds, in nats; the sum is "(code)". It is given for single rows
        with ``attribution="terms"`` only.
    notes : tuple of str, default=()
        Remarks on the columns: steps that mix them, and columns that no score depends on.
    sample_shape : tuple of int or None, default=None
        The `input_shape` of the detector.

    See Also
    --------
    explain : Returns the explanation of any model that ends in a VAE.
    ContributionsDisplay : Plots the contributions to the score of one row.
    ContributionHeatmapDisplay : Plots the contributions to the scores of many rows.
    ReconstructionDisplay : Plots what was observed beside what was expected.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector, explain
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> explanation = explain(detector, X.head(3).assign(d=9.0))
    >>> explanation
    Explanation of 3 rows by 'terms'
    >>> explanation.contributions.columns.tolist()
    ['a', 'b', 'c', 'd', '(code)']
    >>> float(explanation.usual.loc["d", "high"].round(1))
    2.3
    """

    contributions: pd.DataFrame
    observed: pd.DataFrame
    expected: pd.DataFrame
    usual: pd.DataFrame
    score: pd.Series
    threshold: float | None
    attribution: str
    latent: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    sample_shape: tuple[int, ...] | None = None

    @property
    def in_sample_shape(self) -> np.ndarray:
        """The contributions of the cells of images or sequences, without those of the code.

        They have the shape ``(n_samples, *input_shape)`` and are in nats.

        Raises
        ------
        AttributeError
            If the detector has no `input_shape`.
        """
        if self.sample_shape is None:
            raise AttributeError("The detector has no input_shape: its rows are not images.")
        return self._columns.reshape(-1, *self.sample_shape)

    @property
    def _columns(self) -> np.ndarray:
        """The contributions of the columns alone."""
        return self.contributions.to_numpy()[:, : self.observed.shape[1]]

    def reasons(self, n_reasons: int = 3) -> pd.DataFrame:
        """Return the largest contributions of each row.

        Parameters
        ----------
        n_reasons : int, default=3
            The number of reasons for each row, at most the number of contributions.

        Returns
        -------
        reasons : DataFrame of shape (n_samples * n_reasons, 5)
            The "column", its "contribution" in nats, its "share" of all positive contributions,
            from 0 to 1, and the values "observed" and "expected", which are None for "(code)" and
            the like. The index consists of the row and the number of the reason, from 1.

        Raises
        ------
        ValueError
            If `n_reasons` is less than 1.
        TypeError
            If `n_reasons` is not an integer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector, explain
        >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> explanation = explain(detector, X.head(3).assign(d=9.0))
        >>> explanation.reasons(1)["column"].tolist()
        ['d', 'd', 'd']
        """
        return self._reasons(self._largest(n_reasons))

    def _reasons(self, order: np.ndarray) -> pd.DataFrame:
        """Return the contributions at these positions, (n_samples, n_reasons), as `reasons`."""
        values = self.contributions.to_numpy()
        n_rows, n_reasons = order.shape
        observed, expected = self._cells(self.observed, order), self._cells(self.expected, order)
        largest = np.take_along_axis(values, order, axis=1)
        positive = np.maximum(values, 0.0).sum(axis=1, keepdims=True)
        names = np.empty(values.shape[1], object)
        names[:] = list(self.contributions.columns)
        index = pd.MultiIndex.from_arrays(
            [
                self.score.index.repeat(n_reasons),
                np.tile(np.arange(1, n_reasons + 1), n_rows),
            ],
            names=["row" if self.score.index.name is None else self.score.index.name, "reason"],
        )
        with np.errstate(invalid="ignore"):
            share = largest / positive
        return pd.DataFrame(
            {
                "column": names[order].ravel(),
                "contribution": largest.ravel(),
                "share": share.ravel(),
                "observed": observed.ravel(),
                "expected": expected.ravel(),
            },
            index=index,
        )

    def text(self, n_reasons: int = 3, *, units: Mapping[Any, str] | None = None) -> pd.Series:
        """Say in one sentence for each row what makes it abnormal.

        Parameters
        ----------
        n_reasons : int, default=3
            The largest number of reasons in a sentence. Contributions of less than 1 % are left
            out.
        units : mapping of str to str or None, default=None
            The units of the columns by name, such as ``{"amount": "EUR"}``.

        Returns
        -------
        sentences : Series of shape (n_samples,)
            The sentences, such as "amount 9,120 EUR, where 40 to 310 EUR is usual (71 % of the
            score)".

        Raises
        ------
        ValueError
            If `n_reasons` is less than 1.
        TypeError
            If `n_reasons` is not an integer, or `units` is not a mapping.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector, explain
        >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> explanation = explain(detector, X.head(3).assign(d=9.0))
        >>> explanation.text(n_reasons=1, units={"d": "cm"})[0]
        'd 9 cm, where 0.2 to 2.3 cm is usual (... % of the score)'
        """
        units = check_units(units)
        largest = self._largest(n_reasons)
        reasons, n_taken = self._reasons(largest), largest.shape[1]
        ranges = {
            at: (low, high, levels)
            for at, (low, high, levels) in enumerate(
                zip(self.usual["low"], self.usual["high"], self.usual["levels"], strict=True)
            )
        }
        sentences = []
        parts: list[str] = []
        columns = (reasons[name].to_numpy() for name in ("column", "observed", "expected"))
        rows = zip(largest.ravel().tolist(), *columns, reasons["share"].tolist(), strict=True)
        for number, (at, name, observed, expected, share) in enumerate(rows, start=1):
            if share >= 0.01:
                words = reason_in_words(name, observed, expected, ranges.get(at), units)
                parts.append(f"{words} ({100 * share:.0f} %{'' if parts else ' of the score'})")
            if number % n_taken == 0:
                sentences.append("; ".join(parts))
                parts = []
        return pd.Series(sentences, self.score.index, dtype=object, name="explanation")

    def importance(self, among: str = "alarms") -> pd.Series:
        """Return the mean contribution of each column, the largest first.

        Parameters
        ----------
        among : {"alarms", "all"}, default="alarms"
            The rows to average over.

        Returns
        -------
        importance : Series of shape (n_columns + 1,)
            The mean contributions in nats.

        Raises
        ------
        ValueError
            If `among` is not valid, or if it is "alarms" and there is no alarm or no threshold.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector, explain
        >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> explanation = explain(detector, X.head(3).assign(d=9.0))
        >>> explanation.importance("all").index[0]
        'd'
        """
        if among not in ("alarms", "all"):
            raise ValueError(f"among must be 'alarms' or 'all', got {among!r}.")
        values = self.contributions
        if among == "alarms":
            if self.threshold is None:
                raise ValueError("The detector has no threshold: pass among='all'.")
            is_alarm = (self.score > self.threshold).to_numpy()
            if not is_alarm.any():
                raise ValueError("No row is an alarm: pass other rows, or among='all'.")
            values = values[is_alarm]
        return values.mean().sort_values(ascending=False, kind="stable").rename("importance")

    def __repr__(self) -> str:
        """Return how many rows there are, and how their scores are shared out."""
        return f"Explanation of {counted(len(self), 'row')} by {self.attribution!r}"

    def _repr_html_(self) -> str:
        """Return the sentences of the first rows, for notebooks."""
        first = {
            name: getattr(self, name).iloc[:N_SENTENCES]
            for name in ("contributions", "observed", "expected", "score")
        }
        shown = dataclasses.replace(self, **first)
        return sentences_html(repr(self), shown.text(), shown.score, len(self))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.score)

    def _largest(self, n: int) -> np.ndarray:
        """Return the positions of the n largest contributions of each row, (n_samples, n)."""
        check_scalar(n, "n_reasons", Integral, min_val=1)
        values = self.contributions.to_numpy()
        n = min(n, values.shape[1])
        if n < values.shape[1]:
            found = np.argpartition(-values, n - 1, axis=1)[:, :n]
        else:
            found = np.broadcast_to(np.arange(n), values.shape)
        order = np.argsort(-np.take_along_axis(values, found, axis=1), axis=1, kind="stable")
        return np.take_along_axis(found, order, axis=1)

    def _cells(self, frame: pd.DataFrame, at: np.ndarray) -> np.ndarray:
        """Return the cells of a frame at these positions, None beyond its columns."""
        cells = np.full(at.shape, None, object)
        for column in range(frame.shape[1]):
            row, number = np.nonzero(at == column)
            if row.size:
                cells[row, number] = frame.iloc[:, column].take(row).to_numpy(object)
        return cells
