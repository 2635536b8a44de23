"""scikit-learn's callbacks, where its version has them."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

callback = pytest.importorskip("sklearn.callback")


class Recorder:
    """A callback that counts epochs, and asks to stop after some."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.began, self.ended, self.scores, self.n_teardowns = [], [], [], 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.n_teardowns += 1

    def on_fit_task_begin(self, estimator, context):
        self.began.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.ended.append(context.task_name)
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X))
            assert set(fitted_estimator.predict(X)) <= {-1, 1}
        return self.stop_after is not None and len(self.scores) >= self.stop_after


def test_each_epoch_is_a_task(make_detector, X):
    recorder = Recorder()
    detector = make_detector(max_iter=4).set_callbacks(recorder).fit(X)
    assert recorder.began == ["fit"] + ["epoch"] * 4
    assert recorder.ended == ["epoch"] * 4 + ["fit"]
    assert recorder.n_teardowns == 1
    assert recorder.scores[-1] == pytest.approx(detector.score(X))


def test_callbacks_change_no_score(make_detector, X, X_new, detector):
    watched = make_detector().set_callbacks(Recorder()).fit(X)
    np.testing.assert_array_equal(watched.score_samples(X_new), detector.score_samples(X_new))
    assert watched.offset_ == detector.offset_


def test_a_callback_stops_the_training(make_detector, X):
    detector = make_detector(max_iter=50).set_callbacks(Recorder(stop_after=3)).fit(X)
    assert detector.n_iter_ == 3


def test_progress_bar_reaches_into_a_pipeline_and_a_search(make_detector, X, capsys):
    pipeline = make_pipeline(StandardScaler(), make_detector(max_iter=2, contamination=0.1))
    search = GridSearchCV(pipeline, {"vaeanomalydetector__latent_dim": [2, 3]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(X)
    assert np.isfinite(search.best_score_)


def test_clone_keeps_the_callbacks(make_detector):
    detector = make_detector().set_callbacks(Recorder())
    assert hasattr(clone(detector), "_skl_callbacks")
