"""TensorFlow and Keras, imported where they are first needed, and what they need of the process."""

from __future__ import annotations

import os
import re
import tempfile
import threading
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

    TensorFlow makes them while it loads, before any setting of its log level takes effect. Only
    what holds for all of the process, the file descriptor, can keep them off. So where other
    threads run, which may write to it or start a process that inherits it, it is left alone.
    """
    if threading.active_count() > 1:
        yield
        return
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
    from tensorflow.python.eager import context

    tf.config.list_logical_devices()

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"vae_anomaly trains with Keras on TensorFlow, but Keras is set to "
        f"{keras.backend.backend()!r}; set the environment variable KERAS_BACKEND=tensorflow."
    )


def check_usable() -> None:
    """Raise RuntimeError where TensorFlow would hang or fail in this process.

    Raises
    ------
    RuntimeError
        If the process was forked from one that had used TensorFlow, if eager execution is
        disabled, or if this is the scope of a distribution strategy.
    """
    from vae_anomaly.forking import forked_after_tensorflow

    if forked_after_tensorflow():
        raise RuntimeError(
            "This process was forked after TensorFlow was used, whose threads do not survive a "
            "fork: TensorFlow would hang. Start processes by 'spawn' or 'forkserver' "
            "(multiprocessing.get_context('spawn')), use joblib's default backend 'loky', or fork "
            "before anything is fitted. Dense detectors can score in a forked process."
        )
    if not tf.executing_eagerly():
        raise RuntimeError(
            "TensorFlow's eager execution is disabled, and Keras needs it. Remove the call of "
            "tf.compat.v1.disable_eager_execution() (or of disable_v2_behavior()), or use the "
            "detector in another process."
        )
    if tf.distribute.has_strategy():
        raise RuntimeError(
            "The detector cannot be used within the scope of a tf.distribute strategy, because it "
            "is trained on one device. Call it outside of `with strategy.scope():`."
        )


def clear_kernel_cache() -> None:
    """Make TensorFlow forget its compiled kernels, which it makes anew when they are needed.

    It keeps one for every variable that was ever named, along with the variable's memory.
    """
    context.context().clear_kernel_cache()


__all__ = ["check_usable", "clear_kernel_cache", "keras", "tf"]
