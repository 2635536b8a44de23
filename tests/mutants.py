"""Show that the tests notice: apply one-line changes to a copy, and run the tests of each.

    python tests/mutants.py             (all changes; takes some minutes)
    python tests/mutants.py clipping    (those whose name has the word)

A change that no test notices is printed as SURVIVED, and the exit status is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Mutant(NamedTuple):
    name: str
    file: str
    line: str
    changed: str
    tests: str


MUTANTS = [
    Mutant(
        "contributions without the rounding error of the score",
        "vae.py",
        "at_largest + rounding[..., None]",
        "at_largest",
        "test_explanations.py",
    ),
    Mutant(
        "missing indicators counted apart from their column",
        "encoding.py",
        "return np.concatenate([cells, np.array(self.indicators, int)])",
        "return np.concatenate([cells, np.zeros(len(self.indicators), int)])",
        "test_explanations.py",
    ),
    Mutant(
        "no warm-up of the KL divergence",
        "training/loop.py",
        "beta *= np.minimum(1.0, progress / WARM_UP)",
        "pass",
        "test_training.py",
    ),
    Mutant(
        "no clipping of gradients",
        "training/step.py",
        "gradient *= tf.minimum(1.0, MAX_GRADIENT_NORM / norm)",
        "gradient *= tf.minimum(1.0, 1e30 / norm)",
        "test_training.py",
    ),
    Mutant(
        "a fixed level of input noise",
        "training/step.py",
        "level = tf.random.stateless_uniform([batch_size, 1], key, maxval=2.0)",
        "level = tf.ones([batch_size, 1])",
        "test_training.py",
    ),
    Mutant(
        "the same dropout mask in every step",
        "training/step.py",
        "tf.stack([seed + 1, n_slices * step + j])",
        "tf.stack([seed + 1, j])",
        "test_state.py",
    ),
    Mutant(
        "dropout masks that do not depend on the seed",
        "training/step.py",
        "tf.stack([seed + 1, n_slices * step + j])",
        "tf.stack([1, n_slices * step + j])",
        "test_state.py",
    ),
    Mutant(
        "the masks of the encoder in the decoder",
        "networks/keras_networks.py",
        "_call(self.decoder, z, weights, dropout_seed, self._n_encoder_seeds)",
        "_call(self.decoder, z, weights, dropout_seed)",
        "test_networks.py",
    ),
    Mutant(
        "buffers that are not shuffled",
        "training/rows.py",
        "order = self._rng.permutation(n_rows).astype(np.int32)",
        "order = np.arange(n_rows, dtype=np.int32)",
        "test_fit_batches.py",
    ),
    Mutant(
        "a sample of the first rows",
        "rows.py",
        "keys = np.concatenate([keys, rng.uniform(size=len(rows))])",
        "keys = np.concatenate([keys, n_rows + np.arange(float(len(rows)))])",
        "test_fit_batches.py",
    ),
    Mutant(
        "weights of unseen rows ignored in the threshold",
        "detector.py",
        "return scores, unseen.sample_weight",
        "return scores, np.ones(len(scores))",
        "test_threshold.py",
    ),
    Mutant(
        "the threshold's network trained for the last call alone",
        "detector.py",
        "n_epochs_to_run=n_epochs_before + n_iter",
        "n_epochs_to_run=n_iter",
        "test_state.py",
    ),
    Mutant(
        "the same draws in every partial_fit",
        "detector.py",
        "np.random.RandomState([int(self.random_state), self._n_epochs])",
        "np.random.RandomState(int(self.random_state))",
        "test_state.py",
    ),
    Mutant(
        "the KL divergence of the score unweighted",
        "vae.py",
        "return -(reconstruction + self.beta * kl)",
        "return -(reconstruction + kl)",
        "test_scores.py",
    ),
]


def survives(mutant: Mutant, folder: Path) -> bool:
    """Tell whether the tests pass in a copy of the project with one line changed."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", "out", ".*cache", "__pycache__")
    )
    source = copy / "vae_anomaly" / mutant.file
    text = source.read_text()
    if text.count(mutant.line) != 1:
        raise SystemExit(f"{mutant.file} does not have the line once: {mutant.line}")
    source.write_text(text.replace(mutant.line, mutant.changed))
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"tests/{mutant.tests}"]
    return subprocess.run(command, cwd=copy, capture_output=True, check=False).returncode == 0


def main() -> None:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    n_survived = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in MUTANTS:
            if word in mutant.name:
                survived = survives(mutant, Path(folder))
                n_survived += survived
                print("SURVIVED" if survived else "noticed ", mutant.name, flush=True)
    sys.exit(n_survived > 0)


if __name__ == "__main__":
    main()
