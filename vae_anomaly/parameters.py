"""From the parameters of VAEAnomalyDetector to a network and a training plan.

Combinations in which a parameter would have no effect are refused here.
"""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral
from typing import Any

import numpy as np

from vae_anomaly.columns import Columns
from vae_anomaly.encoding import Encoding
from vae_anomaly.networks.spec import ARCHITECTURES, NetworkSpec
from vae_anomaly.rows import Stream, Table
from vae_anomaly.training.plan import TrainingPlan

AUTO_STEPS = 2000
"""The number of gradient steps for ``max_iter="auto"``, whatever the number of rows."""

AUTO_MAX_EPOCHS = 1000
"""The largest number of epochs for ``max_iter="auto"``, which takes precedence if rows are few."""

RARELY_MISSING = 0.05
"""The largest fraction of rows for which ``missing_indicator="auto"`` regards them as rare."""

FLOAT32_RANGE = {
    "observation_noise": (1e-6, 1e6),
    "input_noise": (0.0, 1e6),
    "beta": (0.0, 1e6),
    "learning_rate_init": (0.0, 1e30),
}
"""Bounds within which float32 can hold the loss, its gradient and their squares."""


def check_parameters(detector: Any) -> None:
    """Raise ValueError if a parameter would have no effect or exceed the range of float32."""
    for name, (low, high) in FLOAT32_RANGE.items():
        value = getattr(detector, name)
        if not isinstance(value, str) and not low <= value <= high:
            raise ValueError(
                f"{name}={value} is outside of [{low:g}, {high:g}], where training would leave the "
                f"range of float32. Choose a value within these bounds."
            )
    if not detector.variational:
        _refuse(detector, "beta", 1.0, "a plain autoencoder (variational=False) has no KL term")
        _refuse(detector, "n_draws", 2, "a plain autoencoder (variational=False) draws no codes")
        if detector.support_fraction != 1.0:  # which is what "auto" means here
            _refuse(
                detector,
                "support_fraction",
                "auto",
                "it picks rows by their KL divergence, which a plain autoencoder "
                "(variational=False) does not have",
            )
    if detector.reconstruction_loss in ("gaussian", "binary_crossentropy"):
        reason = f"reconstruction_loss={detector.reconstruction_loss!r} has no fixed noise"
        _refuse(detector, "observation_noise", 0.1, reason)
    if detector.encoder is not None and detector.decoder is not None:
        reason = "both networks are your own (encoder and decoder)"
        for name, default in (("hidden_layer_sizes", "auto"), ("activation", "auto")):
            _refuse(detector, name, default, reason)
        _refuse(detector, "dropout", 0.0, reason)
    always = bool(detector.missing_indicator) and not isinstance(detector.missing_indicator, str)
    if always and not _has_indicators(detector):
        reason = "only dense networks of the package, without input_shape, have missing indicators"
        _refuse(detector, "missing_indicator", "auto", reason)
    sizes: Any = detector.hidden_layer_sizes
    if not isinstance(sizes, (str, Integral)) and len(sizes) == 0:
        _refuse(detector, "activation", "auto", "there are no hidden layers")
        _refuse(detector, "dropout", 0.0, "there are no hidden layers")


def _refuse(detector: Any, name: str, default: Any, reason: str) -> None:
    value = getattr(detector, name)
    if (type(value) is not type(default) and isinstance(default, str)) or value != default:
        raise ValueError(
            f"{name}={value!r} would have no effect: {reason}. Leave it at {default!r}."
        )


def divergence_message(detector: Any) -> str:
    """Return the error message for a training run whose weights or scores are not finite."""
    ways = [f"lower learning_rate_init (now {_learning_rate(detector):g})"]
    if detector.observation_noise < 0.01:
        ways.append(f"raise observation_noise (now {detector.observation_noise})")
    if detector.input_noise > 10:
        ways.append(f"lower input_noise (now {detector.input_noise})")
    return f"Training diverged: the scores are not finite. Please {' or '.join(ways)}."


def make_spec(
    detector: Any,
    n_features: int,
    one_hot_groups: tuple[tuple[int, int], ...] = (),
) -> NetworkSpec:
    """Return the networks that the parameters describe.

    Parameters
    ----------
    detector : VAEAnomalyDetector
        The detector whose parameters are read.
    n_features : int
        The number of columns of the networks.
    one_hot_groups : tuple of (int, int)
        The first column, and the one after the last, of each group that is modelled as one
        categorical variable.

    Raises
    ------
    ValueError
        If the parameters are not compatible with each other or with X.
    """
    check_parameters(detector)
    architecture = ARCHITECTURES[detector.architecture]
    sizes: Any = detector.hidden_layer_sizes
    if isinstance(sizes, str):
        sizes = architecture.hidden_layer_sizes
    sizes = _positive_integers(sizes, "hidden_layer_sizes")
    if not sizes and architecture.needs_hidden_layers:
        raise ValueError(f"architecture={detector.architecture!r} needs at least one hidden layer.")
    activation = detector.activation
    loss = detector.reconstruction_loss
    input_shape = sample_shape(detector, n_features)
    latent_dim, variational = int(detector.latent_dim), bool(detector.variational)
    encoder_config = decoder_config = None
    if detector.encoder is not None or detector.decoder is not None:
        from vae_anomaly.networks import custom

        if detector.encoder is not None:
            encoder_config = custom.encoder_config(
                detector.encoder, input_shape, latent_dim, variational=variational
            )
        if detector.decoder is not None:
            decoder_config = custom.decoder_config(detector.decoder, input_shape, latent_dim)
    return NetworkSpec(
        input_shape=input_shape,
        latent_dim=latent_dim,
        hidden_layer_sizes=sizes,
        activation=architecture.activation if activation == "auto" else activation,
        dropout=float(detector.dropout),
        reconstruction_loss="mse" if loss == "auto" else loss,
        architecture=detector.architecture,
        variational=variational,
        encoder_config=encoder_config,
        decoder_config=decoder_config,
        one_hot_groups=one_hot_groups,
    )


