#!/usr/bin/env bash
# Set up a virtual environment and run all checks in it. Arguments go to pytest.
#   VENV    the environment (default: .venv beside pyproject.toml)
#   PYTHON  the interpreter that makes it (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}

# The copy of pyproject.toml is written last: it says that this very set is installed whole.
if ! cmp -s "$root/pyproject.toml" "$venv/test.toml"; then
    echo "setting up $venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[test]"
    cp "$root/pyproject.toml" "$venv/test.toml"
fi

python=$(cd "$venv" && pwd)/bin/python
cd "$root"
"$python" -m ruff check
"$python" -m ruff format --check
"$python" -m mypy
# One file of tests stays in one process, where its fits and traces are shared.
"$python" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
