"""explain: the explanation of any model that ends in a VAE, for the columns that the user knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.encoding import sums_by_column
from vae_anomaly.explanations.attribution import ATTRIBUTIONS, attribute
from vae_anomaly.explanations.explanation import Explanation
from vae_anomaly.inputs import without_arrow
from vae_anomaly.nested import inside
from vae_anomaly.not_numbers import frame_columns
from vae_anomaly.thresholds.fitting import own_threshold
from vae_anomaly.time_series.windowed import WindowedDetector

if TYPE_CHECKING:
    from vae_anomaly.explanations.folding import Folding, Label, Values

_MAX_PARTS = 8
"""The largest number of outputs that stand for the expected value of a column."""


def explain(model: Any, X: Any, *, attribution: str = "terms") -> Explanation:
    """Explain the scores of rows: which columns made them abnormal, and what was expected.

    The anomaly score is a sum over the columns and the code, whose contributions therefore add up
    to it exactly.

    Parameters
    ----------
    model : estimator
        A fitted `VAEAnomalyDetector` or `WindowedDetector`, a Pipeline that ends in one, or a
        meta-estimator around these, such as `TunedThresholdDetectorCV` or a search of scikit-learn.
        Contributions are those of the columns that the first step of a Pipeline is given: scalers,
        imputers, encoders, selectors, ColumnTransformer and FeatureUnion are followed back. The
        outputs of steps that mix columns, such as PCA, count as columns themselves; the `notes` of
        the explanation say so.

    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows to explain, as `score_samples` takes them.

    attribution : {"terms", "hiding"}, default="terms"
        How the score is divided among the columns.

        - "terms": each column has its own term of the score, which is its reconstruction, and
          "(code)" has the KL divergence. This takes little longer than scoring.
        - "hiding": the contribution of a column is how much the score falls when the column is
          hidden, so that its value is predicted from the others; "(rest)" is what remains. If the
          score without the column that lowers it most is still higher than that of 95 % of the
          training rows, this column stays hidden while each of the others is hidden in addition,
          and so on, so that information that two columns share is found, too. This finds the cause
          more often than "terms", because a network that copies an abnormal value to its output
          hides the cause in the code. For each column, it takes about three times as long as
          scoring.

    Returns
    -------
    explanation : Explanation
        The contributions, which sum to ``-score_samples(X)``, with the values that were observed,
        expected and usual.

    Raises
    ------
    ValueError
        If `attribution` is not valid, or a step changes the number of rows or does not say how many
        columns it returns.
    TypeError
        If the model does not end in a VAE.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    counterfactuals : Finds changes that would make the rows normal.
    ContributionsDisplay : Plots the contributions to the score of a row.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from vae_anomaly import VAEAnomalyDetector, explain
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> X = pd.DataFrame({"t": t, "sin": np.sin(t), "cos": np.cos(t)})
    >>> detector = VAEAnomalyDetector(max_iter=100, random_state=0).fit(X)
    >>> explanation = explain(detector, X.head(3).assign(sin=9.0))
    >>> explanation.contributions.idxmax(axis=1).tolist()
    ['sin', 'sin', 'sin']
    >>> explanation.text(n_reasons=1)[0]
    'sin 9, where -0.984 to 0.995 is usual (... % of the score)'
    """
    if attribution not in ATTRIBUTIONS:
        raise ValueError(f"attribution must be one of {ATTRIBUTIONS}, got {attribution!r}.")
    subject = Subject.of(model, X)
    found = attribute(subject.detector, subject.checked, attribution, subject.column_of)
    names, index = subject.names, subject.frame.index
    contributions = sums_by_column(found.columns, subject.column_of, len(names))
    others = np.column_stack(list(found.others.values()))
    low, high = subject.undo(found.low), subject.undo(found.high)
    shape = getattr(subject.detector, "input_shape", None)
    return Explanation(
        contributions=pd.DataFrame(
            np.hstack([contributions, others]), index, [*names, *found.others]
        ),
        observed=_frame(subject.observed(), names, index),
        expected=_frame(subject.undo(found.expected, in_parts=True), names, index),
        usual=_usual(low, high, [found.levels[at] for at in subject.first_of], names),
        score=pd.Series(contributions.sum(axis=1) + others.sum(axis=1), index, name="score"),
        threshold=subject.threshold,
        attribution=attribution,
        latent=None
        if found.latent is None
        else pd.DataFrame(found.latent, index, [f"z{at}" for at in range(found.latent.shape[1])]),
        notes=subject.notes,
        sample_shape=tuple(shape) if shape is not None and not subject.steps else None,
    )


class Subject(NamedTuple):
    """Rows to explain: as the user has passed them, as the detector sees them, and how they map."""

    model: Any
    detector: Any
    """The VAEAnomalyDetector or WindowedDetector at the end of the model."""
    steps: list[Any]
    """The steps in front of it."""
    frame: pd.DataFrame
    """The user's rows."""
    rows: Any
    """The rows that the detector is given."""
    checked: Any
    """What the detector's check of its input makes of them; of time points, their windows."""
    labels: list[Label]
    """What is explained: indices of columns of the user, then names of outputs that mix some."""
    column_of: np.ndarray
    """The position in `labels` of each column of the detector."""
    folding: Folding
    input_names: list[Any]
    """The names of the columns of the detector."""

    @classmethod
    def of(cls, model: Any, X: Any) -> Subject:
        """Return what is to be explained of the rows X by a model."""
        from vae_anomaly.explanations.folding import fold_steps  # many modules of scikit-learn

        X = without_arrow(X)
        detector, steps, rows = _unwrapped(model, X)
        is_windowed = isinstance(detector, WindowedDetector)
        # Its messages about rows that do not fit are better than those of a dataframe.
        checked = detector._locate(rows) if is_windowed else detector._check(rows)
        frame = as_frame(X, model)
        if is_windowed and not steps:
            known = detector.group_column, detector.time_column
            frame = frame.drop(columns=[name for name in known if name in frame.columns])
        if np.shape(rows)[0] != len(frame):
            raise ValueError(
                f"A step in front of the detector returns {np.shape(rows)[0]} rows for "
                f"{len(frame)}, so they cannot be explained one by one."
            )
        n_features = detector.n_features_in_
        of_user: list[Label] = list(range(frame.shape[1]))
        folding = fold_steps(steps, of_user, list(frame.columns), n_features)
        labels = sorted({label for label in folding.labels if isinstance(label, int)})
        named = dict.fromkeys(label for label in folding.labels if isinstance(label, str))
        ordered: list[Label] = [*labels, *named]
        place = {label: at for at, label in enumerate(ordered)}
        column_of = np.array([place[label] for label in folding.labels], int)
        names = getattr(detector, "feature_names_in_", folding.names)
        return cls(
            model, detector, steps, frame, rows, checked, ordered, column_of, folding, list(names)
        )

    @property
    def names(self) -> list[Any]:
        """The names of what is explained."""
        columns = self.frame.columns
        return [columns[label] if isinstance(label, int) else label for label in self.labels]

    @property
    def first_of(self) -> np.ndarray:
        """The first column of the detector that belongs to each label."""
        return np.unique(self.column_of, return_index=True)[1]

    @property
    def threshold(self) -> float | None:
        """The anomaly score above which a row is an alarm."""
        model = self.model
        while own_threshold(model) is None and hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        offset = own_threshold(model)
        return None if offset is None else -offset

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about the columns."""
        notes = []
        mixed = [label for label in self.labels if isinstance(label, str)]
        if mixed:
            notes.append(
                f"A step mixes columns; its outputs are explained instead: {', '.join(mixed)}."
            )
        unused = [str(name) for at, name in enumerate(self.frame.columns) if at not in self.labels]
        if unused and not mixed:
            notes.append(f"No score depends on these columns: {', '.join(unused)}.")
        return tuple(notes)

    def observed(self) -> list[Any]:
        """Return the values of the rows, by label."""
        found: dict[str, np.ndarray] = {}
        if any(isinstance(label, str) for label in self.labels):
            self.folding.undo(columns_of(self.rows), found)
        return [
            self.frame.iloc[:, label] if isinstance(label, int) else found.get(label)
            for label in self.labels
        ]

    def undo(self, values: Values, *, in_parts: bool = False) -> Values:
        """Return values of the columns of the detector as values by label, None if not known.

        With `in_parts`, what is not known is told by the outputs of the column instead.
        """
        found: dict[str, np.ndarray] = {}
        original = self.folding.undo(values, found)
        known = [
            original[label] if isinstance(label, int) else found.get(label) for label in self.labels
        ]
        if not in_parts:
            return known
        return [
            self._parts(at, values) if value is None else value for at, value in enumerate(known)
        ]

    def _parts(self, at: int, values: Values) -> np.ndarray | None:
        """Return the values of the outputs of a column in words, such as "month 7, hour 12"."""
        from vae_anomaly.explanations.sentences import in_words

        outputs = np.flatnonzero(self.column_of == at)
        if len(outputs) > _MAX_PARTS:
            return None
        name = str(self.names[at])
        texts = []
        for output in outputs:
            part = str(self.input_names[output])
            # A short name may be a part of a word, too, so it is looked for at the end first.
            part = (
                part.removesuffix(f"_{name}")
                if part.endswith(f"_{name}")
                else part.replace(name, "")
            )
            part = part.strip("_ ").rpartition("__")[2].strip("_ ") or "value"  # without steps
            cells = np.asarray(values[output])
            # A year has no thousands separator.
            whole = [
                str(round(v)) if _is_number(v) and np.isfinite(v) else in_words(v) for v in cells
            ]
            texts.append([f"{part} {cell}" for cell in whole])
        words = np.empty(len(texts[0]), object)
        words[:] = [", ".join(parts) for parts in zip(*texts, strict=True)]
        return words


def _unwrapped(model: Any, X: Any) -> tuple[Any, list[Any], Any]:
    """Return the detector at the end of a model, the steps in front of it, and what it is given."""
    steps: list[Any] = []
    while not (isinstance(model, WindowedDetector) or hasattr(model, "_fitted_vae")):
        if len(getattr(model, "steps", ())) > 1:
            X = model[:-1].transform(X)
            steps += [step for _, step in model.steps[:-1]]
        inner = inside(model)
        if inner is None:
            check_is_fitted(model)
            raise TypeError(
                f"{type(model).__name__} cannot be explained: the model must end in a "
                "VAEAnomalyDetector."
            )
        model = inner
    check_is_fitted(model)
    return model, steps, X


def as_frame(X: Any, model: Any) -> pd.DataFrame:
    """Return the user's rows as a dataframe of pandas."""
    if isinstance(X, pd.DataFrame):
        names = list(getattr(model, "feature_names_in_", X.columns))
        # A ColumnTransformer takes columns by name, and others are left out.
        return X if list(X.columns) == names or not set(names) <= set(X.columns) else X[names]
    if names := [name for name, _ in frame_columns(X)]:  # polars
        return pd.DataFrame({name: X[name].to_list() for name in names})
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    X = X.reshape(len(X), -1)
    names = getattr(model, "feature_names_in_", [f"x{at}" for at in range(X.shape[1])])
    return pd.DataFrame(X, columns=names)


def columns_of(rows: Any) -> Values:
    """Return the columns of rows of any kind."""
    if isinstance(rows, pd.DataFrame):
        return [rows.iloc[:, at].to_numpy() for at in range(rows.shape[1])]
    rows = rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)
    return list(rows.reshape(len(rows), -1).T)


def _frame(values: list[Any], names: list[Any], index: pd.Index) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            at: np.full(len(index), np.nan)
            if value is None
            else value.array
            if isinstance(value, pd.Series)
            else value
            for at, value in enumerate(values)
        },
        index=index,
    )
    return frame.set_axis(names, axis=1)


def _usual(
    low: Values, high: Values, levels: list[tuple[Any, ...]], names: list[Any]
) -> pd.DataFrame:
    bounds = []
    for bound_low, bound_high in zip(low, high, strict=True):
        pair = [
            np.nan if b is None or not _is_number(b[0]) else float(b[0])
            for b in (bound_low, bound_high)
        ]
        bounds.append(sorted(pair))
    table = pd.DataFrame(bounds, index=pd.Index(names, dtype=object), columns=["low", "high"])
    column = np.empty(len(levels), object)
    column[:] = levels
    return table.assign(levels=column)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)
