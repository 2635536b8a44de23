"""Files in, files out: tables of any size, read, learned from and scored.

`Source` reads, `find_schema` finds the types of columns, `fit_table` trains, `score_table` scores
files and `score_frame` a dataframe: the one function that Dask and Spark map.

Names are imported when they are used, as a model that scores dataframes needs neither DuckDB nor
pyarrow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_anomaly.batch.clusters import score_dask, score_spark
    from vae_anomaly.batch.errors import TableError
    from vae_anomaly.batch.evaluation import Evaluation, evaluate_table
    from vae_anomaly.batch.fitting import fit_table
    from vae_anomaly.batch.kinds import find_schema
    from vae_anomaly.batch.labels import Label
    from vae_anomaly.batch.models import schema_of
    from vae_anomaly.batch.run import Summary, score_table
    from vae_anomaly.batch.scoring import score_frame
    from vae_anomaly.batch.source import ReadOptions, Source

_MODULES = {
    "Evaluation": "evaluation",
    "Label": "labels",
    "ReadOptions": "source",
    "Source": "source",
    "Summary": "run",
    "TableError": "errors",
    "evaluate_table": "evaluation",
    "find_schema": "kinds",
    "fit_table": "fitting",
    "schema_of": "models",
    "score_dask": "clusters",
    "score_frame": "scoring",
    "score_spark": "clusters",
    "score_table": "run",
}

__all__ = [
    "Evaluation",
    "Label",
    "ReadOptions",
    "Source",
    "Summary",
    "TableError",
    "evaluate_table",
    "find_schema",
    "fit_table",
    "schema_of",
    "score_dask",
    "score_frame",
    "score_spark",
    "score_table",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
