#!/usr/bin/env bash
# Set up a virtual environment, train a detector on data/breast_cancer.csv and score the table.
#   VENV    the environment (default: .venv next to pyproject.toml)
#   PYTHON  the interpreter to create it with (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}

# The copy of pyproject.toml is written last, so it tells that exactly these packages are installed.
if ! cmp -s "$root/pyproject.toml" "$venv/demo.toml"; then
    echo "setting up $venv (a few minutes: TensorFlow is large)"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root"
    cp "$root/pyproject.toml" "$venv/demo.toml"
fi

python=$(cd "$venv" && pwd)/bin/python
cd "$root"
mkdir -p out

# TensorFlow logs remarks on processors and drivers before it reads any setting of its log level.
run() {
    "$python" "$@" 2> >(sed '/^WARNING: All log messages/d; /^[EIW]0000 /d; /^To enable the/d' >&2)
}

echo "1. Train on half of the benign tumours of data/breast_cancer.csv and measure on other rows."
run pipelines/train.py data/breast_cancer.csv --model out/breast_cancer.skops \
    --label diagnosis --outlier malignant --train-on inliers --set support_fraction=1.0

echo
echo "2. Score the whole table. The model does not see the diagnosis: it is kept to compare."
run pipelines/batch_score.py data/breast_cancer.csv out/breast_cancer_scores.csv \
    --model out/breast_cancer.skops --keep diagnosis --top 10
