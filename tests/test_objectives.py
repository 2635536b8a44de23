"""What a threshold is chosen for: each objective beside its definition."""

import warnings

import numpy as np
import pytest
from scipy.stats import expon
from sklearn.metrics import fbeta_score, get_scorer, make_scorer

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    AutoThreshold,
    ExtremeValueTail,
    FBeta,
    PrecisionAtK,
    RecallAtPrecision,
    make_outlier_scorer,
)
from vae_anomaly.thresholds.objectives import Counts, candidate_thresholds, get_objective

TRUTH = np.array([1, 1, 0, 1, 0, 0, 0, 0, 1, 0])
SCORES = np.arange(10.0)


def best(objective, truth=TRUTH, scores=SCORES):
    """The decisions at the first threshold with the greatest value."""
    thresholds = candidate_thresholds(scores, 1000)
    values = get_objective(objective).from_counts(Counts.at(thresholds, scores, truth == 1))
    return (scores < thresholds[np.argmax(values)]).astype(int)


def test_counts_are_those_of_each_decision():
    thresholds = candidate_thresholds(SCORES, 1000)
    counts = Counts.at(thresholds, SCORES, TRUTH == 1)
    assert len(thresholds) == len(SCORES) + 1
    for n_alarms, (tp, fp, fn, tn) in enumerate(zip(*counts, strict=True)):
        assert tp == TRUTH[:n_alarms].sum()
        assert (tp + fp, fn + tn, tp + fn) == (n_alarms, 10 - n_alarms, 4)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_f_beta_is_scikit_learns(beta):
    y_pred = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0])
    assert FBeta(beta)(TRUTH, y_pred) == pytest.approx(fbeta_score(TRUTH, y_pred, beta=beta))


def test_cost_counts_each_kind_of_decision():
    y_pred = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0])
    cost = AlarmCost(missed=50, false_alarm=3, found=1)
    assert cost(TRUTH, y_pred) == pytest.approx(-(2 * 50 + 2 * 3 + 2 * 1) / 10)


@pytest.mark.parametrize(("missed", "n_alarms"), [(100, 9), (1.5, 4), (0.5, 2)])
def test_the_dearer_a_miss_the_more_alarms(missed, n_alarms):
    assert best(AlarmCost(missed=missed, false_alarm=1)).sum() == n_alarms


@pytest.mark.parametrize(("precision", "n_alarms"), [(1.0, 2), (0.75, 4), (0.4, 9)])
def test_recall_is_the_greatest_at_the_precision(precision, n_alarms):
    assert best(RecallAtPrecision(precision)).sum() == n_alarms


def test_precision_out_of_reach_comes_as_close_as_it_can():
    truth = np.array([0, 1, 0, 0, 0])
    objective = RecallAtPrecision(0.9)
    assert best(objective, truth, np.arange(5.0)).sum() == 2
    assert objective(truth, [1, 1, 0, 0, 0]) == pytest.approx(0.5 - 0.9)


@pytest.mark.parametrize(("k", "n_alarms"), [(2, 2), (3, 2), (4, 4), (9, 9)])
def test_at_most_k_rows_are_flagged_and_none_in_vain(k, n_alarms):
    assert best(PrecisionAtK(k)).sum() == n_alarms


def test_precision_at_k_is_the_share_of_outliers_among_k_rows():
    assert PrecisionAtK(4)(TRUTH, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]) == 0.75
    assert PrecisionAtK(2, per=5)(TRUTH, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]) == 0.75


@pytest.mark.parametrize("name", ["balanced_accuracy", "matthews_corrcoef", "jaccard", "recall"])
def test_scorers_of_scikit_learn_have_their_own_values(name):
    objective, scorer = get_objective(name), get_scorer(name)
    thresholds = candidate_thresholds(SCORES, 1000)
    values = objective.from_counts(Counts.at(thresholds, SCORES, TRUTH == 1))
    expected = [scorer._score_func(TRUTH, t > SCORES, **scorer._kwargs) for t in thresholds]
    np.testing.assert_allclose(values, expected)


def n_wrong(y_true, y_pred):
    return np.sum(y_true != y_pred)


@pytest.mark.parametrize(
    "scorer",
    [
        make_scorer(n_wrong, greater_is_better=False),
        make_outlier_scorer(n_wrong, response_method="predict", greater_is_better=False),
    ],
    ids=["make_scorer", "make_outlier_scorer"],
)
def test_a_metric_without_weights_can_be_an_objective(scorer):
    np.testing.assert_array_equal(best(scorer), best("accuracy"))


