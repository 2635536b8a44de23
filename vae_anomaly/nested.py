"""What is fitted inside pipelines and meta-estimators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.frozen import FrozenEstimator


def inside(model: Any) -> Any:
    """Return the last step of a pipeline or what a meta-estimator has fitted; None if neither."""
    if isinstance(model, FrozenEstimator):  # which passes on the attributes of what is inside
        return model.estimator
    if hasattr(model, "steps"):
        return model.steps[-1][1]
    if hasattr(model, "best_estimator_"):
        return model.best_estimator_
    return getattr(model, "detector_", getattr(model, "detector", None))


def inwards(model: Any) -> Iterator[Any]:
    """Yield a model, what is inside it, and so on to the innermost."""
    while model is not None:
        yield model
        model = inside(model)


def seen_columns(model: Any) -> Any:
    """Return the model, or what is inside it where only that has been fitted and knows columns."""
    while not (hasattr(model, "n_features_in_") or hasattr(model, "steps")):
        within = inside(model)
        if within is None:
            break
        model = within
    return model
