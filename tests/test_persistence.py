"""Model files: what comes back, what is refused, and that nothing in them is run."""

import copy
import io
import json
import os
import pickle
import signal
import sys
import tracemalloc
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from packaging.version import Version
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

import vae_anomaly
from vae_anomaly import (
    TRUSTED_TYPES,
    FixedThresholdDetector,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    inspect,
    load,
    save,
)
from vae_anomaly.networks.config import NetworkConfig
from vae_anomaly.persistence import _digest

MODELS = sorted(Path(__file__).parent.glob("models/*/*.skops"))


@pytest.fixture(scope="module")
def table(curve):
    """A table with categories and missing cells."""
    X = pd.DataFrame(curve(150), columns=list("abcde"))
    X["side"] = pd.Categorical(np.where(X["a"] < 2, "x", np.where(X["a"] < 4, "y", "z")))
    X.loc[3, "b"] = None
    return X


@pytest.fixture(scope="module")
def of_table(make_detector, table):
    """A detector of it."""
    return make_detector(max_iter=2).fit(table)


@pytest.fixture(scope="module")
def path(of_table, tmp_path_factory):
    """Its file."""
    path = tmp_path_factory.mktemp("model") / "model.skops"
    save(of_table, path)
    return path


def sealed(archive):
    """Give the bytes of an archive the digest that they need."""
    start = archive[:-64]
    return start + _digest(start)


def changed(data, change, compression=zipfile.ZIP_STORED):
    """Change the members of a model file, a dictionary of bytes, and seal it again."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = {name: file.read(name) for name in file.namelist()}
        comment = file.comment
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
        file.comment = comment
    return sealed(buffer.getvalue())


@contextmanager
def little_memory():
    """Fail if more than 50 MB are taken within the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


# What comes back


