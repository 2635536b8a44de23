"""``vae-anomaly tune``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rich_click as click
from click import get_current_context
from click.core import ParameterSource
from rich.console import Console

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    AutoThreshold,
    ExtremeValueTail,
    FBeta,
    OnnxDetector,
    PrecisionAtK,
    RecallAtPrecision,
    ScoreDistributionDisplay,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    bootstrap_threshold,
)
from vae_anomaly.cli import options, show
from vae_anomaly.thresholds.fitting import own_threshold
from vae_anomaly.thresholds.objectives import LabelledObjective, threshold_curve

OBJECTIVES: dict[str, tuple[Any, dict[str, str]]] = {
    "auto": (AutoThreshold, {}),
    "tail": (ExtremeValueTail, {"alarm_rate": "alarm_rate", "tail": "tail"}),
    "budget": (AlarmBudget, {"alarms": "alarms", "per": "per"}),
    "cost": (AlarmCost, {"missed": "miss_cost", "false_alarm": "false_alarm_cost"}),
    "f-beta": (FBeta, {"beta": "beta"}),
    "recall-at-precision": (RecallAtPrecision, {"precision": "precision"}),
    "precision-at-k": (PrecisionAtK, {"k": "alarms", "per": "per"}),
}
"""The values of --objective, with the option that each of its parameters is taken from."""


class _ObjectiveName(click.Choice):  # not generic before click 8.2
    """The name of an objective, of which F-measures are also known by other names."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; raise BadParameter if there is none like it."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            if re.fullmatch(r"f[-_ ]?(beta|score|measure|\d[\d.]*)?", str(value).lower()):
                hint = " (did you mean f-beta? Its --beta is 1 by default)"
                self.fail(error.message.removesuffix(".") + hint, param, ctx)
            raise


def _of_objective(name: str, metavar: str, text: str) -> options.Decorator:
    return click.option(f"--{name}", type=float, metavar=metavar, help=text, panel="Objectives")


