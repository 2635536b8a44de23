#!/usr/bin/env bash
# Test the snippets of the README and the guides and the pages that scripts write, then build the
# site of docs/, with warnings as errors and without the network, and test it. Chromium is installed
# from the distribution's packages if there is none. Arguments go to sphinx-build.
#   VENV    the environment (default: .venv-docs beside pyproject.toml)
#   PYTHON  the interpreter that makes it (default: python3)
#   SITE    where the site is written (default: build/site)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv-docs}

source "$root/tests/install.sh"
if ! command -v chromium chromium-browser google-chrome >/dev/null; then
    install_package chromium "the tests of pages need a browser: install Chromium"
fi

# The copy of what is needed is written last: it says that this very set is installed whole.
if ! cat "$root/pyproject.toml" "$root/tests/docs.txt" | cmp -s - "$venv/installed-docs"; then
    echo "setting up $venv"
    [[ -x $venv/bin/python ]] || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --editable "$root[test,docs]" \
        --requirement "$root/tests/docs.txt"
    cp "$root/pyproject.toml" "$venv/demo.toml" # what pipelines/demo.sh needs is among them
    cat "$root/pyproject.toml" "$root/tests/docs.txt" >"$venv/installed-docs"
fi

python=$(cd "$venv" && pwd)/bin/python
cd "$root"
export SITE=${SITE:-$root/build/site}
# A page's snippets are one test, and the longest by far.
"$python" -m pytest -m "docs or not docs" --numprocesses=auto --maxprocesses=4 --dist=worksteal \
    tests/test_snippets.py tests/test_report_page.py tests/test_benchmarks_page.py
"$python" -m sphinx --jobs auto --quiet --fail-on-warning --keep-going "$@" docs "$SITE"
"$python" -m pytest tests/test_site.py
