"""
A sensor without labels, and an alarm budget
============================================

Nobody has labelled the data, and the person on call can look at three alarms a week. Where should
the alarm level be set?

The sensors are the counters of departures and delays at New York's three airports, for every hour
of 2013 (``data/departures.csv``). The detector is trained on January to April, the level is set on
May and June, and the second half of the year shows how many alarms it raises. ``disrupted`` is only
used at the end, to see whether the alarms were worth it.
"""

# %%
# Train, and set three levels
# ---------------------------
# The score of an hour is based on the windows of eight hours that cover it. All three rules set the
# level by the scores of May and June, which the detector has not seen; it is fitted only once.

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import pandas as pd

from vae_anomaly import (
    AlarmBudget,
    AutoThreshold,
    ExtremeValueTail,
    ScoreDistributionDisplay,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    WindowedDetector,
)

hours = pd.read_csv("../data/departures.csv", parse_dates=["time"], index_col="time")
is_disrupted = hours.pop("disrupted") == 1
vae = VAEAnomalyDetector(support_fraction=0.5, contamination=0.1, random_state=0)
detector = WindowedDetector(
    vae, window_size=8, whiten=False, group_column="airport", aggregation="max"
)
detector.fit(hours.loc[:"2013-04-30"])

known, new = hours.loc["2013-05-01":"2013-06-30"], hours.loc["2013-07-01":]
is_disrupted = is_disrupted.loc["2013-07-01":]
week = 7 * 24 * hours["airport"].nunique()  # in rows
rules = {
    "budget, 3 a week": AlarmBudget(3, per=week),
    "fitted tail, 0.1 %": ExtremeValueTail(0.001),
    "auto, 1 %": AutoThreshold(),
}
tuned = {
    name: TunedThresholdDetectorCV(detector, scoring=rule, cv="prefit").fit(known)
    for name, rule in rules.items()
}
for name, judge in tuned.items():
    is_alarm = judge.predict(new) == -1
    print(
        f"{name:18}  level {-judge.offset_:5.0f}, {is_alarm.sum() / len(new) * week:4.1f} alarms a "
        f"week ({is_alarm.mean():.2%} of the hours), {is_disrupted[is_alarm].mean():3.0%} of them "
        "in disrupted hours"
    )

# %%
# The budget is kept without being used up, as July to December are calmer than May and June. The
# tail comes close to the share that it aims at. "auto" aims at 1 % of the *clean* hours, and the
# alarms in disrupted hours come on top of that.

# %%
# The alarms of half a year
# -------------------------
# Alarms come in clusters, since a storm lasts for hours and affects all three airports. So the
# budget is kept on average, but not in every week.

judge = tuned["budget, 3 a week"]
is_alarm = pd.Series(judge.predict(new) == -1, index=new.index)
weekly = is_alarm.groupby([pd.Grouper(freq="W"), is_disrupted]).sum().unstack(fill_value=0)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
left.bar(weekly.index, weekly[True], width=5.5, color="tab:orange", label="disrupted hours")
left.bar(
    weekly.index,
    weekly[False],
    width=5.5,
    bottom=weekly[True],
    color="tab:blue",
    label="other hours",
)
left.axhline(3, color="black", linestyle="--", label="budget, on average")
left.set(ylabel="alarms a week", xlabel="end of the week")
left.xaxis.set_major_formatter(mdates.ConciseDateFormatter(left.xaxis.get_major_locator()))
left.set_ylim(0, 1.3 * weekly.sum(axis=1).max())
left.legend(loc="upper right")
ScoreDistributionDisplay.from_estimator(judge, new, is_disrupted, ax=right, bins=30)
plt.show()
