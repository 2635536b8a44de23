"""How a report was made, to make it again."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from vae_anomaly.nested import inside
from vae_anomaly.report.contents import Origin

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Source
    from vae_anomaly.model_info import ModelInfo


def origin_of(
    source: Source,
    model: Any,
    info: ModelInfo | None,
    model_path: str | None,
    told: dict[str, Any],
    command: str | None,
    made_at: datetime.datetime,
) -> Origin:
    """Return how a report was made.

    `told` is what the run that wrote a file of scores has told beside it.
    """
    detector = _detector(model)
    parameters = [] if detector is None else _parameters(detector)
    of_run = told.get("model", {})
    return Origin(
        made_at=made_at,
        command=command,
        inputs=tuple((str(path), os.stat(path).st_size) for path in source.paths),
        model_path=of_run.get("path") if model_path is None else model_path,
        model_digest=of_run.get("digest") if model_path is None else _digest(model_path),
        model=None
        if info is None
        else " > ".join(name.rpartition(".")[2] for name in (info.model, *info.steps)),
        trained_at=None if info is None else info.trained_at,
        n_training_rows=None if info is None else info.n_samples,
        n_epochs=getattr(detector, "n_iter_", None),
        history=getattr(detector, "history_", None),
        parameters=tuple(parameters),
        versions=tuple(
            (name, version(name)) for name in ("vae-anomaly", "scikit-learn", "numpy", "pandas")
        ),
        versions_of_model=() if info is None else tuple(info.versions.items()),
    )


def _digest(path: str) -> str:
    """Return the SHA-256 digest of a file, which the summary of a run has, too."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _detector(model: Any) -> Any:
    """Return the detector at the end of a model; None if it is no VAE."""
    while model is not None and not hasattr(model, "history_"):
        model = inside(model)
    return model


def _parameters(detector: Any) -> list[tuple[str, str, bool]]:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(type(detector)).parameters.items()
    }
    found = detector.get_params(deep=False)
    return [
        (name, repr(value), repr(value) != repr(defaults.get(name)))
        for name, value in sorted(found.items())
    ]
