"""The snippets of README and of the guide: each page runs as written, and prints what it shows.

The blocks of a page run in order, in one namespace and one folder of their own:

- ```` ```python ```` and ```` ```bash ```` blocks are run. Each must print something, and if a
  ```` ```text ```` block comes next, with nothing between the two, it must print that.
- ```` ```console ```` blocks, and blocks below a comment ``<!-- not run: why -->``, are only shown.
- What follows ``<!-- skip: why -->`` on a page is not run either.

These tests take longer than others, so they have the marker "docs": `tests/run.sh` deselects them,
and `tests/run_docs.sh` runs them.
"""

import difflib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(
    r"^(?P<comment><!-- not run: [^\n]* -->\n+)?```(?P<language>python|bash)\n(?P<code>.*?)^```\n"
    r"(?:\n*```text\n(?P<shown>.*?)^```\n)?",
    re.M | re.S,
)
NUMBER = r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
DATE = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:\d\d)?)?"
PERCENT = rf"{NUMBER} ?%"
TIME = rf"{NUMBER} (?:ms|s|seconds|minutes)\b"
TOKEN = re.compile(
    rf"(?P<date>{DATE})|(?P<time>{TIME})|(?P<percent>{PERCENT})|(?P<number>{NUMBER})|\.\.\.|\s+"
)


class Block(NamedTuple):
    """A block of code, the line of the page where it starts, and what the page says it prints."""

    language: str
    code: str
    line: int
    shown: str | None


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8").split("<!-- skip: ")[0]
    for found in FENCE.finditer(text):
        if not found["comment"]:
            line = text.count("\n", 0, found.start("code"))
            yield Block(found["language"], found["code"], line, found["shown"])


def run_bash(code: str) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def difference(shown: str, printed: str) -> str | None:
    """Tell how what was printed differs from what is shown, or None if it does not.

    White space does not count, "..." stands for any text, times for any time, and dates and
    numbers for those close to them.
    """
    shown, printed = shown.strip(), printed.strip()
    pattern, values, end = "", [], 0
    for token in TOKEN.finditer(shown):
        pattern += re.escape(shown[end : token.start()])
        end = token.end()
        if token["time"]:
            pattern += TIME
        elif kind := token.lastgroup:
            pattern += f"({ {'date': DATE, 'percent': PERCENT, 'number': NUMBER}[kind] })"
            values.append((kind, token[0]))
        else:
            pattern += ".*?" if token[0] == "..." else r"\s+"
    pattern += re.escape(shown[end:])
    found = re.fullmatch(pattern, printed, re.S)
    if found and all(
        is_close(kind, value, other)
        for (kind, value), other in zip(values, found.groups(), strict=True)
    ):
        return None
    lines = shown.splitlines(), printed.splitlines()
    return "\n".join(difflib.unified_diff(*lines, "shown", "printed", lineterm=""))


def is_close(kind: str, shown: str, printed: str) -> bool:
    """Tell whether a value could be that of another processor.

    Another processor rounds the last digits of a product differently, and a training makes more of
    it. With other kernels (OPENBLAS_CORETYPE=Nehalem TF_ENABLE_ONEDNN_OPTS=0) metrics move in the
    third decimal, counts by one or two, most other figures by a few per cent, and the score of a
    most abnormal row by a fifth.
    """
    if kind == "date":
        away = datetime.fromisoformat(shown) - datetime.fromisoformat(printed)
        return abs(away) <= timedelta(days=1)
    one, other = (float(number.rstrip(" %").replace(",", "")) for number in (shown, printed))
    if kind == "percent":
        return abs(one - other) <= 5
    if "." in shown and abs(one) <= 1:
        return abs(one - other) <= 0.03
    decimals = len(shown.partition(".")[2])
    return abs(one - other) <= max(abs(one) / 4, 2 * 10.0**-decimals) and one * other >= 0


@pytest.mark.docs
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(blocks_of(page))], ids=lambda page: page.name
)
def test_the_page_runs_as_written_and_prints_what_it_shows(page, tmp_path, monkeypatch):
    for name in ("data", "examples", "pipelines", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VENV", sys.prefix)  # where pipelines/demo.sh finds its packages
    monkeypatch.setenv("MPLBACKEND", "agg")
    namespace = {"__name__": "__main__"}
    for language, code, line, shown in blocks_of(page):
        printed = io.StringIO()
        if language == "bash":
            printed.write(run_bash(code))
        else:
            with redirect_stdout(printed):
                exec(compile("\n" * line + code, page, "exec"), namespace)
        where = f"{page.name}, line {line}"
        assert printed.getvalue().strip(), f"{where}: the block prints nothing"
        if shown is not None:
            differs = difference(shown, printed.getvalue())
            assert differs is None, f"{where}:\n{differs}"


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        ("found 150 of 198\n", "found 148 of  198\n", True),
        ("found 150 of 198\n", "found 90 of 198\n", False),
        ("found 150 of 198\n", "missed 150 of 198\n", False),
        ("2 false alarms\n", "-2 false alarms\n", False),
        ("score 1,831\n", "score 1,640\n", True),
        ("AUROC 0.995\n", "AUROC 0.991\n", True),
        ("AUROC 0.995\n", "AUROC 0.95\n", False),
        ("all: 100%\n", "all: 75%\n", False),
        ("from 2024-04-07 11:00:00\n", "from 2024-04-07 18:00:00\n", True),
        ("from 2024-04-07 11:00:00\n", "from 2024-04-09 11:00:00\n", False),
        ("fit in 2.1 s\n", "fit in 19.4 s\n", True),
        ("row 1\n...\nrow 9\n", "row 1\nrow 5\nrow 9\n", True),
        ("N8EGMQ\n", "N9EGMQ\n", False),
    ],
)
def test_words_must_agree_and_numbers_nearly(shown, printed, agree):
    assert (difference(shown, printed) is None) == agree
