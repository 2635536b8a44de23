"""Custom networks as configuration, and what a configuration may hold. Needs no Keras."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_MODULES = frozenset(
    {
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "models",
        "ops",
        "random",
        "regularizers",
    }
)
"""The modules of Keras from which a configuration may name classes."""

_CODE = frozenset(
    {
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
        "__lambda__",
    }
)
"""What Keras has in them that runs code or reads files named by the configuration."""


@dataclass(frozen=True)
class NetworkConfig:
    """An encoder or a decoder as the configuration that Keras rebuilds it from.

    A stored detector has it in place of the function or the model that it was given, which may be
    used in the same way: as the parameter `encoder` or `decoder`.

    Parameters
    ----------
    config : str
        The configuration in JSON.
    """

    config: str

    def __call__(self, input_shape: tuple[int, ...], latent_dim: int) -> keras.Model:
        """Return a new model, whatever the shapes, which are checked when it is used."""
        check_config(self.config)
        from vae_anomaly.backend import keras

        return keras.models.model_from_json(self.config)


def check_config(config: str) -> None:
    """Raise ValueError if a configuration is not one of built-in or registered layers only.

    Keras imports the module of any other class or function by its name, which may run code.
    """
    try:
        parts = list(dicts(json.loads(config)))
    except (RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"The configuration of a network is no JSON document: {error}") from None
    for part in parts:
        if "class_name" in part and not _is_harmless(part):
            raise ValueError(
                f"The configuration of a network names {part['class_name']!r} of module "
                f"{part.get('module')!r}, which is neither a layer of Keras that is free of code "
                "nor registered. Register your own layers with "
                "keras.saving.register_keras_serializable, and import their module before the "
                "model is loaded."
            )


def _is_harmless(part: dict) -> bool:
    name = part["class_name"]
    if not isinstance(name, str) or name in _CODE:
        return False
    return _is_of_keras(part) or _is_registered(part)


def _is_of_keras(part: dict) -> bool:
    name, module = part["class_name"], part.get("module")
    if module is None:  # the notation for tuples, tensors and the like
        return name.startswith("__")
    if module == "builtins":  # an activation of Keras by its name
        return name == "function"
    first, *names = str(module).removeprefix("keras.src").removeprefix("keras").split(".")
    return str(module).startswith("keras") and not first and (not names or names[0] in _MODULES)


def _is_registered(part: dict) -> bool:
    """Return whether what Keras would use is the very object that is registered."""
    keras, name = sys.modules.get("keras"), part.get("registered_name")
    if keras is None or not isinstance(name, str):
        return False
    registered = keras.saving.get_registered_object(name)
    if part["class_name"] != "function":
        return getattr(registered, "__name__", None) == part["class_name"]
    # Keras looks for functions in their module.
    module, own_name = sys.modules.get(str(part.get("module"))), str(part.get("config"))
    return registered is not None and getattr(module, own_name, None) is registered


def dicts(part: Any) -> Iterator[dict]:
    """Yield all dictionaries of a parsed JSON document, the outer ones first."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for value in part:
            yield from dicts(value)
