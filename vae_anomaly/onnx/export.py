"""to_onnx: a fitted model as one .onnx file."""

from __future__ import annotations

import os
from typing import Any

from vae_anomaly.files import replacing


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    *,
    X: Any = None,
    codes: bool = False,
    contributions: bool = False,
) -> None:
    """Write a fitted model to a .onnx file, with which onnxruntime alone can score.

    The file takes any number of raw rows and computes the whole score: standardisation in float64,
    missing cells and categories, encoder, draws, decoder, reconstruction, KL divergence and
    threshold.

    The input is ``X``, float64 of shape (n, n_features), with NaN for missing cells. If a column
    holds text, or if a pipeline selects columns by their names, there is one input of shape (n, 1)
    for each column instead, named after it. It is float64, or text in which the metadata entry
    "missing_text" stands for missing cells. The outputs are

    - ``score``: `score_samples`, (n,) float64, in nats;
    - ``is_outlier``: whether it is below the threshold, (n,) bool;
    - ``codes``, if asked for: `transform`, (n, latent_dim) float32;
    - ``contributions``, if asked for: how much each column of the detector, and then each latent
      dimension, contributes to the opposite of the score, (n, n_features + latent_dim) float32. For
      rows without missing cells, the contributions add up to it.

    Parameters
    ----------
    model : estimator
        A fitted `VAEAnomalyDetector`, a `FixedThresholdDetector`, `TunedThresholdDetectorCV`,
        `ConformalDetector` or `sklearn.frozen.FrozenEstimator` around one, or a
        `sklearn.pipeline.Pipeline` that ends in one of them and whose other steps skl2onnx can
        convert.
    path : str or path-like
        The file to write. An existing file is replaced once the new one is complete.
    X : DataFrame or None, default=None
        Some rows like those to be scored. Pipelines with columns of text need them, to find out
        which columns these are.
    codes, contributions : bool, default=False
        Whether to add these outputs.

    Raises
    ------
    ValueError
        If the model is of another kind, or a step cannot be converted. The message names it.
    ImportError
        If a package is missing: onnx, which all models need, tf2onnx for networks that are not
        dense, or skl2onnx for pipelines.

    See Also
    --------
    OnnxDetector : Scores rows with the file.
    save : Writes a file from which the model itself can be loaded.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx
    >>> X = load_iris().data
    >>> model = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(model, Path(folder, "model.onnx"))
    ...     detector = OnnxDetector(Path(folder, "model.onnx")).fit()
    >>> detector.predict([[5.1, 3.5, 1.4, 0.2], [5.1, 3.5, 1.4, 9.0]])
    array([ 1, -1])
    """
    from vae_anomaly.onnx.convert import convert

    data = convert(model, X, codes=codes, contributions=contributions)
    with replacing(path) as part:
        part.write_bytes(data)
