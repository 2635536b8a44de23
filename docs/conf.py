"""How Sphinx builds the documentation: tests/run_docs.sh, or sphinx-build docs build/site."""

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx_gallery.sorting import ExplicitOrder

import vae_anomaly

DOCS = Path(__file__).parent
sys.path.append(str(DOCS / "_extensions"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read by TensorFlow, also in notebooks

project = "vae-anomaly"
author = "the vae-anomaly developers"
copyright = author
release = version = vae_anomaly.__version__

extensions = [
    "commands",
    "mathml",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_*",
    "**.ipynb_checkpoints",
    "auto_examples/*.ipynb",  # these and the next are there to download
    "auto_examples/*.py",
    "inventories",
]
templates_path = ["_templates"]
default_role = "literal"
smartquotes = False  # "--" is a flag, and quotes are copied
toc_object_entries_show_parents = "hide"
nitpicky = True

# -- API reference ---------------------------------------------------------------------------------

autodoc_mock_imports = ["pyod"]  # only for the base class of PyODModel
autodoc_typehints = "none"  # the docstrings say it in words
autosummary_generate = True
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # but for the words below, and those that numpydoc knows
numpydoc_xref_aliases = {
    "Axes": "matplotlib.axes.Axes",
    "DataFrame": "pandas.DataFrame",
    "Figure": "matplotlib.figure.Figure",
    "Index": "pandas.Index",
    "Series": "pandas.Series",
    "array-like": "numpy.typing.ArrayLike",
    "array_like": "numpy.typing.ArrayLike",
    "bool": "bool",
    "boolean": "bool",
    "estimator": "sklearn.base.BaseEstimator",
    "iterable": "collections.abc.Iterable",
    "iterator": "collections.abc.Iterator",
    "generator": "collections.abc.Generator",
    "mapping": "collections.abc.Mapping",
    "path-like": "os.PathLike",
    "sequence": "collections.abc.Sequence",
    "scalar": "numpy.number",
}
numpydoc_xref_aliases |= {
    name: f"vae_anomaly.{name}"
    for name in vae_anomaly.__all__
    if name[0].isupper() and not name.isupper()
}

SKLEARN = "https://scikit-learn.org/stable/"
# The names of other projects, from files in the repository: a build needs no network.
intersphinx_mapping = {
    name: (address, f"inventories/{name}.txt")
    for name, address in {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "scipy": "https://docs.scipy.org/doc/scipy/",
        "pandas": "https://pandas.pydata.org/docs/",
        "sklearn": SKLEARN,
        "matplotlib": "https://matplotlib.org/stable/",
        "joblib": "https://joblib.readthedocs.io/en/stable/",
        "keras": "https://keras.io/",
    }.items()
}

# -- Guides and notebooks --------------------------------------------------------------------------

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_fence_as_directive = ["math"]  # as GitHub does
myst_heading_anchors = 4
nb_execution_mode = "auto"  # notebooks are stored without outputs, so each build runs them
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_ipywidgets_js = {}  # would be loaded from other hosts
nb_merge_streams = True
copybutton_exclude = ".linenos, .gp, .go"  # neither prompts nor what is printed
html_math_renderer = "mathml"

# -- Gallery ---------------------------------------------------------------------------------------

EXAMPLES = [
    "plot_flights.py",
    "plot_explained_flights.py",
    "plot_fraud_costs.py",
    "plot_sensor_budget.py",
    "plot_time_series.py",
    "plot_explained_departures.py",
    "plot_explained_digits.py",
    "plot_digits.py",
    "plot_latent_space.py",
    "plot_denoising.py",
    "plot_compression.py",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"draw\.py",
    "within_subsection_order": ExplicitOrder(EXAMPLES),
    "doc_module": ("vae_anomaly",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"vae_anomaly": None},
    "capture_repr": ("_repr_html_", "__repr__"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "min_reported_time": 1e6,  # how long it takes depends on the machine
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "parallel": True,
}

# -- Pages -----------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "vae-anomaly"
html_context = {"default_mode": "auto"}  # light or dark, as the system is
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
html_theme_options = {
    "logo": {
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "text": "vae-anomaly",
        "alt_text": "vae-anomaly, home",
    },
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_nav_level": 1,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {name: [] for name in ("index", "start", "benchmarks", "changelog")}

# Guides also link to files outside docs/, for readers of the repository. Those with a page here
# lead to it.
_PAGES_OF_FILES = {
    r"\.\./README\.md": "index.md",
    r"\.\./CHANGELOG\.md": "changelog.md",
    r"\.\./benchmarks/README\.md": "benchmarks_record.md",
    r"\.\./data/README\.md": "data.md",
    r"\.\./examples/README\.md": "auto_examples/index.rst",
    r"\.\./examples/(plot_\w+)\.py": r"auto_examples/\1.rst",
}


# Labels and terms that the docstrings of inherited methods refer to. Inventories of version 1 hold
# names of Python only.
_PAGES_OF_SKLEARN = {
    "df_output_transform": "modules/df_output_transform.html",
    "meta-estimator": "glossary.html#term-meta-estimator",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}


# Constants, whose text is found in no other module than their own.
_MODULES_OF_CONSTANTS = {"vae_anomaly.TRUSTED_TYPES": "vae_anomaly.persistence"}


def describe_constants(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Let a constant have its own text, not that of its type."""
    if name in _MODULES_OF_CONSTANTS:
        texts = ModuleAnalyzer.for_module(_MODULES_OF_CONSTANTS[name]).find_attr_docs()
        lines[:] = texts["", name.rpartition(".")[2]]


def link_to_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files of the repository lead to their pages."""
    if Path(app.env.doc2path(name)).suffix == ".md":
        for file, page in _PAGES_OF_FILES.items():
            source[0] = re.sub(rf"\]\({file}(?=[)#])", rf"]({page}", source[0])


def link_to_sklearn(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.reference | None:
    """Let inherited docstrings link to scikit-learn's guide."""
    page = _PAGES_OF_SKLEARN.get(node["reftarget"])
    if page is None:
        return None
    return nodes.reference("", "", shown, internal=False, refuri=SKLEARN + page)


def setup(app: Sphinx) -> None:
    """Connect what is above to Sphinx."""
    # Before numpydoc, which makes links of the names in a text.
    app.connect("autodoc-process-docstring", describe_constants, priority=400)
    app.connect("source-read", link_to_pages)
    app.connect("missing-reference", link_to_sklearn)
