"""What the batch functions need to know of a model: the columns that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.detector import VAEAnomalyDetector
from vae_anomaly.nested import inwards
from vae_anomaly.onnx.scoring import OnnxDetector


def schema_of(model: Any) -> TableSchema:
    """Return the columns that a model takes, with their types.

    Parameters
    ----------
    model : estimator
        A fitted model whose first step is a `TableSchema`, also within meta-estimators; a bare
        `VAEAnomalyDetector` that was fitted on a dataframe; or an `OnnxDetector` whose columns have
        names.

    Returns
    -------
    schema : TableSchema
        The columns.

    Raises
    ------
    ValueError
        If the model does not know the names or the types of its columns.

    See Also
    --------
    find_schema : Finds the kinds of the columns of files.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import schema_of
    >>> X = load_iris(as_frame=True).data
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> [(column.name, column.kind) for column in schema_of(detector).schemas()][0]
    ('sepal length (cm)', 'number')
    """
    for part in inwards(model):
        if hasattr(part, "steps"):
            first = part.steps[0][1]
            if isinstance(first, TableSchema):
                return first
        elif isinstance(part, VAEAnomalyDetector) and part is model:
            return _of_detector(part)
        elif isinstance(part, OnnxDetector) and hasattr(part, "feature_names_in_"):
            names = part.feature_names_in_
            return _of_kinds(names, part.is_text_)
    raise ValueError(
        f"The {type(model).__name__} does not tell the types of its columns, so files cannot be "
        "read for it. Make the model with `vae-anomaly fit`, or let vae_anomaly.TableSchema be the "
        "first step of its pipeline."
    )


def training_scores(model: Any) -> np.ndarray | None:
    """Return the anomaly scores of the rows that the detector of a model was trained on.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    scores : ndarray of shape (n_rows,) or None
        The scores, higher for more abnormal rows; None if the model does not keep them.
    """
    for part in inwards(model):
        if "training_scores_" in vars(part):
            return -part.training_scores_
    return None


def _of_detector(detector: VAEAnomalyDetector) -> TableSchema:
    names = getattr(detector, "feature_names_in_", None)
    if names is None:
        raise ValueError("The VAEAnomalyDetector was fitted without names of columns.")
    categories = {category.column for category in detector._categories}
    return _of_kinds(names, [number in categories for number in range(len(names))])


def _of_kinds(names: Any, is_category: Any) -> TableSchema:
    columns = [
        {"name": str(name), "kind": "category" if is_text else "number"}
        for name, is_text in zip(names, is_category, strict=True)
    ]
    return TableSchema(columns)
