"""The displays: what they draw, from estimators and from scores."""

import matplotlib
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from vae_anomaly import (
    AlarmCost,
    ScoreDistributionDisplay,
    ThresholdDisplay,
    TunedThresholdDetectorCV,
    get_outlier_scorer,
)

COST = AlarmCost(missed=20, false_alarm=1)


@pytest.fixture(autouse=True)
def plt():
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.RandomState(0)
    X = np.concatenate([rng.randn(190, 2), 3 + rng.randn(10, 2)])
    return X, np.repeat([0, 1], [190, 10])


@pytest.fixture(scope="module")
def tuned(labelled):
    return TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=COST).fit(*labelled)


def legend(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_curves_are_precision_recall_and_cost(tuned, labelled):
    X, y = labelled
    display = ThresholdDisplay.from_estimator(tuned, X, y)
    at = len(display.thresholds) // 3
    is_alarm = tuned.score_samples(X) < display.thresholds[at]
    assert display.precision[at] == precision_score(y, is_alarm)
    assert display.recall[at] == recall_score(y, is_alarm)
    assert display.objective[at] == pytest.approx(-COST(y, is_alarm))
    for line, values in zip(
        display.lines_, (display.precision, display.recall, display.objective), strict=True
    ):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert display.objective_ax_.get_ylabel() == "Mean cost of a row"


@pytest.mark.parametrize("against", ["threshold", "alarm_rate"])
def test_the_choice_is_marked(tuned, labelled, against):
    X, y = labelled
    display = ThresholdDisplay.from_estimator(tuned, X, y, against=against)
    assert legend(display)[-1] == f"Threshold {tuned.offset_:.4g}"
    marked = display.ax_.lines[-1].get_xdata()[0]
    rate = np.mean(tuned.predict(X) == -1)
    expected = tuned.offset_ if against == "threshold" else rate
    assert marked == pytest.approx(expected)
    left, right = display.ax_.get_xlim()
    assert left <= marked <= right


def test_without_an_objective_there_are_precision_and_recall(labelled):
    forest = make_pipeline(StandardScaler(), IsolationForest(random_state=0)).fit(labelled[0])
    display = ThresholdDisplay.from_estimator(forest, *labelled)
    assert legend(display)[:2] == ["Precision", "Recall"]
    assert display.objective_ax_ is None
    assert display.threshold == forest[-1].offset_


def test_rows_without_a_label_are_left_out_of_the_curves(labelled):
    X, y = labelled
    scores = IsolationForest(random_state=0).fit(X).score_samples(X)
    partly = np.where(np.arange(len(y)) % 2, y, np.nan)
    known = ~np.isnan(partly)
    one = ThresholdDisplay.from_predictions(partly, scores, objective="f1")
    other = ThresholdDisplay.from_predictions(y[known], scores[known], objective="f1")
    np.testing.assert_array_equal(one.recall, other.recall)
    np.testing.assert_array_equal(one.objective, other.objective)


def test_histograms_are_shares_of_each_class(tuned, labelled):
    X, y = labelled
    partly = np.where(np.arange(len(y)) % 2, y, np.nan)
    display = ScoreDistributionDisplay.from_estimator(tuned, X, partly)
    assert legend(display) == [
        "Inliers (95)",
        "Outliers (5)",
        "Without a label (100)",
        f"Threshold {tuned.offset_:.4g}",
    ]
    for bars in display.ax_.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


def test_scores_without_labels_are_one_histogram():
    scores = np.random.RandomState(0).randn(1000)
    display = ScoreDistributionDisplay.from_predictions(None, scores)
    assert legend(display) == ["Rows (1,000)"]
    assert display.ax_.get_ylabel() == "Share of the rows"
    assert display.ax_.get_xlabel() == "score_samples"


@pytest.mark.parametrize("display", [ScoreDistributionDisplay, ThresholdDisplay])
def test_huge_scores_do_not_hide_the_bulk(display):
    """Outliers of a VAE may score a million times as low."""
    rng = np.random.RandomState(0)
    scores = np.concatenate([rng.randn(990), -1e6 * rng.uniform(size=10)])
    y = np.repeat([0, 1], [990, 10])
    left, right = display.from_predictions(y, scores, threshold=-5.0).ax_.get_xlim()
    assert -50 < left < -5
    assert right < 50
    drawn = ScoreDistributionDisplay.from_predictions(y, scores)
    assert "lower ones in the first bin" in drawn.ax_.get_xlabel()


def test_an_axes_can_be_given(plt, tuned, labelled):
    figure, axes = plt.subplots(1, 2)
    ThresholdDisplay.from_estimator(tuned, *labelled, ax=axes[0])
    display = ScoreDistributionDisplay.from_estimator(tuned, *labelled, ax=axes[1])
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "auto"}, "has no curve"),
        ({"against": "recall"}, "against must be"),
        ({"y_true": [0, 1]}, "inconsistent numbers"),
        ({"y_true": [0, 0, 0]}, "two classes"),
        ({"scores": [3.0, np.nan, 1.0]}, "1 scores are NaN, the first in row 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ThresholdDisplay.from_predictions(
            **({"y_true": [0, 0, 1], "scores": [3.0, 2.0, 1.0]} | arguments)
        )


def test_scores_that_are_missing_are_not_drawn():
    with pytest.raises(ValueError, match="1 scores are NaN, the first in row 0"):
        ScoreDistributionDisplay.from_predictions(None, [np.nan, 1.0])


def test_the_threshold_of_any_detector_is_marked(labelled):
    X, y = labelled
    svm = OneClassSVM().fit(X)
    assert ThresholdDisplay.from_estimator(svm, X, y).threshold == svm.offset_[0]
    display = ScoreDistributionDisplay.from_estimator(svm, X)
    assert f"Threshold {svm.offset_[0]:.4g}" in legend(display)


def test_the_outliers_are_those_of_the_scorer(labelled):
    X, y = labelled
    scorer = get_outlier_scorer("f1", pos_label=0)
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=scorer)
    display = ThresholdDisplay.from_estimator(tuned.fit(X, 1 - y), X, 1 - y)
    assert display.recall[len(display.recall) // 4] > 0.5
