"""Support for scikit-learn's callbacks, new in its version 1.9, during training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty substitute for scikit-learn's mixin in versions without callbacks."""


class FitTask:
    """The callback task of a call of `fit`, with one subtask per epoch.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        The estimator being trained.
    n_epochs : int
        The largest number of epochs.
    reconstruct : callable
        Maps weights to the attributes that the estimator would have if training had stopped there.
    **data
        Further arguments that the hooks may request: X, y and metadata.
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

    def end_epoch(self, weights: Callable[[], Any], is_last: bool) -> bool:
        """Call the hooks at the end of an epoch, and return whether training is to stop.

        Parameters
        ----------
        weights : callable
            Returns the current weights.
        is_last : bool
            Whether training stops anyway.
        """
        asked = self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=lambda: self._reconstruct(weights())
        )
        stopping = is_last or asked
        self._n_left -= 1
        if not stopping and self._n_left:
            self._begin_epoch()
        return stopping

    def end(self, state: dict[str, Any]) -> None:
        """Call the hooks at the end of the training, before the estimator has its new state."""
        if self.is_watched:
            self._context.call_on_fit_task_end(
                **self._data, reconstruction_attributes=lambda: state
            )

    def _begin_epoch(self) -> None:
        self._epoch = self._context.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)