@pytest.mark.parametrize("file", MODELS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_models_of_all_releases_load_with_their_scores(file):
    scored = pd.read_csv(file.with_suffix(".csv"))
    rows = scored.drop(columns=["score", "label"])
    rows = rows.astype(dict.fromkeys(rows.columns.intersection(["kind", "side"]), "category"))
    if "time" in rows:
        rows["time"] = pd.to_datetime(rows["time"], format="ISO8601")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions
        model = load(file)
    try:
        scores = model.score_samples(rows)
    except ValueError as error:  # only configurations of Keras may be too new
        assert file.stem == "own_encoder"
        assert "install that one; vae_anomaly.inspect tells which" in str(error)
        assert Version(inspect(file).versions["keras"]) > Version(keras.__version__)
        return
    np.testing.assert_allclose(scores, scored["score"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.predict(rows), scored["label"])


def test_scores_are_the_same_to_the_bit(of_table, path, table):
    np.testing.assert_array_equal(load(path).score_samples(table), of_table.score_samples(table))


def test_loaded_detector_can_be_cloned_and_trained_on(path, table):
    loaded = load(path)
    assert np.isfinite(clone(loaded).fit(table).offset_)
    assert np.isfinite(loaded.partial_fit(table).offset_)


def test_a_detector_needs_one_name(path, of_table, table):
    (name,) = skops.io.get_untrusted_types(file=path)
    assert name == "vae_anomaly.detector.VAEAnomalyDetector"
    assert name in TRUSTED_TYPES
    scores = skops.io.load(path, trusted=TRUSTED_TYPES).score_samples(table)
    np.testing.assert_array_equal(scores, of_table.score_samples(table))


def test_every_trusted_type_exists():
    for name in TRUSTED_TYPES:
        module, _, kind = name.rpartition(".")
        __import__(module)
        assert isinstance(getattr(sys.modules[module], kind), type)


def make_encoder(input_shape, latent_dim):
    x = keras.Input(input_shape)
    hidden = keras.layers.Dense(4, "relu")(x)
    return keras.Model(x, [keras.layers.Dense(latent_dim)(hidden) for _ in range(2)])


@pytest.mark.parametrize("as_model", [True, False], ids=["model", "function"])
def test_own_networks_come_back_as_configuration(make_detector, X, tmp_path, as_model):
    encoder = make_encoder((5,), 3) if as_model else make_encoder
    detector = make_detector(max_iter=2, encoder=encoder).fit(X)
    save(detector, tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert isinstance(loaded.encoder, NetworkConfig)
    np.testing.assert_array_equal(loaded.score_samples(X), detector.score_samples(X))
    refitted = clone(loaded).fit(X).score_samples(X)
    np.testing.assert_array_equal(refitted, detector.score_samples(X))


def test_deepcopy_keeps_functions(make_detector, X):
    fitted = make_detector(max_iter=1, encoder=make_encoder).fit(X)
    copied = copy.deepcopy(fitted)
    np.testing.assert_array_equal(copied.score_samples(X), fitted.score_samples(X))
    smaller = clone(copied).set_params(latent_dim=2).fit(X)
    assert smaller.transform(X).shape == (len(X), 2)


def test_a_network_set_after_fit_is_kept(make_detector, X, tmp_path):
    fitted = make_detector(max_iter=1, encoder=make_encoder((5,), 3)).fit(X)
    fitted.set_params(latent_dim=2, encoder=make_encoder((5,), 2))
    save(fitted, tmp_path / "m")
    for same in (copy.deepcopy(fitted), load(tmp_path / "m")):
        np.testing.assert_array_equal(same.score_samples(X), fitted.score_samples(X))
        assert clone(same).fit(X).transform(X).shape == (len(X), 2)


def test_meta_estimator_around_a_keras_model_is_saved(make_detector, X, tmp_path):
    meta = FixedThresholdDetector(make_detector(max_iter=2, encoder=make_encoder((5,), 3))).fit(X)
    save(meta, tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").score_samples(X), meta.score_samples(X))


def test_calibrated_threshold_is_saved(detector, X, tmp_path):
    labels = np.arange(len(X)) % 40 == 0
    for calibration in ("sigmoid", "isotonic"):
        tuned = TunedThresholdDetectorCV(detector, cv="prefit", calibration=calibration)
        tuned.set_params(scoring="f1").fit(X, labels)
        assert isinstance(tuned.calibrator_, CalibratedClassifierCV)
        save(tuned, tmp_path / "m")
        loaded = load(tmp_path / "m")
        np.testing.assert_array_equal(loaded.predict_proba(X), tuned.predict_proba(X))


@pytest.fixture(scope="module")
def all_steps(make_detector, table):
    """A pipeline over the usual preprocessing steps of scikit-learn."""
    columns = make_column_transformer(
        (SimpleImputer(add_indicator=True), ["b"]),
        (make_pipeline(KBinsDiscretizer(3, quantile_method="linear")), ["a"]),
        (QuantileTransformer(n_quantiles=10), ["c"]),
        (make_union(StandardScaler(), RobustScaler(), PowerTransformer()), ["d"]),
        (make_pipeline(SimpleImputer(), PCA(2)), ["a", "b", "c"]),
        (OneHotEncoder(), ["side"]),
        (OrdinalEncoder(), ["side"]),
        sparse_threshold=0,
    )
    return make_pipeline(columns, make_detector(max_iter=1)).fit(table)


def test_usual_steps_of_scikit_learn_are_saved(all_steps, table, tmp_path):
    save(all_steps, tmp_path / "m")
    loaded = load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.score_samples(table), all_steps.score_samples(table))


def test_an_infinite_threshold_is_copied_and_saved(of_table, table, tmp_path):
    detector = copy.deepcopy(of_table)
    detector.offset_ = -np.inf
    save(detector, tmp_path / "m")
    for same in (copy.deepcopy(detector), load(tmp_path / "m")):
        assert (same.predict(table) == 1).all()


# What a file tells


def test_inspect_tells_without_loading(path, of_table, table):
    info = inspect(path)
    assert info.model == "vae_anomaly.detector.VAEAnomalyDetector"
    assert info.versions["vae-anomaly"] == vae_anomaly.__version__
    assert info.threshold == of_table.offset_
    assert info.n_samples == 150
    assert info.trained_at.endswith("+00:00")
    assert [column.name for column in info.columns] == list(table.columns)
    assert [column.kind for column in info.columns] == [*["number"] * 5, "category"]
    assert info.columns[0].minimum == table["a"].min()
    assert info.columns[1].maximum == table["b"].max()
    assert info.columns[5].levels == ("x", "y", "z")
    assert info.digest == path.read_bytes()[-64:].decode()


def test_summary_is_for_people(path, detector, tmp_path, X):
    summary = str(inspect(path))
    assert "VAEAnomalyDetector" in summary
    assert "on 150 rows" in summary
    assert "side: category, 3 levels x, y, z" in summary
    pipeline = make_pipeline(StandardScaler(), clone(detector)).fit(X)
    save(pipeline, tmp_path / "m")
    assert str(inspect(tmp_path / "m")).startswith("Pipeline > StandardScaler > VAEAnomaly")


def test_partial_fit_counts_rows_and_widens_ranges(make_detector, X):
    detector = make_detector(max_iter=1).partial_fit(X[:200])
    first = detector.data_max_
    detector.partial_fit(X[200:] + 100)
    assert detector.n_samples_seen_ == 400
    assert (detector.data_max_ > first + 50).all()
    np.testing.assert_array_equal(detector.data_min_, X[:200].min(axis=0))


# What is refused

N_CORRUPTED = 200


def corruptions(data):
    """Make damaged versions of a model file."""
    rng = np.random.RandomState(0)
    for at in rng.choice(len(data), N_CORRUPTED // 2, replace=False):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randint(8)
        yield bytes(flipped)
    for length in [0, 1, 2, 10, *rng.choice(len(data), N_CORRUPTED // 4)]:
        yield data[:length]
    for at in rng.choice(len(data), N_CORRUPTED // 4):
        yield data[:at] + rng.bytes(7) + data[at:]
    yield data + b"\0"
    yield data + data
    yield rng.bytes(1000)


def test_damaged_files_are_refused(path, tmp_path):
    damaged = list(corruptions(path.read_bytes()))
    assert len(damaged) > N_CORRUPTED
    for data in damaged:
        (tmp_path / "m.skops").write_bytes(data)
        with pytest.raises(ValueError, match="is not a model file"):
            load(tmp_path / "m.skops")
        with pytest.raises(ValueError, match="is not a model file"):
            inspect(tmp_path / "m.skops")


def leaves(state, path=()):
    """Give the places of all values in nested dictionaries, lists and tuples."""
    items = state.items() if isinstance(state, dict) else enumerate(state)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list | tuple):
            yield from leaves(value, (*path, key))


def with_value(state, path, value):
    """Copy a nested state with another value in one place."""
    if not path:
        return value
    key, *rest = path
    if isinstance(state, dict):
        return {**state, key: with_value(state[key], rest, value)}
    return type(state)(
        with_value(old, rest, value) if at == key else old for at, old in enumerate(state)
    )


WRONG = {
    "none": None,
    "text": "relu6",
    "short": np.zeros(1, np.float32),
    "huge": 10**12,
    "negative": -1,
    "list": [[]],
    "nan": float("nan"),
}
MAY_BE_ANYTHING = {
    # None stands for no custom network, no calibration.
    ("_vae", "spec", "encoder_config", "none"),
    ("_vae", "spec", "decoder_config", "none"),
    ("_vae", "calibration", "none"),
    # Numbers that are as possible as those of training.
    ("_vae", "spec", "dropout", "negative"),
    ("_vae", "spec", "dropout", "huge"),
    ("_vae", "beta", "negative"),
    ("_vae", "beta", "huge"),
    ("offset_", "negative"),
    ("offset_", "huge"),
    *(
        ("_vae", "calibration", name, kind)
        for name in ("kl_whole", "kl_empty", "exponent")
        for kind in ("negative", "huge")
    ),
}


def test_wrong_types_and_shapes_inside_are_refused(of_table, tmp_path, monkeypatch):
    """The files are whole, and skops trusts all that is in them."""
    state = of_table.__getstate__()
    n_refused = 0
    for place in leaves({name: state[name] for name in ("_vae", "offset_", "n_features_in_")}):
        for kind, value in WRONG.items():
            if (*place, kind) in MAY_BE_ANYTHING:
                continue
            wrong = with_value(state, place, value)
            monkeypatch.setattr(VAEAnomalyDetector, "__getstate__", lambda self, s=wrong: s)
            save(of_table, tmp_path / "m")
            with pytest.raises(ValueError):
                load(tmp_path / "m")
                pytest.fail(f"{kind} at {place} was taken")
            n_refused += 1
    assert n_refused > N_CORRUPTED


def swap(members):
    """Swap arrays of different shapes."""
    first, *rest = [name for name in members if name.endswith(".npy")]
    other = next(name for name in rest if len(members[name]) != len(members[first]))
    members[first], members[other] = members[other], members[first]


def claim_huge_array(members):
    name = next(name for name in members if name.endswith(".npy"))
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**11,)}
    np.lib.format.write_array_header_1_0(buffer, header)
    members[name] = buffer.getvalue() + b"\0" * 8


def claim_huge_array_by_another_name(members):
    name = next(name for name in members if name.endswith(".npy"))
    claim_huge_array(members)
    members["x.bin"] = members.pop(name)
    members["schema.json"] = members["schema.json"].replace(name.encode(), b"x.bin")


def make_dtype_of_state(members):
    """Name a type that is trusted, in a way that gives it any state."""
    schema = json.loads(members["schema.json"])
    schema["content"]["content"]["encoder"] = {
        "__class__": "dtype",
        "__module__": "numpy",
        "__loader__": "ObjectNode",
        "__id__": 1,
    }
    members["schema.json"] = json.dumps(schema).encode()


def pickle_in_array(members):
    name = next(name for name in members if name.endswith(".npy"))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Runs()], object), allow_pickle=True)
    members[name] = buffer.getvalue()


def nest_deeply(members):
    members["schema.json"] = b"[" * 100_000 + b"]" * 100_000


def refer_without_end(members):
    """Lists of twice the same list, sixty levels deep."""
    inner = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    tree = {**inner, "content": []}
    for number in range(60):
        same = {**tree, "__id__": number + 1}
        tree = {
            **inner,
            "content": [same, {**inner, "__loader__": "CachedNode", "__id__": number + 1}],
        }
    schema = json.loads(members["schema.json"])
    members["schema.json"] = json.dumps({**schema, **tree}).encode()


def call_system(members):
    """Name a function in place of the class of the detector."""
    text = members["schema.json"].decode()
    members["schema.json"] = (
        text.replace("VAEAnomalyDetector", "system").replace("vae_anomaly.detector", "os").encode()
    )


def rename(members):
    members["vae_anomaly.json"] = members["vae_anomaly.json"].replace(b"detector", b"elsewhere")


def come_from_the_future(members):
    info = json.loads(members["vae_anomaly.json"])
    info |= {"format": 99, "versions": {"vae-anomaly": "9.0"}}
    members["vae_anomaly.json"] = json.dumps(info).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap, "cannot be loaded"),
        (claim_huge_array, "does not have the size"),
        (claim_huge_array_by_another_name, "does not have the size"),
        (make_dtype_of_state, "numpy.dtype is not made out of an array"),
        (lambda members: members.update({"x.py": b""}), "has a part 'x.py'"),
        (pickle_in_array, "is not valid"),
        (nest_deeply, "is not valid"),
        (refer_without_end, "without end"),
        (call_system, "Untrusted types.*os.system"),
        (rename, "describes another model"),
        (come_from_the_future, "Install the version that wrote it, 9.0"),
        (lambda members: members.pop("schema.json"), "is not valid"),
        (lambda members: members.pop("vae_anomaly.json"), "no valid description"),
        (lambda members: members.update({"vae_anomaly.json": b"[]"}), "no valid description"),
        (lambda members: members.update({"vae_anomaly.json": b"{"}), "no valid description"),
    ],
)
def test_crafted_files_are_refused(path, tmp_path, change, message):
    """They have a valid digest, which finds damage and not forgery."""
    (tmp_path / "m").write_bytes(changed(path.read_bytes(), change))
    with little_memory(), pytest.raises(ValueError, match=message):
        load(tmp_path / "m")


