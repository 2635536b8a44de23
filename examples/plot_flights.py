"""
Unusual flights in a table
==========================

``data/flights.csv`` has 10,000 flights that left New York in 2013: numbers, times, airports, and
cells that are missing. A few flights are unusual, cancelled or more than three hours late. The
detector learns from half of the table what flights look like, unusual ones among them and without
being told which, and gives each flight of the other half a score.
"""

# %%
# Read the table
# --------------
# Columns of dtype category are categories, and cells may be missing. Only dates need a step:
# :class:`~vae_anomaly.CalendarEncoder` makes month, day of the week and hour of them.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from vae_anomaly import CalendarEncoder, VAEAnomalyDetector

flights = pd.read_csv("../data/flights.csv", parse_dates=["time_hour"])
flights = flights.astype(dict.fromkeys(["carrier", "tailnum", "origin", "dest"], "category"))
unusual = flights.pop("unusual")
known, new, _, is_unusual = train_test_split(flights, unusual, test_size=0.5, random_state=0)
new.head()

# %%
# Fit, and score what is new
# --------------------------
# A score is in nats, and the higher ``-score_samples``, the more unusual is the flight. The
# threshold comes with the fit: at most about one in a hundred ordinary flights should lie above it.

calendar = make_column_transformer(
    (CalendarEncoder(), ["time_hour"]), remainder="passthrough", verbose_feature_names_out=False
).set_output(transform="pandas")
detector = make_pipeline(calendar, VAEAnomalyDetector(max_iter=30, random_state=0))
detector.fit(known)

# %%
# What is found
# -------------
# Only now are the labels looked at.

scores = -detector.score_samples(new)
is_alarm = detector.predict(new) == -1
print(f"AUROC              {roc_auc_score(is_unusual, scores):.3f}")
print(f"average precision  {average_precision_score(is_unusual, scores):.3f}")
print(f"unusual            {is_unusual.sum()} of {len(new):,} flights")
print(f"alarms             {is_alarm.sum()}, of them unusual: {is_unusual[is_alarm].sum()}")

# %%
# The flights with the highest scores were cancelled, so that much of the row is missing:

new.assign(score=scores.round(), unusual=is_unusual).nlargest(3, "score")[
    ["score", "unusual", "dep_time", "dep_delay", "arr_delay", "air_time"]
]

# %%
# Both axes are logarithmic: most alarms are raised by a wide margin.

figure, ax = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
bins = np.geomspace(scores.min(), scores.max(), 50)
ax.hist(scores[is_unusual == 0], bins, color="tab:blue", alpha=0.6, label="ordinary flights")
ax.hist(scores[is_unusual == 1], bins, color="tab:orange", alpha=0.8, label="unusual flights")
ax.axvline(-detector[-1].offset_, color="black", linestyle="--", label="threshold")
ax.set(
    xscale="log",
    yscale="log",
    xlabel="anomaly score (nats)",
    ylabel="flights",
    title="5,000 flights that the detector has not seen",
)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
