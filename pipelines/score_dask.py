"""Score Parquet files with Dask, on the cores of this machine or on a cluster.

    python pipelines/score_dask.py flights.parquet out/scores --model out/model.skops --workers 2

The rows come in the order of the input, in the files part-00000.parquet and so on. The folder
appears under its name once it is complete, with an empty file _SUCCESS in it. If a worker is lost,
Dask has its part scored by another one, and the result is the same.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dask.dataframe as dd
from distributed import Client, LocalCluster

from vae_anomaly import load
from vae_anomaly.batch.clusters import score_dask


def main(argv: Sequence[str] | None = None) -> None:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.output.exists():
        parser.error(f"{args.output} exists already")
    model = load(args.model)
    part = args.output.with_name(f".{args.output.name}.{os.getpid()}")
    cluster: Any = nullcontext(args.scheduler)
    if args.scheduler is None:
        cluster = LocalCluster(args.workers, threads_per_worker=1, dashboard_address=None)
    try:
        with cluster as address, Client(address):
            table = dd.read_parquet(args.input, blocksize="64MiB")
            scores = score_dask(
                model, table, keep=args.keep, p_value=args.p_value, reasons=args.reasons
            )
            scores.to_parquet(
                part, write_index=False, name_function=lambda at: f"part-{at:05}.parquet"
            )
        (part / "_SUCCESS").touch()
        part.rename(args.output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", help="a Parquet file, a folder of such files, or a pattern")
    parser.add_argument("output", type=Path, help="the folder to write; it must not exist")
    parser.add_argument("--model", required=True, help="a file of vae_anomaly.save or to_onnx")
    parser.add_argument(
        "--workers", type=int, default=2, help="number of processes on this machine (default: 2)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a cluster to score on instead, such as tcp://10.0.0.1:8786; its workers need this "
        "package, and the folders of input and output",
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
