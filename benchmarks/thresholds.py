"""Thresholds on real tables: tuned with few labels, without labels, and with a guarantee.

Detectors are fitted on half of the inliers, with standardised columns; the other inliers and all
outliers are the new rows. Each detector is fitted by TunedThresholdDetectorCV on 5 folds, and then
once more on all training rows.

1. F1 with labels: the threshold is chosen on a random half of the new rows. F1 is measured on the
   other half, as a fraction of the best F1 that any threshold reaches there. It is compared with
   quantiles of the training scores, which is how contamination=... sets the threshold, with the
   quantile of the tuning half at its true share of outliers, and with two ways to smooth the
   choice: the median threshold of 50 bootstrap resamples, and the median of all thresholds with at
   least 0.99 of the best F1. The figures are means over --splits halves. "by folds" is a detector
   that is fitted once on half of all rows, with a threshold chosen on five folds of them
   (OneClassKFold), and evaluated on the other half.
2. Without labels: the share of the new inliers that 'auto' and the extreme-value tail flag, next to
   the share that they aim at.
3. Conformal p-values, calibrated on half of the new inliers: the share of the other half with
   p-values of at most alpha (false alarms), over 200 draws.
4. Benjamini-Hochberg at level 0.1 on the other half and all outliers: the mean false-discovery
   proportion over 100 draws, its standard error, and the share of the outliers found.
"""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _adbench
import numpy as np
import pandas as pd
from _results import Results
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split
from sklearn.neighbors import NearestNeighbors

from vae_anomaly import (
    ConformalDetector,
    ExtremeValueTail,
    OneClassKFold,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    bootstrap_threshold,
)

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TAILS = {"tail 0.01": ExtremeValueTail(0.01), "tail 0.001": ExtremeValueTail(0.001)}
CONTAMINATIONS = (0.01, 0.05, 0.1)
ALPHAS = (0.01, 0.05, 0.1)
FDR_LEVEL = 0.1
N_ALARM_DRAWS, N_FDR_DRAWS = 200, 100


class NeighborDistance(OutlierMixin, BaseEstimator):
    """A detector whose score is the negative mean distance to the five nearest training rows."""

    def fit(self, X: np.ndarray, y: object = None) -> "NeighborDistance":
        self.neighbors_ = NearestNeighbors(n_neighbors=5).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.neighbors_.kneighbors(X)[0].mean(axis=1)


class Scores(OutlierMixin, BaseEstimator):
    """A detector for scores that are already known and are the only column of X."""

    def fit(self, X: np.ndarray, y: object = None) -> "Scores":
        self.is_fitted_ = True
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0]


KNOWN = Scores().fit(np.zeros((1, 1)))


def detectors(seed: int) -> dict[str, Any]:
    return {
        "forest": IsolationForest(random_state=seed),
        "knn": NeighborDistance(),
        # With a number, no second network is trained for a threshold that is not used.
        "vae": VAEAnomalyDetector(random_state=seed, contamination=0.1),
    }


