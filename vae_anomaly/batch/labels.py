"""Which rows of a table are labelled as outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vae_anomaly.batch.errors import TableError

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Source

UNKNOWN = -1
"""The label of a row whose field is empty."""

_N_SHOWN = 10


class Label(NamedTuple):
    """The column that holds the labels of the rows, and its value for outliers.

    Parameters
    ----------
    column : str
        The name of the column.
    outlier : str
        The value of outliers, as it is written in the file. All other values are inliers.

    See Also
    --------
    evaluate_table : Measures a model on labelled rows.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from vae_anomaly.batch import Label, Source
    >>> table = pd.DataFrame({"amount": [1, 2, 3], "fraud": ["no", "yes", None]})
    >>> label = Label(column="fraud", outlier="yes")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     table.to_csv(path, index=False)
    ...     labels = label.read(Source.open([path]), allow_missing=True)
    >>> labels
    array([ 0,  1, -1], dtype=int8)
    """

    column: str
    outlier: str

    def read(self, source: Source, *, allow_missing: bool = False) -> np.ndarray:
        """Return the label of each row of a table.

        Parameters
        ----------
        source : Source
            The table.
        allow_missing : bool, default=False
            Whether labels may be missing.

        Returns
        -------
        labels : ndarray of shape (n_rows,), dtype int8
            1 for outliers, 0 for inliers and -1 where the label is missing.

        Raises
        ------
        TableError
            If there is no such column, no outlier or no inlier, or if a label is missing and
            `allow_missing` is False.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from vae_anomaly.batch import Label, Source
        >>> table = pd.DataFrame({"amount": [1, 2, 3], "fraud": ["no", "yes", None]})
        >>> label = Label(column="fraud", outlier="yes")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "table.csv")
        ...     table.to_csv(path, index=False)
        ...     labels = label.read(Source.open([path]), allow_missing=True)
        >>> labels
        array([ 0,  1, -1], dtype=int8)
        """
        parts = [np.zeros(0, np.int8)]
        seen: set[str] = set()
        for frame in source.frames(None, keep=[self.column]):
            texts = pc.utf8_trim_whitespace(frame.kept[self.column].cast(pa.string()))
            seen.update(text for text in pc.unique(texts).to_pylist()[:1000] if text)
            is_outlier = pc.equal(texts, self.outlier.strip()).cast(pa.int8())
            is_missing = pc.or_kleene(pc.is_null(texts), pc.equal(texts, ""))
            parts.append(np.where(is_missing, UNKNOWN, pc.fill_null(is_outlier, 0)).astype(np.int8))
        labels = np.concatenate(parts)
        where = f"{source}, column {self.column!r}"
        if not allow_missing and (labels == UNKNOWN).any():
            raise TableError(
                f"{where}, row {(labels == UNKNOWN).argmax() + 1}: the label is missing"
            )
        if not ((labels == 1).any() and (labels == 0).any()):
            lacks = "no value but" if (labels == 1).any() else "no value"
            shown = ", ".join(map(repr, sorted(seen)[:_N_SHOWN]))
            raise TableError(
                f"{where} has {lacks} {self.outlier!r}; it has {shown}"
                f"{', ...' if len(seen) > _N_SHOWN else ''}"
            )
        return labels