def check_same_network(fitted: NetworkSpec, wanted: NetworkSpec) -> None:
    """Raise ValueError if the parameters describe another network than the fitted one."""
    before, now = dataclasses.asdict(fitted), dataclasses.asdict(wanted)
    changed = [name for name in before if before[name] != now[name]]
    if not changed:
        return
    described = {
        "encoder_config": "encoder has changed",
        "decoder_config": "decoder has changed",
        "one_hot_groups": "reconstruction_loss has changed",
    }
    changes = [
        described.get(name, f"{name} has changed from {before[name]!r} to {now[name]!r}")
        for name in changed
    ]
    raise ValueError(
        f"{'; '.join(changes)}: this describes another network than that of the previous fit, so "
        "training cannot go on from its weights. Set it back, or start afresh by fit with "
        "warm_start=False."
    )


def sample_shape(detector: Any, n_features: int) -> tuple[int, ...]:
    """Return the shape of one sample for the networks."""
    axes = ARCHITECTURES[detector.architecture].axes
    if detector.input_shape is None:
        return (n_features, 1) if axes else (n_features,)
    shape = _positive_integers(detector.input_shape, "input_shape")
    if axes and len(shape) not in [text.count(",") + 1 for text in axes]:
        raise ValueError(
            f"architecture={detector.architecture!r} takes samples of shape {' or '.join(axes)}, "
            f"got input_shape={shape}."
        )
    if math.prod(shape) != n_features:
        raise ValueError(
            f"X has {n_features} columns, but input_shape={shape} makes {math.prod(shape)} of a "
            "sample."
        )
    return shape


def n_channels(detector: Any, encoding: Encoding) -> int:
    """Return the number of channels; without `input_shape`, each column is one of its own.

    Only `input_shape` declares columns of X to be positions of the same channel.
    """
    if detector.input_shape is not None:
        return int(detector.input_shape[-1])
    return encoding.n_columns + len(encoding.indicators)


def make_encoding(detector: Any, data: Table | Stream, columns: Columns) -> Encoding:
    """Return the columns of the networks for those of the training rows."""
    categories = tuple((c.column, c.n_outputs, len(c.levels)) for c in columns.categories)
    return Encoding(columns.n_features, categories, _indicators(detector, data))


def _has_indicators(detector: Any) -> bool:
    """Return whether the networks have a place for more columns than those of X."""
    is_own = detector.encoder is not None or detector.decoder is not None
    return detector.architecture == "dense" and detector.input_shape is None and not is_own


def _indicators(detector: Any, data: Table | Stream) -> tuple[int, ...]:
    """Return the columns that get a missing indicator."""
    n_missing = data.survey.n_missing
    if not (detector.missing_indicator and _has_indicators(detector) and n_missing.any()):
        return ()
    if not isinstance(detector.missing_indicator, str):
        # A column without any value says nothing, and that it is missing says no more.
        return tuple(np.flatnonzero((n_missing > 0) & (n_missing < data.n_rows)).tolist())
    rare = np.flatnonzero((n_missing > 0) & (n_missing <= RARELY_MISSING * data.n_rows))
    n_lacking = sum(
        int(np.isnan(chunk[:, rare]).any(axis=1).sum()) for chunk, _ in data.sample.chunks()
    )
    return tuple(rare.tolist()) if n_lacking <= RARELY_MISSING * data.sample.n_rows else ()


def make_plan(
    detector: Any,
    n_rows: int,
    *,
    n_epochs_before: int = 0,
    progress: str = "training",
) -> TrainingPlan:
    """Return the plan for `fit` with `n_rows` rows, after `n_epochs_before` earlier epochs."""
    n_epochs = n_epochs_before + _n_epochs(detector, n_rows)
    return TrainingPlan(
        beta=float(detector.beta),
        input_noise=float(detector.input_noise),
        batch_size=int(detector.batch_size),
        learning_rate=_learning_rate(detector),
        cosine=detector.learning_rate == "cosine",
        warm_up=True,
        support_fraction=_support_fraction(detector),
        n_epochs=n_epochs,
        n_epochs_to_run=n_epochs,
        tol=float(detector.tol),
        n_iter_no_change=int(detector.n_iter_no_change),
        progress=progress if detector.verbose else "",
    )


def _support_fraction(detector: Any) -> float | None:
    if detector.support_fraction == "auto":
        # A plain autoencoder has no KL divergence that tells how far rows stand out.
        return None if detector.variational else 1.0
    return float(detector.support_fraction)


def _learning_rate(detector: Any) -> float:
    if isinstance(detector.learning_rate_init, str):
        return ARCHITECTURES[detector.architecture].learning_rate
    return float(detector.learning_rate_init)


def _n_epochs(detector: Any, n_rows: int) -> int:
    if isinstance(detector.max_iter, Integral):
        return int(detector.max_iter)
    n_epochs = math.ceil(AUTO_STEPS * min(detector.batch_size, n_rows) / n_rows)
    return min(n_epochs, AUTO_MAX_EPOCHS)


def _positive_integers(values: Any, name: str) -> tuple[int, ...]:
    values = (values,) if isinstance(values, Integral) else tuple(values)
    if not all(
        isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0
        for value in values
    ):
        raise ValueError(f"{name} must be positive integers, got {values}.")
    return tuple(map(int, values))
