"""The recipes of docs/serving.md, in processes of their own where they need clients."""

import importlib.util
import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from packaging.version import Version

from vae_anomaly import load
from vae_anomaly.onnx import register_converters

GUIDE = (Path(__file__).parents[1] / "docs" / "serving.md").read_text()
NEEDED = {
    "MLflow": ["mlflow"],
    "Spark": ["mlflow", "pyspark"],
    "FastAPI": ["fastapi", "httpx"],
    "Optuna": ["optuna"],
    "PyOD": ["pyod"],
    "sktime": ["sktime", "pyod"],
    "aeon": ["aeon", "pyod"],
}
"""The modules of the sections that need more than the tests do."""

IMPORTED_FOR_EFFECT = {"ONNX", "Keras"}
"""The sections that import modules which register something, perhaps elsewhere in these tests."""

CHECKS = {
    "Files of this package": "assert load('model.skops').predict(numbers).shape == (500,)",
    "ONNX": """
assert np.allclose(score, detector.score_samples(rows), rtol=1e-4)
assert ((detector.predict(rows) == -1) == is_outlier).mean() > 0.99
assert [output.name for output in model.graph.output] == ["label", "scores"]
""",
    "Keras": """
x = np.zeros((2, encoder.input_shape[1]), np.float32)
for one, other in zip(encoder(x), detector.encoder_(x), strict=True):
    assert np.array_equal(one, other)
""",
    "LiteRT": """
import tensorflow as tf
interpreter = tf.lite.Interpreter("encoder.tflite")
assert len(interpreter.get_output_details()) == 2
""",
    "MLflow": """
assert np.array_equal(scores, pipeline.score_samples(numbers))
assert np.array_equal(same.predict(numbers), pipeline.predict(numbers))
""",
    "Spark": "assert np.allclose(scored['score'], pipeline.score_samples(numbers))",
    "FastAPI": """
frame = pd.DataFrame([row]).astype({'height': float})
assert np.allclose(answer['score'], detector.score_samples(frame), rtol=1e-4)
assert answer['is_outlier'] == [detector.predict(frame)[0] == -1]
""",
    "Optuna": "assert len(study.trials) == 4",
    "PyOD": "assert 0 < share < 0.2",
    "sktime": "assert len(found) <= 12",
    "aeon": """
assert 185 <= scores.argmax() <= 220
assert vus_pr(windowed, series[:, None], is_anomaly) > 0.5
assert range_f1(windowed, series[:, None], is_anomaly) > 0.1
""",
}


def sections():
    """Give the code of each section by its heading; that before the first is called ""."""
    parts = re.split(r"^## (.+)$", GUIDE, flags=re.M)
    headings = ["", *parts[1::2]]
    blocks = [re.findall(r"^```python\n(.*?)^```", part, re.M | re.S) for part in parts[::2]]
    return {heading: "\n".join(code) for heading, code in zip(headings, blocks, strict=True)}


@pytest.mark.parametrize("heading", CHECKS)
def test_recipe_does_what_it_says(run_python, run_here, tmp_path, heading):
    missing = [name for name in NEEDED.get(heading, []) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    if heading == "LiteRT" and Version(version("keras")) < Version("3.13"):
        pytest.skip("needs Keras 3.13")
    code = sections()
    before = code["MLflow"] if heading == "Spark" else ""
    script = "\n".join([code[""], before, code[heading], CHECKS[heading]])
    if heading in NEEDED or heading in IMPORTED_FOR_EFFECT:
        run_python(script, cwd=tmp_path, PYSPARK_PYTHON=sys.executable)
    else:
        run_here(script)


def test_every_section_with_code_is_checked():
    assert {heading for heading, code in sections().items() if code} == {"", *CHECKS}


KINDS = ["table", "conv2d", "gru"]  # the decoder of "table" ends in the layer of one-hot groups
MODELS = ["encoder", "decoder", "vae"]

LOAD = """
import sys
import numpy as np
import vae_anomaly, keras
import tensorflow as tf
for path in sys.argv[1:]:
    model = keras.models.load_model(f"{path}.keras")
    x = np.ones((2, *model.input_shape[1:]), np.float32)
    exported = tf.saved_model.load(f"{path}_saved")
    if not path.endswith("vae"):  # which draws
        found, wanted = (keras.tree.flatten(part) for part in (exported.serve(x), model(x)))
        for one, other in zip(found, wanted, strict=True):
            assert np.allclose(one, other, atol=1e-5)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder with the Keras models of some detectors, saved and exported."""
    folder = tmp_path_factory.mktemp("exported")
    register_converters()
    for kind in KINDS:
        detector = load(Path(__file__).parent / "models" / "0.1.0" / f"{kind}.skops")
        for name in MODELS:
            model, path = getattr(detector, f"{name}_"), folder / f"{kind}_{name}"
            model.save(f"{path}.keras")
            model.export(f"{path}_saved", format="tf_saved_model", verbose=False)
            model.export(f"{path}.onnx", format="onnx", verbose=False)
    return folder


def test_keras_models_are_loaded_in_another_process(run_python, exported):
    run_python(LOAD, *(exported / f"{kind}_{name}" for kind in KINDS for name in MODELS))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_keras_models_run_as_onnx(exported, kind, name):
    session = onnxruntime.InferenceSession(exported / f"{kind}_{name}.onnx")
    (taken,) = session.get_inputs()
    x = np.ones((2, *taken.shape[1:]), np.float32)
    assert all(np.isfinite(output).all() for output in session.run(None, {taken.name: x}))
