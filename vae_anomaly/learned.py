"""What a fitted estimator has learned, as facts in words; how they are shown is up to others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.thresholds.offsets import AUTO_FALSE_ALARMS
from vae_anomaly.wording import counted, first_of

if TYPE_CHECKING:
    from vae_anomaly.detector import VAEAnomalyDetector
    from vae_anomaly.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Column:
    """What a detector has seen of a column in training."""

    name: str
    """The name, or the number in words if it had none."""
    kind: str
    """"number" or "category"."""
    minimum: float | None = None
    maximum: float | None = None
    levels: tuple[str | float | bool, ...] = ()
    """The levels of a category that are not rare."""

    @property
    def values(self) -> str:
        """What it held, in words."""
        if self.kind == "category":
            return f"{len(self.levels)} levels {first_of(self.levels)}"
        if self.minimum is None:
            return "never seen"
        return f"{self.minimum:g} to {self.maximum:g}"

    def __str__(self) -> str:
        return f"{self.name}: {self.kind}, {self.values}"


@dataclass(frozen=True)
class Learned:
    """What a fitted estimator has learned."""

    headline: str
    """The most important of it, on one line."""
    facts: dict[str, str]
    """All of it, by what it is about."""
    columns: tuple[Column, ...] = field(default=())
    """The columns of the training rows."""


def learned_by(detector: VAEAnomalyDetector) -> Learned:
    """Return what a fitted detector has learned, without computing a score."""
    columns, spec = columns_of(detector), detector._vae.spec
    n_rows, offset = detector.n_samples_seen_, detector.offset_
    facts = {
        "trained on": trained_in_words(n_rows, getattr(detector, "_trained_at", None)),
        "columns": _columns_in_words(detector, columns),
        "network": _network_in_words(spec),
        "weights": f"{_n_weights(detector):,}",
        "training": counted(detector.n_iter_, "epoch"),
        "loss": _loss_in_words(detector.history_),
        "threshold": threshold_in_words(offset),
        "alarms": _alarms_in_words(detector),
    }
    size = f"{counted(n_rows, 'row')}, {counted(len(columns), 'column')}"
    return Learned(f"{size}, threshold {offset:.4g}", facts, columns)


def columns_of(detector: VAEAnomalyDetector) -> tuple[Column, ...]:
    """Return the columns that a fitted detector was trained on."""
    names = getattr(detector, "feature_names_in_", range(detector.n_features_in_))
    levels = {category.column: category.levels for category in detector._categories}
    low, high = detector.data_min_, detector.data_max_
    return tuple(
        Column(str(name), "category", levels=tuple(map(_plain, levels[number])))
        if number in levels
        else Column(str(name), "number", _or_none(low[number]), _or_none(high[number]))
        for number, name in enumerate(names)
    )


def trained_in_words(n_rows: int | None, trained_at: str | None) -> str:
    """Return what a detector was trained on and when, as far as it is known."""
    rows = "an unknown number of rows" if n_rows is None else counted(n_rows, "row")
    if trained_at is None:
        return rows
    return f"{rows}, {datetime.fromisoformat(trained_at):%Y-%m-%d %H:%M} UTC"


def threshold_in_words(offset: float) -> str:
    """Return what the threshold means for the score of a row."""
    if math.isinf(offset):
        return f"{offset:.4g}: {'no row is an outlier' if offset < 0 else 'all rows are outliers'}"
    return f"{offset:.4g}: rows with lower score_samples are outliers"


def share_below(scores: np.ndarray, offset: float, what: str) -> str:
    """Return, in words, how many of the rows with these scores are outliers."""
    n_below = int(np.count_nonzero(scores < offset))
    return f"{n_below:,} of {len(scores):,} {what} ({in_percent(n_below / len(scores))})"


def in_percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.3g} %"


def _columns_in_words(detector: VAEAnomalyDetector, columns: tuple[Column, ...]) -> str:
    encoding = detector._vae.encoding
    categories = [column.name for column in columns if column.kind == "category"]
    parts = [counted(len(columns) - len(categories), "number")]
    if categories:
        n = len(categories)
        parts.append(f"{n} categor{'y' if n == 1 else 'ies'} ({first_of(categories)})")
    n_groups = len(set(detector._vae.spec.one_hot_groups) - set(encoding.groups))
    if n_groups:
        parts.append(counted(n_groups, "one-hot group"))
    if encoding.indicators:
        names = [columns[at].name for at in encoding.indicators]
        parts.append(f"{counted(len(names), 'missing indicator')} ({first_of(names)})")
    return ", ".join(parts)


def _network_in_words(spec: NetworkSpec) -> str:
    """Return the sizes of all layers, from the input to the output."""
    kind = spec.architecture if spec.variational else f"{spec.architecture}, not variational"
    shape = ["x".join(map(str, spec.input_shape))]
    hidden = list(map(str, spec.hidden_layer_sizes))
    encoder = ["own encoder"] if spec.encoder_config else hidden
    decoder = ["own decoder"] if spec.decoder_config else hidden[::-1]
    layers = [*shape, *encoder, f"{spec.latent_dim} latent", *decoder, *shape]
    return f"{kind}: {' → '.join(layers)}"


def _n_weights(detector: VAEAnomalyDetector) -> int:
    vae = detector._vae
    n_weights = sum(array.size for array in (*vae.weights.encoder, *vae.weights.decoder))
    return n_weights + vae.spec.likelihood.learns_variance * vae.weights.observation_log_var.size


def _loss_in_words(history: dict[str, list[float]]) -> str:
    loss, reconstruction, kl = (history[name][-1] for name in ("loss", "reconstruction", "kl"))
    words = f"{loss:.4g} in the last epoch (reconstruction {reconstruction:.4g}, KL {kl:.4g})"
    losses = np.asarray(history.get("val_loss", []))
    if not np.isfinite(losses).any():
        return words
    best = int(np.nanargmin(losses))
    return f"{words}; best validation loss {losses[best]:.4g}, in epoch {best + 1}"


def _alarms_in_words(detector: VAEAnomalyDetector) -> str:
    seen = share_below(detector.training_scores_, detector.offset_, "training rows")
    if getattr(detector, "_offset_is_auto", False):  # unknown to older models
        return f"meant for {in_percent(AUTO_FALSE_ALARMS)} of new clean rows; {seen}"
    return seen


def _plain(level: Any) -> str | float | bool:
    return level if isinstance(level, str | int | float) else str(level)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
