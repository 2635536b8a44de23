"""What the commands print: results for people or as JSON, and progress on a terminal."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import rich_click as click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from vae_anomaly.cli.state import State

if TYPE_CHECKING:
    from vae_anomaly.batch.evaluation import Evaluation


def result(value: dict[str, Any], say: Callable[[Console], None], *, aside: bool = False) -> None:
    """Print a result: as JSON if the user wants that, else in words, unless all is to be quiet.

    It goes to the standard error if it is to be `aside`, as rows go to the standard output.
    """
    state = _state()
    file = sys.stderr if aside else sys.stdout
    if state.as_json:
        print(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False), file=file)
    elif not state.quiet:
        # Without a terminal nothing is wrapped, so that lines can be searched.
        say(Console(file=file, highlight=False, soft_wrap=not file.isatty()))


def findings(out: Console, sentences: Iterable[str]) -> None:
    """Print what was found out about a table."""
    for sentence in sentences:
        out.print(Text(f"  - {sentence}"))


def table(out: Console, heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table, whose numbers are aligned to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for at, head in enumerate(heads):
        is_number = all(row[at][1] for row in cells)
        shown.add_column(head, justify="right" if is_number else "left", no_wrap=True)
    for row in cells:
        shown.add_row(*(Text(text) for text, _ in row))
    out.print(shown)


@contextmanager
def progress(what: str, n_rows: int | None) -> Iterator[Callable[[int, int | None], None] | None]:
    """Yield what to call with the numbers of rows done and in all; None without a terminal."""
    if not shows_progress():
        yield None
        return
    columns: list[ProgressColumn] = [TextColumn(what), BarColumn()]
    if n_rows is not None:
        columns += [MofNCompleteColumn()]
    columns += [_Rate()]
    if n_rows is not None:
        columns += [TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=n_rows)
        yield lambda done, total: bar.update(task, completed=done)


def shows_progress() -> bool:
    """Return whether there is someone to see progress."""
    state = _state()
    return sys.stderr.isatty() and not state.quiet


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{int(task.completed):,} rows, {rate:,.0f} rows/s" if rate else "")


def _state() -> State:
    context = click.get_current_context(silent=True)
    return (context and context.find_object(State)) or State()


def _cell(value: Any) -> tuple[str, bool]:
    """Return a value in words, and whether it is a number."""
    match value:
        case bool() | np.bool_():
            return ("yes" if value else "no"), False
        case int() | np.integer():
            return f"{value:,}", True
        case float() | np.floating():
            return f"{value:.4g}", True
        case None:
            return "", True
        case _:
            return str(value), False


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinite numbers become null."""
    match value:
        case dict():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple() | np.ndarray():
            return [_plain(part) for part in value]
        case bool() | None | str() | int():
            return value
        case np.generic():
            return _plain(value.item())
        case float():
            return value if math.isfinite(value) else None
        case _:
            return str(value)


def evaluation(out: Console, figures: Evaluation) -> None:
    """Print how well a model ranks and splits labelled rows."""
    n_inliers = figures.n_rows - figures.n_outliers
    out.print(f"  AUROC              {figures.auroc:.3f}")
    out.print(f"  average precision  {figures.average_precision:.3f}")
    out.print(f"  outliers found     {figures.n_found:,} of {figures.n_outliers:,}")
    out.print(f"  false alarms       {figures.n_false_alarms:,} of {n_inliers:,}")


def evaluation_value(figures: Evaluation) -> dict[str, Any]:
    """Return the same as a value for JSON."""
    value = dataclasses.asdict(figures)
    return value | {"precision": figures.precision, "recall": figures.recall}
