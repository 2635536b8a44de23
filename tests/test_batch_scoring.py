"""score_frame: the one function that scores a part of a table."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vae_anomaly import (
    ConformalDetector,
    FixedThresholdDetector,
    OnnxDetector,
    TunedThresholdDetectorCV,
    WindowedDetector,
    explain,
    to_onnx,
)
from vae_anomaly.batch.scoring import output_columns, score_frame

MODELS = ["bare", "pipeline", "tuned", "conformal", "fixed", "tuned pipeline", "onnx"]


@pytest.fixture(scope="module")
def table():
    """Numbers, categories and missing cells, under an index that does not count up."""
    rng = np.random.RandomState(0)
    t = rng.uniform(0, 6, size=300)
    table = pd.DataFrame({"time": t, "height": np.sin(t), "side": np.where(t < 3, "left", "right")})
    table.loc[::7, "height"] = np.nan
    table.loc[::11, "side"] = None
    return table.set_axis(table.index * 10)


@pytest.fixture(scope="module")
def models(make_detector, table, tmp_path_factory):
    numbers = table[["time", "height"]]
    bare = make_detector(categorical_features=["side"]).fit(table)
    pipeline = make_pipeline(StandardScaler(), make_detector()).fit(numbers)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    to_onnx(bare, path)
    return {
        "bare": bare,
        "pipeline": pipeline,
        "tuned": TunedThresholdDetectorCV(bare, cv="prefit").fit(table),
        "conformal": ConformalDetector(bare, cv="prefit").fit(table),
        "fixed": FixedThresholdDetector(bare, threshold=-3.0),
        "tuned pipeline": TunedThresholdDetectorCV(pipeline, cv="prefit").fit(numbers),
        "onnx": OnnxDetector(path),
    }


@pytest.mark.parametrize("name", MODELS)
def test_scores_and_decisions_are_those_of_the_model(models, table, name):
    model = models[name]
    rows = table[["time", "height"]] if "pipeline" in name else table
    scored = score_frame(model, rows)
    assert list(scored) == ["score", "is_outlier"]
    assert np.array_equal(scored["score"], -model.score_samples(rows))
    assert np.array_equal(scored["is_outlier"], model.predict(rows) == -1)
    assert scored.index.equals(table.index)


def test_a_model_scores_the_rows_once(models, table, monkeypatch):
    model, calls = models["tuned"], []
    score_samples = type(model).score_samples
    monkeypatch.setattr(
        type(model), "score_samples", lambda self, X: calls.append(1) or score_samples(self, X)
    )
    scored = score_frame(model, table, p_value=True)
    assert len(calls) == 1
    assert np.array_equal(scored["p_value"], model.p_values(table))


def test_scores_do_not_depend_on_the_parts_of_a_table(models, table):
    options = {"p_value": True, "reasons": 2}
    whole = score_frame(models["tuned"], table, **options)
    parts = [
        score_frame(models["tuned"], table[at : at + 37], **options) for at in range(0, 300, 37)
    ]
    pd.testing.assert_frame_equal(pd.concat(parts), whole)


@pytest.mark.parametrize("attribution", ["terms", "hiding"])
def test_reasons_are_those_of_explain(models, table, attribution):
    model, rows = models["tuned"], table.head(20)
    scored = score_frame(model, rows, reasons=2, attribution=attribution)
    reasons = explain(model, rows, attribution=attribution).reasons(2)
    for number in (1, 2):
        expected = reasons.xs(number, level="reason")
        assert scored[f"reason_{number}"].tolist() == expected["column"].tolist()
        assert np.array_equal(scored[f"contribution_{number}"], expected["contribution"])


def test_values_of_reasons_are_texts_of_the_cells(models, table):
    odd = table.head(3).assign(time=[5.0, 1e9, 2.5], side=["left", "left", None])
    scored = score_frame(models["bare"], odd, reasons=4)
    names, values = scored.filter(like="reason_"), scored.filter(like="value_")
    cells = [dict(zip(names.loc[row], values.loc[row], strict=True)) for row in odd.index]
    assert [cell["time"] for cell in cells] == ["5", "1000000000", "2.5"]
    assert cells[0]["side"] == "left"
    assert pd.isna(cells[2]["side"])
    assert pd.isna(cells[0]["(code)"])


def test_reasons_beyond_the_columns_are_missing(models, table):
    scored = score_frame(models["bare"], table.head(5), reasons=6)
    assert scored["reason_4"].notna().all()  # three columns and the code
    assert scored[["reason_5", "contribution_5", "expected_6"]].isna().all(axis=None)


@pytest.mark.parametrize("n_rows", [0, 4])
def test_columns_are_those_foretold(models, table, n_rows):
    import pyarrow as pa

    options = {"p_value": True, "reasons": 5}
    scored = score_frame(models["tuned"], table.head(n_rows), **options)
    columns = output_columns(models["tuned"], **options)
    assert list(scored) == columns.names
    assert scored.dtypes.equals(columns.empty_table().to_pandas().dtypes)
    assert pa.Table.from_pandas(scored, schema=columns, preserve_index=False).num_rows == n_rows


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bare", {"p_value": True}, "VAEAnomalyDetector has no p-values.*ConformalDetector"),
        ("onnx", {"p_value": True}, "OnnxDetector has no p-values"),
        ("onnx", {"reasons": 1}, "onnx file lacks what reasons need.*skops"),
        ("bare", {"reasons": -1}, "reasons must be at least 0"),
        ("bare", {"reasons": 1, "attribution": "guess"}, "attribution must be one of"),
    ],
)
def test_what_a_model_cannot_give_is_refused(models, table, name, options, message):
    with pytest.raises(ValueError, match=message):
        score_frame(models[name], table, **options)
    with pytest.raises(ValueError, match=message):
        output_columns(models[name], **options)


def test_a_model_without_a_threshold_is_refused(table):
    model = LinearRegression().fit(table[["time"]], table["time"])
    with pytest.raises(ValueError, match=r"LinearRegression has no threshold.*FixedThreshold"):
        score_frame(model, table)


def test_time_series_are_refused(make_detector):
    series = np.random.RandomState(0).randn(60, 1)
    model = WindowedDetector(make_detector(), window_size=4).fit(series)
    with pytest.raises(ValueError, match="cannot score a table in parts"):
        score_frame(model, pd.DataFrame({"x": np.zeros(9)}))


def test_kept_columns_may_not_have_the_names_of_others(models):
    with pytest.raises(ValueError, match="column 'score' of its own"):
        output_columns(models["bare"], keep=["time", "score"])
