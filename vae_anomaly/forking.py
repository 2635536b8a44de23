"""A record of whether this process was forked from one in which TensorFlow was running.

Importing this module does not import TensorFlow.
"""

from __future__ import annotations

import os
import sys

_forked_after_tensorflow = False


def forked_after_tensorflow() -> bool:
    """Return whether this process was forked after TensorFlow had started its threads."""
    return _forked_after_tensorflow


def _remember() -> None:
    global _forked_after_tensorflow
    module = sys.modules.get("tensorflow.python.eager.context")
    context = getattr(module, "_context", None)
    # TensorFlow starts its threads when its context is initialised, not when it is imported.
    if context is not None and getattr(context, "_initialized", True):
        _forked_after_tensorflow = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember)
