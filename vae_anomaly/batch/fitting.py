"""Training a detector on a table, in memory or beyond it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.schema import TableSchema
from vae_anomaly.calendar_encoder import CalendarEncoder

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Bad, Source
    from vae_anomaly.detector import VAEAnomalyDetector

MAX_CELLS = 50_000_000
"""The largest number of cells that is trained on in memory; it then takes about 2 GB."""


@dataclass(frozen=True)
class Split:
    """Which rows of a table are trained on, and which are held out to measure on."""

    train: np.ndarray
    """(n_rows,), bool."""
    held_out: np.ndarray
    """(n_rows,), bool."""

    @classmethod
    def of(
        cls, labels: np.ndarray, *, inliers_only: bool, test_size: float, random_state: int
    ) -> Split:
        """Hold out a share of the rows of both labels, at random.

        Parameters
        ----------
        labels : ndarray of shape (n_rows,)
            1 for outliers and 0 for inliers.
        inliers_only : bool
            Whether outliers that are not held out are left out of the training.
        test_size : float
            The share to hold out, between 0 and 1.
        random_state : int
            The seed.
        """
        kept, held = train_test_split(
            np.arange(len(labels)), test_size=test_size, stratify=labels, random_state=random_state
        )
        train, held_out = np.zeros((2, len(labels)), bool)
        train[kept] = held_out[held] = True
        if inliers_only:
            train &= labels == 0
        return cls(train, held_out)


def fit_table(
    source: Source,
    columns: Sequence[dict[str, Any]],
    detector: VAEAnomalyDetector,
    *,
    n_rows: int,
    train: np.ndarray | None = None,
    bad: Bad = "stop",
    in_memory: bool | None = None,
) -> Pipeline:
    """Train a detector on the rows of a table.

    Parameters
    ----------
    source : Source
        The table.
    columns : sequence of dict
        The columns to learn from, as `find_schema` returns them.
    detector : VAEAnomalyDetector
        The detector. Its `categorical_features` are set to the columns of categories.
    n_rows : int
        The number of rows of the table.
    train : ndarray of shape (n_rows,), dtype bool, or None, default=None
        Which rows to train on. By default, all are.
    bad : {"stop", "missing"}, default="stop"
        Whether a cell that does not fit its column raises TableError or counts as missing.
    in_memory : bool or None, default=None
        Whether the rows are trained on in memory, by `fit`, or read once per epoch, by
        `fit_batches`. By default, tables of up to 50 million cells are held in memory.

    Returns
    -------
    model : Pipeline
        The fitted model: a `TableSchema`, a `CalendarEncoder` if there are dates, and the detector.

    Raises
    ------
    TableError
        If a cell does not fit its column, or there is no row to train on.

    See Also
    --------
    find_schema : Finds the columns and the number of rows.
    score_table : Scores files with the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source, find_schema, fit_table
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     X.to_csv(path, index=False)
    ...     source = Source.open([path])
    ...     found = find_schema(source)
    ...     detector = VAEAnomalyDetector(max_iter=5, random_state=0)
    ...     model = fit_table(source, found.columns, detector, n_rows=found.n_rows)
    >>> [name for name, _ in model.steps]
    ['schema', 'detector']
    """
    model = make_pipeline_for(columns, detector, source.options.missing)
    n_train = n_rows if train is None else int(train.sum())
    if n_train < 2:
        raise TableError(f"{source} has {n_train} rows to train on; at least two are needed")
    frames = functools.partial(_frames, source, model["schema"], train, bad)
    if in_memory is None:
        in_memory = n_train * len(columns) <= MAX_CELLS
    if in_memory:
        return model.fit(pd.concat(frames(), ignore_index=True))
    model["schema"].fit_batches(frames)
    for _, step in model.steps[1:-1]:
        step.fit(next(frames()))  # the names of columns are all that is learned of dates
    model[-1].fit_batches(lambda: map(model[:-1].transform, frames()))
    return model


def make_pipeline_for(
    columns: Sequence[dict[str, Any]], detector: VAEAnomalyDetector, missing: Sequence[str] = ()
) -> Pipeline:
    """Return the pipeline for a table with these columns.

    Parameters
    ----------
    columns : sequence of dict
        The columns, as `find_schema` returns them.
    detector : VAEAnomalyDetector
        The detector. Its `categorical_features` are set.
    missing : sequence of str, default=()
        Texts that stand for missing values.
    """
    names: dict[str, list[str]] = {"number": [], "date": [], "category": []}
    for column in columns:
        names[column["kind"]].append(column["name"])
    detector.set_params(categorical_features=names["category"] or None)
    steps: list[tuple[str, Any]] = [("schema", TableSchema(list(columns), tuple(missing)))]
    if names["date"]:
        dates = ColumnTransformer(
            [("dates", CalendarEncoder(), names["date"])],
            remainder="passthrough",
            verbose_feature_names_out=False,
        )
        steps.append(("dates", dates.set_output(transform="pandas")))
    return Pipeline([*steps, ("detector", detector)])


def _frames(
    source: Source, schema: TableSchema, train: np.ndarray | None, bad: Bad
) -> Iterator[pd.DataFrame]:
    for frame in source.frames(schema, bad=bad):
        table = frame.table if train is None else frame.table[train[frame.rows - 1]]
        if len(table):
            yield table
