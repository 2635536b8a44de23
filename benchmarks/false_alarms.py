"""False alarms of the automatic threshold: how many clean, new rows `predict` calls outliers.

The detector is trained on a random half of the inliers, without standardisation; the other half are
the new rows. contamination="auto" aims at 1 % of these. It is compared with contamination=0.01, the
1 % quantile of the training scores, and the share of the outliers that each of them finds is shown.
"""

import itertools
import os

import _adbench
import numpy as np
import pandas as pd

from vae_anomaly import VAEAnomalyDetector

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    parser = _adbench.parser(__doc__ or "")
    args, paths = _adbench.parse(parser)
    rows = []
    for path, seed in itertools.product(paths, range(args.seeds)):
        train, test, labels = _adbench.draw(path, seed, "one-class", args.max_rows, raw=True)
        detector = VAEAnomalyDetector(random_state=seed).fit(train)
        scores = detector.score_samples(test)
        offsets = {
            "auto": detector.offset_,
            "0.01": np.quantile(detector.training_scores_, 0.01),  # same as contamination=0.01
        }
        row = {"dataset": path.stem, "rows": len(train)}
        for name, offset in offsets.items():
            row[f"{name}: false alarms"] = (scores < offset)[labels == 0].mean()
            row[f"{name}: found"] = (scores < offset)[labels == 1].mean()
        rows.append(row)
        print(*row.values(), flush=True)
    table = pd.DataFrame(rows)
    show(f"Means over {args.seeds} seeds", table.groupby("dataset", sort=False).mean())
    shares = table.drop(columns=["dataset", "rows"])
    show(f"Over {len(table)} fits", shares.agg(["median", "mean", "max"]))


def show(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n{table.rename_axis(index=None).round(4).to_string()}")


if __name__ == "__main__":
    main()