@options.command("tune")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@options.model("The model to tune, made by `fit` or `tune`.")
@click.option(
    "--output",
    type=options.FILE,
    required=True,
    metavar="OUT.skops",
    help="Where to save the model with the new threshold.",
)
@options.label()
@click.option(
    "--objective",
    type=_ObjectiveName(list(OBJECTIVES)),
    default="auto",
    show_default=True,
    help="What the threshold is chosen for. Without labels: auto (1 % of false alarms on clean "
    "rows), tail (a smaller share, by a fitted extreme-value tail), budget (a number of alarms). "
    "With labels: cost, f-beta, recall-at-precision, precision-at-k (the share of outliers among "
    "a number of alarms).",
    panel="Objectives",
)
@_of_objective("alarm-rate", "SHARE", "tail: share of rows that raise an alarm (default: 0.001).")
@_of_objective("tail", "SHARE", "tail: share of rows that the tail is fitted to (default: 0.1).")
@_of_objective("alarms", "N", "budget, precision-at-k: number of alarms per --per rows.")
@_of_objective("per", "ROWS", "See --alarms (default: 1 for budget, all for precision-at-k).")
@_of_objective("miss-cost", "COST", "cost: cost of an outlier that raises no alarm.")
@_of_objective("false-alarm-cost", "COST", "cost: cost of an inlier that raises an alarm.")
@_of_objective("beta", "BETA", "f-beta: weight of recall relative to precision (default: 1).")
@_of_objective("precision", "SHARE", "recall-at-precision: least precision of the alarms.")
@click.option(
    "--plot",
    type=options.FILE,
    metavar="OUT.png",
    help="Where to save a plot of the scores and the threshold; needs matplotlib.",
)
@options.bad_cells
@options.reading
@options.overwrite
@options.common
def command(
    tables: tuple[str, ...], model_path: Path, label: str | None, outlier: str | None, **given: Any
) -> None:
    """Choose the alarm threshold of a model, without training it again.

    The rows must not be those that the model was trained on, because it scores these as more
    normal than new rows: `fit --held-out` writes a file of new rows. Labels may be missing in some
    rows. The uncertainty of the choice is estimated by resampling the rows: for each resample, the
    threshold is chosen again and measured on the rows that it leaves out.

    The output may be the file of --model, with --overwrite. The model that is saved also gives
    p-values, see `score --p-value`. All rows are held in memory.

    \b
    Examples:
      vae-anomaly tune new.csv --model alarms.skops --output tuned.skops \\
          --objective budget --alarms 20 --per 10000
      vae-anomaly tune new.csv --model alarms.skops --output tuned.skops --label fraud \\
          --outlier 1 --objective cost --miss-cost 50 --false-alarm-cost 1 --plot threshold.png
    """
    from vae_anomaly import save
    from vae_anomaly.batch.labels import UNKNOWN
    from vae_anomaly.batch.models import schema_of
    from vae_anomaly.batch.source import Source
    from vae_anomaly.files import check_new, replacing

    read = options.read_options(given)
    wanted = options.read_label(label, outlier)
    objective = make_objective(given["objective"], given)
    if isinstance(objective, LabelledObjective) and wanted is None:
        raise click.UsageError(f"--objective {given['objective']} needs --label and --outlier.")
    output, plot = given["output"], given["plot"]
    if plot is not None:
        check_picture(plot)
    model = options.load_model(model_path, given["allow_pickle"])
    if isinstance(model, OnnxDetector):
        raise click.UsageError(
            f"{model_path}: the threshold of a .onnx file is fixed. Tune the model that it was "
            "exported from."
        )
    if isinstance(model, TunedThresholdDetectorCV):
        model = model.detector_
    source = Source.open(tables, read)
    outputs = [path for path in (output, plot) if path is not None]
    options.check_files(source.paths, outputs)
    for path in outputs:
        check_new(path, overwrite=given["overwrite"])

    is_outlier = None
    if wanted is not None:
        labels = wanted.read(source, allow_missing=True)
        is_outlier = np.where(labels == UNKNOWN, np.nan, labels)
    frames = source.frames(schema_of(model), bad=given["bad_cells"])
    rows = pd.concat([frame.table for frame in frames], ignore_index=True)
    tuned = TunedThresholdDetectorCV(model, scoring=objective, cv="prefit").fit(rows, is_outlier)
    scores = tuned.score_samples(rows)
    figures, unsure = compare(
        objective, own_threshold(model), float(tuned.offset_), scores, is_outlier
    )
    save(tuned, output)
    if plot is not None:
        with replacing(plot) as part:
            figure = draw(objective, tuned.offset_, scores, is_outlier)
            figure.savefig(part, format=plot.suffix[1:])

    warnings = []
    given_by = get_current_context().get_parameter_source("objective")
    if wanted is not None and given_by is ParameterSource.DEFAULT:
        warnings.append(
            "The labels were not used to choose the threshold, only to measure it, as --objective "
            "is auto by default. cost, f-beta, recall-at-precision and precision-at-k use them."
        )

    def say(out: Console) -> None:
        out.print(f"scored {len(scores):,} rows{counts(is_outlier)}")
        threshold = f"{-tuned.offset_:.4g}"
        chosen_by = in_flags(given["objective"], given)
        out.print(f"with {chosen_by} a row is an outlier if its score is above {threshold}")
        show.findings(out, warnings)
        out.print()
        show.table(out, ["", *figures.columns], figures.itertuples())
        if unsure:
            out.print(unsure)
        out.print("saved " + " and ".join(map(str, outputs)))

    value = {
        "model": output,
        "n_rows": len(scores),
        "objective": str(objective),
        "threshold": -tuned.offset_,
        "figures": figures.to_dict(),
        "warnings": warnings,
    }
    show.result(value, say)


