"""
Disrupted hours at three airports
=================================

``data/departures.csv`` has a row for each hour of 2013 and each of New York's three airports, with
the number of flights that left and their mean delay. ``disrupted`` marks the hours in which many
flights were cancelled; no detector sees it.

:class:`~vae_anomaly.WindowedDetector` cuts the series of each airport into windows of 16 hours,
trains an LSTM VAE on the windows of the first half of the year, scores every hour of the second
half, and lists the ranges of alarms.
"""

# %%
# Train on hours that were not disrupted
# --------------------------------------
# Dropping a row leaves a gap in time, and no window that is trained on extends across one.

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

from vae_anomaly import VAEAnomalyDetector, WindowedDetector

hours = pd.read_csv("../data/departures.csv", parse_dates=["time"], index_col="time")
known, new = hours.loc[:"2013-06-30"], hours.loc["2013-07-01":]
is_disrupted = new["disrupted"] == 1

vae = VAEAnomalyDetector(architecture="lstm", input_shape=(16, 2), max_iter=10, random_state=0)
detectors = {
    "LSTM VAE": WindowedDetector(
        vae, window_size=16, whiten=False, group_column="airport", aggregation="max"
    ),
    "isolation forest": WindowedDetector(
        IsolationForest(random_state=0),
        window_size=16,
        whiten=False,
        group_column="airport",
        aggregation="mean",
    ),
}
channels = ["airport", "departures", "delay"]
for name, detector in detectors.items():
    detector.fit(known.loc[known["disrupted"] == 0, channels])
    precision = average_precision_score(is_disrupted, -detector.score_samples(new[channels]))
    print(f"{name:17} average precision {precision:.3f}, by chance {is_disrupted.mean():.3f}")

# %%
# Alarms
# ------
# The threshold comes from blocks of time that a second network has not been trained on.

alarms = detectors["LSTM VAE"].alarms(new[channels])
print(alarms.nlargest(5, "peak_score").drop(columns="peak").to_string(index=False))

# %%
# A week with a storm
# -------------------
# The top panel shows the scores of one airport in the second half of the year, and the others show
# one week of it in detail. Bars above the scores are alarms.

new = new.assign(score=-detectors["LSTM VAE"].score_samples(new[channels]))
threshold = -detectors["LSTM VAE"].offset_
airport = new[new["airport"] == "LGA"]
week = airport.loc["2013-09-09":"2013-09-15"]


def mark(ax, table):
    """Shade the disrupted hours."""
    for hour in table.index[table["disrupted"] == 1]:
        ax.axvspan(hour, hour + pd.Timedelta("1h"), color="tab:red", alpha=0.25, linewidth=0)


def draw_alarms(ax):
    """Draw a bar above the scores for each alarm at the airport."""
    for alarm in alarms[alarms["series"] == "LGA"].itertuples():
        end = alarm.end + pd.Timedelta("1h")
        ax.axvspan(alarm.start, end, 0.93, 1, color="tab:blue", linewidth=0)


figure, (top, upper, middle, bottom) = plt.subplots(
    4, 1, figsize=(10, 8.5), height_ratios=(1.3, 1, 1, 1)
)
top.plot(airport.index, airport["score"], color="tab:blue", linewidth=0.7)
top.set(title="LaGuardia, July to December 2013", ylabel="anomaly score")
upper.step(week.index, week["departures"], where="post", color="black", linewidth=1)
upper.set(title="The week of 9 September", ylabel="departures / hour")
middle.step(week.index, week["delay"], where="post", color="black", linewidth=1)
middle.set(ylabel="mean delay (min)")
bottom.step(week.index, week["score"], where="post", color="tab:blue", linewidth=1)
bottom.set(ylabel="anomaly score")
for ax in (top, bottom):
    ax.axhline(threshold, color="grey", linestyle=":", label="threshold")
    ax.set_yscale("log")
    draw_alarms(ax)
for ax, table in ((top, airport), (upper, week), (middle, week), (bottom, week)):
    mark(ax, table)
    ax.set_xlim(table.index[0], table.index[-1])
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(ax.xaxis.get_major_locator()))
top.legend(
    handles=[
        *top.get_legend_handles_labels()[0],
        plt.Rectangle((0, 0), 1, 1, color="tab:red", alpha=0.25, label="disrupted"),
        plt.Rectangle((0, 0), 1, 1, color="tab:blue", label="alarm"),
    ],
    loc="center right",
)
figure.tight_layout()
plt.show()
