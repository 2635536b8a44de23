"""Data and fitted detectors that many tests share."""

import os
import subprocess
import sys

# scikit-learn skips its array API check without it; scipy reads it when it is first imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from vae_anomaly import VAEAnomalyDetector

SMALL = {"hidden_layer_sizes": (16, 8), "latent_dim": 3, "max_iter": 10, "random_state": 0}


@pytest.fixture(scope="session")
def make_detector():
    """Make a detector of a small network, trained shortly unless the test says otherwise."""

    def make(**parameters):
        return VAEAnomalyDetector(**(SMALL | parameters))

    return make


@pytest.fixture(scope="session")
def curve():
    """Make rows that lie near a curve in five dimensions, columns of several scales."""

    def make(n_rows, seed=0):
        rng = np.random.RandomState(seed)
        t = rng.uniform(0, 6, size=n_rows)
        clean = np.column_stack([t, np.sin(t), np.cos(t), t**2, np.sin(2 * t)])
        return clean + 0.05 * rng.standard_normal(clean.shape)

    return make


@pytest.fixture(scope="session")
def X(curve):
    """Rows to train on; read-only, so that a detector that writes to its input fails."""
    X = curve(400)
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def X_new(curve):
    """Rows of the same kind, not trained on."""
    X = curve(100, seed=1)
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def detector(make_detector, X):
    """A fitted detector that no test may change."""
    return make_detector().fit(X)


@pytest.fixture(scope="session")
def trained(make_detector, X):
    """A fitted detector that has learned the curve; no test may change it."""
    return make_detector(
        hidden_layer_sizes=(32, 32),
        reconstruction_loss="mse",
        observation_noise=0.1,
        input_noise=0.1,
        max_iter=300,
    ).fit(X)


@pytest.fixture(scope="session")
def benign_and_malignant():
    """Rows of the Wisconsin breast cancer data, without their labels."""
    data = load_breast_cancer()
    return data.data[data.target == 1], data.data[data.target == 0]


@pytest.fixture(scope="session")
def run_python():
    """Run a script, with arguments, in a fresh interpreter and return what it prints."""

    def run(script, *arguments, cwd=None, **environment):
        result = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=os.environ | environment,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """Run a script in an empty folder, but in this process, which need not import anything anew."""

    def run(script):
        monkeypatch.chdir(tmp_path)
        exec(compile(script, "script", "exec"), {"__name__": "__main__"})

    return run


@pytest.fixture
def no_training(monkeypatch):
    """Fail where training starts."""

    def fail(*arguments, **keywords):
        pytest.fail("training started")

    from vae_anomaly.training import loop as training

    monkeypatch.setattr(training, "train", fail)