def make_objective(name: str, given: dict[str, Any]) -> Any:
    """Return the objective with the options that belong to it, and refuse all other options."""
    objective, own = OBJECTIVES[name]
    every = {option for _, known in OBJECTIVES.values() for option in known.values()}
    set_ones = {option for option in every if given[option] is not None}
    if strays := set_ones.difference(own.values()):
        raise click.UsageError(f"{flags(strays)} cannot be used with --objective {name}.")
    required = {
        own[field.name]
        for field in dataclasses.fields(objective)
        if field.name in own and field.default is dataclasses.MISSING
    }
    if lacking := required - set_ones:
        raise click.UsageError(f"--objective {name} needs {flags(lacking)}.")
    parameters = {parameter: given[option] for parameter, option in own.items()}
    try:
        return objective(**{name: value for name, value in parameters.items() if value is not None})
    except ValueError as error:
        raise click.UsageError(f"{flags(set_ones)}: {error}") from error


def in_flags(name: str, given: dict[str, Any]) -> str:
    """Return an objective as the options that make it."""
    own = [option for option in OBJECTIVES[name][1].values() if given[option] is not None]
    return " ".join([f"--objective {name}", *(f"{flags([key])} {given[key]:g}" for key in own)])


def flags(names: Iterable[str]) -> str:
    """Return the flags of options in words."""
    return " and ".join("--" + name.replace("_", "-") for name in sorted(names))


def check_picture(path: Path) -> None:
    """Raise UsageError if matplotlib is missing or cannot write pictures of this type."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise click.UsageError("--plot needs matplotlib: pip install matplotlib") from None
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:] not in kinds:
        raise click.UsageError(f"--plot {path}: the name must end in {', '.join(sorted(kinds))}.")


def compare(
    objective: Any,
    before: float | None,
    chosen: float,
    scores: np.ndarray,
    is_outlier: np.ndarray | None,
) -> tuple[pd.DataFrame, str]:
    """Return the figures of the old and new threshold and of resamples, and why there are none."""
    offsets = {"before": before, "chosen": chosen}
    offsets = {name: offset for name, offset in offsets.items() if offset is not None}
    curve = threshold_curve(objective, np.array(list(offsets.values())), scores, is_outlier)
    figures = in_words(objective, curve).set_axis(list(offsets))
    try:
        resampled = bootstrap_threshold(objective, scores, is_outlier, random_state=0)
    except ValueError as error:  # there are enough rows for a choice, but not for resampling
        return figures.T, f"how sure the choice is cannot be told: {error}"
    quantiles = in_words(objective, resampled).quantile([0.5, 0.05, 0.95])
    return pd.concat([figures, quantiles.set_axis(["left out: median", "5 %", "95 %"])]).T, ""


def in_words(objective: Any, curve: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the figures of a curve, with names and signs that need no explanation."""
    words = {"threshold": -curve["thresholds"], "alarms in 1,000 rows": 1000 * curve["alarm_rate"]}
    words |= {name: curve[name] for name in ("precision", "recall") if name in curve}
    if isinstance(objective, AlarmCost):
        words["mean cost of a row"] = -curve["scores"]
    elif isinstance(objective, LabelledObjective):
        words["objective"] = curve["scores"]
    return pd.DataFrame(words)


def counts(is_outlier: np.ndarray | None) -> str:
    """Return in words how many rows have which label."""
    if is_outlier is None:
        return ""
    n_unknown = np.isnan(is_outlier).sum()
    unknown = f", {n_unknown:,} without a label" if n_unknown else ""
    return f": {(is_outlier == 1).sum():,} outliers, {(is_outlier == 0).sum():,} inliers{unknown}"


def draw(
    objective: Any, threshold: float, scores: np.ndarray, is_outlier: np.ndarray | None
) -> Any:
    """Return a figure of the scores and, with labels, of the objective at each threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 if is_outlier is None else 12.8, 4.8), layout="constrained")
    if is_outlier is None:
        right = figure.subplots()
    else:
        left, right = figure.subplots(1, 2)
        ThresholdDisplay.from_predictions(
            is_outlier,
            scores,
            threshold=threshold,
            objective=objective if isinstance(objective, LabelledObjective) else None,
            ax=left,
            against="alarm_rate",
        )
    ScoreDistributionDisplay.from_predictions(is_outlier, scores, threshold=threshold, ax=right)
    return figure
