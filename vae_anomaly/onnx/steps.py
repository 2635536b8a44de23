"""The steps of a pipeline before the detector, as skl2onnx converts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from vae_anomaly.columns import Category
from vae_anomaly.not_numbers import frame_columns
from vae_anomaly.onnx.categories import coded_text
from vae_anomaly.onnx.graph import OPSET, OPSET_ML, Graph, Namespace, Value, value_info

_WAY_OUT = (
    "Replace it by a transformer of scikit-learn that skl2onnx supports, register a converter with "
    "skl2onnx.update_registered_converter, or transform the rows outside and convert the rest of "
    "the pipeline: to_onnx(pipeline[1:], ...)."
)


def add_steps(
    steps: list[Any],
    graph: Graph,
    names: np.ndarray | None,
    X: Any,
    texts: dict[int, Category],
    missing_text: str,
) -> tuple[list[Any], Value]:
    """Add fitted transformers to a graph; return its inputs, and the rows for the detector.

    Parameters
    ----------
    steps : list of transformers
        The steps, in order.
    graph : Graph
        The graph.
    names : ndarray of str or None
        The names of the columns of X.
    X : DataFrame or None
        Rows that show which columns hold text, in any order. By default, none does.
    texts : dict of int to Category
        The columns that the detector takes as texts, which a single `ColumnTransformer` may pass
        through to it.
    missing_text : str
        What stands for a missing text.

    Raises
    ------
    ValueError
        If a step cannot be converted, if X lacks columns, or if it is missing and texts are taken.
    """
    unknown = sorted(_unknown(steps))
    if unknown:
        raise ValueError(f"skl2onnx has no converter for {', '.join(unknown)}. {_WAY_OUT}")
    is_text = _text_columns(X, names) or [False] * steps[0].n_features_in_
    if names is not None and not any(is_text) and (texts or any(map(_takes_text, steps))):
        raise ValueError(
            "Columns of the pipeline hold text. Pass X, some rows like those to be scored, as a "
            "dataframe, which tells which columns do."
        )
    picks_columns = isinstance(steps[0], ColumnTransformer)
    if names is None or not (picks_columns or any(is_text)):
        n_columns = steps[0].n_features_in_
        inputs = [graph.input("X", np.float64, 2)]
        infos = [value_info("X", np.float64, [None, n_columns])]
    else:
        kinds = [np.str_ if text else np.float64 for text in is_text]
        inputs = [graph.input(str(n), kind, 2) for n, kind in zip(names, kinds, strict=True)]
        infos = [value_info(value.name, value.dtype, [None, 1]) for value in inputs]
    if not texts:
        return infos, _converted(Pipeline([(str(at), s) for at, s in enumerate(steps)]), inputs)
    if len(steps) > 1 or not picks_columns or len(inputs) < len(is_text):
        raise ValueError(
            "The detector takes texts as categories, which only a single ColumnTransformer on "
            "named columns can pass on to it in ONNX. Encode them by OneHotEncoder, whose columns "
            "are recognised as one variable, or convert the detector without the steps."
        )
    return infos, _columns_side_by_side(steps[0], graph, inputs, texts, missing_text)


def _columns_side_by_side(
    transformer: ColumnTransformer,
    graph: Graph,
    inputs: list[Value],
    texts: dict[int, Category],
    missing_text: str,
) -> Value:
    """Return what a `ColumnTransformer` returns, with codes for the texts that it passes on."""
    parts = []
    for name, part, _ in transformer.transformers_:
        columns = [inputs[at] for at in transformer._transformer_to_input_indices[name]]
        span = transformer.output_indices_[name]
        if span.stop == span.start:
            continue
        is_identity = isinstance(part, FunctionTransformer) and part.func is None
        if not (part == "passthrough" or is_identity):
            parts.append(_converted(part, columns))
            continue
        for at, column in enumerate(columns, start=span.start):
            if column.dtype.kind == "U":
                column = coded_text(texts[at], graph, column, missing_text)
            parts.append(column)
    return Namespace(graph).concatenate(parts, axis=1)


def _converted(step: Any, inputs: list[Value]) -> Value:
    """Return what a transformer makes of its inputs, float64."""
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    from vae_anomaly.onnx.sklearn_converter import convert_imputer, imputer_shapes

    types: list[tuple[str, Any]] = [
        (
            value.name,
            StringTensorType([None, 1])
            if value.dtype.kind == "U"
            else DoubleTensorType([None, 1 if len(inputs) > 1 else step.n_features_in_]),
        )
        for value in inputs
    ]
    try:
        model = skl2onnx.convert_sklearn(
            step,
            initial_types=types,
            target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
            custom_conversion_functions={SimpleImputer: convert_imputer},
            custom_shape_calculators={SimpleImputer: imputer_shapes},
        )
        _check_runs(model)
    except Exception as error:  # its converters raise whatever they like
        inner = step.steps if isinstance(step, Pipeline) else [("", step)]
        called = ", ".join(type(part).__name__ for _, part in inner)
        raise ValueError(f"{called} cannot be converted: {error} {_WAY_OUT}") from error
    (rows,) = inputs[0].graph.inline(model, inputs)
    return rows.astype(np.float64)


def _check_runs(model: onnx.ModelProto) -> None:
    """Raise an error if onnxruntime lacks an operator for numbers in float64."""
    import onnxruntime

    onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _text_columns(X: Any, names: np.ndarray | None) -> list[bool]:
    """Return which columns of a dataframe hold text, in the order of the pipeline's names."""
    dtypes = dict(frame_columns(X))
    if names is None or not dtypes:
        return [not _is_number(dtype) for _, dtype in frame_columns(X)]
    missing = [name for name in names if name not in dtypes]
    if missing:
        raise ValueError(f"X has no column {', '.join(map(repr, missing))}.")
    return [not _is_number(dtypes[name]) for name in names]


def _takes_text(step: Any) -> bool:
    """Return whether a fitted transformer has learned from texts."""
    if isinstance(step, ColumnTransformer):
        return any(_takes_text(inner) for _, inner, _ in step.transformers_)
    if isinstance(step, Pipeline | FeatureUnion):
        parts = step.steps if isinstance(step, Pipeline) else step.transformer_list
        return any(_takes_text(inner) for _, inner in parts)
    learned = [*getattr(step, "categories_", ()), getattr(step, "statistics_", ())]
    return any(isinstance(value, str) for values in learned for value in values)


def _is_number(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", None)
    return kind in "biuf" if kind is not None else bool(dtype.is_numeric())


def _unknown(steps: list[Any]) -> set[str]:
    """Return the classes of transformers that skl2onnx cannot convert."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    unknown = set()
    for step in steps:
        if isinstance(step, str):  # "passthrough" or "drop"
            continue
        if isinstance(step, ColumnTransformer):
            used = [inner for _, inner, columns in step.transformers_ if np.size(columns)]
            unknown |= _unknown(used)
        elif isinstance(step, Pipeline | FeatureUnion):
            parts = step.steps if isinstance(step, Pipeline) else step.transformer_list
            unknown |= _unknown([inner for _, inner in parts])
        elif type(step) not in sklearn_operator_name_map:
            unknown.add(type(step).__name__)
    return unknown
