"""The page of a report in a browser: it works by mouse and keyboard, and asks for nothing."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from vae_anomaly import TableSchema, VAEAnomalyDetector
from vae_anomaly.batch import Label, Source
from vae_anomaly.report import write_report
from vae_anomaly.report.text import MISSING

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
if "SITE" in os.environ:  # tests/run_docs.sh, where nothing may be missing
    assert BROWSER, f"there is none of {', '.join(BROWSERS)}"
    import playwright.sync_api as playwright
else:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytestmark = pytest.mark.skipif(
        BROWSER is None, reason=f"there is none of {', '.join(BROWSERS)}"
    )

N_LISTED = 40
HOSTILE = "<script>document.title = 'taken'; alert(1)</script>"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report whose rows have numbers that are missing, and one a hostile key."""
    folder = tmp_path_factory.mktemp("page")
    rng = np.random.RandomState(0)
    rows = pd.DataFrame(rng.normal(size=(1200, 16)), columns=[f"column_{i}" for i in range(16)])
    detector = VAEAnomalyDetector(
        hidden_layer_sizes=(8,), latent_dim=2, max_iter=2, contamination=0.1, random_state=0
    )
    model = make_pipeline(TableSchema(), detector).fit(rows)
    rows["key"] = [f"key {number}" for number in range(len(rows))]
    rows["odd"] = np.arange(len(rows)) % 10 == 0
    first = np.argsort(model.score_samples(rows))[:2]
    rows.loc[first[0], "key"] = HOSTILE
    rows.loc[first[1], "key"] = None
    rows.to_csv(folder / "table.csv", index=False)
    write_report(
        model,
        Source.open([folder / "table.csv"]),
        folder / "report.html",
        label=Label("odd", "True"),
        keep=["key"],
        top=N_LISTED,
        attribution="terms",
    )
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture
def opened(browser, path):
    """Open the report; any message, dialog or request that leaves it is a failure."""
    contexts = []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("dialog", lambda dialog: (events.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: events.append(request.url))
        page.goto(path.as_uri())
        return page

    events = []
    yield open_page
    for context in contexts:
        context.close()
    outside = [e for e in events if e != path.as_uri() and not e.startswith("data:")]
    assert outside == []


def shown(page, column):
    """The cells of a column of the listed rows that can be seen."""
    return page.evaluate(
        """(column) => {
            const table = document.getElementById("listed");
            const heads = Array.from(table.tHead.rows[0].cells);
            const at = heads.findIndex((head) => head.textContent.trim() === column);
            const rows = Array.from(table.tBodies[0].rows);
            return rows.filter((row) => row.checkVisibility()).map(
                (row) => row.cells[at].textContent.trim());
        }""",
        column,
    )


def numbers(texts):
    return [float(text.replace(",", "")) for text in texts]


def test_the_page_opens_without_a_message_or_a_request(opened):
    page = opened()
    assert page.title() == "Anomalies in table.csv"
    assert len(shown(page, "Row")) == N_LISTED


def test_a_hostile_cell_is_text(opened):
    page = opened()
    assert HOSTILE in shown(page, "key")
    assert page.title() != "taken"


def test_a_click_on_a_head_sorts_numbers_as_numbers_and_says_so(opened):
    page = opened()
    head = page.locator("#listed > thead th", has_text="Row")
    head.get_by_role("button").click()
    assert numbers(shown(page, "Row")) == sorted(numbers(shown(page, "Row")))
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert numbers(shown(page, "Row")) == sorted(numbers(shown(page, "Row")), reverse=True)
    assert page.locator("#listed [aria-sort]").count() == 1


def test_missing_cells_are_last_in_either_order(opened):
    page = opened()
    button = page.locator("#listed > thead th", has_text="key").get_by_role("button")
    for _ in range(2):
        button.click()
        assert shown(page, "key")[-1] == MISSING


def test_the_keyboard_sorts_and_searches(opened):
    page = opened()
    page.locator("#search-listed").focus()
    page.keyboard.type("key 1")
    found = shown(page, "key")
    assert 0 < len(found) < N_LISTED
    assert all("key 1" in key for key in found)
    page.keyboard.press("Tab")  # to what scrolls
    page.keyboard.press("Tab")  # to the first head
    page.keyboard.press("Enter")
    assert numbers(shown(page, "Row")) == sorted(numbers(shown(page, "Row")))
    assert len(shown(page, "Row")) == len(found)


def test_a_row_is_found_by_its_number_as_it_stands_in_the_file(opened):
    page = opened()
    number = next(number for number in shown(page, "Row") if len(number) == 4)
    page.locator("#search-listed").fill(number)
    assert number in shown(page, "Row")


def test_the_list_of_rows_scrolls_in_a_region_of_its_own_below_its_heads(opened):
    for width in (390, 1280):
        page = opened(viewport={"width": width, "height": 800})
        region = page.get_by_role("region", name="List of the most abnormal rows")
        assert region.bounding_box()["height"] <= 640
        last = page.locator("#listed > tbody > tr").last
        playwright.expect(last).not_to_be_in_viewport()
        region.focus()
        page.keyboard.press("End")
        playwright.expect(last).to_be_in_viewport()
        head = page.locator("#listed > thead th", has_text="Row")
        assert head.bounding_box()["y"] >= region.bounding_box()["y"]
        head.get_by_role("button").click()
        assert region.evaluate("(region) => region.scrollTop") == 0


def test_the_number_of_matches_is_announced(opened):
    page = opened()
    page.locator("#search-listed").fill("no such text")
    status = page.locator("#outliers output")
    assert status.text_content() == f"0 of {N_LISTED} shown"
    assert status.get_attribute("role") == "status"
    page.locator("#search-listed").fill("")
    assert len(shown(page, "Row")) == N_LISTED


def test_the_skip_link_is_the_first_stop_and_leads_to_the_content(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_never_scrolls_sideways(opened, width):
    page = opened(viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_all_rows_and_no_controls(opened):
    page = opened()
    page.locator("#search-listed").fill("no such text")
    page.emulate_media(media="print")
    assert len(shown(page, "Row")) == N_LISTED
    region = page.locator("#listed").locator("..")
    assert region.evaluate("(region) => region.clientHeight == region.scrollHeight")
    assert not page.locator("#search-listed").is_visible()
    assert not page.get_by_role("navigation").is_visible()


def test_text_can_be_told_from_the_ground_in_light_and_dark(opened):
    contrast = """(name) => {
        const style = getComputedStyle(document.documentElement);
        const canvas = document.createElement("canvas").getContext("2d");
        const luminance = (variable) => {
            canvas.fillStyle = style.getPropertyValue(variable);
            const channels = canvas.fillStyle.slice(1).match(/../g).map((hex) => {
                const value = parseInt(hex, 16) / 255;
                return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
        };
        const [low, high] = [luminance(name), luminance("--shade")].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    }"""
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme)
        for name in ("--ink", "--quiet", "--blue", "--red", "--green"):
            assert page.evaluate(contrast, name) >= 4.5, (scheme, name)


def test_without_javascript_the_page_is_complete_and_has_no_dead_controls(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("#listed > tbody > tr").count() == N_LISTED
    assert page.get_by_role("searchbox").count() == 0
    assert page.locator("#listed button").count() == 0
