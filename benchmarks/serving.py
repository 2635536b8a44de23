"""Compare scoring where only requirements-scoring.txt is installed with where everything is.

    python benchmarks/serving.py PYTHON_OF_SCORING [--rows 1000000]

PYTHON_OF_SCORING is the interpreter of an environment as tests/run_scoring.sh makes it. A detector
of default size on 30 columns, a convolutional one and a pipeline are trained here and scored by
fresh processes of both environments. Each figure is the median over repetitions that take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import VAEAnomalyDetector, save, to_onnx

ROOT = Path(__file__).parents[1]

SCORE = """
import sys, time
import numpy as np
from vae_anomaly import load
model = load(sys.argv[1])
X = np.random.default_rng(0).standard_normal((int(sys.argv[2]), 30))
model.score_samples(X[:1000])
start = time.perf_counter()
model.score_samples(X)
print(time.perf_counter() - start)
"""

START = """
import sys, time
start = time.perf_counter()
import numpy as np
from vae_anomaly import load
load(sys.argv[1]).score_samples(np.zeros((1, 30)))
print(time.perf_counter() - start)
"""

ONE_ROW = """
import sys, time
import numpy as np
import pandas as pd
from vae_anomaly import load
model = load(sys.argv[1])
row = pd.DataFrame(np.zeros((1, 30))).add_prefix("x")
seconds = []
for _ in range(500):
    start = time.perf_counter()
    model.score_samples(row)
    seconds.append(time.perf_counter() - start)
print(np.median(seconds))
"""


def run(python: str, script: str, *arguments: object) -> float:
    command = [python, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def installed_size(names: Iterable[str]) -> float:
    """Return the size in MB of distributions and of all that they need."""
    todo, seen, size = list(names), set(), 0
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        found = distribution(name)
        paths = [Path(found.locate_file(file)) for file in found.files or ()]
        size += sum(path.stat().st_size for path in paths if path.is_file())
        todo.extend(found.requires or ())
    return size / 1e6


def compare(
    what: str,
    here: tuple[str, Path],
    there: tuple[str, Path],
    script: str,
    n: int,
    *rest: int,
) -> None:
    """Print the medians of both, and their ratio."""
    seconds: list[list[float]] = [[], []]
    for _ in range(n):
        for (python, model), found in zip((here, there), seconds, strict=True):
            found.append(run(python, script, model, *rest))
    first, second = (float(np.median(found)) for found in seconds)
    print(f"{what:50} {first:10.4g} s {second:10.4g} s   ratio {second / first:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scoring", metavar="PYTHON_OF_SCORING")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    here, there, n = sys.executable, args.scoring, args.repetitions
    X = np.random.default_rng(0).standard_normal((2000, 30))
    frame = pd.DataFrame(X).add_prefix("x")
    models = {
        "dense": (VAEAnomalyDetector(max_iter=2, random_state=0), X),
        "conv": (VAEAnomalyDetector(architecture="conv", input_shape=(10, 3), max_iter=2), X),
        "pipeline": (make_pipeline(StandardScaler(), VAEAnomalyDetector(max_iter=2)), frame),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, (model, rows) in models.items():
            model.fit(rows)
            files[name] = Path(folder, f"{name}.skops"), Path(folder, f"{name}.onnx")
            save(model, files[name][0])
            to_onnx(model, files[name][1], X=rows)
        print(f"{'':50} {'all':>12} {'scoring':>12}")
        skops, onnx = files["dense"]
        label = f"{args.rows:,} x 30,"
        compare(f"{label} .skops and .skops", (here, skops), (there, skops), SCORE, n, args.rows)
        compare(f"{label} .skops and .onnx", (here, skops), (there, onnx), SCORE, n, args.rows)
        for name in ("dense", "conv"):
            skops, onnx = files[name]
            compare(f"first score of {name}", (here, skops), (there, onnx), START, n)
        skops, onnx = files["pipeline"]
        compare("one row of a pipeline", (here, skops), (there, onnx), ONE_ROW, n)
    lines = (ROOT / "requirements-scoring.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    whole = installed_size(project["dependencies"])
    part = installed_size(line for line in lines if not line.startswith("#"))
    print(f"{'installed':50} {whole:9.0f} MB {part:9.0f} MB   ratio {part / whole:.2f}")


if __name__ == "__main__":
    main()
