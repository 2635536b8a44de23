"""Model files: saving and loading models without running code.

The models themselves are stored by skops, which rebuilds only objects of types that the reader
trusts. What is added here are the list of these types, a description of the model, a digest, and
bounds on what a damaged or crafted file can ask for.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.files import replacing
from vae_anomaly.model_info import ModelInfo
from vae_anomaly.networks.config import dicts

TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "vae_anomaly.batch.schema.TableSchema",
    "vae_anomaly.calendar_encoder.CalendarEncoder",
    "vae_anomaly.detector.VAEAnomalyDetector",
    "vae_anomaly.networks.config.NetworkConfig",
    "vae_anomaly.thresholds.conformal.ConformalDetector",
    "vae_anomaly.thresholds.fixed.FixedThresholdDetector",
    "vae_anomaly.thresholds.objectives.AlarmBudget",
    "vae_anomaly.thresholds.objectives.AlarmCost",
    "vae_anomaly.thresholds.objectives.AutoThreshold",
    "vae_anomaly.thresholds.objectives.ExtremeValueTail",
    "vae_anomaly.thresholds.objectives.FBeta",
    "vae_anomaly.thresholds.objectives.PrecisionAtK",
    "vae_anomaly.thresholds.objectives.RecallAtPrecision",
    "vae_anomaly.thresholds.splitting.OneClassKFold",
    "vae_anomaly.thresholds.tuned.TunedThresholdDetectorCV",
    "vae_anomaly.thresholds.tuned._ScoreClassifier",
    "vae_anomaly.time_series.whitening.WindowWhitening",
    "vae_anomaly.time_series.windowed.WindowedDetector",
    "vae_anomaly.time_series.windows.SlidingWindow",
)
"""The types that `load` trusts in addition to those of skops, most of them of this package.

