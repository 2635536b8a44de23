"""How well alarm budgets are kept on new rows and on new time points.

1. Rows. A budget of 5 % (`AlarmBudget`) is set on 1,000 normal rows by `TunedThresholdDetectorCV`.
   The table gives the percentage of 5,000 new rows that are flagged, as a mean over --draws. The
   number in brackets is that of the draws with a warning that too few rows may be flagged.
2. Time points, with --series. `WindowedDetector` is run on autocorrelated series: sines with noise,
   and the leading rows, which have no anomalies, of the .npz files in a folder. Each file holds
   "values" of shape (n, channels) and "n_train", the number of clean rows, as in the NAB and SKAB
   collections. The first 70 % of these rows are given to `fit`, and all alarms among the others are
   false. The table gives the mean and the median of the alarm rate and the fraction of series for
   which it is at most twice the level. Series that are too short are refused.
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import SGDOneClassSVM
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.svm import OneClassSVM

from vae_anomaly import (
    AlarmBudget,
    ConformalDetector,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    WindowedDetector,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LEVEL = 0.05
CVS: tuple[Any, ...] = (2, 5, 10, 0.3)
DETECTORS: dict[str, Any] = {
    "OneClassSVM": OneClassSVM(nu=0.1),
    "SGDOneClassSVM": SGDOneClassSVM(random_state=0),
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "EllipticEnvelope": EllipticEnvelope(random_state=0),
    "GaussianMixture": GaussianMixture(random_state=0),
    "KernelDensity": KernelDensity(),
    # A numeric contamination avoids training a second network for a threshold that is not used.
    "VAEAnomalyDetector": VAEAnomalyDetector(contamination=0.1, random_state=0),
}
WINDOWED = {
    "IsolationForest": IsolationForest(random_state=0),
    "PCA, GaussianMixture": make_pipeline(PCA(5, random_state=0), GaussianMixture(random_state=0)),
    "OneClassSVM": OneClassSVM(nu=0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=10, help="number of draws of the rows (10)")
    parser.add_argument("--columns", type=int, default=5, help="number of columns of the rows (5)")
    parser.add_argument("--detectors", nargs="*", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--series", type=Path, metavar="FOLDER", help="measure on series as well")
    args = parser.parse_args()
    if args.detectors:
        measure_rows(args)
    if args.series:
        measure_series(args.series)


def measure_rows(args: argparse.Namespace) -> None:
    table = pd.DataFrame(index=args.detectors, columns=list(CVS), dtype=object)
    for name in args.detectors:
        draws = [alarms_of_rows(DETECTORS[name], seed, args.columns) for seed in range(args.draws)]
        for cv in CVS:
            mean = 100 * np.mean([draw[cv][0] for draw in draws])
            n_warned = sum(draw[cv][1] for draw in draws)
            table.loc[name, cv] = f"{mean:.1f}" + (f" ({n_warned})" if n_warned else "")
        print(name, *table.loc[name], flush=True)
    print(f"\n1. Alarms among new rows in %, target {100 * LEVEL:g}, by cv\n{table.to_string()}")


def alarms_of_rows(detector: Any, seed: int, n_columns: int) -> dict[Any, tuple[float, bool]]:
    """Return, for each cv, the fraction of new rows flagged and whether there was a warning."""
    rng = np.random.RandomState(seed)
    X, new = rng.randn(1000, n_columns), rng.randn(5000, n_columns)
    found = {}
    with tempfile.TemporaryDirectory() as memory:  # the final fit is the same for all four
        for cv in CVS:
            tuned = TunedThresholdDetectorCV(
                detector, scoring=AlarmBudget(LEVEL), cv=cv, memory=memory, random_state=seed
            )
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                tuned.fit(X)
            is_warned = any("scores depend on" in str(warning.message) for warning in caught)
            found[cv] = float(np.mean(tuned.predict(new) == -1)), is_warned
    return found


def measure_series(folder: Path) -> None:
    rows = []
    for kind, name, series in clean_series(folder):
        n_train = int(0.7 * len(series))
        for detector, rule, rate in alarms_of_series(series[:n_train], series):
            rows.append(
                (kind, name, detector, rule, np.mean(rate[n_train:]) if rate.size else None)
            )
        print(kind, name, len(series), flush=True)
    table = pd.DataFrame(rows, columns=["kind", "series", "detector", "rule", "alarms"])
    table["alarms"] = table["alarms"].astype(float)
    by_rule = table.groupby(["kind", "detector", "rule"], sort=False)["alarms"]
    shown = pd.DataFrame(
        {
            "mean": 100 * by_rule.mean(),
            "median": 100 * by_rule.median(),
            "within twice": by_rule.apply(lambda rates: np.mean(rates.dropna() <= 2 * LEVEL)),
            "series": by_rule.size(),
            "refused": by_rule.apply(lambda rates: rates.isna().sum()),
        }
    )
    print(f"\n2. False alarms in %, target {100 * LEVEL:g}\n{shown.round(2).to_string()}")


def clean_series(folder: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    for seed in range(10):
        rng = np.random.RandomState(seed)
        t = np.arange(2000)
        waves = [np.sin(t / 3 + seed), np.sin(t / 7)]
        yield "sines", str(seed), np.column_stack(waves) + 0.1 * rng.randn(2000, 2)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            series = stored["values"][: int(stored["n_train"])]
        # The channels are standardised, so that distance-based detectors take all into account.
        yield path.stem.split("_")[0], path.stem, (series - series.mean(0)) / (series.std(0) + 1e-9)


def alarms_of_series(train: np.ndarray, series: np.ndarray) -> Iterator[tuple[str, str, Any]]:
    for name, detector in WINDOWED.items():
        windowed = WindowedDetector(
            clone(detector), window_size=16, whiten=False, aggregation="max"
        )
        budget = AlarmBudget(LEVEL)
        for rule, judge in {
            "conformal": ConformalDetector(windowed, alpha=LEVEL),
            "budget, cv=5": TunedThresholdDetectorCV(windowed, scoring=budget),
            "budget, cv=0.3": TunedThresholdDetectorCV(windowed, scoring=budget, cv=0.3),
        }.items():
            try:
                judge.fit(train)
            except ValueError as error:
                assert "held-out time points make" in str(error)
                yield name, rule, np.array([])
            else:
                yield name, rule, judge.predict(series) == -1


if __name__ == "__main__":
    main()
