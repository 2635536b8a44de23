"""The pictures of a report: inline SVG, whose colours follow the style sheet of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_anomaly.axes import COLORS
from vae_anomaly.batch.profile import SMALL
from vae_anomaly.displays.latent import LatentSpaceDisplay
from vae_anomaly.displays.training import TrainingHistoryDisplay
from vae_anomaly.report.text import cut_off, number, percent, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from vae_anomaly.report.contents import ColumnDrift, Contents, Sampled

BLUE, RED, GREEN = COLORS[:3]
_INK, _RULE = "#000000", "#b0b0b0"
_VARIABLES = {
    _INK: "currentColor",
    _RULE: "var(--rule)",
    BLUE.lower(): "var(--blue)",
    RED.lower(): "var(--red)",
    GREEN.lower(): "var(--green)",
}
"""What stands for the colours in the page, which is light or dark."""

_STYLE: Any = {
    "axes.edgecolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.labelsize": 11,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 11,
    "grid.color": _RULE,
    "grid.linewidth": 0.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "vae-anomaly",
    "text.parse_math": False,
}
_WIDTH, _HEIGHT = 5.6, 3.1  # inches: legible at the width of a phone
_DPI = 200  # of points, which are pixels
_N_BINS = 60
_N_BARS = 10
_MOST_DRIFTED = 4


@dataclass(frozen=True)
class Picture:
    """A picture, and what it shows in words."""

    svg: str
    text: str


def draw(contents: Contents) -> dict[str, Picture]:
    """Return the pictures of a report by name; those that there is nothing for are left out."""
    pictures = {
        "scores": _picture("scores", _scores, contents),
        "alarms": _picture("alarms", _alarms, contents),
    }
    if contents.curve.precision is not None:
        pictures["ranking"] = _picture("ranking", _ranking, contents)
    if contents.sampled is not None:
        pictures["reconstruction"] = _picture(
            "reconstruction", _term, contents.sampled, "reconstruction"
        )
        if contents.sampled.kl.any():
            pictures["kl"] = _picture("kl", _term, contents.sampled, "kl")
        if len(contents.sampled.codes) > 1:
            pictures["codes"] = _picture("codes", _codes, contents.sampled)
    if contents.listing.importance:
        pictures["importance"] = _picture("importance", _importance, contents.listing.importance)
    moved = [column for column in contents.drift if _has_moved(column)]
    for at, column in enumerate(moved[:_MOST_DRIFTED]):
        pictures[f"drift-{at}"] = _picture(f"drift-{at}", _drift, column)
    if contents.origin.history is not None:
        pictures["training"] = _picture("training", _training, contents.origin.history)
    return pictures


def _picture(name: str, plot: Callable[..., tuple[Figure, str]], *arguments: Any) -> Picture:
    from matplotlib import rc_context

    with rc_context(_STYLE):
        figure, text = plot(*arguments)
        _label_enough_ticks(figure)
        file = io.StringIO()
        nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(file, format="svg", dpi=_DPI, metadata=nothing)
    return Picture(_inline(file.getvalue(), name), text)


def _inline(svg: str, name: str) -> str:
    """Return a file of SVG as an element: its names are its own, and its colours those around."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub("<[^<>]+>", lambda tag: _inline_tag(tag[0], name), svg)  # texts stay as they are
    return svg.replace("<svg", '<svg aria-hidden="true"', 1)


def _inline_tag(tag: str, name: str) -> str:
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'(url\(|href=")#', rf"\1#{name}-", tag)
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, variable)
    return tag


def _one(height: float = _HEIGHT) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height))
    return figure, figure.add_subplot()


def _scores(contents: Contents) -> tuple[Figure, str]:
    figure, ax = _one()
    scores, threshold = contents.scores, contents.threshold
    values, training = scores.scores, scores.training
    bins = _set_scale(ax, values if training is None else np.concatenate([values, training]))
    _bars(ax, values, bins, BLUE, "rows of this table")
    if scores.is_outlier is not None:
        outliers = values[scores.is_outlier == 1]
        _bars(ax, outliers, bins, RED, "labelled outliers")
    if training is not None:
        weights = np.full(len(training), len(values) / len(training))
        ax.hist(
            training,
            bins,
            weights=weights,
            histtype="step",
            color=_INK,
            linewidth=1.2,
            label="training rows, scaled",
            log=True,
        )
    ax.set_ylim(bottom=0.7)
    _plain_numbers(ax.yaxis)
    _mark(ax, threshold)
    ax.set(xlabel=_labelled("anomaly score", contents.unit), ylabel="rows")
    _legend_above(figure, ax)
    text = (
        f"Histogram of the scores of {len(values):,} rows: half of them are below "
        f"{number(float(np.median(values)))}, the highest is {number(float(values.max()))}; the "
        f"threshold is {number(threshold)}."
    )
    return figure, text


