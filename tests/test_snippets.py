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
TIME = rf"{NUMBER} (?:ms|s|seconds|minutes)\b"

RELATIVE = 0.25
ABSOLUTE = 2.0
"""How far a number may lie from the one shown: by a quarter, or by two units of its last digit.

Another processor rounds the last digits of a product differently, and a training makes more of
it. With other kernels (OPENBLAS_CORETYPE=Nehalem TF_ENABLE_ONEDNN_OPTS=0) most figures of the pages
move by a few per cent, counts by one or two, and the score of a most abnormal row by a fifth.
"""


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

    White space does not count, "..." stands for any text, times for any time, and numbers for
    numbers close to them.
    """
    shown, printed = shown.strip(), printed.strip()
    pattern, numbers, end = "", [], 0
    for token in re.finditer(rf"(?P<time>{TIME})|(?P<number>{NUMBER})|\.\.\.|\s+", shown):
        pattern += re.escape(shown[end : token.start()])
        end = token.end()
        if token["time"]:
            pattern += TIME
        elif token["number"]:
            pattern += f"({NUMBER})"
            numbers.append(token["number"])
        else:
            pattern += ".*?" if token[0] == "..." else r"\s+"
    pattern += re.escape(shown[end:])
    found = re.fullmatch(pattern, printed, re.S)
    if found and all(map(is_close, numbers, found.groups())):
        return None
    lines = shown.splitlines(), printed.splitlines()
    return "\n".join(difflib.unified_diff(*lines, "shown", "printed", lineterm=""))


def is_close(shown: str, printed: str) -> bool:
    one, other = (float(number.replace(",", "")) for number in (shown, printed))
    decimals = len(shown.partition(".")[2])
    allowed = max(RELATIVE * abs(one), ABSOLUTE * 10.0**-decimals)
    return abs(one - other) <= allowed


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
        ("AUROC 0.995\n", "AUROC 0.991\n", True),
        ("fit in 2.1 s\n", "fit in 19.4 s\n", True),
        ("row 1\n...\nrow 9\n", "row 1\nrow 5\nrow 9\n", True),
        ("N8EGMQ\n", "N9EGMQ\n", False),
    ],
)
def test_words_must_agree_and_numbers_nearly(shown, printed, agree):
    assert (difference(shown, printed) is None) == agree
