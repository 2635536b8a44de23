"""Detection quality on real tables: VAEAnomalyDetector compared with other detectors.

Two settings:
  one-class     train on a random half of the inliers, test on the other half and all outliers
  unsupervised  train and test on all rows, including the outliers, without their labels

For all models the columns are standardised by the training rows. The models have their default
parameters, except that `vae_alike` and `vae_support` have support_fraction=1.0 and 0.5, and that
`gmm` has 8 components and reg_covar=1e-3. `knn` scores by the distance to the fifth neighbour,
`knn_mean` by the mean of the squared distances to five, and `mcd` is the Mahalanobis distance of
MinCovDet. A failed fit counts as AUROC 0.5 and AUPRC 0.
The first table shows the means over data sets of the means over seeds, the mean rank by AUROC, the
number of data sets on which a model has the best AUROC, and the number of those on which its AUROC
is more than 0.05 below that of IsolationForest. Then, for each VAE, its differences from the other
models are shown with the p-values of Wilcoxon's signed-rank test over the data sets, not corrected
for the number of tests.

With --ablation the rows of the table are parameters of the detector, changed one at a time. With
--selection the result of GridSearchCV with `score`, the held-out ELBO, is shown, which uses no
labels.
"""

import argparse
import functools
import importlib.util
import itertools
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _adbench
import numpy as np
import pandas as pd
from _results import Results
from scipy.stats import wilcoxon
from sklearn.covariance import MinCovDet
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from vae_anomaly import VAEAnomalyDetector

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

KEYS = ["setting", "dataset", "model", "seed"]
FIELDS = [*KEYS, "rows", "features", "auroc", "auprc", "fit_s", "score_s"]

FAR = 0.05
"""A difference in AUROC from IsolationForest that counts as large."""

ABLATION: dict[str, list[Any]] = {
    "input_noise": [0.0, 0.2, 0.5],
    "score_components": ["kl", "reconstruction"],
    "n_draws": [0, 4, 16],
    "beta": [0.5, 2.0],
    "latent_dim": [8, 64],
    "hidden_layer_sizes": [(128, 64), (512, 256)],
    "observation_noise": [0.05, 0.3],
    "reconstruction_loss": ["mse", "gaussian"],
    "dropout": [0.1],
    "variational": [False],
    "batch_size": [256],
    "early_stopping": [True],
    "support_fraction": [0.5, 0.9, 1.0],
}
"""The values to try for each parameter, with all others at their defaults.

"score_components" is not a parameter: it selects a single term of the score.
"""

GRID: dict[str, list[Any]] = {
    "latent_dim": [8, 32],
    "observation_noise": [0.05, 0.1, 0.3],
    "input_noise": [0.0, VAEAnomalyDetector().input_noise],
}
"""The grid that --selection searches."""


def vae(seed: int, **params: Any) -> VAEAnomalyDetector:
    # The threshold does not affect the ranking, and "auto" would train another network for it.
    return VAEAnomalyDetector(contamination=0.1, random_state=seed, **params)


class OneTerm:
    """The detector with a single term of its score."""

    def __init__(self, detector: VAEAnomalyDetector, term: str) -> None:
        self._detector, self._term = detector, term

    def fit(self, X: np.ndarray) -> None:
        self._detector.fit(X)

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self._detector.score_components(X)[self._term].to_numpy()


def changed(seed: int, name: str, value: Any) -> VAEAnomalyDetector | OneTerm:
    return OneTerm(vae(seed), value) if name == "score_components" else vae(seed, **{name: value})


class KthNeighbor(NearestNeighbors):
    """The distance to the fifth neighbour; a training row is its own first neighbour."""

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.kneighbors(X)[0][:, -1]


class MeanSquaredNeighbors(NearestNeighbors):
    """The mean of the squared distances to the neighbours."""

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -np.mean(self.kneighbors(X)[0] ** 2, axis=1)


class RobustCovariance(MinCovDet):
    """The Mahalanobis distance by the minimum covariance determinant."""

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.mahalanobis(X)


def pyod_vae(seed: int) -> Any:
    from pyod.models.vae import VAE

    return VAE(random_state=seed, verbose=0)


def pyod_ae(seed: int) -> Any:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(random_state=seed, verbose=0)


