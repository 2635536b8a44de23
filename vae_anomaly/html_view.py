"""HTML for notebooks: what an estimator has learned, and sentences about rows."""

from __future__ import annotations

import contextlib
import html
from abc import abstractmethod
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from vae_anomaly.learned import Learned
from vae_anomaly.sklearn_private import _VisualBlock

if TYPE_CHECKING:
    import pandas as pd

N_SENTENCES = 10
"""The number of rows of which sentences are shown."""

_MOST_COLUMNS = 100
"""The number of columns that are shown, as many as scikit-learn shows features."""

_CELL = "padding: 0.5em; text-align: left; white-space: normal; max-width: 34em"
"""The style of a cell: long values are wrapped, which notebooks do not do by themselves."""


def sentences_html(summary: str, sentences: pd.Series, scores: pd.Series, n_rows: int) -> str:
    """Return a table of sentences about rows, which pandas would cut off, below a summary.

    Parameters
    ----------
    summary : str
        What is said of all rows.
    sentences, scores : Series of shape (n_shown,)
        A sentence about each of the first rows, and their anomaly scores.
    n_rows : int
        The number of all rows.
    """
    index = sentences.index
    head = [(str(index.name or "row"), "score", str(sentences.name))]
    rows = [
        (str(row), f"{score:.4g}", sentence)
        for row, score, sentence in zip(index, scores, sentences, strict=True)
    ]
    more = "" if len(rows) == n_rows else f"<p>The first {len(rows)} rows are shown.</p>"
    return (
        f"<p>{html.escape(summary)}</p><table><thead>{_rows_html(head, 'th')}</thead>"
        f"<tbody>{_rows_html(rows)}</tbody></table>{more}"
    )


class LearnedViewMixin:
    """Mixin that adds what was learned to the HTML representation of a fitted estimator.

    It stands in front of the parameters, and its headline under the name, also where the estimator
    is part of another. What scikit-learn shows, in whichever version, is left as it is. A view must
    not raise, as that would break the notebook that shows it: whatever fails is left out.
    """

    _not_in_view: frozenset[str] = frozenset()
    """The fitted attributes that are not shown, as they are costly to make."""

    @abstractmethod
    def _learned(self) -> Learned:
        """Return what the fitted estimator has learned."""

    def _learned_if_fitted(self) -> Learned | None:
        with contextlib.suppress(Exception):
            check_is_fitted(self)
            return self._learned()
        return None

    def _sk_visual_block_(self) -> _VisualBlock:
        learned = self._learned_if_fitted()
        return _VisualBlock(
            "single",
            self,
            names=type(self).__name__,
            name_details=str(self),
            name_caption=None if learned is None else learned.headline,
        )

    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        params = super()._get_params_html(*args, **kwargs)  # type: ignore[misc]
        learned = self._learned_if_fitted()
        if learned is not None:
            with contextlib.suppress(Exception):
                shown, parameters = _learned_html(learned), params._html_repr
                params._html_repr = lambda: shown + parameters()
        return params

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        # scikit-learn asks for all attributes, of which some import TensorFlow and others may
        # raise. So it is given those that do neither. Its own `dir` evaluates them all, too.
        shown = SimpleNamespace()
        if self._learned_if_fitted() is not None:
            for name in set(object.__dir__(self)) - self._not_in_view:
                if name.endswith("_") and not name.startswith("_"):
                    with contextlib.suppress(Exception):
                        setattr(shown, name, getattr(self, name))
        attributes = BaseEstimator._get_fitted_attr_html(shown, doc_link)
        attributes.estimator_class = type(self)
        return attributes


class LearnedAroundViewMixin(LearnedViewMixin):
    """The same for a meta-estimator, which is shown around what it has fitted.

    Its headline stands below that, as the last step: usually it is the threshold.
    """

    detector: Any

    def _sk_visual_block_(self) -> _VisualBlock:
        detector = getattr(self, "detector_", self.detector)
        # What stands before the colon is the prefix of the parameters that can be copied.
        parts: list[tuple[Any, str, str | None]] = [
            (detector, f"detector: {type(detector).__name__}", str(detector))
        ]
        learned = self._learned_if_fitted()
        if learned is not None:
            # A box without details has no margin.
            text = f"\N{NO-BREAK SPACE}{learned.headline}\N{NO-BREAK SPACE}"
            headline = _VisualBlock("single", None, names=text)
            parts.append((headline, learned.headline, None))
        blocks, names, details = zip(*parts, strict=True)
        return _VisualBlock(
            "serial", list(blocks), names=names, name_details=details, dash_wrapped=False
        )


def _learned_html(learned: Learned) -> str:
    """Return tables of what was learned, in the style of scikit-learn's tables of parameters."""
    shown = learned.columns[:_MOST_COLUMNS]
    rows = [(column.name, column.kind, column.values) for column in shown]
    facts = [
        (name.replace(" ", "\N{NO-BREAK SPACE}"), fact) for name, fact in learned.facts.items()
    ]
    tables = _table_html("Learned", facts, is_open=True)
    if rows:
        of_all = "" if len(shown) == len(learned.columns) else f"{len(shown)} of "
        tables += _table_html(f"Columns ({of_all}{len(learned.columns):,})", rows)
    return tables


def _table_html(summary: str, rows: Iterable[tuple[str, ...]], *, is_open: bool = False) -> str:
    return (
        f'<div class="estimator-table"><details{" open" if is_open else ""}>'
        f"<summary>{html.escape(summary)}</summary>"
        f'<table class="parameters-table"><tbody class="default">{_rows_html(rows)}</tbody></table>'
        "</details></div>"
    )


def _rows_html(rows: Iterable[tuple[str, ...]], tag: str = "td") -> str:
    return "".join(
        "<tr>"
        + "".join(f'<{tag} style="{_CELL}">{html.escape(cell)}</{tag}>' for cell in row)
        + "</tr>"
        for row in rows
    )
