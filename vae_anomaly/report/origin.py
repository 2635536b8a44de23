"""How a report was made, to make it again."""

from __future__ import annotations

import datetime
import inspect
import os
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.files import digest_of
from vae_anomaly.nested import inwards
from vae_anomaly.report.contents import Origin

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Source
    from vae_anomaly.batch.summary import Summary
    from vae_anomaly.model_info import ModelInfo

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def detector_of(model: Any) -> VAEAnomalyDetector | None:
    """Return the detector at the end of a model; None if it is no VAE."""
    return next((part for part in inwards(model) if isinstance(part, VAEAnomalyDetector)), None)


def origin_of(
    source: Source,
    detector: VAEAnomalyDetector | None,
    info: ModelInfo | None,
    model_path: str | None,
    summary: Summary | None,
    command: str | None,
    made_at: datetime.datetime,
) -> Origin:
    """Return how a report was made.

    `summary` is what the run that wrote a file of scores has told beside it.
    """
    digest: str | None = None
    if model_path is not None:
        digest = digest_of(model_path)
    elif summary is not None and isinstance(summary.model.get("path"), str):
        # Without a path, the run told the hash of an object in memory, which no file has.
        model_path, digest = summary.model["path"], summary.model.get("digest")
    return Origin(
        made_at=made_at,
        command=command,
        inputs=tuple((str(path), os.stat(path).st_size) for path in source.paths),
        model_path=model_path,
        model_digest=digest,
        model=None if info is None else info.names,
        trained_at=None if info is None else info.trained_at,
        n_training_rows=None if info is None else info.n_samples,
        n_epochs=getattr(detector, "n_iter_", None),
        history=getattr(detector, "history_", None),
        parameters=() if detector is None else _parameters(detector),
        versions=tuple(
            (name, version(name)) for name in ("vae-anomaly", "scikit-learn", "numpy", "pandas")
        ),
        versions_of_model=() if info is None else tuple(info.versions.items()),
    )


def _parameters(detector: VAEAnomalyDetector) -> tuple[tuple[str, str, bool], ...]:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(type(detector)).parameters.items()
    }
    found = detector.get_params(deep=False)
    return tuple(
        (name, _in_words(value), repr(value) != repr(defaults.get(name)))
        for name, value in sorted(found.items())
    )


def _in_words(value: Any) -> str:
    """Return a value as it is written, without the addresses of objects, which always differ."""
    return _ADDRESS.sub("", repr(value))
