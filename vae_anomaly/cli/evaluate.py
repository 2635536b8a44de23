"""``vae-anomaly evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show


@options.command("evaluate")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@options.model("The model to measure, made by `fit` or `tune`, or a .onnx file of `export`.")
@options.label(required=True)
@options.bad_cells
@options.reading
@options.common
def command(
    tables: tuple[str, ...], model_path: Path, label: str, outlier: str, **given: Any
) -> None:
    """Measure a model on labelled rows that it was not trained on.

    AUROC and average precision say how well the score ranks the rows, whatever the threshold; the
    other figures say what the threshold makes of it. Rows without a label do not count.

    \b
    Example:
      vae-anomaly evaluate new.csv --model alarms.skops --label fraud --outlier 1
    """
    from vae_anomaly.batch.evaluation import evaluate_table
    from vae_anomaly.batch.source import Source

    read = options.read_options(given)
    wanted = options.read_label(label, outlier)
    model = options.load_model(model_path, given["allow_pickle"])
    source = Source.open(tables, read)
    labels = wanted.read(source, allow_missing=True)
    evaluation = evaluate_table(model, source, labels, bad=given["bad_cells"])

    def say(out: Console) -> None:
        out.print(f"measured on {evaluation.n_rows:,} rows")
        show.evaluation(out, evaluation)
        out.print(f"  precision          {evaluation.precision:.3f}")
        out.print(f"  recall             {evaluation.recall:.3f}")

    show.result(show.evaluation_value(evaluation), say)
