"""write_report: a report of a table, as one HTML file."""

from __future__ import annotations

import datetime
import importlib.util
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vae_anomaly.explanations.attribution import ATTRIBUTIONS
from vae_anomaly.files import check_distinct, check_new, is_stream, open_replacing

if TYPE_CHECKING:
    from vae_anomaly.batch.labels import Label
    from vae_anomaly.batch.source import Source
    from vae_anomaly.model_info import ModelInfo
    from vae_anomaly.report.contents import Contents
    from vae_anomaly.thresholds.objectives import AlarmCost

_NEEDED = ("jinja2", "matplotlib")


def write_report(
    model: Any,
    source: Source,
    output: str | os.PathLike[str],
    *,
    scored: bool = False,
    model_path: str | os.PathLike[str] | None = None,
    label: Label | None = None,
    cost: AlarmCost | None = None,
    keep: Sequence[str] = (),
    top: int = 100,
    reasons: int = 3,
    attribution: Literal["hiding", "terms"] | None = None,
    title: str | None = None,
    bad_cells: Literal["stop", "missing"] = "stop",
    command: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Contents:
    """Write what a model says about a table as one HTML file that needs no network.

    The page tells how many rows raise an alarm and what other thresholds would cost, how the scores
    are distributed, where the rows lie in the latent space, which rows are the most abnormal and
    why, how the table has drifted since training, how well labelled outliers are found, and how
    the page was made. It needs the extra ``vae-anomaly[report]``.

    Parameters
    ----------
    model : estimator or None
        What `score_frame` takes. None if `scored` is True and the model is not at hand.
    source : Source
        The table, of any size: it is scored part by part, and only the scores and labels of all its
        rows are held in memory. With `scored`, the output of `score_table`.
    output : str or path-like
        The file to write, whose name ends in .html. A pipe and "-" are written to as well.
    scored : bool, default=False
        Whether `source` is the output of `score_table`, so that nothing is scored again. What it
        does not tell is left out, and the page says how to get it. Give it `reasons` and keep
        columns there. Its summary in JSON is used if it lies beside it.
    model_path : str or path-like, default=None
        The file that the model was loaded from, which the page names with its digest.
    label : Label, default=None
        The column that tells which rows are outliers. It may be empty in some rows.
    cost : AlarmCost, default=None
        What misses and false alarms cost, to compare thresholds by. Needs `label`.
    keep : sequence of str, default=()
        Columns to show beside the most abnormal rows, such as keys. With `scored`, by default all
        that were kept.
    top : int, default=100
        The number of the most abnormal rows to list.
    reasons : int, default=3
        The number of reasons for each of them. With `scored`, there are no more than in the file.
    attribution : {"hiding", "terms"}, default=None
        How their scores are shared out among the columns, see `vae_anomaly.explain`; by default
        "hiding". With `scored`, the reasons are those of the file, and this must be None.
    title : str, default=None
        The title of the page, by default made of the name of the table.
    bad_cells : {"stop", "missing"}, default="stop"
        What cells are that do not fit the kind of their column: an error, or missing values.
    command : str, default=None
        The command to show in the page as what makes it.
    overwrite : bool, default=False
        Whether to replace an existing file.
    progress : callable, default=None
        Called with the number of rows done and the number of all rows, which is None if the files
        do not tell.

    Returns
    -------
    contents : Contents
        What the page tells, as plain values.

    Raises
    ------
    ImportError
        If Jinja2 or matplotlib is missing.
    TableError
        If the table cannot be read, does not fit the model or changes while it is read.
    ValueError
        If arguments do not fit together, if the model has no threshold, or if the scores are not
        by this model.
    FileExistsError
        If the file exists, and `overwrite` is False.

    See Also
    --------
    vae_anomaly.batch.score_table : Write the scores of all rows to a file.
    vae_anomaly.batch.evaluate_table : Measure a model on labelled rows.

    Notes
    -----
    The page holds cells of the table. Whoever may read it may read those.

    The same files, model and arguments give the same bytes, but for the date; the environment
    variable SOURCE_DATE_EPOCH, a number of seconds since 1970, sets that.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from vae_anomaly import TableSchema, VAEAnomalyDetector
    >>> from vae_anomaly.batch import Source
    >>> from vae_anomaly.report import write_report
    >>> rows = pd.DataFrame(np.random.RandomState(0).normal(size=(200, 2)), columns=["a", "b"])
    >>> detector = VAEAnomalyDetector(max_iter=2, random_state=0)
    >>> model = make_pipeline(TableSchema(), detector).fit(rows)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table, output = Path(folder, "table.csv"), Path(folder, "report.html")
    ...     rows.to_csv(table, index=False)
    ...     contents = write_report(model, Source.open([table]), output, top=5)
    ...     page = output.read_text(encoding="utf-8")
    >>> contents.n_rows, len(contents.listing.rows)
    (200, 5)
    >>> "<title>Anomalies in table.csv</title>" in page
    True
    """
    _check_arguments(model, output, scored=scored, label=label, cost=cost, top=top, reasons=reasons)
    if scored and attribution is not None:
        raise ValueError(
            "attribution has no effect on rows that are scored already, whose reasons are in the "
            "file: leave it out."
        )
    if attribution is not None and attribution not in ATTRIBUTIONS:
        raise ValueError(f"attribution must be one of {ATTRIBUTIONS}, got {attribution!r}.")
    if bad_cells not in ("stop", "missing"):
        raise ValueError(f"bad_cells must be 'stop' or 'missing', got {bad_cells!r}.")
    made_at = _now()
    check_distinct([*source.paths, *([] if model_path is None else [model_path])], [output])
    check_new(output, overwrite=overwrite)

    from vae_anomaly.batch.scoring import output_columns
    from vae_anomaly.report.gather import gather
    from vae_anomaly.report.inputs import ScoredFile, Table
    from vae_anomaly.report.page import render
    from vae_anomaly.report.pictures import draw

    if model is not None:
        output_columns(model)  # raises an error if it has no threshold
    rows = ScoredFile(source, keep, bad_cells) if scored else Table(model, source, keep, bad_cells)
    labels = None if label is None else label.read(source, allow_missing=True)
    contents = gather(
        rows,
        model=model,
        info=None if model is None else _info(model, model_path),
        model_path=None if model_path is None else str(model_path),
        labels=labels,
        cost=cost,
        title=title,
        n_listed=top,
        n_reasons=reasons,
        attribution=attribution or "hiding",
        command=command,
        made_at=made_at,
        progress=progress,
    )
    page = render(contents, draw(contents))
    with open_replacing(output) as file:
        # Names of files may hold halves of surrogate pairs, which the page shows by number.
        file.write(page.encode("utf-8"))
    return contents


def _check_arguments(
    model: Any,
    output: str | os.PathLike[str],
    *,
    scored: bool,
    label: Label | None,
    cost: AlarmCost | None,
    top: int,
    reasons: int,
) -> None:
    """Raise an error about anything that is wrong whatever the table holds."""
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ImportError(
                f"A report needs {name}, which is not installed: pip install 'vae-anomaly[report]'"
            )
    if model is None and not scored:
        raise ValueError("Without a model, nothing can be scored: pass one, or scored=True.")
    if cost is not None and label is None:
        raise ValueError("Costs can only be told where a label says which rows are outliers.")
    for name, value in (("top", top), ("reasons", reasons)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    if not is_stream(output) and Path(output).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{output}: the name of a report must end in .html.")


def _info(model: Any, path: str | os.PathLike[str] | None) -> ModelInfo:
    """Return what the file of a model tells, or the model itself if there is none or a pickle."""
    from vae_anomaly.model_info import ModelInfo
    from vae_anomaly.persistence import inspect

    if path is not None:
        with suppress(ValueError):
            return inspect(path)
    return ModelInfo.of(model)


def _now() -> datetime.datetime:
    """Return the time, or that of SOURCE_DATE_EPOCH, in UTC."""
    pinned = os.environ.get("SOURCE_DATE_EPOCH")
    if not pinned:
        return datetime.datetime.now(datetime.UTC)
    try:
        return datetime.datetime.fromtimestamp(int(pinned), datetime.UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"SOURCE_DATE_EPOCH must be a number of seconds since 1970, got {pinned!r}."
        ) from None
