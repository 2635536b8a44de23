"""``vae-anomaly fit``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    from vae_anomaly.batch.evaluation import Evaluation

_FEW_ROWS = 300
"""With fewer rows than this, a threshold that 1 % of them exceed rests on less than three rows."""


@options.command("fit")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option(
    "--model",
    "model_path",
    type=options.FILE,
    required=True,
    metavar="OUT.skops",
    help="Where to save the model.",
)
@options.label()
@click.option(
    "--train-on",
    type=click.Choice(["all", "inliers"]),
    default="all",
    show_default=True,
    help="Whether labelled outliers are left out of the training.",
)
@click.option(
    "--test-size",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Share of the labelled rows that is held out to measure on.",
)
@click.option(
    "--held-out",
    type=options.FILE,
    metavar="FILE",
    help="Where to write the rows that were held out, for `tune` and `evaluate`.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="COLUMN",
    help="Leave a column out. Can be repeated.",
    panel="Columns",
)
@click.option(
    "--number",
    "numbers",
    multiple=True,
    metavar="COLUMN",
    help="Take a column for numbers. Can be repeated.",
    panel="Columns",
)
@click.option(
    "--category",
    "categories",
    multiple=True,
    metavar="COLUMN",
    help="Take a column for categories. Can be repeated.",
    panel="Columns",
)
@click.option(
    "--date",
    "dates",
    multiple=True,
    metavar="COLUMN[=FORMAT]",
    help="Take a column for dates, written like '%d/%m/%Y' (default: ISO 8601). Can be repeated.",
    panel="Columns",
)
@options.bad_cells
@options.reading
@click.option(
    "--contamination",
    default="auto",
    show_default=True,
    metavar="auto|SHARE",
    help="Share of the training rows to call outliers; auto needs no guess.",
    panel="Detector",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=options.pairs,
    metavar="PARAM=VALUE",
    help="Parameter of VAEAnomalyDetector, such as latent_dim=4. Can be repeated.",
    panel="Detector",
)
@click.option(
    "--random-state",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the split and the training.",
    panel="Detector",
)
@click.option(
    "--in-memory/--stream",
    default=None,
    help="Hold all rows in memory, or read them anew in each epoch. By default it depends on the "
    "size of the table.",
    panel="Detector",
)
@options.overwrite
@options.common
def command(
    tables: tuple[str, ...], model_path: Path, label: str | None, outlier: str | None, **given: Any
) -> None:
    """Learn what is normal from a table, and save a model.

    The types of the columns are found from all rows: numbers, dates (ISO 8601), and everything
    else as categories. A column that is numbers but for a few cells stops the run, and the message
    says what can be done. Columns that say nothing about other tables (row numbers, constants, ids)
    are left out, and named.

    With --label, a part of the rows is held out to measure the model on; it never sees the label.

    \b
    Examples:
      vae-anomaly fit history.parquet --model alarms.skops
      vae-anomaly fit 'day-*.csv.gz' --model alarms.skops --drop customer --date day=%d/%m/%Y
      vae-anomaly fit data/flights.csv --model flights.skops --label unusual --outlier 1 \\
          --held-out new.csv
    """
    from vae_anomaly import VAEAnomalyDetector, save
    from vae_anomaly.batch.evaluation import evaluate_table
    from vae_anomaly.batch.fitting import Split, fit_table
    from vae_anomaly.batch.kinds import find_schema
    from vae_anomaly.batch.outputs import OutputFormat, write_rows
    from vae_anomaly.batch.source import Source
    from vae_anomaly.files import check_new

    read = options.read_options(given)
    wanted = options.read_label(label, outlier)
    held_out = given["held_out"]
    if wanted is None and (held_out is not None or given["train_on"] == "inliers"):
        flag = "--held-out" if held_out is not None else "--train-on inliers"
        raise click.UsageError(f"{flag} needs --label and --outlier.")
    detector = VAEAnomalyDetector(
        contamination=options.literal(given["contamination"]),
        random_state=given["random_state"],
        verbose=show.shows_progress(),
    )
    parameters = detector.get_params()
    for name in given["settings"]:
        if name not in parameters and "__" not in name:
            raise click.UsageError(
                f"--set: there is no parameter {name!r}{options.nearest(name, parameters)}; "
                "'python -m pydoc vae_anomaly.VAEAnomalyDetector' tells all"
            )
    try:
        detector.set_params(**given["settings"])
    except (ValueError, TypeError) as error:
        raise click.UsageError(f"--set: {error}") from error
    if held_out is not None:
        OutputFormat.of(held_out)
    source = Source.open(tables, read)
    outputs = [path for path in (model_path, held_out) if path is not None]
    options.check_files(source.paths, outputs)
    for path in outputs:
        check_new(path, overwrite=given["overwrite"])

    start = time.perf_counter()
    found = find_schema(
        source,
        drop=given["drop"],
        label=label,
        numbers=given["numbers"],
        categories=given["categories"],
        dates=dict(_name_and_format(text) for text in given["dates"]),
        bad_cells=given["bad_cells"],
    )
    split = None
    if wanted is not None:
        labels = wanted.read(source)
        split = Split.of(
            labels,
            inliers_only=given["train_on"] == "inliers",
            test_size=given["test_size"],
            random_state=given["random_state"],
        )
    model = fit_table(
        source,
        found.columns,
        detector,
        n_rows=found.n_rows,
        train=None if split is None else split.train,
        bad=given["bad_cells"],
        in_memory=given["in_memory"],
    )
    model[-1].set_params(verbose=False)
    source.check_unchanged()
    seconds = time.perf_counter() - start
    evaluation = None
    if split is not None:
        evaluation = evaluate_table(
            model, source, labels, rows=split.held_out, bad=given["bad_cells"]
        )
    if split is not None and held_out is not None:
        write_rows(source, held_out, split.held_out)
    save(model, model_path)

    n_train = int(model[-1].n_samples_seen_)
    value = {
        "model": model_path,
        "n_rows": n_train,
        "seconds": seconds,
        "columns": found.columns,
        "findings": [*source.findings, *found.findings],
        "threshold": -model[-1].offset_,
        "held_out": None if evaluation is None else show.evaluation_value(evaluation),
        "warnings": _doubts_about_threshold(n_train, evaluation),
    }

    def say(out: Console) -> None:
        kinds = [column["kind"] for column in found.columns]
        counts = ", ".join(
            f"{kinds.count(kind)} of {name}"
            for kind, name in (("number", "numbers"), ("date", "dates"), ("category", "categories"))
            if kind in kinds
        )
        categories = [column["name"] for column in found.columns if column["kind"] == "category"]
        more = ", ..." if len(categories) > 10 else ""
        named = f" ({', '.join(categories[:10])}{more})" if categories else ""
        out.print(f"trained on {n_train:,} rows in {seconds:.1f} s; columns: {counts}{named}")
        show.findings(out, value["findings"])
        if evaluation is not None:
            out.print(f"held out {evaluation.n_rows:,} rows")
            show.evaluation(out, evaluation)
        out.print(f"a row is an outlier if its score is above {value['threshold']:.4g}")
        show.findings(out, value["warnings"])
        out.print("saved " + " and ".join(map(str, outputs)))

    show.result(value, say)


def _doubts_about_threshold(n_train: int, evaluation: Evaluation | None) -> list[str]:
    """Return why the threshold should not be trusted."""
    advice = "choose it by `vae-anomaly tune`, on rows that were not trained on"
    if n_train < _FEW_ROWS:
        rows = counted(n_train, "row")
        return [f"Only {rows} were trained on, so the threshold is a rough guess: {advice}."]
    if evaluation is not None and evaluation.n_found + evaluation.n_false_alarms == 0:
        return [f"No row that was held out is above the threshold: {advice}."]
    return []


def _name_and_format(text: str) -> tuple[str, str | None]:
    name, _, form = text.partition("=")
    return name, form or None
