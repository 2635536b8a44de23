"""WindowScorer: a fitted detector of windows, and what it needs to be given them."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.utils import gen_batches

from vae_anomaly.sklearn_private import get_chunk_n_rows
from vae_anomaly.time_series.positions import Windows
from vae_anomaly.time_series.whitening import WindowWhitening

_ARRAYS_OF_WHITENING = 4
"""The number of arrays of the size of the windows that whitening needs."""


class WindowScorer(NamedTuple):
    """A fitted detector of windows, and what it needs to be given them."""

    detector: Any
    """The detector, fitted on windows."""

    whitening: WindowWhitening | None
    """What whitens the windows before, if anything does."""

    medians: np.ndarray
    """What the channels are taken to be before the start of a stretch, (n_channels,)."""

    @classmethod
    def of(
        cls, detector: Any, channels: np.ndarray, windows: Windows, *, whiten: bool
    ) -> WindowScorer:
        """Return a detector that is yet to be trained, with a whitening fitted on windows."""
        scorer = cls(detector, None, _medians(channels))
        if not whiten:
            return scorer
        whitening = WindowWhitening(channels.shape[1]).fit(scorer.cut(channels, windows))
        return scorer._replace(whitening=whitening)

    def train(
        self,
        method: Literal["fit", "partial_fit"],
        channels: np.ndarray,
        windows: Windows,
        params: dict[str, Any],
    ) -> Self:
        """Train the detector on windows of sorted rows, with metadata of time points."""
        train = getattr(self.detector, method)
        train(self.cut(channels, windows), **_of_windows(params, windows))
        return self

    def cut(self, channels: np.ndarray, windows: Windows) -> np.ndarray:
        """Return what the detector is given of windows of sorted rows, one row for each."""
        rows = windows.cut(channels, self.medians)
        return rows if self.whitening is None else self.whitening.transform(rows)

    def score(self, channels: np.ndarray, windows: Windows) -> np.ndarray:
        """Return the score of each window of sorted rows, (n_windows,)."""
        if not len(windows.ends):
            return np.empty(0)
        n_arrays = 1 if self.whitening is None else _ARRAYS_OF_WHITENING
        chunk_size = get_chunk_n_rows(n_arrays * 8 * channels.shape[1] * windows.size)
        scores = [
            self.detector.score_samples(self.cut(channels, windows.take(chunk)))
            for chunk in gen_batches(len(windows.ends), chunk_size)
        ]
        return np.concatenate(scores)


def _medians(channels: np.ndarray) -> np.ndarray:
    """Return the median of each channel, NaN if it has no value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without a value
        return np.nanmedian(channels, axis=0)


def _of_windows(params: dict[str, Any], windows: Windows) -> dict[str, Any]:
    """Return the metadata of windows from those of time points, and all else unchanged."""
    return {name: _of_each_window(name, value, windows) for name, value in params.items()}


def _of_each_window(name: str, value: Any, windows: Windows) -> Any:
    if not hasattr(value, "__len__") or len(value) != len(windows.order):
        return value
    points = np.asarray(value)[windows.order]
    return windows.means_over(points) if name == "sample_weight" else points[windows.ends]
