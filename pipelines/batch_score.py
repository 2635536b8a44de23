"""Score a table of any size: what `vae-anomaly score TABLE --output OUTPUT` does, in Python.

python pipelines/batch_score.py data/breast_cancer.csv out/model.skops out/scores.parquet
"""

import sys

from vae_anomaly import load
from vae_anomaly.batch import Source, score_table

table, path, output = sys.argv[1:]
summary = score_table(
    load(path), Source.open([table]), output, model_path=path, reasons=3, resume=True
)
print(f"scored {summary.rows_out:,} rows: {summary.alarms:,} alarms", *summary.warnings, sep="\n")