Their state consists of parameters, numbers, strings and arrays, and nothing in it is called. A
detector needs the name of its class alone, and `NetworkConfig` if its networks are the user's own.
Two classes of scikit-learn are those of ``TunedThresholdDetectorCV(calibration=...)``, and
preprocessing steps such as `SimpleImputer` keep the types of their columns as `numpy.dtype`.
"""

_INFO = "vae_anomaly.json"
_MARK = b"sha256:"
_DIGEST_LENGTH = 64
_LARGEST_RATIO = 100
"""How many times larger than itself a sparse matrix in a file may become."""
_LARGEST_TREE = 10_000_000
_SUFFIXES = (".npy", ".npz", ".bin")
"""The suffixes of what skops writes beside the tree of objects: arrays, sparse matrices, bytes."""
_ZLIB = (b"x\x01", b"x^", b"x\x9c", b"x\xda")
_PICKLES = (b"\x80", *_ZLIB, b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18")
"""The first bytes of pickles, and of what joblib compresses them with."""


def save(model: Any, path: str | os.PathLike[str], *, trusted: Iterable[str] = ()) -> None:
    """Save a model to a file that can be loaded without running code from it.

    Parameters
    ----------
    model : estimator
        A fitted detector, a meta-estimator around one, or a pipeline.
    path : str or path-like
        The file to write, by convention with the suffix ".skops". An existing file is replaced once
        the new one is complete: whatever happens meanwhile, one of the two is there, whole.
    trusted : iterable of str, default=()
        The full names of types and functions in the model that neither `TRUSTED_TYPES` nor skops
        trusts, such as steps of your own. `load` needs them, too.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If `model` is not an estimator.
    ValueError
        If the model holds types that are not trusted, or parts that cannot be stored.

    See Also
    --------
    load : Loads the model.
    inspect : Tells what a file holds, without loading the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from vae_anomaly import VAEAnomalyDetector, load, save
    >>> X = np.random.RandomState(0).normal(size=(100, 2))
    >>> detector = VAEAnomalyDetector(max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(detector, Path(folder, "model.skops"))
    ...     same = load(Path(folder, "model.skops"))
    >>> bool((same.score_samples(X) == detector.score_samples(X)).all())
    True
    """
    import skops.io

    check_is_fitted(model)
    try:
        stored = skops.io.dumps(model)
    except Exception as error:  # skops lets through whatever the parts of a model raise
        raise ValueError(f"The model cannot be saved: {error}") from error
    strangers = set(skops.io.get_untrusted_types(data=stored)).difference(TRUSTED_TYPES, trusted)
    if strangers:
        best = " Of a search, save best_estimator_." if hasattr(model, "best_estimator_") else ""
        raise ValueError(
            f"The model holds types or functions that are not trusted: {sorted(strangers)}. If you "
            "do trust them, name them in `trusted` here and in load; better, replace functions by "
            f"steps of scikit-learn, or encoders and decoders by Keras models.{best}"
        )
    buffer = io.BytesIO(stored)
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr(_INFO, ModelInfo.of(model).to_json())
        file.comment = _MARK + b"0" * _DIGEST_LENGTH
    data = buffer.getvalue()[:-_DIGEST_LENGTH]
    with replacing(path) as part:
        part.write_bytes(data + _digest(data))


def load(
    path: str | os.PathLike[str], *, trusted: Iterable[str] = (), allow_pickle: bool = False
) -> Any:
    """Load a model from a file, without running code from it.

    Parameters
    ----------
    path : str or path-like
        A file written by `save`, or a .onnx file written by `to_onnx`. The content decides which it
        is.
    trusted : iterable of str, default=()
        The full names of types and functions to trust in addition to `TRUSTED_TYPES` and to those
        that skops trusts.
    allow_pickle : bool, default=False
        Whether to load files of joblib and pickle, too. They can run any code that someone has put
        into them, so set it only for files that have never left your hands.

    Returns
    -------
    model : estimator or OnnxDetector
        The fitted model.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a model file, was written by a version that this one cannot
        read, or holds types that are not trusted.

    Warns
    -----
    UserWarning
        If the file was written with another version of vae-anomaly or scikit-learn, or is a pickle.

    See Also
    --------
    save : Writes the file.
    inspect : Tells what a file holds, without loading the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector, load, save
    >>> X = load_iris().data
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(detector, Path(folder, "model.skops"))
    ...     model = load(Path(folder, "model.skops"))
    >>> model
    VAEAnomalyDetector(max_iter=5, random_state=0)
    """
    data = Path(path).read_bytes()
    if _is_skops(data):
        return _load_skops(data, path, trusted)
    from vae_anomaly.onnx.files import is_onnx

    if is_onnx(data):
        from vae_anomaly.onnx.scoring import OnnxDetector

        return OnnxDetector(path).fit()
    if allow_pickle:
        return _load_pickle(path)
    if data.startswith(_PICKLES):
        raise ValueError(
            f"{_no_model_file(path)} It looks like a file of joblib or pickle, which can run any "
            "code: if you made it yourself, load it once with allow_pickle=True and save it anew."
        )
    raise ValueError(_no_model_file(path))


def inspect(path: str | os.PathLike[str]) -> ModelInfo:
    """Describe what a model file holds, without loading the model.

    Parameters
    ----------
    path : str or path-like
        A file written by `save` or `to_onnx`.

    Returns
    -------
    info : ModelInfo
        The class of the model, the versions it was saved with, when and on how many rows it was
        trained, its columns, its threshold and the digest of the file. Print it for a summary.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or is not a model file.

    See Also
    --------
    load : Loads the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector, inspect, save
    >>> X = load_iris().data
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(detector, Path(folder, "model.skops"))
    ...     info = inspect(Path(folder, "model.skops"))
    >>> info.model, info.n_samples
    ('vae_anomaly.detector.VAEAnomalyDetector', 150)
    """
    data = Path(path).read_bytes()
    if _is_skops(data):
        with _opened(data, path) as file:
            return _info(file, data, path)
    from vae_anomaly.onnx.files import is_onnx, read_info

    if is_onnx(data):
        return read_info(data, path)
    raise ValueError(_no_model_file(path))


def _no_model_file(path: Any) -> str:
    return f"{path} is not a model file of vae_anomaly, or it is damaged."


def _load_skops(data: bytes, path: Any, trusted: Iterable[str]) -> Any:
    import skops.io

    with _opened(data, path) as file:
        info = _info(file, data, path)
        _check_members(file, path)
    if others := info.other_versions():
        warnings.warn(
            f"{path} was saved with {', '.join(others)}. Compare scores of known rows before you "
            "rely on it, and save it anew.",
            stacklevel=3,
        )
    try:
        model = skops.io.loads(data, trusted=[*TRUSTED_TYPES, *trusted])
    except Exception as error:  # a crafted file may raise anything
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    if not info.describes(model):
        raise ValueError(f"{path} describes another model than it holds; it has been changed.")
    return model


def _load_pickle(path: Any) -> Any:
    import joblib

    warnings.warn(
        f"{path} is loaded as a pickle, which can run any code. Save the model anew with "
        "vae_anomaly.save.",
        stacklevel=3,
    )
    try:
        return joblib.load(path)
    except Exception as error:  # unpickling may raise anything
        raise ValueError(f"{path} cannot be loaded: {error!r}") from error


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _is_skops(data: bytes) -> bool:
    """Return whether this is a whole file of `save`: a zip archive that ends in its digest."""
    rest, digest = data[:-_DIGEST_LENGTH], data[-_DIGEST_LENGTH:]
    return data.startswith(b"PK") and rest.endswith(_MARK) and _digest(rest) == digest


def _opened(data: bytes, path: Any) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is no valid archive: {error}") from error


def _info(file: zipfile.ZipFile, data: bytes, path: Any) -> ModelInfo:
    _check_sizes(file, len(data), path)
    try:
        return ModelInfo.from_json(file.read(_INFO), data[-_DIGEST_LENGTH:].decode())
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(f"{path} has no valid description of its model: {error!r}") from error


def _check_sizes(file: zipfile.ZipFile, n_bytes: int, path: Any) -> None:
    """Raise ValueError if the members of an archive are larger than itself, as a bomb's are."""
    members = file.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError(f"{path} has compressed parts, which save does not write.")
    if sum(member.file_size for member in members) > n_bytes:
        raise ValueError(f"{path} claims to hold more than its size.")
    if len({member.filename for member in members}) < len(members):
        raise ValueError(f"{path} has two parts of one name.")


def _check_members(file: zipfile.ZipFile, path: Any) -> None:
    """Raise ValueError if arrays or the tree of objects ask for more memory than they have."""
    try:
        for member in file.infolist():
            if member.filename in ("schema.json", _INFO):
                continue
            if not member.filename.endswith(_SUFFIXES):
                raise ValueError(f"it has a part {member.filename!r}, which save does not write")
            _check_member(file.read(member))
        tree = json.loads(file.read("schema.json"))
        _check_tree(tree)
        _check_dtypes(tree)
    except (KeyError, TypeError, RecursionError, zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f"{path} is not valid: {error}") from error


def _check_member(content: bytes) -> None:
    """Raise ValueError if it claims to hold more than it does.

    The first bytes count, as they do for NumPy: any name may stand for an array.
    """
    if content.startswith(b"\x93NUMPY"):
        _check_npy(content)
    elif content.startswith(b"PK"):
        _check_npz(content)


def _check_npy(content: bytes) -> None:
    stream = io.BytesIO(content)
    major, minor = np.lib.format.read_magic(stream)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    if major not in read:
        raise ValueError(f"an array is of version {major}.{minor}")
    shape, _, dtype = read[major](stream)
    n_bytes = dtype.itemsize * int(np.prod(shape, dtype=object))
    if dtype.hasobject or n_bytes != len(content) - stream.tell():
        raise ValueError("an array does not have the size that it claims to have")


def _check_npz(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if sum(member.file_size for member in file.infolist()) > _LARGEST_RATIO * len(content):
            raise ValueError("a sparse matrix claims to hold far more than its size")
        for member in file.infolist():
            if (part := file.read(member)).startswith(b"\x93NUMPY"):
                _check_npy(part)


def _check_dtypes(tree: Any) -> None:
    """Raise ValueError if a `numpy.dtype` is to be made otherwise than out of an array.

    NumPy would take any state for it, also one that crashes the process.
    """
    for part in dicts(tree):
        name = f"{part.get('__module__')}.{part.get('__class__')}"
        if name == "numpy.dtype" and part.get("__loader__") != "DTypeNode":
            raise ValueError("a numpy.dtype is not made out of an array")


def _check_tree(tree: Any) -> None:
    """Raise ValueError if objects that refer to each other unfold to a tree without end.

    skops follows every reference again, so that a few of them could keep it busy for ever.
    """
    sizes: dict[Any, int] = {}

    def size(part: Any) -> int:
        if isinstance(part, list):
            return 1 + sum(map(size, part))
        if not isinstance(part, dict):
            return 1
        name = part.get("__id__")
        if name is not None and name in sizes:
            return sizes[name]
        total = 1 + sum(map(size, part.values()))
        if name is not None:
            sizes[name] = total
        if total > _LARGEST_TREE:
            raise ValueError("its objects refer to each other without end")
        return total

    size(tree)
