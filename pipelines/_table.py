"""What the scripts share: CSV files in with typed columns, models in, files out whole."""

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
    """Numbers, missing where a text is none."""
    return pd.to_numeric(texts, errors="coerce").astype("float64")


def parse_dates(texts: pd.Series) -> pd.Series:
    """Dates in UTC, missing where a text is none.

    Only ISO 8601 counts: 03/04/2013 means one day here and another there.
    """
    return pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")


def read_frames(
    path: Path, columns: list[str] | None = None, rows_per_frame: int = 100_000
) -> Iterator[pd.DataFrame]:
    """Read a CSV file frame by frame, every value as text.

    The type that pandas infers for a column may change from one part of a file to the next.
    """
    try:
        # Without usecols, which makes pandas cut off what a row has beyond the header.
        with pd.read_csv(path, dtype=str, chunksize=rows_per_frame) as frames:
            for frame in frames:
                # Rows longer than the header: pandas takes their first fields for an index.
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
    """Turn the texts of the named columns into finite numbers and dates."""
    typed = {}
    for column in numbers:
        typed[column] = parse_numbers(frame[column])
        _check_parsed(frame[column], np.isfinite(typed[column]), "finite number", path)
    for column in dates:
        typed[column] = parse_dates(frame[column])
        _check_parsed(frame[column], typed[column].notna(), "ISO 8601 date", path)
    return frame.assign(**typed)


def as_trained(frame: pd.DataFrame, model: Pipeline, path: Path) -> pd.DataFrame:
    """Turn texts into what the columns were that a model of train.py has been fitted on."""
    columns = {name: names for name, _, names in model["columns"].transformers_}
    return with_types(frame, columns["numbers"], columns["dates"], path)


def _check_parsed(texts: pd.Series, parsed: pd.Series, kind: str, path: Path) -> None:
    bad = texts[texts.notna() & ~parsed]
    if len(bad):
        raise ValueError(
            f"{path}, column {texts.name!r}, row {bad.index[0] + 1}: {bad.iloc[0]!r} is no {kind}"
        )


def outliers(labels: pd.Series, value: str, path: Path) -> pd.Series:
    """Tell which rows carry the outliers' value in the label column."""
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
        help="a pipeline that train.py saved; load only files you trust, they may run code",
    )


def load(path: Path) -> Pipeline:
    """Load a model that train.py has saved."""
    try:
        model = joblib.load(path)
    except OSError:
        raise
    except Exception as error:
        # Unpickling what is no pickle, or not of these versions, may raise anything.
        raise ValueError(f"{path} cannot be loaded: {error!r}") from error
    if not (isinstance(model, Pipeline) and "columns" in model.named_steps):
        raise ValueError(f"{path} is not a model of train.py")
    return model


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` once the block has ended well.

    That the folder can be written to is known at the start, not after the work.
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
