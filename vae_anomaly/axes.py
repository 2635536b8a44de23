"""Axes and colours that all displays share. They need matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_anomaly.sklearn_private import check_matplotlib_support

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""The colours of M. Okabe and K. Ito, which people with any form of colour blindness can tell."""

GREY = "#8C8C8C"

MARKERS = "os^Dv<>P"
"""A marker for each of the colours."""


def axes_of(ax: Axes | None, display: object) -> Axes:
    """Return the axes to plot a display on, in a new figure if `ax` is None."""
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def remove_spines(axes: list[Axes], *, keep_right: bool) -> None:
    """Remove the top spines and, unless `keep_right`, the right ones."""
    for ax in axes:
        ax.spines["top"].set_visible(False)
        ax.spines["right"].set_visible(keep_right)