OURS: dict[str, dict[str, Any]] = {
    "vae": {},
    "vae_alike": {"support_fraction": 1.0},
    "vae_support": {"support_fraction": 0.5},
}
MODELS: dict[str, Callable[[int], Any]] = {
    **{name: functools.partial(vae, **params) for name, params in OURS.items()},
    "iforest": lambda seed: IsolationForest(random_state=seed),
    "lof": lambda seed: LocalOutlierFactor(novelty=True),
    "ocsvm": lambda seed: OneClassSVM(),
    "gmm": lambda seed: GaussianMixture(8, reg_covar=1e-3, random_state=seed),
    "knn": lambda seed: KthNeighbor(n_neighbors=5),
    "knn_mean": lambda seed: MeanSquaredNeighbors(n_neighbors=5),
    "mcd": lambda seed: RobustCovariance(random_state=seed),
    "pyod_vae": pyod_vae,
    "pyod_ae": pyod_ae,
}


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    try:
        if args.selection:
            selection(args)
        elif args.ablation is not None:
            ablation(args)
        else:
            comparison(args)
    except OSError as error:
        parser.error(str(error))


def comparison(args: argparse.Namespace) -> None:
    names = [path.stem for path in _adbench.paths(args)]
    earlier = pd.concat([pd.DataFrame(columns=KEYS), *map(pd.read_csv, args.baselines)])
    earlier = earlier[
        (earlier.setting == args.setting)
        & earlier.dataset.isin(names)
        & (earlier.seed < args.seeds)
    ]
    chosen = args.models or [
        name
        for name in MODELS
        if name not in set(earlier.model)
        and (not name.startswith("pyod") or importlib.util.find_spec("pyod"))
    ]
    rows = measure_all(args, {name: MODELS[name] for name in chosen})
    table = pd.concat([part for part in (rows, earlier) if len(part)]).drop_duplicates(KEYS)
    summarize(table, references=[name for name in OURS if name in set(table.model)])


def ablation(args: argparse.Namespace) -> None:
    models: dict[str, Callable[[int], Any]] = {"default": vae}
    for name in args.ablation or ABLATION:
        for value in ABLATION[name]:
            models[f"{name}={value}"] = functools.partial(changed, name=name, value=value)
    summarize(measure_all(args, models), references=["default"])


def measure_all(args: argparse.Namespace, models: dict[str, Callable[[int], Any]]) -> pd.DataFrame:
    """Return the figures of all models on all data sets and seeds; append each to --out."""
    results = Results(
        args.out,
        folder=args.folder,
        packages=("pyod", "torch") if any(name.startswith("pyod") for name in models) else (),
    )
    rows = []
    for path, seed in itertools.product(_adbench.paths(args), range(args.seeds)):
        train, test, labels = draw(args, path, seed)
        for name, build in models.items():
            figures = measure(build(seed), train, test, labels)
            size = len(train) + (len(test) if args.setting == "one-class" else 0)
            rows.append([args.setting, path.stem, name, seed, size, train.shape[1], *figures])
            print(f"{path.stem:20} seed {seed} {name:24} AUROC {figures[0]:.4f}", flush=True)
            results.add(dict(zip(FIELDS, rows[-1], strict=True)))
    return pd.DataFrame(rows, columns=FIELDS)


def draw(args: argparse.Namespace, path: Path, seed: int) -> tuple[np.ndarray, ...]:
    split_seed = seed if args.split_seed is None else args.split_seed
    return _adbench.draw(path, split_seed, args.setting, args.max_rows, raw=args.raw)


def measure(
    model: Any, train: np.ndarray, test: np.ndarray, labels: np.ndarray
) -> tuple[float, float, float, float]:
    """Return AUROC, AUPRC and the seconds of fit and score, or four NaN if one of them fails."""
    try:
        start = time.perf_counter()
        model.fit(train)
        fitted = time.perf_counter()
        if hasattr(model, "score_samples"):
            abnormality = -model.score_samples(test)
        else:  # PyOD: higher is more abnormal
            abnormality = model.decision_function(test)
        scored = time.perf_counter()
        # Both metrics raise an error if scores are not finite.
        auroc = roc_auc_score(labels, abnormality)
        auprc = average_precision_score(labels, abnormality)
    except Exception as error:  # a failure on a data set is a result, too
        print(f"failed: {error!r}"[:300])
        return (np.nan,) * 4
    return auroc, auprc, fitted - start, scored - fitted


def summarize(table: pd.DataFrame, references: list[str]) -> None:
    """Print the means of all models, and the differences of each reference from the others."""
    auroc, _ = by_set(table)
    show(f"Means over {len(auroc)} sets", means(table))
    for name in references if auroc.shape[1] > 1 else []:
        show(f"{name} less the others", differences(table, name))
        if "iforest" in auroc:
            far = (auroc[name] - auroc["iforest"]).loc[lambda ahead: ahead < -FAR]
            if len(far):
                show(f"{name} less iforest, where far below", far.to_frame("AUROC"))


