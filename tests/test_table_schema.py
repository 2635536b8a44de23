import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from vae_anomaly import (
    CalendarEncoder,
    OnnxDetector,
    TableSchema,
    VAEAnomalyDetector,
    explain,
    load,
    save,
    to_onnx,
)

COLUMNS = [
    {"name": "amount", "kind": "number"},
    {"name": "shop", "kind": "category"},
    {"name": "time", "kind": "date"},
]


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=80, freq="7h", tz="UTC"),
            "shop": rng.choice(["north", "south"], 80),
            "amount": rng.normal(size=80),
        }
    )


@pytest.fixture(scope="module")
def texts(table):
    return table.assign(
        time=table["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"), amount=table["amount"].astype(str)
    )


def make_detector():
    return VAEAnomalyDetector(
        categorical_features=["shop"],
        hidden_layer_sizes=(8,),
        latent_dim=2,
        max_iter=3,
        random_state=0,
    )


@pytest.fixture(scope="module")
def model(texts):
    schema = TableSchema(COLUMNS[:2])
    return Pipeline([("schema", schema), ("detector", make_detector())]).fit(texts)


def fitted(columns=COLUMNS, **parameters):
    names = [column["name"] for column in columns]
    rows = pd.DataFrame({name: pd.Series([None, None], dtype=object) for name in names})
    return TableSchema(columns, **parameters).fit(rows)


def values(kind, cells, **column):
    schema = fitted([{"name": "x", "kind": kind, **column}])
    return schema.transform(pd.DataFrame({"x": pd.Series(cells, dtype=object)}))["x"]


def test_texts_get_the_types_of_training(table, texts):
    found = fitted().transform(texts)
    assert found.columns.tolist() == ["amount", "shop", "time"]
    np.testing.assert_array_equal(found["amount"], table["amount"])
    assert (found["time"] == table["time"]).all()
    assert found["shop"].tolist() == table["shop"].tolist()


def test_columns_are_those_of_the_frame_by_default(table):
    schema = TableSchema().fit(table)
    assert [column["kind"] for column in schema.columns_] == ["date", "category", "number"]
    assert schema.feature_names_in_.tolist() == schema.get_feature_names_out().tolist()


def test_rows_of_the_right_types_are_not_copied(table):
    schema = TableSchema().fit(table)
    found = schema.transform(table)
    assert np.shares_memory(found["amount"].to_numpy(), table["amount"].to_numpy())


def test_the_index_is_kept(texts):
    rows = texts.set_index(np.arange(len(texts)) + 1000)
    assert fitted().transform(rows).index.tolist() == rows.index.tolist()


def test_other_columns_are_left_out(texts):
    assert "note" not in fitted().transform(texts.assign(note="k"))


def test_numbers_of_other_types_become_float(table):
    rows = table.assign(amount=np.arange(80, dtype=np.int32))
    assert fitted().transform(rows)["amount"].dtype == np.float64


def test_only_empty_cells_and_named_texts_are_missing():
    rows = pd.DataFrame({"x": ["1", "", None, "n/a"]})
    schema = fitted([{"name": "x", "kind": "number"}], missing=("n/a",))
    assert schema.transform(rows)["x"].isna().tolist() == [False, True, True, True]


@pytest.mark.parametrize("cell", ["x", "inf", "nan", "1e999", "1_000", "1,5", "0x10", "+-1", " "])
def test_what_is_no_finite_number_is_refused_by_place(cell):
    with pytest.raises(ValueError, match=r"Column 'x', row 1, counted from 0: .* is not a finite"):
        values("number", ["1", cell])


