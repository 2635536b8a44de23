"""The encoder and the decoder in an ONNX graph."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter

from vae_anomaly.losses import Mixed, bound_log_var
from vae_anomaly.onnx.graph import OPSET, Graph, Namespace, Value
from vae_anomaly.vae import VAE

Encode = Callable[[Value], tuple[Value, Value | None]]
Decode = Callable[[Value], Value]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def make_networks(vae: VAE, graph: Graph) -> tuple[Encode, Decode]:
    """Return `encode` and `decode` of `losses.loss_terms`, which add themselves to a graph."""
    if vae.spec.is_dense:
        encode, decode = _dense_networks(vae, graph)
    else:
        encode, decode = _keras_networks(vae, graph)

    def decode_draws(z: Value) -> Value:
        if z.ndim == 2:
            return decode(z)
        n_draws = max(1, len(vae.noise)) if vae.spec.variational else 1
        flat = decode(z.reshape(-1, vae.spec.latent_dim))
        return flat.reshape(n_draws, -1, vae.spec.n_features)

    return encode, decode_draws


def _dense_networks(vae: VAE, graph: Graph) -> tuple[Encode, Decode]:
    """Return the networks of `networks.dense_numpy`, for which Keras is not needed."""
    spec, likelihood, xp = vae.spec, vae.spec.likelihood, Namespace(graph)
    n_heads = 2 if spec.variational else 1
    weights = vae.weights.encoder
    hidden, heads = weights[: -2 * n_heads], weights[-2 * n_heads :]

    def encode(x: Value) -> tuple[Value, Value | None]:
        for kernel, bias in _pairs(hidden):
            x = _activation(spec.activation, _layer(x, kernel, bias))
        z = [_layer(x, kernel, bias) for kernel, bias in _pairs(heads)]
        return z[0], bound_log_var(z[1], xp) if spec.variational else None

    def decode(z: Value) -> Value:
        *inner, last = _pairs(vae.weights.decoder)
        for kernel, bias in inner:
            z = _activation(spec.activation, _layer(z, kernel, bias))
        output = _layer(z, *last)
        if isinstance(likelihood, Mixed):
            return likelihood.mean(output, xp)
        return _activation(likelihood.output_activation, output)

    return encode, decode


def _keras_networks(vae: VAE, graph: Graph) -> tuple[Encode, Decode]:
    """Return the networks as Keras exports them."""
    spec = vae.spec
    encoder, decoder = (_exported(model) for model in vae.keras_models[:2])

    def encode(x: Value) -> tuple[Value, Value | None]:
        samples = x.reshape(-1, *spec.input_shape)
        outputs = graph.inline(encoder, [samples])
        return outputs[0], outputs[1] if spec.variational else None

    def decode(z: Value) -> Value:
        (output,) = graph.inline(decoder, [z])
        return output.reshape(-1, spec.n_features)

    return encode, decode


def _exported(model: Any) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy's names that tf2onnx uses
        path = Path(folder, "model.onnx")
        try:
            from vae_anomaly.onnx.keras_operators import register_operators

            register_operators()
            with _silent(logging.getLogger("tf2onnx")):  # what it lacks is told below
                model.export(path, format="onnx", verbose=False, opset_version=OPSET)
        except ImportError as error:
            raise ImportError(
                "Networks that are not dense are converted to ONNX by Keras with tf2onnx: "
                "pip install 'vae-anomaly[onnx]'."
            ) from error
        exported = onnx.load(path)
    (opset,) = (entry.version for entry in exported.opset_import if entry.domain == "")
    if opset != OPSET:  # older versions of Keras do not take opset_version
        exported = onnx.version_converter.convert_version(exported, OPSET)
    unknown = {
        node.op_type
        for node in exported.graph.node
        if node.domain == "" and not onnx.defs.has(node.op_type)
    }
    if unknown:
        raise ValueError(
            f"The {model.name} has operations that tf2onnx cannot convert to ONNX: "
            f"{', '.join(sorted(unknown))}. Build it of other layers."
        )
    return exported


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _pairs(weights: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(weights[::2], weights[1::2], strict=True))


def _layer(x: Value, kernel: np.ndarray, bias: np.ndarray) -> Value:
    return x.graph.node("Gemm", [x, kernel, bias], np.float32, 2)


def _activation(name: str, x: Value) -> Value:
    """Return an activation of `dense_numpy.ACTIVATIONS`."""

    def node(operator: str, **attributes: Any) -> Value:
        return x.graph.node(operator, [x], x.dtype, x.ndim, **attributes)

    if name == "gelu":
        scaled = x * 0.5**0.5
        return 0.5 * x * (1.0 + x.graph.node("Erf", [scaled], x.dtype, x.ndim))
    if name == "silu":
        return x * node("Sigmoid")
    if name == "selu":
        return node("Selu", alpha=_SELU_ALPHA, gamma=_SELU_SCALE)
    return x if name == "linear" else node(name.capitalize())
