"""ModelInfo: what a model file says about its model, without loading it."""

from __future__ import annotations

import dataclasses
import html
import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sklearn.pipeline import Pipeline

from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.learned import Column, columns_of
from vae_anomaly.nested import inside, seen_columns
from vae_anomaly.thresholds.fitting import own_threshold
from vae_anomaly.wording import first_of

FORMAT = 1
"""The number of the format. It grows when older versions of the package would misread a file."""

_MOST_COLUMNS = 50
"""The number of columns that a summary shows."""

_PACKAGES = ("vae-anomaly", "scikit-learn", "numpy", "keras", "tensorflow")


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says about its model. As a string, it is a summary to read.

    Parameters
    ----------
    model : str
        The class of the model.
    steps : tuple of str
        The classes of the steps of a pipeline and of detectors inside others, from the outside in.
    versions : dict of str to str
        The versions of Python and of the packages that the model was saved with.
    trained_at : str or None
        When the detector was last trained, ISO 8601 in UTC.
    n_samples : int or None
        The number of rows that it was trained on.
    threshold : float or None
        The threshold, ``offset_``.
    input_names : tuple of str or None
        The names of the columns that the model takes, if it was trained on a dataframe.
    columns : tuple of Column
        The columns that the detector takes, after the steps before it.
    format : int
        The number of the format of the file.
    digest : str
        The SHA-256 digest of the file. It reveals damage, but not forgery.
    """

    model: str
    steps: tuple[str, ...]
    versions: dict[str, str]
    trained_at: str | None
    n_samples: int | None
    threshold: float | None
    input_names: tuple[str, ...] | None
    columns: tuple[Column, ...]
    format: int = FORMAT
    digest: str = ""

    @classmethod
    def of(cls, model: Any) -> ModelInfo:
        """Return what there is to tell of a model."""
        nested = _nested(model)
        detector = nested[-1] if isinstance(nested[-1], VAEAnomalyDetector) else None
        names = getattr(seen_columns(model), "feature_names_in_", None)
        threshold = own_threshold(model)
        return cls(
            model=_class_name(model),
            steps=tuple(_class_name(part) for part in nested[1:]),
            versions=_versions(),
            trained_at=getattr(detector, "_trained_at", None),
            n_samples=getattr(detector, "n_samples_seen_", None),
            threshold=None if threshold is None else float(threshold),
            input_names=None if names is None else tuple(map(str, names)),
            columns=() if detector is None else columns_of(detector),
        )

    def describes(self, model: Any) -> bool:
        """Return whether all that is told of the model itself is true of this one."""
        try:
            here = ModelInfo.of(model)
        except Exception:  # the parts of a crafted model may raise anything
            return False
        return self == dataclasses.replace(
            here, versions=self.versions, format=self.format, digest=self.digest
        )

    def to_json(self) -> str:
        """Return it as JSON, without the digest, for storage."""
        state = dataclasses.asdict(self)
        del state["digest"]
        return json.dumps(state)

    @classmethod
    def from_json(cls, text: str | bytes, digest: str) -> ModelInfo:
        """Return it from what `to_json` has returned."""
        state = json.loads(text)
        if state.get("format", 0) > FORMAT:
            raise ValueError(
                f"The file has format {state['format']}, and this version of vae-anomaly, "
                f"{version('vae-anomaly')}, reads formats up to {FORMAT}. Install the version that "
                f"wrote it, {state['versions']['vae-anomaly']}, or a later one."
            )
        columns = tuple(
            Column(**{**column, "levels": tuple(column["levels"])})
            for column in state.pop("columns")
        )
        names, steps = state.pop("input_names"), tuple(state.pop("steps"))
        names = None if names is None else tuple(names)
        return cls(**state, columns=columns, input_names=names, steps=steps, digest=digest)

    def other_versions(self) -> list[str]:
        """Return, in words, which packages that matter have another minor version here."""
        here = _versions()
        return [
            f"{name} {there} (here {here.get(name, 'not installed')})"
            for name, there in self.versions.items()
            if name in ("vae-anomaly", "scikit-learn") and _minor(there) != _minor(here.get(name))
        ]

    def _repr_html_(self) -> str:
        """Return the summary, for notebooks."""
        return f"<pre>{html.escape(str(self))}</pre>"

    @property
    def names(self) -> str:
        """The names of the classes, the outer ones first."""
        return " > ".join(name.rpartition(".")[2] for name in (self.model, *self.steps))

    def __str__(self) -> str:
        rows = "an unknown number of" if self.n_samples is None else f"{self.n_samples:,}"
        lines = [
            self.names,
            f"trained    {self.trained_at or 'at an unknown time'}, on {rows} rows",
            f"threshold  {'none' if self.threshold is None else f'{self.threshold:.4g}'}",
            f"versions   {', '.join(f'{name} {number}' for name, number in self.versions.items())}",
            f"digest     sha256 {self.digest}",
        ]
        if self.input_names is not None:
            lines.append(f"input      {first_of(self.input_names, 20)}")
        if self.columns:
            shown = self.columns[:_MOST_COLUMNS]
            lines.append(f"columns of the detector ({len(self.columns)})")
            lines.extend(f"  {column}" for column in shown)
            if len(shown) < len(self.columns):
                lines.append("  ...")
        return "\n".join(lines)


def _nested(model: Any) -> list[Any]:
    """Return the model, the steps of its pipelines, and the fitted detectors inside it."""
    nested = [model]
    if isinstance(model, Pipeline):
        nested += [step for _, step in model.steps[:-1]]
    within = inside(model)
    return nested if within is None else nested + _nested(within)


def _class_name(part: Any) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # scoring needs no TensorFlow
            continue
    return versions


def _minor(number: str | None) -> list[str] | None:
    return None if number is None else number.split(".")[:2]
