"""The threshold of time points, from the scores of blocks of time.

Neighbouring windows overlap, so a window that is held out at random is not new to a detector.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from vae_anomaly.thresholds.fitting import final_step
from vae_anomaly.thresholds.offsets import auto_offset
from vae_anomaly.thresholds.scale import Fold, at_refitted_scale
from vae_anomaly.thresholds.splitting import TimeBlocks
from vae_anomaly.time_series.aggregation import AGGREGATIONS, mean_of_past, to_points
from vae_anomaly.time_series.positions import Stretches
from vae_anomaly.time_series.scoring import WindowScorer

_BLOCK = 10
"""The length of blocks, in windows, that a long series is thinned to."""


def halves(stretches: Stretches, size: int) -> tuple[Stretches, Stretches]:
    """Return two halves of the time points: a few blocks of each stretch, which alternate."""
    stretch = np.repeat(np.arange(len(stretches.firsts)), stretches.lengths)
    is_second = np.zeros(len(stretch), bool)
    is_second[TimeBlocks(stretch, size).split(0.5)[1]] = True
    is_break = (np.diff(stretch) != 0) | (np.diff(is_second) != 0)
    parts = Stretches.between(stretches.order, is_break)
    of_second = is_second[parts.firsts]
    return parts.take(~of_second), parts.take(of_second)


def thinned(stretches: Stretches, size: int, n_points: int | None) -> Stretches:
    """Return about so many of the time points at most, in blocks of several windows."""
    if n_points is None:
        return stretches
    step = math.ceil(stretches.lengths.sum() / n_points)
    block = _BLOCK * size
    if step == 1:
        return stretches
    starts = [np.arange(0, length, step * block) for length in stretches.lengths]
    return Stretches(
        stretches.order,
        np.concatenate([first + at for first, at in zip(stretches.firsts, starts, strict=True)]),
        np.concatenate(
            [
                np.minimum(length - at, block)
                for length, at in zip(stretches.lengths, starts, strict=True)
            ]
        ),
    )


def for_as_many_epochs(detector: Any, fitted: Any) -> Any:
    """Return an unfitted detector that is to be trained for as many epochs as the fitted one."""
    final, n_epochs = final_step(detector), getattr(final_step(fitted), "n_iter_", None)
    if n_epochs is not None and getattr(final, "max_iter", None) == "auto":
        final.set_params(max_iter=int(n_epochs))
    return detector


def to_scale_of(fitted: np.ndarray, other: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return scores by another detector at the scale of the fitted one.

    Parameters
    ----------
    fitted, other : ndarray of shape (n_common,)
        The scores of the same time points, which both have been trained on.
    scores : ndarray of shape (n,)
        Scores by the other detector.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they name parameters of others
        fold = Fold(scores, np.ones(len(scores), bool), other, fitted)
        return at_refitted_scale([fold])[0]


def offsets_of(
    fitted: WindowScorer,
    score: Callable[[WindowScorer, Stretches], dict[str, np.ndarray]],
    stretches: Stretches,
    size: int,
    contamination: float | str,
    train: Callable[[Stretches], WindowScorer] | None,
) -> dict[str, float]:
    """Return the threshold of time points for each way of aggregating the scores of windows.

    Parameters
    ----------
    fitted : WindowScorer
        The detector of windows.
    score : callable
        Returns the scores of time points for each aggregation, by a detector of windows.
    stretches : Stretches
        The time points of the training.
    size : int
        The size of the windows.
    contamination : "auto" or float
        The fraction of these time points to be called outliers, or the aim of 1 % of new ones.
    train : callable or None
        Trains another detector on a part of the time points. None means that there is no other.
    """
    known = score(fitted, stretches)
    if not isinstance(contamination, str):
        level = float(contamination)
        return {name: float(np.quantile(points, level)) for name, points in known.items()}
    seen, unseen = halves(stretches, size)
    new = known
    if train is not None and all((part.lengths >= size).any() for part in (seen, unseen)):
        other = train(seen)
        common, by_other = score(fitted, seen), score(other, seen)
        new = {
            name: to_scale_of(common[name], by_other[name], points)
            for name, points in score(other, unseen).items()
        }
    return {
        name: auto_offset(points, np.ones(len(points)), known[name]) for name, points in new.items()
    }


def point_scores(
    scorer: WindowScorer, channels: np.ndarray, stretches: Stretches, size: int, stride: int
) -> dict[str, np.ndarray]:
    """Return the scores of time points for each way of aggregating those of windows.

    Parameters
    ----------
    scorer : WindowScorer
        The detector of windows.
    channels : ndarray of shape (n_timepoints, n_channels)
        The sorted rows.
    stretches : Stretches
        The time points, which are left out where no whole window covers them.
    size, stride : int
        The size of the windows, and the stride of those that are scored but for "causal".
    """
    if stretches.lengths.max() < size:
        scores = scorer.score(channels, stretches.short(size))
        return dict.fromkeys((*AGGREGATIONS, "causal"), scores)
    every, windows = stretches.windows(size, 1), stretches.windows(size, stride)
    of_every = scorer.score(channels, every)
    scores = of_every[np.searchsorted(every.ends, windows.ends)]
    points = {name: to_points(windows, scores, name) for name in AGGREGATIONS}
    points["causal"] = mean_of_past(stretches, of_every, size)
    return {name: values[~np.isnan(values)] for name, values in points.items()}
