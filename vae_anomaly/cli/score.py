"""``vae-anomaly score``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show
from vae_anomaly.wording import counted


@options.command("score")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@options.model("The model to score with, made by `fit` or `tune`, or a .onnx file of `export`.")
@click.option(
    "--output",
    type=options.FILE,
    required=True,
    metavar="FILE",
    help="Where to write the scores: .parquet, .csv, .jsonl, also .csv.gz, .csv.zst and so on; a "
    "pipe, a device, or - for CSV on the standard output.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Copy a column of the table to the output as it is, such as a key. Can be repeated.",
    panel="Output",
)
@click.option(
    "--p-value",
    is_flag=True,
    help="Add the share of clean rows that are at least as abnormal; needs a model of `tune`.",
    panel="Output",
)
@click.option(
    "--reasons",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Add the N largest contributions to the score: column, contribution, value, expected. "
    "In place of a column, (code) is an unusual combination of values, and (rest) what no single "
    "column explains.",
    panel="Output",
)
@click.option(
    "--attribution",
    type=click.Choice(["terms", "hiding"]),
    default="terms",
    show_default=True,
    help="How the score is shared out for --reasons: by its terms, or by what it loses if a column "
    "is hidden, which finds the cause more often and takes far longer.",
    panel="Output",
)
@click.option(
    "--escape-formulas",
    is_flag=True,
    help="Put a ' before kept cells that a spreadsheet would run as formulas (CSV).",
    panel="Output",
)
@options.bad_cells
@click.option(
    "--rejects",
    type=options.FILE,
    metavar="FILE.csv",
    help="Leave bad rows out and list them here, with line and reason, instead of stopping.",
    panel="Safe runs",
)
@options.overwrite
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run that was killed; the result is the same to the byte.",
    panel="Safe runs",
)
@click.option(
    "--rows-per-part",
    type=click.IntRange(min=1),
    metavar="N",
    help="About how many rows an interruption may cost (default: 262,144); above 65,536 it is "
    "rounded up to a multiple of that.",
    panel="Safe runs",
)
@options.reading
@options.common
def command(tables: tuple[str, ...], model_path: Path, output: Path, **given: Any) -> None:
    """Score the rows of tables of any size, in bounded memory.

    Columns are matched by name, must have the types they had in training, and other columns are
    ignored. The output has a line for each row, in the order of the input: its number, the columns
    of --keep, `score` (reconstruction + beta * KL, the higher, the more abnormal) and
    `is_outlier`. It appears under its name once it is complete, and beside it a summary
    (FILE.summary.json): rows, alarms, scores, and how the columns have drifted since training.

    \b
    Examples:
      vae-anomaly score today.csv --model alarms.skops --output scores.csv --keep id
      vae-anomaly score 'day-*.parquet' --model alarms.skops --output scores.parquet \\
          --reasons 3 --rejects rejects.csv --overwrite
      vae-anomaly score huge.csv.gz --model alarms.skops --output scores.csv.gz --resume
    """
    from vae_anomaly.batch.run import score_table
    from vae_anomaly.batch.source import Source
    from vae_anomaly.batch.summary import summary_path
    from vae_anomaly.files import is_stream

    read = options.read_options(given)
    rejects = given["rejects"]
    model = options.load_model(model_path, given.pop("allow_pickle"))
    if given["p_value"] and not hasattr(model, "p_values"):
        raise click.UsageError(
            f"--p-value: {model_path} has no scores of rows that it was not trained on to compare "
            "with. Choose its threshold by `tune`, which keeps them."
        )
    source = Source.open(tables, read)
    options.check_files([], [output, rejects])  # score_table knows the other inputs
    parts = {} if given["rows_per_part"] is None else {"rows_per_part": given["rows_per_part"]}
    with show.progress("scoring", source.n_rows) as advance:
        summary = score_table(
            model,
            source,
            output,
            model_path=model_path,
            keep=given["keep"],
            p_value=given["p_value"],
            reasons=given["reasons"],
            attribution=given["attribution"],
            rejects=rejects,
            bad_cells=given["bad_cells"],
            escape_formulas=given["escape_formulas"],
            overwrite=given["overwrite"],
            resume=given["resume"],
            progress=advance,
            **parts,
        )

    def say(out: Console) -> None:
        rejected = f", {summary.rows_rejected:,} rejected" if rejects is not None else ""
        out.print(
            f"scored {counted(summary.rows_out, 'row')}{rejected}: "
            f"{counted(summary.alarms, 'alarm')}, with a score above {summary.threshold:.4g}"
        )
        show.findings(out, [*summary.findings, *summary.warnings])
        of_output = [] if is_stream(output) else [output, summary_path(output)]
        if saved := [*of_output[:1], *([] if rejects is None else [rejects]), *of_output[1:]]:
            out.print("saved " + " and ".join(map(str, saved)))

    show.result(dataclasses.asdict(summary), say, aside=is_stream(output))
