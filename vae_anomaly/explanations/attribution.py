"""Attribution: what each column that a detector is given adds to the anomaly score of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils import gen_batches

from vae_anomaly.columns import Columns
from vae_anomaly.rows import as_float64
from vae_anomaly.sklearn_private import get_chunk_n_rows
from vae_anomaly.time_series.aggregation import mean_of_past, newest_weight, smoothed
from vae_anomaly.time_series.windowed import WindowedDetector
from vae_anomaly.usual import QUANTILES
from vae_anomaly.vae import VAE

if TYPE_CHECKING:
    from vae_anomaly.explanations.folding import Values
    from vae_anomaly.time_series.positions import Stretches, Windows

CODE = "(code)"
"""What the code adds: the KL divergence."""

REST = "(rest)"
"""What no single column takes with it when it is hidden."""

NEIGHBOURS = "(neighbours)"
"""What the other time points of the windows add."""

ATTRIBUTIONS = ("terms", "hiding")

_ARRAYS = 6
"""The number of arrays of the size of all windows that explaining them needs."""

_MAX_HIDDEN = 10
"""The largest number of variables of a row that are hidden together."""


class Attribution(NamedTuple):
    """The contributions of the columns of a detector, and what to compare its values with."""

    columns: np.ndarray
    """The contribution of each column, in nats, (n, n_features)."""
    others: dict[str, np.ndarray]
    """Contributions of something else than a column, by name, (n,) each."""
    expected: Values
    """What is expected in each column, within the range of training, (n,) each."""
    low: Values
    """Below this a value of the column is unusual, (1,) each."""
    high: Values
    """Above this a value of the column is unusual, (1,) each."""
    levels: list[tuple[Any, ...]]
    """The most frequent levels of each column, if it holds categories."""
    latent: np.ndarray | None
    """What each latent dimension adds, (n, latent_dim), if the score is split by its terms."""


def attribute(detector: Any, rows: Any, attribution: str, column_of: np.ndarray) -> Attribution:
    """Return the contributions of the columns of a detector to the scores of rows.

    Parameters
    ----------
    detector : VAEAnomalyDetector or WindowedDetector
        The fitted detector.
    rows : ndarray or CSR matrix of shape (n, n_features), or tuple
        The rows, checked by the detector; of a WindowedDetector, the channels and the stretches.
    attribution : {"terms", "hiding"}
        How the score is divided among the columns, see `vae_anomaly.explain`.
    column_of : ndarray of int of shape (n_features,)
        Which columns are hidden together: those with the same number, from 0.
    """
    if isinstance(detector, WindowedDetector):
        channels, stretches = rows
        return _of_windows(detector, channels, stretches, attribution)
    vae: VAE = detector._vae
    columns, code = vae.contributions(rows)
    latent: np.ndarray | None = code
    others = {CODE: code.sum(axis=1)}
    if attribution == "terms":
        expected = vae.reconstruct(rows)
    else:
        usual_score = float(np.quantile(-detector.training_scores_, QUANTILES[1]))
        columns, rest, expected = _by_hiding(vae, rows, columns, code, column_of, usual_score)
        latent, others = None, {REST: rest}
    usual, about = detector._usual, Columns.of(detector)
    # No level of a category is beyond a bound: theirs are NaN.
    expected = np.fmax(np.fmin(expected, detector.data_max_), detector.data_min_)
    levels: list[tuple[Any, ...]] = [()] * about.n_features
    for category, frequent in zip(about.categories, usual.frequent, strict=True):
        levels[category.column] = tuple(category.values(np.array(frequent)))
    return Attribution(
        columns,
        others,
        with_levels_by_column(expected, about),
        list(usual.low[:, None]),
        list(usual.high[:, None]),
        levels,
        latent,
    )


def with_levels_by_column(rows: np.ndarray, about: Columns) -> Values:
    """Return the columns of rows, with levels in place of codes."""
    values: Values = list(rows.T)
    for category in about.categories:
        values[category.column] = category.values(rows[:, category.column])
    return values


def variables_of(vae: VAE, column_of: np.ndarray) -> np.ndarray:
    """Return the variable of each column: columns of one one-hot group are hidden together."""
    variable = column_of.copy()
    for first, stop in vae.spec.one_hot_groups:
        members = np.unique(vae.encoding.column_of[first:stop])
        joined = np.isin(variable, variable[members])
        variable[joined] = variable[members].min()
    return np.unique(variable, return_inverse=True)[1]


def _by_hiding(
    vae: VAE,
    rows: Any,
    terms: np.ndarray,
    code: np.ndarray,
    column_of: np.ndarray,
    usual_score: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the score loses with each column, what is left, and what is expected.

    Variables are hidden one at a time. As long as the score is unusual without the one that it
    loses most with, this stays hidden, and the others are hidden in addition.
    """
    variables = variables_of(vae, column_of)
    n_rows, n_variables = len(terms), int(variables.max()) + 1
    total = terms.sum(axis=1) + code.sum(axis=1)
    lost, expected = np.zeros((n_rows, n_variables)), np.empty(terms.shape)
    hidden = np.zeros((n_rows, n_variables), bool)
    score, at = total.copy(), np.arange(n_rows)
    for _ in range(min(_MAX_HIDDEN, n_variables)):
        without, found = vae.hide(rows[at], variables, hidden[at])
        loss = np.where(hidden[at], -np.inf, score[at, None] + without)
        lost[at] = np.where(hidden[at], lost[at], loss)
        expected[at] = np.where(hidden[at][:, variables], expected[at], found)
        chosen, most = loss.argmax(axis=1), loss.max(axis=1)
        is_open = score[at] - most > usual_score
        at, chosen, most = at[is_open], chosen[is_open], most[is_open]
        if not at.size:
            break
        hidden[at, chosen] = True
        score[at] -= most
    together = np.flatnonzero(hidden.any(axis=1))
    if together.size:
        cells = hidden[together][:, variables]
        filled = vae.fill_in(as_float64(rows[together]), cells)
        expected[together] = np.where(cells, filled, expected[together])
    # Within a variable, columns share the loss as they share its terms.
    weight = np.maximum(terms, np.finfo(np.float64).tiny)
    of_variable = np.zeros(lost.shape)
    np.add.at(of_variable.T, variables, weight.T)
    columns = lost[:, variables] * (weight / of_variable[:, variables])
    return columns, total - columns.sum(axis=1), expected


