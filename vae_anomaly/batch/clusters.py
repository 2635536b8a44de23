"""score_dask and score_spark: `score_frame` on the parts of a table, wherever a cluster has them.

What a cluster does well is left to it: reading and writing, order, and repeating what was lost with
a worker. The score of a row does not depend on the rows beside it, so the result is that of one
process, whichever worker has scored which part, and however often.

A model is sent to each worker process once. Workers of both clusters have one thread for linear
algebra, by their environment variable OMP_NUM_THREADS, so that they leave each other's cores alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vae_anomaly.batch.scoring import output_columns, score_frame
from vae_anomaly.nested import seen_columns

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pyarrow as pa
    import pyspark.sql


def score_dask(
    model: Any,
    table: dd.DataFrame,
    *,
    keep: Iterable[str] = (),
    p_value: bool = False,
    reasons: int = 0,
    attribution: str = "terms",
) -> dd.DataFrame:
    """Score the rows of a Dask dataframe.

    Parameters
    ----------
    model : estimator
        The model, as `score_frame` takes it. The workers need the packages that it needs.
    table : dask.dataframe.DataFrame
        The rows. Only the columns of the model and those to keep are read.
    keep : iterable of str, default=()
        The columns to copy to the output.
    p_value : bool, default=False
        Whether to add the p-value of each row, see `score_frame`.
    reasons : int, default=0
        The number of reasons to add for each row, see `score_frame`.
    attribution : {"terms", "hiding"}, default="terms"
        How the score is divided among the columns, see `vae_anomaly.explain`.

    Returns
    -------
    scores : dask.dataframe.DataFrame
        The columns of `keep` and those of `score_frame`. Partitions, order and index are those of
        `table`. The result is lazy: nothing is computed until it is needed.

    Raises
    ------
    ValueError
        If the table lacks columns, or the model cannot give what is asked for.

    See Also
    --------
    score_frame : Scores the rows of a pandas dataframe.
    score_table : Scores the rows of files.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from sklearn.datasets import load_iris
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import score_dask
    >>> X = load_iris(as_frame=True).data.set_axis(["a", "b", "c", "d"], axis=1)
    >>> detector = VAEAnomalyDetector(max_iter=5, random_state=0).fit(X)
    >>> scores = score_dask(detector, dd.from_pandas(X, npartitions=2), keep=["a"])
    >>> list(scores.columns), len(scores.compute(scheduler="synchronous"))
    (['a', 'score', 'is_outlier'], 150)
    """
    from dask import delayed

    options: dict[str, Any] = {"p_value": p_value, "reasons": reasons, "attribution": attribution}
    keep = list(keep)
    output_columns(model, keep=keep, **options)
    columns = _columns_of_model(model, list(table.columns), keep)
    rows = table[list(dict.fromkeys([*columns, *keep]))]
    return rows.map_partitions(
        _score_part,
        delayed(model),
        columns,
        keep,
        **options,
        meta=_score_part(rows._meta, model, columns, keep, **options),
    )


def score_spark(
    model: Any,
    table: pyspark.sql.DataFrame,
    *,
    keep: Iterable[str] = (),
    p_value: bool = False,
    reasons: int = 0,
    attribution: str = "terms",
) -> pyspark.sql.DataFrame:
    """Score the rows of a Spark dataframe.

    Parameters
    ----------
    model : estimator
        The model, as `score_frame` takes it. The executors need the packages that it needs.
    table : pyspark.sql.DataFrame
        The rows. Only the columns of the model and those to keep are read.
    keep : iterable of str, default=()
        The columns to copy to the output.
    p_value : bool, default=False
        Whether to add the p-value of each row, see `score_frame`.
    reasons : int, default=0
        The number of reasons to add for each row, see `score_frame`.
    attribution : {"terms", "hiding"}, default="terms"
        How the score is divided among the columns, see `vae_anomaly.explain`.

    Returns
    -------
    scores : pyspark.sql.DataFrame
        The columns of `keep` and those of `score_frame`, in the partitions and the order of
        `table`. The result is lazy: nothing is computed until it is needed.

    Raises
    ------
    ValueError
        If the table lacks columns, or the model cannot give what is asked for.

    See Also
    --------
    score_frame : Scores the rows of a pandas dataframe.
    score_table : Scores the rows of files.

    Examples
    --------
    >>> from pyspark.sql import SparkSession  # doctest: +SKIP
    >>> from vae_anomaly import load
    >>> from vae_anomaly.batch import score_spark
    >>> spark = SparkSession.builder.getOrCreate()  # doctest: +SKIP
    >>> table = spark.read.parquet("flights.parquet")  # doctest: +SKIP
    >>> scores = score_spark(load("model.skops"), table, keep=["flight"])  # doctest: +SKIP
    >>> scores.write.parquet("scores")  # doctest: +SKIP
    """
    from pyspark.sql.types import BooleanType, DoubleType, StringType, StructField, StructType

    options: dict[str, Any] = {"p_value": p_value, "reasons": reasons, "attribution": attribution}
    keep = list(keep)
    schema = output_columns(model, keep=keep, **options)
    columns = _columns_of_model(model, table.columns, keep)
    names = list(dict.fromkeys([*columns, *keep]))
    rows = table.select(*(f"`{name.replace('`', '``')}`" for name in names))
    broadcast = table.sparkSession.sparkContext.broadcast(model)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # The value is loaded when it is first used in a process, and kept for all later tasks.
        for batch in batches:
            named = batch.rename_columns(names)
            yield _score_batch(named, broadcast.value, columns, keep, schema, **options)

    kinds = {"double": DoubleType(), "bool": BooleanType(), "string": StringType()}
    made = [StructField(field.name, kinds[str(field.type)]) for field in schema]
    # Not mapInPandas: it turns instants into local times, which are ambiguous where clocks go back.
    # Nor does either of them find columns whose names have dots.
    return rows.toDF(*(f"c{at}" for at in range(len(names)))).mapInArrow(
        score, StructType([*(rows.schema[name] for name in keep), *made])
    )


def _columns_of_model(model: Any, present: list[str], keep: Sequence[str]) -> list[str]:
    """Return the columns that the model takes, by position if it was trained without names."""
    columns = list(getattr(seen_columns(model), "feature_names_in_", present))
    missing = [name for name in dict.fromkeys([*columns, *keep]) if name not in present]
    if missing:
        raise ValueError(
            f"The table has no column {', '.join(map(repr, missing))}. Its columns are "
            f"{', '.join(map(repr, present))}."
        )
    return columns


def _score_part(
    part: pd.DataFrame, model: Any, columns: list[str], keep: list[str], **options: Any
) -> pd.DataFrame:
    """Return the kept columns and the scores of a partition of Dask."""
    return pd.concat([part[keep], score_frame(model, part[columns], **options)], axis=1)


def _score_batch(
    batch: pa.RecordBatch,
    model: Any,
    columns: list[str],
    keep: list[str],
    schema: pa.Schema,
    **options: Any,
) -> pa.RecordBatch:
    """Return the kept columns and the scores of some rows of Spark."""
    import pyarrow as pa

    rows = pa.Table.from_batches([batch.select(columns)])
    frame = rows.cast(pa.schema(map(_for_pandas, rows.schema))).to_pandas(
        date_as_object=False, types_mapper=_integers().get
    )
    scores = pa.RecordBatch.from_pandas(
        score_frame(model, frame, **options), schema=schema, preserve_index=False
    )
    kept = batch.select(keep)
    return pa.RecordBatch.from_arrays(
        [*kept.columns, *scores.columns], schema=pa.schema([*kept.schema, *scores.schema])
    )


@functools.cache
def _integers() -> dict[pa.DataType, pd.api.extensions.ExtensionDtype]:
    """Return types of pandas for integers, whose cells may be missing without making them floats.

    Whether there is a missing cell depends on the batch.
    """
    import pyarrow as pa

    return {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }


def _for_pandas(field: pa.Field) -> pa.Field:
    """Return the type in which pandas takes a column of Spark for numbers or for instants in UTC.

    Spark gives instants in the time zone of its session, and pandas would keep decimals as objects.
    """
    import pyarrow as pa

    if pa.types.is_timestamp(field.type) and field.type.tz is not None:
        return field.with_type(pa.timestamp(field.type.unit, "UTC"))
    return field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field
