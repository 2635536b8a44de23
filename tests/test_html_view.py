"""What notebooks show of fitted estimators and of results."""

import dataclasses
import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    AlarmBudget,
    AlarmCost,
    ConformalDetector,
    FixedThresholdDetector,
    OnnxDetector,
    TunedThresholdDetectorCV,
    WindowedDetector,
    counterfactuals,
    explain,
    inspect,
    load,
    save,
)
from vae_anomaly.html_view import LearnedViewMixin
from vae_anomaly.learned import Column

HOSTILE = "<script>alert('t')</script>"


def text_of(model):
    """Return what the view says, without its tags, styles and scripts."""
    shown = re.sub(r"<(style|script).*?</\1>", "", model._repr_html_(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", shown)).split())


@pytest.fixture(scope="module")
def table(X):
    """Rows with a category, and with names and levels that are HTML."""
    side = pd.Categorical(np.where(X[:, 0] < 3, "left", "<b>right</b>"))
    return pd.DataFrame(X[:, :3], columns=["t", "sin", HOSTILE]).assign(side=side)


@pytest.fixture(scope="module")
def of_table(make_detector, table):
    return make_detector(contamination=0.05).fit(table)


def test_view_tells_what_was_learned(detector):
    shown = text_of(detector)
    assert "400 rows" in shown
    assert "5 numbers" in shown
    assert "dense: 5 → 16 → 8 → 3 latent → 8 → 16 → 5" in shown
    assert "10 epochs" in shown
    assert f"{detector.history_['loss'][-1]:.4g} in the last epoch" in shown
    assert f"{detector.offset_:.4g}: rows with lower score_samples are outliers" in shown


def test_view_counts_the_weights_that_keras_counts(detector):
    n_weights = detector.encoder_.count_params() + detector.decoder_.count_params()
    assert f"weights {n_weights:,}" in text_of(detector)


def test_view_tells_what_the_automatic_threshold_is_meant_for(detector, of_table):
    assert "meant for 1 % of new clean rows" in text_of(detector)
    assert "20 of 400 training rows (5 %)" in text_of(of_table)
    assert "meant for" not in text_of(of_table)


def test_view_describes_the_threshold_of_the_fit(make_detector, X):
    detector = make_detector(contamination=0.05).fit(X).set_params(contamination="auto")
    assert "meant for" not in text_of(detector)


def test_view_lists_the_columns_with_their_kinds(of_table):
    shown = text_of(of_table)
    assert "3 numbers, 1 category (side)" in shown
    assert "side category 2 levels <b>right</b>, left" in shown
    assert f"t number {of_table.data_min_[0]:g} to {of_table.data_max_[0]:g}" in shown


def test_view_lists_at_most_a_hundred_columns(make_detector):
    wide = make_detector(max_iter=1).fit(np.random.RandomState(0).normal(size=(20, 120)))
    assert "Columns (100 of 120)" in text_of(wide)


def test_view_tells_missing_indicators_and_one_hot_groups(make_detector, X):
    table = pd.DataFrame(X, columns=list("abcde")).join(
        pd.get_dummies(pd.Series(np.arange(len(X)) % 3), prefix="kind", dtype=float)
    )
    table.loc[:9, "b"] = np.nan
    shown = text_of(make_detector(max_iter=1).fit(table))
    assert "8 numbers, 1 one-hot group, 1 missing indicator (b)" in shown


def test_names_and_levels_are_escaped(of_table):
    shown = of_table._repr_html_()
    assert HOSTILE not in shown
    assert "<b>right" not in shown
    assert html.escape(HOSTILE) in shown


def test_view_tells_the_shape_of_images(make_detector):
    images = np.random.RandomState(0).rand(20, 16)
    detector = make_detector(architecture="conv", input_shape=(4, 4, 1), max_iter=1).fit(images)
    assert "conv: 4x4x1 → 16 → 8 → 3 latent → 8 → 16 → 4x4x1" in text_of(detector)


def test_view_tells_a_plain_autoencoder(make_detector, X):
    detector = make_detector(variational=False, max_iter=1).fit(X)
    assert "dense, not variational:" in text_of(detector)


def test_view_tells_the_best_validation_loss(make_detector, X):
    detector = make_detector(early_stopping=True).fit(X)
    best = int(np.argmin(detector.history_["val_loss"]))
    expected = (
        f"best validation loss {detector.history_['val_loss'][best]:.4g}, in epoch {best + 1}"
    )
    assert expected in text_of(detector)


def test_view_of_a_detector_that_went_on_learning(make_detector, X):
    detector = make_detector(early_stopping=True).fit(X).partial_fit(X)
    assert f"{detector.n_iter_} epochs" in text_of(detector)


def test_an_unfitted_detector_is_shown_as_scikit_learn_shows_it(make_detector, monkeypatch):
    shown = text_of(make_detector())
    for name in ("_sk_visual_block_", "_get_params_html", "_get_fitted_attr_html"):
        monkeypatch.delattr(LearnedViewMixin, name)
    assert shown == text_of(make_detector())


def test_text_is_left_to_scikit_learn(detector):
    assert detector._repr_mimebundle_()["text/plain"] == repr(detector)
    assert "Learned" in detector._repr_mimebundle_()["text/html"]


def test_a_pipeline_shows_what_its_detector_learned(make_detector, X):
    pipeline = make_pipeline(StandardScaler(), make_detector(contamination=0.1)).fit(X)
    assert "400 rows, 5 columns, threshold" in text_of(pipeline)


def test_a_search_shows_what_its_best_detector_learned(make_detector, X):
    candidate = make_detector(contamination=0.1, max_iter=1)
    search = GridSearchCV(candidate, {"latent_dim": [2, 3]}, cv=2).fit(X)
    assert f"→ {search.best_params_['latent_dim']} latent →" in text_of(search)


def test_a_tuned_detector_shows_its_threshold_and_that_of_the_detector_inside(detector, X):
    y = np.arange(len(X)) % 50 == 0
    tuned = TunedThresholdDetectorCV(detector, scoring=AlarmCost(9, 1), cv="prefit").fit(X, y)
    shown = text_of(tuned)
    assert f"{tuned.offset_:.4g}: rows with lower" in shown
    assert "AlarmCost(missed=9, false_alarm=1" in shown
    assert f"{tuned.best_score_:.4g} on the held-out rows" in shown
    n_alarms = int((tuned.predict(X) == -1).sum())
    assert f"{n_alarms} of 400 held-out rows (" in shown
    assert f"{detector.offset_:.4g}: rows with lower" in shown


def test_a_threshold_stands_below_the_detector_that_it_is_set_for(detector, X):
    tuned = TunedThresholdDetectorCV(detector, scoring=AlarmBudget(0.05), cv="prefit").fit(X)
    shown = text_of(tuned)
    assert shown.rindex(f"threshold {tuned.offset_:.4g}") > shown.rindex("VAEAnomalyDetector")
    assert "held-out rows not labelled" not in shown


def test_the_view_of_a_conformal_detector_tells_its_guarantee(detector, X_new):
    conformal = ConformalDetector(detector, alpha=0.05, cv="prefit").fit(X_new)
    assert "at most 4.95 % of new clean rows" in text_of(conformal)  # 5 of 101


def test_a_conformal_detector_that_never_flags_says_so(detector, X_new):
    with pytest.warns(UserWarning, match="never flags"):
        conformal = ConformalDetector(detector, alpha=0.001, cv="prefit").fit(X_new)
    assert "no row is an outlier" in text_of(conformal)
    assert "at most 0 % of new clean rows" in text_of(conformal)


def test_a_fixed_threshold_says_who_set_it(detector):
    assert "by hand" in text_of(FixedThresholdDetector(detector, threshold=-50))
    assert "by the detector itself" in text_of(FixedThresholdDetector(detector))


def test_thresholds_of_other_detectors_are_shown_too(X):
    conformal = ConformalDetector(IsolationForest(random_state=0), random_state=0).fit(X)
    assert f"{conformal.offset_:.4g}: rows with lower" in text_of(conformal)


def test_a_windowed_detector_shows_its_windows_and_channels(make_detector, X):
    series = pd.DataFrame(X[:, 1:3], columns=["sin", HOSTILE])
    windowed = WindowedDetector(make_detector(max_iter=1), window_size=8).fit(series)
    assert f"2 channels (sin, {HOSTILE})" in text_of(windowed)
    assert "windows of 8 time points" in text_of(windowed)
    assert HOSTILE not in windowed._repr_html_()
    windowed.set_params(contamination=None)
    assert "2 channels" in text_of(windowed)


@pytest.mark.parametrize(
    "broken",
    [
        FixedThresholdDetector(IsolationForest()),
        FixedThresholdDetector(StandardScaler().fit([[1.0], [2.0]])),
        OnnxDetector("nowhere.onnx"),
    ],
    ids=["unfitted", "no threshold", "no file"],
)
def test_a_view_never_raises(broken):
    assert type(broken).__name__ in broken._repr_html_()


def test_a_damaged_detector_is_shown_without_what_it_learned(make_detector, X):
    detector = make_detector(max_iter=1).fit(X)
    del detector.history_
    assert "Learned" not in text_of(detector)


def test_a_view_never_raises_whatever_a_file_says_of_its_columns(monkeypatch):
    detector = load(Path(__file__).parent / "models" / "0.1.0" / "dense.onnx")
    columns = (Column("a", "number", minimum="low", maximum="high"),)
    info = dataclasses.replace(detector.info_, columns=columns)
    monkeypatch.setattr(OnnxDetector, "info_", info)
    assert "OnnxDetector" in text_of(detector)


def test_a_threshold_set_by_hand_is_by_hand_whatever_the_detector_has(detector, X):
    same = FixedThresholdDetector(detector, threshold=detector.offset_).fit(X)
    assert "set by hand" in text_of(same)
    assert "set by the detector itself" in text_of(FixedThresholdDetector(detector).fit(X))


@pytest.mark.parametrize("name", ["dense.skops", "dense.onnx", "conv2d.skops", "tuned.skops"])
def test_models_of_older_versions_are_shown(name):
    path = Path(__file__).parent / "models" / "0.1.0" / name
    assert "Learned" in text_of(load(path))


def test_the_view_of_a_loaded_model_imports_no_tensorflow(of_table, tmp_path, run_python):
    save(of_table, tmp_path / "model.skops")
    script = """
        import sys
        from vae_anomaly import load
        shown = load(sys.argv[1])._repr_html_()
        assert "400 rows" in shown
        print({"tensorflow", "keras"} & set(sys.modules))
    """
    printed = run_python("\n".join(map(str.strip, script.splitlines())), tmp_path / "model.skops")
    assert printed.strip() == "set()"


def test_an_explanation_is_shown_as_sentences(of_table, table):
    explanation = explain(of_table, table.head(12))
    shown = text_of(explanation)
    assert "The first 10 rows are shown." in shown
    assert explanation.text().iloc[0] in shown
    assert HOSTILE not in explanation._repr_html_()


def test_counterfactuals_are_shown_as_sentences(of_table, table):
    alarms = table[of_table.predict(table) == -1].head(2)
    found = counterfactuals(of_table, alarms)
    assert found.text().iloc[1] in text_of(found)
    assert repr(found) in text_of(found)


def test_what_inspect_tells_is_shown_line_by_line(of_table, tmp_path):
    save(of_table, tmp_path / "model.skops")
    info = inspect(tmp_path / "model.skops")
    assert html.unescape(info._repr_html_()) == f"<pre>{info}</pre>"
    assert HOSTILE not in info._repr_html_()
