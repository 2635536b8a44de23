"""
Why is this flight unusual?
===========================

``data/flights.csv`` has 10,000 flights from New York. A few are unusual: delayed by hours, or
cancelled, so that cells are missing. The detector is trained on half of them without knowing
which, and each alarm in the other half is explained in the columns of the table, although the
detector sees the date as month, weekday and hour.
"""

# %%
# Train on a table with dates, categories and missing cells
# ---------------------------------------------------------

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from vae_anomaly import (
    CalendarEncoder,
    ContributionHeatmapDisplay,
    ContributionsDisplay,
    LatentSpaceDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
    VAEAnomalyDetector,
    counterfactuals,
    explain,
)

flights = pd.read_csv("../data/flights.csv", parse_dates=["time_hour"])
flights = flights.drop(columns=["unusual", "flight", "tailnum", "sched_arr_time", "arr_time"])
flights = flights.astype(dict.fromkeys(["carrier", "origin", "dest"], "category"))
known, new = train_test_split(flights, test_size=0.5, random_state=0)


columns = make_column_transformer(
    (CalendarEncoder(), ["time_hour"]), remainder="passthrough", verbose_feature_names_out=False
).set_output(transform="pandas")
detector = VAEAnomalyDetector(missing_indicator=False, max_iter=30, random_state=0)
model = make_pipeline(columns, detector)
model.fit(known)

# %%
# Sentences
# ---------
# By hiding each column in turn, the cause is found even if the network has copied it.

alarms = new[model.predict(new) == -1]
explanation = explain(model, alarms.head(60), attribution="hiding")
units = {"dep_delay": "min", "arr_delay": "min", "air_time": "min", "distance": "miles"}
print(f"{len(alarms)} alarms among {len(new):,} flights, for example")
for row, sentence in explanation.text(2, units=units).head(6).items():
    print(f"  {row}: {sentence}")

# %%
# What would make them normal?
# ----------------------------

found = counterfactuals(model, alarms.head(60))
n_changes = found.changes.groupby(level=0).size()
print(
    f"{found.is_normal.mean():.0%} would be normal, {(n_changes <= 3).mean():.0%} by at most three "
    "changes, for example"
)
for row, sentence in found.text(units=units).head(3).items():
    print(f"  {row}: {sentence}")

# %%
# One flight, and many
# --------------------

chosen = explanation.contributions["dep_delay"].argmax()
ContributionsDisplay.from_predictions(explanation, row=chosen)
ReconstructionDisplay.from_predictions(explanation, row=chosen)
heatmap = ContributionHeatmapDisplay.from_predictions(explanation, max_columns=12)

# %%
# The training, and the codes of the flights
# ------------------------------------------

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
TrainingHistoryDisplay.from_estimator(model, ax=left)
some = new.sample(1500, random_state=0)
LatentSpaceDisplay.from_predictions(model.transform(some), -model.score_samples(some), ax=right)
print("mean contribution among the alarms, nats")
print(explanation.importance().head(5).round(1).to_string())
plt.show()
