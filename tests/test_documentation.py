"""The links from scikit-learn's HTML view of an estimator to the documentation."""

import inspect
import tomllib
from pathlib import Path

import pytest
from public_names import NAMES
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

import vae_anomaly

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SITE = PROJECT["urls"]["Documentation"]
PUBLIC = {name: getattr(vae_anomaly, name) for name in vae_anomaly.__all__}
ESTIMATORS = [
    public
    for public in PUBLIC.values()
    if inspect.isclass(public) and issubclass(public, BaseEstimator)
]


def make(estimator):
    """Make one, with what it cannot do without."""
    path = ROOT / "tests" / "models" / "0.1.0" / "dense.onnx"
    needed = {"detector": vae_anomaly.VAEAnomalyDetector(), "path": path}
    known = inspect.signature(estimator).parameters
    return estimator(**{name: needed[name] for name in needed if name in known})


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_view_of_an_estimator_links_to_its_page(estimator):
    page = f"{SITE}generated/vae_anomaly.{estimator.__name__}.html"
    assert f'href="{page}"' in estimator_html_repr(make(estimator))


def test_view_of_a_pipeline_links_to_the_pages_of_its_steps():
    steps = vae_anomaly.TableSchema(), vae_anomaly.VAEAnomalyDetector()
    view = estimator_html_repr(make_pipeline(*steps))
    for step in steps:
        assert f"{SITE}generated/vae_anomaly.{type(step).__name__}.html" in view


def test_view_of_an_own_subclass_links_to_no_page_of_ours():
    class MyDetector(vae_anomaly.VAEAnomalyDetector):
        pass

    assert SITE not in estimator_html_repr(MyDetector())


def test_reference_lists_every_public_name():
    lines = (ROOT / "docs" / "api.md").read_text().splitlines()
    listed = {line.strip() for line in lines if line.startswith("   ")}
    public = {
        f"{module}.{name}".removeprefix("vae_anomaly.")
        for module, names in NAMES.items()
        for name in names
    }
    assert public <= listed
