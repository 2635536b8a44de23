"""The score as an ONNX graph, and scoring by onnxruntime."""

from __future__ import annotations


def register_converter() -> None:
    """Make the detector known to skl2onnx, see `sklearn_converter.register_converter`."""
    from vae_anomaly.onnx import sklearn_converter

    sklearn_converter.register_converter()
