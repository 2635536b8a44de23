"""Folding: from the columns that a detector is given back to those that the user has passed.

The steps of a Pipeline in front of a detector are followed from the first to the last: each of
their outputs belongs to one column of the user, or to none if a step mixes columns, as PCA does.
Nothing is guessed: where a step does not say, its outputs are columns of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.sklearn_private import _safe_indexing

Label = int | str
"""The index of a column of the user, or the name of an output of a step that mixes columns."""

Values = list[np.ndarray | None]
"""A value of each row, (n,), for each of several columns; None where it is not known."""

_INDICATOR = "missingindicator_"
"""What imputers put in front of the name of a column to name its missing indicator."""


class Folding(NamedTuple):
    """The origin of the columns that a step returns, and the way back from their values."""

    labels: list[Label]
    """What each output belongs to."""
    undo: Callable[[Values, dict[str, np.ndarray]], Values]
    """Maps values of the outputs to values of the inputs, where the step can be undone.

    It adds the values of the outputs of a step that mixes columns to the dictionary, by name.
    """
    names: Sequence[Any] = ()
    """The names of the outputs, of several steps one after the other."""


def fold(step: Any, labels: list[Label], names: Sequence[Any], n_outputs: int | None) -> Folding:
    """Return how the outputs of a fitted step fold back.

    Parameters
    ----------
    step : transformer, Pipeline or "passthrough"
        The step.
    labels : list of int or str
        What each of its inputs belongs to.
    names : sequence
        The names of its inputs.
    n_outputs : int or None
        The number of its outputs, if it is known.

    Raises
    ------
    ValueError
        If the step does not say how many outputs it has.
    """
    if step is None or isinstance(step, str):  # "passthrough"
        return Folding(labels, _unchanged)
    if isinstance(step, Pipeline):
        return fold_steps([part for _, part in step.steps], labels, names, n_outputs)
    if isinstance(step, ColumnTransformer):
        return _fold_columns(step, labels, names)
    if isinstance(step, FeatureUnion):
        return _fold_union(step, labels, names)
    if isinstance(step, TableSchema) or (
        isinstance(step, FunctionTransformer) and step.func is None
    ):
        return Folding(labels, _unchanged)
    if isinstance(step, OneHotEncoder):
        return _fold_one_hot(step, labels)
    if isinstance(step, SelectorMixin):
        return _fold_matches(labels, np.flatnonzero(step.get_support()).tolist())
    if isinstance(step, OneToOneFeatureMixin) or _is_one_to_one(step):
        return Folding(labels, _inverse_of(step, len(labels)))
    return _fold_by_names(step, labels, names, n_outputs)


def fold_steps(
    steps: Sequence[Any], labels: list[Label], names: Sequence[Any], n_outputs: int | None
) -> Folding:
    """Return how the outputs of several steps, one after the other, fold back; see `fold`."""
    steps = [step for step in steps if step is not None and not isinstance(step, str)]
    foldings: list[Folding] = []
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        n = n_outputs if is_last else getattr(steps[number + 1], "n_features_in_", None)
        folding = fold(step, labels, names, n)
        foldings.append(folding)
        labels = folding.labels
        names = _names_out(step, names, len(labels)) or labels

    def undo(values: Values, found: dict[str, np.ndarray]) -> Values:
        for folding in reversed(foldings):
            values = folding.undo(values, found)
        return values

    return Folding(labels, undo, names)


def _unchanged(values: Values, found: dict[str, np.ndarray]) -> Values:
    return values


def _is_one_to_one(step: Any) -> bool:
    return isinstance(step, FunctionTransformer) and step.feature_names_out == "one-to-one"


def _inverse_of(step: Any, n_columns: int) -> Callable[[Values, dict[str, np.ndarray]], Values]:
    """Return the way back through a step with one output for each input."""

    def undo(values: Values, found: dict[str, np.ndarray]) -> Values:
        nothing: Values = [None] * n_columns
        if isinstance(step, FunctionTransformer) and step.inverse_func is None:
            return nothing
        known = [value for value in values if value is not None]
        if not known or not hasattr(step, "inverse_transform"):
            return nothing
        missing = np.full(len(known[0]), np.nan)
        table: Any = np.column_stack(
            [missing if value is None else np.asarray(value, float) for value in values]
        )
        if isinstance(step, OrdinalEncoder):
            last = [len(categories) - 1 for categories in step.categories_]
            table = np.clip(np.round(table), 0, last)
        if hasattr(step, "feature_names_in_") and isinstance(step, FunctionTransformer):
            table = pd.DataFrame(table, columns=step.feature_names_in_)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about names, which are not at hand
            original = np.asarray(step.inverse_transform(table))
        return [None if value is None else original[:, at] for at, value in enumerate(values)]

    return undo


def _fold_matches(labels: list[Label], sources: Sequence[int | None]) -> Folding:
    """Return a folding in which each output is one of the inputs as it is, or not known."""

    def undo(values: Values, found: dict[str, np.ndarray]) -> Values:
        original: Values = [None] * len(labels)
        for source, value in zip(sources, values, strict=True):
            if source is not None and original[source] is None:
                original[source] = value
        return original

    return Folding([labels[s] for s in sources if s is not None], undo)


def _fold_columns(step: ColumnTransformer, labels: list[Label], names: Sequence[Any]) -> Folding:
    names = list(getattr(step, "feature_names_in_", names))
    positions = pd.DataFrame([range(len(labels))], columns=pd.Index(names, dtype=object))
    parts: list[_Part] = []
    for name, part, columns in step.transformers_:
        outputs = step.output_indices_[name]
        if isinstance(part, str) and part == "drop":
            continue
        chosen = np.ravel(_safe_indexing(positions, columns, axis=1)).astype(int).tolist()
        if not chosen:
            continue
        folding = fold(
            part,
            [labels[at] for at in chosen],
            [names[at] for at in chosen],
            outputs.stop - outputs.start,
        )
        parts.append(_Part(name, outputs, chosen, folding))
    return _joined(parts, labels)


def _fold_union(step: FeatureUnion, labels: list[Label], names: Sequence[Any]) -> Folding:
    parts: list[_Part] = []
    start = 0
    for name, part in step.transformer_list:
        if isinstance(part, str) and part == "drop":
            continue
        folding = fold(part, labels, names, None)
        outputs = slice(start, start + len(folding.labels))
        parts.append(_Part(name, outputs, list(range(len(labels))), folding))
        start = outputs.stop
    return _joined(parts, labels)


class _Part(NamedTuple):
    """One of several steps side by side."""

    name: str
    outputs: slice
    inputs: list[int]
    folding: Folding


def _joined(parts: list[_Part], labels_in: list[Label]) -> Folding:
    """Return the folding of steps side by side."""
    labels: list[Label] = [""] * max((part.outputs.stop for part in parts), default=0)
    for part in parts:
        # Outputs that mix columns may have the same names in two steps, such as "pca0".
        labels[part.outputs] = [
            f"{part.name}__{label}" if isinstance(label, str) and label not in labels_in else label
            for label in part.folding.labels
        ]

    def undo(values: Values, found: dict[str, np.ndarray]) -> Values:
        original: Values = [None] * len(labels_in)
        for part in parts:
            new: dict[str, np.ndarray] = {}
            undone = part.folding.undo(values[part.outputs], new)
            found.update({f"{part.name}__{name}": value for name, value in new.items()})
            for at, value in zip(part.inputs, undone, strict=True):
                if original[at] is None:
                    original[at] = value
        return original

    return Folding(labels, undo)


def _fold_one_hot(step: OneHotEncoder, labels: list[Label]) -> Folding:
    n_levels = []
    dropped = [None] * len(labels) if step.drop_idx_ is None else list(step.drop_idx_)
    infrequent = getattr(step, "infrequent_categories_", [None] * len(labels))
    for levels, rare, drop in zip(step.categories_, infrequent, dropped, strict=True):
        n = len(levels) if rare is None else len(levels) - len(rare) + 1
        n_levels.append(n - (drop is not None))
    stops = np.cumsum(n_levels)

    def undo(values: Values, found: dict[str, np.ndarray]) -> Values:
        if any(value is None for value in values):
            return [None] * len(labels)
        table = np.column_stack([np.asarray(value, float) for value in values])
        hot = np.zeros(table.shape)
        for first, stop, drop in zip(stops - n_levels, stops, dropped, strict=True):
            if first == stop:
                continue
            share = table[:, first:stop]
            at = share.argmax(axis=1)
            largest = share.max(axis=1)
            # The level that was dropped has what the others leave.
            is_hot = largest >= 1.0 - share.sum(axis=1) if drop is not None else np.ones(len(at))
            hot[np.arange(len(at)), first + at] = is_hot
        return list(step.inverse_transform(hot).T)

    return Folding(
        [label for label, n in zip(labels, n_levels, strict=True) for _ in range(n)], undo
    )


def _fold_by_names(
    step: Any, labels: list[Label], names: Sequence[Any], n_outputs: int | None
) -> Folding:
    """Return the folding of a step that is not known, by the names of its inputs and outputs."""
    outputs = _names_out(step, names, n_outputs)
    if outputs is None:
        raise ValueError(
            f"{type(step).__name__} does not tell how many columns it returns, so they cannot be "
            "followed back. Give it get_feature_names_out (feature_names_out of a "
            "FunctionTransformer)."
        )
    inputs = [str(name) for name in getattr(step, "feature_names_in_", names)]
    origin = {
        output: inputs.index(str(column))
        for column, made in getattr(step, "input_to_outputs_", {}).items()  # of skrub
        for output in made
    }
    sources: list[int | None] = []
    for output in map(str, outputs):
        tells_missing = isinstance(step, MissingIndicator) or hasattr(step, "indicator_")
        bare = output.removeprefix(_INDICATOR) if tells_missing else output
        source = origin.get(output, inputs.index(bare) if bare in inputs else None)
        if source is None and _names_its_inputs(step):
            found = [name for name in inputs if output.startswith(f"{name}_")]
            source = inputs.index(max(found, key=len)) if found else None
        sources.append(source)
    is_same = [str(output) in inputs for output in outputs]

    if len(set(labels)) == 1:  # whatever the step does, it is done with one column
        return Folding([labels[0]] * len(outputs), lambda values, found: [None] * len(labels))
    if any(source is None for source in sources):
        mixed = [str(output) for output in outputs]

        def keep(values: Values, found: dict[str, np.ndarray]) -> Values:
            found.update({n: v for n, v in zip(mixed, values, strict=True) if v is not None})
            return [None] * len(labels)

        return Folding(list(mixed), keep)
    known = _fold_matches(
        labels, [s if same else None for s, same in zip(sources, is_same, strict=True)]
    )
    return Folding([labels[source] for source in sources if source is not None], known.undo)


def _names_its_inputs(step: Any) -> bool:
    """Return whether outputs are named by their input, then an underscore and something else."""
    return type(step).__name__ in ("KBinsDiscretizer", "SplineTransformer")


def _names_out(step: Any, names: Sequence[Any], n_outputs: int | None) -> Sequence[Any] | None:
    """Return the names of the outputs of a step, made up if it has none."""
    try:
        if hasattr(step, "feature_names_in_"):
            found = step.get_feature_names_out()
        else:
            found = step.get_feature_names_out([str(name) for name in names])
    except (AttributeError, ValueError):
        if n_outputs is None:
            return None
        return [f"{type(step).__name__.lower()}{number}" for number in range(n_outputs)]
    return list(found)