@pytest.mark.parametrize(
    ("column", "cell", "number"),
    [
        ({}, " -1.5e3 ", -1500.0),
        ({"decimal": ","}, "-1,5", -1.5),
        ({"decimal": ",", "thousands": "."}, "1.234,5", 1234.5),
        ({"thousands": ","}, "1,234,567", 1234567.0),
        ({"thousands": " "}, "1\u00a0234.5", 1234.5),
        ({"thousands": "'"}, "1\u2019234", 1234.0),
        ({"affix": "$"}, "-$5.25", -5.25),
        ({"affix": "$", "signs": True}, "($5.25)", -5.25),
        ({"affix": "€", "decimal": ","}, "5,25 €", 5.25),
        ({"affix": "%"}, "12.5%", 12.5),
        ({"signs": True}, "5-", -5.0),
        ({"signs": True}, "\u22125", -5.0),
    ],
)
def test_numbers_are_parsed_as_they_were_written_in_training(column, cell, number):
    assert values("number", [cell], **column).tolist() == [number]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ({"thousands": ","}, "12,34"),
        ({"thousands": ","}, "(5)"),
        ({"decimal": ","}, "1.5"),
        ({"affix": "%"}, "0.5"),
        ({"affix": "$"}, "5 €"),
        ({"affix": "$", "signs": True}, "-($5)"),
    ],
)
def test_numbers_written_otherwise_are_refused(column, cell):
    with pytest.raises(ValueError, match="is not a number"):
        values("number", [cell], **column)


@pytest.mark.parametrize(
    ("cell", "format", "moment"),
    [
        ("2024-03-01", None, "2024-03-01"),
        ("2024-03-01 12:30", None, "2024-03-01 12:30"),
        ("2024-03-01T12:30:15.25Z", None, "2024-03-01 12:30:15.25"),
        ("2024-03-01T12:30+02:00", None, "2024-03-01 10:30"),
        ("01.03.2024", "%d.%m.%Y", "2024-03-01"),
        ("03/01/24 2:05 PM", "%m/%d/%y %I:%M %p", "2024-03-01 14:05"),
    ],
)
def test_dates_are_moments_in_utc(cell, format, moment):
    column = {} if format is None else {"format": format}
    assert values("date", [cell], **column).tolist() == [pd.Timestamp(moment, tz="UTC")]


@pytest.mark.parametrize("cell", ["2024-02-30", "2024-3-1", "2024", "infinity", "01.03.2024"])
def test_what_is_no_iso_date_is_refused(cell):
    with pytest.raises(ValueError, match="is not a date in ISO 8601"):
        values("date", [cell])


def test_categories_are_texts():
    assert values("category", [7, 8]).tolist() == ["7", "8"]
    assert values("category", [True, False]).tolist() == ["true", "false"]
    assert values("category", ["007", "NA"]).tolist() == ["007", "NA"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"amount": "Amount"}}, "no column 'amount' \\(did you mean 'Amount'"),
        ({"columns": {"shop": "k"}}, "no column 'shop'$"),
    ],
)
def test_a_missing_column_is_named(texts, change, words):
    with pytest.raises(ValueError, match=words):
        fitted().transform(texts.rename(**change))


def test_a_column_of_another_type_is_named(table):
    rows = table.assign(amount=table["time"])
    with pytest.raises(
        ValueError, match="'amount' should hold numbers and is of the type timestamp"
    ):
        fitted().transform(rows)


def test_two_columns_of_one_name_are_refused(table):
    with pytest.raises(ValueError, match="Two columns are named 'amount'"):
        fitted().transform(pd.concat([table, table[["amount"]]], axis=1))


def test_values_of_several_types_are_refused_by_name(table):
    rows = table.assign(shop=["k", 1] * 40)
    told = r"'shop' holds values of more than one type: 'k' in row 0 and 1 in row 1, counted from 0"
    with pytest.raises(ValueError, match=told):
        fitted().transform(rows)


@pytest.mark.parametrize(
    ("value", "words"), [("12 kg", "the text '12 kg'"), (True, "True"), ([1], r"\[1\]")]
)
def test_what_is_no_number_among_numbers_is_named(table, value, words):
    amounts = table["amount"].astype(object)
    amounts.iloc[:2] = [None, value]
    told = f"^Column 'amount' was learned as numbers, but holds {words} in row 1, counted from 0.$"
    with pytest.raises(ValueError, match=told):
        fitted().transform(table.assign(amount=amounts))


