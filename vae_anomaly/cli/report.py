"""``vae-anomaly report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show
from vae_anomaly.cli.state import State
from vae_anomaly.wording import counted


@options.command("report")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@options.model(
    "The model to score with, made by `fit` or `tune`, or a .onnx file of `export`.",
    required=False,
)
@click.option(
    "--output",
    type=options.FILE,
    required=True,
    metavar="FILE.html",
    help="Where to write the report: a file, or - for the standard output.",
)
@click.option(
    "--scored",
    is_flag=True,
    help="TABLE is the output of `score`: nothing is scored again, and --model may be left out.",
)
@options.label()
@click.option(
    "--miss-cost",
    type=click.FloatRange(min=0, min_open=True),
    metavar="COST",
    help="Cost of an outlier that raises no alarm, to compare thresholds by; needs --label.",
)
@click.option(
    "--false-alarm-cost",
    type=click.FloatRange(min=0, min_open=True),
    metavar="COST",
    help="Cost of an inlier that raises an alarm.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Show a column of the table beside the rows, such as a key. Can be repeated. With "
    "--scored, by default all that `score` has kept.",
    panel="Output",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Number of the most abnormal rows to list.",
    panel="Output",
)
@click.option(
    "--reasons",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="Number of reasons for each of them; with --scored, at most as many as `score` has "
    "written.",
    panel="Output",
)
@click.option(
    "--attribution",
    type=click.Choice(["hiding", "terms"]),
    help="How their scores are shared out: by what they lose if a column is hidden (the default), "
    "or by their terms, which is faster and finds the cause less often. Not with --scored, which "
    "shows the reasons that `score` has written.",
    panel="Output",
)
@click.option("--title", metavar="TEXT", help="Title of the report.", panel="Output")
@options.bad_cells
@options.overwrite
@options.reading
@options.common
@click.pass_obj
def command(
    state: State, tables: tuple[str, ...], model_path: Path | None, output: Path, **given: Any
) -> None:
    """Write what a model says about a table as one HTML file, to read, to print and to pass on.

    It tells how many rows raise an alarm, what other thresholds would cost, which rows are the most
    abnormal and why, and what has drifted since training. It needs the extra vae-anomaly[report].
    The file holds rows of the table, and asks no network for anything.

    \b
    Examples:
      vae-anomaly report today.csv --model alarms.skops --output today.html --keep id
      vae-anomaly report new.csv --model alarms.skops --output new.html --label fraud \\
          --outlier 1 --miss-cost 50 --false-alarm-cost 1
      vae-anomaly score today.csv --model alarms.skops --output scores.csv --reasons 3 --keep id
      vae-anomaly report scores.csv --scored --model alarms.skops --output today.html
    """
    from vae_anomaly.batch.source import Source
    from vae_anomaly.files import is_stream
    from vae_anomaly.report import write_report

    read = options.read_options(given)
    wanted = options.read_label(given["label"], given["outlier"])
    if model_path is None and not given["scored"]:
        raise click.UsageError(
            "Pass --model to score the table, or --scored if it is the output of `score`."
        )
    if given["scored"] and given["attribution"] is not None:
        raise click.UsageError("--attribution has no effect on rows that are scored already.")
    cost = _cost(given["miss_cost"], given["false_alarm_cost"])
    allow_pickle = given["allow_pickle"]
    model = None if model_path is None else options.load_model(model_path, allow_pickle)
    source = Source.open(tables, read)
    options.check_files([], [output])  # write_report knows the other inputs
    try:
        doing = "reading" if given["scored"] else "scoring"
        with show.progress(doing, source.n_rows) as advance:
            contents = write_report(
                model,
                source,
                output,
                scored=given["scored"],
                model_path=model_path,
                label=wanted,
                cost=cost,
                keep=given["keep"],
                top=given["top"],
                reasons=given["reasons"],
                attribution=given["attribution"],
                title=given["title"],
                bad_cells=given["bad_cells"],
                command=shlex.join(["vae-anomaly", *state.arguments]),
                overwrite=given["overwrite"],
                progress=advance,
            )
    except ImportError as error:
        raise click.UsageError(str(error)) from error

    def say(out: Console) -> None:
        out.print(
            f"reported {counted(contents.n_rows, 'row')}: {counted(contents.n_alarms, 'alarm')}, "
            f"with a score above {contents.threshold:.4g}"
        )
        show.findings(out, contents.warnings)
        if not is_stream(output):
            out.print(f"saved {output}", markup=False)

    show.result(contents.facts | {"output": str(output)}, say, aside=is_stream(output))


def _cost(miss: float | None, false_alarm: float | None) -> Any:
    """Return what misses and false alarms cost, or None."""
    from vae_anomaly.thresholds.objectives import AlarmCost

    if (miss is None) != (false_alarm is None):
        raise click.UsageError("--miss-cost and --false-alarm-cost go together.")
    return None if miss is None or false_alarm is None else AlarmCost(miss, false_alarm)
