"""score_frame: the scores, decisions and reasons of the rows of one dataframe.

It is the one function that the command, Dask and Spark map over the parts of a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vae_anomaly.explanations.attribution import ATTRIBUTIONS
from vae_anomaly.explanations.explain import explain
from vae_anomaly.explanations.sentences import is_missing
from vae_anomaly.onnx.scoring import OnnxDetector
from vae_anomaly.thresholds.conformal import PValuesMixin
from vae_anomaly.thresholds.fitting import final_step, own_threshold
from vae_anomaly.thresholds.splitting import innermost
from vae_anomaly.time_series.windowed import WindowedDetector

if TYPE_CHECKING:
    import pyarrow as pa

_REASONS = {
    "column": ("reason", str),
    "contribution": ("contribution", float),
    "observed": ("value", str),
    "expected": ("expected", str),
}
"""The names in the output, without their number, and types, by column of `Explanation.reasons`."""


def score_frame(
    model: Any,
    frame: pd.DataFrame,
    *,
    p_value: bool = False,
    reasons: int = 0,
    attribution: str = "terms",
) -> pd.DataFrame:
    """Score the rows of a dataframe, decide which are outliers, and give reasons.

    Each row is scored by itself, so that a table gets the same scores whatever parts it is divided
    into.

    Parameters
    ----------
    model : estimator
        A fitted outlier detector with a threshold, alone, in a Pipeline or in a meta-estimator such
        as `TunedThresholdDetectorCV`, or an `OnnxDetector`.
    frame : DataFrame of shape (n_rows, n_columns)
        The rows, with the columns that the model takes.
    p_value : bool, default=False
        Whether to add the p-value of each row: how rarely a clean row has such a score.
    reasons : int, default=0
        The number of reasons to add for each row: the columns that contribute most to its score.
    attribution : {"terms", "hiding"}, default="terms"
        How the score is divided among the columns, see `vae_anomaly.explain`.

    Returns
    -------
    scores : DataFrame of shape (n_rows, n_output_columns)
        The index is that of `frame`, and the columns are

        - "score", the opposite of `score_samples`, in nats for a VAE: the higher, the more
          abnormal;
        - "is_outlier", whether `predict` returns -1;
        - "p_value", if asked for;
        - "reason_1" (a column, or what else contributes), "contribution_1" (in nats), "value_1" and
          "expected_1" for the largest contribution, and so on. Values are strings, since a reason
          may be a number in one row and a category in the next, and None where there is none.

    Raises
    ------
    ValueError
        If the model cannot give what is asked for, or the rows are not valid.

    See Also
    --------
    score_table : Scores the rows of files.
    score_dask : Scores the rows of a Dask dataframe.
    score_spark : Scores the rows of a Spark dataframe.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from vae_anomaly import VAEAnomalyDetector
    >>> from vae_anomaly.batch import score_frame
    >>> t = np.random.RandomState(0).uniform(0, 6, size=500)
    >>> table = pd.DataFrame({"t": t, "sin": np.sin(t), "cos": np.cos(t)})
    >>> detector = VAEAnomalyDetector(max_iter=100, random_state=0).fit(table)
    >>> scores = score_frame(detector, table.head(2).assign(sin=[0.5, 9.0]), reasons=1)
    >>> scores[["is_outlier", "reason_1", "value_1"]]
       is_outlier reason_1 value_1
    ...
    ...      True      sin       9
    """
    columns = _columns(model, (), p_value, reasons, attribution)
    if len(frame) == 0:  # as parts of a cluster may be; a detector wants at least one row
        empty = pd.DataFrame({name: _column([], kind) for name, kind in columns.items()})
        return empty.set_axis(frame.index)
    threshold = own_threshold(model)
    assert threshold is not None  # output_columns has made sure
    scores = np.asarray(model.score_samples(frame), np.float64)
    scored = pd.DataFrame({"score": -scores, "is_outlier": scores < threshold})
    if p_value:
        scored["p_value"] = final_step(model).p_values_of(scores)
    if reasons:
        explanation = explain(model, frame, attribution=attribution)
        scored = scored.join(_side_by_side(explanation.reasons(reasons), reasons))
    return scored.set_axis(frame.index)


def output_columns(
    model: Any,
    *,
    keep: Iterable[str] = (),
    p_value: bool = False,
    reasons: int = 0,
    attribution: str = "terms",
) -> pa.Schema:
    """Return the names and types of the columns that `score_frame` returns.

    Parameters
    ----------
    model, p_value, reasons, attribution
        The arguments of `score_frame`.
    keep : iterable of str, default=()
        The names of the columns that will stand beside them.

    Returns
    -------
    columns : pyarrow.Schema
        The columns.

    Raises
    ------
    ValueError
        If the model cannot give what is asked for or cannot score a table in parts, or if a column
        to keep has the name of another.
    """
    import pyarrow as pa

    types = {float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    columns = _columns(model, keep, p_value, reasons, attribution)
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def _columns(
    model: Any, keep: Iterable[str], p_value: bool, reasons: int, attribution: str
) -> dict[str, type]:
    """Return what `output_columns` does, as types of Python."""
    final = final_step(model)
    kind = type(final).__name__
    if isinstance(innermost(model), WindowedDetector):
        raise ValueError(
            "A WindowedDetector scores time points together with their neighbours, so it cannot "
            "score a table in parts. Call its score_samples with whole series."
        )
    if own_threshold(model) is None:
        raise ValueError(
            f"{kind} has no threshold offset_ to tell which rows are outliers. Put the model into "
            "a FixedThresholdDetector or a TunedThresholdDetectorCV."
        )
    columns: dict[str, type] = {"score": float, "is_outlier": bool}
    if p_value:
        if not isinstance(final, PValuesMixin):
            raise ValueError(
                f"{kind} has no p-values, as it keeps no scores of rows that it was not trained "
                "on. Put the model into a TunedThresholdDetectorCV or a ConformalDetector."
            )
        columns["p_value"] = float
    if reasons < 0:
        raise ValueError(f"reasons must be at least 0, got {reasons!r}.")
    if reasons:
        if attribution not in ATTRIBUTIONS:
            raise ValueError(f"attribution must be one of {ATTRIBUTIONS}, got {attribution!r}.")
        if isinstance(final, OnnxDetector):
            raise ValueError(
                "A .onnx file lacks what reasons need. Score with the .skops file that it was made "
                "from."
            )
    for number in range(1, reasons + 1):
        columns |= {f"{name}_{number}": type_ for name, type_ in _REASONS.values()}
    if taken := columns.keys() & set(keep):
        raise ValueError(
            f"The output has a column {', '.join(map(repr, sorted(taken)))} of its own: rename "
            "that of the input, or do not keep it."
        )
    return columns


def _side_by_side(found: pd.DataFrame, n_reasons: int) -> pd.DataFrame:
    """Return what `Explanation.reasons` returns, with all reasons of a row in one row."""
    n_found = found.index.get_level_values("reason").max()  # less if there are fewer columns
    n_rows = len(found) // n_found
    table = {}
    for number in range(n_reasons):
        for source, (name, kind) in _REASONS.items():
            is_found = number < n_found
            cells = found[source].to_numpy()[number::n_found] if is_found else [None] * n_rows
            texts_or_numbers = map(as_text, cells) if kind is str else cells
            table[f"{name}_{number + 1}"] = _column(texts_or_numbers, kind)
    return pd.DataFrame(table)


def _column(cells: Iterable[Any], kind: type) -> pd.Series:
    """Return cells as a column, of the type that this version of pandas takes for text."""
    return pd.Series(list(cells), dtype=pd.Series([""]).dtype if kind is str else kind)


def as_text(value: Any) -> str | None:
    """Return a cell as text, as it would stand in a CSV file; None if it is missing."""
    if is_missing(value):
        return None
    if isinstance(value, float | np.floating):
        return repr(float(value)).removesuffix(".0")
    if isinstance(value, np.datetime64 | pd.Timestamp):
        return pd.Timestamp(value).isoformat()
    return str(value)
