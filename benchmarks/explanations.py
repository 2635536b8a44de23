"""Explanations: is the cause found, how fast, and what would be normal; beside SHAP.

The detector is trained on half of the inliers. In rows of the other half, one random column is
moved by six standard deviations, up or down, or takes the value of a random training row. The cause
is found if this column has the largest contribution of all. Three tables are printed:

1. The share of causes found, by set: by the terms of the score, by hiding columns, and by the
   KernelExplainer and the PermutationExplainer of SHAP on the same score and rows, with their
   default numbers of evaluations and ten centres of k-means as background. A value of another row
   often is not unusual at all: then there is nothing to be found.
2. The time for one row, relative to hiding, which takes all rows at once, as terms do; SHAP takes
   one row after the other.
3. Counterfactuals of up to 40 rows that raise an alarm: how many counterparts are below the
   threshold, within the range of the training rows, and changed in at most three columns.

At the end the time to explain 100,000 rows with three reasons each is printed, relative to scoring.
Without shap (pip install shap) its columns are left out.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from time import perf_counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from _adbench import draw, parse, parser

from vae_anomaly import VAEAnomalyDetector

try:
    import shap
except ImportError:
    shap = None

N_COUNTERFACTUALS = 40
N_CENTRES = 10
WIDE = 200
N_WIDE = 10
"""The number of rows of sets with more than `WIDE` columns."""

N_MANY = 100_000


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--rows",
        type=int,
        default=100,
        help="rows for our own; 10 with more than 200 columns (default: 100)",
    )
    arguments.add_argument(
        "--shap-rows",
        type=int,
        default=25,
        help="rows for SHAP, the first of ours; 2 with more than 200 columns (default: 25)",
    )
    args, paths = parse(arguments)
    warnings.filterwarnings("ignore")
    results: list[dict] = []
    changes: list[dict] = []
    for seed in range(args.seeds):
        for path in paths:
            X, X_test, y = draw(path, seed, "one-class", args.max_rows)
            detector = VAEAnomalyDetector(random_state=seed).fit(X)
            clean = X_test[y == 0]
            rng = np.random.default_rng([seed, 1])
            n_rows = N_WIDE if X.shape[1] > WIDE else args.rows
            clean = clean[rng.permutation(len(clean))[:n_rows]]
            about = {"set": path.stem, "columns": X.shape[1], "seed": seed}
            for kind in ("moved", "swapped"):
                rows, column = changed(clean, X, kind, rng)
                found = causes(detector, X, rows, column, args.shap_rows)
                results.append({**about, "kind": kind, **found})
            print(results[-2], flush=True)
            changes.append({**about, **counterparts(detector, X, X_test)})
            print(changes[-1], flush=True)
    report(pd.DataFrame(results), pd.DataFrame(changes))
    many(paths[0], args.max_rows)


def changed(
    clean: np.ndarray, X: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows with one cell changed each, and the column of this cell."""
    rows, numbers = clean.copy(), np.arange(len(clean))
    column = rng.choice(np.flatnonzero(X.std(axis=0) > 0), len(clean))
    if kind == "moved":
        rows[numbers, column] += 6 * X.std(axis=0)[column] * rng.choice([-1, 1], len(clean))
    else:
        rows[numbers, column] = X[rng.integers(len(X), size=len(clean)), column]
    return rows, column


