"""What the progress bar looks like in notebooks, with ipywidgets and without."""

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

WITHOUT_WIDGETS = """
import sys
sys.modules["ipywidgets"] = None  # so that its import fails
"""

FIT = """
import numpy as np
from vae_anomaly import VAEAnomalyDetector
X = np.random.RandomState(0).normal(size=(400, 3))
detector = VAEAnomalyDetector(
    hidden_layer_sizes=8, latent_dim=2, max_iter=60, early_stopping=True, tol=1e9,
    contamination=0.1, verbose=1, random_state=0,
)
detector.fit(X)
print(detector.n_iter_, "epochs")
"""


def run(*cells):
    """Return the outputs of the last cell, and the states of the widgets, of a notebook."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120).execute()
    stored = notebook.metadata.get("widgets", {})
    models = stored.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return notebook.cells[-1].outputs, [model["state"] for model in models.values()]


@pytest.fixture(scope="module")
def with_widgets():
    return run(FIT)


@pytest.fixture(scope="module")
def without_widgets():
    return run(WITHOUT_WIDGETS, FIT)[0]


def texts(outputs, name):
    return "".join(output.text for output in outputs if output.get("name") == name)


def test_with_widgets_the_bar_is_one(with_widgets):
    outputs, _ = with_widgets
    shown = [output.data for output in outputs if output.output_type == "display_data"]
    assert len(shown) == 1
    assert "application/vnd.jupyter.widget-view+json" in shown[0]


def test_the_widget_ends_full_where_training_stops_early(with_widgets):
    outputs, states = with_widgets
    assert "11 epochs" in texts(outputs, "stdout")
    (bar,) = (state for state in states if "bar_style" in state)
    assert bar["bar_style"] == "success"
    assert bar["value"] == bar["max"]


def test_without_widgets_the_bar_is_text(without_widgets):
    shown = texts(without_widgets, "stderr")
    assert shown.splitlines()[-1].startswith("training: 100%")
    assert shown.endswith("\n")
    assert {output.output_type for output in without_widgets} == {"stream"}


def test_nothing_but_the_bar_is_written(with_widgets, without_widgets):
    assert texts(with_widgets[0], "stderr") == ""
    lines = texts(without_widgets, "stderr").split()
    assert lines[0] == "training:"
    assert not {"WARNING:", "I0000", "TqdmWarning:"} & set(lines)
