"""
Card fraud: the alarm level with the least cost
===============================================

A missed fraud costs the bank 300 on average, and a call to the customer costs 4. Which payments
should the bank ask about? Nobody knows which payments of the first month were frauds; those of the
second month have been investigated; the third month is the one to monitor.

The payments are synthetic, drawn by the function below, because real ones are not published with
the names of their columns. So the example shows how to choose a threshold, not how well frauds can
be found.
"""

# %%
# Three months of payments
# ------------------------
# Each kind of shop has its typical hours, amounts and distances from home. One payment in 200 is a
# fraud: half of the frauds try out card numbers, with small amounts online in quick succession; the
# others spend large amounts, far from home and at unusual hours.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from vae_anomaly import (
    AlarmCost,
    ScoreDistributionDisplay,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    bootstrap_threshold,
)

SHOPS = pd.DataFrame(
    {
        "share": [0.4, 0.2, 0.15, 0.15, 0.1],
        "hour": [17, 20, 13, 20, 8],  # mean
        "log_amount": [3.4, 3.6, 4.3, 3.4, 2.2],
        "log_km": [1.0, 2.0, 2.2, -3.0, 1.5],
    },
    index=["grocery", "restaurant", "clothes", "online", "transport"],
)


def make_payments(n_rows, rng):
    """Draw payments, and which of them are frauds."""
    is_fraud = rng.uniform(size=n_rows) < 0.005
    is_trial = is_fraud & (rng.uniform(size=n_rows) < 0.5)
    shop = rng.choice(SHOPS.index, n_rows, p=SHOPS["share"])
    shop = np.where(is_trial, "online", shop)
    mean = SHOPS.loc[shop].reset_index()
    minutes = np.where(is_trial, rng.normal(0.5, 0.7, n_rows), rng.normal(6, 1.5, n_rows))
    payments = pd.DataFrame(
        {
            "shop": shop,
            "hour": (mean["hour"] + np.where(is_fraud, 5, 2.5) * rng.normal(size=n_rows)) % 24,
            "log_amount": mean["log_amount"] + 0.7 * rng.normal(size=n_rows),
            "log_km": mean["log_km"] + rng.normal(size=n_rows),
            "log_minutes": minutes,
        }
    )
    payments.loc[is_trial, "log_amount"] -= 2
    spends = is_fraud & ~is_trial
    payments.loc[spends, "log_amount"] += rng.normal(2, 0.8, spends.sum())
    payments.loc[spends, "log_km"] += rng.normal(3, 1, spends.sum())
    return payments, is_fraud


rng = np.random.default_rng(0)
first, _ = make_payments(20_000, rng)
second, second_is_fraud = make_payments(20_000, rng)
third, third_is_fraud = make_payments(20_000, rng)

# %%
# Train once, choose the level by cost
# ------------------------------------
# ``cv="prefit"`` uses the detector as it is. By default, the detector would be fitted on five folds
# of the second month, and then once more on all of it.

detector = make_pipeline(
    make_column_transformer((OneHotEncoder(), ["shop"]), remainder="passthrough"),
    VAEAnomalyDetector(support_fraction=0.5, random_state=0),
).fit(first)
cost = AlarmCost(missed=300, false_alarm=4, found=4)
tuned = TunedThresholdDetectorCV(detector, scoring=cost, cv="prefit")
tuned.fit(second, second_is_fraud)


def bill(name, is_alarm):
    found, false = is_alarm & third_is_fraud, is_alarm & ~third_is_fraud
    total = -cost(third_is_fraud, is_alarm) * len(third)
    print(
        f"{name:34} {is_alarm.sum():6,} calls, {found.sum():3} of {third_is_fraud.sum()} frauds, "
        f"{false.sum() / is_alarm.sum() if is_alarm.any() else 0:4.0%} in vain: cost {total:8,.0f}"
    )


bill("no detector", np.zeros(len(third), bool))
bill("contamination='auto'", detector.predict(third) == -1)
bill("least cost in the second month", tuned.predict(third) == -1)
hindsight = TunedThresholdDetectorCV(detector, scoring=cost, cv="prefit")
bill("least cost, known in hindsight", hindsight.fit(third, third_is_fraud).predict(third) == -1)

# %%
# How sure is it?
# ---------------
# The second month might have turned out differently. So the level is chosen again on resamples of
# it, and the cost is measured on the payments that the resample leaves out.

resamples = bootstrap_threshold(
    cost, detector.score_samples(second), second_is_fraud, random_state=0
)
for name, values in {
    "level": -resamples["thresholds"],
    "calls in 1,000 payments": 1000 * resamples["alarm_rate"],
    "cost of 1,000 payments": -1000 * resamples["scores"],
}.items():
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    print(f"{name:24} {median:6.0f}, in 90 % of the resamples {low:.0f} to {high:.0f}")

# %%
# The third month
# ---------------
# The left panel shows what any other level would have cost. The curve is flat around its minimum:
# whether the level is a little higher or lower matters less than that it is chosen by cost.

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
ThresholdDisplay.from_estimator(tuned, third, third_is_fraud, ax=left, against="alarm_rate")
ScoreDistributionDisplay.from_estimator(tuned, third, third_is_fraud, ax=right, bins=30)
plt.show()
