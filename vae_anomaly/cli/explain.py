"""``vae-anomaly explain``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Frame


@options.command("explain")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@options.model("The model to explain with, made by `fit` or `tune`.")
@click.option(
    "--row",
    "numbers",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="Explain this row; the first one is 1. Can be repeated.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Explain the N most abnormal rows (default: 5, unless --row is given).",
)
@click.option(
    "--reasons",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Number of reasons for each row.",
)
@click.option(
    "--attribution",
    type=click.Choice(["hiding", "terms"]),
    default="hiding",
    show_default=True,
    help="How the score is shared out: by what it loses if a column is hidden, or by its terms, "
    "which is faster and finds the cause less often.",
)
@click.option("--counterfactuals", is_flag=True, help="Also say what would make each row normal.")
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Show a column of the table beside each row. Can be repeated.",
)
@options.bad_cells
@options.reading
@options.common
def command(tables: tuple[str, ...], model_path: Path, **given: Any) -> None:
    """Say in a sentence what makes rows abnormal.

    \b
    Examples:
      vae-anomaly explain today.csv --model alarms.skops --top 3
      vae-anomaly explain today.csv --model alarms.skops --row 1042 --counterfactuals --keep id
    """
    from vae_anomaly import OnnxDetector, counterfactuals, explain
    from vae_anomaly.batch.models import schema_of
    from vae_anomaly.batch.source import Source
    from vae_anomaly.thresholds.fitting import own_threshold

    read = options.read_options(given)
    numbers, top = given["numbers"], given["top"]
    if numbers and top is not None:
        raise click.UsageError("--row and --top exclude each other.")
    model = options.load_model(model_path, given["allow_pickle"])
    if isinstance(model, OnnxDetector):
        raise click.UsageError(f"{model_path} lacks what reasons need; pass a .skops file.")
    source = Source.open(tables, read)
    frames = source.frames(schema_of(model), keep=given["keep"], bad=given["bad_cells"])
    chosen = _named(frames, numbers) if numbers else _most_abnormal(frames, model, top or 5)
    names = list(given["keep"])
    rows = chosen[[name for name in chosen if not str(name).startswith("\0")]]
    explanation = explain(model, rows, attribution=given["attribution"])
    sentences = list(explanation.text(given["reasons"]))
    remedies = list(counterfactuals(model, rows).text()) if given["counterfactuals"] else None
    scores = -model.score_samples(rows)
    threshold = own_threshold(model)

    told = []
    for at in range(len(chosen)):
        row = chosen.iloc[at]
        one: dict[str, Any] = {"row": int(row[_ROW]), "score": scores[at]}
        if names:
            one["kept"] = {name: row[_KEPT + name] for name in names}
        one["reasons"] = sentences[at]
        if remedies is not None:
            one["counterfactual"] = remedies[at]
        told.append(one)

    def say(out: Console) -> None:
        for one in told:
            kept = "".join(f", {name} {value}" for name, value in one.get("kept", {}).items())
            is_alarm = threshold is not None and one["score"] > -threshold
            out.print(
                f"row {one['row']}{kept}: score {one['score']:.4g}"
                f"{', an alarm' if is_alarm else ''}",
                markup=False,
            )
            out.print(f"  {one['reasons']}", markup=False)
            if remedies is not None:
                out.print(f"  {one['counterfactual']}", markup=False)

    show.result({"threshold": None if threshold is None else -threshold, "rows": told}, say)


_ROW, _KEPT = "\0row", "\0kept "
"""Names that no column of a table has."""


def _whole(frame: Frame, which: np.ndarray) -> pd.DataFrame:
    """Return some rows with their numbers and the kept columns beside them."""
    table = frame.table[which].reset_index(drop=True)
    beside = {
        _KEPT + name: frame.kept[name].to_pandas()[which].to_numpy()
        for name in frame.kept.column_names
    }
    return table.assign(**{_ROW: frame.rows[which]}, **beside)


def _named(frames: Iterator[Frame], numbers: tuple[int, ...]) -> pd.DataFrame:
    found, last = [], 0
    for frame in frames:
        which = np.isin(frame.rows, numbers)
        if which.any():
            found.append(_whole(frame, which))
        last = frame.stop
        if last >= max(numbers):
            break
    if beyond := sorted(number for number in numbers if number > last):
        raise click.UsageError(f"--row {beyond[0]}: the table has {last:,} rows.")
    chosen = pd.concat(found, ignore_index=True).set_index(_ROW, drop=False)
    return chosen.loc[list(dict.fromkeys(numbers))]


def _most_abnormal(frames: Iterator[Frame], model: Any, n_rows: int) -> pd.DataFrame:
    best, best_scores = None, np.zeros(0)
    for frame in frames:
        scores = -model.score_samples(frame.table)
        which = np.argsort(-scores, kind="stable")[:n_rows]
        is_chosen = np.zeros(len(scores), bool)
        is_chosen[which] = True
        rows = _whole(frame, is_chosen)
        best = rows if best is None else pd.concat([best, rows], ignore_index=True)
        best_scores = np.concatenate([best_scores, scores[is_chosen]])
        order = np.argsort(-best_scores, kind="stable")[:n_rows]
        best, best_scores = best.iloc[order].reset_index(drop=True), best_scores[order]
    assert best is not None  # a source without rows is refused
    return best
