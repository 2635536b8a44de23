"""Average precision per time point of detectors on windows, and the training time of an LSTM.

Each series is split in time. The models are trained on the first part without its anomalies, which
become gaps, and are evaluated on the second part. All of them see the same windows, which are not
whitened; for that, and for real series with labels, see labelled_series.py.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import VAEAnomalyDetector, WindowedDetector

DATA = Path(__file__).parents[1] / "data"
WINDOW_SIZE = 32
ARCHITECTURES = ("dense", "conv", "lstm", "gru")


class Series(NamedTuple):
    train: pd.DataFrame
    test: pd.DataFrame
    is_anomaly: np.ndarray
    group_column: str | None = None

    @property
    def n_channels(self) -> int:
        return self.test.shape[1] - (self.group_column is not None)


class NearestWindows(BaseEstimator):
    """A detector whose score is the negative mean distance to the five nearest training windows."""

    def fit(self, X, y=None):
        self.neighbors_ = NearestNeighbors(n_neighbors=5).fit(X)
        return self

    def score_samples(self, X):
        return -self.neighbors_.kneighbors(X)[0].mean(axis=1)


def departures(seed: int) -> Series:
    """Return the departures from New York in 2013, split at mid-year; the same for any seed."""
    table = pd.read_csv(DATA / "departures.csv", parse_dates=["time"], index_col="time")
    is_first_half = table.index < pd.Timestamp("2013-07-01", tz="UTC")
    is_anomaly = table.pop("disrupted").to_numpy() == 1
    return Series(
        table[is_first_half & ~is_anomaly],
        table[~is_first_half],
        is_anomaly[~is_first_half],
        group_column="airport",
    )


def sensors(seed: int, n_train: int = 3000, n_test: int = 4000) -> Series:
    """Return three noisy sines; the second part has spikes, level shifts and stuck sensors."""
    rng = np.random.RandomState(seed)
    n = n_train + n_test
    phases = rng.uniform(0, 2 * np.pi, size=3)
    X = np.sin(2 * np.pi * np.arange(n)[:, None] / (20, 32, 50) + phases)
    X += 0.1 * rng.standard_normal(X.shape)
    is_anomaly = np.zeros(n, bool)
    slots = rng.permutation(np.arange(n_train + 50, n - 100, 100))[:24]
    for slot, kind in zip(slots, 8 * ("spike", "level shift", "stuck"), strict=True):
        channel, start = rng.randint(3), slot + rng.randint(40)
        rows = slice(start, start + (1 if kind == "spike" else rng.randint(15, 50)))
        if kind == "spike":
            X[rows, channel] += rng.choice([-1.0, 1.0])
        elif kind == "level shift":
            X[rows, channel] += rng.choice([-0.5, 0.5])
        else:
            X[rows, channel] = X[start, channel]
        is_anomaly[rows] = True
    table = pd.DataFrame(X, columns=["sensor_1", "sensor_2", "sensor_3"])
    return Series(table[:n_train], table[n_train:], is_anomaly[n_train:])


def read_timeeval(test_path: Path) -> Series:
    """Read a pair of files in TimeEval's format: timestamp, channels, is_anomaly."""
    stem = test_path.name.removesuffix("_TEST.csv")
    names = (f"{stem}_TRAIN.csv", f"{stem}_TRAIN_NA.csv")  # NA: no anomalies, if there are both
    train_path = next(test_path.with_name(n) for n in names if test_path.with_name(n).exists())
    train, test = (pd.read_csv(p).drop(columns="timestamp") for p in (train_path, test_path))
    channels = test.columns[:-1]
    if test[: len(train)][channels].equals(train[channels]):  # as in the test series of UCR
        test = test[len(train) :]
    return Series(train[channels], test[channels], test["is_anomaly"].to_numpy() == 1)


def models(n_channels: int, seed: int) -> dict[str, BaseEstimator]:
    shape = (WINDOW_SIZE, n_channels)
    return {
        "IsolationForest": IsolationForest(random_state=seed),
        "LocalOutlierFactor": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
        "k nearest neighbours": make_pipeline(StandardScaler(), NearestWindows()),
    } | {
        f"VAE, {name}": VAEAnomalyDetector(architecture=name, input_shape=shape, random_state=seed)
        for name in ARCHITECTURES
    }


def measure(series: Series, model: BaseEstimator) -> dict[str, float]:
    detector = WindowedDetector(
        clone(model),
        window_size=WINDOW_SIZE,
        stride=1,
        whiten=False,
        group_column=series.group_column,
    )
    start = time.perf_counter()
    detector.fit(series.train)
    figures = {"fit_s": time.perf_counter() - start}
    for aggregation in ("max", "mean"):
        detector.set_params(aggregation=aggregation)
        scores = detector.score_samples(series.test)
        figures[aggregation] = average_precision_score(series.is_anomaly, -scores)
        if aggregation == "max" and hasattr(detector.detector_, "offset_"):
            is_false_alarm = (scores < detector.offset_) & ~series.is_anomaly
            figures["false_alarms"] = is_false_alarm.sum() / (~series.is_anomaly).sum()
    return figures


def compare(args: argparse.Namespace) -> None:
    makers = {"departures": departures, "sensors": sensors}
    if args.folder:
        makers = {
            path.name.removesuffix("_TEST.csv"): lambda seed, path=path: read_timeeval(path)
            for path in sorted(args.folder.glob("**/*_TEST.csv"))
        }
    rows = []
    for name, make in makers.items():
        for seed in range(args.seeds):
            series = make(seed)
            for model_name, model in models(series.n_channels, seed).items():
                figures = measure(series, model)
                rows.append({"series": name, "seed": seed, "model": model_name} | figures)
                print(f"{name}, {model_name}: {figures['max']:.3f}", flush=True)
        print(f"{name}: {series.is_anomaly.mean():.1%} of {len(series.test)} points are anomalies")
    table = pd.DataFrame(rows)
    if args.out:
        table.to_csv(args.out, index=False)
    by_model = table.groupby(["series", "model"], sort=False)
    print("\nmeans over seeds: average precision by aggregation, false alarms, seconds to train")
    print(by_model[["max", "mean", "false_alarms", "fit_s"]].mean().round(3))
    print('\nlowest and highest seed, aggregation="max"')
    print(by_model["max"].agg(["min", "max"]).round(3))


def time_lstm() -> None:
    """Train an LSTM VAE on 2,000 windows of 32 time points and 3 channels, with the defaults."""
    table = sensors(0).train[: 2000 + WINDOW_SIZE - 1]
    for contamination, what in ((0.01, "training"), ("auto", "training and threshold")):
        vae = VAEAnomalyDetector(
            architecture="lstm",
            input_shape=(WINDOW_SIZE, 3),
            contamination=contamination,
            random_state=0,
        )
        start = time.perf_counter()
        WindowedDetector(vae, whiten=False).fit(table)
        print(f"LSTM VAE, 2,000 windows of 32 x 3, {what}: {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder of series in TimeEval's format to use")
    parser.add_argument("--out", type=Path, help="CSV file to write the figures of each seed to")
    parser.add_argument("--speed", action="store_true", help="time the training of an LSTM VAE")
    args = parser.parse_args()
    if args.speed:
        time_lstm()
    else:
        compare(args)


if __name__ == "__main__":
    main()
