"""Comparison of the networks on real images: detection, denoising, generation and cost.

All sections use the 1,797 digits of 8 x 8 pixels that scikit-learn ships. `--only` selects some:

- detection: the network is trained on half of the rows of nine digits, and tested on the other half
  and on the tenth digit. The AUROC is averaged over the ten choices of the tenth digit. For
  comparison, the mean distance to the five nearest training rows is used as a score.
- overfitting: the ratio of the reconstruction error of new rows to that of the training rows,
  without noise on the input, which on its own keeps networks from memorising rows. The effect of
  the KL divergence depends on `observation_noise`.
- denoising: the mean squared error of `reconstruct` relative to the clean image, for pixels in
  [0, 1] and Gaussian noise of standard deviation 0.4, with half of the rows for training. For
  comparison, the best linear filter (Wiener) is fitted to the same training images and noise.
- generation: 1,797 samples, the digits that a classifier by five nearest neighbours, trained on
  real rows, finds in them, and the AUROC with which a random forest tells them from real rows in
  cross-validation (0.5: not at all). Pixels are rounded to whole numbers from 0 to 16, like those
  of real rows. The codes of a plain autoencoder are drawn from N(0, I), as in `sample`, or from a
  normal distribution fitted to the codes of the training rows.
- compression: the mean squared error of new rows, for pixels in [0, 1], by `latent_dim`, compared
  with PCA with as many components.
- time: the wall-clock and processor time of `fit` in seconds, with the default threshold, on all
  1,797 digits and on 2,000 windows of 32 x 3.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from vae_anomaly import VAEAnomalyDetector

IMAGE = (8, 8, 1)
NETWORKS: dict[str, dict[str, Any]] = {
    "dense": {"input_shape": IMAGE},
    "dense, dropout=0.1": {"input_shape": IMAGE, "dropout": 0.1},
    "dense, plain": {"input_shape": IMAGE, "variational": False},
    "conv": {"architecture": "conv", "input_shape": IMAGE},
    "conv, plain": {"architecture": "conv", "input_shape": IMAGE, "variational": False},
    "lstm": {"architecture": "lstm", "input_shape": (8, 8)},
    "gru": {"architecture": "gru", "input_shape": (8, 8)},
}
NOISE = 0.4


def make(name: str, seed: int, **parameters: Any) -> VAEAnomalyDetector:
    """Return a detector whose threshold, which is not needed here, costs no time."""
    parameters = {"contamination": 0.1, "random_state": seed} | NETWORKS[name] | parameters
    return VAEAnomalyDetector(**parameters)


def detection(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    def neighbours(seen: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return NearestNeighbors(n_neighbors=5).fit(seen).kneighbors(rows)[0].mean(axis=1)

    def aurocs(anomaly_scores: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> list[float]:
        values = []
        for digit in range(10):
            inliers, outliers = X[y != digit], X[y == digit]
            order = np.random.RandomState(digit).permutation(len(inliers))
            seen, unseen = np.array_split(inliers[order], 2)
            is_outlier = np.repeat([0, 1], [len(unseen), len(outliers)])
            rows = np.concatenate([unseen, outliers])
            values.append(roc_auc_score(is_outlier, anomaly_scores(seen, rows, digit)))
        return values

    table = {"k nearest neighbours": aurocs(lambda seen, rows, _: neighbours(seen, rows))}
    for name in names:
        table[name] = aurocs(
            lambda seen, rows, seed, name=name: -make(name, seed).fit(seen).score_samples(rows)
        )
    frame = pd.DataFrame(table, index=[f"digit {digit}" for digit in range(10)]).T
    return frame.assign(mean=frame.mean(axis=1)).round(3)


def overfitting(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    seen, unseen = train_test_split(X / 16, random_state=0, test_size=0.5, stratify=y)
    table = {}
    for name in names:
        noises = (0.1, 0.5) if NETWORKS[name].get("variational", True) else (0.1,)
        for noise in noises:
            detector = make(name, 0, input_noise=0.0, observation_noise=noise).fit(seen)
            errors = [np.mean((detector.reconstruct(rows) - rows) ** 2) for rows in (seen, unseen)]
            label = name if len(noises) == 1 else f"{name}, observation_noise={noise}"
            table[label] = {"training rows": errors[0], "new rows": errors[1]}
    frame = pd.DataFrame(table).T
    return frame.assign(ratio=frame["new rows"] / frame["training rows"]).round(5)


def denoising(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    seen, clean = train_test_split(X / 16, random_state=0, test_size=0.5, stratify=y)
    noisy = clean + NOISE * np.random.RandomState(1).standard_normal(clean.shape)
    covariance = np.cov(seen.T)
    gain = np.linalg.solve(covariance + NOISE**2 * np.eye(len(covariance)), covariance)
    rebuilt = {
        "noisy": noisy,
        "Wiener filter": seen.mean(axis=0) + (noisy - seen.mean(axis=0)) @ gain,
    }
    for name in names:
        for input_noise in (None, NOISE / seen.std()):
            chosen = {} if input_noise is None else {"input_noise": input_noise}
            label = name if input_noise is None else f"{name}, input_noise={input_noise:.2f}"
            rebuilt[label] = make(name, 0, **chosen).fit(seen).reconstruct(noisy)
    errors = {name: np.mean((image - clean) ** 2) for name, image in rebuilt.items()}
    frame = pd.DataFrame({"mean squared error": errors})
    return frame.assign(over_wiener=frame["mean squared error"] / errors["Wiener filter"]).round(4)


def generation(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    digit_of = KNeighborsClassifier(5).fit(X, y)

    def judged(samples: np.ndarray) -> dict[str, Any]:
        samples = np.clip(np.rint(samples), 0, 16)
        shares = np.bincount(digit_of.predict(samples), minlength=10) / len(samples)
        both, is_real = np.concatenate([X, samples]), np.repeat([1, 0], [len(X), len(samples)])
        forest = RandomForestClassifier(random_state=0)
        real = cross_val_predict(forest, both, is_real, cv=5, method="predict_proba")[:, 1]
        return {
            "digits seen": int((shares > 0).sum()),
            "rarest": f"{shares.min():.1%}",
            "AUROC of telling apart": round(roc_auc_score(is_real, real), 3),
        }

    table = {}
    for name in names:
        detector = make(name, 0).fit(X)
        table[name] = judged(detector.sample(len(X), random_state=0))
        if not detector.variational:
            codes = detector.transform(X)
            rng = np.random.RandomState(0)
            drawn = rng.multivariate_normal(codes.mean(axis=0), np.cov(codes.T), len(X))
            table[f"{name}, codes from a fitted normal"] = judged(detector.inverse_transform(drawn))
        else:
            smooth = make(name, 0, observation_noise=0.5).fit(X)
            table[f"{name}, observation_noise=0.5"] = judged(smooth.sample(len(X), random_state=0))
    return pd.DataFrame(table).T


def compression(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    seen, unseen = train_test_split(X / 16, random_state=0, test_size=0.5, stratify=y)
    table: dict[str, dict[int, float]] = {"PCA": {}} | {name: {} for name in names}
    for latent_dim in (2, 4, 8, 16, 32):
        pca = PCA(latent_dim).fit(seen)
        rebuilt = {"PCA": pca.inverse_transform(pca.transform(unseen))}
        for name in names:
            rebuilt[name] = make(name, 0, latent_dim=latent_dim).fit(seen).reconstruct(unseen)
        for name, rows in rebuilt.items():
            table[name][latent_dim] = np.mean((rows - unseen) ** 2)
    return pd.DataFrame(table).T.rename_axis(columns="latent_dim").round(4)


def training_time(X: np.ndarray, y: np.ndarray, names: list[str]) -> pd.DataFrame:
    phase = np.random.RandomState(0).uniform(0, 6, size=(2000, 1, 3))
    windows = np.sin(0.3 * np.arange(32)[:, None] + phase)
    table = {}
    for name in names:
        parameters = NETWORKS[name] | {"random_state": 0}
        data = {"digits": (X, {})}
        if parameters.get("architecture", "dense") != "dense":
            data["2,000 windows of 32 x 3"] = (windows, {"input_shape": (32, 3)})
        seconds = {}
        for what, (rows, shape) in data.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            VAEAnomalyDetector(**parameters | shape).fit(rows)
            seconds[what, "clock"] = time.perf_counter() - start
            seconds[what, "processor"] = time.process_time() - start_cpu
        table[name] = seconds
    return pd.DataFrame(table).T.round(1)


SECTIONS = {
    "detection": detection,
    "overfitting": overfitting,
    "denoising": denoising,
    "generation": generation,
    "compression": compression,
    "time": training_time,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, metavar="NAME", default=list(NETWORKS)
    )
    args = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    for section in args.only:
        print(f"\n{section}\n{SECTIONS[section](X, y, args.networks).to_string()}", flush=True)


if __name__ == "__main__":
    main()
