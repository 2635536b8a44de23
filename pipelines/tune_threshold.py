"""Choose the alarm threshold of a pipeline saved by train.py, without training it again.

The rows of the CSV file must not be those that the model was trained on, as it scores these as more
normal than new rows; train.py --held-out writes a file of new rows. With --label, which may be
empty in some rows, the threshold can be chosen by labels, and precision and recall are reported.

The uncertainty of the choice is estimated by resampling the rows: for each resample the threshold
is chosen again and evaluated on the rows that the resample leaves out.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from _table import (
    add_model_option,
    as_trained,
    check_columns,
    load,
    outliers,
    read_frames,
)
from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    AutoThreshold,
    ExtremeValueTail,
    FBeta,
    PrecisionAtK,
    RecallAtPrecision,
    ScoreDistributionDisplay,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    bootstrap_threshold,
    save,
)
from vae_anomaly.files import replacing
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    if (args.label is None) != (args.outlier is None):
        parser.error("--label and --outlier go together")
    try:
        tune(args)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


def tune(args: argparse.Namespace) -> None:
    objective = make_objective(args)
    if isinstance(objective, LabelledObjective) and args.label is None:
        raise ValueError(f"--objective {args.objective} needs labels: set --label and --outlier")
    if args.plot is not None:
        check_picture(args.plot)
    model = load(args)
    if not isinstance(model, Pipeline):
        raise ValueError(f"{args.model}: the threshold of a .onnx file is fixed; tune the pipeline")
    with ExitStack() as files:
        model_part = files.enter_context(replacing(args.output))
        plot_part = files.enter_context(replacing(args.plot)) if args.plot else None

        table = pd.concat(read_frames(args.table))
        check_columns(table, model.feature_names_in_, args.table)
        rows = as_trained(table, model, args.table)
        is_outlier = None
        if args.label is not None:
            check_columns(table, [args.label], args.table)
            labels = table[args.label]
            is_outlier = np.where(labels.isna(), np.nan, outliers(labels, args.outlier, args.table))

        tuned = TunedThresholdDetectorCV(model, scoring=objective, cv="prefit")
        tuned.fit(rows, is_outlier)
        scores = tuned.score_samples(rows)
        report(objective, model[-1].offset_, tuned.offset_, scores, is_outlier)
        if plot_part is not None:
            figure = draw(objective, tuned.offset_, scores, is_outlier)
            figure.savefig(plot_part, format=args.plot.suffix[1:])
        model[-1].offset_ = tuned.offset_
        save(model, model_part)
    print("saved", " and ".join(str(path) for path in (args.output, args.plot) if path))


def make_objective(args: argparse.Namespace) -> Any:
    """Return the objective with the options that belong to it, and refuse all other options."""
    objective, options = OBJECTIVES[args.objective]
    every = {option for _, known in OBJECTIVES.values() for option in known.values()}
    given = {option for option in every if getattr(args, option) is not None}
    if strays := given.difference(options.values()):
        raise ValueError(f"{flags(strays)} cannot be used with --objective {args.objective}")
    required = {
        options[field.name]
        for field in dataclasses.fields(objective)
        if field.name in options and field.default is dataclasses.MISSING
    }
    if missing := required - given:
        raise ValueError(f"--objective {args.objective} needs {flags(missing)}")
    parameters = {name: getattr(args, option) for name, option in options.items()}
    try:
        return objective(**{name: value for name, value in parameters.items() if value is not None})
    except ValueError as error:
        raise ValueError(f"{flags(given)}: {error}") from error


def flags(options: Iterable[str]) -> str:
    return " and ".join("--" + option.replace("_", "-") for option in sorted(options))


def check_picture(path: Path) -> None:
    """Raise ValueError if matplotlib is missing or cannot write pictures of this type."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--plot needs matplotlib: pip install matplotlib") from None
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:] not in kinds:
        raise ValueError(f"--plot {path}: the name must end in one of {', '.join(sorted(kinds))}")


def report(
    objective: Any,
    before: float,
    chosen: float,
    scores: np.ndarray,
    is_outlier: np.ndarray | None,
) -> None:
    """Print the figures of both thresholds, and those of the resamples on the rows left out."""
    print(f"scored {len(scores):,} rows{'' if is_outlier is None else counts(is_outlier)}")
    print(f"by {objective} a row is an outlier if its score is above {-chosen:.4g}\n")
    both = threshold_curve(objective, np.array([before, chosen]), scores, is_outlier)
    table = in_words(objective, both).set_axis(["before", "chosen"])
    try:
        resampled = bootstrap_threshold(objective, scores, is_outlier, random_state=0)
    except ValueError as error:  # there are enough rows for a choice, but not for resampling
        unsure = f"how sure the choice is cannot be told: {error}"
    else:
        unsure = ""
        quantiles = in_words(objective, resampled).quantile([0.5, 0.05, 0.95])
        table = pd.concat([table, quantiles.set_axis(["left out: median", "5 %", "95 %"])])
    print(table.T.to_string(float_format="{:.4g}".format))
    if unsure:
        print(unsure)


def in_words(objective: Any, curve: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the figures of a curve, with names and signs that need no explanation."""
    words = {"threshold": -curve["thresholds"], "alarms in 1,000 rows": 1000 * curve["alarm_rate"]}
    words |= {name: curve[name] for name in ("precision", "recall") if name in curve}
    if isinstance(objective, AlarmCost):
        words["mean cost of a row"] = -curve["scores"]
    elif isinstance(objective, LabelledObjective):
        words["objective"] = curve["scores"]
    return pd.DataFrame(words)


def counts(is_outlier: np.ndarray) -> str:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "table", type=Path, metavar="TABLE.csv", help="rows that the model was not trained on"
    )
    add_model_option(parser)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="OUT.skops",
        help="where to save the pipeline with the new threshold; may be the file of --model",
    )
    parser.add_argument(
        "--label", metavar="COLUMN", help="column that tells which rows are outliers, where known"
    )
    parser.add_argument("--outlier", metavar="VALUE", help="value of this column for outliers")
    parser.add_argument(
        "--plot", type=Path, metavar="OUT.png", help="where to save a plot of scores and threshold"
    )
    parser.add_argument(
        "--objective",
        choices=list(OBJECTIVES),
        default="auto",
        help="criterion for the threshold (default: auto). Without labels: auto (1 %% of false "
        "alarms on clean rows), tail (a smaller share, by a fitted extreme-value tail) and budget "
        "(a number of alarms). With labels: cost, f-beta, recall-at-precision and precision-at-k "
        "(the share of outliers among a number of alarms)",
    )
    options = parser.add_argument_group("options of the objectives")
    for name, metavar, text in (
        ("alarm-rate", "SHARE", "for tail: share of rows that raise an alarm (default: 0.001)"),
        ("tail", "SHARE", "for tail: share of rows that the tail is fitted to (default: 0.1)"),
        ("alarms", "N", "for budget and precision-at-k: number of alarms per --per rows"),
        ("per", "ROWS", "see --alarms (default: 1 for budget, all rows for precision-at-k)"),
        ("miss-cost", "COST", "for cost: the cost of an outlier that raises no alarm"),
        ("false-alarm-cost", "COST", "for cost: the cost of an inlier that raises an alarm"),
        ("beta", "BETA", "for f-beta: the weight of recall relative to precision (default: 1)"),
        ("precision", "SHARE", "for recall-at-precision: the least precision of the alarms"),
    ):
        options.add_argument("--" + name, type=float, metavar=metavar, help=text)
    return parser


if __name__ == "__main__":
    main()
