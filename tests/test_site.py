"""The built site: links resolve, nothing comes from another host, and it fits a phone.

And what builds it is in the extra docs.

tests/run_docs.sh builds it, and says in SITE where it is.
"""

import functools
import http.server
import importlib.metadata
import json
import os
import re
import shutil
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vae_anomaly
from vae_anomaly.documentation import DOCUMENTATION, DocLinkMixin

if "SITE" not in os.environ:
    pytest.skip("tests/run_docs.sh builds the site", allow_module_level=True)

# Here nothing is skipped: where the site is built, its tests need a browser.
from playwright import sync_api

SITE = Path(os.environ["SITE"]).resolve()
HERE = "http://site/"  # stands for the address of the site
LOOKED_AT = (
    "index.html",
    "start.html",
    "user_guide.html",
    "score.html",
    "explanations.html",
    "api.html",
    "cli.html",
    "generated/vae_anomaly.VAEAnomalyDetector.html",
    "auto_examples/index.html",
    "auto_examples/plot_flights.html",
    "benchmarks.html",
)


class Page(HTMLParser):
    """The links of a page, what it loads when it is opened, and where links to it may lead."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = set(), set(), {"", "top"}
        self.address = HERE + path.relative_to(SITE).as_posix()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a":
            self.links.add(urljoin(self.address, given.get("href") or ""))
        self.loaded.add(urljoin(self.address, given.get("src") or ""))
        if tag == "link":
            self.loaded.add(urljoin(self.address, given["href"]))


@pytest.fixture(scope="module")
def pages():
    written = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
    return {page.address: page for page in map(Page, written)}


def missing(pages, address):
    """Tell whether an address of the site leads nowhere."""
    page, _, anchor = address.partition("#")
    if page in pages:
        return unquote(anchor) not in pages[page].anchors
    return not (SITE / unquote(urlsplit(page).path).lstrip("/")).is_file()


def test_links_within_the_site_lead_somewhere(pages):
    links = {(page.address, link) for page in pages.values() for link in page.links}
    broken = [pair for pair in links if pair[1].startswith(HERE) and missing(pages, pair[1])]
    assert not sorted(broken)


def test_pages_load_only_what_is_in_the_site(pages):
    loaded = {one for page in pages.values() for one in page.loaded}
    assert not sorted(
        one for one in loaded if not one.startswith(("data:", HERE)) or missing(pages, one)
    )


def test_constants_are_described_by_their_own_text():
    for path in (SITE / "api.html", SITE / "generated" / "vae_anomaly.TRUSTED_TYPES.html"):
        assert "Built-in immutable" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in vae_anomaly.__all__
        if isinstance(getattr(vae_anomaly, name), type)
        and issubclass(getattr(vae_anomaly, name), DocLinkMixin)
    ],
)
def test_view_of_an_estimator_links_to_a_page_of_the_site(name):
    link = DocLinkMixin._doc_link_template.format(estimator_name=name)
    assert (SITE / link.removeprefix(DOCUMENTATION)).is_file()


def installed_by(requirement):
    """Names of the installed packages that a requirement brings along, extras included."""
    todo, known = [Requirement(requirement)], set()
    while todo:
        one = todo.pop()
        for extra in one.extras or {""}:
            if (one.name, extra) in known:
                continue
            known.add((one.name, extra))
            needs = [Requirement(text) for text in importlib.metadata.requires(one.name) or ()]
            todo += [
                need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})
            ]
    return {canonicalize_name(name) for name, _ in known}


def test_the_extra_docs_brings_what_the_pages_import():
    root = Path(__file__).parents[1]
    notebooks = [json.loads(path.read_text()) for path in root.glob("docs/notebooks/*.ipynb")]
    cells = [cell for notebook in notebooks for cell in notebook["cells"]]
    scripts = [*root.glob("examples/plot_*.py"), root / "docs" / "conf.py"]
    code = [path.read_text() for path in [*scripts, *root.glob("docs/_extensions/*.py")]]
    code += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imports = re.findall(r"^(?:import|from) (\w+)", "\n".join(code), re.M)
    of_module = importlib.metadata.packages_distributions()
    brought = installed_by("vae-anomaly[docs]")
    own = {*sys.stdlib_module_names, "vae_anomaly"}
    for module in set(imports) - own:
        assert brought & set(map(canonicalize_name, of_module[module])), module


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def host():
    """Serve the site on a port of this machine."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, f"there is none of {', '.join(names)}"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def phone(browser, host):
    """Open a page as on a phone; what goes wrong, and what is asked of other hosts, is noted."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.complaints = []
    page.on("console", lambda one: one.type == "error" and page.complaints.append(one.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: asked.url.startswith(("data:", host)) or page.complaints.append(asked.url),
    )
    yield page
    page.close()


@pytest.mark.parametrize("path", LOOKED_AT)
def test_page_opens_without_errors_and_fits_a_phone(phone, host, path):
    phone.goto(host + path, wait_until="networkidle")
    assert not phone.complaints
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_search_finds_pages(phone, host):
    phone.goto(host + "search.html?q=threshold")
    phone.wait_for_selector("#search-results li a")
    assert not phone.complaints
