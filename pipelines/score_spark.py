"""Score Parquet files with Spark, on the cores of this machine or on a cluster.

    python pipelines/score_spark.py flights.parquet out/scores --model out/model.skops --workers 2

Spark needs Java. On a cluster, leave out --workers and start the script by spark-submit; executors
need this package. Spark writes the parts, and an empty file _SUCCESS once all of them are there: a
folder without it is not complete. If a worker is lost, Spark has its part scored again, and the
result is the same. Spark takes the files of a folder in an order of its own: name a key in --keep.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from vae_anomaly import load
from vae_anomaly.batch.clusters import score_spark


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    if Path(args.output).exists():  # or else Spark says so once it has started
        parser.error(f"{args.output} exists already")
    model = load(args.model)
    builder = SparkSession.builder.appName("vae-anomaly")
    if args.workers is not None:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # Spark gives up at the first failure on one machine unless a number of tries is set.
        builder = builder.master(f"local[{args.workers},4]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    table = spark.read.parquet(args.input)
    scores = score_spark(model, table, keep=args.keep, p_value=args.p_value, reasons=args.reasons)
    scores.write.parquet(args.output)
    spark.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", help="a Parquet file, a folder of such files, or a pattern")
    parser.add_argument("output", help="the folder to write; it must not exist")
    parser.add_argument("--model", required=True, help="a file of vae_anomaly.save or to_onnx")
    parser.add_argument(
        "--workers", type=int, help="number of cores of this machine; leave it out on a cluster"
    )
    parser.add_argument(
        "--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output"
    )
    parser.add_argument("--p-value", action="store_true", help="add how rare such scores are")
    parser.add_argument(
        "--reasons", type=int, default=0, metavar="N", help="number of reasons to add to each row"
    )
    return parser


if __name__ == "__main__":
    main()
