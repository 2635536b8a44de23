"""What the examples in docstrings need: plots open no window, and leave no figure behind."""

import os
import sys

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures that an example shows, before there are so many that matplotlib warns."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
