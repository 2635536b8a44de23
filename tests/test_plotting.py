"""The displays: what they draw, from estimators and from scores."""

import matplotlib
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_score, recall_score
from sklearn.model_selection import StratifiedKFold, cross_validate
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
        ({"scores": [np.nan] * 3}, "None of 3 scores is a finite number"),
        ({"scores": [-np.inf, np.inf, np.nan]}, "None of 3 scores is a finite number"),
        ({"scores": [[3.0], [2.0], [1.0]]}, r"1d array of numbers.*shape \(3, 1\)"),
        ({"scores": ["a", "b", "c"]}, "1d array of numbers"),
        ({"scores": [], "y_true": []}, "Found array with 0 sample"),
        ({"sample_weight": [1.0, -1.0, 1.0]}, "[Nn]egative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ThresholdDisplay.from_predictions(
            **({"y_true": [0, 0, 1], "scores": [3.0, 2.0, 1.0]} | arguments)
        )


def test_an_empty_histogram_is_refused():
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        ScoreDistributionDisplay.from_predictions(None, [])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("against", ["threshold", "alarm_rate"])
def test_infinite_scores_lie_at_the_ends(against):
    scores = np.random.RandomState(0).randn(100)
    scores[[3, 4]], scores[5] = -np.inf, np.inf
    y = np.isneginf(scores).astype(int)
    histogram = ScoreDistributionDisplay.from_predictions(y, scores, threshold=-np.inf)
    assert np.isfinite(histogram.ax_.get_xlim()).all()
    assert legend(histogram)[:2] == ["Inliers (98)", "Outliers (2)"]
    first, last = histogram.ax_.containers[1][0], histogram.ax_.containers[0][-1]
    assert first.get_height() == 1
    assert last.get_height() >= 1 / 98
    display = ThresholdDisplay.from_predictions(y, scores, threshold=-np.inf, against=against)
    assert np.isfinite(display.ax_.get_xlim()).all()
    assert display.precision.max() == 1


@pytest.mark.filterwarnings("error")
def test_equal_scores_are_drawn():
    ScoreDistributionDisplay.from_predictions(None, np.zeros(5), threshold=0.0)
    ThresholdDisplay.from_predictions([0, 0, 0, 0, 1], np.zeros(5))


def test_weights_count_rows_several_times(labelled):
    X, y = labelled
    scores = IsolationForest(random_state=0).fit(X).score_samples(X)
    weight = np.random.RandomState(0).randint(1, 4, len(y))
    one = ThresholdDisplay.from_predictions(y, scores, sample_weight=weight, objective=COST)
    repeated = np.repeat(np.arange(len(y)), weight)
    other = ThresholdDisplay.from_predictions(y[repeated], scores[repeated], objective=COST)
    for name in ("alarm_rate", "precision", "recall", "objective"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    bars, expected = (
        ScoreDistributionDisplay.from_predictions(*arguments).ax_.containers
        for arguments in ((y, scores), (y[repeated], scores[repeated]))
    )
    weighted = ScoreDistributionDisplay.from_predictions(y, scores, sample_weight=weight)
    for got, bar in zip(weighted.ax_.containers, expected, strict=True):
        np.testing.assert_allclose([b.get_height() for b in got], [b.get_height() for b in bar])
    assert [bar.get_height() for bar in bars[0]] != [bar.get_height() for bar in expected[0]]


@pytest.mark.parametrize("display", [ScoreDistributionDisplay, ThresholdDisplay])
def test_the_legend_names_the_detector(tuned, labelled, display):
    drawn = display.from_estimator(tuned, *labelled, name="forest")
    assert legend(drawn)[0].endswith(" (forest)")
    assert legend(drawn.plot(name="trees"))[0].endswith(" (trees)")


def test_matplotlib_is_passed_what_it_is_to_draw_with(tuned, labelled):
    display = ThresholdDisplay.from_estimator(tuned, *labelled, curve_kwargs={"lw": 5, "c": "red"})
    assert {(line.get_linewidth(), line.get_color()) for line in display.lines_} == {(5, "red")}
    display = ScoreDistributionDisplay.from_estimator(
        tuned, *labelled, hist_kwargs={"histtype": "step", "alpha": 1.0}
    )
    assert display.ax_.patches[0].get_alpha() == 1


@pytest.mark.parametrize("display", [ScoreDistributionDisplay, ThresholdDisplay])
def test_the_frame_can_be_opened(tuned, labelled, display):
    open_frame = display.from_estimator(tuned, *labelled, despine=True).ax_
    assert not open_frame.spines["top"].get_visible()
    assert display.from_estimator(tuned, *labelled).ax_.spines["top"].get_visible()


@pytest.fixture(scope="module")
def cv_results(labelled):
    tuned = TunedThresholdDetectorCV(IsolationForest(random_state=0), scoring=COST, cv=3)
    return cross_validate(
        tuned,
        *labelled,
        cv=StratifiedKFold(4),
        scoring=get_outlier_scorer("f1"),
        return_estimator=True,
        return_indices=True,
    )


def test_each_fold_has_its_curves(cv_results, labelled):
    X, y = labelled
    display = ThresholdDisplay.from_cv_results(cv_results, X, y)
    assert len(display.lines_) == 4 * 3
    assert len(legend(display)) == 4
    for fold, estimator in enumerate(cv_results["estimator"]):
        rows = cv_results["indices"]["test"][fold]
        one = ThresholdDisplay.from_estimator(estimator, X[rows], y[rows])
        np.testing.assert_array_equal(display.recall[fold], one.recall)
        assert display.threshold[fold] == estimator.offset_


def test_held_out_rows_of_all_folds_are_one_histogram(cv_results, labelled):
    X, y = labelled
    display = ScoreDistributionDisplay.from_cv_results(cv_results, X, y)
    assert legend(display)[:2] == ["Inliers (190)", "Outliers (10)"]
    assert display.threshold == [estimator.offset_ for estimator in cv_results["estimator"]]


@pytest.mark.parametrize("display", [ScoreDistributionDisplay, ThresholdDisplay])
def test_results_without_detectors_or_rows_are_refused(cv_results, labelled, display):
    X, y = labelled
    lacking = {name: value for name, value in cv_results.items() if name != "indices"}
    with pytest.raises(ValueError, match="`return_indices=True`"):
        display.from_cv_results(lacking, X, y)
    with pytest.raises(ValueError, match="correct number of samples"):
        display.from_cv_results(cv_results, X[:50], y[:50])


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


def test_thresholds_of_folds_are_labelled_by_their_range(labelled):
    X, y = labelled
    forest = IsolationForest(n_estimators=20, random_state=0)
    folds = cross_validate(
        forest,
        X,
        y,
        cv=StratifiedKFold(3),
        scoring=get_outlier_scorer("average_precision"),
        return_estimator=True,
        return_indices=True,
    )
    for fold, low in zip(folds["estimator"], (-0.7, -0.6, -0.5), strict=True):
        fold.offset_ = low
    for display in (ThresholdDisplay, ScoreDistributionDisplay):
        drawn = display.from_cv_results(folds, X, y)
        assert legend(drawn)[-1] == "Thresholds -0.7 to -0.5"


def test_display_of_a_threshold_needs_labels(tuned, labelled):
    with pytest.raises(ValueError, match="needs labels"):
        ThresholdDisplay.from_estimator(tuned, labelled[0], None)