def _alarms(contents: Contents) -> tuple[Figure, str]:
    figure, ax = _one()
    curve = contents.curve
    shown = curve.alarms_per_1000 > 0
    x, y = curve.thresholds[shown], curve.alarms_per_1000[shown]
    _set_scale(ax, x)
    ax.step(x, y, color=BLUE, where="post", linewidth=1.8)
    ax.set_yscale("log")
    _plain_numbers(ax.yaxis)
    ax.set(xlabel=_labelled("threshold", contents.unit), ylabel="alarms per 1,000 rows")
    _mark(ax, contents.threshold)
    _legend_above(figure, ax)
    now = 1000 * contents.n_alarms / contents.n_rows
    text = (
        "Alarms per 1,000 rows as the threshold rises; at the present one there are "
        f"{number(now, 3)}."
    )
    return figure, text


def _ranking(contents: Contents) -> tuple[Figure, str]:
    figure, ax = _one()
    curve = contents.curve
    assert curve.precision is not None and curve.recall is not None and curve.f1 is not None
    _set_scale(ax, curve.thresholds)
    has_alarms = curve.alarms_per_1000 > 0
    x = curve.thresholds[has_alarms]
    lines = (
        ("precision", curve.precision, BLUE, "-"),
        ("recall", curve.recall, RED, "--"),
        ("F1", curve.f1, GREEN, "-."),
    )
    for name, values, color, style in lines:
        ax.step(x, values[has_alarms], color=color, linestyle=style, label=name, where="post")
    _mark(ax, contents.threshold)
    ax.set(xlabel=_labelled("threshold", contents.unit), ylim=(-0.02, 1.04))
    _legend_above(figure, ax)
    best = int(curve.f1.argmax())
    text = (
        "Precision, recall and F1 as the threshold rises. F1 is highest, "
        f"{number(float(curve.f1[best]), 3)}, at a threshold of "
        f"{number(float(curve.thresholds[best]))}."
    )
    return figure, text


def _term(sampled: Sampled, name: str) -> tuple[Figure, str]:
    figure, ax = _one()
    values = getattr(sampled, name)
    bins = _set_scale(ax, values)
    is_alarm = sampled.kind > 0
    _bars(ax, values[~is_alarm], bins, BLUE, "no alarm")
    if is_alarm.any():
        _bars(ax, values[is_alarm], bins, RED, "alarms")
    what = "reconstruction" if name == "reconstruction" else "KL divergence"
    ax.set(xlabel=f"{what} (nats)", ylabel="rows of the sample", ylim=(0.7, None))
    _plain_numbers(ax.yaxis)
    _legend_above(figure, ax)
    median = number(float(np.median(values[~is_alarm])) if (~is_alarm).any() else np.nan)
    of_alarms = number(float(np.median(values[is_alarm])) if is_alarm.any() else np.nan)
    text = (
        f"Histogram of the {what} of a sample: its median is {median} for rows without an alarm "
        f"and {of_alarms} for alarms."
    )
    return figure, text


def _codes(sampled: Sampled) -> tuple[Figure, str]:
    figure, ax = _one(1.3 * _HEIGHT)
    display = LatentSpaceDisplay.from_predictions(sampled.codes, y=sampled.kind, ax=ax)
    # The points are pixels, whose colours cannot follow those of the page: these suit both.
    styles = {
        0: ("no alarm", "#3b93d1", "o", 7, 0.5),
        1: ("alarm", "#e2682b", "^", 22, 0.9),
        2: ("alarm, listed above", "#e2682b", "D", 22, 0.9),
    }
    for kind, scatter in zip(np.unique(sampled.kind), display.scatters_, strict=True):
        scatter.remove()
        label, color, marker, size, alpha = styles[int(kind)]
        x, y = display.points[sampled.kind == kind].T
        ax.scatter(
            x,
            y,
            s=size,
            color=color,
            marker=marker,
            alpha=alpha,
            label=label,
            linewidths=0,
            rasterized=True,
        )
    labels = [label.replace("Principal component", "component") for label in display.axis_labels]
    labels = [label.replace(" of its variance", "") for label in labels]
    ax.set(xlabel=labels[0], ylabel=labels[1])
    _legend_above(figure, ax)
    n_alarms = int((sampled.kind > 0).sum())
    text = (
        f"Map of the codes of {len(sampled.kind):,} rows in two dimensions, of which {n_alarms:,} "
        "raise an alarm."
    )
    return figure, text


