"""Counterfactuals: what would make abnormal rows normal, by changing as few columns as possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils import check_scalar

from vae_anomaly.columns import Columns
from vae_anomaly.explanations.attribution import variables_of, with_levels_by_column
from vae_anomaly.explanations.explain import Subject
from vae_anomaly.explanations.sentences import check_units, in_words, is_missing
from vae_anomaly.html_view import N_SENTENCES, sentences_html
from vae_anomaly.rows import as_float64
from vae_anomaly.time_series.windowed import WindowedDetector
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    from vae_anomaly.explanations.folding import Values

_N_CANDIDATES = 20
"""The number of columns that are tried in each round: those that the score loses most without."""

_N_SINGLE = 10
"""The number of rounds that change a single column; later ones change a tenth of all at once."""

_N_IN_WORDS = 5
"""The number of changes that a sentence tells; of more, it tells the first three."""


@dataclass(frozen=True)
class Counterfactuals:
    """Normal counterparts of rows, and how the score falls from one change to the next.

    `vae_anomaly.counterfactuals` returns it. All tables are pandas objects.

    Parameters
    ----------
    rows : DataFrame of shape (n_samples, n_columns)
        The rows with the changes.
    changes : DataFrame of shape (n_changes, 4)
        For each change, the "column", the value "observed", the value that it was "changed_to", and
        the anomaly "score" in nats after this change and those before it. The index consists of the
        row and the number of the change, from 1. Rows that are normal, and those whose score no
        change lowers, have none.
    score : Series of shape (n_samples,)
        The anomaly scores of the rows in nats, ``-score_samples``.
    new_score : Series of shape (n_samples,)
        The anomaly scores of the counterparts.
    threshold : float
        The anomaly score above which a row is an alarm.
    _row_of : ndarray of shape (n_changes,)
        The position of the row of each change, as labels in the index need not be unique.

    See Also
    --------
    counterfactuals : Finds the changes.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector, counterfactuals
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> found = counterfactuals(detector, X.head(2).assign(d=[0.2, 9.0]))
    >>> found
    Counterfactuals of 2 rows, 2 of them normal
    >>> found.changes["column"].tolist()
    ['d']
    """

    rows: pd.DataFrame
    changes: pd.DataFrame
    score: pd.Series
    new_score: pd.Series
    threshold: float
    _row_of: np.ndarray

    @property
    def is_normal(self) -> pd.Series:
        """Whether the score of each counterpart is at most the threshold."""
        return (self.new_score <= self.threshold).rename("is_normal")

    def __repr__(self) -> str:
        """Return how many rows there are, and how many are normal."""
        n_normal = int(self.is_normal.sum())
        return f"Counterfactuals of {counted(len(self.score), 'row')}, {n_normal} of them normal"

    def _repr_html_(self) -> str:
        """Return the sentences of the first rows, for notebooks."""
        first = {name: getattr(self, name).iloc[:N_SENTENCES] for name in ("score", "new_score")}
        shown = dataclasses.replace(self, **first)
        return sentences_html(repr(self), shown.text(), shown.score, len(self.score))

    def text(self, *, units: Mapping[Any, str] | None = None) -> pd.Series:
        """Say in one sentence for each row what would make it normal.

        Parameters
        ----------
        units : mapping of str to str or None, default=None
            The units of the columns by name, such as ``{"amount": "EUR"}``.

        Returns
        -------
        sentences : Series of shape (n_samples,)
            The sentences, such as "With amount 120 instead of 9,120 the score would be 31 instead
            of 2,485, below the threshold 96". Of more than five changes, they tell how many there
            are, and the first three.

        Raises
        ------
        TypeError
            If `units` is not a mapping.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import VAEAnomalyDetector, counterfactuals
        >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
        >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> found = counterfactuals(detector, X.head(2).assign(d=[0.2, 9.0]))
        >>> found.text().iloc[1]
        'With d ... instead of 9 the score would be ..., below the threshold ...'
        """
        units = check_units(units)
        limit = in_words(self.threshold)
        sentences = []
        for row, (before, after) in enumerate(zip(self.score, self.new_score, strict=True)):
            made = self.changes[self._row_of == row]
            if not len(made):
                sentences.append(
                    f"The score, {in_words(before)}, is normal as it is."
                    if before <= self.threshold
                    else f"No change lowers the score, {in_words(before)}, which is above the "
                    f"threshold {limit}."
                )
                continue
            parts = [
                f"{column} {in_words(new, units.get(column, ''))} instead of {in_words(old)}"
                for column, old, new in zip(
                    made["column"], made["observed"], made["changed_to"], strict=True
                )
            ]
            side = "below" if after <= self.threshold else "still above"
            start = f"With {', '.join(parts)}"
            if len(parts) > _N_IN_WORDS:
                start = (
                    "No change of a few columns was found that makes the row normal. "
                    f"With changes in {len(parts)} of {self.rows.shape[1]} columns, among them "
                    f"{', '.join(parts[:3])},"
                )
            sentences.append(
                f"{start} the score would be {in_words(after)} instead of {in_words(before)}, "
                f"{side} the threshold {limit}."
            )
        return pd.Series(sentences, self.score.index, dtype=object, name="counterfactual")


def counterfactuals(model: Any, X: Any, *, max_changes: int | None = None) -> Counterfactuals:
    """Change as few columns of each row as possible to make it normal.

    Columns are changed one after the other, each time the one that lowers the anomaly score most
    [1]_. Changed columns get the value that the decoder expects there given all other columns of
    the row, or the most probable level, within the range of the training rows. The search ends as
    soon as the score is not above the threshold, and changes that turn out not to be needed for
    that are undone: no single one of those that are left can be spared, although there may be a
    smaller set of other columns. If the score never gets there, the changes after the lowest score
    are undone.

    Parameters
    ----------
    model : estimator
        A fitted `VAEAnomalyDetector`, a Pipeline that ends in one, or a meta-estimator around
        these, with a threshold. A column can be changed only if the steps of a Pipeline that lead
        from it can be inverted.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows. Those that are normal are left as they are. An abnormal row takes as long as
        scoring some hundred rows.
    max_changes : int or None, default=None
        The largest number of columns to change in a row. By default, all may be changed.

    Returns
    -------
    counterfactuals : Counterfactuals
        The changed rows, and the score after each change.

    Raises
    ------
    ValueError
        If the model has no threshold, no column can be changed, or `max_changes` is less than 1.
    TypeError
        If the model does not end in a `VAEAnomalyDetector`, or `max_changes` is not an integer.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    explain : Tells which columns made the rows abnormal.

    References
    ----------
    .. [1] Wachter, S., Mittelstadt, B. and Russell, C., "Counterfactual Explanations without
       Opening the Black Box", Harvard Journal of Law & Technology 31(2), 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from vae_anomaly import VAEAnomalyDetector, counterfactuals
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = pd.DataFrame({"t": t, "sin": np.sin(t), "cos": np.cos(t)})
    >>> detector = VAEAnomalyDetector(max_iter=100, random_state=0).fit(X)
    >>> found = counterfactuals(detector, X.head(1).assign(sin=9.0))
    >>> found.changes["column"].tolist(), found.is_normal.tolist()
    (['sin'], [True])
    """
    if max_changes is not None:
        check_scalar(max_changes, "max_changes", Integral, min_val=1)
    subject = Subject.of(model, X)
    if isinstance(subject.detector, WindowedDetector):
        raise TypeError(
            "counterfactuals takes rows, not time points; pass the detector of the windows, "
            "detector_, and windows."
        )
    if subject.threshold is None:
        raise ValueError(
            f"{type(model).__name__} has no threshold; wrap it in a FixedThresholdDetector."
        )
    rows, changed = _Search(subject, max_changes).run()
    return _as_the_user_knows(subject, rows, changed)


class _Search:
    """The search for changes of the rows of a subject, in the columns of its detector."""

    def __init__(self, subject: Subject, max_changes: int | None) -> None:
        detector = subject.detector
        self._vae = detector._vae
        self._before = as_float64(subject.checked)
        self._minimum, self._maximum = detector.data_min_, detector.data_max_
        self._variables = variables_of(self._vae, subject.column_of)
        self._threshold = subject.threshold
        self._is_whole = np.zeros(self._before.shape[1], bool)
        if not subject.steps:
            self._is_whole[:] = [dtype.kind in "biu" for dtype in subject.frame.dtypes]
        known = subject.undo(list(self._before.T))
        can_change = np.array(
            [
                value is not None and isinstance(label, int)
                for label, value in zip(subject.labels, known, strict=True)
            ]
        )
        if not can_change.any():
            raise ValueError(
                "No column can be changed: the steps in front of the detector mix columns or "
                "cannot be undone."
            )
        # A variable can be changed if all of its columns can.
        n_variables = int(self._variables.max()) + 1
        self._can_change = np.ones(n_variables, bool)
        np.logical_and.at(self._can_change, self._variables, can_change[subject.column_of])
        self._max_changes = n_variables if max_changes is None else max_changes

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the changed rows, and the order of each variable's change, 0 where it is not."""
        rows = self._before.copy()
        order = np.zeros((len(rows), len(self._can_change)), int)
        score = -self._vae.score(rows)
        n_rounds = 0
        while True:
            n_changed = (order > 0).sum(axis=1)
            n_allowed = np.minimum(self._max_changes, self._can_change.sum())
            open_rows = np.flatnonzero((score > self._threshold) & (n_changed < n_allowed))
            if not open_rows.size:
                return rows, order
            n_rounds += 1
            n_at_once = 1 if n_rounds <= _N_SINGLE else -(-len(self._can_change) // 10)
            for row in open_rows.tolist():
                rows[row], score[row] = self._change(row, rows[row], order[row], n_at_once)

    def _change(
        self, row: int, current: np.ndarray, order: np.ndarray, n_at_once: int
    ) -> tuple[np.ndarray, float]:
        """Change further variables of a row, and note it in `order`; return row and score."""
        n_at_once = min(n_at_once, self._max_changes - int((order > 0).sum()))
        candidates = np.flatnonzero(self._can_change & (order == 0))
        if len(candidates) > max(_N_CANDIDATES, n_at_once):
            without, _ = self._vae.hide(current[None], self._variables)
            best = np.argsort(-without[0, candidates], kind="stable")
            candidates = candidates[best[: max(_N_CANDIDATES, n_at_once)]]
        changed = np.repeat((order > 0)[None], len(candidates), axis=0)
        changed[np.arange(len(candidates)), candidates] = True
        tried = self._filled_in(row, changed)
        score = -self._vae.score(tried)
        chosen = candidates[np.argsort(score, kind="stable")[:n_at_once]]
        order[chosen] = order.max() + 1 + np.arange(len(chosen))
        if len(chosen) == 1:
            return tried[score.argmin()], float(score.min())
        together = self._filled_in(row, (order > 0)[None])
        return together[0], -float(self._vae.score(together)[0])

    def _filled_in(self, row: int, changed: np.ndarray) -> np.ndarray:
        """Return a row with some variables, (n, n_variables), as the decoder expects them."""
        hidden = changed[:, self._variables]
        rows = self._vae.fill_in(np.repeat(self._before[[row]], len(hidden), axis=0), hidden)
        rows = np.where(hidden & self._is_whole, np.round(rows), rows)
        # The bounds of categories are NaN, which leaves their codes as they are.
        bounded = np.fmax(np.fmin(rows, self._maximum), self._minimum)
        return np.where(hidden, bounded, rows)


def _as_the_user_knows(subject: Subject, rows: np.ndarray, order: np.ndarray) -> Counterfactuals:
    """Return the changes in the columns of the user, with the scores of the model itself."""
    frame, threshold = subject.frame, subject.threshold
    assert threshold is not None
    values = subject.undo(with_levels_by_column(rows, Columns.of(subject.detector)))
    variables = variables_of(subject.detector._vae, subject.column_of)
    order = order[:, variables[subject.first_of]]
    all_rows = np.arange(len(frame))
    counterparts = _changed(subject, all_rows, values, order > 0)
    row_of, label_of = np.nonzero(order)
    cells = (_cells(subject, table, row_of, label_of) for table in (frame, counterparts))
    is_same = [_is_same(before, after) for before, after in zip(*cells, strict=True)]
    order[row_of[is_same], label_of[is_same]] = 0
    score = -_scores(subject, frame)
    steps = _Steps.of(subject, values, order)
    order[steps.row_of, steps.label_of] *= steps.number <= steps.n_needed(score, threshold)
    for row in np.flatnonzero((order > 0).sum(axis=1) > 1).tolist():
        _spare(subject, values, row, order[row])
    steps = _Steps.of(subject, values, order)
    row_of, label_of = steps.row_of, steps.label_of
    counterparts = _changed(subject, all_rows, values, order > 0)

    names = np.empty(len(subject.names), object)
    names[:] = subject.names
    index = pd.MultiIndex.from_arrays(
        [frame.index.take(row_of), steps.number],
        names=["row" if frame.index.name is None else frame.index.name, "change"],
    )
    changes = {
        "column": names[label_of],
        "observed": _cells(subject, frame, row_of, label_of),
        "changed_to": _cells(subject, counterparts, row_of, label_of),
        "score": steps.score,
    }
    return Counterfactuals(
        rows=counterparts,
        changes=pd.DataFrame(changes, index=index),
        score=pd.Series(score, frame.index, name="score"),
        new_score=pd.Series(-_scores(subject, counterparts), frame.index, name="new_score"),
        threshold=threshold,
        _row_of=row_of,
    )


def _changed(
    subject: Subject, row_of: np.ndarray, values: Values, is_made: np.ndarray
) -> pd.DataFrame:
    """Return the rows at these positions, with the values of the labels where a change is made."""
    changed = subject.frame.take(row_of)
    for label in np.flatnonzero(is_made.any(axis=0)).tolist():
        column, found = subject.labels[label], values[label]
        assert isinstance(column, int) and found is not None  # or it could not be changed
        place = np.flatnonzero(is_made[:, label])
        new = _with_values(changed.iloc[:, column], place, found[row_of[place]])
        changed.isetitem(column, new.array)
    return changed


def _cells(
    subject: Subject, frame: pd.DataFrame, row_of: np.ndarray, label_of: np.ndarray
) -> np.ndarray:
    """Return the cells of a frame in these rows, in the columns of these labels."""
    cells = np.empty(len(row_of), object)
    for label in np.unique(label_of).tolist():
        here = label_of == label
        column = subject.labels[label]
        assert isinstance(column, int)  # or it could not be changed
        cells[here] = frame.iloc[:, column].take(row_of[here]).to_numpy(object)
    return cells


def _is_same(before: Any, after: Any) -> bool:
    if is_missing(before) or is_missing(after):
        return is_missing(before) and is_missing(after)
    return bool(before == after)


@dataclass(frozen=True)
class _Steps:
    """The changes of all rows one after the other, with the model's score after each of them."""

    row_of: np.ndarray
    label_of: np.ndarray
    number: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, subject: Subject, values: Values, order: np.ndarray) -> _Steps:
        """Return the steps of an order, (n_rows, n_labels), that is 0 where there is no change."""
        number_of = _numbered(order)
        row_of, label_of = np.nonzero(number_of)
        in_order = np.lexsort([number_of[row_of, label_of], row_of])
        row_of, label_of = row_of[in_order], label_of[in_order]
        number, score = number_of[row_of, label_of], np.empty(0)
        if row_of.size:
            # A change stays for the later changes of the same row.
            is_made = (number_of[row_of] > 0) & (number_of[row_of] <= number[:, None])
            score = -_scores(subject, _changed(subject, row_of, values, is_made))
        return cls(row_of, label_of, number, score)

    def n_needed(self, score: np.ndarray, threshold: float) -> np.ndarray:
        """Return for each step how many of its row are needed to be normal, or at the lowest score.

        There are none if no change lowers the score of the row.
        """
        # To the order, all scores that are normal are equal, so that the first of them comes first.
        by_score = np.lexsort([self.number, np.maximum(self.score, threshold), self.row_of])
        best = by_score[np.unique(self.row_of[by_score], return_index=True)[1]]
        best = best[self.score[best] < score[self.row_of[best]]]
        n_steps = np.zeros(len(score), int)
        n_steps[self.row_of[best]] = self.number[best]
        return n_steps[self.row_of]


