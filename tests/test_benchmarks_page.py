"""docs/benchmarks.md: it shows what the files in benchmarks/results hold."""

import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "benchmarks" / "page.py"


@pytest.mark.docs
def test_the_page_and_its_pictures_are_what_the_results_give():
    check = subprocess.run([sys.executable, PAGE, "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
