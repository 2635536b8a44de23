"""Train a model on a table: what `vae-anomaly fit TABLE --model MODEL` does, in Python.

    python pipelines/train.py data/breast_cancer.csv out/model.skops diagnosis

The columns that are named after the model are left out.
"""

import sys

from vae_anomaly import VAEAnomalyDetector, save
from vae_anomaly.batch import Source, find_schema, fit_table

table, path, *left_out = sys.argv[1:]
source = Source.open([table])
found = find_schema(source, drop=left_out)
print(*source.findings, *found.findings, sep="\n")
detector = VAEAnomalyDetector(random_state=0)
model = fit_table(source, found.columns, detector, n_rows=found.n_rows)
save(model, path)
