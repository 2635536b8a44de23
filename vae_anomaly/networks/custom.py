"""Custom networks: checked once, stored as configuration and rebuilt for each fit."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from vae_anomaly.backend import clear_kernel_cache, keras
from vae_anomaly.networks.config import check_config, dicts
from vae_anomaly.networks.layers import seed

CustomNetwork = Any  # a keras.Model, or a function (input_shape, latent_dim) -> keras.Model


def encoder_config(
    encoder: CustomNetwork, input_shape: tuple[int, ...], latent_dim: int, *, variational: bool
) -> str:
    """Return the configuration of a custom encoder in JSON.

    Parameters
    ----------
    encoder : keras.Model or callable
        A model that maps samples (n, *input_shape) to [z_mean, z_log_var], each of shape
        (n, latent_dim), or a function ``(input_shape, latent_dim)`` that builds it. A plain
        autoencoder needs only z_mean.
    input_shape, latent_dim, variational
        As in `NetworkSpec`.

    Raises
    ------
    ValueError
        If it is not a Keras model, its shapes are wrong, it cannot be rebuilt from its
        configuration, or it has parts that this training loop does not update or apply, such as
        batch normalisation and regularizers.
    """
    code = (None, latent_dim)
    fitting = [[code, code]] if variational else [[code], [code, code]]
    wanted = f"{'two tensors [z_mean, z_log_var]' if variational else 'z_mean'} of shape {code}"
    return _config(encoder, "encoder", input_shape, input_shape, latent_dim, fitting, wanted)


def decoder_config(decoder: CustomNetwork, input_shape: tuple[int, ...], latent_dim: int) -> str:
    """Return the configuration of a custom decoder in JSON.

    Same as `encoder_config`, except that a decoder maps codes (n, latent_dim) to samples
    (n, *input_shape).
    """
    sample = (None, *input_shape)
    wanted = f"one tensor of shape {sample}"
    return _config(decoder, "decoder", (latent_dim,), input_shape, latent_dim, [[sample]], wanted)


def from_config(config: str, rng: np.random.RandomState) -> keras.Model:
    """Return the model with this configuration, with weights drawn from `rng`."""
    check_config(config)
    parsed = json.loads(config)
    for part in dicts(parsed):
        if "seed" in part and part["seed"] is None:
            part["seed"] = seed(rng)
    try:
        return keras.models.model_from_json(json.dumps(parsed))
    except Exception as error:  # the layers of Keras raise whatever they like
        raise ValueError(
            f"The network cannot be rebuilt from its configuration by Keras {keras.__version__}: "
            f"{str(error).strip().splitlines()[-1]} If a later version wrote it, install that one; "
            "vae_anomaly.inspect tells which."
        ) from error


def _config(
    own: CustomNetwork,
    name: str,
    shape: tuple[int, ...],
    input_shape: tuple[int, ...],
    latent_dim: int,
    fitting: list[list[tuple]],
    wanted: str,
) -> str:
    model = own if isinstance(own, keras.Model) else own(input_shape, latent_dim)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{name} must be a Keras model or a function (input_shape, latent_dim) that returns "
            f"one; the function returned {model!r}."
        )
    try:
        config = _canonical(model.to_json())
    except Exception as error:
        raise ValueError(f"{name} has no configuration to rebuild it from: {error}") from error
    parts = list(dicts(json.loads(config)))
    if any(
        # A lambda that is an activation is stored as its code alone.
        part.get("class_name") in ("Lambda", "__lambda__") or set(part) == {"value"}
        for part in parts
    ):
        raise ValueError(
            f"{name} holds a Lambda layer or a lambda, which is code and not configuration: it "
            "could not be stored. Use Keras's own layers and operations (keras.ops)."
        )
    try:
        copy = from_config(config, np.random.RandomState(0))
    except Exception as error:
        raise ValueError(
            f"{name} cannot be rebuilt from its configuration; use Keras's own layers, or register "
            f"yours with keras.saving.register_keras_serializable: {error}"
        ) from error
    try:
        outputs = copy(keras.Input(shape))
    except Exception as error:
        raise ValueError(
            f"{name} does not take input of shape {(None, *shape)}: {error}"
        ) from error
    shapes = [tuple(output.shape) for output in keras.tree.flatten(outputs)]
    if shapes not in fitting:
        raise ValueError(
            f"{name} must return {wanted}, for latent_dim={latent_dim} and samples of shape "
            f"{input_shape}; it returns shapes {shapes}."
        )
    clear_kernel_cache()
    _refuse_what_training_ignores(copy, parts, name)
    return config


def _refuse_what_training_ignores(model: keras.Model, parts: list[dict], name: str) -> None:
    """Raise ValueError if a part of the model would silently have no effect."""
    for variable in model.non_trainable_variables:
        if variable.name != "seed_generator_state":
            raise ValueError(
                f"{name} holds {variable.path!r}, which gradients do not train (batch "
                "normalisation, a stateful or a frozen layer): use LayerNormalization or "
                "GroupNormalization, no state, and trainable layers."
            )
    for layer in model._flatten_layers():
        for dtype in (layer.compute_dtype, layer.variable_dtype):
            if dtype not in ("float32", None):
                raise ValueError(
                    f"{name} has the layer {layer.name!r} of {dtype}, and the training is in "
                    "float32. Give its layers dtype='float32', or build it under "
                    "keras.config.set_dtype_policy('float32')."
                )
    for part in parts:
        for key, value in part.items():
            if key.endswith(("_regularizer", "_constraint")) and value is not None:
                raise ValueError(
                    f"{name} has a {key}, which the training does not apply; add "
                    "Dropout layers instead."
                )


def _canonical(config: str) -> str:
    """Return the configuration with Keras's automatic names numbered from zero.

    Keras numbers all layers of a process, so the same function may build "dense_1" now and
    "dense_7" later. But equal networks must have equal configurations, because they share one
    compiled training step.
    """
    parsed = json.loads(config)
    parsed.pop("compile_config", None)
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for part in dicts(parsed):
        name = part["config"].get("name") if isinstance(part.get("config"), dict) else None
        if not isinstance(name, str) or name in names or "class_name" not in part:
            continue
        kind = _snake_case(part["class_name"])
        if re.fullmatch(rf"{kind}(_\d+)?", name):
            counts[kind] = counts.get(kind, -1) + 1
            names[name] = f"{kind}_{counts[kind]}"
    return json.dumps(_renamed(parsed, "", names))


def _snake_case(class_name: str) -> str:
    """Return the name that Keras gives to a layer of this class."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _renamed(part: Any, key: str, names: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {k: _renamed(value, k, names) for k, value in part.items()}
    if isinstance(part, list):
        return [_renamed(value, key, names) for value in part]
    if key in ("name", "keras_history", "input_layers", "output_layers"):
        return names.get(part, part)
    return part
