"""Score the rows of a CSV file with a saved model, and write another CSV file.

Columns are matched by name, and other columns are ignored. The output has a line for each row, with
its number, the columns of --keep, `score` (reconstruction + beta * KL, the opposite of
scikit-learn's score_samples: the higher, the more abnormal) and `is_outlier`. With --reasons N the
N largest contributions to the score follow: for the first of them `reason_1` (the column, or what
else contributes), `contribution_1` (in nats), `value_1` and `expected_1`. The output file only
appears once it is complete. The memory needed does not grow with the size of the file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from _table import add_model_option, as_trained, load, read_frames
from vae_anomaly import Explanation, OnnxDetector, explain
from vae_anomaly.files import replacing
from vae_anomaly.thresholds.fitting import final_step

OUTPUT_COLUMNS = ("row", "score", "is_outlier")
REASON_COLUMNS = {
    "column": "reason",
    "contribution": "contribution",
    "observed": "value",
    "expected": "expected",
}
"""The names in the output for those of `Explanation.reasons`."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        batch_score(args)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


def batch_score(args: argparse.Namespace) -> None:
    if args.reasons < 0:
        raise ValueError(f"--reasons {args.reasons}: the number of reasons cannot be negative")
    made = {*OUTPUT_COLUMNS, *reason_columns(args.reasons)}
    if taken := made.intersection(args.keep):
        raise ValueError(f"--keep {' '.join(sorted(taken))}: the output already has such a column")
    model = load(args)
    if args.reasons and isinstance(model, OnnxDetector):
        raise ValueError(f"--reasons: {args.model} lacks what reasons need; pass a .skops file")
    threshold = final_step(model).offset_
    wanted = list(dict.fromkeys([*model.feature_names_in_, *args.keep]))

    n_rows = n_outliers = 0
    top: pd.DataFrame | None = None
    with replacing(args.output) as part, part.open("w", encoding="utf-8", newline="") as file:
        for texts in read_frames(args.input, wanted, args.chunk_rows):
            rows = as_trained(texts, model, args.input)
            scores = texts[args.keep].assign(score=-model.score_samples(rows))
            scores["is_outlier"] = scores["score"] > -threshold
            scores.insert(0, "row", scores.index + 1)
            if args.reasons:
                explanation = explain(model, rows, attribution=args.attribution)
                scores = scores.join(reasons(explanation, args.reasons))
            scores.to_csv(file, index=False, header=n_rows == 0)
            n_rows += len(scores)
            n_outliers += scores["is_outlier"].sum()
            shown = scores.iloc[:, : scores.columns.get_loc("is_outlier") + 1]
            top = pd.concat([top, shown]).nlargest(args.top, "score")

    print(
        f"scored {n_rows:,} rows: {n_outliers:,} outliers, with a score above "
        f"{-threshold:.4g}; saved {args.output}"
    )
    if args.top:
        assert top is not None  # there is at least one frame
        print(f"\nthe {len(top)} most anomalous rows\n")
        print(top.to_string(index=False, float_format="{:.1f}".format))


def reason_columns(n_reasons: int) -> list[str]:
    """Return the names of the columns of the output that hold reasons."""
    return [
        f"{name}_{number}" for number in range(1, n_reasons + 1) for name in REASON_COLUMNS.values()
    ]


def reasons(explanation: Explanation, n_reasons: int) -> pd.DataFrame:
    """Return the largest contributions of each row side by side, with the index of the rows."""
    found = explanation.reasons(n_reasons).rename(columns=REASON_COLUMNS)
    by_row = {
        f"{name}_{number}": found[name].xs(number, level="reason")
        for number in found.index.get_level_values("reason").unique()
        for name in REASON_COLUMNS.values()
    }
    return pd.DataFrame(by_row).reindex(columns=reason_columns(n_reasons))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, metavar="IN.csv", help="the rows to score")
    parser.add_argument("output", type=Path, metavar="OUT.csv", help="where to write the scores")
    add_model_option(parser)
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns of the input to copy to the output",
    )
    parser.add_argument(
        "--reasons",
        type=int,
        default=0,
        metavar="N",
        help="number of the largest contributions to write for each row (default: 0)",
    )
    parser.add_argument(
        "--attribution",
        choices=["terms", "hiding"],
        default="terms",
        help="how the score is shared out: by its terms, or by what it loses if a column is "
        "hidden, which finds the cause more often and takes far longer (default: terms)",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=10,
        metavar="N",
        help="number of the most anomalous rows to print (default: 10)",
    )
    parser.add_argument(
        "--chunk-rows",
        type=int,
        default=100_000,
        metavar="N",
        help="number of rows to read at a time (default: 100,000)",
    )
    return parser


if __name__ == "__main__":
    main()
