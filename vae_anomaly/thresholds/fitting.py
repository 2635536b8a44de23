"""Fitting a detector on a subset of the rows, with an optional cache on disk.

Parameters that do not affect the training do not lead to another fit.
"""

from __future__ import annotations

import warnings
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from filelock import FileLock
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_memory

from vae_anomaly.sklearn_private import HasMethods, _check_method_params, _num_samples, _safe_split
from vae_anomaly.thresholds.splitting import TimeBlocks, innermost

if TYPE_CHECKING:
    from collections.abc import Sequence

_SKLEARN_TRAINING_SCORES: dict[type, str | None] = {
    LocalOutlierFactor: "negative_outlier_factor_",
    IsolationForest: None,
    EllipticEnvelope: None,
}
"""The detectors of scikit-learn that use a numeric `contamination` only to set `offset_`, as a
quantile of the scores of the training rows, and the attribute that stores these scores, if any.

Other detectors declare this by a class attribute ``_training_scores_attribute``.
"""

_ANY_SHARE = 0.1
"""The value that stands for every numeric `contamination` in the key of the cache."""


class DetectorMethods(HasMethods):
    """The constraint on an outlier detector, with a hint for `LocalOutlierFactor`."""

    def __init__(self) -> None:
        super().__init__(["fit", "score_samples"])

    def __str__(self) -> str:
        return f"{super().__str__()} (which LocalOutlierFactor does with novelty=True only)"


def fit_detector(detector: Any, X: Any, y: Any, fit_params: dict[str, Any], memory: Any) -> Any:
    """Return the fitted detector, or an equal one from the cache.

    Parameters
    ----------
    detector : outlier detector
        The detector to fit, a clone that may be changed.
    X, y, fit_params
        The arguments of its `fit`.
    memory : str, joblib.Memory or None
        The cache.
    """
    if memory is None or isinstance(detector, FrozenEstimator):
        return _fit(detector, X, y, fit_params)
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
    """Return the last step of a pipeline, also of nested ones, or the detector itself."""
    while hasattr(detector, "steps"):
        detector = detector.steps[-1][1]
    return detector


def own_threshold(detector: Any) -> float | None:
    """Return the `offset_` of a fitted detector, or of a pipeline's last step, or else None."""
    offset = getattr(final_step(detector), "offset_", None)
    return None if offset is None else np.asarray(offset).item()  # OneClassSVM's is an array


