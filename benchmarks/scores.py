"""Alternative scores of the same trained network.

The default score (the reconstruction averaged over 4 draws of z, plus the KL divergence) is
compared with others for the same weights and the same rows: either term alone, z at z_mean, other
numbers of draws, other weights of the KL divergence, the importance-weighted bound (Burda et al.
2016) and a mixture of normals fitted to the aggregated posterior (Tomczak & Welling 2018) in place
of the standard normal prior. The data sets and settings are those of quality.py;
`support_fraction` is 0.5 in the unsupervised setting. The differences in AUROC and AUPRC from the
default are printed, as means over data sets and seeds, with their standard errors over the data
sets.
"""

import itertools
import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import _adbench
import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture

from vae_anomaly import VAEAnomalyDetector
from vae_anomaly.losses import kl_divergence, make_likelihood
from vae_anomaly.vae import antithetic_noise

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DEFAULT = "n_draws=4 (the default)"
PARAMETERS = {"one-class": {}, "unsupervised": {"support_fraction": 0.5}}


class Posterior(NamedTuple):
    """The normal distribution q(z | x) of each row; both arrays have the shape (n, d)."""

    mean: np.ndarray
    log_var: np.ndarray

    def draws(self, noise: np.ndarray) -> np.ndarray:
        """Return draws of z, (n_draws, n, d)."""
        return self.mean + np.exp(0.5 * self.log_var) * noise[:, None]

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Return log q(z | x) up to a constant, (n_draws, n)."""
        distance = (z - self.mean) ** 2 / np.exp(self.log_var)
        return -0.5 * np.sum(distance + self.log_var, axis=-1)


def main() -> None:
    parser = _adbench.parser(__doc__ or "")
    parser.add_argument("--setting", choices=_adbench.SETTINGS, default="one-class")
    args, paths = _adbench.parse(parser)
    rows = []
    for path, seed in itertools.product(paths, range(args.seeds)):
        train, test, labels = _adbench.draw(path, seed, args.setting, args.max_rows)
        detector = VAEAnomalyDetector(
            contamination=0.1, random_state=seed, **PARAMETERS[args.setting]
        ).fit(train)
        for name, scores in variants(detector, train, test, np.random.RandomState(seed)):
            auroc = roc_auc_score(labels, scores)
            rows.append((path.stem, name, auroc, average_precision_score(labels, scores)))
        print(path.stem, seed, flush=True)
    table = pd.DataFrame(rows, columns=["dataset", "score", "AUROC", "AUPRC"])
    by_set = table.groupby(["score", "dataset"], sort=False).mean()
    print(f"\n{DEFAULT}: {by_set.loc[DEFAULT].mean().round(4).to_dict()}; less that:\n")
    ahead = by_set.sub(by_set.loc[DEFAULT], level="dataset").drop(DEFAULT, level="score")
    by_score = ahead.groupby("score", sort=False)
    errors = by_score.sem().add_prefix("error of ")
    print(pd.concat([by_score.mean(), errors], axis=1).round(4).to_string())


def variants(
    detector: VAEAnomalyDetector, train: np.ndarray, test: np.ndarray, rng: np.random.RandomState
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the names of scores and the anomaly scores of `test`, (n,); higher is more abnormal."""
    x = standardize(detector, test)
    likelihood = make_likelihood("mse", detector.one_hot_groups_, x.shape[1])
    posterior = encode(detector, test)
    kl = kl_divergence(*posterior, np).sum(axis=1)

    def reconstruction(z: np.ndarray) -> np.ndarray:
        """Return -log p(x | z) up to a constant, (n_draws, n)."""
        outputs = (detector.decoder_.predict(draw, 4096, verbose=0) for draw in z)
        scale = detector.observation_log_var_
        losses = (likelihood.negative_log_likelihood(x, mean, scale, np) for mean in outputs)
        return np.stack([loss.sum(axis=1, dtype=np.float64) for loss in losses])

    tables = {n: antithetic_noise(n, detector.latent_dim, rng) for n in (1, 2, 3, 4, 16)}
    draws = {n: posterior.draws(noise) for n, noise in tables.items()}
    draws[0] = posterior.mean[None]
    errors = {n: reconstruction(z) for n, z in draws.items()}
    expected = errors[4].mean(axis=0)
    yield DEFAULT, expected + kl
    yield "KL alone", kl
    yield "reconstruction alone", expected
    for n in (0, 1, 2, 3, 16):
        yield f"n_draws={n}", errors[n].mean(axis=0) + kl
    for n in (4, 16):
        z = draws[n]
        log_weight = -0.5 * np.sum(z**2, axis=-1) - posterior.log_density(z) - errors[n]
        yield f"importance-weighted bound, n_draws={n}", np.log(n) - logsumexp(log_weight, axis=0)
    for beta in (0.5, 2.0):
        yield f"KL weighted by {beta}", expected + beta * kl

    seen = encode(detector, train)
    codes = seen.mean + np.exp(0.5 * seen.log_var) * rng.standard_normal(seen.mean.shape)
    for n_components in (8, 32):
        prior = GaussianMixture(
            min(n_components, -(-len(train) // 4)),
            covariance_type="diag",
            reg_covar=1e-2,
            random_state=0,
        ).fit(codes)
        crossed = [
            posterior.log_density(z) - 0.5 * z.shape[1] * np.log(2 * np.pi) - prior.score_samples(z)
            for z in draws[4]
        ]
        yield f"prior: mixture of {n_components} normals", expected + np.mean(crossed, axis=0)


def standardize(detector: VAEAnomalyDetector, rows: np.ndarray) -> np.ndarray:
    return ((rows - detector.center_) / detector.scale_).clip(-1e6, 1e6).astype(np.float32)


def encode(detector: VAEAnomalyDetector, rows: np.ndarray) -> Posterior:
    x = standardize(detector, rows)
    return Posterior(*detector.encoder_.predict(x, 4096, verbose=0))


if __name__ == "__main__":
    main()
