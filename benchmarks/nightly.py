"""Measure runs from file to file: speed, memory, kills and two runs on one output.

    python benchmarks/nightly.py [--rows 2000000] [--kills 50] [--pairs 20]

A detector of default size on 30 columns scores Parquet and CSV by `score_table`. The rate is
compared with that of scoring the same rows from memory, and the peak memory with that of a fifth of
the rows; each figure is that of a process of its own. Then runs on a smaller table are killed at
random moments and resumed, and pairs of runs are started on one output at the same time.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from vae_anomaly import VAEAnomalyDetector, load, save
from vae_anomaly.batch.locking import RunLockedError
from vae_anomaly.batch.run import score_table
from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.batch.source import Source

COLUMNS = [f"x{number}" for number in range(30)]
SMALL_ROWS, SMALL_PART = 60_000, 4_000

FROM_MEMORY = """
import sys, time
import pandas as pd
from vae_anomaly import load
model, table = load(sys.argv[1]), pd.read_parquet(sys.argv[2]).drop(columns="id")
model.score_samples(table[:1000])
start, cpu = time.perf_counter(), time.process_time()
model.score_samples(table)
print(time.perf_counter() - start, time.process_time() - cpu)
"""

FROM_FILE = """
import resource, sys, time
from vae_anomaly import load
from vae_anomaly.batch.run import score_table
from vae_anomaly.batch.source import Source
model = load(sys.argv[1])
start, cpu = time.perf_counter(), time.process_time()
score_table(model, Source.open([sys.argv[2]]), sys.argv[3], model_path=sys.argv[1], keep=["id"])
print(time.perf_counter() - start, time.process_time() - cpu)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""

TRAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import nightly
nightly.train(sys.argv[2])
"""


def train(path: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((10_000, 30)), columns=COLUMNS)
    detector = VAEAnomalyDetector(random_state=0)
    save(Pipeline([("schema", TableSchema()), ("detector", detector)]).fit(X), path)


def make_table(path: Path, n_rows: int) -> None:
    """Write random rows, with three digits behind the point as tables of measurements have."""
    cells = ", ".join(f"round(random() * 6 - 3, 3) AS {name}" for name in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"COPY (SELECT 'row' || i AS id, {cells} FROM range({n_rows}) AS t(i)) TO '{path}'"
        )


def run(script: str, *arguments: object) -> list[float]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def speed_and_memory(model: Path, folder: Path, n_rows: int) -> None:
    seconds, cpu, peaks = {}, {}, {}
    for kind in ("parquet", "csv"):
        for rows in (n_rows // 5, n_rows):
            table, output = folder / f"table.{kind}", folder / f"scores.{kind}"
            make_table(table, rows)
            seconds[kind], cpu[kind], peaks[kind, rows] = run(FROM_FILE, model, table, output)
            output.unlink()
            output.with_name(f"{output.name}.summary.json").unlink()
        if kind == "parquet":
            seconds["memory"], cpu["memory"] = run(FROM_MEMORY, model, table)
        table.unlink()
    print(f"{n_rows:,} rows of 30 columns")
    for kind, peer in ("memory", "memory"), ("parquet", "memory"), ("csv", "parquet"):
        print(
            f"  from {kind}: {n_rows / seconds[kind]:,.0f} rows/s, "
            f"{seconds[peer] / seconds[kind]:.2f} of the rate from {peer}; of processor time, "
            f"{cpu[peer] / cpu[kind]:.2f} of it"
        )
    for (kind, rows), peak in peaks.items():
        print(f"  {kind} of {rows:,} rows: peak memory {peak:,.0f} MB")


def start(work: Callable[[], object]) -> int:
    """Start a child process, which knows all that this one has imported."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except (RunLockedError, FileExistsError):
        os._exit(3)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def kills_and_pairs(model: Path, folder: Path, n_kills: int, n_pairs: int) -> None:
    table = folder / "table.parquet"
    make_table(table, SMALL_ROWS)

    def score(output: Path, **options: bool) -> None:
        score_table(
            load(model),
            Source.open([table]),
            output,
            model_path=model,
            keep=["id"],
            rows_per_part=SMALL_PART,
            **options,
        )

    once = folder / "once"
    once.mkdir()
    began = time.perf_counter()
    assert status_of(start(lambda: score(once / "scores.csv"))) == 0
    longest = time.perf_counter() - began
    whole, complete = (once / "scores.csv").read_bytes(), names(once)

    moments = random.Random(0)
    n_killed = n_kept = n_same = n_partial = 0
    for number in range(n_kills):
        output = folder / f"killed{number}" / "scores.csv"
        output.parent.mkdir()
        child = start(lambda output=output: score(output))
        time.sleep(moments.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        n_killed += status_of(child) == -signal.SIGKILL
        n_kept += (output.parent / ".scores.csv.run" / "checkpoint.json").exists()
        n_partial += output.exists() and output.read_bytes() != whole
        if names(output.parent) != complete:
            resumed = status_of(start(lambda output=output: score(output, resume=True)))
            assert resumed == 0, (resumed, names(output.parent))
        n_same += output.read_bytes() == whole and names(output.parent) == complete
    print(
        f"{n_kills} kills, {n_killed} during the run and {n_kept} with parts to go on from: "
        f"{n_same} resumed to the same bytes, {n_partial} times something partial under the name"
    )

    n_fair = 0
    for number in range(n_pairs):
        output = folder / f"pair{number}" / "scores.csv"
        output.parent.mkdir()
        pair = [start(lambda output=output: score(output)) for _ in range(2)]
        statuses = sorted(status_of(child) for child in pair)
        n_fair += (
            statuses == [0, 3] and output.read_bytes() == whole and names(output.parent) == complete
        )
    print(f"{n_pairs} pairs of runs: {n_fair} times one won whole and the other said why not")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.skops")
        subprocess.run(
            [sys.executable, "-c", TRAIN, str(Path(__file__).parent), str(model)], check=True
        )
        if args.kills or args.pairs:
            kills_and_pairs(model, Path(folder), args.kills, args.pairs)
        if args.rows:
            speed_and_memory(model, Path(folder), args.rows)


if __name__ == "__main__":
    main()