def test_zip_bombs_are_refused(path, tmp_path):
    def grow(members):
        members["bomb"] = bytes(200_000_000)

    (tmp_path / "m").write_bytes(changed(path.read_bytes(), grow, zipfile.ZIP_DEFLATED))
    with little_memory(), pytest.raises(ValueError, match="compressed"):
        load(tmp_path / "m")


class Runs:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def test_crafted_pickles_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, write in (("m.joblib", joblib.dump), ("m.pkl", None)):
        if write is None:
            Path(name).write_bytes(pickle.dumps(Runs()))
        else:
            write(Runs(), name)
        with pytest.raises(ValueError, match=r"not a model file.*can run any code.*allow_pickle"):
            load(name)
        with pytest.raises(ValueError, match="is not a model file"):
            inspect(name)
    assert not Path("ran").exists()


def test_pickles_are_only_spoken_of_where_there_may_be_one(of_table, tmp_path):
    for compress in (0, 3, "gzip"):
        joblib.dump(of_table, tmp_path / "m", compress=compress)
        with pytest.raises(ValueError, match="allow_pickle"):
            load(tmp_path / "m")
    (tmp_path / "m").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"not a model file of vae_anomaly, or it is damaged\.$"):
        load(tmp_path / "m")


def test_damaged_pickles_are_refused_unread(of_table, tmp_path):
    joblib.dump(of_table, tmp_path / "m.joblib")
    damaged = list(corruptions((tmp_path / "m.joblib").read_bytes()))
    assert len(damaged) > N_CORRUPTED
    for data in damaged:
        (tmp_path / "m.joblib").write_bytes(data)
        with pytest.raises(ValueError, match="is not a model file"):
            load(tmp_path / "m.joblib")


