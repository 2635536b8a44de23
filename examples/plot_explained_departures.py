"""
When, and which channel?
========================

``data/departures.csv`` has the number of departures and their mean delay for each hour of 2013 and
each of New York's airports. An LSTM VAE is trained on windows of sixteen undisrupted hours; see
:ref:`sphx_glr_auto_examples_plot_time_series.py` for the alarms themselves. Here each alarm of a
week with a thunderstorm is explained: by the channel, and by what was expected in that hour.
"""

import matplotlib.pyplot as plt
import pandas as pd

from vae_anomaly import ReconstructionDisplay, VAEAnomalyDetector, WindowedDetector, explain
from vae_anomaly.axes import COLORS

hours = pd.read_csv("../data/departures.csv", parse_dates=["time"], index_col="time")
disrupted = hours.pop("disrupted") == 1
vae = VAEAnomalyDetector(architecture="lstm", input_shape=(16, 2), max_iter=10, random_state=0)
detector = WindowedDetector(
    vae, window_size=16, whiten=False, group_column="airport", aggregation="max"
)
detector.fit(hours[~disrupted][:"2013-06-30"])

airport = hours[hours["airport"] == "LGA"].loc["2013-09-08":"2013-09-16"]
explanation = explain(detector, airport)

# %%
# One hour in words
# -----------------

worst = explanation.contributions[["departures", "delay"]].sum(axis=1).nlargest(3).index
for hour, sentence in explanation.text(2, units={"delay": "min"})[worst].items():
    print(f"{hour:%d %B %H:%M}: {sentence}")

# %%
# The week
# --------

figure, axes = plt.subplots(3, 1, figsize=(9, 7), sharex=True, layout="constrained")
for ax, channel, label in zip(
    axes, ("departures", "delay"), ("Departures / hour", "Mean delay (min)"), strict=False
):
    ReconstructionDisplay.from_predictions(explanation, channel=channel, ax=ax)
    ax.set(xlabel="", ylabel=label)
bottom = axes[2]
contributions = explanation.contributions[["departures", "delay"]]
bottom.stackplot(
    contributions.index,
    contributions.clip(lower=0).T,
    labels=["departures", "delay"],
    colors=[COLORS[0], COLORS[1]],
    step="mid",
)
bottom.set(ylabel="Contribution of\nthe hour itself (nats)", xlabel="Time (UTC)")
bottom.legend(loc="upper left")
figure.suptitle("LaGuardia, 8 to 16 September")
plt.show()
