"""Scoring in an environment of requirements-scoring.txt; see tests/run_scoring.sh.

The tests also pass where everything is installed.
"""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vae_anomaly import inspect, load

MODELS = sorted(Path(__file__).parent.glob("models/*/*"))
NEED_KERAS = {"conv1d", "conv2d", "gru", "lstm", "own_encoder"}

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


def scored(path):
    """Give the rows of a model file, with their scores."""
    table = pd.read_csv(path.with_suffix(".csv"))
    if "time" in table:
        table["time"] = pd.to_datetime(table["time"], format="ISO8601")
    rows = table.drop(columns=["score", "label"])
    return rows.astype(
        dict.fromkeys(rows.columns.intersection(["kind", "side"]), "category")
    ), table


def opened(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions
        return load(path)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODELS
        if path.suffix == ".onnx" or (path.suffix == ".skops" and path.stem not in NEED_KERAS)
    ],
    ids=lambda path: path.name,
)
def test_model_files_are_scored(path):
    rows, table = scored(path)
    model = opened(path)
    np.testing.assert_allclose(model.score_samples(rows), table["score"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.predict(rows), table["label"])
    assert inspect(path).threshold is not None


def test_scoring_imports_neither_keras_nor_tensorflow(run_python):
    script = """
import sys, warnings
warnings.simplefilter("ignore")
from vae_anomaly import load
load(sys.argv[1]); load(sys.argv[2])
print([name for name in ("keras", "tensorflow", "onnx", "skl2onnx") if name in sys.modules])
"""
    folder = MODELS[0].parent
    printed = run_python(script, folder / "table.skops", folder / "gru.onnx")
    assert printed.strip() == "[]"


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed")
def test_what_needs_tensorflow_says_so():
    path = MODELS[0].parent / "lstm.skops"
    rows, _ = scored(path)
    with pytest.raises(ModuleNotFoundError, match=r"pip install tensorflow.*to_onnx"):
        opened(path).score_samples(rows)
    with pytest.raises(ModuleNotFoundError, match=r"pip install tensorflow.*to_onnx"):
        opened(MODELS[0].parent / "dense.skops").fit(rows)


def test_a_csv_file_is_scored(tmp_path):
    root, folder = Path(__file__).parents[1], MODELS[0].parent
    subprocess.run(
        [
            sys.executable,
            root / "pipelines" / "batch_score.py",
            folder / "table.csv",
            folder / "table.skops",
            tmp_path / "scores.csv",
        ],
        check=True,
    )
    expected = -pd.read_csv(folder / "table.csv")["score"]
    scores = pd.read_csv(tmp_path / "scores.csv")["score"]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
