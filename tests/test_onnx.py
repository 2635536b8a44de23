"""ONNX: the same scores as the detector's, without TensorFlow."""

import json
import pickle
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import skl2onnx
from packaging.version import Version
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from vae_anomaly import (
    FixedThresholdDetector,
    OnnxDetector,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    inspect,
    load,
    save,
    to_onnx,
)
from vae_anomaly.networks.dense_numpy import ACTIVATIONS
from vae_anomaly.onnx import register_converters
from vae_anomaly.onnx.files import sealed
from vae_anomaly.thresholds.fitting import own_threshold

MODELS = Path(__file__).parent / "models"
CONVERTIBLE = [
    "autoencoder",
    "columns",
    "binary_crossentropy",
    "conformal",
    "conv1d",
    "conv2d",
    "dense",
    "fixed",
    "gaussian",
    "gru",
    "lstm",
    "own_encoder",
    "table",
    "tuned",
]


def kept(name):
    """Load a model of the first release, and rows for it."""
    rows = pd.read_csv(MODELS / "0.1.0" / f"{name}.csv").drop(columns=["score", "label"])
    rows = rows.astype(dict.fromkeys(rows.columns.intersection(["kind", "side"]), "category"))
    path = MODELS / "0.1.0" / f"{name}.skops"
    too_new = Version(inspect(path).versions["keras"]) > Version(version("keras"))
    if name == "own_encoder" and too_new:
        pytest.skip("a later Keras wrote its configuration")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions
        return load(path), rows


@pytest.fixture
def convert(tmp_path):
    """Write a model to a file and open it."""

    def convert(model, **parameters):
        to_onnx(model, tmp_path / "m.onnx", **parameters)
        return load(tmp_path / "m.onnx")

    return convert


def assert_alike(onnx_detector, detector, rows):
    scores, others = detector.score_samples(rows), onnx_detector.score_samples(rows)
    np.testing.assert_allclose(others, scores, rtol=1e-4, atol=1e-5)
    threshold = own_threshold(detector)
    is_close = np.isclose(scores, threshold, rtol=1e-4, atol=1e-5)
    agree = onnx_detector.predict(rows) == detector.predict(rows)
    assert (agree | is_close).all()
    assert onnx_detector.offset_ == threshold


