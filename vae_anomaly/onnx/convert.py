"""A fitted model as one ONNX graph, with its inputs and outputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import helper
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.columns import Category
from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.model_info import ModelInfo
from vae_anomaly.nested import inside, seen_columns
from vae_anomaly.onnx.categories import (
    coded_numbers,
    coded_text,
    column_names,
    missing_text,
    text_columns,
)
from vae_anomaly.onnx.files import sealed
from vae_anomaly.onnx.graph import OPSET, OPSET_ML, Graph, Namespace, Value, value_info
from vae_anomaly.onnx.score import add_score
from vae_anomaly.thresholds.fitting import own_threshold

_IR_VERSION = 8  # the format of files that goes with OPSET, which older runtimes read too


def convert(model: Any, X: Any, *, codes: bool, contributions: bool) -> bytes:
    """Return the bytes of the file for a model; the parameters are those of `to_onnx`."""
    before, detector = taken_apart(model)
    # A graph takes numbers and texts as they are, so nothing is left of a schema but its kinds.
    for schema in [step for step in before if isinstance(step, TableSchema)]:
        before.remove(schema)
        X = schema.no_rows() if X is None else X
    graph, texts = Graph("vae/"), text_columns(detector)
    missing = missing_text(texts)
    if before:
        from vae_anomaly.onnx.steps import add_steps

        names = getattr(seen_columns(model), "feature_names_in_", None)
        inputs, rows = add_steps(before, graph, names, X, texts, missing)
    else:
        inputs, rows = add_inputs(detector, graph, texts, missing)
    rows = coded_numbers(detector, graph, rows)
    threshold = own_threshold(model)
    assert threshold is not None
    outputs = add_outputs(detector, graph, rows, threshold, codes, contributions)
    taken = {value.name for value in inputs}.intersection(value.name for value in outputs)
    if taken:
        raise ValueError(
            f"Column {min(taken)!r} has the name of an output of the graph; rename it."
        )
    info = ModelInfo.of(model)
    onnx_model = helper.make_model(
        helper.make_graph(graph.nodes, "vae_anomaly", inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)],
        ir_version=_IR_VERSION,
        producer_name="vae-anomaly",
        producer_version=info.versions["vae-anomaly"],
    )
    helper.set_model_props(
        onnx_model,
        {
            "threshold": repr(threshold),
            "feature_names": json.dumps(info.input_names),
            "n_features": str(seen_columns(model).n_features_in_),
            "missing_text": missing,
        },
    )
    data = sealed(onnx_model.SerializeToString(), info)
    onnx.checker.check_model(data)
    return data


def taken_apart(model: Any) -> tuple[list[Any], VAEAnomalyDetector]:
    """Return the fitted transformers of a model, in order, and the detector at the end.

    Raises
    ------
    ValueError
        If it consists of anything else.
    """
    check_is_fitted(model)
    before: list[Any] = []
    part = model
    while not isinstance(part, VAEAnomalyDetector):
        if hasattr(part, "_series_of"):
            raise ValueError(
                "WindowedDetector cannot be converted to ONNX, because it cuts windows out of "
                "series. Convert its detector_, and pass it what windows_.transform returns, "
                "after whitening_.transform if there is one."
            )
        if hasattr(part, "best_estimator_"):
            raise ValueError(
                f"{type(part).__name__} cannot be converted to ONNX. Convert its best_estimator_."
            )
        if isinstance(part, Pipeline):
            before += [step for _, step in part.steps[:-1] if step not in (None, "passthrough")]
        within = inside(part)
        if within is None:
            raise ValueError(
                f"{type(part).__name__} is no detector of vae_anomaly. Convert it by skl2onnx."
            )
        part = within
    return before, part


def add_inputs(
    detector: VAEAnomalyDetector, graph: Graph, texts: dict[int, Category], missing: str
) -> tuple[list[Any], Value]:
    """Return the inputs of a graph, and the rows (n, n_columns) made of them, with coded texts."""
    if not texts:
        X = graph.input("X", np.float64, 2)
        return [value_info("X", np.float64, [None, detector.n_features_in_])], X
    inputs, columns = [], []
    for number, name in enumerate(column_names(detector)):
        column = graph.input(name, np.str_ if number in texts else np.float64, 2)
        inputs.append(value_info(name, column.dtype, [None, 1]))
        if number in texts:
            column = coded_text(texts[number], graph, column, missing)
        columns.append(column)
    return inputs, Namespace(graph).concatenate(columns, axis=1)


def add_outputs(
    detector: VAEAnomalyDetector,
    graph: Graph,
    rows: Value,
    threshold: float,
    codes: bool,
    contributions: bool,
) -> list[Any]:
    """Add the outputs to a graph, and return their descriptions."""
    found = add_score(detector._vae, graph, rows)
    is_outlier = (found.score - threshold) < 0.0
    chosen: dict[str, tuple[Value, list[int | None]]] = {
        "score": (found.score, [None]),
        "is_outlier": (is_outlier, [None]),
    }
    if codes:
        chosen["codes"] = (found.codes, [None, detector.latent_dim_])
    if contributions:
        n_columns = detector.n_features_in_ + detector.latent_dim_
        chosen["contributions"] = (found.contributions, [None, n_columns])
    for name, (value, _) in chosen.items():
        graph.nodes.append(helper.make_node("Identity", [value.name], [name], name=name))
    return [value_info(name, value.dtype, shape) for name, (value, shape) in chosen.items()]