def test_pickles_load_with_a_flag_and_a_warning(of_table, table, tmp_path):
    joblib.dump(of_table, tmp_path / "m.joblib")
    with pytest.warns(UserWarning, match="can run any code.*Save the model anew"):
        loaded = load(tmp_path / "m.joblib", allow_pickle=True)
    np.testing.assert_array_equal(loaded.score_samples(table), of_table.score_samples(table))
    (tmp_path / "m.joblib").write_bytes(b"\x80\x04damaged")
    with (
        pytest.warns(UserWarning, match="can run any code"),
        pytest.raises(ValueError, match="cannot be loaded"),
    ):
        load(tmp_path / "m.joblib", allow_pickle=True)


def with_part(config, part):
    """Change a layer in the configuration of a network."""
    parsed = json.loads(config)
    parsed["config"]["layers"][1] |= part
    return json.dumps(parsed)


def test_networks_that_name_other_code_are_refused(make_detector, X, tmp_path, monkeypatch):
    detector = make_detector(max_iter=1, encoder=make_encoder).fit(X)
    state = detector.__getstate__()
    place = ("_vae", "spec", "encoder_config")
    config = state["_vae"]["spec"]["encoder_config"]
    registered = {"registered_name": "vae_anomaly>Sampling"}
    bad_parts = [
        {"module": "antigravity", "registered_name": "fly"},
        {"module": "antigravity", **registered},
        {"class_name": "Lambda"},
        {"class_name": "StringLookup"},
        {"class_name": "__lambda__", **registered},
        {"class_name": "function", "module": "os", "config": "system", **registered},
    ]
    for part in bad_parts:
        bad = with_part(config, part)
        wrong = with_value(state, place, bad)
        monkeypatch.setattr(VAEAnomalyDetector, "__getstate__", lambda self, s=wrong: s)
        save(detector, tmp_path / "m")
        with pytest.raises(ValueError, match="free of code nor registered"):
            load(tmp_path / "m")
    assert "antigravity" not in sys.modules


