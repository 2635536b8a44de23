#!/usr/bin/env bash
# Set up a virtual environment and run all checks in it. Arguments go to pytest.
#   VENV         the environment (default: .venv beside pyproject.toml)
#   PYTHON       the interpreter that makes it (default: python3)
#   CONSTRAINTS  versions to install, a constraints file of pip; with it, only the tests run
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}

wanted() {
    cat "$root/pyproject.toml" ${CONSTRAINTS:+"$CONSTRAINTS"}
}

# The copy of what is wanted is written last: it says that this very set is installed whole.
if ! wanted | cmp -s - "$venv/installed"; then
    echo "setting up $venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[test]" \
        ${CONSTRAINTS:+--constraint "$CONSTRAINTS"}
    wanted >"$venv/installed"
fi

python=$(cd "$venv" && pwd)/bin/python
cd "$root"
if [[ -z ${CONSTRAINTS:-} ]]; then
    "$python" -m ruff check
    "$python" -m ruff format --check
    "$python" -m mypy
fi
# One file of tests stays in one process, where its fits and traces are shared.
"$python" -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile "$@"