def _fit_once(memory: Any, detector: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Any:
    """Fit with the cache. If another worker is running the same fit, wait for its result."""
    key = joblib.hash((detector, X, y, fit_params))
    try:
        memory = check_memory(memory)
        folder = getattr(memory, "location", None)
        if folder is None:
            return _fit(detector, X, y, fit_params)
        lock = FileLock(Path(folder, "locks", f"{key}.lock"))
        lock.acquire()
    except OSError as error:
        raise ValueError(f"memory={memory!r} cannot keep fitted detectors: {error}") from error
    cached_fit = memory.cache(_fit_and_tell)
    try:
        is_there = cached_fit.check_call_in_cache(detector, X, y, fit_params)
        entry = cached_fit(detector, X, y, fit_params)
        if not _is_entry_of(detector, entry):
            warnings.warn(
                f"memory={folder!r} holds something other than a fitted {type(detector).__name__} "
                "in the entry for this one; it is fitted again.",
                stacklevel=2,
            )
            is_there = False
            entry = cached_fit.call(detector, X, y, fit_params)[0]
    finally:
        lock.release()
    fitted, is_random = entry
    if is_there and is_random:  # with random_state=None, each fit is different
        return _fit(detector, X, y, fit_params)
    return fitted


def _fit_and_tell(detector: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> tuple[Any, bool]:
    """Return the fitted detector, and whether the fit used NumPy's global random state."""
    rng = check_random_state(None)
    before = joblib.hash(rng.get_state(legacy=False))
    fitted = _fit(detector, X, y, fit_params)
    return fitted, joblib.hash(rng.get_state(legacy=False)) != before


def _is_entry_of(detector: Any, entry: Any) -> bool:
    is_pair = isinstance(entry, tuple) and len(entry) == 2
    return is_pair and type(entry[0]) is type(detector)


def _fit(detector: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Any:
    return detector.fit(X, y, **fit_params)


def _training_scores(detector: Any, X: Any) -> np.ndarray:
    final = final_step(detector)
    attribute = getattr(final, "_training_scores_attribute", None)
    for kind, name in _SKLEARN_TRAINING_SCORES.items():
        if isinstance(final, kind):
            attribute = name
    return detector.score_samples(X) if attribute is None else getattr(final, attribute)


def have_scores(scores: np.ndarray) -> np.ndarray:
    """Return a mask of the held-out rows that have a score, and warn if some have none (NaN).

    Parameters
    ----------
    scores : ndarray of shape (n,)
        The scores of the held-out rows.

    Raises
    ------
    ValueError
        If a score is infinite, or if no row has a score.
    """
    infinite = np.flatnonzero(np.isinf(scores))
    if infinite.size:
        raise ValueError(
            f"The detector gave {infinite.size} of {len(scores)} held-out rows a score that is not "
            f"finite, such as {scores[infinite[0]]}; no threshold can be set on them."
        )
    has_score = ~np.isnan(scores)
    if not has_score.any():
        raise ValueError(f"None of {len(scores)} held-out rows has a score: all are NaN.")
    if not has_score.all():
        warnings.warn(
            f"{np.sum(~has_score)} of {len(scores)} held-out rows have no score (NaN) and are left "
            "out.",
            stacklevel=5,  # the line that calls fit
        )
    return has_score


def fit_and_score(
    detector: Any,
    X: Any,
    y: Any,
    train: np.ndarray,
    scored: Sequence[np.ndarray],
    fit_params: dict[str, Any],
    memory: Any,
    blocks: TimeBlocks | None = None,
) -> tuple[Any, list[np.ndarray]]:
    """Return the detector fitted on the training rows, and its scores for each set of rows.

    Parameters
    ----------
    detector : outlier detector
        The detector; a clone of it is fitted.
    X, y, fit_params
        The arguments of its `fit`, for all rows.
    train : ndarray of int
        The indices of the training rows.
    scored : sequence of ndarray of int
        The indices of each set of rows to score.
    memory : str, joblib.Memory or None
        The cache.
    blocks : TimeBlocks or None, default=None
        The positions of the rows in time, for a detector that scores neighbouring rows together.
    """
    detector = clone(detector)
    X_train, y_train = _safe_split(detector, X, y, train)
    if blocks is not None and not isinstance(detector, FrozenEstimator):
        innermost(detector)._runs = blocks.runs(train)[0]
    fit_params = _check_method_params(X, fit_params, indices=train)
    fitted = fit_detector(detector, X_train, y_train, fit_params, memory)
    return fitted, [_scores_of(fitted, X, rows, train, blocks) for rows in scored]


def _scores_of(
    fitted: Any, X: Any, rows: np.ndarray, train: np.ndarray, blocks: TimeBlocks | None
) -> np.ndarray:
    if blocks is None:
        return one_score_each(fitted, _safe_split(fitted, X, None, rows, train)[0])
    scores = np.full(len(rows), np.nan)
    for part in blocks.parts(rows):
        scores[part] = one_score_each(fitted, _safe_split(fitted, X, None, rows[part], train)[0])
    return scores


def one_score_each(fitted: Any, X: Any) -> np.ndarray:
    """Return the scores of rows, or raise a ValueError if there is not one score for each row.

    Parameters
    ----------
    fitted : outlier detector
        The fitted detector.
    X : {array-like, sparse matrix} of shape (n, n_features)
        The rows to score.
    """
    scores = fitted.score_samples(X)
    if np.shape(scores) != (_num_samples(X),):
        raise ValueError(
            f"score_samples of {type(fitted).__name__} must return one score for each row; of "
            f"{_num_samples(X)} rows it returned an array of shape {np.shape(scores)}. Windows are "
            "scored by WindowedDetector."
        )
    return scores
