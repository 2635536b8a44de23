"""Measure reports: their size, the time and memory to make one, and how fast a browser shows it.

    python benchmarks/report.py [--rows 100000] [--rounds 3]

The table is data/flights.csv, repeated, with the label. The time is compared with that of scoring
the same file by `score_table` in the same process, round after round; the peak memory is that of a
process of its own, for the table and for ten times as many rows. It needs Linux, playwright
and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from vae_anomaly import VAEAnomalyDetector, save
from vae_anomaly.batch import Label, Source, find_schema, fit_table, score_table
from vae_anomaly.report import write_report

FLIGHTS = Path(__file__).parents[1] / "data" / "flights.csv"
LABEL = Label("unusual", "1")

IN_A_PROCESS = """
import sys
from vae_anomaly import load
from vae_anomaly.batch import Label, Source
from vae_anomaly.report import write_report
model, source = load(sys.argv[1]), Source.open([sys.argv[2]])
write_report(model, source, sys.argv[3], label=Label("unusual", "1"))
# ru_maxrss would be that of the process that has started this one, if that is larger.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024)
"""

LOADED = """() => {
    const entry = performance.getEntriesByType("navigation")[0];
    return [entry.domContentLoadedEventEnd - entry.startTime, entry.loadEventEnd - entry.startTime];
}"""

KEY_STROKE = """(text) => {
    const input = document.getElementById("search-listed");
    input.value = text;
    const start = performance.now();
    input.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();  // lays the page out
    return performance.now() - start;
}"""


def repeated(n_rows: int, path: Path) -> Source:
    """Write so many rows of the table to a file."""
    rows = pd.read_csv(FLIGHTS, dtype=str)
    pd.concat([rows] * (n_rows // len(rows) + 1))[:n_rows].to_csv(path, index=False)
    return Source.open([path])


def in_browser(path: Path) -> dict[str, float]:
    """Return milliseconds until a page is there and until it has been searched, medians of five."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    rounds = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_page()
            page.goto(path.as_uri())
            content, whole = page.evaluate(LOADED)
            strokes = [page.evaluate(KEY_STROKE, text) for text in ("u", "ua", "ua 1", "")]
            rounds.append((content, whole, max(strokes)))
            page.close()
        browser.close()
    names = ("DOMContentLoaded", "load", "slowest key stroke")
    return dict(zip(names, map(statistics.median, zip(*rounds, strict=True)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flights = Source.open([FLIGHTS])
        columns = find_schema(flights, drop=["unusual"]).columns
        detector = VAEAnomalyDetector(max_iter=5, random_state=0)  # of default size
        model = fit_table(flights, columns, detector, n_rows=10_000)
        save(model, folder / "model.skops")
        table = repeated(given.rows, folder / "table.csv")
        page = folder / "report.html"
        ratios = []
        for number in range(given.rounds + 1):
            start = time.perf_counter()
            score_table(model, table, folder / "scores.csv", overwrite=True)
            middle = time.perf_counter()
            write_report(model, table, page, label=LABEL, overwrite=True)
            end = time.perf_counter()
            if number:  # the first round compiles and imports
                ratios.append((end - middle) / (middle - start))
        print(f"{given.rows:,} rows, a report / scoring to a file: {statistics.median(ratios):.2f}")
        for top in (100, 1000):
            write_report(
                model, table, page, label=LABEL, top=top, attribution="terms", overwrite=True
            )
            print(f"top {top}: {page.stat().st_size / 1e6:.2f} MB")
            for what, milliseconds in in_browser(page).items():
                print(f"  {what} {milliseconds:.0f} ms")
        peaks = []
        for n_rows in (given.rows, 10 * given.rows):
            repeated(n_rows, folder / "memory.csv")
            arguments = [folder / "model.skops", folder / "memory.csv", folder / f"{n_rows}.html"]
            command = [sys.executable, "-c", IN_A_PROCESS, *map(str, arguments)]
            peaks.append(float(subprocess.run(command, check=True, stdout=-1, text=True).stdout))
        print(f"peak memory {peaks[0]:.0f} MB, with ten times the rows {peaks[1]:.0f} MB")


if __name__ == "__main__":
    main()
