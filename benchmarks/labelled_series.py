"""VUS-PR of detectors of time points on real series with labels, and what each part adds.

DATA_FOLDER holds one .npz file a series, named by its collection and an underscore first: `values`
(n_timepoints, n_channels), `label` (1 marks an anomaly) and `n_train`, the number of leading time
points to train on. The figures of README.md are of series of NAB, the Numenta Anomaly Benchmark
(Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", ICMLA 2015;
github.com/numenta/NAB) and of SKAB, the Skoltech Anomaly Benchmark (github.com/waico/SKAB).

A detector sees a whole series when it scores; only the time points after `n_train` are judged.
VUS-PR (Paparrizos et al., VLDB 2022) is the area under the precision-recall curve of ranges,
averaged over tolerances of 0 to 100 time points around them. It needs aeon, which the extra
"bench" installs.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from _results import Results
from aeon.benchmarking.metrics.anomaly_detection import range_pr_vus_score
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import VAEAnomalyDetector, WindowedDetector
from vae_anomaly.time_series import whitening

AGGREGATIONS = ("smooth", "mean", "max", "causal")
BUFFER = 100


class SquaredNorm(BaseEstimator):
    """Of a whitened window, the squared norm is its Mahalanobis distance."""

    def fit(self, X, y=None):
        self.offset_ = 0.0
        return self

    def score_samples(self, X):
        return -np.sum(np.square(X, dtype=float), axis=1)


class PrincipalComponents(BaseEstimator):
    """Squared principal components over their variances, these at least 0.1 % of the largest."""

    def fit(self, X, y=None):
        self.pca_ = PCA().fit(X)
        variances = self.pca_.explained_variance_
        self.variances_ = np.maximum(variances, 1e-3 * variances[0])
        self.offset_ = 0.0
        return self

    def score_samples(self, X):
        return -np.sum(self.pca_.transform(X) ** 2 / self.variances_, axis=1)


class Neighbours(BaseEstimator):
    """The mean distance to the five nearest training windows."""

    def fit(self, X, y=None):
        self.neighbours_ = NearestNeighbors(n_neighbors=5).fit(X)
        self.offset_ = 0.0
        return self

    def score_samples(self, X):
        return -self.neighbours_.kneighbors(X)[0].mean(axis=1)


class Centres(BaseEstimator):
    """The distance to the nearest of twenty centres of k-means."""

    def fit(self, X, y=None):
        self.k_means_ = KMeans(min(20, len(X)), n_init=3, random_state=0).fit(X)
        self.offset_ = 0.0
        return self

    def score_samples(self, X):
        return -self.k_means_.transform(X).min(axis=1)


class Line(NamedTuple):
    make: Callable[[int, int], Any]
    """Return the detector of windows for a seed and a number of channels."""
    parameters: dict[str, Any]
    """Those of WindowedDetector."""
    patches: dict[str, Any]
    """What is changed in the module of WindowWhitening."""


def sample_covariance(z: np.ndarray) -> np.ndarray:
    rows = z.reshape(len(z), -1)
    return rows.T @ rows / len(rows)


def vae(seed: int, n_channels: int, **parameters: Any) -> VAEAnomalyDetector:
    return VAEAnomalyDetector(contamination=0.1, random_state=seed, **parameters)


def network(name: str) -> Callable[[int, int], VAEAnomalyDetector]:
    return lambda seed, n: vae(seed, n, architecture=name, input_shape=(64, n))


PEERS = {
    "PCA": lambda seed, n: make_pipeline(StandardScaler(), PrincipalComponents()),
    "IsolationForest": lambda seed, n: IsolationForest(random_state=seed),
    "neighbours": lambda seed, n: make_pipeline(StandardScaler(), Neighbours()),
    "k-means": lambda seed, n: make_pipeline(StandardScaler(), Centres()),
}
OF_32 = {"window_size": 32, "stride": 1, "whiten": False}
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "": ({}, {}),
    ", window_size=32": ({"window_size": 32}, {}),
    ", window_size=64": ({"window_size": 64}, {}),
    ", window_size=96": ({"window_size": 96}, {}),
    ", stride=1": ({"stride": 1}, {}),
    ", whiten=False": ({"whiten": False}, {}),
    ", no modulus transformation": ({}, {"_POWER": 1.0}),
    ", covariance of the sample": ({}, {"_stationary_covariance": sample_covariance}),
    ", floor 1e-4": ({}, {"_FLOOR": 1e-4}),
    ", floor 0.1": ({}, {"_FLOOR": 0.1}),
}
LINES = {
    "default": {"VAE": Line(vae, {}, {})},
    "peers": {
        f"{name}, {what}": Line(make, parameters, {})
        for name, make in PEERS.items()
        for what, parameters in (("plain windows of 32", OF_32), ("like the default", {}))
    },
    "ablation": {f"VAE{name}": Line(vae, *change) for name, change in CHANGES.items() if name},
    "linear": {
        f"squared norm{name}": Line(lambda seed, n: SquaredNorm(), *change)
        for name, change in CHANGES.items()
    },
    "networks": {name: Line(network(name), {}, {}) for name in ("dense", "conv", "lstm", "gru")},
}


def measure(path: Path, line: Line, seed: int) -> dict[str, float]:
    """Return VUS-PR by aggregation, and the seconds that fit and one scoring take."""
    with np.load(path) as file:
        values, label, n_train = file["values"], file["label"], int(file["n_train"])
    start = time.perf_counter()
    with mock.patch.multiple(whitening, **line.patches) if line.patches else nullcontext():
        detector = WindowedDetector(line.make(seed, values.shape[1]), **line.parameters)
        detector.fit(values[:n_train])
        detector.score_samples(values)
        figures = {"seconds": time.perf_counter() - start}
        for aggregation in AGGREGATIONS:
            scores = detector.set_params(aggregation=aggregation).score_samples(values)
            figures[aggregation] = range_pr_vus_score(
                label[n_train:].astype(int), -scores[n_train:], max_buffer_size=BUFFER
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--lines", nargs="+", choices=LINES, default=["default"])
    parser.add_argument("--names", nargs="+", help="only these of the lines")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--every", type=int, default=1, help="only every so many series")
    parser.add_argument("--out", type=Path, help="CSV file to append the figures of each series to")
    args = parser.parse_args()
    paths = sorted(args.folder.glob("*.npz"))[:: args.every]
    lines = {name: line for group in args.lines for name, line in LINES[group].items()}
    if args.names:
        lines = {name: lines[name] for name in args.names}
    results = Results(args.out, folder=args.folder, packages=("aeon",))
    rows = []
    for name, line in lines.items():
        for seed in args.seeds:
            for path in paths:
                collection = path.stem.split("_")[0]
                what = {"collection": collection, "series": path.stem, "line": name, "seed": seed}
                rows.append(what | measure(path, line, seed))
                results.add(rows[-1])
        table = pd.DataFrame(rows)
        of_line = table[table["line"] == name].groupby(["line", "collection"])
        print(of_line[[*AGGREGATIONS, "seconds"]].mean().round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
