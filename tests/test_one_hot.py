"""One-hot groups: found, modelled as one categorical variable each, and scored in nats."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from vae_anomaly import VAEAnomalyDetector
from vae_anomaly.losses import LOGIT_BOUND, Mixed

N = 400


@pytest.fixture(scope="module")
def table():
    """A number, a colour with a rare value, a flag, and a size that goes with the colour."""
    rng = np.random.RandomState(0)
    colour = rng.choice(4, N, p=[0.5, 0.3, 0.18, 0.02])
    return np.column_stack(
        [rng.randn(N), np.eye(4)[colour], rng.rand(N) < 0.2, np.eye(3)[colour % 3]]
    )


@pytest.fixture(scope="module")
def make():
    def make(**params):
        params = {"hidden_layer_sizes": (16,), "latent_dim": 3, "max_iter": 30, **params}
        return VAEAnomalyDetector(contamination=0.1, random_state=0, **params)

    return make


@pytest.fixture(scope="module")
def fitted(make, table):
    return make(max_iter=300).fit(table)


def test_groups_are_found(fitted):
    assert fitted.one_hot_groups_ == ((1, 5), (6, 9))


@pytest.mark.parametrize("loss", ["mse", "gaussian"])
def test_only_auto_looks_for_groups(make, table, loss):
    assert make(reconstruction_loss=loss, max_iter=1).fit(table).one_hot_groups_ == ()


def test_groups_are_found_whatever_stands_before_the_detector(make, table):
    frame = pd.DataFrame(
        {"x": table[:, 0], "colour": np.array(list("abcd"))[table[:, 1:5].argmax(axis=1)]}
    )
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    for steps in ([encode], [encode, StandardScaler(with_mean=False)]):
        pipeline = make_pipeline(*steps, make(max_iter=1)).fit(frame)
        assert pipeline[-1].one_hot_groups_ == ((0, 4),)


def test_sparse_rows_make_the_same_groups(make, table):
    assert make(max_iter=1).fit(sp.csr_array(table)).one_hot_groups_ == ((1, 5), (6, 9))


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X[:, 1:3],  # two columns are one of two values
        lambda X: X[:, 1:4],  # rows of the fourth category have no 1
        lambda X: np.column_stack([X[:, 1:4], X[:, 4] * 0.5 + X[:, 5] * 0.1]),  # three values
        lambda X: X[:, [1, 2, 0, 3, 4]],  # not neighbours
    ],
)
def test_other_columns_are_no_group(make, table, change):
    assert make(max_iter=1).fit(change(table)).one_hot_groups_ == ()


def test_a_two_valued_column_before_a_group_does_not_hide_it(make, table):
    X = np.column_stack([table[:, 5], table[:, 1:5], 1 - table[:, 5]])
    assert make(max_iter=1).fit(X).one_hot_groups_ == ((1, 5),)


def test_units_of_the_indicators_do_not_matter(make, table, fitted):
    X = table.copy()
    X[:, 1:5] = 8 * X[:, 1:5] - 3
    other = make(max_iter=300).fit(X)
    assert other.one_hot_groups_ == ((1, 5), (6, 9))
    np.testing.assert_allclose(other.score_samples(X), fitted.score_samples(table), rtol=1e-4)


def test_probabilities_of_a_group_sum_to_one(fitted, table):
    rebuilt = fitted.reconstruct(table)
    np.testing.assert_allclose(rebuilt[:, 1:5].sum(axis=1), 1, atol=1e-5)
    assert (rebuilt[:, 1:5] >= 0).all()
    np.testing.assert_allclose(rebuilt[:, 1:5].mean(axis=0), table[:, 1:5].mean(axis=0), atol=0.1)


def test_numpy_and_keras_decode_alike(fitted, table):
    z = fitted.transform(table[:40]).astype(np.float32)
    decoded = fitted.decoder_.predict(z, verbose=0) * fitted.scale_ + fitted.center_
    np.testing.assert_allclose(decoded, fitted.inverse_transform(z), atol=1e-5)


def test_same_score_alone_and_in_a_batch(fitted, table):
    scores = fitted.score_samples(table)
    for n in (1, 3, 17, 100):
        np.testing.assert_array_equal(fitted.score_samples(table[:n]), scores[:n])


def test_same_score_alone_and_in_a_batch_with_many_groups(make):
    rng = np.random.RandomState(0)
    table = np.column_stack([np.eye(5)[rng.randint(5, size=400)] for _ in range(30)])
    fitted = make(max_iter=1).fit(table)
    assert len(fitted.one_hot_groups_) == 30
    alone = np.concatenate([fitted.score_samples(row[None]) for row in table[:40]])
    np.testing.assert_array_equal(alone, fitted.score_samples(table)[:40])


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        (slice(1, 5), [0, 0, 0, 0]),  # a category never seen, as handle_unknown="ignore" makes it
        (slice(1, 5), [1, 1, 1, 1]),
        (slice(1, 5), [5, 0, 0, 0]),
        (slice(1, 5), [0.5, 0.5, 0, 0]),
    ],
)
def test_what_no_category_is_scores_low(fitted, table, columns, values):
    X = table[:50].copy()
    X[:, columns] = values
    assert np.median(fitted.score_samples(X)) < np.quantile(fitted.training_scores_, 0.05)


def test_cross_entropy_of_a_group():
    likelihood = Mixed(((1, 4),), 5)
    scale = likelihood.initial_log_var(5, 0.1)
    mean = np.array([[0.3, 0.7, 0.2, 0.1, -1.0]])
    x = np.array([[0.3, 0.0, 1.0, 0.0, -0.9]])
    nll = likelihood.negative_log_likelihood(x, mean, scale, np)
    np.testing.assert_allclose(nll, [[0, 0, -np.log(0.2), 0, 0.5]], atol=1e-6)
    none = likelihood.negative_log_likelihood(mean * [[1, 0, 0, 0, 1]], mean, scale, np)
    np.testing.assert_allclose(none.sum(), LOGIT_BOUND, rtol=1e-6)
    expected = np.where([False, True, True, True, False], 0.0, 0.5 * np.log(2 * np.pi * 0.01))
    np.testing.assert_allclose(likelihood.log_normalizer(scale), expected, rtol=1e-6)


def test_warm_start_refuses_a_loss_without_groups(make, table):
    detector = make(warm_start=True, max_iter=1).fit(table).fit(table)
    with pytest.raises(ValueError, match="warm_start"):
        detector.set_params(reconstruction_loss="mse").fit(table)


def test_mean_of_a_group_is_its_softmax():
    mean = Mixed(((0, 3),), 4).mean(np.log([[0.1, 0.2, 0.4, 3.0]]), np)
    np.testing.assert_allclose(mean[0, :3], np.array([1, 2, 4]) / 7, rtol=0.02)
    assert mean[0, 3] == np.log(3.0)


def test_categories_that_do_not_go_together_stand_out():
    rng = np.random.RandomState(0)
    item = rng.choice(24, 3000)
    kind = item // 8
    kind[-500:] += rng.choice([1, 2], 500)
    X = np.column_stack([np.eye(24)[item], np.eye(3)[kind % 3], rng.randn(3000)])
    detector = VAEAnomalyDetector(support_fraction=1.0, contamination=0.1, random_state=0)
    detector.fit(X[:2000])
    is_outlier = np.arange(1000) >= 500
    assert roc_auc_score(is_outlier, -detector.score_samples(X[2000:])) > 0.8


@pytest.mark.parametrize(
    ("place", "groups"),
    [
        (1, ((1, 6), (7, 10))),
        (3, ((1, 6), (7, 10))),
        (5, ((1, 6), (7, 10))),
        (9, ((1, 5), (6, 10))),
    ],
)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_category_that_no_row_has_belongs_to_its_group(make, table, place, groups, value):
    """An encoder fitted before the split makes such columns; ones of ones end a group."""
    X = np.insert(table, place, value, axis=1)
    found = make(max_iter=1).fit(X).one_hot_groups_
    if value == 0:
        assert found == groups
    else:
        assert not any(first <= place < stop for first, stop in found)


@pytest.mark.parametrize("scale", ["none", "-1 to 1", "shifted", "standard"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_never_hot_columns_are_found_after_any_scaler(make, scale, place):
    columns = np.insert(np.eye(4)[np.random.RandomState(0).randint(4, size=200)], place, 0, axis=1)
    X = {
        "none": columns,
        "-1 to 1": MinMaxScaler((-1, 1)).fit_transform(columns),
        "shifted": columns - 0.2,
        "standard": StandardScaler().fit_transform(columns),
    }[scale]
    detector = make(max_iter=1).fit(X)
    assert detector.one_hot_groups_ == ((0, 5),)


def test_two_of_three_categories_are_a_group(make):
    half = np.random.RandomState(0).randint(2, size=100)
    X = np.column_stack([half, 1 - half, 0 * half])
    assert make(max_iter=1).fit(X).one_hot_groups_ == ((0, 3),)


def test_a_rare_number_next_to_a_group_is_no_category_of_it(make):
    """The sample of fit_batches may miss the one row in which it is not zero."""
    X = np.column_stack(
        [np.eye(3)[np.random.RandomState(0).randint(3, size=30_000)], np.zeros(30_000)]
    )
    X[29_999, 3] = 55.0
    detector = make(max_iter=1, hidden_layer_sizes=(2,)).fit_batches(np.array_split(X, 5))
    assert detector.one_hot_groups_ == ((0, 3),)


def test_a_category_that_no_row_has_costs_little_more_than_a_rare_one(make, table):
    X = np.insert(table, 3, 0.0, axis=1)
    detector = make(max_iter=100, support_fraction=1.0).fit(X)
    new = X[:50].copy()
    new[:, 1:6] = [0, 0, 1, 0, 0]
    cost = np.median(detector.score_samples(X[:50]) - detector.score_samples(new))
    assert 3 < cost < 100


def test_a_category_missing_from_the_sample_does_not_undo_its_group(make):
    """fit_batches looks for groups in a sample, but knows the bounds of all rows."""
    category = np.random.RandomState(0).choice(3, size=30_000)
    category[::10_000] = 3
    X = np.eye(4)[category]
    groups = make(max_iter=1, hidden_layer_sizes=(2,)).fit_batches(np.array_split(X, 5))
    assert groups.one_hot_groups_ == ((0, 4),)
