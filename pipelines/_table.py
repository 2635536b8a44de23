"""Functions shared by the scripts: reading CSV files, loading models and writing files."""

import argparse
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline


def parse_numbers(texts: pd.Series) -> pd.Series:
    """Return texts as numbers, with missing values where a text is not a number."""
    return pd.to_numeric(texts, errors="coerce").astype("float64")


def parse_dates(texts: pd.Series) -> pd.Series:
    """Return texts as dates in UTC, with missing values where a text is not a date.

    Only ISO 8601 is accepted, as the meaning of 03/04/2013 depends on the country.
    """
    return pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")


def read_frames(
    path: Path, columns: list[str] | None = None, rows_per_frame: int = 100_000
) -> Iterator[pd.DataFrame]:
    """Read a CSV file as a sequence of dataframes, with all values as text.

    The type that pandas infers for a column could change from one part of a file to the next.
    """
    try:
        # usecols is not passed, as pandas would then drop surplus fields of a row without notice.
        with pd.read_csv(path, dtype=str, chunksize=rows_per_frame) as frames:
            for frame in frames:
                # If rows are longer than the header, pandas takes their first fields as the index.
                if not isinstance(frame.index, pd.RangeIndex):
                    raise ValueError(f"{path} has rows with more fields than its header")
                if columns is not None:
                    check_columns(frame, columns, path)
                    frame = frame[columns]
                if frame.empty:
                    raise ValueError(f"{path} has no rows")
                yield frame
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path} is empty") from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from error


def check_columns(frame: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(map(repr, missing))}")


def with_types(
    frame: pd.DataFrame, numbers: Iterable[str], dates: Iterable[str], path: Path
) -> pd.DataFrame:
    """Convert the texts of the named columns to finite numbers and dates."""
    typed = {}
    for column in numbers:
        typed[column] = parse_numbers(frame[column])
        _check_parsed(frame[column], np.isfinite(typed[column]), "finite number", path)
    for column in dates:
        typed[column] = parse_dates(frame[column])
        _check_parsed(frame[column], typed[column].notna(), "ISO 8601 date", path)
    return frame.assign(**typed)


def as_trained(frame: pd.DataFrame, model: Pipeline, path: Path) -> pd.DataFrame:
    """Convert texts to the column types that a model of train.py was fitted on."""
    columns = {name: names for name, _, names in model["columns"].transformers_}
    return with_types(frame, columns["numbers"], columns["dates"], path)


def _check_parsed(texts: pd.Series, parsed: pd.Series, kind: str, path: Path) -> None:
    bad = texts[texts.notna() & ~parsed]
    if len(bad):
        raise ValueError(
            f"{path}, column {texts.name!r}, row {bad.index[0] + 1}: {bad.iloc[0]!r} is no {kind}"
        )


def outliers(labels: pd.Series, value: str, path: Path) -> pd.Series:
    """Return which rows have the outliers' value in the label column."""
    values = sorted(labels.dropna().unique())
    if value not in values or len(values) == 1:
        raise ValueError(
            f"{path}, column {labels.name!r} must have the value {value!r} and others, it has "
            f"{', '.join(values[:10])}{', ...' if len(values) > 10 else ''}"
        )
    return labels == value


def add_model_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="MODEL.joblib",
        help="a pipeline saved by train.py; only load files you trust, as they can run any code",
    )


def load(path: Path) -> Pipeline:
    """Load a model saved by train.py."""
    try:
        model = joblib.load(path)
    except OSError:
        raise
    except Exception as error:
        # Unpickling may raise anything if the file is not a pickle or comes from other versions.
        raise ValueError(f"{path} cannot be loaded: {error!r}") from error
    if not (isinstance(model, Pipeline) and "columns" in model.named_steps):
        raise ValueError(f"{path} is not a model of train.py")
    return model


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which is moved to `path` once the block has ended without error.

    An error is raised at the start, not after the work, if the folder cannot be written to.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.touch()
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