def _spare(subject: Subject, values: Values, row: int, order: np.ndarray) -> None:
    """Undo changes without which a row is normal, in its `order`, until each one is needed."""
    threshold = subject.threshold
    assert threshold is not None

    def scores_without(labels: np.ndarray, spared: np.ndarray) -> np.ndarray:
        is_made = np.repeat((order > 0)[None], len(spared), axis=0)
        is_made[:, labels] &= ~spared
        return -_scores(subject, _changed(subject, np.full(len(spared), row), values, is_made))

    while (labels := np.flatnonzero(order)).size > 1:
        score = scores_without(labels, np.eye(len(labels), dtype=bool))
        if score.min() > threshold:
            return
        # As many as can be spared at once, beginning with the change that matters least.
        rank = np.empty(len(labels), int)
        rank[np.argsort(score, kind="stable")] = np.arange(len(labels))
        score = scores_without(labels, rank <= np.arange(len(labels) - 1)[:, None])
        order[labels[rank <= np.flatnonzero(score <= threshold)[-1]]] = 0


def _numbered(order: np.ndarray) -> np.ndarray:
    """Return positive entries replaced by 1, 2, ... in each row, in the same order."""
    by_order = np.argsort(np.argsort(np.where(order > 0, order, np.inf), axis=1, kind="stable"))
    return np.where(order > 0, by_order + 1, 0)


