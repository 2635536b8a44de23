"""Missing values: ranking, false alarms and imputation when cells are hidden at random.

The detector is trained on half of the inliers and tested on the other half and all outliers, and
cells are hidden completely at random from both. It is compared with the same detector behind a
median imputer with indicators, with IsolationForest, which takes missing values, and with the
distance to the fifth neighbour behind a median imputer. Six tables are printed:

1. AUROC and AUPRC by the fraction of hidden cells, as means over sets and seeds.
2. The same for "ours" by set, at the second fraction.
3. Trained on whole rows and tested on rows with holes, and the reverse, at the second fraction.
4. False alarms of contamination="auto" among new inliers, of which each lacks its own fraction of
   the cells (from none to 60 %), by quarters of the number of missing cells.
5. The root mean square error of the cells filled in, in units of each column's standard deviation,
   for new inliers at the second fraction, by set. With more than 200 columns, IterativeImputer
   regresses each on 20 others only and in 3 rounds, as all would take hours.
6. How much longer training and scoring take with holes, as the median ratio of times.
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
from joblib import Parallel, delayed
from sklearn.ensemble import IsolationForest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import VAEAnomalyDetector

MAX_HOLES = 0.6
MAX_REGRESSORS = 200
QUARTERS = ["first quarter", "second", "third", "fourth", "all"]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--fractions", type=float, nargs="+", default=[0.1, 0.3, 0.5], metavar="FRACTION"
    )
    arguments.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    args, paths = parse(arguments)
    tasks = [(path, seed) for seed in range(args.seeds) for path in paths]
    # The largest sets last for longest: begin with them.
    tasks.sort(key=lambda task: -task[0].stat().st_size)
    results = Parallel(n_jobs=args.jobs, verbose=1)(
        delayed(measure)(path, seed, args.fractions, args.max_rows) for path, seed in tasks
    )
    scores, false_alarms, errors, times = (
        pd.DataFrame([row for result in results for row in result[part]])
        for part in ("scores", "alarms", "errors", "times")
    )
    middle = args.fractions[min(1, len(args.fractions) - 1)]

    print("\n1. Ranking, means over sets and seeds")
    by_model = scores[scores.test == scores.train].groupby(["train", "model"])
    print(by_model[["AUROC", "AUPRC"]].mean().unstack(0).round(4).to_string())
    print(f"\n2. Ranking by set, {middle:.0%} hidden")
    by_set = scores[(scores.train == middle) & (scores.test == middle)]
    by_set = by_set.groupby(["set", "model"])[["AUROC", "AUPRC"]].mean().unstack()
    print(by_set.round(3).to_string())
    print("\n3. Trained whole and tested with holes, and the reverse")
    mixed = scores[(scores.model == "ours") & scores.train.isin([0, middle])]
    mixed = mixed[mixed.test.isin([0, middle])].groupby(["train", "test"])[["AUROC", "AUPRC"]]
    print(mixed.mean().round(4).to_string())
    print("\n4. False alarms by the number of missing cells, per cent")
    print((100 * false_alarms.groupby("train")[QUARTERS].mean()).round(2).to_string())
    print("\n5. Root mean square error of the cells filled in")
    errors = errors.groupby("set").mean(numeric_only=True).drop(columns="seed")
    print(errors.round(3).to_string())
    others = errors.drop(columns="ours")
    wins = {name: int((errors["ours"] < others[name]).sum()) for name in others}
    print("ours is smaller on", ", ".join(f"{n} of {len(errors)} ({m})" for m, n in wins.items()))
    print("\n6. Times with holes, relative to those without")
    times = times.set_index(["set", "seed", "train"]).unstack()
    ratios = {part: (times[part][middle] / times[part][0]).median() for part in ("fit", "score")}
    print(pd.Series(ratios).round(2).to_string())


def measure(path: Path, seed: int, fractions: list[float], max_rows: int) -> dict[str, list[dict]]:
    """Return rows of the tables for one set and seed."""
    warnings.filterwarnings("ignore")
    X, X_test, y = draw(path, seed, "one-class", max_rows)
    inliers = X_test[y == 0]
    rng = np.random.default_rng([seed, 1])
    about = {"set": path.stem, "seed": seed}
    results: dict[str, list[dict]] = {"scores": [], "alarms": [], "errors": [], "times": []}
    middle = fractions[min(1, len(fractions) - 1)]
    holes = {f: (hidden(X, f, rng), hidden(X_test, f, rng)) for f in fractions}
    holes[0] = X, X_test
    varied = hidden(inliers, rng.uniform(0, MAX_HOLES, size=(len(inliers), 1)), rng)

    def score(name: str, s: np.ndarray, train: float, test: float) -> None:
        figures = {"AUROC": roc_auc_score(y, s), "AUPRC": average_precision_score(y, s)}
        results["scores"].append({**about, "model": name, "train": train, "test": test, **figures})

    for fraction, (seen, unseen) in holes.items():
        start = perf_counter()
        ours = VAEAnomalyDetector(random_state=seed).fit(seen)
        fitted = perf_counter()
        anomaly = -ours.score_samples(unseen)
        times = {"fit": fitted - start, "score": perf_counter() - fitted}
        score("ours", anomaly, fraction, fraction)
        results["times"].append({**about, "train": fraction, **times})
        forest = IsolationForest(random_state=seed).fit(seen)
        score("IsolationForest", -forest.score_samples(unseen), fraction, fraction)
        score("median, neighbours", neighbours(seen, unseen), fraction, fraction)
        if fraction:
            score("median, indicators, ours", imputed(seen, unseen, seed), fraction, fraction)
        if fraction in (0, middle):
            other = middle if fraction == 0 else 0
            score("ours", -ours.score_samples(holes[other][1]), fraction, other)
            results["alarms"].append({**about, "train": fraction, **alarms(ours, varied)})
        if fraction == middle:
            errors = imputation_errors(ours, seen, unseen[y == 0], inliers, seed)
            results["errors"].append({**about, **errors})
    return results


def alarms(detector: VAEAnomalyDetector, rows: np.ndarray) -> dict[str, float]:
    """Return the share of alarms among the rows, by quarters of the number of missing cells."""
    is_alarm = detector.predict(rows) == -1
    quarters = np.array_split(np.argsort(np.isnan(rows).sum(axis=1), kind="stable"), 4)
    shares = [is_alarm[quarter].mean() for quarter in quarters]
    return dict(zip(QUARTERS, [*shares, is_alarm.mean()], strict=True))


def hidden(X: np.ndarray, fraction: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.uniform(size=X.shape) < fraction, np.nan, X)


def imputed(seen: np.ndarray, unseen: np.ndarray, seed: int) -> np.ndarray:
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    detector = VAEAnomalyDetector(contamination=0.1, random_state=seed)
    return -make_pipeline(imputer, detector).fit(seen).score_samples(unseen)


def neighbours(seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    imputer = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    index = NearestNeighbors(n_neighbors=5).fit(imputer.fit_transform(seen))
    return index.kneighbors(imputer.transform(unseen))[0][:, -1]


def imputation_errors(
    ours: VAEAnomalyDetector, seen: np.ndarray, unseen: np.ndarray, truth: np.ndarray, seed: int
) -> dict[str, float]:
    is_hidden = np.isnan(unseen)
    short = {"n_nearest_features": 20, "max_iter": 3} if seen.shape[1] > MAX_REGRESSORS else {}
    imputers = {
        "IterativeImputer": IterativeImputer(random_state=seed, keep_empty_features=True, **short),
        "KNNImputer": KNNImputer(keep_empty_features=True),
        "median": SimpleImputer(strategy="median", keep_empty_features=True),
    }
    filled = {"ours": ours.reconstruct(unseen)}
    for name, imputer in imputers.items():
        filled[name] = imputer.fit(seen).transform(unseen)
    return {
        name: float(np.sqrt(np.mean((X - truth)[is_hidden] ** 2))) for name, X in filled.items()
    }


if __name__ == "__main__":
    main()
