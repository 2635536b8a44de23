#!/usr/bin/env bash
# Test the recipes of docs/serving.md with all clients installed. Arguments go to pytest. Spark needs
# Java.
#   VENV    the environment (default: .venv-clients beside pyproject.toml)
#   PYTHON  the interpreter that makes it (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv-clients}

# The copy of what is needed is written last: it says that this very set is installed whole.
if ! cat "$root/pyproject.toml" "$root/tests/clients.txt" | cmp -s - "$venv/installed"; then
    echo "setting up $venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[test]" \
        --requirement "$root/tests/clients.txt"
    cat "$root/pyproject.toml" "$root/tests/clients.txt" >"$venv/installed"
fi

cd "$root"
"$venv/bin/python" -m pytest tests/test_serving_guide.py "$@"