def by_set(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the AUROC and the AUPRC of each model (columns) on each set (rows)."""
    table = table.fillna({"auroc": 0.5, "auprc": 0.0})
    # Rounded, so that what is the same is the same however its mean was summed up.
    auroc, auprc = (
        table.pivot_table(index="dataset", columns="model", values=metric).round(6)
        for metric in ("auroc", "auprc")
    )
    auroc = auroc.dropna()
    return auroc, auprc.loc[auroc.index]


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of each model, the best first."""
    auroc, auprc = by_set(table)
    figures = pd.DataFrame({"AUROC": auroc.mean(), "AUPRC": auprc.mean()})
    figures["rank"] = auroc.rank(axis=1, ascending=False).mean()
    figures["best on"] = auroc.eq(auroc.max(axis=1), axis=0).sum()
    if "iforest" in auroc:
        figures["far below iforest"] = auroc.lt(auroc["iforest"] - FAR, axis=0).sum()
    spread = table.fillna({"auroc": 0.5}).groupby(["model", "dataset"]).auroc.std()
    figures["std over seeds"] = spread.groupby("model").mean()
    failed = table[table.auroc.isna()].groupby("model").size()
    figures["failed fits"] = failed.reindex(figures.index, fill_value=0)
    return figures.sort_values("AUROC", ascending=False)


def differences(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return how far one model is ahead of each other, with Wilcoxon's p-values over the sets."""
    figures = pd.DataFrame()
    for metric, values in zip(("AUROC", "AUPRC"), by_set(table), strict=True):
        ahead = values[[reference]].to_numpy() - values.drop(columns=reference)
        figures[metric] = ahead.mean()
        figures[f"{metric} higher on"] = (ahead > 0).sum()
        figures[f"p ({metric})"] = [wilcoxon(ahead[other]).pvalue for other in ahead]
    return figures.sort_values("AUROC")


def selection(args: argparse.Namespace) -> None:
    """Print the AUROC of the model that the held-out ELBO selects, and of the best in the grid."""
    rows = []
    for path, seed in itertools.product(_adbench.paths(args), range(args.seeds)):
        train, test, labels = draw(args, path, seed)
        held_out = ShuffleSplit(1, test_size=0.3, random_state=seed)
        search = GridSearchCV(vae(seed), GRID, cv=held_out, refit=False).fit(train)
        tried = search.cv_results_["params"]
        auroc = [measure(vae(seed, **params), train, test, labels)[0] for params in tried]
        auroc = np.nan_to_num(auroc, nan=0.5)
        row = {
            "dataset": path.stem,
            "worst": min(auroc),
            "mean": np.mean(auroc),
            "default": np.nan_to_num(measure(vae(seed), train, test, labels)[0], nan=0.5),
            "selected": auroc[search.best_index_],
            "best": max(auroc),
        }
        rows.append(row)
        print(f"{path.stem:20} seed {seed} selected {search.best_params_}", flush=True)
    by_set = pd.DataFrame(rows).groupby("dataset", sort=False).mean()
    show(f"AUROC by choice from a grid of {len(tried)}", by_set)
    means = by_set.mean().to_frame("AUROC")
    low, high = means.loc["worst"], means.loc["best"]
    means["of best"], means["from worst to best"] = means / high, (means - low) / (high - low)
    show(f"Means over {len(by_set)} sets", means)


def show(title: str, table: pd.DataFrame) -> None:
    text = table.rename_axis(index=None, columns=None).round(4).to_string()
    print(f"\n{title}\n{text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = _adbench.parser(__doc__ or "")
    parser.add_argument("--setting", choices=_adbench.SETTINGS, default="one-class")
    parser.add_argument(
        "--split-seed", type=int, metavar="SEED", help="use one split for all seeds of the models"
    )
    parser.add_argument("--raw", action="store_true", help="do not standardise the columns")
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        metavar="MODEL",
        help=f"some of {', '.join(MODELS)} (default: all that are not in --baselines)",
    )
    parser.add_argument(
        "--baselines",
        type=Path,
        nargs="+",
        default=[],
        metavar="CSV",
        help="files of --out from earlier runs with the same options, not to be run again",
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="file to append the figures to")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--ablation",
        nargs="*",
        choices=ABLATION,
        metavar="PARAM",
        help=f"change one parameter at a time: {', '.join(ABLATION)} (default: all)",
    )
    kind.add_argument("--selection", action="store_true", help="run GridSearchCV without labels")
    return parser


if __name__ == "__main__":
    main()