def test_values_that_are_no_cells_are_refused_by_name(table):
    rows = table.assign(shop=[object()] * len(table))
    with pytest.raises(ValueError, match=r"'shop' .* neither numbers, dates nor texts, such as"):
        fitted().transform(rows)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([], "columns is empty"),
        ([{"name": "x"}], "a name and a kind"),
        ([{"name": "x", "kind": "text"}], "kind of column 'x'"),
        ([{"name": "x", "kind": "number"}] * 2, "'x' twice"),
    ],
)
def test_wrong_columns_are_refused(columns, words):
    with pytest.raises(ValueError, match=words):
        TableSchema(columns).fit(pd.DataFrame({"x": [1.0]}))


def test_arrays_are_refused():
    with pytest.raises(TypeError, match="takes a DataFrame, got ndarray"):
        TableSchema().fit(np.zeros((2, 2)))


def test_it_must_be_fitted(texts):
    with pytest.raises(NotFittedError):
        TableSchema(COLUMNS).transform(texts)


def test_clones_are_equal():
    assert clone(TableSchema(COLUMNS, missing=("NA",))).get_params() == {
        "columns": COLUMNS,
        "missing": ("NA",),
    }


def test_a_saved_model_keeps_the_columns_and_what_they_held(model, texts, tmp_path):
    save(model, tmp_path / "model.skops")
    loaded = load(tmp_path / "model.skops")
    assert loaded[0].columns_ == model[0].columns_
    assert loaded[0].profile_ == model[0].profile_
    np.testing.assert_array_equal(loaded.score_samples(texts), model.score_samples(texts))


def test_reasons_name_the_columns_of_the_table(model, texts):
    found = explain(model, texts.head(3))
    assert found.contributions.columns.tolist() == ["amount", "shop", "(code)"]
    assert found.expected["shop"].isin(["north", "south"]).all()


def test_reasons_fold_dates_back(texts):
    # Names as short as this one are a part of "month".
    rows = texts.rename(columns={"time": "t"})
    dates = ColumnTransformer(
        [("dates", CalendarEncoder(), ["t"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    steps = [
        ("schema", TableSchema([*COLUMNS[:2], {"name": "t", "kind": "date"}])),
        ("dates", dates.set_output(transform="pandas")),
        ("detector", make_detector()),
    ]
    found = explain(Pipeline(steps).fit(rows), rows.head(3))
    assert found.contributions.columns.tolist() == ["amount", "shop", "t", "(code)"]
    assert found.expected["t"].str.fullmatch(r"month \d+, day_of_week \d, hour \d+").all()


def test_an_onnx_file_takes_the_typed_columns(model, texts, tmp_path):
    to_onnx(model, tmp_path / "model.onnx")
    rows = model[0].transform(texts)
    found = OnnxDetector(tmp_path / "model.onnx").fit().score_samples(rows)
    np.testing.assert_allclose(found, model.score_samples(texts), rtol=1e-4)


def test_an_onnx_file_needs_no_rows_to_tell_the_texts(texts, tmp_path):
    columns = ColumnTransformer([("all", "passthrough", ["amount", "shop"])])
    columns.set_params(verbose_feature_names_out=False).set_output(transform="pandas")
    steps = [("schema", TableSchema(COLUMNS[:2])), ("all", columns), ("detector", make_detector())]
    pipeline = Pipeline(steps).fit(texts)
    to_onnx(pipeline, tmp_path / "model.onnx")
    rows = pipeline[0].transform(texts)
    found = OnnxDetector(tmp_path / "model.onnx").fit().score_samples(rows)
    np.testing.assert_allclose(found, pipeline.score_samples(texts), rtol=1e-4)
