#!/usr/bin/env bash
# Set up a virtual environment, train a detector on one half of data/flights.csv, then score the other
# half, explain the most abnormal flights and write a report.
#   VENV    the environment (default: .venv next to pyproject.toml)
#   PYTHON  the interpreter to create it with (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}

# The copy of pyproject.toml is written last, so it tells that exactly these packages are installed.
if ! cmp -s "$root/pyproject.toml" "$venv/demo.toml"; then
    echo "setting up $venv (a few minutes: TensorFlow is large)"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[report]"
    cp "$root/pyproject.toml" "$venv/demo.toml"
fi

PATH=$(cd "$venv" && pwd)/bin:$PATH
cd "$root"
mkdir -p out

say_and_run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

say_and_run vae-anomaly fit data/flights.csv --model out/flights.skops --overwrite \
    --label unusual --outlier 1 --held-out out/new.csv
say_and_run vae-anomaly score out/new.csv --model out/flights.skops --overwrite \
    --output out/scores.csv --keep carrier --keep flight --keep unusual
say_and_run vae-anomaly explain out/new.csv --model out/flights.skops --top 3 --keep unusual
say_and_run vae-anomaly report out/new.csv --model out/flights.skops --overwrite \
    --output out/report.html --label unusual --outlier 1 --keep carrier --keep flight