def main() -> None:
    parser = _adbench.parser(__doc__ or "")
    parser.add_argument(
        "--splits", type=int, default=10, help="number of tuning halves per seed (default: 10)"
    )
    parser.add_argument(
        "--detectors", nargs="+", choices=list(detectors(0)), default=list(detectors(0))
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="file to append the figures to")
    args, paths = _adbench.parse(parser)
    results = Results(args.out, folder=args.folder)
    rows = []
    for path in paths:
        for seed in range(args.seeds):
            train, new, labels = _adbench.draw(path, seed, "one-class", args.max_rows)
            for name in args.detectors:
                measured = measure(detectors(seed)[name], train, new, labels, args.splits)
                rows.append({"dataset": path.stem, "seed": seed, "detector": name, **measured})
                results.add(rows[-1])
                print(path.stem, seed, name, f"F1 {measured['tuned']:.3f}", flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    by_set = table.groupby(["detector", "dataset"], sort=False).mean()
    report(table, by_set)


def measure(
    detector: Any, train: np.ndarray, new: np.ndarray, labels: np.ndarray, n_splits: int
) -> dict[str, float]:
    """Return all figures of one fit."""
    with tempfile.TemporaryDirectory() as memory:  # so that all rules share the same fits
        tuned = TunedThresholdDetectorCV(detector, memory=memory).fit(train)
        scores = tuned.score_samples(new)
        inliers, outliers = scores[labels == 0], scores[labels == 1]
        figures = {"auto: alarms": np.mean(inliers < tuned.offset_)}
        for name, rule in TAILS.items():
            figures[f"{name}: alarms"] = np.nan
            with contextlib.suppress(ValueError):  # there are too few rows to fit a tail
                offset = clone(tuned).set_params(scoring=rule).fit(train).offset_
                figures[f"{name}: alarms"] = np.mean(inliers < offset)
        training_scores = tuned.score_samples(train)
    shares = pd.DataFrame(f1_shares(training_scores, scores, labels, n_splits))
    figures["by folds"] = f1_by_folds(
        detector, np.concatenate([train, new]), np.concatenate([np.zeros(len(train)), labels])
    )
    return figures | shares.mean().to_dict() | conformal(inliers, outliers)


def f1_by_folds(detector: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Return F1 on one half by a detector fitted on the other, as a fraction of the best F1."""
    X, X_rest, y, y_rest = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    folds = OneClassKFold(5, shuffle=True, random_state=0)
    tuned = TunedThresholdDetectorCV(detector, scoring="f1", cv=folds).fit(X, y)
    scores = tuned.score_samples(X_rest)
    return f1_score(y_rest, scores < tuned.offset_) / best_f1(scores, y_rest)


def best_f1(scores: np.ndarray, y: np.ndarray) -> float:
    """Return the best F1 that any threshold reaches."""
    every = TunedThresholdDetectorCV(KNOWN, scoring="f1", cv="prefit", thresholds=10**6)
    return every.fit(scores[:, np.newaxis], y).best_score_


def f1_shares(
    training_scores: np.ndarray, scores: np.ndarray, labels: np.ndarray, n_splits: int
) -> Iterator[dict[str, float]]:
    """Yield, for each split, the fraction of the best F1 that each rule reaches on the rest."""
    halves = StratifiedShuffleSplit(n_splits, test_size=0.5, random_state=0)
    for tuning, rest in halves.split(scores, labels):
        X, y = scores[tuning, np.newaxis], labels[tuning]
        tuned = TunedThresholdDetectorCV(KNOWN, scoring="f1", cv="prefit").fit(X, y)
        resampled = bootstrap_threshold("f1", X[:, 0], y, n_resamples=50, random_state=0)
        near_best = tuned.cv_results_["scores"] >= 0.99 * tuned.best_score_
        offsets = {
            "tuned": tuned.offset_,
            "resampled": np.median(resampled["thresholds"]),
            "near best": np.median(tuned.thresholds_[near_best]),
            "true share": np.quantile(X, y.mean()),
        }
        for share in CONTAMINATIONS:
            offsets[f"contamination {share}"] = np.quantile(training_scores, share)
        reachable = best_f1(scores[rest], labels[rest])
        yield {
            name: f1_score(labels[rest], scores[rest] < offset) / reachable
            for name, offset in offsets.items()
        }


def conformal(inliers: np.ndarray, outliers: np.ndarray) -> dict[str, float]:
    """Return the rates of false alarms, of false discoveries and of outliers found."""
    alarms: dict[float, list[float]] = {alpha: [] for alpha in ALPHAS}
    proportions, found = [], []
    rng = np.random.default_rng(0)
    for draw in range(N_ALARM_DRAWS):
        calibration, clean = np.array_split(rng.permutation(inliers), 2)
        detector = ConformalDetector(KNOWN, cv="prefit").fit(calibration[:, np.newaxis])
        p_values = detector.p_values(clean[:, np.newaxis])
        for alpha in ALPHAS:
            alarms[alpha].append(np.mean(p_values <= alpha))
        if draw < N_FDR_DRAWS:
            batch = np.concatenate([clean, outliers])[:, np.newaxis]
            flagged = detector.predict_batch(batch, fdr_level=FDR_LEVEL) == -1
            proportions.append(flagged[: len(clean)].sum() / max(flagged.sum(), 1))
            found.append(flagged[len(clean) :].mean())
    figures = {f"alpha {alpha}": float(np.mean(rates)) for alpha, rates in alarms.items()}
    for alpha, rates in alarms.items():
        figures[f"alpha {alpha} error"] = np.std(rates) / np.sqrt(N_ALARM_DRAWS)
    return figures | {
        "false discoveries": float(np.mean(proportions)),
        "false discoveries error": np.std(proportions) / np.sqrt(N_FDR_DRAWS),
        "found": float(np.mean(found)),
    }


def report(table: pd.DataFrame, by_set: pd.DataFrame) -> None:
    choices = ["tuned", "by folds", "resampled", "near best", "true share"]
    rules = [*choices, *(f"contamination {share}" for share in CONTAMINATIONS)]
    show("1. Share of the best F1 of the other half, mean over sets", by_set[rules], "mean")
    show("   worst set", by_set[rules], "min")

    alarms = table.set_index("detector")[[f"{name}: alarms" for name in ("auto", *TAILS)]]
    show("2. Share of new inliers flagged, over fits: median", alarms, "median")
    show("   mean", alarms, "mean")
    show("   worst fit", alarms, "max")

    fits = table.set_index("detector")
    rates = [f"alpha {alpha}" for alpha in ALPHAS]
    show("3. False alarms by conformal p-values, mean over fits", fits[rates], "mean")
    excess = {
        rate: (fits[rate] - float(rate.split()[1])) / fits[f"{rate} error"].replace(0, np.nan)
        for rate in rates
    }
    show("   greatest excess over alpha, in standard errors", pd.DataFrame(excess), "max")

    bound = FDR_LEVEL + 2 * fits["false discoveries error"]
    discoveries = fits[["false discoveries", "found"]].assign(
        **{"fits above level + 2 errors": (fits["false discoveries"] > bound).astype(float)}
    )
    show(f"4. Benjamini-Hochberg at level {FDR_LEVEL}, mean over fits", discoveries, "mean")
    show("   greatest", discoveries[["false discoveries"]], "max")
    print("\nBy set\n")
    columns = [*choices, *alarms.columns, "alpha 0.05", "false discoveries", "found"]
    print(by_set[columns].round(3).to_string())


def show(title: str, table: pd.DataFrame, statistic: str) -> None:
    figures = table.groupby(level="detector", sort=False).agg(statistic)
    print(f"\n{title}\n{figures.rename_axis(index=None).round(4).to_string()}")


if __name__ == "__main__":
    main()