class Step(BaseEstimator):
    """A step of the user's own."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


def test_types_of_others_must_be_named(make_detector, X, tmp_path):
    pipeline = make_pipeline(Step(), make_detector(max_iter=1)).fit(X)
    name = f"{Step.__module__}.Step"
    with pytest.raises(ValueError, match=name):
        save(pipeline, tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    save(pipeline, tmp_path / "m", trusted=[name])
    with pytest.raises(ValueError, match=name):
        load(tmp_path / "m")
    loaded = load(tmp_path / "m", trusted=[name])
    np.testing.assert_array_equal(loaded.score_samples(X), pipeline.score_samples(X))


def test_what_cannot_be_stored_is_told(make_detector, X, tmp_path):
    pipeline = make_pipeline(FunctionTransformer(lambda X: X), make_detector(max_iter=1)).fit(X)
    with pytest.raises(ValueError, match=r"cannot be saved|not trusted"):
        save(pipeline, tmp_path / "m")


def test_what_is_no_fitted_model_is_not_saved(tmp_path):
    for unfitted in (VAEAnomalyDetector(), make_pipeline(StandardScaler(), VAEAnomalyDetector())):
        with pytest.raises(NotFittedError):
            save(unfitted, tmp_path / "m")
    with pytest.raises(TypeError, match="not an estimator"):
        save({"a": 1}, tmp_path / "m")


def test_of_a_search_the_best_estimator_is_to_be_saved(make_detector, X, tmp_path):
    search = GridSearchCV(make_detector(max_iter=1), {"latent_dim": [1]}, cv=2).fit(X)
    with pytest.raises(ValueError, match="save best_estimator_"):
        save(search, tmp_path / "m")
    save(search.best_estimator_, tmp_path / "m")


def test_other_versions_are_told(path, tmp_path, table, of_table):
    def older(members):
        info = json.loads(members["vae_anomaly.json"])
        info["versions"]["vae-anomaly"] = "0.0.1"
        members["vae_anomaly.json"] = json.dumps(info).encode()

    (tmp_path / "m").write_bytes(changed(path.read_bytes(), older))
    with pytest.warns(UserWarning, match=r"saved with vae-anomaly 0.0.1 \(here"):
        loaded = load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.score_samples(table), of_table.score_samples(table))


def test_files_of_skops_itself_are_told_apart(of_table, tmp_path):
    skops.io.dump(of_table, tmp_path / "m.skops")
    with pytest.raises(ValueError, match="is not a model file"):
        load(tmp_path / "m.skops")


def test_trees_of_scikit_learn_need_their_name(X, tmp_path):
    tree = ["sklearn.tree._tree.Tree"]
    forest = FixedThresholdDetector(IsolationForest(n_estimators=2, random_state=0)).fit(X)
    save(forest, tmp_path / "m", trusted=tree)
    np.testing.assert_array_equal(load(tmp_path / "m", trusted=tree).predict(X), forest.predict(X))


# Crashes

CRASHES = """
import os, signal, sys, time
from vae_anomaly import load, save
source, target = sys.argv[1:]
model = load(source)
for number in range(3):
    child = os.fork()
    while not child:
        save(model, target)
    time.sleep(0.05 + 0.013 * number)
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    load(target)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_crash_while_saving_leaves_a_whole_file(path, tmp_path, run_python):
    target = tmp_path / "m.skops"
    target.write_bytes(path.read_bytes())
    assert run_python(CRASHES, path, target).split() == [str(-signal.SIGKILL)] * 3


@pytest.mark.parametrize("step", ["write", "flush", "replace"])
def test_an_error_while_saving_leaves_the_old_file(of_table, path, tmp_path, monkeypatch, step):
    target = tmp_path / "m.skops"
    target.write_bytes(path.read_bytes())

    def fail(*arguments, **keywords):
        raise OSError("no space left on device")

    owner, name = {
        "write": (Path, "write_bytes"),
        "flush": (os, "fsync"),
        "replace": (os, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match="no space left"):
        save(of_table, target)
    monkeypatch.undo()
    assert target.read_bytes() == path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["m.skops"]
