"""The scripts of pipelines/, one after the other, as a user runs them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from vae_anomaly import load

ROOT = Path(__file__).parents[1]


def test_a_model_is_trained_tuned_and_used(tmp_path):
    table = pd.read_csv(ROOT / "data" / "breast_cancer.csv")
    table[table.columns[-6:]].to_csv(tmp_path / "table.csv", index=False)

    def run(script, *arguments):
        command = [sys.executable, ROOT / "pipelines" / script, *arguments]
        subprocess.run(command, cwd=tmp_path, check=True)

    run("train.py", "table.csv", "model.skops", "diagnosis")
    label = ["diagnosis", "malignant"]
    run("tune_threshold.py", "table.csv", "model.skops", "tuned.skops", *label)
    run("batch_score.py", "table.csv", "tuned.skops", "scores.parquet")

    scored = pd.read_parquet(tmp_path / "scores.parquet")
    model = load(tmp_path / "tuned.skops")
    np.testing.assert_array_equal(scored["score"], -model.score_samples(table))
    np.testing.assert_array_equal(scored["is_outlier"], model.predict(table) == -1)
    found = scored["is_outlier"] & (table["diagnosis"] == "malignant")
    assert found.sum() > 0.8 * (table["diagnosis"] == "malignant").sum()