def causes(
    detector: VAEAnomalyDetector, X: np.ndarray, rows: np.ndarray, column: np.ndarray, n_shap: int
) -> dict[str, float]:
    """Return the share of the causes found and the seconds a row, by method."""
    n_columns = rows.shape[1]
    few = slice(2 if n_columns > WIDE else n_shap)
    result: dict[str, float] = {}

    def measure(name: str, contributions: np.ndarray, seconds: float, used: slice) -> None:
        is_found = contributions[:, :n_columns].argmax(axis=1) == column[used]
        result[name] = float(is_found.mean())
        result[f"{name}, s"] = seconds / len(is_found)

    for attribution in ("terms", "hiding"):
        start = perf_counter()
        explained = detector.explain(rows, attribution=attribution)
        seconds = perf_counter() - start
        values = explained.contributions.to_numpy()
        measure(attribution, values, seconds, slice(None))
        measure(f"{attribution}, SHAP's rows", values[few], seconds, few)
    if shap is not None:
        centres = shap.kmeans(X, min(N_CENTRES, len(X))).data

        def score(rows: np.ndarray) -> np.ndarray:
            return -detector.score_samples(rows)

        start = perf_counter()
        values = shap.KernelExplainer(score, centres).shap_values(rows[few], silent=True)
        measure("Kernel", values, perf_counter() - start, few)
        start = perf_counter()
        explainer = shap.PermutationExplainer(score, centres, seed=0)
        n_evaluations = 10 * (2 * n_columns + 1)  # the default, which is only set for names
        values = explainer(rows[few], max_evals=n_evaluations, silent=True).values
        measure("Permutation", values, perf_counter() - start, few)
    return result


def counterparts(
    detector: VAEAnomalyDetector, X: np.ndarray, X_test: np.ndarray
) -> dict[str, float]:
    """Return how many alarms become normal, and by how few changes."""
    alarms = X_test[detector.predict(X_test) == -1]
    if not len(alarms):
        return {}
    n_rows = 4 if X.shape[1] > WIDE else N_COUNTERFACTUALS
    alarms = np.random.default_rng(0).permutation(alarms)[:n_rows]
    start = perf_counter()
    found = detector.counterfactuals(alarms)
    seconds = perf_counter() - start
    n_changes = found.changes.groupby(level=0).size()
    rows = found.rows.to_numpy()
    inside = (rows >= X.min(axis=0)) & (rows <= X.max(axis=0))
    return {
        "alarms": len(alarms),
        "normal": found.is_normal.mean(),
        "in range": inside[rows != alarms].mean(),
        "at most 3": (n_changes <= 3).mean(),
        "changes": n_changes.median(),
        "seconds": seconds / len(alarms),
    }


def report(results: pd.DataFrame, changes: pd.DataFrame) -> None:
    methods = [name for name in results if f"{name}, s" in results]
    distinct = [name for name in methods if "SHAP's rows" not in name]
    for kind in ("moved", "swapped"):
        table = results[results.kind == kind].groupby("set")[methods].mean()
        print(f"\n1. Share of causes found, a column {kind}")
        print(table.round(2).to_string())
        print(table.agg(["median", "mean"]).round(3).to_string())
    if "Kernel" in methods:
        print("\n2. Time a row, relative to hiding")
        times = results.groupby("set")[[f"{name}, s" for name in distinct]].min()
        times = times.div(times["hiding, s"], axis=0)
        print(times.round(3).to_string())
        print(times.agg(["min", "median"]).round(3).to_string())
    print("\n3. Counterfactuals")
    columns = ["alarms", "normal", "in range", "at most 3", "changes", "seconds"]
    table = changes.groupby("set")[columns].mean()
    print(table.round(3).to_string())
    print(table.agg(["median", "mean"]).round(3).to_string())


def many(path: Path, max_rows: int) -> None:
    """Print how long it takes to explain many rows, relative to scoring them."""
    X, _, _ = draw(path, 0, "one-class", max_rows)
    detector = VAEAnomalyDetector(random_state=0).fit(X)
    rows = X[np.arange(N_MANY) % len(X)]
    times: dict[str, list[float]] = {}
    for _ in range(3):
        for name, act in {
            "score_samples": lambda: detector.score_samples(rows),
            "explain": lambda: detector.explain(rows),
            "explain, 3 reasons": lambda: detector.explain(rows).reasons(3),
            "explain, sentences": lambda: detector.explain(rows).text(3),
        }.items():
            start = perf_counter()
            act()
            times.setdefault(name, []).append(perf_counter() - start)
    print(f"\n{N_MANY:,} rows of {path.stem}, {X.shape[1]} columns")
    scoring = min(times["score_samples"])
    for name, seconds in times.items():
        print(f"{name:20} {min(seconds):6.2f} s, {min(seconds) / scoring:5.2f} times scoring")


if __name__ == "__main__":
    main()
