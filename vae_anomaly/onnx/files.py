"""The bytes of a .onnx file of this package: an ONNX model with a description and a digest.

Both are entries of the model's metadata, which any reader of ONNX shows, appended to its bytes: in
the format of protocol buffers an appended field is as good as any other. The digest comes last and
is that of all bytes before it. Neither onnx nor onnxruntime is needed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from vae_anomaly.model_info import ModelInfo

INFO = "vae_anomaly"
"""The key of the description in the metadata."""

_METADATA_TAG, _KEY_TAG, _VALUE_TAG = b"\x72", b"\x0a", b"\x12"
_DIGEST = "sha256"
_DIGEST_LENGTH = 64


def sealed(model: bytes, info: ModelInfo) -> bytes:
    """Return the bytes of an ONNX model with its description and digest."""
    described = model + _entry(INFO, info.to_json())
    return described + _digest_entry(described)


def is_onnx(data: bytes) -> bool:
    """Return whether these are the whole bytes of a file that `sealed` has made."""
    length = len(_digest_entry(b""))
    described = data[:-length]
    return len(described) > 0 and data[-length:] == _digest_entry(described)


def read_info(data: bytes, path: Any) -> ModelInfo:
    """Return the description of a model.

    Raises
    ------
    ValueError
        If there is none that is valid.
    """
    try:
        (text,) = (value for key, value in _metadata(data) if key == INFO.encode())
        return ModelInfo.from_json(text, data[-_DIGEST_LENGTH:].decode())
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has no valid description of its model: {error}") from error


def _digest_entry(data: bytes) -> bytes:
    return _entry(_DIGEST, hashlib.sha256(data).hexdigest())


def _entry(key: str, value: str) -> bytes:
    parts = ((_KEY_TAG, key), (_VALUE_TAG, value))
    entry = b"".join(tag + _with_length(text.encode()) for tag, text in parts)
    return _METADATA_TAG + _with_length(entry)


def _with_length(data: bytes) -> bytes:
    length, number = b"", len(data)
    while number > 127:
        length += bytes([number & 127 | 128])
        number >>= 7
    return length + bytes([number]) + data


def _metadata(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for tag, content in _fields(data):
        if tag == _METADATA_TAG[0]:
            entry = dict(_fields(content))
            yield entry[_KEY_TAG[0]], entry[_VALUE_TAG[0]]


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tags and contents of the fields of a message; numbers have no content."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        number, at = _number(data, at)
        if tag & 7 == 2:
            if number > len(data) - at:
                raise ValueError("a part is longer than the file")
            yield tag, data[at : at + number]
            at += number
        elif tag & 7 != 0:
            raise ValueError("it is no ONNX model")


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number, at, shift = number | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return number, at
