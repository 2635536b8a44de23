"""The displays of explanations, training and codes: what they draw."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    ContributionHeatmapDisplay,
    ContributionsDisplay,
    FixedThresholdDetector,
    LatentSpaceDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
    WindowedDetector,
    explain,
)


@pytest.fixture(autouse=True)
def plt():
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def explanation(trained, X_new):
    return trained.explain(X_new[:12] + np.eye(12, 5), attribution="hiding")


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_the_waterfall_ends_at_the_score(explanation):
    display = ContributionsDisplay.from_predictions(explanation, row=3)
    last = display.bars_[-1]
    assert last.get_x() + last.get_width() == pytest.approx(explanation.score[3])
    assert display.ax_.get_xlabel() == "Anomaly score (nats)"
    assert len(display.bars_) == 6
    widths = [abs(bar.get_width()) for bar in display.bars_]
    assert widths == sorted(widths, reverse=True)


def test_the_waterfall_sums_what_it_does_not_show(explanation):
    display = ContributionsDisplay.from_predictions(explanation, max_display=3)
    assert ticks(display.ax_.yaxis)[-1] == "4 others"
    last = display.bars_[-1]
    assert last.get_x() + last.get_width() == pytest.approx(explanation.score[0])
    with pytest.raises(ValueError, match="max_display must be at least 2"):
        ContributionsDisplay.from_predictions(explanation, max_display=1)


def test_the_waterfall_names_columns_with_their_values(trained, X_new):
    X = pd.DataFrame(X_new, columns=["a", "b", "c", "d", "a name that is much too long for it"])
    model = make_pipeline(StandardScaler(), trained.__class__(max_iter=1, random_state=0)).fit(X)
    display = ContributionsDisplay.from_estimator(model, X.assign(a=1234.5), row=2, despine=True)
    labels = ticks(display.ax_.yaxis)
    assert labels[0] == "a = 1,234" or "a = 1,234" in labels
    assert max(map(len, labels)) <= 28
    assert not display.ax_.spines["right"].get_visible()


def test_the_heatmap_shows_shares_of_the_score(explanation):
    display = ContributionHeatmapDisplay.from_predictions(explanation, max_columns=4)
    shown = display.image_.get_array()
    assert shown.shape == (12, 4)
    assert 0 <= shown.min() <= shown.max() <= 100
    assert sorted(display.order_) == list(range(12))
    assert len(ticks(display.ax_.xaxis)) == 4


def test_the_heatmap_of_many_rows_takes_the_highest_scores(trained, X_new):
    display = ContributionHeatmapDisplay.from_estimator(trained, X_new, max_rows=50)
    highest = np.argsort(trained.score_samples(X_new))[:50]
    assert set(display.order_) == set(highest)
    assert display.ax_.get_ylabel() == "50 rows, similar ones together"


def test_two_rows_make_a_heatmap(explanation, trained, X_new):
    display = ContributionHeatmapDisplay.from_estimator(trained, X_new[:2])
    assert display.image_.get_array().shape[0] == 2


def test_the_learning_curve_shows_the_history(trained, plt):
    ax = plt.subplots()[1]
    display = TrainingHistoryDisplay.from_estimator(FixedThresholdDetector(trained), ax=ax)
    assert display.ax_ is ax
    assert set(display.lines_) == {"loss", "reconstruction", "kl"}
    np.testing.assert_array_equal(display.lines_["kl"].get_ydata(), trained.history_["kl"])
    assert ax.get_yscale() == "log"


def test_the_learning_curve_shows_validation_and_negative_losses():
    history = {"loss": [1.0, -2.0], "reconstruction": [0.5, -3.0], "kl": [0.5, 1.0]}
    display = TrainingHistoryDisplay.from_predictions(
        history | {"val_loss": [1.5, np.nan]}, despine=True
    )
    assert "val_loss" in display.lines_
    assert display.ax_.get_yscale() == "linear"


def test_other_detectors_have_no_learning_curve(X):
    with pytest.raises(TypeError, match="no history_"):
        TrainingHistoryDisplay.from_estimator(IsolationForest().fit(X))


def test_codes_are_projected_unless_they_have_two_dimensions(trained, X_new):
    display = LatentSpaceDisplay.from_estimator(trained, X_new, despine=True)
    assert display.points.shape == (100, 2)
    assert "% of its variance" in display.ax_.get_xlabel()
    codes = trained.transform(X_new)[:, :2]
    plain = LatentSpaceDisplay.from_predictions(codes)
    np.testing.assert_array_equal(plain.points, codes)
    assert plain.ax_.get_ylabel() == "Latent dimension 2"
    line = LatentSpaceDisplay.from_predictions(codes[:, :1])
    assert (line.points[:, 1] == 0).all()


def test_codes_are_coloured_by_scores_or_labels(trained, X_new):
    codes, scores = trained.transform(X_new), -trained.score_samples(X_new)
    by_score = LatentSpaceDisplay.from_predictions(codes, scores)
    np.testing.assert_array_equal(by_score.scatters_[0].get_array(), np.sort(scores))
    y = np.where(X_new[:, 0] > 3, "late", "early")
    by_label = LatentSpaceDisplay.from_estimator(trained, X_new, y)
    assert [s.get_label() for s in by_label.scatters_] == ["early", "late"]
    with pytest.raises(ValueError, match="not both"):
        LatentSpaceDisplay.from_predictions(codes, scores, y=y)
    with pytest.raises(ValueError, match="There are 100 labels"):
        LatentSpaceDisplay.from_predictions(codes, y=np.arange(100))


def test_a_row_of_a_table_is_shown_beside_what_is_expected(explanation):
    display = ReconstructionDisplay.from_predictions(explanation, row=2, despine=True)
    assert display.kind == "row"
    assert ticks(display.ax_.yaxis) == ["x0", "x1", "x2", "x3", "x4"]
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts[2].startswith(f"{explanation.observed.iloc[2, 2]:.3g} (expected ")


@pytest.mark.parametrize("n_channels", [1, 3])
def test_images_are_shown_with_reconstructions_and_contributions(make_detector, n_channels):
    images = np.random.RandomState(0).uniform(size=(40, 4, 5, n_channels))
    detector = make_detector(input_shape=(4, 5, n_channels), max_iter=1, contamination=0.1)
    detector.fit(images)
    display = ReconstructionDisplay.from_estimator(detector, images[:3])
    assert display.kind == "image"
    (mosaic,) = display.ax_.images
    assert mosaic.get_array().shape == (3 * 4 + 2, 3 * 5 + 2, 3)
    assert ticks(display.ax_.yaxis) == ["Image", "Expected", "Contribution"]


def test_a_channel_of_windows_is_shown_over_time(make_detector):
    windows = np.random.RandomState(0).uniform(size=(40, 6, 2))
    detector = make_detector(
        architecture="conv", input_shape=(6, 2), hidden_layer_sizes=(4,), max_iter=1
    ).fit(windows)
    display = ReconstructionDisplay.from_estimator(detector, windows, row=5, channel=1)
    assert display.kind == "series"
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), windows[5, :, 1])
    with pytest.raises(ValueError, match="channel=2 is none of"):
        ReconstructionDisplay.from_estimator(detector, windows, channel=2)
    with pytest.raises(ValueError, match="Images need"):
        ReconstructionDisplay.from_estimator(detector, windows, kind="image")


def test_a_series_is_shown_with_its_alarms(make_detector):
    time = pd.date_range("2024", periods=200, freq="h")
    series = pd.DataFrame({"load": np.sin(np.arange(200) / 3)}, index=time)
    detector = WindowedDetector(make_detector(max_iter=20), window_size=8).fit(series)
    broken = series.copy()
    broken.iloc[100:110] = 5.0
    display = ReconstructionDisplay.from_estimator(detector, broken, channel="load")
    assert display.ax_.get_ylabel() == "load"
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), broken["load"])
    assert "Alarm" in [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_unknown_kinds_are_refused(explanation):
    with pytest.raises(ValueError, match="kind must be one of"):
        ReconstructionDisplay.from_predictions(explanation, kind="text")


def test_displays_take_axes(explanation, plt):
    figure, axes = plt.subplots(1, 3)
    for display, ax in zip(
        (ContributionsDisplay, ContributionHeatmapDisplay, ReconstructionDisplay), axes, strict=True
    ):
        shown = display.from_predictions(explanation, ax=ax)
        assert shown.ax_ is ax
        assert shown.figure_ is figure


def test_explain_is_the_same_as_the_method(trained, X_new):
    pd.testing.assert_frame_equal(
        explain(trained, X_new).contributions, trained.explain(X_new).contributions
    )


def test_a_row_of_truth_values_is_expected_to_be_true_or_false(make_detector, X):
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "late": X[:, 0] > 3})
    detector = make_detector(max_iter=100, contamination=0.1).fit(table)
    rows = table[~table["late"]].head(1).assign(late=True)
    display = ReconstructionDisplay.from_estimator(detector, rows, attribution="hiding")
    assert display.ax_.texts[-1].get_text() == "true (expected false)"
    assert display.ax_.get_title() == "Row " + str(rows.index[0])
