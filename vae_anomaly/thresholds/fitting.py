"""Fitting a detector on part of the rows, through a cache on disk if there is one.

What does not change the training does not train again.
"""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from filelock import FileLock
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils.validation import check_memory

from vae_anomaly.sklearn_private import _check_method_params, _safe_split

_SKLEARN_TRAINING_SCORES: dict[type, str | None] = {
    LocalOutlierFactor: "negative_outlier_factor_",
    IsolationForest: None,
    EllipticEnvelope: None,
}
"""Detectors of scikit-learn that use a numeric `contamination` only to set `offset_`, as the
quantile of the training rows' scores, and the attribute that keeps these scores, if any does.

Other detectors tell so by a class attribute ``_training_scores_attribute``.
"""

_ANY_SHARE = 0.1
"""Stands for every numeric `contamination` in the key of the cache."""


def fit_detector(detector: Any, X: Any, y: Any, fit_params: dict[str, Any], memory: Any) -> Any:
    """Return a fitted clone of the detector, from the cache where an equal fit is there.

    Parameters
    ----------
    detector : outlier detector
        Left as it is.
    X, y, fit_params
        What its `fit` takes.
    memory : str, joblib.Memory or None
        The cache.
    """
    detector = clone(detector)
    if memory is None or isinstance(detector, FrozenEstimator):
        return _fit(detector, X, y, fit_params)
    memory = check_memory(memory)
    final = final_step(detector)
    contamination = getattr(final, "contamination", None)
    moves_offset_only = isinstance(final, tuple(_SKLEARN_TRAINING_SCORES)) or hasattr(
        final, "_training_scores_attribute"
    )
    if not (moves_offset_only and isinstance(contamination, Real)) or fit_params:
        return _fit_once(memory, detector, X, y, fit_params)
    final.set_params(contamination=_ANY_SHARE)
    fitted = _fit_once(memory, detector, X, y, fit_params)
    final = final_step(fitted).set_params(contamination=contamination)
    final.offset_ = float(np.percentile(_training_scores(fitted, X), 100 * float(contamination)))
    return fitted


def final_step(detector: Any) -> Any:
    """Return the last step of a pipeline, of pipelines in pipelines too, or the detector itself."""
    while hasattr(detector, "steps"):
        detector = detector.steps[-1][1]
    return detector


def own_threshold(detector: Any) -> float | None:
    """Return the `offset_` of a fitted detector, of a pipeline that of its last step, or None."""
    offset = getattr(final_step(detector), "offset_", None)
    return None if offset is None else np.asarray(offset).item()  # OneClassSVM's is an array


def _fit_once(memory: Any, detector: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Any:
    """Fit through the cache. Who comes to a fit that another worker is at waits for its result."""
    cached_fit = memory.cache(_fit)
    folder = getattr(memory, "location", None)
    if folder is None:
        return cached_fit(detector, X, y, fit_params)
    key = joblib.hash((detector, X, y, fit_params))
    with FileLock(Path(folder, "locks", f"{key}.lock")):
        return cached_fit(detector, X, y, fit_params)


def _fit(detector: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Any:
    return detector.fit(X, y, **fit_params)


def _training_scores(detector: Any, X: Any) -> np.ndarray:
    final = final_step(detector)
    attribute = getattr(final, "_training_scores_attribute", None)
    for kind, name in _SKLEARN_TRAINING_SCORES.items():
        if isinstance(final, kind):
            attribute = name
    return detector.score_samples(X) if attribute is None else getattr(final, attribute)


def check_scores(scores: np.ndarray) -> None:
    """Raise ValueError where a score of a held-out row is infinite or NaN."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if bad.size:
        raise ValueError(
            f"The detector gave {bad.size} of {len(scores)} held-out rows a score that is not "
            f"finite, such as {scores[bad[0]]}; no threshold can be set on them."
        )


def fit_and_score(
    detector: Any,
    X: Any,
    y: Any,
    train: np.ndarray,
    test: np.ndarray | None,
    fit_params: dict[str, Any],
    memory: Any,
) -> tuple[Any, Any]:
    """Return the detector of the training rows, and the scores of the test rows or None."""
    X_train, y_train = _safe_split(detector, X, y, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    fitted = fit_detector(detector, X_train, y_train, fit_params, memory)
    if test is None:
        return fitted, None
    X_test, _ = _safe_split(detector, X, y, test, train)
    return fitted, fitted.score_samples(X_test)