def _importance(importance: tuple[tuple[str, float], ...]) -> tuple[Figure, str]:
    figure, ax = _one()
    shown = importance[:_N_BARS][::-1]
    names = [cut_off(visible(name), 24) for name, _ in shown]
    positions = np.arange(len(shown))
    ax.barh(positions, [value for _, value in shown], color=BLUE, alpha=0.75, height=0.7)
    ax.set_yticks(positions, names)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="mean contribution to the score (nats)")
    first = ", ".join(f"{name} ({number(value, 3)})" for name, value in importance[:3])
    return figure, f"The mean contributions to the listed rows; the largest are {first}."


def _drift(column: ColumnDrift) -> tuple[Figure, str]:
    figure, ax = _one()
    positions = np.arange(len(column.bins))
    ax.bar(positions - 0.2, column.then, 0.4, color=_INK, alpha=0.35, label="training")
    ax.bar(positions + 0.2, column.now, 0.4, color=BLUE, alpha=0.85, label="this table")
    labels = [cut_off(visible(label), 14) for label in column.bins]
    ax.set_xticks(positions, labels, rotation=35, ha="right", rotation_mode="anchor")
    ax.grid(axis="x", visible=False)
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    _legend_above(figure, ax)
    most = int(np.argmax(np.abs(np.subtract(column.now, column.then))))
    text = (
        f"The values of {cut_off(column.name, 60)}: {percent(column.now[most])} of them are "
        f"{cut_off(column.bins[most], 40)}, where {percent(column.then[most])} were in training."
    )
    return figure, text


def _training(history: dict[str, list[float]]) -> tuple[Figure, str]:
    figure, ax = _one()
    TrainingHistoryDisplay.from_predictions(history, ax=ax)
    _plain_numbers(ax.yaxis)
    _legend_above(figure, ax)
    losses = history["loss"]
    text = (
        f"The loss of {len(losses):,} epochs: it falls from {number(losses[0])} to "
        f"{number(losses[-1])}."
        if losses[-1] <= losses[0]
        else f"The loss of {len(losses):,} epochs, from {number(losses[0])} to "
        f"{number(losses[-1])}."
    )
    return figure, text


def _has_moved(column: ColumnDrift) -> bool:
    return column.warns and len(column.bins) > 1 and (column.psi or 0) > SMALL


def _labelled(what: str, unit: str) -> str:
    return f"{what} ({unit})" if unit else what


def _bars(ax: Axes, values: np.ndarray, bins: list[float], color: str, label: str) -> None:
    """Draw a histogram as one area, which takes less room than as many bars."""
    ax.hist(values, bins, color=color, alpha=0.65, label=label, histtype="stepfilled", log=True)


def _plain_numbers(axis: Axis) -> None:
    """Write numbers as 1,000, not as powers of ten, and only at the larger ticks."""
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter("")


def _label_enough_ticks(figure: Figure) -> None:
    """Label at least two ticks of each logarithmic axis, which powers of ten may not be."""
    from matplotlib.ticker import AutoLocator, LogLocator

    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            for locator in (LogLocator(subs=(1, 2, 5)), AutoLocator()):
                n_labels = sum(low <= tick <= high for tick in axis.get_majorticklocs())
                if axis.get_scale() == "log" and n_labels < 2:
                    axis.set_major_locator(locator)


def _mark(ax: Axes, threshold: float) -> None:
    if np.isfinite(threshold):
        ax.axvline(threshold, color=_INK, linestyle=":", linewidth=1.5, label="threshold")


def _legend_above(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    legend = ax.get_legend()
    if legend is not None:  # of a display
        legend.remove()
    ncols = 2 if sum(map(len, labels)) > 44 else 4  # as many as fit the width
    figure.legend(
        handles, labels, loc="outside upper left", ncols=ncols, columnspacing=1.2, markerscale=1.3
    )


def _set_scale(ax: Axes, values: np.ndarray) -> list[float]:
    """Give the axis a scale that shows the bulk and the tail of values; return edges of bins.

    It is linear near 0 and logarithmic far from it, and so takes negative values, too.
    """
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        return np.linspace(low - 0.5, high + 0.5, _N_BINS).tolist()
    if low > 0:
        if high / low > 20:
            ax.set_xscale("log")
            _plain_numbers(ax.xaxis)
            return np.geomspace(low, high, _N_BINS).tolist()
        return np.linspace(low, high, _N_BINS).tolist()
    width = float(np.subtract(*np.quantile(values, [0.75, 0.25]))) or high - low
    if high - low <= 20 * width:
        return np.linspace(low, high, _N_BINS).tolist()
    ax.set_xscale("asinh", linear_width=width)
    _plain_numbers(ax.xaxis)
    first, last = np.arcsinh(low / width), np.arcsinh(high / width)
    return (width * np.sinh(np.linspace(first, last, _N_BINS))).tolist()
