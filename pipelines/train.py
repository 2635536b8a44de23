"""Train a pipeline on a CSV file and save it: dates are expanded, the detector takes the rest.

ISO 8601 dates are turned into month, weekday and hour, and columns that are neither numbers nor
dates are treated as categories. With --label the model is trained on one part of the rows, without
seeing the label, and evaluated on the rest.
"""

import argparse
import ast
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from _table import (
    check_columns,
    outliers,
    parse_dates,
    parse_numbers,
    read_frames,
    with_types,
)
from vae_anomaly import CalendarEncoder, VAEAnomalyDetector, save
from vae_anomaly.files import replacing


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    if (args.label is None) != (args.outlier is None):
        parser.error("--label and --outlier go together")
    if args.train_on == "inliers" and args.label is None:
        parser.error("--train-on inliers needs --label and --outlier")
    if args.held_out is not None and args.label is None:
        parser.error("--held-out needs --label and --outlier")
    if args.held_out == args.model:
        parser.error("--held-out and --model name the same file")
    try:
        train(args)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


def train(args: argparse.Namespace) -> None:
    detector = VAEAnomalyDetector(contamination=args.contamination, random_state=args.random_state)
    detector.set_params(**dict(args.set))

    table = pd.concat(read_frames(args.table))
    check_columns(table, args.drop, args.table)
    not_features = set(args.drop)
    if args.label is not None:
        check_columns(table, [args.label], args.table)
        labels = table[args.label]
        if labels.isna().any():
            row = labels.isna().argmax() + 1
            raise ValueError(f"{args.table}, column {args.label!r}, row {row}: no label")
        is_outlier = outliers(labels, args.outlier, args.table)
        not_features.add(args.label)
    rows = table.drop(columns=list(not_features))
    numbers, dates, categories = kinds(rows)
    rows = with_types(rows, numbers, dates, args.table)

    if args.label is not None:
        rows, held_out, rows_outlier, held_out_outlier = train_test_split(
            rows,
            is_outlier,
            test_size=args.test_size,
            stratify=is_outlier,
            random_state=args.random_state,
        )
        if args.train_on == "inliers":
            rows = rows[~rows_outlier]

    detector.set_params(categorical_features=categories or None)
    model = Pipeline([("columns", by_column(numbers, dates, categories)), ("detector", detector)])
    with ExitStack() as files:
        model_part = files.enter_context(replacing(args.model))
        if args.held_out is not None:
            held_out_part = files.enter_context(replacing(args.held_out))
            table.loc[held_out.index].to_csv(held_out_part, index=False)
        start = time.perf_counter()
        model.fit(rows)
        print(
            f"trained on {len(rows):,} rows in {time.perf_counter() - start:.1f} s: "
            f"{len(numbers)} columns of numbers, {len(dates)} of dates, "
            f"{len(categories)} of categories"
        )
        save(model, model_part)

    if args.label is not None:
        report(model, held_out, held_out_outlier)
    print("saved", " and ".join(str(path) for path in (args.model, args.held_out) if path))


def kinds(rows: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """Sort the columns into numbers, dates and categories, by how all their texts can be read."""
    numbers, dates, categories = [], [], []
    for column in map(str, rows):
        texts = rows[column].dropna()
        if parse_numbers(texts).notna().all():
            numbers.append(column)
        elif parse_dates(texts).notna().all():
            dates.append(column)
        else:
            categories.append(column)
    return numbers, dates, categories


def by_column(numbers: list[str], dates: list[str], categories: list[str]) -> ColumnTransformer:
    """Return the transformer that expands dates and leaves all else to the detector."""
    transformer = ColumnTransformer(
        [
            ("numbers", "passthrough", numbers),
            ("dates", CalendarEncoder(), dates),
            ("categories", "passthrough", categories),
        ],
        verbose_feature_names_out=False,
    )
    return transformer.set_output(transform="pandas")


def report(model: Pipeline, rows: pd.DataFrame, is_outlier: pd.Series) -> None:
    """Print how well the score ranks the held-out rows and how well the threshold splits them."""
    scores = -model.score_samples(rows)
    alarms = scores > -model[-1].offset_
    n_outliers = is_outlier.sum()
    print(f"held out {len(rows):,} rows, {n_outliers:,} of them outliers")
    print(f"  AUROC              {roc_auc_score(is_outlier, scores):.3f}")
    print(f"  average precision  {average_precision_score(is_outlier, scores):.3f}")
    print(f"  outliers found     {(alarms & is_outlier).sum():,} of {n_outliers:,}")
    print(f"  false alarms       {(alarms & ~is_outlier).sum():,} of {(~is_outlier).sum():,}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="the rows to train on")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="OUT.skops", help="where to save the pipeline"
    )
    parser.add_argument(
        "--label", metavar="COLUMN", help="column that tells which rows are outliers"
    )
    parser.add_argument("--outlier", metavar="VALUE", help="value of this column for outliers")
    parser.add_argument(
        "--train-on",
        choices=["all", "inliers"],
        default="all",
        help="with inliers, labelled outliers are left out of the training (default: all)",
    )
    parser.add_argument(
        "--test-size",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of the labelled rows that is held out for the evaluation (default: 0.5)",
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="OUT.csv",
        help="where to write the held-out rows, for use with tune_threshold.py",
    )
    parser.add_argument(
        "--drop", nargs="+", default=[], metavar="COLUMN", help="columns to leave out"
    )
    parser.add_argument(
        "--contamination",
        type=_literal,
        default="auto",
        metavar="auto|SHARE",
        help="share of the training rows to call outliers (default: auto, which needs no guess)",
    )
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="SEED", help="seed of split and detector (0)"
    )
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="PARAM=VALUE",
        help="parameter of VAEAnomalyDetector, such as hidden_layer_sizes=(64,32); can be repeated",
    )
    return parser


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form PARAM=VALUE")
    return name, _literal(value)


def _literal(text: str) -> Any:
    """Return the value of a Python literal; any other text is returned unchanged."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


if __name__ == "__main__":
    main()
