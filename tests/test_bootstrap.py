"""How sure a threshold is: chosen again on resamples, judged on the rows they leave out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score, make_scorer

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    PrecisionAtK,
    TunedThresholdDetectorCV,
    bootstrap_threshold,
    get_outlier_scorer,
)


def draw(n_inliers, n_outliers, seed=0):
    """Scores of two normals, three apart, and their labels."""
    rng = np.random.RandomState(seed)
    scores = np.concatenate([rng.randn(n_inliers), rng.randn(n_outliers) - 3])
    return scores, np.repeat([0, 1], [n_inliers, n_outliers])


def test_spread_is_that_over_samples():
    """The standard error of a quantile is known."""
    scores, _ = draw(2000, 0)
    thresholds = bootstrap_threshold(AlarmBudget(0.1), scores, random_state=0)["thresholds"]
    expected = np.sqrt(0.1 * 0.9 / 2000) / norm.pdf(norm.ppf(0.1))
    assert thresholds.std() == pytest.approx(expected, rel=0.3)


def test_more_rows_make_the_choice_surer():
    cost = AlarmCost(missed=20, false_alarm=1)
    few, many = (
        np.ptp(np.quantile(results["thresholds"], [0.05, 0.95]))
        for results in (
            bootstrap_threshold(cost, *draw(20 * n, n), random_state=0) for n in (10, 300)
        )
    )
    assert many < 0.5 * few


def test_values_are_those_of_rows_the_choice_has_not_seen():
    """Scores say nothing here, so F1 cannot exceed that of flagging all rows by more than luck."""
    rng = np.random.RandomState(0)
    scores, y = rng.randn(60), np.repeat([0, 1], [54, 6])
    chosen_on = max(2 * y[scores < t].sum() / ((scores < t).sum() + 6) for t in scores)
    results = bootstrap_threshold("f1", scores, y, random_state=0)
    flag_all = 2 * 0.1 / 1.1
    assert results["scores"].mean() < flag_all + 0.05 < chosen_on


def test_a_choice_by_folds_can_be_made_again():
    scores, y = draw(200, 20)
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring="f1", cv=4)
    tuned.fit(scores[:, np.newaxis], y)
    truth = y[tuned.held_out_rows_]
    chosen = f1_score(truth, tuned.held_out_scores_ < tuned.best_threshold_)
    assert chosen == pytest.approx(tuned.best_score_)
    results = bootstrap_threshold("f1", tuned.held_out_scores_, truth, random_state=0)
    low, high = np.quantile(results["thresholds"], [0.01, 0.99])
    assert low < tuned.best_threshold_ < high


def test_results_have_an_entry_for_each_resample():
    results = bootstrap_threshold("f1", *draw(100, 10), n_resamples=30, random_state=0)
    assert set(results) == {"thresholds", "scores", "alarm_rate", "precision", "recall"}
    assert pd.DataFrame(results).shape == (30, 5)
    assert (results["recall"] > 0).any()


def test_labels_are_judged_by_where_the_rule_needs_none():
    scores, y = draw(100, 10)
    assert "recall" not in bootstrap_threshold("auto", scores, n_resamples=2, random_state=0)
    assert "recall" in bootstrap_threshold("auto", scores, y, n_resamples=2, random_state=0)


def test_a_number_of_alarms_is_out_of_all_rows():
    """Of the third of the rows that is left out, a third of the alarms is asked for."""
    scores, y = draw(300, 60)
    results = bootstrap_threshold(PrecisionAtK(30), scores - 9 * y, y, random_state=0)
    assert np.median(results["alarm_rate"]) == pytest.approx(30 / 360, rel=0.2)
    assert np.median(results["scores"]) > 0.5


def test_rows_without_a_label_count_for_the_alarm_rate_only():
    scores, y = draw(100, 10)
    partly = np.concatenate([y, np.full(890, np.nan)])
    far = np.concatenate([scores, np.full(890, 9.0)])
    results = bootstrap_threshold("f1", far, partly, random_state=0)
    assert results["alarm_rate"].mean() < 0.03
    assert results["recall"].mean() > 0.5


def test_one_row_may_lack_a_label():
    scores, y = draw(50, 5)
    y = np.where(np.arange(55) == 7, np.nan, y)
    assert bootstrap_threshold("f1", scores, y, random_state=0)["recall"].mean() > 0.5


def test_the_outliers_are_those_of_the_scorer():
    scores, y = draw(50, 5)
    scorer = get_outlier_scorer("f1", pos_label=0)
    one = bootstrap_threshold(scorer, scores, 1 - y, n_resamples=30, random_state=0)
    other = bootstrap_threshold("f1", scores, y, n_resamples=30, random_state=0)
    np.testing.assert_array_equal(one["thresholds"], other["thresholds"])


def test_the_same_seed_gives_the_same_resamples():
    one, other = (bootstrap_threshold("f1", *draw(50, 5), random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one["thresholds"], other["thresholds"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("f1", [0.0, 1.0, 2.0]), "needs labels: pass y"),
        (("f1", [0.0, 1.0, 2.0, 3.0], [0, 0, 0, 1]), "two of both; got 3 and 1"),
        (("auto", [0.0]), "two of both; got 0 and 0, and 1 row"),
        (("f1", [0.0, 1.0], [0, 1, 1]), "inconsistent numbers"),
        (("auto", [0.0, np.inf, 1.0]), "1 of 3 held-out rows .* not finite"),
        (("auto", [np.nan, np.nan]), "None of 2 held-out rows has a score"),
        (("auto", [[0.0], [1.0]]), r"1d array of numbers.*shape \(2, 1\)"),
        (("auto", ["a", "b"]), "1d array of numbers"),
        (("auto", []), "Found array with 0 sample"),
        (("auto", 3.0), "'scores' parameter of bootstrap_threshold must be an array-like"),
        (("f1", [0.0, 1.0], "ab"), "'y' parameter of bootstrap_threshold"),
        (("f1", [0.0, 0.0, 0.0, 0.0], [0, 0, 1, 1]), "makes constant predictions"),
        (("nonsense", [0.0, 1.0]), "no name of an objective"),
    ],
)
def test_what_cannot_be_resampled_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_threshold(*arguments)


def test_a_label_that_cannot_be_one_is_refused():
    with pytest.raises(ValueError, match="'pos_label' parameter of bootstrap_threshold"):
        bootstrap_threshold("f1", *draw(5, 5), pos_label=[1])


def test_weights_are_drawn_with_their_rows():
    """Outliers of no weight are worth no alarm."""
    scores, y = draw(200, 20)
    results = bootstrap_threshold(
        AlarmCost(missed=20, false_alarm=1),
        scores,
        y,
        params={"sample_weight": 1 - y},
        n_resamples=20,
        random_state=0,
    )
    np.testing.assert_array_equal(results["alarm_rate"], 0)


def test_costs_may_differ_by_row():
    scores, y = draw(200, 20)

    def gain(y_true, y_pred, amount):
        return np.sum(np.where(y_true == 1, amount * y_pred, -y_pred))

    dear, cheap = (
        bootstrap_threshold(
            make_scorer(gain),
            scores,
            y,
            params={"amount": np.full(220, amount)},
            n_resamples=20,
            random_state=0,
        )
        for amount in (50.0, 0.5)
    )
    assert dear["alarm_rate"].mean() > 2 * cheap["alarm_rate"].mean()
