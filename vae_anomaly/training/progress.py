"""The progress bar of a training: a widget in notebooks, else text on stderr."""

from __future__ import annotations

import sys
import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets tqdm warns that there is only text, which does as well.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

_IN_PLACE, _IN_LINES = 0.1, 5.0
"""The seconds between two updates where the bar is redrawn in place, and where it is not."""


def progress_bar(n_steps: int, text: str) -> tqdm:
    """Return a progress bar with a label, or one that shows nothing if this is empty."""
    return tqdm(
        total=n_steps,
        desc=text,
        unit="step",
        disable=not text,
        mininterval=_IN_PLACE if _redraws_in_place() else _IN_LINES,
    )


def end_early(bar: tqdm) -> None:
    """Tell a bar that the steps that it has counted are all that there will be."""
    bar.total = bar.n
    if hasattr(bar, "container"):  # the widget keeps a total of its own
        bar.container.children[1].max = bar.n


def _redraws_in_place() -> bool:
    """Return whether the bar replaces itself, as a log file would keep all versions of it."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")
