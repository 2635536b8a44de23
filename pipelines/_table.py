"""Functions shared by the scripts: reading CSV files and loading models."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

import vae_anomaly
from vae_anomaly import OnnxDetector


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


def as_trained(frame: pd.DataFrame, model: Any, path: Path) -> pd.DataFrame:
    """Convert texts to the column types that a model was fitted on."""
    if isinstance(model, OnnxDetector):
        return with_types(frame, model.feature_names_in_[~model.is_text_], [], path)
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
        metavar="MODEL",
        help="a pipeline saved by train.py, or a .onnx file of vae_anomaly.to_onnx",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="also load a .joblib file, which can run any code: only if you made it yourself",
    )


def load(args: argparse.Namespace) -> Any:
    """Load the model that the arguments name: one of train.py, or a .onnx file."""
    try:
        model = vae_anomaly.load(args.model, allow_pickle=args.allow_pickle)
    except ValueError as error:
        raise ValueError(str(error).replace("allow_pickle=True", "--allow-pickle")) from error
    if isinstance(model, Pipeline) and "columns" in model.named_steps:
        return model
    if isinstance(model, OnnxDetector) and hasattr(model, "feature_names_in_"):
        return model
    raise ValueError(f"{args.model} is not a model of train.py, nor a .onnx file with column names")