def _of_windows(
    detector: WindowedDetector, channels: np.ndarray, stretches: Stretches, attribution: str
) -> Attribution:
    """Return the contributions of time points to the scores of the windows that decide on them."""
    from vae_anomaly.explanations.explain import explain

    n_points, n_channels = channels.shape
    windows = detector._windows_to_score(stretches)
    deciding = _deciding_windows(detector, channels, windows)
    own, expected = np.zeros((n_points, n_channels)), np.zeros((n_points, n_channels))
    neighbours, code, n_windows = np.zeros(n_points), np.zeros(n_points), np.zeros(n_points)
    used_windows = np.arange(len(windows.ends)) if deciding is None else np.unique(deciding)
    used_windows = used_windows[used_windows >= 0]
    chunk_rows = get_chunk_n_rows(_ARRAYS * own.itemsize * n_channels * windows.size)
    other = CODE if attribution == "terms" else REST
    # Without any window, all time points have the usual score.
    for chunk in gen_batches(len(used_windows), chunk_rows) if len(used_windows) else ():
        numbers = used_windows[chunk]
        some = windows.take(numbers)
        explained = explain(
            detector.detector_, detector._scorer.cut(channels, some), attribution=attribution
        )
        if explained.contributions.shape[1] != n_channels * windows.size + 1:
            raise ValueError(
                "A step between the windows and the VAE mixes their columns, so time points have "
                "no contributions of their own. Put such steps in front of the WindowedDetector."
            )
        shape = len(numbers), windows.size, n_channels
        cells = explained.contributions.to_numpy()[:, :-1].reshape(shape)
        rebuilt = _in_units(detector, explained.expected.to_numpy(float)).reshape(shape)
        sums = cells.sum(axis=(1, 2))
        code_of_each = explained.contributions.to_numpy()[:, -1]
        for back, (which, at) in enumerate(some.rows()):
            window = np.arange(len(numbers))[which]
            if deciding is not None:
                decides = deciding[at] == numbers[window]
                at, window = at[decides], window[decides]
            cell = cells[window, -1 - back]
            own[at] += cell
            neighbours[at] += sums[window] - cell.sum(axis=1)
            code[at] += code_of_each[window]
            expected[at] += rebuilt[window, -1 - back]
            n_windows[at] += 1
    if detector.aggregation == "causal":
        # The time point is in the newest of the windows only; the others are neighbours.
        ends, size = windows.ends, windows.size
        total = mean_of_past(stretches, (own.sum(axis=1) + neighbours)[ends], size)
        code = mean_of_past(stretches, code[ends], size)
        position = np.arange(n_points) - np.repeat(stretches.firsts, stretches.lengths)
        own *= newest_weight(np.maximum(position - size + 2, 1), size)[:, None]
        # Without a window, there is the usual score, and it belongs to no channel.
        neighbours = np.where(np.isnan(total), -detector._usual_score, total - own.sum(axis=1))
        code, n_windows = np.nan_to_num(code), np.maximum(n_windows, 1)
        expected[np.isnan(total)] = np.nan
    parts = [part / n_windows for part in (own.T, expected.T, neighbours, code)]
    if detector.aggregation == "smooth":
        total, code = (
            smoothed(windows, part) for part in (parts[0].sum(axis=0) + parts[2], parts[3])
        )
        parts[0] = np.stack([smoothed(windows, part) for part in parts[0]])
        parts[2:] = total - parts[0].sum(axis=0), code
    for part in parts:
        part[..., windows.order] = part.copy()
    low, high = _usual_bounds(detector, windows.size)
    return Attribution(
        parts[0].T,
        {NEIGHBOURS: parts[2], other: parts[3]},
        list(parts[1]),
        list(low[:, None]),
        list(high[:, None]),
        [()] * n_channels,
        None,
    )