# The same scores


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_scores_are_those_of_the_detector(convert, name):
    model, rows = kept(name)
    converted = convert(model, X=rows)
    assert isinstance(converted, OnnxDetector)
    assert_alike(converted, model, rows)
    if name == "columns":  # whose encoder takes no missing texts
        return
    is_hidden = np.random.RandomState(0).uniform(size=rows.shape) < 0.3
    assert_alike(converted, model, rows.mask(is_hidden))
    assert_alike(converted, model, rows.mask(np.arange(rows.size).reshape(rows.shape) >= 0))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/*.onnx")), ids=lambda path: path.stem)
def test_files_of_all_releases_give_their_scores(path):
    scored = pd.read_csv(path.with_suffix(".csv"))
    outputs = load(path).run(scored.drop(columns=["score", "label"]))
    np.testing.assert_allclose(outputs["score"], scored["score"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(outputs["is_outlier"], scored["label"] == -1)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_is_converted(make_detector, convert, X, activation):
    detector = make_detector(max_iter=2, activation=activation).fit(X)
    assert_alike(convert(detector), detector, X)


def test_gelu_of_keras_is_converted(make_detector, convert, X):
    detector = make_detector(
        max_iter=1, architecture="conv", input_shape=(5, 1), activation="gelu"
    ).fit(X)
    assert_alike(convert(detector), detector, X)


def test_large_offsets_keep_their_digits(make_detector, convert, X):
    detector = make_detector(max_iter=2).fit(X + 1e9)
    assert_alike(convert(detector), detector, X + 1e9)


def test_far_and_constant_columns_are_scored_alike(make_detector, convert, X):
    train = np.column_stack([X, np.full(len(X), 3.0), np.full(len(X), np.nan)])
    detector = make_detector(max_iter=2).fit(train)
    assert_alike(convert(detector), detector, train)
    far = train * 1e12
    far[:, 6] = 1.0
    assert_alike(convert(detector), detector, far)


def test_no_draws_are_converted(make_detector, convert, X):
    detector = make_detector(max_iter=2, n_draws=0).fit(X)
    assert_alike(convert(detector), detector, X)


def test_sparse_rows_and_samples_are_taken(make_detector, convert, X):
    detector = make_detector(max_iter=2).fit(sp.csr_array(X))
    assert_alike(convert(detector), detector, sp.csr_array(X))
    samples = X[:, :4].reshape(-1, 2, 2)
    detector = make_detector(max_iter=2, input_shape=(2, 2)).fit(samples)
    np.testing.assert_allclose(
        convert(detector).score_samples(samples), detector.score_samples(samples), rtol=1e-4
    )


@pytest.fixture(scope="module")
def table(curve):
    """A table with texts."""
    X = pd.DataFrame(curve(200), columns=list("abcde"))
    X["side"] = pd.Categorical(np.where(X["a"] < 2, "x", np.where(X["a"] < 4, "y", "z")))
    X["half"] = pd.Categorical(np.where(X["a"] < 3, "left", "right"))
    return X


def test_levels_are_taken_as_texts(make_detector, convert, table):
    detector = make_detector(max_iter=2).fit(table)
    converted = convert(detector)
    kinds = [value.type for value in converted._session.get_inputs()]
    assert kinds == ["tensor(double)"] * 5 + ["tensor(string)"] * 2
    new = table.astype({"side": str, "half": str})
    new.loc[0, "side"], new.loc[1, "half"] = "never seen", "never seen"
    new.loc[2, ["side", "half"]] = None
    assert_alike(converted, detector, new)
    np.testing.assert_array_equal(
        converted.score_samples(pl.from_pandas(new)), converted.score_samples(new)
    )
    np.testing.assert_array_equal(
        converted.score_samples(new[new.columns[::-1]]), converted.score_samples(new)
    )


def test_an_empty_text_may_be_a_level(make_detector, convert, table):
    table = table.assign(side=table["side"].cat.rename_categories({"x": ""}))
    detector = make_detector(max_iter=2).fit(table)
    converted = convert(detector)
    assert converted._metadata["missing_text"] == "?"
    assert_alike(converted, detector, table)
    assert_alike(converted, detector, table.assign(side=None))


def test_levels_may_be_numbers(make_detector, convert, X):
    codes = np.random.RandomState(0).choice([1.5, 2.0, 7.0], size=(len(X), 2))
    codes[:, 1] = codes[:, 1] > 2
    rows = np.column_stack([X, codes])
    detector = make_detector(max_iter=2, categorical_features=[5, 6]).fit(rows)
    converted = convert(detector)
    assert [value.name for value in converted._session.get_inputs()] == ["X"]
    rows[0, 5], rows[1, 6], rows[2, 5:] = 99, 99, np.nan
    assert_alike(converted, detector, rows)


def test_texts_of_arrays_are_taken_by_place(make_detector, convert, table):
    rows = table.to_numpy(object)
    detector = make_detector(max_iter=2, categorical_features=[5, 6]).fit(rows)
    assert_alike(convert(detector), detector, rows)


def test_levels_of_two_types_are_refused(make_detector, convert, X):
    rows = np.column_stack([X, np.array(["a", 1], object)[np.arange(len(X)) % 2]])
    detector = make_detector(max_iter=1, categorical_features=[5]).fit(rows)
    with pytest.raises(ValueError, match=r"'column_5' has levels.*astype"):
        convert(detector)


def test_a_column_must_not_have_the_name_of_an_output(make_detector, convert, table):
    detector = make_detector(max_iter=1).fit(table.rename(columns={"a": "score"}))
    with pytest.raises(ValueError, match="'score' has the name of an output"):
        convert(detector)


def test_columns_may_have_any_other_name(make_detector, convert, table):
    table = table.rename(columns={"a": "X", "b": "sub_1", "side": "constant_2"})
    detector = make_detector(max_iter=1).fit(table)
    assert_alike(convert(detector), detector, table)
    only = table[["half"]].rename(columns={"half": "X"})
    detector = make_detector(max_iter=1, latent_dim=1).fit(only)
    assert_alike(convert(detector), detector, only)


# Outputs


def test_codes_and_contributions_come_on_request(convert):
    model, rows = kept("table")
    assert set(convert(model).run(rows)) == {"score", "is_outlier"}
    outputs = convert(model, codes=True, contributions=True).run(rows)
    np.testing.assert_allclose(outputs["codes"], model.transform(rows), rtol=1e-3, atol=1e-5)
    assert outputs["contributions"].shape == (len(rows), rows.shape[1] + 2)
    is_whole = rows.notna().all(axis=1)
    total = outputs["contributions"].sum(axis=1)
    np.testing.assert_allclose(total[is_whole], -outputs["score"][is_whole], rtol=1e-4)


def test_blame_lies_on_the_column_that_is_off(trained, convert, X):
    off = X[:1].copy()
    off[0, 3] += 20
    contributions = convert(trained, contributions=True).run(off)["contributions"]
    assert contributions.argmax() == 3


def test_the_file_is_one_that_anyone_can_run(detector, X, tmp_path):
    path = tmp_path / "m.onnx"
    to_onnx(detector, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for n_rows in (1, 7, 100):
        score, is_outlier = session.run(None, {"X": X[:n_rows].astype(np.float64)})
        np.testing.assert_allclose(score, detector.score_samples(X[:n_rows]), rtol=1e-4)
        np.testing.assert_array_equal(is_outlier, detector.predict(X[:n_rows]) == -1)
    metadata = session.get_modelmeta().custom_metadata_map
    assert float(metadata["threshold"]) == detector.offset_
    assert json.loads(metadata["vae_anomaly"])["versions"]["vae-anomaly"]
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_inspect_tells_what_a_file_is(convert, tmp_path):
    model, _ = kept("table")
    convert(model)
    info = inspect(tmp_path / "m.onnx")
    assert info.threshold == model.offset_
    assert info.n_samples == 150
    assert info.columns[4].levels == ("high", "low", "middle")
    assert str(info).startswith("VAEAnomalyDetector\n")
    assert OnnxDetector(tmp_path / "m.onnx").info_ == info


# Pipelines


def ends_in(make_detector, *steps, **parameters):
    return make_pipeline(*steps, make_detector(max_iter=2, **parameters))


def one_hot():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["side", "half"]),
        (StandardScaler(), ["a", "b"]),
        remainder="passthrough",
    )


def ordinal():
    return make_column_transformer((OrdinalEncoder(), ["side"]), remainder="drop")


def passed_through():
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["b", "a"]),
        ("passthrough", ["side", "e"]),
        ("drop", ["half"]),
        remainder="passthrough",
    )


@pytest.mark.parametrize("step", [StandardScaler, lambda: make_pipeline(SimpleImputer())])
def test_numeric_pipelines_take_raw_rows(make_detector, convert, curve, step):
    rows = curve(150) + 1e6
    rows[3, 2] = np.nan
    pipeline = ends_in(make_detector, step()).fit(rows)
    assert_alike(convert(pipeline), pipeline, rows)
    frame = pd.DataFrame(rows, columns=list("abcde"))
    pipeline.fit(frame)
    assert_alike(convert(pipeline), pipeline, frame)


@pytest.mark.parametrize(
    ("columns", "parameters"),
    [
        (one_hot, {}),
        (ordinal, {"categorical_features": [0]}),
        (passed_through, {"categorical_features": [2]}),
    ],
)
def test_pipelines_of_tables_take_raw_columns(make_detector, convert, table, columns, parameters):
    pipeline = ends_in(make_detector, columns(), **parameters).fit(table)
    rows = table.astype({"side": str, "half": str})
    assert_alike(convert(pipeline, X=rows), pipeline, rows)
    tuned = TunedThresholdDetectorCV(pipeline, scoring="auto", cv="prefit").fit(table)
    assert_alike(convert(tuned, X=rows), tuned, rows)


def test_columns_of_X_are_matched_by_name(make_detector, convert, table):
    pipeline = ends_in(make_detector, one_hot()).fit(table)
    mixed = table[table.columns[::-1]].assign(label=1)
    assert_alike(convert(pipeline, X=mixed), pipeline, table)
    with pytest.raises(ValueError, match="X has no column 'side'"):
        convert(pipeline, X=table.drop(columns="side"))


@pytest.mark.parametrize(
    ("columns", "parameters"), [(one_hot, {}), (passed_through, {"categorical_features": [2]})]
)
@pytest.mark.parametrize("rows", [None, np.zeros((3, 7))], ids=["none", "array"])
def test_text_columns_need_X(make_detector, convert, table, columns, parameters, rows):
    pipeline = ends_in(make_detector, columns(), **parameters).fit(table)
    with pytest.raises(ValueError, match="Pass X, some rows like those to be scored"):
        convert(pipeline, X=rows)


@pytest.mark.parametrize(
    "wrap",
    [
        FixedThresholdDetector,
        FrozenEstimator,
        lambda fitted: FixedThresholdDetector(FrozenEstimator(fitted)),
    ],
)
def test_wrapped_models_are_converted_and_told(make_detector, convert, table, wrap, tmp_path):
    numbers = table[list("abcde")]
    pipeline = ends_in(make_detector, StandardScaler()).fit(numbers)
    wrapped = wrap(pipeline)
    assert_alike(convert(wrapped), pipeline, numbers)
    save(wrapped, tmp_path / "m.skops")
    for info in (inspect(tmp_path / "m.skops"), inspect(tmp_path / "m.onnx")):
        assert info.steps[-1].endswith("VAEAnomalyDetector")
        assert info.n_samples == len(table)
        assert info.input_names == tuple("abcde")


def test_a_threshold_may_be_the_last_step(make_detector, convert, X):
    fixed = FixedThresholdDetector(make_detector(max_iter=2), threshold=-50.0)
    pipeline = make_pipeline(StandardScaler(), fixed).fit(X)
    converted = convert(pipeline)
    assert converted.offset_ == -50.0
    np.testing.assert_allclose(converted.score_samples(X), pipeline.score_samples(X), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda d: make_pipeline(FunctionTransformer(np.cbrt), d),
            r"FunctionTransformer cannot be converted.*to_onnx\(pipeline\[1:\]",
        ),
        (
            lambda d: make_pipeline(FixedThresholdDetector(IsolationForest())),
            "IsolationForest is no detector of vae_anomaly",
        ),
        (
            lambda d: GridSearchCV(d, {"latent_dim": [1]}, cv=2),
            "Convert its best_estimator_",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(make_detector, convert, X, make, message):
    with pytest.raises(ValueError, match=message):
        convert(make(make_detector(max_iter=1)).fit(X))


@pytest.mark.parametrize(
    ("name", "message"),
    [("pipeline", "no converter for CalendarEncoder"), ("windowed", "Convert its detector_")],
)
def test_kept_models_that_cannot_be_converted_are_told(convert, name, message):
    with pytest.raises(ValueError, match=message):
        convert(kept(name)[0])


def test_windows_are_scored_by_the_inner_detector(convert):
    model, rows = kept("windowed")
    windows = model.windows_.transform(rows)
    np.testing.assert_allclose(
        convert(model.detector_).score_samples(windows),
        model.detector_.score_samples(windows),
        rtol=1e-4,
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_skl2onnx_gives_label_and_scores(make_detector, X, dtype):
    register_converters()
    pipeline = ends_in(make_detector, StandardScaler()).fit(X)
    model = skl2onnx.to_onnx(pipeline, X[:1].astype(dtype), target_opset={"": 18, "ai.onnx.ml": 3})
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    label, scores = session.run(["label", "scores"], {"X": X.astype(dtype)})
    decision = pipeline.decision_function(X)
    np.testing.assert_allclose(scores[:, 0], decision, rtol=1e-3, atol=1e-3)
    assert label.dtype == np.int64
    np.testing.assert_array_equal(label[:, 0], np.where(decision < 0, -1, 1))


# The detector of a file


def test_it_stands_where_a_fitted_detector_does(convert, detector, X):
    converted = convert(detector)
    labels = np.arange(len(X)) % 40 == 0
    tuned = TunedThresholdDetectorCV(converted, scoring="f1", cv="prefit").fit(X, labels)
    assert np.isfinite(tuned.offset_)
    fixed = FixedThresholdDetector(converted, threshold=-10.0).fit(X)
    np.testing.assert_array_equal(fixed.score_samples(X), converted.score_samples(X))
    np.testing.assert_array_equal(
        clone(converted).fit(X).decision_function(X), converted.decision_function(X)
    )


def test_fit_opens_the_file_of_another_path(make_detector, convert, detector, X, tmp_path):
    converted = convert(detector)
    other = make_detector(max_iter=1).fit(X)
    to_onnx(other, tmp_path / "other.onnx")
    converted.score_samples(X)
    assert_alike(converted.set_params(path=tmp_path / "other.onnx").fit(), other, X)


def test_it_can_be_sent_to_where_the_file_is_not(convert, detector, X, tmp_path):
    converted = convert(detector)
    sent = pickle.dumps(converted)
    (tmp_path / "m.onnx").unlink()
    np.testing.assert_array_equal(pickle.loads(sent).score_samples(X), converted.score_samples(X))


def test_rows_are_checked_as_the_detector_does(convert, detector, X):
    converted = convert(detector)
    with pytest.raises(ValueError, match="X has 4 features, but OnnxDetector is expecting 5"):
        converted.score_samples(X[:, :4])
    bad = X.copy()
    bad[3, 1] = np.inf
    with pytest.raises(ValueError, match="column 1, row 3"):
        converted.score_samples(bad)
    with pytest.raises(ValueError, match="does not hold numbers"):
        converted.score_samples(pd.DataFrame(X).astype({0: str}).replace({0: {}}).assign(b="x"))


def test_missing_columns_are_named(make_detector, convert, table):
    converted = convert(make_detector(max_iter=1).fit(table))
    with pytest.raises(ValueError, match="X has no column 'side'"):
        converted.score_samples(table.drop(columns="side"))


def test_damaged_files_are_refused(convert, detector, tmp_path):
    convert(detector)
    path = tmp_path / "m.onnx"
    data, rng = path.read_bytes(), np.random.RandomState(0)
    damaged = [data[:length] for length in [0, 1, 80, *rng.choice(len(data), 50)]]
    damaged += [data + b"\0", data + data, rng.bytes(500)]
    for at in rng.choice(len(data), 150, replace=False):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randint(8)
        damaged.append(bytes(flipped))
    assert len(damaged) > 200
    for content in damaged:
        path.write_bytes(content)
        for read in (load, inspect, lambda path: OnnxDetector(path).fit()):
            with pytest.raises(ValueError, match=r"is not a .*file.*damaged"):
                read(path)


def test_crafted_files_are_refused(convert, detector, tmp_path):
    """They have a valid digest, which finds damage and not forgery."""
    info = convert(detector).info_
    path = tmp_path / "crafted.onnx"
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("NoSuchOperator", ["X"], ["score"], domain="evil")],
        "g",
        [onnx.helper.make_tensor_value_info("X", 11, [None, 5])],
        [onnx.helper.make_tensor_value_info("score", 11, [None])],
    )
    unknown = onnx.helper.make_model(graph).SerializeToString()
    outside = onnx.load(tmp_path / "m.onnx")
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    for model in (b"", b"\x00" * 9, unknown, outside.SerializeToString()):
        path.write_bytes(sealed(model, info))
        with pytest.raises(ValueError, match="cannot be loaded"):
            load(path)


USE = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "onnx", "skl2onnx", "tensorflow", "tf2onnx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
import numpy as np
from vae_anomaly import load
detector, X = load(sys.argv[1]), np.load(sys.argv[2])
detector.predict(X)
print(detector.score_samples(X).sum())
"""


def test_tensorflow_is_not_needed_to_score(convert, run_python, tmp_path):
    model, rows = kept("lstm")
    converted = convert(model)
    np.save(tmp_path / "rows.npy", rows.to_numpy())
    printed = run_python(USE, tmp_path / "m.onnx", tmp_path / "rows.npy")
    assert float(printed) == pytest.approx(converted.score_samples(rows).sum())


def test_unfitted_models_are_refused(convert):
    with pytest.raises(ValueError, match="not fitted"):
        convert(VAEAnomalyDetector())
