"""Compare the scores of .onnx files with those of the detectors that they were made from.

    python benchmarks/onnx_scores.py DATA_FOLDER [SERIES_FOLDER]

For every data set, network and likelihood, with and without missing cells, a small detector is
fitted on some rows, converted and compared on the others. The difference is in units of what is
allowed: 1e-4 of the score, or 1e-5 if that is more. A line that ends in FAILED has more than one,
or predictions that differ farther from the threshold than that.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _adbench import SOURCE, draw
from numpy.lib.stride_tricks import sliding_window_view

from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx

MOST_STEPS = 64
"""Recurrent networks take as many of the columns of a table."""

WINDOW = 16

TABLES: dict[str, dict[str, Any]] = {
    "dense, default": {"hidden_layer_sizes": "auto", "latent_dim": 32},
    "dense, gaussian": {"reconstruction_loss": "gaussian"},
    "dense, mse": {"reconstruction_loss": "mse"},
    "dense, binary_crossentropy": {"reconstruction_loss": "binary_crossentropy"},
    "dense, plain autoencoder": {"variational": False},
    "own encoder": {"encoder": True},
    "conv": {"architecture": "conv"},
    "conv, gaussian": {"architecture": "conv", "reconstruction_loss": "gaussian"},
    "lstm": {"architecture": "lstm"},
    "gru": {"architecture": "gru"},
}


def own_encoder(input_shape: tuple[int, ...], latent_dim: int) -> Any:
    import keras

    x = keras.Input(input_shape)
    hidden = keras.layers.LayerNormalization()(keras.layers.Dense(16, "gelu")(x))
    return keras.Model(x, [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)])


def compare(name: str, parameters: dict[str, Any], train: np.ndarray, test: np.ndarray) -> float:
    """Print and return the largest difference, in units of what is allowed."""
    small = {"hidden_layer_sizes": (16, 8), "latent_dim": 4, "max_iter": 3, "random_state": 0}
    parameters = small | parameters
    if parameters.get("encoder"):
        parameters["encoder"] = own_encoder
    if parameters.get("reconstruction_loss") == "binary_crossentropy":
        low, high = np.nanmin(train, axis=0), np.nanmax(train, axis=0)
        unit = np.where(high > low, high - low, 1.0)
        train, test = (np.clip((rows - low) / unit, 0, 1) for rows in (train, test))
    detector = VAEAnomalyDetector(**parameters).fit(train)
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(detector, Path(folder, "model.onnx"))
        onnx = OnnxDetector(Path(folder, "model.onnx")).fit()
    scores, others = detector.score_samples(test), onnx.score_samples(test)
    allowed = np.maximum(1e-4 * np.abs(scores), 1e-5)
    worst = float((np.abs(scores - others) / allowed).max())
    is_close = np.abs(scores - detector.offset_) <= allowed
    differ = (detector.predict(test) != onnx.predict(test)) & ~is_close
    has_failed = worst > 1 or differ.any()
    print(f"{name:60} {worst:8.4f}{'  FAILED' if has_failed else ''}", flush=True)
    return worst


def with_holes(rows: np.ndarray, share: float) -> np.ndarray:
    is_missing = np.random.default_rng(0).uniform(size=rows.shape) < share
    return np.where(is_missing, np.nan, rows)


def tables(folder: Path, n_rows: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for path in sorted(folder.glob("*.npz")):
        train, test, _ = draw(path, 0, "one-class", n_rows, raw=True)
        yield path.stem, train, test


def series(folder: Path, n_rows: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Give windows of every series, each a row, channels last."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            channels = next(file[name] for name in ("X", "test", "values") if name in file)
        channels = channels.reshape(len(channels), -1)[: 2 * n_rows].astype(float)
        windows = sliding_window_view(channels, WINDOW, axis=0).swapaxes(1, 2)
        windows = windows.reshape(len(windows), -1)
        yield path.stem, windows[: len(windows) // 2], windows[len(windows) // 2 :]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{SOURCE}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("series", type=Path, nargs="?", metavar="SERIES_FOLDER")
    parser.add_argument("--rows", type=int, default=1500, help="rows of each set (default: 1500)")
    args = parser.parse_args()
    worst = []
    for name, train, test in tables(args.tables, args.rows):
        for kind, parameters in TABLES.items():
            chosen = slice(None)
            parameters = dict(parameters)
            if parameters.get("architecture"):
                chosen = slice(MOST_STEPS)
                parameters["input_shape"] = (train[:, chosen].shape[1], 1)
            for holes in (0.0, 0.1):
                rows = (with_holes(part[:, chosen], holes) for part in (train, test))
                label = f"{name}, {kind}{', holes' if holes else ''}"
                worst.append(compare(label, parameters, *rows))
    for name, train, test in series(args.series, args.rows) if args.series else ():
        shape = (WINDOW, train.shape[1] // WINDOW)
        for kind in ("dense", "conv", "lstm", "gru"):
            parameters = {"architecture": kind, "input_shape": shape}
            worst.append(compare(f"{name[:40]}, {kind}", parameters, train, test))
    print(f"{len(worst)} detectors, the largest difference is {max(worst):.4f} of what is allowed")


if __name__ == "__main__":
    main()
