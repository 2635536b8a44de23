"""missing_indicator: what "auto" gains where missing values tell, and costs where they do not.

Two tables are printed, AUROC and AUPRC of "auto", True and False:

1. Missing values that say nothing: 3 % of the rows, outliers or not, lose a third of their cells at
   random. Means over the ADBench tables, one-class.
2. Missing values that tell: data/flights.csv, where cancelled flights lack their times. The
   detector is trained on a random half of the rows with support_fraction=0.5 and gets the columns
   as they are, except that the date is expanded to month, weekday and hour.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from _adbench import draw, parse, parser
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

from vae_anomaly import VAEAnomalyDetector

FLIGHTS = Path(__file__).parents[1] / "data" / "flights.csv"
ROWS, CELLS = 0.03, 1 / 3
CHOICES = ("auto", True, False)


def main() -> None:
    warnings.filterwarnings("ignore")
    args, paths = parse(parser(__doc__))
    rows = []
    for seed in range(args.seeds):
        rng = np.random.default_rng([seed, 2])
        for path in paths:
            X, X_test, y = draw(path, seed, "one-class", args.max_rows)
            seen, unseen = (with_holes(part, rng) for part in (X, X_test))
            rows += [{"table": "nothing", **figures(seen, unseen, y, c, seed)} for c in CHOICES]
            print(seed, path.stem, flush=True)
        frame, labels = flights()
        train, new, _, y = train_test_split(
            frame, labels, test_size=0.5, stratify=labels, random_state=seed
        )
        rows += [
            {"table": "flights", **figures(train, new, y, c, seed, support_fraction=0.5)}
            for c in CHOICES
        ]
    table = pd.DataFrame(rows).groupby(["table", "missing_indicator"], sort=False)
    print(table.mean(numeric_only=True).round(4).to_string())


def with_holes(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    lacks = rng.uniform(size=(len(X), 1)) < ROWS
    return np.where(lacks & (rng.uniform(size=X.shape) < CELLS), np.nan, X)


def flights() -> tuple[pd.DataFrame, pd.Series]:
    frame = pd.read_csv(FLIGHTS, parse_dates=["time_hour"])
    labels, time = frame.pop("unusual"), frame.pop("time_hour").dt
    frame = frame.assign(month=time.month, weekday=time.day_of_week, hour=time.hour)
    texts = ["carrier", "tailnum", "origin", "dest"]
    return frame.astype(dict.fromkeys(texts, "category")), labels


def figures(
    seen: object, unseen: object, y: object, choice: object, seed: int, **parameters: object
) -> dict[str, object]:
    detector = VAEAnomalyDetector(
        missing_indicator=choice, contamination=0.1, random_state=seed, **parameters
    )
    scores = -detector.fit(seen).score_samples(unseen)
    return {
        "missing_indicator": str(choice),
        "AUROC": roc_auc_score(y, scores),
        "AUPRC": average_precision_score(y, scores),
    }


if __name__ == "__main__":
    main()
