"""OnnxDetector: scoring with a .onnx file by onnxruntime."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, gen_batches

from vae_anomaly.decision import OffsetMixin
from vae_anomaly.documentation import DocLinkMixin
from vae_anomaly.html_view import LearnedViewMixin
from vae_anomaly.inputs import check_rows, without_arrow
from vae_anomaly.learned import Learned, threshold_in_words, trained_in_words
from vae_anomaly.model_info import ModelInfo
from vae_anomaly.onnx.files import is_onnx, read_info
from vae_anomaly.wording import counted

if TYPE_CHECKING:
    import onnxruntime
    from numpy.typing import ArrayLike

_CHUNK_ROWS = 2048
"""The number of rows that are scored at a time, which bounds the memory."""


class OnnxDetector(LearnedViewMixin, DocLinkMixin, OffsetMixin, BaseEstimator):
    """Score rows with a .onnx file that `to_onnx` has written.

    This needs onnxruntime, but neither TensorFlow nor the training rows. It can be used wherever a
    fitted detector can: `fit` only opens the file again.

    Parameters
    ----------
    path : str or path-like
        The file that `to_onnx` has written.

    Attributes
    ----------
    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.

    info_ : ModelInfo
        What the file says about the model.

    n_features_in_ : int
        The number of columns.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the columns, if the model was trained on a dataframe.

    is_text_ : ndarray of shape (`n_features_in_`,), dtype bool
        Whether each column holds text.

    See Also
    --------
    to_onnx : Writes the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx
    >>> X = np.random.RandomState(0).normal(size=(100, 2))
    >>> detector = VAEAnomalyDetector(max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(detector, Path(folder, "model.onnx"))
    ...     same = OnnxDetector(Path(folder, "model.onnx")).fit(X)
    >>> bool(np.allclose(same.score_samples(X), detector.score_samples(X), rtol=1e-4))
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def fit(self, X: object = None, y: object = None) -> Self:
        """Open the file. There is nothing to learn.

        Parameters
        ----------
        X, y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : OnnxDetector
            The detector.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged or was not written by `to_onnx`.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx
        >>> X = load_iris().data
        >>> model = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_onnx(model, Path(folder, "model.onnx"))
        ...     detector = OnnxDetector(Path(folder, "model.onnx")).fit()
        >>> detector.n_features_in_
        4
        """
        del X, y
        # What is kept may be of another path, or of a file that has changed since.
        for name in ("_data", "_session", "_metadata"):
            self.__dict__.pop(name, None)
        self._session  # noqa: B018
        return self

    def run(self, X: ArrayLike) -> dict[str, np.ndarray]:
        """Return all outputs of the file from a single pass.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        outputs : dict of str to ndarray
            "score" (`score_samples`, in nats) and "is_outlier", each of shape (n_samples,), and
            "codes" and "contributions" if the file has them, see `to_onnx`.

        Raises
        ------
        ValueError
            If the file is damaged or was not written by `to_onnx`, or X has other columns than the
            model.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx
        >>> X = load_iris().data
        >>> model = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_onnx(model, Path(folder, "model.onnx"), codes=True)
        ...     detector = OnnxDetector(Path(folder, "model.onnx")).fit()
        >>> {name: output.shape for name, output in detector.run(X).items()}
        {'score': (150,), 'is_outlier': (150,), 'codes': (150, 32)}
        """
        return self._run(X, [output.name for output in self._session.get_outputs()])

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            The scores in nats, float64. The lower, the more abnormal.

        Raises
        ------
        ValueError
            If the file is damaged or was not written by `to_onnx`, or X has other columns than the
            model.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from vae_anomaly import OnnxDetector, VAEAnomalyDetector, to_onnx
        >>> X = load_iris().data
        >>> model = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_onnx(model, Path(folder, "model.onnx"))
        ...     detector = OnnxDetector(Path(folder, "model.onnx")).fit()
        >>> detector.score_samples(X).shape
        (150,)
        """
        return self._run(X, ["score"])["score"]

    @property
    def offset_(self) -> float:
        """The threshold: ``decision_function = score_samples - offset_``."""
        return float(self._metadata["threshold"])

    @property
    def info_(self) -> ModelInfo:
        """What the file says about the model, as `inspect` returns it."""
        return read_info(self._data, self.path)

    @property
    def n_features_in_(self) -> int:
        """The number of columns that the model takes."""
        return int(self._metadata["n_features"])

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the columns, (`n_features_in_`,).

        Raises
        ------
        AttributeError
            If the model was trained on rows without names.
        """
        names = json.loads(self._metadata["feature_names"])
        if names is None:
            raise AttributeError("The model was trained on rows without names.")
        return np.array(names, object)

    @property
    def is_text_(self) -> np.ndarray:
        """Whether each column holds text, (`n_features_in_`,)."""
        kinds = [value.type for value in self._session.get_inputs()]
        is_text = np.array([kind == "tensor(string)" for kind in kinds])
        return np.broadcast_to(is_text, self.n_features_in_)  # one input may hold all columns

    @functools.cached_property
    def _data(self) -> bytes:
        data = Path(self.path).read_bytes()
        if not is_onnx(data):
            raise ValueError(
                f"{self.path} is not a .onnx file of vae_anomaly.to_onnx, or it is damaged."
            )
        return data

    @functools.cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        data = self._data
        try:
            return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        except Exception as error:  # a crafted file may raise anything
            raise ValueError(f"{self.path} cannot be loaded: {error}") from error

    @functools.cached_property
    def _metadata(self) -> dict[str, str]:
        return self._session.get_modelmeta().custom_metadata_map

    def _run(self, X: Any, names: list[str]) -> dict[str, np.ndarray]:
        session = self._session
        feed = self._feed(X)
        n_rows = next(iter(feed.values())).shape[0]
        parts = [
            session.run(names, {name: _dense(array[rows]) for name, array in feed.items()})
            for rows in gen_batches(n_rows, _CHUNK_ROWS)
        ]
        return {
            name: np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
            for name, arrays in zip(names, zip(*parts, strict=True), strict=True)
        }

    def _feed(self, X: Any) -> dict[str, Any]:
        """Return the inputs of the graph."""
        inputs = self._session.get_inputs()
        if not any(self.is_text_) and len(inputs) == 1:
            if getattr(X, "ndim", 2) > 2:  # samples, each of which is one row
                X = np.reshape(X, (len(X), -1))
            return {inputs[0].name: check_rows(self, X, None, "")}
        frame = self._frame(X)
        is_text = self.is_text_
        columns = [frame.iloc[:, number] for number in range(len(inputs))]
        numbers = pd.DataFrame(
            {
                value.name: np.zeros(len(frame)) if text else column
                for value, column, text in zip(inputs, columns, is_text, strict=True)
            },
            index=frame.index,
        )
        named = numbers if hasattr(self, "feature_names_in_") else numbers.to_numpy()
        rows = check_rows(self, named, None, "")
        missing_text = self._metadata["missing_text"]
        return {
            value.name: _texts(column, missing_text) if text else rows[:, [number]]
            for number, (value, column, text) in enumerate(
                zip(inputs, columns, is_text, strict=True)
            )
        }

    def _frame(self, X: Any) -> pd.DataFrame:
        """Return the columns of the model as a dataframe, in its order."""
        X = without_arrow(X)
        if not isinstance(X, pd.DataFrame):
            X = X.to_pandas() if hasattr(X, "to_pandas") else pd.DataFrame(np.asarray(X, object))
        names = [value.name for value in self._session.get_inputs()]
        if hasattr(self, "feature_names_in_"):
            missing = [name for name in names if name not in X.columns]
            if missing:
                raise ValueError(f"X has no column {', '.join(map(repr, missing))}.")
            return X[names]
        if X.shape[1] != len(names):
            raise ValueError(f"X has {X.shape[1]} columns, but the model takes {len(names)}.")
        return X.set_axis(names, axis=1)

    def __getstate__(self) -> dict[str, Any]:
        """Return the bytes of the file, so that copies in other processes do not need the file."""
        return {"path": self.path, "_data": self._data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` has returned."""
        self.__dict__.update(state)

    def _learned(self) -> Learned:
        info, offset = self.info_, self.offset_
        facts = {
            "model": info.names,
            "trained on": trained_in_words(info.n_samples, info.trained_at),
            "threshold": threshold_in_words(offset),
        }
        columns = counted(self.n_features_in_, "column")
        return Learned(f"{columns}, threshold {offset:.4g}", facts, info.columns)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell that it can score right away."""
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _dense(rows: Any) -> np.ndarray:
    if sp.issparse(rows):
        rows = rows.toarray()
    return rows if rows.dtype == object else np.ascontiguousarray(rows, np.float64)


def _texts(column: pd.Series, missing_text: str) -> np.ndarray:
    """Return a column as texts (n, 1), with `missing_text` in place of missing cells."""
    values = column.astype(object)
    texts = np.where(values.isna(), missing_text, values.astype(str))
    return texts.astype(object)[:, None]
