"""A record of whether this process was forked from one in which TensorFlow was running.

Importing this module does not import TensorFlow.
"""

from __future__ import annotations

import os
import sys
import threading

_forked_after_tensorflow = False


def forked_after_tensorflow() -> bool:
    """Return whether this process was forked after TensorFlow had started its threads."""
    return _forked_after_tensorflow


def _tensorflow_is_initialized() -> bool:
    # TensorFlow starts its threads when its context is initialised, not when it is imported.
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    return context is not None and getattr(context, "_initialized", True)


def _remember() -> None:
    global _forked_after_tensorflow
    _forked_after_tensorflow |= _tensorflow_is_initialized()


def _has_threads_of_others() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) > threading.active_count()
    except OSError:  # not on Linux
        return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember)
    # The fork may have come before this import: then TensorFlow has lost its threads.
    if _tensorflow_is_initialized() and not _has_threads_of_others():
        _remember()
