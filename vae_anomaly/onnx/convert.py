"""A fitted model as one ONNX graph, with its inputs and outputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import helper
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.columns import Category
from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.model_info import ModelInfo
from vae_anomaly.onnx.files import sealed
from vae_anomaly.onnx.graph import OPSET, OPSET_ML, Graph, Namespace, Value
from vae_anomaly.onnx.score import add_score
from vae_anomaly.thresholds.fitting import own_threshold

_IR_VERSION = 8  # the format of files that goes with OPSET, which older runtimes read too

_UNSEEN, _MISSING = -1, -2  # codes of texts


def convert(model: Any, X: Any, *, codes: bool, contributions: bool) -> bytes:
    """Return the bytes of the file for a model; the parameters are those of `to_onnx`."""
    before, detector = taken_apart(model)
    graph = Graph()
    if before:
        from vae_anomaly.onnx.steps import add_steps

        inputs, rows = add_steps(before, graph, getattr(model, "feature_names_in_", None), X)
        if detector._categories:
            raise ValueError(
                "The detector of a pipeline takes categories, which steps converted by skl2onnx "
                "cannot hand on. Encode them in the pipeline by OneHotEncoder, whose columns are "
                "recognised as one variable, or convert the detector without the steps."
            )
        missing_text = ""
    else:
        inputs, rows, missing_text = add_inputs(detector, graph)
    threshold = own_threshold(model)
    assert threshold is not None
    outputs = add_outputs(detector, graph, rows, threshold, codes, contributions)
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
            "n_features": str(model.n_features_in_),
            "missing_text": missing_text,
        },
    )
    data = sealed(onnx_model.SerializeToString(), info)
    onnx.checker.check_model(data)
    return data


def taken_apart(model: Any) -> tuple[list[Any], VAEAnomalyDetector]:
    """Return the fitted transformers of a model, in order, and the detector behind them.

    Raises
    ------
    ValueError
        If it consists of anything else.
    """
    check_is_fitted(model)
    before: list[Any] = []
    part = model
    while not isinstance(part, VAEAnomalyDetector):
        if isinstance(part, Pipeline):
            before += [step for _, step in part.steps[:-1] if step not in (None, "passthrough")]
            part = part.steps[-1][1]
        elif hasattr(part, "detector_") and not hasattr(part, "_series_of"):
            part = part.detector_
        elif hasattr(part, "_series_of"):
            raise ValueError(
                "WindowedDetector cannot be converted to ONNX, because it cuts windows out of "
                "series. Convert its detector_, and pass it what windows_.transform returns."
            )
        else:
            raise ValueError(
                f"{type(part).__name__} is no detector of vae_anomaly. Convert it by skl2onnx."
            )
    return before, part


def add_inputs(detector: VAEAnomalyDetector, graph: Graph) -> tuple[list[Any], Value, str]:
    """Return the inputs of a graph, the rows (n, n_columns) made of them, and the missing text."""
    texts = {c.column: c for c in detector._categories if _holds_text(detector, c)}
    missing_text = ""
    while any(missing_text in category.levels for category in texts.values()):
        missing_text += "?"
    if not texts:
        X = graph.input("X", np.float64, 2)
        inputs = [value_info("X", np.float64, [None, detector.n_features_in_])]
        return inputs, coded_numbers(detector, graph, X), missing_text
    names = input_names(detector)
    inputs, columns = [], []
    for number, name in enumerate(names):
        dtype = np.str_ if number in texts else np.float64
        inputs.append(value_info(name, dtype, [None, 1]))
        column = graph.input(name, dtype, 2)
        columns.append(
            coded_text(texts[number], graph, column, missing_text) if number in texts else column
        )
    rows = Namespace(graph).concatenate(columns, axis=1)
    return inputs, coded_numbers(detector, graph, rows), missing_text


def input_names(detector: Any) -> list[str]:
    """Return the names of the inputs if each column is one."""
    names = getattr(detector, "feature_names_in_", None)
    if names is None:
        return [f"column_{number}" for number in range(detector.n_features_in_)]
    return [str(name) for name in names]


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


def coded_numbers(detector: VAEAnomalyDetector, graph: Graph, rows: Value) -> Value:
    """Return rows with codes in categorical columns whose levels are numbers."""
    xp = Namespace(graph)
    coded: dict[int, Value] = {}
    for category in detector._categories:
        if _holds_text(detector, category):
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


def _holds_text(detector: Any, category: Category) -> bool:
    is_text = {isinstance(level, str) for level in category.levels}
    is_number = all(isinstance(level, int | float) for level in category.levels)
    if is_text == {True} or is_number:
        return is_text == {True}
    raise ValueError(
        f"Column {input_names(detector)[category.column]!r} has levels that are neither all texts "
        "nor all numbers, and ONNX has no type for it. Train on texts instead: astype(str)."
    )


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


def value_info(name: str, dtype: Any, shape: list[int | None]) -> Any:
    """Return the description of an input or an output; the first axis is that of the rows."""
    kind = (
        onnx.TensorProto.STRING
        if np.dtype(dtype).kind == "U"
        else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    )
    return helper.make_tensor_value_info(name, kind, ["n", *shape[1:]])
