"""Score the rows of a CSV file with a saved model, and write another CSV file.

Columns are matched by name, and other columns are ignored. The output has a line for each row, with
its number, the columns of --keep, `score` (reconstruction + beta * KL, the opposite of
scikit-learn's score_samples: the higher, the more abnormal) and `is_outlier`. The output file only
appears once it is complete. The memory needed does not grow with the size of the file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from _table import add_model_option, as_trained, load, read_frames
from vae_anomaly.files import replacing
from vae_anomaly.thresholds.fitting import final_step

OUTPUT_COLUMNS = ("row", "score", "is_outlier")


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        batch_score(args)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


def batch_score(args: argparse.Namespace) -> None:
    if taken := set(args.keep).intersection(OUTPUT_COLUMNS):
        raise ValueError(f"--keep {' '.join(sorted(taken))}: the output already has such a column")
    model = load(args)
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
            scores.to_csv(file, index=False, header=n_rows == 0)
            n_rows += len(scores)
            n_outliers += scores["is_outlier"].sum()
            top = pd.concat([top, scores]).nlargest(args.top, "score")

    print(
        f"scored {n_rows:,} rows: {n_outliers:,} outliers, with a score above "
        f"{-threshold:.4g}; saved {args.output}"
    )
    if args.top:
        assert top is not None  # there is at least one frame
        print(f"\nthe {len(top)} most anomalous rows\n")
        print(top.to_string(index=False, float_format="{:.1f}".format))


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
