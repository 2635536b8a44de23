"""The wheel: the package and its licence, nothing else, and usable where it is unpacked.

And what it says it needs: versions that tests/run_oldest.sh has tested.
"""

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import vae_anomaly

ROOT = Path(__file__).parents[1]

WHERE = "import vae_anomaly; print(vae_anomaly.__file__, vae_anomaly.__version__)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Path of a wheel built from the project."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    """Names of the files in the wheel."""
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_holds_the_package_and_nothing_else(names):
    folders = {name.split("/")[0] for name in names}
    assert folders == {"vae_anomaly", f"vae_anomaly-{vae_anomaly.__version__}.dist-info"}


def test_wheel_holds_every_module(names):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "vae_anomaly").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules


def test_wheel_holds_what_the_page_of_a_report_is_made_of(names):
    wanted = {f"vae_anomaly/report/page.{kind}" for kind in ("css", "html", "js")}
    assert wanted <= set(names)


def test_wheel_is_typed(names):
    assert "vae_anomaly/py.typed" in names


def test_wheel_holds_no_compiled_files(names):
    assert not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]


def test_wheel_carries_the_licence(names):
    assert [name for name in names if name.endswith("LICENSE")]


def test_wheel_is_for_any_platform(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")


def test_wheel_works_where_it_is_installed(wheel, tmp_path, run_python):
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, tmp_path, wheel], check=True, capture_output=True)
    printed = run_python(WHERE, cwd=tmp_path, PYTHONPATH=str(tmp_path)).split()
    assert printed == [str(tmp_path / "vae_anomaly" / "__init__.py"), vae_anomaly.__version__]


def test_version_is_the_one_of_the_metadata():
    assert vae_anomaly.__version__ == version("vae-anomaly")


def test_oldest_versions_are_the_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {*project["dependencies"], *extras["data"], *extras["onnx"]}
    needed |= {*extras["dask"], *extras["plot"], *extras["report"], *extras["test"]}
    not_run = {"mypy", "pandas-stubs", "ruff", "vae-anomaly[dask,data,onnx,plot,report]"}
    bounds = {one.replace(">=", "==") for one in needed if one.split(">=")[0] not in not_run}
    bounds.remove("dask[dataframe,distributed]==2025.5")
    bounds |= {"dask==2025.5", "distributed==2025.5"}  # constraints of pip know no extras
    lines = (ROOT / "tests" / "oldest.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == bounds


def test_scoring_needs_a_part_of_the_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements-scoring.txt").read_text().splitlines()
    listed = {line for line in lines if not line.startswith("#")}
    training_only = {"keras", "tensorflow"}
    needed = {one for one in project["dependencies"] if one.split(">=")[0] not in training_only}
    (onnxruntime,) = (
        one for one in project["optional-dependencies"]["onnx"] if one.startswith("onnxruntime")
    )
    assert listed == {*needed, onnxruntime}
