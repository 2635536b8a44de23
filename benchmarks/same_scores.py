"""Check whether two versions of the package give the same numbers, bit for bit.

    python benchmarks/same_scores.py write before.npz      (with one version)
    python benchmarks/same_scores.py compare before.npz    (with the other version)

Detectors with many different settings are fitted with one seed, and their scores, codes,
reconstructions and offsets are stored or compared. `compare` prints which of them differ, and by
how much.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from vae_anomaly import VAEAnomalyDetector

RNG = np.random.RandomState(0)
T = RNG.uniform(0, 6, size=700)
TABLE = np.column_stack([T, np.sin(T), np.cos(T), T**2, RNG.randn(700), 1e4 + RNG.randn(700)])
WEIGHT = RNG.uniform(0.5, 2.0, size=700)
UNIT = RNG.uniform(size=(300, 8))
CATEGORIES = np.column_stack([TABLE[:, :3], np.eye(4)[RNG.choice(4, 700)], T > 3])
IMAGES = np.sin(np.arange(64).reshape(8, 8, 1) / 5 + RNG.uniform(0, 6, size=(200, 1, 1, 1)))
SERIES = np.sin(np.arange(24).reshape(12, 2) / 3 + RNG.uniform(0, 6, size=(200, 1, 1)))


def make(**parameters: Any) -> VAEAnomalyDetector:
    small = {"hidden_layer_sizes": (32, 16), "latent_dim": 4, "max_iter": 20, "random_state": 7}
    return VAEAnomalyDetector(**(small | parameters))


def own_encoder(input_shape: tuple[int, ...], latent_dim: int) -> Any:
    import keras

    x = keras.Input(input_shape)
    hidden = keras.layers.Dense(16, "relu")(keras.layers.Flatten()(x))
    return keras.Model(x, [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)])


def partly(detector: VAEAnomalyDetector, n_calls: int) -> VAEAnomalyDetector:
    for part in np.array_split(TABLE, n_calls):
        detector.partial_fit(part)
    return detector


def warm() -> VAEAnomalyDetector:
    return make(warm_start=True, contamination=0.1).fit(TABLE).set_params(beta=2.0).fit(TABLE)


SETTINGS: dict[str, tuple[Callable[[], VAEAnomalyDetector], Any]] = {
    "default network": (
        lambda: VAEAnomalyDetector(max_iter=5, random_state=0).fit(TABLE),
        TABLE,
    ),
    "small network": (lambda: make().fit(TABLE), TABLE),
    "numeric contamination": (lambda: make(contamination=0.1).fit(TABLE), TABLE),
    "float32 rows": (lambda: make().fit(TABLE.astype(np.float32)), TABLE.astype(np.float32)),
    "sparse rows": (lambda: make().fit(sp.csr_array(CATEGORIES)), sp.csr_array(CATEGORIES)),
    "constant and tiny columns": (
        lambda: make().fit(TABLE * [1, 1e-30, 1e30, 1, 0, 1]),
        TABLE * [1, 1e-30, 1e30, 1, 0, 1],
    ),
    "sample weights": (lambda: make().fit(TABLE, sample_weight=WEIGHT), TABLE),
    "one-hot groups": (lambda: make().fit(CATEGORIES), CATEGORIES),
    "learned variances": (lambda: make(reconstruction_loss="gaussian").fit(TABLE), TABLE),
    "Bernoulli": (lambda: make(reconstruction_loss="binary_crossentropy").fit(UNIT), UNIT),
    "no draws": (lambda: make(n_draws=0).fit(TABLE), TABLE),
    "plain autoencoder": (lambda: make(variational=False).fit(TABLE), TABLE),
    "trimmed": (lambda: make(support_fraction=0.5).fit(TABLE), TABLE),
    "early stopping": (
        lambda: make(early_stopping=True, contamination=0.1, max_iter=60).fit(TABLE),
        TABLE,
    ),
    "early stopping, auto": (lambda: make(early_stopping=True, tol=5.0).fit(TABLE), TABLE),
    "dropout": (lambda: make(dropout=0.2).fit(TABLE), TABLE),
    "linear": (lambda: make(hidden_layer_sizes=()).fit(TABLE), TABLE),
    "tanh, large batches": (lambda: make(activation="tanh", batch_size=500).fit(TABLE), TABLE),
    "conv": (
        lambda: make(architecture="conv", input_shape=(8, 8, 1), hidden_layer_sizes=(4, 8)).fit(
            IMAGES
        ),
        IMAGES,
    ),
    "lstm": (
        lambda: make(architecture="lstm", input_shape=(12, 2), hidden_layer_sizes=(8,)).fit(SERIES),
        SERIES,
    ),
    "gru": (
        lambda: make(architecture="gru", input_shape=(12, 2), hidden_layer_sizes=(8,)).fit(SERIES),
        SERIES,
    ),
    "own encoder": (lambda: make(encoder=own_encoder).fit(TABLE), TABLE),
    "fit_batches": (lambda: make().fit_batches(np.array_split(TABLE, 7)), TABLE),
    "partial_fit, one call": (lambda: partly(make(), 1), TABLE),
    "partial_fit, five calls": (lambda: partly(make(), 5), TABLE),
    "warm start": (warm, TABLE),
}


def numbers() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values of each result of each setting."""
    for name, (fit, X) in SETTINGS.items():
        detector = fit()
        yield f"{name}: scores", detector.score_samples(X)
        yield f"{name}: codes", detector.transform(X)
        yield f"{name}: reconstructions", detector.reconstruct(X)
        yield f"{name}: offset", np.array(detector.offset_)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    found = dict(numbers())
    if args.action == "write":
        np.savez_compressed(args.file, **found)
        return
    before = np.load(args.file)
    n_equal = 0
    for name, values in found.items():
        if np.array_equal(before[name], values):
            n_equal += 1
            continue
        apart = np.abs(before[name] - values) / np.maximum(np.abs(before[name]), 1e-12)
        print(f"{name}: differ by {np.median(apart):.1e} at the median, {apart.max():.1e} at most")
    print(f"{n_equal} of {len(found)} results of {len(SETTINGS)} settings are equal to the bit")


if __name__ == "__main__":
    main()
