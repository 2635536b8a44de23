"""scikit-learn's callbacks, which its version 1.9 has brought, around the epochs of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's mixin where its version has no callbacks."""


class FitTask:
    """The task "fit" of an estimator, of which each epoch is a subtask.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        The estimator in training.
    n_epochs : int
        Greatest number of epochs.
    reconstruct : callable
        Returns the attributes of the estimator as if the training had stopped with given weights.
    **data
        What the hooks may ask for: X, y and metadata.
    """

    def __init__(
        self, estimator: Any, n_epochs: int, reconstruct: Callable[[Any], dict], **data: Any
    ) -> None:
        self._reconstruct, self._data = reconstruct, {"estimator": estimator, **data}
        self._n_left = n_epochs
        self._context: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=n_epochs)
        self.is_watched = bool(getattr(estimator, "_skl_callbacks", None))
        if self.is_watched:
            self._context.call_on_fit_task_begin(**self._data)
            self._begin_epoch()

    def end_epoch(self, weights: Callable[[], Any]) -> bool:
        """Call the hooks at the end of an epoch; return whether one wants the training to stop."""
        stopping = self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=lambda: self._reconstruct(weights())
        )
        self._n_left -= 1
        if not stopping and self._n_left:
            self._begin_epoch()
        return stopping

    def end(self) -> None:
        """Call the hooks at the end of the training."""
        if self.is_watched:
            self._context.call_on_fit_task_end(**self._data, reconstruction_attributes={})

    def _begin_epoch(self) -> None:
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)