def _scores(subject: Subject, frame: pd.DataFrame) -> np.ndarray:
    """Return the scores of rows in the form in which the model was fitted."""
    model = subject.model
    # A meta-estimator around a fitted model need not be fitted, and then has no names.
    first = subject.steps[0] if subject.steps else subject.detector
    has_names = any(hasattr(part, "feature_names_in_") for part in (model, first))
    return model.score_samples(frame if has_names else frame.to_numpy())


def _with_values(column: pd.Series, place: np.ndarray, values: Any) -> pd.Series:
    """Return a column with other values at some places, of a type that can hold them."""
    dtype, types = column.dtype, pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):
        new = pd.Index(values).dropna().unique().difference(dtype.categories)
        column = column.cat.add_categories(new)
    elif types.is_bool_dtype(dtype):
        values = np.round(values.astype(float)).astype(bool)
    elif types.is_integer_dtype(dtype):
        values = values.astype(float)
        if not np.array_equal(values, np.round(values)):
            column = column.astype("Float64" if types.is_extension_array_dtype(dtype) else float)
    elif not types.is_float_dtype(dtype):
        column = column.astype(object)
    column = column.copy()
    if types.is_numeric_dtype(column.dtype):
        values = pd.array(values, dtype=column.dtype)
    column.iloc[place] = values
    return column
