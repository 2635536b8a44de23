"""TensorFlow and Keras, imported where they are first needed and without remarks on stderr."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Information, and that there is no GPU: nothing to act on.
_REMARK = re.compile(
    rb"I0000 |WARNING: All log messages before absl|To enable the following instructions"
    rb"|E0000 .*cuInit.*\(303\)"
)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keep the remarks of native code off stderr; all else that is written there comes through.

    TensorFlow makes them while it loads, before any setting of its log level takes effect.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # no stderr, as under pythonw
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            caught.seek(0)
            for line in caught:
                if not _REMARK.match(line):
                    os.write(stderr, line)
            os.close(stderr)


with _without_remarks():
    import keras
    import tensorflow as tf

    tf.config.list_logical_devices()

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"vae_anomaly trains with Keras on TensorFlow, but Keras is set to "
        f"{keras.backend.backend()!r}; set the environment variable KERAS_BACKEND=tensorflow."
    )

__all__ = ["keras", "tf"]
