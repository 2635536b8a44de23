"""The tables of data/: what data/README.md says about them, and that data/make.py writes them."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parents[1] / "data"
TABLES = ["breast_cancer.csv", "departures.csv", "digits.csv", "flights.csv"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    arguments = ["--to", folder, "--full-flights", folder / "all_flights.csv"]
    subprocess.run([sys.executable, DATA / "make.py", *arguments], check=True)
    return folder


@pytest.mark.parametrize("name", TABLES)
def test_make_writes_the_same_bytes(made, name):
    assert (made / name).read_bytes() == (DATA / name).read_bytes()


def test_full_flights_hold_the_sample(made):
    full = pd.read_csv(made / "all_flights.csv", dtype=str)
    sample = pd.read_csv(DATA / "flights.csv", dtype=str)
    assert len(full) == 336_776
    assert len(sample.merge(full.drop_duplicates())) == len(sample)


def test_tables_are_small():
    assert sum((DATA / name).stat().st_size for name in TABLES) < 2_000_000


def test_breast_cancer_is_complete_and_labelled():
    table = pd.read_csv(DATA / "breast_cancer.csv")
    assert table.shape == (569, 31)
    assert not table.isna().any(axis=None)
    assert table["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}
    assert table.columns.str.fullmatch("[a-z_]+").all()


def test_digits_are_images_of_17_grey_levels():
    table = pd.read_csv(DATA / "digits.csv")
    pixels = table.drop(columns="digit")
    assert pixels.shape == (1797, 64)
    assert (pixels.dtypes == "int64").all()
    assert (pixels.min(axis=None), pixels.max(axis=None)) == (0, 16)
    assert set(table["digit"]) == set(range(10))


def test_flights_are_unusual_when_they_arrive_hugely_late_or_never():
    table = pd.read_csv(DATA / "flights.csv")
    assert len(table) == 10_000
    expected = table["arr_delay"].isna() | (table["arr_delay"] > 180)
    assert (table["unusual"] == expected).all()
    assert table["unusual"].sum() == 397


def test_flights_mix_categories_dates_and_missing_values():
    table = pd.read_csv(DATA / "flights.csv", parse_dates=["time_hour"])
    assert str(table["time_hour"].dt.tz) == "UTC"
    assert table["carrier"].nunique() == 16
    assert table["origin"].nunique() == 3
    assert table["dep_delay"].isna().sum() > 100


def test_departures_are_three_series_without_gaps():
    table = pd.read_csv(DATA / "departures.csv", parse_dates=["time"], index_col="time")
    assert len(table) == 26_265
    assert not table.isna().any(axis=None)
    for _, airport in table.groupby("airport"):
        assert (airport.index.to_series().diff().dropna() == pd.Timedelta("1h")).all()


def test_departures_are_disrupted_when_many_flights_were_cancelled(made):
    table = pd.read_csv(DATA / "departures.csv", parse_dates=["time"])
    flights = pd.read_csv(made / "all_flights.csv", parse_dates=["time_hour"])
    assert table["departures"].sum() == flights["dep_time"].notna().sum()
    cancelled = flights["dep_time"].isna().groupby([flights["time_hour"], flights["origin"]])
    share, scheduled = cancelled.mean(), cancelled.size()
    disrupted = table.set_index(["time", "airport"])["disrupted"].loc[share.index]
    assert (disrupted == ((share >= 0.2) & (scheduled >= 5))).all()
    assert table["disrupted"].sum() == disrupted.sum() == 508
