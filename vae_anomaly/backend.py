"""The import of TensorFlow and Keras, and checks that they can be used in this process.

The import takes seconds, so this module is only imported where it is needed.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Remarks that call for no action, such as that there is no GPU.
_REMARK = re.compile(
    rb"I0000 |WARNING: All log messages before absl|To enable the following instructions"
    rb"|E0000 .*cuInit.*\(303\)"
)


_OF_A_KERNEL = frozenset(
    {
        "IPython.core.history",
        "ipykernel.control",
        "ipykernel.heartbeat",
        "ipykernel.iostream",
        "ipykernel.parentpoller",
        "ipykernel.shellchannel",
    }
)
"""The modules whose threads run no code of the user, as those of subshells do."""


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Suppress remarks of native code on stderr; everything else written there is kept.

    TensorFlow writes them while it is imported, before any log level takes effect. They can only be
    caught at the file descriptor, which the whole process shares. So nothing is done if other
    threads are running, as they may write to it or start a process that inherits it. Those of a
    notebook's kernel do neither.
    """
    if not all(map(_is_harmless, threading.enumerate())):
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr, as under pythonw
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


def _is_harmless(thread: threading.Thread) -> bool:
    """Return whether a thread is this one, or belongs to the kernel of a notebook."""
    runs: Any = getattr(thread, "_target", None) or type(thread)
    return thread is threading.current_thread() or getattr(runs, "__module__", None) in _OF_A_KERNEL


with _without_remarks():
    try:
        import keras
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}. Training, and scoring with networks that are not dense, need TensorFlow: "
            "pip install tensorflow. To score without it, convert the model with "
            "vae_anomaly.to_onnx where it is installed."
        ) from error
    from tensorflow.python.eager import context

    tf.config.list_logical_devices()

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"vae_anomaly trains with Keras on TensorFlow, but Keras is set to "
        f"{keras.backend.backend()!r}; set the environment variable KERAS_BACKEND=tensorflow."
    )


def check_usable() -> None:
    """Raise an error if TensorFlow would hang or fail in this process.

    Raises
    ------
    RuntimeError
        If the process was forked from one that had used TensorFlow, if eager execution is
        disabled, or if this is the scope of a distribution strategy.
    """
    from vae_anomaly.forking import forked_after_tensorflow

    if forked_after_tensorflow():
        raise RuntimeError(
            "This process was forked after TensorFlow had been used. TensorFlow's threads do not "
            "survive a fork, so it would hang. Start processes with 'spawn' or 'forkserver' "
            "(multiprocessing.get_context('spawn')), use joblib's default backend 'loky', or fork "
            "before anything is fitted. Dense detectors can score in a forked process."
        )
    if not tf.executing_eagerly():
        raise RuntimeError(
            "TensorFlow's eager execution is disabled, but Keras needs it. Remove the call to "
            "tf.compat.v1.disable_eager_execution() (or to disable_v2_behavior()), leave the "
            "context of a tf.Graph, or use the detector in another process."
        )
    if tf.distribute.has_strategy():
        raise RuntimeError(
            "The detector cannot be used within the scope of a tf.distribute strategy, because it "
            "is trained on one device. Call it outside of `with strategy.scope():`."
        )


def clear_kernel_cache() -> None:
    """Clear TensorFlow's cache of kernels, which it rebuilds on demand.

    The cache keeps a kernel for every variable that ever had a name, along with its memory.
    """
    context.context().clear_kernel_cache()


__all__ = ["check_usable", "clear_kernel_cache", "keras", "tf"]
