"""Files of results: one row per measurement as CSV, and how they were made as JSON beside it.

`page.py` fills docs/benchmarks.md from those in results/.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("numpy", "pandas", "scikit-learn", "keras", "tensorflow")


class Results:
    """The file that --out names, to which measurements are added as they come.

    Parameters
    ----------
    path : Path or None
        The CSV file; with None, nothing is written.
    folder : Path, optional
        The folder of data that the script was given, whose place concerns nobody.
    packages : sequence of str
        What was measured besides, to tell the versions of.
    """

    def __init__(
        self, path: Path | None, *, folder: Path | None = None, packages: tuple[str, ...] = ()
    ) -> None:
        self._path = path
        if path is not None:
            how = path.with_suffix(".json")
            runs = json.loads(how.read_text()) if how.exists() else []
            runs.append(_describe(folder, (*PACKAGES, *packages)))
            how.write_text(json.dumps(runs, indent=2) + "\n")

    def add(self, row: Mapping[str, Any]) -> None:
        if self._path is not None:
            has_header = self._path.exists()
            pd.DataFrame([row]).to_csv(
                self._path, mode="a", header=not has_header, index=False, float_format="%.6g"
            )


def _describe(folder: Path | None, packages: tuple[str, ...]) -> dict[str, Any]:
    words = ["python", f"benchmarks/{Path(sys.argv[0]).name}"]
    words += ["DATA_FOLDER" if word == str(folder) else word for word in sys.argv[1:]]
    if "--out" in words:
        at = words.index("--out")
        words[at + 1] = Path(words[at + 1]).name
    return {
        "command": shlex.join(words),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "version": version("vae-anomaly"),
        "commit": _commit(),
        "processor": f"{os.cpu_count()} cores, {platform.machine()}",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def _commit() -> str:
    git = ["git", "-C", str(FOLDER.parent), "describe", "--always", "--dirty"]
    return subprocess.run(git, capture_output=True, text=True).stdout.strip()
