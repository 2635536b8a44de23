"""The score as an ONNX graph, and scoring by onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec


def register_converters() -> None:
    """Make detectors known to other converters to ONNX, those of them that are installed.

    skl2onnx then converts pipelines that end in a `VAEAnomalyDetector`, see
    `sklearn_converter.register_converter`, and ``keras.Model.export(..., format="onnx")``, which
    needs tf2onnx, all of `encoder_`, `decoder_` and `vae_`. `vae_anomaly.to_onnx` needs no such
    call.
    """
    if find_spec("skl2onnx") is not None:
        from vae_anomaly.onnx.sklearn_converter import register_converter

        register_converter()
    if find_spec("tf2onnx") is not None:
        from vae_anomaly.onnx.keras_operators import register_operators

        register_operators()
