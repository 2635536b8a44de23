"""Scoring with Dask and with Spark: the same scores as in one process, whatever happens to workers.

The tests of Spark need Java and PySpark, which tests/run_clients.sh installs.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline

from vae_anomaly import (
    CalendarEncoder,
    TableSchema,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    WindowedDetector,
    save,
)
from vae_anomaly.batch.clusters import score_dask, score_spark
from vae_anomaly.batch.scoring import score_frame

ROOT = Path(__file__).parents[1]
N_PARTS = 5
OPTIONS = {"p_value": True, "reasons": 2}

has_java = shutil.which("java") is not None or "JAVA_HOME" in os.environ
needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or not has_java,
    reason="PySpark or Java is missing: run tests/run_clients.sh",
)


@pytest.fixture(scope="module")
def table():
    """Flights: dates, categories, whole numbers, decimals, and cells missing of each kind."""
    table = pd.read_csv(ROOT / "data" / "flights.csv", nrows=2_000, parse_dates=["time_hour"])
    table = table.drop(columns=["unusual", "tailnum"]).astype({"air_time": "Int64"})
    table.insert(0, "number", np.arange(len(table)))
    table.loc[::13, "time_hour"] = pd.NaT
    table.loc[::7, "carrier"] = None
    table.loc[::11, "air_time"] = pd.NA
    return table


@pytest.fixture(scope="module")
def model(table):
    """A model of the flights with p-values, as the command makes it."""
    rows = table.drop(columns=["number", "flight"])
    pipeline = make_pipeline(
        TableSchema(),
        make_column_transformer(
            (CalendarEncoder(), ["time_hour"]),
            remainder="passthrough",
            verbose_feature_names_out=False,
        ).set_output(transform="pandas"),
        VAEAnomalyDetector(
            categorical_features=["carrier", "origin", "dest"], max_iter=3, random_state=0
        ),
    )
    return TunedThresholdDetectorCV(pipeline.fit(rows[:1_000]), cv="prefit").fit(rows[1_000:])


@pytest.fixture(scope="module")
def expected(model, table):
    """Scores of one process, by the number of the row."""
    scores = score_frame(model, table[model.feature_names_in_], **OPTIONS)
    return scores.set_index(table["number"])


@pytest.fixture(scope="module")
def parquet(table, tmp_path_factory):
    """The flights in Parquet files."""
    folder = tmp_path_factory.mktemp("flights")
    for number, rows in enumerate(np.array_split(np.arange(len(table)), N_PARTS)):
        table.iloc[rows].to_parquet(folder / f"{number}.parquet", index=False)
    return str(folder)


@pytest.fixture(scope="module")
def dask_client():
    """A cluster of two worker processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def spark():
    """A session with two cores that tries each task up to four times, far from UTC."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    here = str(Path(__file__).parent)
    session = (
        SparkSession.builder.master("local[2,4]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "America/New_York")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "150")
        .config("spark.executorEnv.PYTHONPATH", here)  # where the classes below are
        .getOrCreate()
    )
    yield session
    session.stop()


class Wrapper(BaseEstimator):
    """A model that notes in a folder what happens to it."""

    def __init__(self, model, folder):
        self.model = model
        self.folder = folder
        self.offset_ = model.offset_
        self.feature_names_in_ = model.feature_names_in_

    def score_samples(self, X):
        return self.model.score_samples(X)

    def _first(self, event):
        """Return whether this is the first time that it happens anywhere."""
        try:
            Path(self.folder, event).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class KillsItsProcessOnce(Wrapper):
    """The first process that scores a second part dies in the middle of it, as if out of memory."""

    n_parts = 0

    def score_samples(self, X):
        scores = super().score_samples(X)
        self.n_parts += 1
        if self.n_parts == 2 and self._first("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return scores


class CountsItsLoads(Wrapper):
    """Each time that it is loaded, it leaves a file with the number of the process in its name."""

    def __setstate__(self, state):
        super().__setstate__(state)
        number = 0
        while not self._first(f"{os.getpid()}-{number}"):
            number += 1


def assert_same(found, expected):
    """Check that scores are the same to the bit, and texts are the same texts."""
    found = found.set_index("number").sort_index()
    pd.testing.assert_frame_equal(found.astype(expected.dtypes), expected, check_exact=True)


def loads_by_process(folder):
    processes = pd.Series([path.name.partition("-")[0] for path in folder.iterdir()])
    return processes.value_counts().drop(str(os.getpid()), errors="ignore")


@pytest.mark.parametrize("scheduler", ["threads", "sync"])
def test_dask_gives_the_scores_of_one_process(model, parquet, expected, scheduler):
    import dask.dataframe as dd

    scores = score_dask(model, dd.read_parquet(parquet), keep=["number"], **OPTIONS)
    assert scores.npartitions == N_PARTS  # so that there are several to put in order
    found = scores.compute(scheduler=scheduler)
    assert found["number"].is_monotonic_increasing
    assert_same(found, expected)


def test_dask_foretells_the_types(model, parquet):
    import dask.dataframe as dd

    scores = score_dask(model, dd.read_parquet(parquet), keep=["number", "carrier"], **OPTIONS)
    assert scores.dtypes.equals(scores.partitions[0].compute(scheduler="sync").dtypes)


def test_dask_workers_give_the_scores_of_one_process(dask_client, model, parquet, expected):
    import dask.dataframe as dd

    found = score_dask(model, dd.read_parquet(parquet), keep=["number"], **OPTIONS).compute()
    assert_same(found, expected)


def test_dask_loads_the_model_once_in_each_worker(dask_client, model, parquet, tmp_path):
    import dask.dataframe as dd

    table = dd.read_parquet(parquet).repartition(npartitions=3 * N_PARTS)
    score_dask(CountsItsLoads(model, str(tmp_path)), table).compute()
    assert 1 <= len(loads_by_process(tmp_path)) <= 2
    assert (loads_by_process(tmp_path) == 1).all()


def test_dask_does_the_work_of_a_killed_worker_again(
    dask_client, model, parquet, expected, tmp_path
):
    import dask.dataframe as dd

    table = dd.read_parquet(parquet)
    found = score_dask(KillsItsProcessOnce(model, str(tmp_path)), table, keep=["number"]).compute()
    assert (tmp_path / "killed").exists()
    assert_same(found, expected[["score", "is_outlier"]])


@needs_spark
def test_spark_gives_the_scores_of_one_process(spark, model, parquet, expected):
    scores = score_spark(model, spark.read.parquet(parquet), keep=["number"], **OPTIONS)
    assert_same(scores.toPandas(), expected)


@needs_spark
def test_spark_copies_kept_columns_as_they_are(spark, model, parquet):
    rows = spark.read.parquet(parquet).selectExpr("*", "cast(distance as decimal(9, 2)) as `a.b`")
    keep = ["number", "time_hour", "carrier", "air_time", "a.b"]
    scores = score_spark(model, rows, keep=keep)
    kept = scores.select(*(f"`{name}`" for name in keep))
    assert kept.schema == rows.select(*(f"`{name}`" for name in keep)).schema
    assert kept.exceptAll(rows.select(*(f"`{name}`" for name in keep))).count() == 0


@needs_spark
def test_spark_takes_decimals_for_numbers(spark, model, parquet, expected):
    rows = spark.read.parquet(parquet)
    rows = rows.withColumn("distance", rows["distance"].cast("decimal(9, 2)"))
    scores = score_spark(model, rows, keep=["number"])
    assert_same(scores.toPandas(), expected[["score", "is_outlier"]])


@needs_spark
def test_spark_loads_the_model_once_in_each_worker(spark, model, parquet, tmp_path):
    rows = spark.read.parquet(parquet).repartition(12)
    score_spark(CountsItsLoads(model, str(tmp_path)), rows).collect()
    assert 1 <= len(loads_by_process(tmp_path)) <= 2
    assert (loads_by_process(tmp_path) == 1).all()


@needs_spark
def test_spark_does_the_work_of_a_killed_worker_again(spark, model, parquet, expected, tmp_path):
    rows = spark.read.parquet(parquet)
    scores = score_spark(KillsItsProcessOnce(model, str(tmp_path)), rows, keep=["number"])
    found = scores.toPandas()
    assert (tmp_path / "killed").exists()
    assert_same(found, expected[["score", "is_outlier"]])


@needs_spark
def test_spark_names_missing_columns_before_any_work(spark, model, parquet):
    rows = spark.read.parquet(parquet).drop("dest")
    with pytest.raises(
        ValueError, match=r"no column 'dest', 'gate'\. Its columns are 'number', 't"
    ):
        score_spark(model, rows, keep=["gate"])


def test_dask_names_missing_columns_before_any_work(model, parquet):
    import dask.dataframe as dd

    table = dd.read_parquet(parquet).drop(columns="dest")
    with pytest.raises(
        ValueError, match=r"no column 'dest', 'gate'\. Its columns are 'number', 't"
    ):
        score_dask(model, table, keep=["gate"])


def test_dask_refuses_what_the_model_cannot_give_before_any_work(model, parquet):
    import dask.dataframe as dd

    table = dd.read_parquet(parquet)
    with pytest.raises(ValueError, match="VAEAnomalyDetector has no p-values"):
        score_dask(model.detector_, table, p_value=True)
    series = WindowedDetector(VAEAnomalyDetector(max_iter=1), window_size=4)
    series.fit(np.random.RandomState(0).randn(60, 1))
    with pytest.raises(ValueError, match="cannot score a table in parts"):
        score_dask(series, table)


def test_dask_takes_a_model_that_was_trained_without_names(make_detector, X, tmp_path):
    import dask.dataframe as dd

    model = make_detector().fit(X)
    frame = pd.DataFrame(X)
    found = score_dask(model, dd.from_pandas(frame, npartitions=3)).compute(scheduler="sync")
    assert np.array_equal(found["score"], -model.score_samples(X))


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A model with a category of whole numbers, a table of them, missing in some batches only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.random.RandomState(0)
    k = rows.randint(3, size=400).astype(object)
    k[[5, 7]] = None
    columns = {"number": np.arange(400), "a": rows.randn(400), "k": pa.array(k, pa.int64())}
    path = tmp_path_factory.mktemp("codes") / "codes.parquet"
    pq.write_table(pa.table(columns), path)
    schema = TableSchema([{"name": "a", "kind": "number"}, {"name": "k", "kind": "category"}])
    detector = VAEAnomalyDetector(categorical_features=["k"], max_iter=3, random_state=0)
    table = pd.DataFrame(columns | {"k": [None if code is None else str(code) for code in k]})
    model = make_pipeline(schema, detector).fit(table)
    scores = score_frame(model, table).set_index(table["number"])
    return model, str(path), scores


def test_dask_takes_whole_numbers_for_categories_where_some_are_missing(codes):
    import dask.dataframe as dd

    model, path, scores = codes
    assert_same(score_dask(model, dd.read_parquet(path), keep=["number"]).compute(), scores)


@needs_spark
def test_spark_takes_whole_numbers_for_categories_where_some_are_missing(spark, codes):
    model, path, scores = codes
    found = score_spark(model, spark.read.parquet(path), keep=["number"])
    assert_same(found.toPandas(), scores)


@pytest.fixture(
    scope="module", params=["score_dask", pytest.param("score_spark", marks=needs_spark)]
)
def script(request, model, parquet, tmp_path_factory):
    """Give a function that runs a script on the flights with two workers and these arguments."""
    path = tmp_path_factory.mktemp("model") / "model.skops"
    save(model, path)
    file = ROOT / "pipelines" / f"{request.param}.py"

    def run(output, *arguments):
        return subprocess.run(
            [sys.executable, file, parquet, output, "--model", path, "--workers", "2", *arguments],
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def test_scripts_write_the_scores_of_one_process(script, expected, tmp_path):
    folder = tmp_path / "out" / "scores"
    result = script(folder, "--keep", "number", "--p-value", "--reasons", "2")
    assert result.returncode == 0, result.stderr
    assert [path.name for path in folder.parent.iterdir()] == ["scores"]
    assert (folder / "_SUCCESS").exists()
    assert_same(pd.read_parquet(folder), expected)


def test_scripts_refuse_a_folder_that_exists(script, tmp_path):
    (tmp_path / "old.parquet").write_text("what was here before")
    result = script(tmp_path)
    assert result.returncode == 2
    assert f"{tmp_path} exists already" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["old.parquet"]
