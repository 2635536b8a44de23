#!/usr/bin/env bash
# Test scoring where only requirements-scoring.txt is installed. Arguments go to pytest.
#   VENV    the environment (default: .venv-scoring beside pyproject.toml)
#   PYTHON  the interpreter that makes it (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv-scoring}
needed=$root/requirements-scoring.txt

# The copy of what is needed is written last: it says that this very set is installed whole.
if ! cmp -s "$needed" "$venv/installed"; then
    echo "setting up $venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$needed" pytest
    "$venv/bin/python" -m pip install --quiet --no-deps --editable "$root"
    cp "$needed" "$venv/installed"
fi

cd "$root"
"$venv/bin/python" -m pytest tests/test_scoring_only.py "$@"
