"""Series as they come: clocks, causal scores, false alarms and long series with WindowedDetector.

1. clock: VUS-PR with the times as the index, beside that without a clock.
2. causal: VUS-PR of scores that depend on the past only, beside those that do not.
3. alarms: the share of the last third of the clean start that is called an outlier by a detector
   that is fitted on the first two thirds.
4. long: the time and the memory for 1,000,000 time points of 8 channels; this needs no data.

DATA is a folder of .npz files with "time" (seconds), "values" (n, n_channels), "label" (n,) and
"n_train" (the number of rows at the start that are clean), such as the Numenta Anomaly Benchmark
(github.com/numenta/NAB) and SKAB (github.com/waico/SKAB), converted. VUS-PR needs aeon.
"""

import argparse
import resource
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from vae_anomaly import VAEAnomalyDetector, WindowedDetector

BUFFER = 100
AGGREGATIONS = ("max", "mean", "smooth", "causal")


class ComponentDistances(OutlierMixin, BaseEstimator):
    """The squared principal components over their variances, all of them."""

    def fit(self, X, y=None):
        self.scaler_ = StandardScaler().fit(X)
        self.pca_ = PCA().fit(self.scaler_.transform(X))
        variance = self.pca_.explained_variance_
        self.variance_ = np.maximum(variance, 1e-3 * variance[0])
        return self

    def score_samples(self, X):
        components = self.pca_.transform(self.scaler_.transform(X))
        return -(components**2 / self.variance_).sum(axis=1)


DETECTORS = {
    "pca": lambda seed: ComponentDistances(),
    "iforest": lambda seed: IsolationForest(random_state=seed),
    "vae": lambda seed: VAEAnomalyDetector(random_state=seed),
}


class Series(NamedTuple):
    name: str
    frame: pd.DataFrame
    is_anomaly: np.ndarray
    n_train: int


def read(path: Path) -> Series:
    with np.load(path, allow_pickle=False) as file:
        times = pd.to_datetime(file["time"], unit="s")
        frame = pd.DataFrame(file["values"].astype(float), times).add_prefix("channel_")
        return Series(path.stem, frame, file["label"] == 1, int(file["n_train"]))


def windowed(name: str, seed: int, **parameters) -> WindowedDetector:
    return WindowedDetector(DETECTORS[name](seed), **parameters)


def vus_pr(series: Series, scores: np.ndarray) -> float:
    from aeon.benchmarking.metrics.anomaly_detection import range_pr_vus_score

    rest = slice(series.n_train, None)
    is_anomaly = series.is_anomaly[rest].astype(int)
    return range_pr_vus_score(is_anomaly, -scores[rest], max_buffer_size=BUFFER)


def compare_clock(series: Series, name: str, seed: int) -> dict[str, float]:
    figures = {}
    for kind, frame in (
        ("without", series.frame.reset_index(drop=True)),
        ("with", series.frame),
    ):
        detector = windowed(name, seed, contamination=None)
        detector.fit(frame.iloc[: series.n_train])
        figures[kind] = vus_pr(series, detector.score_samples(frame))
        figures["not covered"] = np.mean(~detector.is_covered(frame))
    return figures | {"difference": figures["with"] - figures["without"]}


def compare_causal(series: Series, name: str, seed: int) -> dict[str, float]:
    frame = series.frame.reset_index(drop=True)
    detector = windowed(name, seed, contamination=None).fit(frame.iloc[: series.n_train])
    figures = {
        aggregation: vus_pr(
            series, detector.set_params(aggregation=aggregation).score_samples(frame)
        )
        for aggregation in AGGREGATIONS
    }
    return figures | {"difference": figures["causal"] - figures["smooth"]}


def count_alarms(series: Series, name: str, seed: int) -> dict[str, float]:
    frame = series.frame.reset_index(drop=True).iloc[: series.n_train]
    known = series.n_train * 2 // 3
    detector = windowed(name, seed).fit(frame.iloc[:known])
    scores = detector.score_samples(frame)
    naive = np.quantile(scores[:known], 0.01)
    return {"blocks": np.mean(scores[known:] < detector.offset_)} | {
        "training quantile": np.mean(scores[known:] < naive)
    }


def score_long(n_points: int, n_channels: int) -> None:
    rng = np.random.RandomState(0)
    values = np.sin(np.arange(n_points)[:, None] / rng.uniform(5, 50, n_channels))
    values += 0.1 * rng.standard_normal(values.shape)
    times = pd.date_range("2024-01-01", periods=n_points, freq="s")
    frame = pd.DataFrame(values, times).add_prefix("channel_")
    VAEAnomalyDetector(max_iter=1).fit(values[:100])  # TensorFlow's own time and memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    detector = WindowedDetector(VAEAnomalyDetector(random_state=0))
    for what, call in (("fit", detector.fit), ("score_samples", detector.score_samples)):
        wall, cpu = time.perf_counter(), time.process_time()
        call(frame)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
        print(
            f"{what}: {wall:.1f} s ({n_points / wall:,.0f} points a second), {cpu:.1f} s of "
            f"processor time, peak of {peak:.2f} GiB above TensorFlow and the data",
            flush=True,
        )


MEASURES = {"clock": compare_clock, "causal": compare_causal, "alarms": count_alarms}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=[*MEASURES, "long"])
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA")
    parser.add_argument("--detectors", default="pca,iforest,vae")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--points", type=int, default=1_000_000)
    args = parser.parse_args()
    if args.what == "long":
        score_long(args.points, 8)
        return
    if args.data is None:
        parser.error(f"{args.what} needs DATA")
    warnings.simplefilter("ignore")
    rows = []
    for path in sorted(args.data.glob("*.npz")):
        series = read(path)
        for name in args.detectors.split(","):
            for seed in range(args.seeds):
                figures = MEASURES[args.what](series, name, seed)
                collection = series.name.partition("_")[0]
                rows.append({"collection": collection, "detector": name, **figures})
                print(series.name, *rows[-1].values(), flush=True)
    table = pd.DataFrame(rows)
    print(table.groupby(["collection", "detector"]).mean().round(4).to_string())
    if args.what == "alarms":
        shares = table.set_index("detector")["blocks"]
        within = shares.between(0.005, 0.02).groupby("detector").mean()
        print("share of series with 0.5 to 2 % of alarms", within.round(3).to_dict())
        print("share of series with none", (shares == 0).groupby("detector").mean().to_dict())


if __name__ == "__main__":
    main()
