"""Choose a threshold for a cost: what `vae-anomaly tune --objective cost` does, in Python.

    python pipelines/tune_threshold.py new.csv out/model.skops out/tuned.skops diagnosis malignant

The rows must not be those that the model was trained on. Here a missed outlier costs 20 times as
much as a false alarm.
"""

import sys

import pandas as pd

from vae_anomaly import AlarmCost, TunedThresholdDetectorCV, load, save
from vae_anomaly.batch import Label, Source, schema_of

table, path, tuned_path, column, outlier = sys.argv[1:]
model = load(path)
source = Source.open([table])
is_outlier = Label(column, outlier).read(source)
rows = pd.concat([frame.table for frame in source.frames(schema_of(model))])
cost = AlarmCost(missed=20, false_alarm=1)
tuned = TunedThresholdDetectorCV(model, scoring=cost, cv="prefit").fit(rows, is_outlier)
print(f"a row is an outlier if its score is above {-tuned.offset_:.4g}")
save(tuned, tuned_path)
