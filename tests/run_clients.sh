#!/usr/bin/env bash
# Test the recipes of docs/serving.md with all clients installed, Spark, and the adapter for PyOD.
# Spark needs a Java runtime, which is installed from the distribution's packages if there is none.
# Arguments go to pytest.
#   VENV    the environment (default: .venv-clients beside pyproject.toml)
#   PYTHON  the interpreter that makes it (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv-clients}

source "$root/tests/install.sh"
if ! command -v java >/dev/null && [[ ! -x ${JAVA_HOME:-}/bin/java ]]; then
    install_package default-jre-headless "Spark needs Java: install a Java runtime, version 17 or later"
fi

# The copy of what is needed is written last: it says that this very set is installed whole.
if ! cat "$root/pyproject.toml" "$root/tests/clients.txt" | cmp -s - "$venv/installed"; then
    echo "setting up $venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[test]" \
        --requirement "$root/tests/clients.txt"
    cat "$root/pyproject.toml" "$root/tests/clients.txt" >"$venv/installed"
fi

cd "$root"
# The rest of these files needs no client, and is tested by tests/run.sh.
"$venv/bin/python" -m pytest tests/test_serving_guide.py tests/test_clusters.py \
    tests/test_docstrings.py -k "recipe or spark or pyod" "$@"
