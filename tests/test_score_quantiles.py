"""Quantiles of scores that arrive in parts."""

import json

import numpy as np
import pytest

from vae_anomaly.batch.quantiles import LEVELS, ScoreQuantiles


def quantiles_of(*parts):
    counted = ScoreQuantiles()
    for part in parts:
        counted.add(np.asarray(part, float))
    return counted.quantiles()


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(0).normal(-20, 50, 10_000),
        np.random.default_rng(1).lognormal(3, 3, 10_000),
        np.zeros(10),
        [-3.0],
        np.r_[np.full(50, -1e9), np.full(50, 1e-12)],
    ],
    ids=["both signs", "heavy tail", "zeros", "one", "far apart"],
)
def test_quantiles_are_right_to_half_a_percent(scores):
    exact = np.quantile(scores, LEVELS, method="inverted_cdf")
    np.testing.assert_allclose(list(quantiles_of(scores).values()), exact, rtol=0.005, atol=1e-9)


def test_quantiles_do_not_depend_on_order_or_parts():
    scores = np.random.default_rng(0).normal(size=1000)
    assert quantiles_of(scores) == quantiles_of(scores[600:], scores[:600][::-1])


def test_counts_go_on_after_json():
    first, second = np.random.default_rng(0).normal(size=(2, 500))
    counted, resumed = ScoreQuantiles(), ScoreQuantiles()
    counted.add(first)
    resumed.restore(json.loads(json.dumps(counted.state())))
    resumed.add(second)
    assert resumed.quantiles() == quantiles_of(first, second)


def test_no_scores_have_no_quantiles():
    assert quantiles_of([]) == {}
