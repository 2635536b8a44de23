"""Missing values: in training and in scoring, by every method, and how they are filled in."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    ConformalDetector,
    FixedThresholdDetector,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    WindowedDetector,
    make_outlier_scorer,
)


def hidden(X, fraction, seed=0):
    return np.where(np.random.RandomState(seed).uniform(size=X.shape) < fraction, np.nan, X)


@pytest.fixture(scope="module")
def factors():
    """Eight columns that hang together through three factors: training rows, and new ones."""
    rng = np.random.RandomState(0)
    loadings = rng.normal(size=(3, 8))
    rows = rng.normal(size=(3000, 3)) @ loadings + 0.1 * rng.normal(size=(3000, 8))
    return 10 + rows[:1000], 10 + rows[1000:]


@pytest.fixture(scope="module")
def whole(factors):
    """A detector that was trained on whole rows; no test may change it."""
    return VAEAnomalyDetector(random_state=0).fit(factors[0])


@pytest.fixture(scope="module")
def holed(factors):
    """A detector that was trained on rows with a fifth of the cells missing."""
    return VAEAnomalyDetector(random_state=0).fit(hidden(factors[0], 0.2))


def test_rows_without_missing_cells_score_as_if_there_were_no_others(whole, factors):
    X = factors[1][:600]
    some = X.copy()
    some[::3, 2] = np.nan
    is_whole = ~np.isnan(some).any(axis=1)
    np.testing.assert_array_equal(
        whole.score_samples(some)[is_whole], whole.score_samples(X)[is_whole]
    )


@pytest.mark.parametrize("name", ["whole", "holed"])
def test_a_row_scores_alike_in_any_batch(name, request, factors):
    detector, X = request.getfixturevalue(name), hidden(factors[1][:300], 0.3)
    one_by_one = np.concatenate([detector.score_samples(row[None]) for row in X])
    np.testing.assert_array_equal(one_by_one, detector.score_samples(X))


@pytest.mark.parametrize("name", ["whole", "holed"])
def test_what_a_missing_cell_would_hold_does_not_matter_but_what_is_there_does(
    name, request, factors
):
    detector, X = request.getfixturevalue(name), factors[1]
    outliers = X.copy()
    outliers[:, 3] += 5.0  # breaks the ties to the other columns
    is_outlier = np.repeat([0, 1], len(X))
    shown = np.concatenate([X, outliers])
    shown[:, 6] = np.nan
    assert roc_auc_score(is_outlier, -detector.score_samples(shown)) > 0.95
    concealed = np.concatenate([X, outliers])
    concealed[:, 3] = np.nan
    scores = detector.score_samples(concealed)
    np.testing.assert_array_equal(scores[: len(X)], scores[len(X) :])


@pytest.mark.parametrize("name", ["whole", "holed"])
def test_false_alarms_hardly_depend_on_the_number_of_missing_cells(name, request, factors):
    detector, X = request.getfixturevalue(name), factors[1]
    fraction = np.random.RandomState(1).uniform(0, 0.6, size=(len(X), 1))
    rows = hidden(X, fraction)
    n_missing = np.isnan(rows).sum(axis=1)
    is_alarm = detector.score_samples(rows) < np.quantile(detector.score_samples(rows), 0.05)
    quarters = np.array_split(np.argsort(n_missing, kind="stable"), 4)
    shares = [is_alarm[quarter].mean() for quarter in quarters]
    assert min(shares) > 0.01
    assert max(shares) < 0.125


@pytest.mark.parametrize("name", ["whole", "holed"])
def test_a_row_without_any_cell_is_ordinary(name, request):
    detector = request.getfixturevalue(name)
    score = detector.score_samples(np.full((1, 8), np.nan))
    low, high = np.quantile(detector.training_scores_, [0.05, 0.95])
    assert low < score < high
    assert detector.predict(np.full((1, 8), np.nan)) == 1


def test_components_add_up_to_the_score(holed, factors):
    rows = hidden(factors[1], 0.3)
    components = holed.score_components(rows)
    np.testing.assert_allclose(components.sum(axis=1), -holed.score_samples(rows), rtol=1e-12)


@pytest.mark.parametrize("name", ["whole", "holed"])
def test_missing_cells_are_filled_in_better_than_by_the_mean(name, request, factors):
    X = factors[1]
    rows = hidden(X, 0.2)
    filled = request.getfixturevalue(name).reconstruct(rows)
    is_hidden = np.isnan(rows)
    error = np.sqrt(np.mean((filled - X)[is_hidden] ** 2))
    by_mean = np.sqrt(np.mean((factors[0].mean(axis=0) - X)[is_hidden] ** 2))
    assert error < 0.5 * by_mean


def test_the_evidence_is_that_of_the_observed_cells(factors):
    """A linear VAE with learned variances is factor analysis, of which marginals are known."""
    detector = VAEAnomalyDetector(
        hidden_layer_sizes=(),
        latent_dim=3,
        reconstruction_loss="gaussian",
        input_noise=0,
        n_draws=64,
        max_iter=300,
        learning_rate_init=0.01,
        random_state=0,
        contamination=0.1,
    ).fit(factors[0])
    rows = factors[1].copy()
    rows[:, :2] = np.nan
    loadings = detector.decoder_weights_[0].T
    noise = 1e-4 + np.exp(detector.observation_log_var_)
    covariance = (loadings @ loadings.T + np.diag(noise))[2:, 2:]
    x = ((rows - detector.center_) / detector.scale_)[:, 2:] - detector.decoder_weights_[1][2:]
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    density = -0.5 * (log_det + np.einsum("ij,jk,ik->i", x, np.linalg.inv(covariance), x))
    bound = detector.score(rows)
    assert bound < density.mean()
    assert bound > density.mean() - 1.0


METHODS = ["predict", "decision_function", "transform", "score_samples", "reconstruct", "score"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_missing_values(holed, factors, method):
    assert np.isfinite(getattr(holed, method)(hidden(factors[1], 0.3))).all()


def test_all_kinds_of_missing_values_are_alike(holed, factors):
    rows = factors[1][:50].copy()
    rows[::2, 1] = np.nan
    expected = holed.score_samples(rows)
    frame = pd.DataFrame(rows)
    nullable = frame.convert_dtypes()
    assert nullable[1].isna().sum() == 25
    objects = rows.astype(object)
    objects[::2, 1] = None
    sparse = sp.csr_matrix(rows)
    for X in (frame, nullable, objects, objects.tolist(), sparse, frame.astype("float64[pyarrow]")):
        np.testing.assert_array_equal(holed.score_samples(X), expected)


def test_explicit_zeros_of_a_sparse_matrix_are_values(make_detector):
    X = sp.random(200, 6, 0.5, random_state=0, format="csr")
    X.data[:5] = 0.0
    detector = make_detector().fit(X)
    np.testing.assert_array_equal(detector.score_samples(X), detector.score_samples(X.toarray()))


@pytest.mark.parametrize(
    "parameters",
    [
        {"architecture": "conv", "hidden_layer_sizes": (4,)},
        {"architecture": "conv", "input_shape": (2, 2, 2), "hidden_layer_sizes": (4,)},
        {"architecture": "lstm", "input_shape": (4, 2), "hidden_layer_sizes": (4,)},
        {"architecture": "gru", "hidden_layer_sizes": (4,)},
        {"input_shape": (2, 4)},
        {"variational": False},
        {"reconstruction_loss": "gaussian"},
        {"support_fraction": 0.5},
        {"early_stopping": True},
        {"missing_indicator": True},
        {"missing_indicator": np.bool_(True)},
    ],
    ids=str,
)
def test_every_network_takes_missing_values(make_detector, factors, parameters):
    rows = hidden(factors[0][:120], 0.2)
    detector = make_detector(max_iter=2, **parameters).fit(rows)
    assert np.isfinite(detector.score_samples(rows)).all()
    assert np.isfinite(detector.reconstruct(rows)).all()
    copy = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(copy.score_samples(rows), detector.score_samples(rows))


def test_binary_cross_entropy_takes_missing_values(make_detector):
    X = np.random.RandomState(0).uniform(size=(100, 4))
    X[::3, 1] = np.nan
    detector = make_detector(reconstruction_loss="binary_crossentropy").fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    X[4, 2] = 1.5
    with pytest.raises(ValueError, match=r"outside is in column 2, row 4"):
        detector.fit(X)


def test_streams_take_missing_values(make_detector, factors):
    rows = hidden(factors[0], 0.2)
    detector = make_detector(missing_indicator=True).fit_batches(np.array_split(rows, 7))
    assert np.isfinite(detector.score_samples(rows)).all()
    assert detector.center_.shape == (16,)


def test_later_batches_may_have_the_first_missing_values(make_detector, factors):
    rows = factors[0]
    detector = make_detector().partial_fit(rows[:200])
    detector.partial_fit(hidden(rows[200:400], 0.2))
    assert np.isfinite(detector.score_samples(rows)).all()


def test_a_column_without_any_value_in_training_counts_for_nothing(make_detector, factors):
    rows = factors[0][:300].copy()
    rows[:, 4] = np.nan
    detector = make_detector(max_iter=3).fit(rows)
    new = rows.copy()
    new[:, 4] = 1e9
    np.testing.assert_array_equal(detector.score_samples(new), detector.score_samples(rows))
    filled = detector.reconstruct(new)
    assert np.isnan(filled[:, 4]).all()
    assert np.isfinite(np.delete(filled, 4, axis=1)).all()


@pytest.mark.parametrize("missing_indicator", ["auto", True])
def test_training_may_go_on_with_values_in_a_column_that_had_none(
    make_detector, factors, missing_indicator
):
    rows = factors[0][:300].copy()
    rows[:, 4] = np.nan
    detector = make_detector(missing_indicator=missing_indicator).partial_fit(rows)
    assert len(detector.center_) == 8
    detector.partial_fit(factors[0][:300])
    assert np.isfinite(detector.score_samples(factors[1])).all()


def test_partial_fit_keeps_rows_comparable_between_measurements(make_detector, factors):
    detector, rows = make_detector(), factors[0][:300].copy()
    rows[:150, 3:] = np.nan
    for _ in range(5):
        detector.partial_fit(factors[0][:300])
        whole, holed = np.split(-detector.score_samples(np.vstack([rows[150:], rows[:150]])), 2)
        assert 0.5 < np.median(holed) / np.median(whole) < 2


def test_groups_with_a_missing_cell_are_missing_in_training_too(make_detector):
    rng = np.random.RandomState(0)
    X = np.column_stack([np.eye(4)[rng.choice(4, 200)], rng.randn(200, 2)])
    frozen = {"variational": False, "input_noise": 0.0, "learning_rate_init": 1e-12}
    detector = make_detector(**frozen).partial_fit(X)
    assert detector.one_hot_groups_ == ((0, 4),)
    X[:, 1] = np.nan
    detector.partial_fit(X)
    rebuilt = detector._vae.contributions(detector._vae.standardize(X))[0]
    np.testing.assert_allclose(
        detector.history_["reconstruction"][-1], np.nansum(rebuilt, axis=1).mean(), rtol=0.05
    )


def test_pandas_na_among_objects_is_missing(make_detector):
    frame = pd.DataFrame({"a": pd.array([1.5, None] * 30, dtype="Float64"), "b": np.arange(60.0)})
    detector = make_detector(max_iter=1).fit(frame)
    expected = detector.score_samples(frame)
    np.testing.assert_array_equal(detector.score_samples(frame.astype(object)), expected)
    with pytest.warns(UserWarning, match="feature names"):
        np.testing.assert_array_equal(detector.score_samples(frame.to_numpy()), expected)
    row = frame.iloc[1].to_frame().T
    np.testing.assert_array_equal(detector.score_samples(row), expected[1:2])


def test_no_value_at_all_is_refused(make_detector):
    with pytest.raises(ValueError, match="no column of X has any value"):
        make_detector().fit(np.full((10, 3), np.nan))


class TestIndicator:
    """Whether a cell is missing, as a variable of its own."""

    @pytest.fixture(scope="class")
    @staticmethod
    def rarely(factors):
        """Rows of which one in fifty lacks its first two cells."""
        rows = factors[0].copy()
        rows[::50, :2] = np.nan
        return rows

    @pytest.mark.parametrize(
        ("missing_indicator", "n_indicators"), [("auto", 2), (True, 2), (False, 0)]
    )
    def test_rarely_missing_cells_have_one(
        self, make_detector, rarely, missing_indicator, n_indicators
    ):
        detector = make_detector(missing_indicator=missing_indicator, max_iter=1).fit(rarely)
        assert len(detector.center_) == 8 + n_indicators

    def test_often_missing_cells_have_none(self, make_detector, rarely, factors):
        often = rarely.copy()
        often[::3, 5] = np.nan
        assert len(make_detector(max_iter=1).fit(often).center_) == 10  # those of the others stay
        spread = hidden(factors[0], 0.03)  # little is missing in any column, but in many rows
        assert len(make_detector(max_iter=1).fit(spread).center_) == 8
        assert len(make_detector(max_iter=1, missing_indicator=True).fit(spread).center_) == 16

    def test_what_is_missing_can_be_the_anomaly(self, rarely, factors):
        is_outlier = np.isnan(rarely[:, 0])
        found = {}
        for missing_indicator in ("auto", False):
            detector = VAEAnomalyDetector(
                missing_indicator=missing_indicator,
                max_iter=50,
                support_fraction=0.5,
                contamination=0.05,
                random_state=0,
            ).fit(rarely)
            found[missing_indicator] = roc_auc_score(is_outlier, -detector.score_samples(rarely))
        assert found["auto"] > 0.95
        assert found[False] < 0.7

    def test_other_cells_may_be_missing_as_well(self, rarely, factors):
        detector = VAEAnomalyDetector(max_iter=60, contamination=0.05, random_state=0).fit(rarely)
        assert len(detector.center_) == 10
        whole, holed = factors[1], factors[1].copy()
        holed[:, 5:7] = np.nan
        spread = np.subtract(*np.quantile(detector.score_samples(whole), [0.75, 0.25]))
        shift = np.median(detector.score_samples(holed)) - np.median(detector.score_samples(whole))
        assert abs(shift) < 2 * spread
        outliers = holed.copy()
        outliers[:, 3] += 5.0
        scores = -detector.score_samples(np.concatenate([whole, outliers]))
        assert roc_auc_score(np.repeat([0, 1], len(whole)), scores) > 0.9

    @pytest.mark.parametrize("other", [{"architecture": "gru"}, {"input_shape": (2, 4)}], ids=str)
    def test_it_is_refused_where_it_has_no_effect(self, make_detector, rarely, other):
        with pytest.raises(ValueError, match="missing_indicator=True would have no effect"):
            make_detector(missing_indicator=True, **other).fit(rarely)

    def test_it_cannot_be_dropped_later(self, make_detector, rarely):
        detector = make_detector(warm_start=True, max_iter=1).fit(rarely)
        with pytest.raises(ValueError, match="missing_indicator has changed"):
            detector.set_params(missing_indicator=False).fit(rarely)

    def test_rows_rebuilt_have_the_columns_of_the_user(self, make_detector, rarely):
        detector = make_detector(max_iter=1).fit(rarely)
        assert detector.reconstruct(rarely).shape == rarely.shape
        assert detector.sample(3).shape == (3, 8)


def test_thresholds_and_windows_take_missing_values(make_detector, factors):
    rows = hidden(factors[0][:300], 0.2)
    y = np.tile(np.repeat([0, 1], [9, 1]), 30)
    for meta in (
        TunedThresholdDetectorCV(make_detector(max_iter=1), scoring="f1", cv=2),
        ConformalDetector(make_detector(max_iter=1)),
        FixedThresholdDetector(make_detector(max_iter=1), threshold=-1.0),
        WindowedDetector(make_detector(max_iter=1), window_size=4),
    ):
        assert set(meta.fit(rows, y).predict(rows)) <= {-1, 1}


def test_pipelines_and_searches_take_missing_values(make_detector, factors):
    rows = hidden(factors[0][:200], 0.2)
    y = np.tile(np.repeat([0, 1], [9, 1]), 20)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), make_detector(max_iter=1)),
        {"vaeanomalydetector__latent_dim": [1, 2]},
        scoring=make_outlier_scorer(roc_auc_score),
        cv=2,
    )
    assert np.isfinite(search.fit(rows, y).cv_results_["mean_test_score"]).all()


def test_ranking_of_a_real_table_with_holes(benign_and_malignant):
    benign, malignant = benign_and_malignant
    train, new = benign[::2], benign[1::2]
    is_outlier = np.repeat([0, 1], [len(new), len(malignant)])
    rows = hidden(np.concatenate([new, malignant]), 0.3, seed=1)
    detector = VAEAnomalyDetector(random_state=0, contamination=0.1).fit(hidden(train, 0.3))
    ours = roc_auc_score(is_outlier, -detector.score_samples(rows))
    forest = IsolationForest(random_state=0).fit(hidden(train, 0.3))
    assert ours > 0.9
    assert ours > roc_auc_score(is_outlier, -forest.score_samples(rows)) - 0.02
