"""Categories in an ONNX graph: the codes of `columns.Category` for texts and for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.columns import Category
from vae_anomaly.onnx.graph import Graph, Namespace, Value

_UNSEEN, _MISSING = -1, -2  # what texts are coded as; NaN cannot be an integer


def text_columns(detector: Any) -> dict[int, Category]:
    """Return the categorical columns of a detector whose levels are texts.

    Raises
    ------
    ValueError
        If a column has levels that are neither all texts nor all numbers.
    """
    texts = {}
    for category in detector._categories:
        is_text = {isinstance(level, str) for level in category.levels}
        if is_text == {True}:
            texts[category.column] = category
        elif not all(isinstance(level, int | float) for level in category.levels):
            raise ValueError(
                f"Column {column_names(detector)[category.column]!r} has levels that are neither "
                "all texts nor all numbers, and ONNX has no type for it. Train on texts instead: "
                "astype(str)."
            )
    return texts


def column_names(detector: Any) -> list[str]:
    """Return the names of the columns, or names made of their numbers."""
    names = getattr(detector, "feature_names_in_", None)
    if names is None:
        return [f"column_{number}" for number in range(detector.n_features_in_)]
    return [str(name) for name in names]


def missing_text(texts: dict[int, Category]) -> str:
    """Return a text that stands for missing cells because it is no level: "" if it can."""
    text = ""
    while any(text in category.levels for category in texts.values()):
        text += "?"
    return text


def coded_text(category: Category, graph: Graph, column: Value, missing_text: str) -> Value:
    """Return the codes of a column of texts (n, 1), float64, like `Category.codes`."""
    keys = [*category.levels, missing_text]
    codes = [*range(len(category.levels)), _MISSING]
    coded = graph.node(
        "LabelEncoder",
        [column],
        np.int64,
        2,
        domain="ai.onnx.ml",
        keys_strings=keys,
        values_int64s=codes,
        default_int64=len(category.levels) if category.has_rare else _UNSEEN,
    ).astype(np.float64)
    return Namespace(graph).where(coded.equals(float(_MISSING)), np.nan, coded)


def coded_numbers(detector: Any, graph: Graph, rows: Value) -> Value:
    """Return rows with codes in categorical columns whose levels are numbers."""
    xp, texts = Namespace(graph), text_columns(detector)
    coded: dict[int, Value] = {}
    for category in detector._categories:
        if category.column in texts:
            continue
        column = rows.take([category.column])
        levels = np.array(category.levels, np.float64)
        other = float(len(levels) if category.has_rare else _UNSEEN)
        code = column * 0.0 + other
        if len(levels):
            is_level = column.equals(levels).astype(np.float64)
            at = xp.matmul(is_level, np.arange(len(levels), dtype=np.float64)[:, None])
            code = xp.where(xp.matmul(is_level, np.ones((len(levels), 1))) > 0.5, at, code)
        coded[category.column] = xp.where(xp.isnan(column), column, code)
    if not coded:
        return rows
    columns = [
        coded[number] if number in coded else rows.take([number])
        for number in range(detector.n_features_in_)
    ]
    return xp.concatenate(columns, axis=1)
