"""Compare the throughput of one process, of Dask and of Spark on the same Parquet file.

    python benchmarks/clusters.py [--rows 1000000] [--rounds 3] [--workers 2]

Each reads the file, scores it with a detector of default size and writes Parquet. The time to start
a cluster, and the first scores of its workers, are not counted. Figures are medians over rounds in
which all take turns. Rows in a second of all processors' time hardly depend on what else the
machine does. Spark is left out where Java or PySpark is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from vae_anomaly import TableSchema, VAEAnomalyDetector, load, save
from vae_anomaly.batch.clusters import score_dask, score_spark
from vae_anomaly.batch.scoring import output_columns, score_frame

N_COLUMNS = 30
FRAME_ROWS = 65_536


class Measured(NamedTuple):
    """What it took to score the file."""

    seconds: float
    cpu_seconds: float
    """The processors' time of all processes that took part."""
    peak: float
    """The largest memory of one of the processes of Python, in MB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as clusters:
        table, few, model = (str(Path(folder, name)) for name in ("t.parquet", "f.parquet", "m"))
        in_new_process(write_table, table, args.rows)
        in_new_process(write_table, few, 4 * FRAME_ROWS)
        in_new_process(fit, few, model)
        ways: dict[str, Callable[[str, str], Any]] = {
            "one process": lambda source, target: in_new_process(
                score_alone, source, model, target, None
            ),
            "one process, one thread": lambda source, target: in_new_process(
                score_alone, source, model, target, 1
            ),
            "one process, one thread, 3 reasons": lambda source, target: in_new_process(
                score_alone, source, model, target, 1, 3
            ),
            "Dask": clusters.enter_context(dask(args.workers, model)),
        }
        if importlib.util.find_spec("pyspark") and (
            shutil.which("java") or "JAVA_HOME" in os.environ
        ):
            ways["Spark"] = clusters.enter_context(spark(args.workers, model))
        found: dict[str, list[Measured]] = {name: [] for name in ways}
        for number in range(1 + args.rounds):
            for name, score in ways.items():
                target = Path(folder, f"out-{name}-{number}")
                measured = score(table if number else few, str(target))
                if number:  # the first round warms up
                    found[name].append(measured)
                    check(target, args.rows)
    report(found, args.rows)


def report(found: dict[str, list[Measured]], n_rows: int) -> None:
    table = pd.DataFrame(
        {name: np.median(rounds, axis=0) for name, rounds in found.items()}, Measured._fields
    ).T
    whole = table.loc["one process"]
    ratios = {
        "rows a second": n_rows / table["seconds"],
        "ratio": whole["seconds"] / table["seconds"],
        "rows a CPU second": n_rows / table["cpu_seconds"],
        "ratio of CPU": whole["cpu_seconds"] / table["cpu_seconds"],
        "peak memory of a process, MB": table["peak"],
    }
    print(f"{n_rows:,} x {N_COLUMNS}, medians of {len(found['one process'])} rounds")
    print(pd.DataFrame(ratios).to_string(float_format="{:,.2f}".format))


def check(target: Path, n_rows: int) -> None:
    """Raise AssertionError if there is not one score for each row."""
    paths = sorted(target.glob("*.parquet")) if target.is_dir() else [target]
    assert sum(pq.ParquetFile(path).metadata.num_rows for path in paths) == n_rows


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def write_table(path: str, n_rows: int) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((8, N_COLUMNS))
    with pq.ParquetWriter(
        path, pa.schema([(f"x{at}", pa.float64()) for at in range(N_COLUMNS)])
    ) as file:
        for start in range(0, n_rows, FRAME_ROWS):
            n = min(FRAME_ROWS, n_rows - start)
            rows = rng.standard_normal((n, 8)) @ mixing + 0.1 * rng.standard_normal((n, N_COLUMNS))
            file.write_table(pa.table({f"x{at}": rows[:, at] for at in range(N_COLUMNS)}))


def fit(table: str, path: str) -> None:
    rows = pd.read_parquet(table)[:20_000]
    save(make_pipeline(TableSchema(), VAEAnomalyDetector(random_state=0)).fit(rows), path)


def score_alone(
    source: str, path: str, target: str, n_threads: int | None, reasons: int = 0
) -> Measured:
    model = load(path)
    columns = output_columns(model, reasons=reasons)
    file = pq.ParquetFile(source)
    frames = (batch.to_pandas() for batch in file.iter_batches(FRAME_ROWS))
    score_frame(model, file.read_row_group(0).to_pandas()[:1_000], reasons=reasons)
    start, cpu_start = time.perf_counter(), time.process_time()
    with threadpool_limits(n_threads), pq.ParquetWriter(target, columns) as output:
        for frame in frames:
            scores = score_frame(model, frame, reasons=reasons)
            output.write_table(pa.Table.from_pandas(scores, columns, preserve_index=False))
    cpu_seconds = time.process_time() - cpu_start
    return Measured(time.perf_counter() - start, cpu_seconds, peak_memory())


@contextmanager
def dask(n_workers: int, path: str) -> Iterator[Callable[[str, str], Measured]]:
    model = load(path)
    with (
        LocalCluster(n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def score(source: str, target: str) -> Measured:
            start, cpu_start = time.perf_counter(), cpu_of_all()
            table = dd.read_parquet(source, blocksize="64MiB")
            score_dask(model, table).to_parquet(target, write_index=False)
            seconds, cpu_seconds = time.perf_counter() - start, cpu_of_all() - cpu_start
            return Measured(seconds, cpu_seconds, max(client.run(peak_memory).values()))

        yield score


@contextmanager
def spark(n_workers: int, path: str) -> Iterator[Callable[[str, str], Measured]]:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(f"local[{n_workers},4]")
    session = builder.config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    model = load(path)

    def score(source: str, target: str) -> Measured:
        start, cpu_start = time.perf_counter(), cpu_of_all()
        # Parts of 64 MB, as for Dask, so that all cores have some.
        session.conf.set("spark.sql.files.maxPartitionBytes", str(64 << 20))
        score_spark(model, session.read.parquet(source)).write.parquet(target)
        seconds, cpu_seconds = time.perf_counter() - start, cpu_of_all() - cpu_start
        return Measured(seconds, cpu_seconds, float("nan"))

    yield score
    session.stop()


def cpu_of_all() -> float:
    """Return the processors' time of this process and all below it that are still there."""
    this = psutil.Process()
    times = [process.cpu_times() for process in [this, *this.children(recursive=True)]]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def peak_memory() -> float:
    """Return the largest memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
