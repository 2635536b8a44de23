"""The docstrings of all public names, their methods and properties.

numpydoc checks their form; pyproject.toml lists the checks that are left out, and says why. The
examples run as tests of their own, by pytest's --doctest-modules.
"""

import ast
import builtins
import dataclasses
import doctest
import importlib
import inspect
import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import get_validation_checks, validate
from public_names import NAMES
from sklearn.exceptions import NotFittedError

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CHECKS = get_validation_checks(
    set(tomllib.loads(PYPROJECT.read_text())["tool"]["numpydoc_validation"]["checks"])
)

# Users do not call these: scikit-learn does for the routing of metadata, a tuned threshold for
# the counts of an objective, and a run on files for the rest.
WITHOUT_EXAMPLES = {
    *("get_metadata_routing", "set_score_request", "from_counts"),
    *("check_columns", "check_unchanged", "extra_columns", "fingerprint", "kept_types"),
    *("from_json", "pieces", "sentence", "to_json", "written"),
}


def functions_and_classes():
    for module, names in NAMES.items():
        for name in names:
            if callable(getattr(importlib.import_module(module), name)):
                yield f"{module}.{name}"


def found(path):
    """Return the class or the function that a path names; of a property, its getter."""
    module = next(name for name in sorted(NAMES, reverse=True) if path.startswith(f"{name}."))
    found = importlib.import_module(module)
    for name in path.removeprefix(f"{module}.").split("."):
        found = getattr(found, name)
    if isinstance(found, property):
        return found.fget
    return inspect.unwrap(getattr(found, "__func__", found))


def members():
    """Yield the paths of methods and properties, the inherited ones too if they are ours."""
    for path in functions_and_classes():
        if not inspect.isclass(found(path)):
            continue
        for name in dir(found(path)):
            if name.startswith("_"):
                continue
            member = found(f"{path}.{name}")
            if inspect.isfunction(member) and member.__module__.startswith("vae_anomaly"):
                yield f"{path}.{name}"


def is_property(path):
    owner, _, name = path.rpartition(".")
    return isinstance(inspect.getattr_static(found(owner), name), property)


def errors(path, but=frozenset()):
    return [error for error in validate(path)["errors"] if error[0] in CHECKS - but]


@pytest.mark.parametrize("path", [*functions_and_classes()])
def test_functions_and_classes_are_documented(path):
    assert errors(path) == []


@pytest.mark.parametrize("path", [*members()])
def test_methods_and_properties_are_documented(path):
    has_no_example = is_property(path) or path.rpartition(".")[2] in WITHOUT_EXAMPLES
    # The class tells what else there is to see.
    assert errors(path, {"SA01", "EX01"} if has_no_example else {"SA01"}) == []


def raised_by(function):
    """Return the errors that the code of a function raises itself."""
    code = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = {ast.unparse(node.func) for node in ast.walk(code) if isinstance(node, ast.Call)}
    raised = [
        ast.unparse(node.exc.func)
        for node in ast.walk(code)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    known = vars(builtins) | vars(inspect.getmodule(function))
    kinds = {known[name] for name in raised if isinstance(known.get(name), type)}
    if calls & {"check_is_fitted", "self._fitted_vae"}:
        kinds.add(NotFittedError)
    return kinds


@pytest.mark.parametrize("path", [*functions_and_classes(), *members()])
def test_errors_are_documented(path):
    documented = {error.type for error in NumpyDocString(inspect.getdoc(found(path)))["Raises"]}
    functions = [found(path)]
    if inspect.isclass(found(path)):
        name = "__post_init__" if dataclasses.is_dataclass(found(path)) else "__init__"
        functions = [vars(found(path))[name]] if name in vars(found(path)) else []
    for function in functions:
        for kind in raised_by(function):
            assert documented & {base.__name__ for base in kind.__mro__}, kind


@pytest.mark.parametrize("path", [*functions_and_classes(), *members()])
def test_references_begin_with_a_surname(path):
    """Sphinx would take an initial, such as D., for item 4 of a list."""
    assert not re.search(r"\.\. \[\d+\] [A-Z]\.", inspect.getdoc(found(path)))


def test_examples_of_the_pyod_model_run():
    pytest.importorskip("pyod")  # without it, --doctest-modules could not import the module
    from vae_anomaly import pyod_model

    assert doctest.testmod(pyod_model).failed == 0
