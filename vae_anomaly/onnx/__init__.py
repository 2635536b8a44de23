"""The score as an ONNX graph, and scoring by onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec


def register_converters() -> None:
    """Register the detectors with other converters to ONNX, as far as these are installed.

    skl2onnx then converts pipelines that end in a `VAEAnomalyDetector`: to the outputs ``label``,
    +1 or -1, and ``scores``, the `decision_function`, each of shape (n, 1). With tf2onnx installed,
    ``keras.Model.export(..., format="onnx")`` converts `encoder_`, `decoder_` and `vae_`.
    `vae_anomaly.to_onnx` does not need this call.

    See Also
    --------
    vae_anomaly.to_onnx : Writes the whole score of a model.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.onnx import register_converters
    >>> register_converters()
    >>> X = load_iris().data
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> model = skl2onnx.to_onnx(detector, X[:1], target_opset=18)
    >>> [output.name for output in model.graph.output]
    ['label', 'scores']
    """
    if find_spec("skl2onnx") is not None:
        from vae_anomaly.onnx.sklearn_converter import register_converter

        register_converter()
    if find_spec("tf2onnx") is not None:
        from vae_anomaly.onnx.keras_operators import register_operators

        register_operators()
