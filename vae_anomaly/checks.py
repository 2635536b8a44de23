"""Checks that a VAE read from a file is one that can score, before it is used.

A file may have been changed or put together by anyone. What is checked here is that types and
shapes fit together, so that scoring neither crashes nor takes more memory than the file's size
suggests. It is not checked, and cannot be, that the numbers are those of the training.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.losses import LIKELIHOODS
from vae_anomaly.networks.config import check_config
from vae_anomaly.networks.dense_numpy import ACTIVATIONS
from vae_anomaly.networks.spec import ARCHITECTURES, NetworkSpec

if TYPE_CHECKING:
    from vae_anomaly.vae import VAE


def check_vae(vae: VAE) -> None:
    """Raise ValueError if the parts of a VAE are not of the right types and shapes."""
    _check_spec(vae.spec)
    _check_encoding(vae)
    p, d = vae.spec.n_features, vae.spec.latent_dim
    scaling = vae.scaling
    _check_array(scaling.center, (p,), "f", "scaling.center")
    _check_array(scaling.scale, (p,), "f", "scaling.scale", may_be_nan=True)
    _check_array(scaling.varies, (p,), "b", "scaling.varies")
    _check_array(vae.weights.observation_log_var, (p,), "f", "weights.observation_log_var")
    for name in ("encoder", "decoder"):
        _check_weights(vae.spec, getattr(vae.weights, name), name)
    _check_array(vae.noise, (len(vae.noise), d), "f", "noise")
    _check(_is_number(vae.beta), "beta is no number")
    if vae.calibration is not None:
        n_cells = vae.encoding.n_cell_features
        _check_array(vae.calibration.mean, (n_cells,), "f", "calibration.mean")
        _check_array(vae.calibration.importance, (n_cells,), "f", "calibration.importance")
        for name in ("kl_whole", "kl_empty", "exponent"):
            number = getattr(vae.calibration, name)
            _check(_is_number(number), f"calibration.{name} is no number")


def check_estimator_state(detector: Any) -> None:
    """Raise ValueError if the columns and the threshold of a detector do not fit its VAE."""
    encoding = detector._vae.encoding
    _check(detector.n_features_in_ == encoding.n_columns, "n_features_in_ is not that of the VAE")
    # An infinite threshold flags all rows, or none.
    is_infinite = isinstance(detector.offset_, float) and math.isinf(detector.offset_)
    _check(is_infinite or _is_number(detector.offset_), "offset_ is no number")
    names = getattr(detector, "feature_names_in_", None)
    _check(
        names is None or (isinstance(names, np.ndarray) and names.shape == (encoding.n_columns,)),
        "feature_names_in_ are not the names of the columns",
    )
    bounds = {"data_min_": detector.data_min_, "data_max_": detector.data_max_}
    bounds |= {"usual low": detector._usual.low, "usual high": detector._usual.high}
    for name, bound in bounds.items():
        _check_array(bound, (encoding.n_columns,), "f", name, may_be_nan=True)
    frequent = detector._usual.frequent
    _check(
        isinstance(frequent, tuple)
        and len(frequent) == len(detector._categories)
        and all(
            all(code in range(len(category.levels)) for code in codes)
            for codes, category in zip(frequent, detector._categories, strict=True)
        ),
        "the usual levels are not those of the categories",
    )
    _check(
        all(isinstance(category.levels, tuple) for category in detector._categories)
        and encoding.categories
        == tuple((c.column, c.n_outputs, len(c.levels)) for c in detector._categories),
        "the categories are not those of the VAE",
    )


def _check_spec(spec: NetworkSpec) -> None:
    _check(
        _is_tuple_of_counts(spec.input_shape) and len(spec.input_shape) > 0,
        "spec.input_shape is no shape",
    )
    _check(_is_count(spec.latent_dim), "spec.latent_dim is no count")
    _check(_is_tuple_of_counts(spec.hidden_layer_sizes), "spec.hidden_layer_sizes are no counts")
    for name, known in (
        ("architecture", ARCHITECTURES),
        ("activation", ACTIVATIONS),
        ("reconstruction_loss", LIKELIHOODS),
    ):
        value = getattr(spec, name)
        _check(isinstance(value, str) and value in known, f"spec.{name} is unknown: {value!r}")
    _check(isinstance(spec.variational, bool), "spec.variational is not a bool")
    _check(_is_number(spec.dropout), "spec.dropout is no number")
    _check_spans(spec.one_hot_groups, spec.n_features)
    for config in (spec.encoder_config, spec.decoder_config):
        if config is not None:
            check_config(config)


def _check_encoding(vae: VAE) -> None:
    encoding = vae.encoding
    _check(_is_count(encoding.n_columns), "encoding.n_columns is no count")
    _check(isinstance(encoding.categories, tuple), "encoding.categories is no tuple")
    for category in encoding.categories:
        _check(
            isinstance(category, tuple)
            and len(category) == 3
            and all(_is_count(number, least=0) for number in category)
            and category[0] < encoding.n_columns,
            f"encoding.categories has {category!r}",
        )
    _check(
        _is_tuple_of_counts(encoding.indicators, least=0)
        and all(column < encoding.n_columns for column in encoding.indicators),
        "encoding.indicators are no columns",
    )
    _check(encoding.n_features == vae.spec.n_features, "encoding and spec differ in their columns")


def _check_spans(spans: Any, n_features: int) -> None:
    is_fine = isinstance(spans, tuple) and all(
        isinstance(span, tuple)
        and len(span) == 2
        and all(_is_count(bound, least=0) for bound in span)
        and span[0] < span[1] <= n_features
        for span in spans
    )
    _check(is_fine, "spec.one_hot_groups are no spans of columns")


def _check_weights(spec: NetworkSpec, weights: Any, name: str) -> None:
    _check(
        isinstance(weights, list) and all(isinstance(w, np.ndarray) for w in weights),
        f"weights.{name} is no list of arrays",
    )
    shapes = [weight.shape for weight in weights]
    if spec.is_dense:
        wanted = _dense_shapes(spec, name)
        _check(shapes == wanted, f"weights.{name} has the shapes {shapes}, not {wanted}")
    for number, weight in enumerate(weights):
        _check_array(weight, weight.shape, "f", f"weights.{name}[{number}]")
    # Else a small file could ask for a huge network.
    n_weights = sum(weight.size for weight in weights)
    config = getattr(spec, f"{name}_config")
    units = () if config is not None else (*spec.hidden_layer_sizes, spec.latent_dim)
    _check(all(size <= n_weights for size in units), f"weights.{name} is too small for its layers")


def _dense_shapes(spec: NetworkSpec, name: str) -> list[tuple[int, ...]]:
    """Return the shapes of the weights of a dense encoder or decoder, in Keras's order."""
    p, d, hidden = spec.n_features, spec.latent_dim, spec.hidden_layer_sizes
    if name == "decoder":
        layers = list(pairwise((d, *hidden[::-1], p)))
    else:
        *inner, last = (p, *hidden)
        heads = [(last, d)] * (2 if spec.variational else 1)
        layers = [*pairwise((*inner, last)), *heads]
    return [shape for n_in, n_out in layers for shape in ((n_in, n_out), (n_out,))]


def _check_array(
    array: Any, shape: tuple[int, ...], kind: str, name: str, *, may_be_nan: bool = False
) -> None:
    _check(isinstance(array, np.ndarray), f"{name} is no array")
    _check(
        array.shape == shape and array.dtype.kind == kind,
        f"{name} is of shape {array.shape} and {array.dtype}, not of shape {shape}",
    )
    is_bad = np.isinf(array) if may_be_nan else ~np.isfinite(array)
    _check(not is_bad.any(), f"{name} has values that are not finite")


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _is_count(value: Any, least: int = 1) -> bool:
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_integer and bool(value >= least)


def _is_tuple_of_counts(value: Any, least: int = 1) -> bool:
    return isinstance(value, tuple) and all(_is_count(count, least) for count in value)


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(f"The stored VAE is not valid: {problem}.")
