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
    """Write a fitted model to a .onnx file that onnxruntime alone can score with.

    The file takes raw rows, of any number, and returns the whole score: standardisation in float64,
    missing cells and categories, encoder, draws, decoder, reconstruction, KL divergence, threshold.

    The input is ``X``, float64 of shape (n, n_features), with NaN for missing cells. If a column
    holds text, or if a pipeline picks columns by their names, there is one input of shape (n, 1)
    for each column instead, named after it: float64, or text with the metadata entry "missing_text"
    in place of missing cells. The outputs are

    - ``score``: `score_samples`, (n,) float64;
    - ``is_outlier``: whether it is below the threshold, (n,) bool;
    - ``codes``, if asked for: `transform`, (n, latent_dim) float32;
    - ``contributions``, if asked for: how much each column that the detector takes contributes to
      the opposite of the score, then each latent dimension, (n, n_features + latent_dim) float32.
      They add up to it for rows without missing cells.

    Parameters
    ----------
    model : estimator
        A fitted `VAEAnomalyDetector`, a `FixedThresholdDetector`, `TunedThresholdDetectorCV`,
        `ConformalDetector` or `sklearn.frozen.FrozenEstimator` around one, or a
        `sklearn.pipeline.Pipeline` that ends in one of them and whose other steps skl2onnx can
        convert.
    path : str or path-like
        The file. If it exists it is replaced, all at once.
    X : dataframe, default=None
        Some rows like those to be scored. Pipelines whose columns hold text need it to know which.
    codes, contributions : bool, default=False
        Whether to add these outputs.

    Raises
    ------
    ValueError
        If the model is of another kind, or a step cannot be converted; the message names it.
    ImportError
        If a package is missing: all need onnx, networks that are not dense tf2onnx, and pipelines
        skl2onnx.

    See Also
    --------
    OnnxDetector : Scores with the file.

    Notes
    -----
    The scores are those of the model to 1e-4 of their size, as onnxruntime rounds sums in
    another order, and they are not the same to the bit in every batch.
    """
    from vae_anomaly.onnx.convert import convert

    data = convert(model, X, codes=codes, contributions=contributions)
    with replacing(path) as part:
        part.write_bytes(data)
