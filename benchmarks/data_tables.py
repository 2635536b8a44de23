"""The tables of data/, split as `vae-anomaly fit` splits them: ours compared with other detectors.

For each seed, half of the rows are held out, with the split and the types of columns that
`vae-anomaly fit --label COLUMN --outlier VALUE --held-out FILE --random-state SEED` uses. All
detectors learn from the other half: from all of its rows, outliers among them, or from its inliers
only (`--train-on inliers`). None of them sees a label. The held-out rows are ranked and, by
detectors that have a threshold of their own, judged.

All detectors have their default parameters, but that GaussianMixture has 8 components and
reg_covar=1e-3; `neighbours` is the mean squared distance to five. VAEAnomalyDetector takes the
columns as they are. For the others dates become month, day of the week and hour, and categories
are one-hot encoded: a missing value is one more category, and levels that hold less than 1 % of
the rows share a column. Numbers are imputed by the median, with an indicator of what was missing
or without, and all but the one-hot columns are standardised. `rule` is what the label of the
flights is made from, for someone who knows it: an arrival over three hours late, or none.
"""

import argparse
import itertools
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import Results
from quality import MeanSquaredNeighbors
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from vae_anomaly import VAEAnomalyDetector
from vae_anomaly.batch.fitting import Split, make_pipeline_for
from vae_anomaly.batch.kinds import find_schema
from vae_anomaly.batch.labels import Label
from vae_anomaly.batch.source import ReadOptions, Source

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DATA = Path(__file__).parents[1] / "data"
TABLES = {
    "flights": Label("unusual", "1"),
    "breast_cancer": Label("diagnosis", "malignant"),
}
TRAIN_ON = ("all", "inliers")
OURS = "VAEAnomalyDetector"
RULE = "rule"


class NoArrivalInTime(OutlierMixin, BaseEstimator):
    """The rule by which data/make.py calls flights unusual."""

    offset_ = -180.0

    def __sklearn_is_fitted__(self) -> bool:
        return True  # there is nothing to learn

    def fit(self, X: pd.DataFrame, y: Any = None) -> "NoArrivalInTime":
        return self

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:
        return -X["arr_delay"].fillna(np.finfo(float).max).to_numpy()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return np.where(self.score_samples(X) < self.offset_, -1, 1)


def peers(seed: int) -> dict[str, Any]:
    return {
        "IsolationForest": IsolationForest(random_state=seed),
        "neighbours": MeanSquaredNeighbors(n_neighbors=5),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
        "OneClassSVM": OneClassSVM(),
        "EllipticEnvelope": EllipticEnvelope(random_state=seed),
        "GaussianMixture": GaussianMixture(8, reg_covar=1e-3, random_state=seed),
    }


def encoder(*, add_indicator: bool) -> ColumnTransformer:
    """Return what peers need: numbers without holes, on one scale."""
    imputer = SimpleImputer(strategy="median", add_indicator=add_indicator)
    numbers = make_pipeline(imputer, StandardScaler())
    categories = OneHotEncoder(
        min_frequency=0.01, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    is_category = make_column_selector(dtype_include=["category", "object", "string"])
    return ColumnTransformer([("categories", categories, is_category)], remainder=numbers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--train-on", nargs="+", choices=TRAIN_ON, default=TRAIN_ON)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument(
        "--models",
        nargs="+",
        choices=[OURS, *peers(0), RULE],
        metavar="MODEL",
        help=f"some of {', '.join([OURS, *peers(0), RULE])} (default: all)",
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="file to append the figures to")
    args = parser.parse_args()
    results = Results(args.out)
    rows = []
    for name, train_on in itertools.product(args.tables, args.train_on):
        source = Source.open([str(DATA / f"{name}.csv")], ReadOptions())
        columns = find_schema(source, label=TABLES[name].column).columns
        labels = TABLES[name].read(source)
        for seed in range(args.seeds):
            split = Split.of(
                labels, inliers_only=train_on == "inliers", test_size=0.5, random_state=seed
            )
            ours = make_pipeline_for(columns, VAEAnomalyDetector(random_state=seed))
            frame = pd.concat(part.table for part in source.frames(ours["schema"]))
            train, new = frame[split.train], frame[split.held_out]
            made = models(ours, train, seed)
            if name == "flights":
                made[RULE, "as they are"] = make_pipeline(ours["schema"], NoArrivalInTime())
            for (model, missing), pipeline in made.items():
                if args.models and model not in args.models:
                    continue
                what = {"table": name, "train_on": train_on, "model": model, "missing": missing}
                figures = measure(pipeline, train, new, labels[split.held_out])
                rows.append({**what, "seed": seed, **figures})
                results.add(rows[-1])
                print(*rows[-1].values(), flush=True)
    figures = pd.DataFrame(rows).drop(columns="seed")
    means = figures.groupby(["table", "train_on", "model", "missing"], sort=False).mean()
    print(f"\nMeans over {args.seeds} seeds\n{means.round(3).to_string()}")


def models(ours: Pipeline, train: pd.DataFrame, seed: int) -> dict[tuple[str, str], Pipeline]:
    """Return the detectors by their names and by what becomes of missing numbers."""
    ways = {"imputed, indicated": encoder(add_indicator=True)}
    if train.select_dtypes("number").isna().any(axis=None):  # else both are the same
        ways["imputed"] = encoder(add_indicator=False)
    made = {(OURS, "as they are"): ours}
    for missing, prepare in ways.items():
        for name, detector in peers(seed).items():
            steps = [step for _, step in ours.steps[:-1]]
            made[name, missing] = make_pipeline(*steps, clone(prepare), detector)
    return made


def measure(model: Any, train: pd.DataFrame, new: pd.DataFrame, labels: np.ndarray) -> dict:
    """Return how well a detector ranks new rows, and what it calls outliers by default."""
    scores = -model.fit(train).score_samples(new)
    figures = {
        "auroc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "n_outliers": int(labels.sum()),
        "n_inliers": int((labels == 0).sum()),
    }
    if hasattr(model[-1], "offset_"):
        is_alarm = model.predict(new) == -1
        figures["n_found"] = int((is_alarm & (labels == 1)).sum())
        figures["n_false_alarms"] = int((is_alarm & (labels == 0)).sum())
    return figures


if __name__ == "__main__":
    main()