def _usual_bounds(detector: WindowedDetector, size: int) -> np.ndarray:
    """Return below and above what the values of the channels are unusual, (2, n_channels)."""
    from vae_anomaly.explanations.explain import explain

    if detector.whitening_ is not None:
        return detector.whitening_.quantiles_[[1, -2]]
    usual = explain(detector.detector_, np.tile(detector._medians, size)[None]).usual
    # Each position in the window has its own usual range.
    bounds = usual[["low", "high"]].to_numpy(float).T
    return bounds.reshape(2, size, -1).mean(axis=1)


def _in_units(detector: WindowedDetector, rows: np.ndarray) -> np.ndarray:
    """Return windows in the units of the channels, and within the range of training."""
    if detector.whitening_ is None:
        return rows
    low, high = detector.whitening_.quantiles_[[0, -1]]
    windows = detector.whitening_.inverse_transform(np.nan_to_num(rows))
    cells = windows.reshape(-1, len(low))
    return np.fmax(np.fmin(cells, high), low).reshape(windows.shape)


def _deciding_windows(
    detector: WindowedDetector, channels: np.ndarray, windows: Windows
) -> np.ndarray | None:
    """Return the window whose score each sorted time point has, -1 if none.

    If a time point has a mean score of several windows, return None.
    """
    if detector.aggregation == "causal":
        deciding = np.full(len(channels), -1)
        deciding[windows.ends] = np.arange(len(windows.ends))
        return deciding
    if detector.aggregation == "max":
        return windows.deciding(detector._scorer.score(channels, windows))
    return None
