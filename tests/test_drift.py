import json

import numpy as np
import pandas as pd
import pytest

from vae_anomaly import TableSchema
from vae_anomaly.batch.profile import Drift


def make_table(n_rows, seed=0, shift=0.0, shops="xyz"):
    rng = np.random.RandomState(seed)
    return pd.DataFrame(
        {
            "amount": rng.normal(shift, 1, n_rows),
            "shop": rng.choice(list(shops), n_rows),
            "time": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(rng.randint(0, 1000, n_rows), unit="h"),
        }
    )


@pytest.fixture(scope="module")
def schema():
    return TableSchema().fit(make_table(1000))


def drift_of(schema, *tables):
    drift = Drift(schema)
    for table in tables:
        drift.add(schema.transform(table))
    return drift


@pytest.mark.parametrize("n_rows", [1, 5, 10, 30, 100, 1000])
@pytest.mark.parametrize("seed", range(1, 6))
def test_rows_like_those_of_training_give_no_warning(schema, n_rows, seed):
    assert drift_of(schema, make_table(n_rows, seed)).warnings() == []


def test_a_shift_of_one_standard_deviation_is_told(schema):
    drift = drift_of(schema, make_table(300, 1, shift=1.0))
    (warning,) = drift.warnings()
    assert "column 'amount'" in warning
    assert "population stability index" in warning


def test_the_index_is_the_symmetrised_divergence_of_the_bins(schema):
    table = make_table(5000, 1, shift=0.5)
    held = schema.profile_["amount"]
    bins = np.searchsorted(held["edges"], table["amount"])
    now, then = np.bincount(bins) / len(table), np.array(held["shares"])
    expected = ((now - then) * np.log(now / then)).sum()
    assert drift_of(schema, table).summary()["amount"]["psi"] == pytest.approx(expected, rel=0.02)


def test_levels_that_training_lacked_are_counted_by_name(schema):
    table = make_table(300, 1)
    table.loc[:2, "shop"] = "new"
    table.loc[7, "shop"] = "other"
    drift = drift_of(schema, table)
    assert drift.summary()["shop"]["unseen_levels"] == {"new": 3, "other": 1}
    assert drift.summary()["shop"]["unseen"] == pytest.approx(4 / 300)
    assert any("'new', 'other'" in warning for warning in drift.warnings())


def test_a_missing_level_is_no_unseen_one(schema):
    table = make_table(300, 1)
    table.loc[:2, "shop"] = None
    found = drift_of(schema, table).summary()["shop"]
    assert found["unseen"] == 0
    assert found["missing"] == pytest.approx(0.01)


def test_values_outside_of_the_range_are_counted(schema):
    table = make_table(300, 1)
    table.loc[:29, "amount"] = 100.0
    table.loc[30:32, "amount"] = -100.0
    found = drift_of(schema, table).summary()["amount"]
    assert found["above"] >= 30 / 300
    assert found["below"] >= 3 / 300


def test_dates_after_training_are_told(schema):
    table = make_table(300, 1)
    table["time"] += pd.Timedelta("1000 days")
    warnings = drift_of(schema, table).warnings()
    assert any("column 'time'" in warning and "2024-01-01" in warning for warning in warnings)


def test_many_missing_cells_are_told(schema):
    table = make_table(300, 1)
    table.loc[:149, "amount"] = np.nan
    (warning,) = drift_of(schema, table).warnings()
    assert warning == "column 'amount': 50% of its cells are missing, 0% were in training"


def test_the_result_does_not_depend_on_the_parts(schema):
    table = make_table(300, 1, shift=0.5, shops="xyq")
    parts = [table[:7], table[7:100], table[100:100], table[100:]]
    assert drift_of(schema, *parts).summary() == drift_of(schema, table).summary()


def test_counts_survive_as_json(schema):
    table = make_table(300, 1, shops="xyq")
    drift = Drift.from_state(
        schema, json.loads(json.dumps(drift_of(schema, table[:99]).to_state()))
    )
    drift.add(schema.transform(table[99:]))
    whole = drift_of(schema, table)
    assert drift.summary() == whole.summary()
    assert drift.to_state() == whole.to_state()


def test_the_number_of_names_is_bounded(schema):
    table = make_table(5000).assign(shop=[f"level{i}" for i in range(5000)])
    drift = drift_of(schema, table)
    assert len(drift.summary()["shop"]["unseen_levels"]) == 20
    assert drift.summary()["shop"]["unseen"] == 1.0
    assert len(drift.to_state()["columns"]["shop"]["unseen"]) <= 1000


def test_summaries_are_json(schema):
    text = json.dumps(drift_of(schema, make_table(10, 1)).summary(), allow_nan=False)
    assert set(json.loads(text)) == {"amount", "shop", "time"}


def test_an_empty_table_has_no_drift(schema):
    drift = drift_of(schema, make_table(0))
    assert drift.summary()["amount"]["psi"] is None
    assert drift.warnings() == []


def test_a_column_that_was_empty_in_training_is_not_compared():
    table = make_table(50).assign(amount=np.nan)
    drift = drift_of(TableSchema().fit(table), make_table(50))
    assert drift.summary()["amount"]["psi"] is None


def test_a_schema_that_has_seen_no_table_has_no_drift():
    schema = TableSchema([{"name": "amount", "kind": "number"}])
    assert Drift(schema).warnings() == []


def test_what_parts_hold_is_what_the_whole_holds():
    table = make_table(1000)
    parts = [table[:300], table[300:]]
    whole, joined = (
        TableSchema().fit(table).profile_,
        TableSchema().fit_batches(lambda: iter(parts)).profile_,
    )
    assert joined == whole
