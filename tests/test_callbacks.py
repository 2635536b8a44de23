"""scikit-learn's callbacks, where its version has them."""

import joblib
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


@pytest.mark.parametrize("task", ["fit", "epoch"])
def test_a_callback_that_fails_leaves_the_detector_as_it_was(make_detector, X, task):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == task:
                raise RuntimeError("failed")

    detector = make_detector(contamination=0.1).fit(X)
    before = joblib.hash(detector)
    detector.set_callbacks(Failing())
    with pytest.raises(RuntimeError, match="failed"):
        detector.fit(100 * X[:, :3])
    assert joblib.hash(detector.set_callbacks()) == before


def test_an_epoch_that_begins_ends(make_detector, X):
    recorder = Recorder()
    detector = make_detector(early_stopping=True, max_iter=40, tol=1e9, n_iter_no_change=3)
    detector.set_callbacks(recorder).fit(X)
    assert recorder.began.count("epoch") == recorder.ended.count("epoch") == detector.n_iter_


def test_fit_batches_calls_them_too(make_detector, X):
    recorder = Recorder()
    make_detector(max_iter=2).set_callbacks(recorder).fit_batches([X[:200], X[200:]])
    assert recorder.ended == ["epoch", "epoch", "fit"]


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
