"""Converters for skl2onnx, which builds the graphs of pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
)
from sklearn.impute import SimpleImputer

from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.onnx.graph import Graph, Namespace, Value
from vae_anomaly.onnx.score import add_score

_DTYPES = {
    BooleanTensorType: np.bool_,
    DoubleTensorType: np.float64,
    FloatTensorType: np.float32,
    Int64TensorType: np.int64,
}


def register_converter() -> None:
    """Make `VAEAnomalyDetector` known to skl2onnx.

    Then ``skl2onnx.to_onnx`` converts pipelines that end in one as it converts those that end in an
    `IsolationForest`: to the outputs ``label``, +1 or -1, and ``scores``, the `decision_function`,
    each of shape (n, 1). Give it X in float64, or offsets are lost before they are subtracted. A
    detector of categories takes their codes there; `vae_anomaly.to_onnx` takes texts.
    """
    skl2onnx.update_registered_converter(
        VAEAnomalyDetector, "VAEAnomalyDetector", _detector_shapes, _convert_detector
    )


def _detector_shapes(operator: Any) -> None:
    n_rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([n_rows, 1])
    operator.outputs[1].type.shape = [n_rows, 1]


def _convert_detector(scope: Any, operator: Any, container: Any) -> None:
    detector = operator.raw_operator
    graph = Graph(scope.get_unique_variable_name("vae_") + "_")
    rows = _rows(graph, operator)
    decision = add_score(detector._vae, graph, rows).score - detector.offset_
    scores = decision.reshape(-1, 1).astype(_dtype(operator.outputs[1]))
    label = Namespace(graph).where(scores < 0.0, np.int64(-1), np.int64(1))
    _put(graph, container, operator, [label, scores])


def imputer_shapes(operator: Any) -> None:
    """Set the shape of what a `SimpleImputer` of numbers returns."""
    n_columns = int(np.isfinite(operator.raw_operator.statistics_).sum())
    operator.outputs[0].type = DoubleTensorType(
        [operator.inputs[0].get_first_dimension(), n_columns]
    )


def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Convert a `SimpleImputer` in float64, for which onnxruntime has no operator."""
    imputer: SimpleImputer = operator.raw_operator
    if not _is_nan(imputer.missing_values) or imputer.add_indicator:
        raise ValueError(
            "Only SimpleImputer with missing_values=nan and add_indicator=False can be converted."
        )
    graph = Graph(scope.get_unique_variable_name("imputer_") + "_")
    rows, xp = _rows(graph, operator), Namespace(graph)
    kept = np.flatnonzero(np.isfinite(imputer.statistics_))
    filled = xp.where(xp.isnan(rows), imputer.statistics_, rows).take(kept)
    _put(graph, container, operator, [filled])


def _rows(graph: Graph, operator: Any) -> Value:
    """Return the inputs of an operator side by side, as float64."""
    inputs = [
        graph.input(value.full_name, _dtype(value), 2).astype(np.float64)
        for value in operator.inputs
    ]
    return inputs[0] if len(inputs) == 1 else Namespace(graph).concatenate(inputs, axis=1)


def _put(graph: Graph, container: Any, operator: Any, values: list[Value]) -> None:
    """Hand a graph over to skl2onnx, whose names for the outputs are given."""
    container.nodes.extend(graph.nodes)
    container.initializers.extend(graph.initializers)
    for value, output in zip(values, operator.outputs, strict=True):
        container.add_node("Identity", [value.name], [output.full_name], op_version=16)


def _dtype(value: Any) -> Any:
    try:
        return _DTYPES[type(value.type)]
    except KeyError:
        raise ValueError(
            f"Input {value.raw_name!r} holds {type(value.type).__name__}, not numbers."
        ) from None


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)
