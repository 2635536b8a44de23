#!/usr/bin/env bash
# Run the tests with the oldest versions that pyproject.toml allows. Arguments go to pytest.
#   VENV    the environment (default: .venv-oldest beside pyproject.toml)
#   PYTHON  the interpreter that makes it, Python 3.11 (default: python3)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$root/.venv-oldest} CONSTRAINTS=$root/tests/oldest.txt bash "$root/tests/run.sh" "$@"