def test_auto_flags_few_of_the_clean_rows_whatever_the_outliers():
    rng = np.random.RandomState(0)
    clean, new = -rng.gamma(3, size=2000), -rng.gamma(3, size=100_000)
    for n_outliers in (0, 100):
        threshold = AutoThreshold().threshold(np.concatenate([clean, np.full(n_outliers, -1e6)]))
        assert 0.0005 < np.mean(new < threshold) < 0.03


@pytest.mark.parametrize("alarm_rate", [0.01, 1e-3, 1e-4])
def test_extreme_value_tail_reaches_beyond_the_rows_seen(alarm_rate):
    scores = -expon.rvs(size=5000, random_state=0)
    threshold = ExtremeValueTail(alarm_rate).threshold(scores)
    assert expon.sf(-threshold) == pytest.approx(alarm_rate, rel=0.6)


def test_extreme_value_tail_follows_units():
    scores = -expon.rvs(size=5000, random_state=0)
    one, other = (ExtremeValueTail().threshold(unit * scores) for unit in (1.0, 1e6))
    assert other == pytest.approx(1e6 * one, rel=1e-3)


def test_extreme_value_tail_needs_rows():
    with pytest.raises(ValueError, match="at least 10 rows"):
        ExtremeValueTail().threshold(np.arange(50.0))


def test_a_tail_whose_likelihood_has_no_maximum_ends_near_the_rows_seen():
    """Excesses far from the level, as outliers among the rows make them, fit a bounded tail."""
    rng = np.random.RandomState(0)
    scores = np.append(-rng.exponential(size=120), -50 - 5 * rng.uniform(size=17))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threshold = ExtremeValueTail().threshold(scores)
    assert scores.min() - 1 < threshold < scores.min()


@pytest.mark.parametrize(
    ("budget", "n_alarms"),
    [
        (AlarmBudget(0.01), 10),
        (AlarmBudget(0.0299), 29),
        (AlarmBudget(0.29), 290),
        (AlarmBudget(5, per=1440), 3),
        (AlarmBudget(1, per=5000), 0),
    ],
)
def test_budget_flags_as_many_rows_as_it_may(budget, n_alarms):
    scores = np.random.RandomState(0).randn(1000)
    assert np.sum(scores < budget.threshold(scores)) == n_alarms


def test_budget_is_kept_where_scores_are_equal():
    scores = np.repeat([-2.0, -1.0, 0.0], [3, 30, 67])
    assert np.sum(scores < AlarmBudget(0.1).threshold(scores)) == 3


def test_neighbouring_floats_are_told_apart():
    scores = np.array([1.0, np.nextafter(1.0, 2.0), np.nextafter(1.0, 2.0)])
    thresholds = candidate_thresholds(scores, 100)
    assert [np.sum(scores < t) for t in thresholds] == [0, 1, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FBeta(0), "beta of FBeta must be positive, got 0"),
        (lambda: AlarmCost(missed=0, false_alarm=1), "missed of AlarmCost must be finite, gr"),
        (lambda: AlarmCost(missed=np.inf, false_alarm=1), "missed of AlarmCost must be finite"),
        (lambda: AlarmCost(missed=1, false_alarm=0), "false_alarm"),
        (lambda: RecallAtPrecision(1.5), "precision"),
        (lambda: PrecisionAtK(0), "k of"),
        (lambda: PrecisionAtK(10, per=5), "per of"),
        (lambda: AlarmBudget(5), "alarms of AlarmBudget"),
        (lambda: ExtremeValueTail(0.2), "alarm_rate"),
        (lambda: ExtremeValueTail(tail=1.0), "tail"),
        (lambda: AlarmBudget("a"), "alarms of AlarmBudget must be in .*, got 'a'"),
        (lambda: AlarmBudget(0.1, per=None), "per of AlarmBudget must be positive, got None"),
        (lambda: AlarmBudget(True, per=5), "alarms of AlarmBudget must be in .*, got True"),
        (lambda: AlarmBudget(np.nan), "alarms of AlarmBudget must be in .*, got nan"),
        (lambda: FBeta("f1"), "beta of FBeta must be positive, got 'f1'"),
        (lambda: FBeta(np.inf), "beta of FBeta must be finite"),
        (lambda: AlarmCost("a", 1), "missed of AlarmCost"),
        (lambda: AlarmCost(1, [2]), "false_alarm of AlarmCost"),
        (lambda: AlarmCost(1, 1, found="a"), "found of AlarmCost must be finite"),
        (lambda: RecallAtPrecision(None), "precision of RecallAtPrecision"),
        (lambda: PrecisionAtK("3"), "k of PrecisionAtK must be positive, got '3'"),
        (lambda: PrecisionAtK(3, per="9"), "per of PrecisionAtK"),
        (lambda: ExtremeValueTail("a"), "alarm_rate of ExtremeValueTail"),
        (lambda: ExtremeValueTail(0.01, tail=None), "tail of ExtremeValueTail"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
