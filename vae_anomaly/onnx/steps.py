"""The steps of a pipeline before the detector, as skl2onnx converts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline

from vae_anomaly.not_numbers import frame_columns
from vae_anomaly.onnx.graph import OPSET, OPSET_ML, Graph, Value


def add_steps(
    steps: list[Any], graph: Graph, names: np.ndarray | None, X: Any
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
    X : dataframe or None
        Rows that tell which columns hold text; by default none does.

    Raises
    ------
    ValueError
        If a step cannot be converted.
    """
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    from vae_anomaly.onnx.sklearn_converter import convert_imputer, imputer_shapes

    dtypes = [dtype for _, dtype in frame_columns(X)]
    is_text = [not _is_number(dtype) for dtype in dtypes] or [False] * steps[0].n_features_in_
    picks_columns = isinstance(steps[0], ColumnTransformer)
    if names is not None and (picks_columns or any(is_text)):
        types: list[tuple[str, Any]] = [
            (str(name), StringTensorType([None, 1]) if text else DoubleTensorType([None, 1]))
            for name, text in zip(names, is_text, strict=True)
        ]
    else:
        types = [("X", DoubleTensorType([None, steps[0].n_features_in_]))]
    unknown = sorted(_unknown(steps))
    hint = (
        "Replace it by a transformer of scikit-learn that skl2onnx supports, register a converter "
        "with skl2onnx.update_registered_converter, or transform the rows outside and convert the "
        "rest of the pipeline: to_onnx(pipeline[1:], ...)."
    )
    if unknown:
        raise ValueError(f"skl2onnx has no converter for {', '.join(unknown)}. {hint}")
    pipeline = Pipeline([(str(number), step) for number, step in enumerate(steps)])
    try:
        model = skl2onnx.convert_sklearn(
            pipeline,
            initial_types=types,
            custom_conversion_functions={SimpleImputer: convert_imputer},
            custom_shape_calculators={SimpleImputer: imputer_shapes},
            target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
        )
    except Exception as error:  # its converters raise whatever they like
        called = ", ".join(type(step).__name__ for step in steps)
        raise ValueError(f"skl2onnx cannot convert the steps {called}: {error} {hint}") from error
    (rows,) = graph.inline(model, [graph.input(i.name, np.float64, 2) for i in model.graph.input])
    return list(model.graph.input), rows.astype(np.float64)


def _is_number(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", None)
    return kind in "biuf" if kind is not None else bool(dtype.is_numeric())


def _unknown(steps: list[Any]) -> set[str]:
    """Return the classes of transformers that skl2onnx cannot convert."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    unknown = set()
    for step in steps:
        if step in ("passthrough", "drop"):
            continue
        if isinstance(step, ColumnTransformer):
            unknown |= _unknown([inner for _, inner, _ in step.transformers_])
        elif isinstance(step, Pipeline | FeatureUnion):
            parts = step.steps if isinstance(step, Pipeline) else step.transformer_list
            unknown |= _unknown([inner for _, inner in parts])
        elif type(step) not in sklearn_operator_name_map:
            unknown.add(type(step).__name__)
    return unknown
