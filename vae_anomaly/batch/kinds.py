"""What the columns of a source are, by what all of its rows hold.

`docs/files.md` has the rules. A column is never taken for a category because a few of its cells are
not numbers, nor because its numbers are written in an unusual way: it is parsed, or refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vae_anomaly.batch import sql
from vae_anomaly.batch.errors import TableError
from vae_anomaly.batch.schema import check_names, no_value
from vae_anomaly.batch.sql import ColumnSchema

if TYPE_CHECKING:
    from vae_anomaly.batch.source import Source

MIN_IDS = 50
"""The number of rows from which on a column of texts may be one of identifiers."""

IDS_SHARE = 0.9
"""The share of different texts from which on a column is one of identifiers or free text."""

NUMBERS_SHARE = 0.05
"""The share of numbers from which on a category is said to hold them."""

_MAX_LABELS = 100
"""The largest number of different labels with which columns are compared."""

_STYLES = [
    (".", ""),
    (".", ","),
    (",", ""),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
]
"""Decimal signs and signs of thousands, the usual ones first."""

_DATE_LIKE = (
    r"(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{4}[/-]\d{1,2}"
    r"|\d{1,2}[ ./-]*[A-Za-zÀ-ÿ]{3,9}[ .,/-]*(\d{4}|\d{2})"
    r"|[A-Za-zÀ-ÿ]{3,9}[. -]*\d{1,2}[, -]+\d{4})([T ,:].*)?"
)
_DAYS = [
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y-%m",
    "%Y/%m",
]
_TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p"]
FORMATS = [day + time for day in _DAYS for time in _TIMES]
"""The formats of dates that are tried, to be proposed."""


class Found(NamedTuple):
    """What the columns of a source are."""

    columns: list[dict[str, Any]]
    """The columns to learn from, as `TableSchema` takes them."""
    findings: tuple[str, ...]
    """What is unusual about the columns, and which ones are left out, in sentences."""
    n_rows: int
    """The number of rows."""


def find_schema(
    source: Source,
    *,
    drop: Sequence[str] = (),
    label: str | None = None,
    numbers: Sequence[str] = (),
    dates: Mapping[str, str | None] | None = None,
    categories: Sequence[str] = (),
    bad_cells: Literal["stop", "missing"] = "stop",
) -> Found:
    """Find out what the columns of a source hold, from all of its rows.

    Parameters
    ----------
    source : Source
        The rows.
    drop : sequence of str, default=()
        Columns to leave out.
    label : str or None, default=None
        The column with the labels, which is left out, too.
    numbers : sequence of str, default=()
        Columns that hold numbers, whatever they look like.
    dates : mapping of str to str or None, or None, default=None
        Columns that hold dates, and their formats in the codes of strptime; a format of None means
        ISO 8601 or, if that does not fit, the only common format that does.
    categories : sequence of str, default=()
        Columns that hold categories, whatever they look like.
    bad_cells : {"stop", "missing"}, default="stop"
        Whether cells that are not of the kind of their column raise TableError or count as missing.

    Returns
    -------
    found : Found
        The `columns` to learn from, as `TableSchema` takes them, the `findings` about what is
        unusual in sentences, and `n_rows`.

    Raises
    ------
    TableError
        If the kind of a column cannot be determined, a column is named that does not exist or is
        named twice, or, with "stop", if cells are not of the kind of their column.

    See Also
    --------
    fit_table : Trains a detector on the columns.
    vae_anomaly.TableSchema : Gives tables the types that were found.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from vae_anomaly.batch import Source, find_schema
    >>> table = pd.DataFrame({"amount": [1.5, 2.25], "shop": ["north", "south"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.csv")
    ...     table.to_csv(path, sep=";", decimal=",", index=False)
    ...     found = find_schema(Source.open([path]))
    >>> found.columns[0]
    {'name': 'amount', 'kind': 'number', 'decimal': ','}
    >>> found.n_rows
    2
    """
    dates = dict(dates or {})
    chosen = [*drop, *([label] if label is not None else []), *numbers, *dates, *categories]
    try:
        check_names(source.names, chosen)
    except TableError as error:
        raise TableError(f"{source}: {error}") from None
    if twice := [name for name, count in Counter(chosen).items() if count > 1]:
        raise TableError(f"column {twice[0]!r} is named by two options that exclude each other")
    dropped = {name for name in source.names if name in drop or source.originals.get(name) in drop}
    _check_duplicates(source, dropped, label)
    surveys = _survey(source, [name for name in source.names if name not in dropped], label)
    if len(source.names) == 1 and source.format == "csv" and not (numbers or dates or categories):
        _check_single_column(source, surveys[source.names[0]])
    columns: list[ColumnSchema] = []
    findings: list[str] = []
    for name, survey in surveys.items():
        if name == label:
            continue
        if name in categories:
            columns.append(survey.as_category())
            continue
        decision = _Decision(source, survey)
        if name in dates:
            column: ColumnSchema | None = decision.as_date(dates[name])
        elif name in numbers:
            column = decision.as_number()
        else:
            column = decision.kind()
        findings += decision.findings
        if column is not None:
            columns.append(column)
    problems = [c for c in columns if not _Decision(source, surveys[c.name]).is_good(c)]
    if problems:
        findings += _check_cells(source, problems, stop=bad_cells == "stop")
    if not columns:
        raise TableError(f"{source} has no column to learn from: {'; '.join(findings)}")
    n_rows = next(iter(surveys.values())).n_rows
    return Found([column.to_dict() for column in columns], tuple(findings), n_rows)


def _check_single_column(source: Source, survey: _Survey) -> None:
    if 2 * survey.n_plain <= survey.n_present:
        raise TableError(
            f"{source} comes out as a single column, {survey.name!r}; name the delimiter by --sep, "
            "or the kind of the column by --category or --date if it is one"
        )


def _check_duplicates(source: Source, dropped: set[str], label: str | None) -> None:
    for name in source.duplicates - dropped:
        if name == label:
            raise TableError(
                f"{source}: two columns are named {name!r}, as the label is, and the second would "
                "give it away; rename or remove one of them"
            )
        raise TableError(
            f"{source}: two columns are named {name!r}; rename one of them, or leave both out by "
            f"--drop {name}"
        )


@dataclass
class _Survey:
    """What the cells of a column are, counted over all rows."""

    name: str
    dtype: pa.DataType
    n_rows: int = 0
    n_present: int = 0
    n_plain: int = 0
    """The number of cells that are numbers as programs write them."""
    n_integer: int = 0
    """The number of cells that are digits and nothing else."""
    n_leading_zero: int = 0
    styles: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """The number of cells that are numbers, by decimal sign, sign of thousands and affix."""
    n_signs: int = 0
    """The number of cells such as (5) and 5-."""
    n_truth: int = 0
    """The number of cells that are true or false, written in any case."""
    n_iso: int = 0
    n_date_like: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    example: str | None = None
    """A number that is not written as programs write it."""
    n_different: int = 0
    """The number of different texts among the first `n_compared` cells."""
    n_compared: int = 0
    is_quick: bool = False
    """Whether cells were seen to be plain numbers without looking at how they are written."""
    date: str | None = None
    """A date that is not in ISO 8601."""
    first: Any = None
    is_constant: bool = True
    counts_up: bool = True
    offset: float | None = None
    tells_label: bool = True
    label_of: dict[Any, Any] = field(default_factory=dict)
    """The label of each of its values, as long as these tell it."""

    @property
    def is_text(self) -> bool:
        """Whether its cells have yet to be understood."""
        return _group(self.dtype) in ("text", "null")

    def as_category(self) -> ColumnSchema:
        """Return the column as one of categories."""
        is_truth = pa.types.is_boolean(self.dtype) or 0 < self.n_truth == self.n_present
        return ColumnSchema(self.name, "category", truth=is_truth)


def _group(dtype: pa.DataType) -> str | None:
    """Return what the types of a column must have in common in all files; None if no kind fits."""
    if pa.types.is_null(dtype):
        return "null"
    if sql.is_text(dtype) and not pa.types.is_dictionary(dtype):
        return "text"
    return sql.natural_kind(dtype)


def _check_types(source: Source, names: list[str], label: str | None) -> None:
    expected = source.types
    for file in source.files:
        types = file.types()
        for name in names:
            group = _group(types[name])
            if group is None and name != label:
                shown = "objects or arrays" if source.format == "json" else str(types[name])
                raise TableError(
                    f"{file.path}: column {name!r} holds {shown}, and no numbers, dates or "
                    f"categories; leave it out by --drop {name}"
                )
            if group not in ("null", _group(expected[name])):
                raise TableError(
                    f"{file.path}: column {name!r} is of the type {types[name]}, and of the type "
                    f"{expected[name]} in a file before; write them alike, or leave it out by "
                    f"--drop {name}"
                )


def _survey(source: Source, names: list[str], label: str | None) -> dict[str, _Survey]:
    _check_types(source, names, label)
    surveys = _counted(source, names, label, quick=source.options.decimal != ",")
    if not any(found.n_rows for found in surveys.values()):
        raise TableError(f"{source} has no rows")
    # In columns whose first cells were plain numbers, how they are written has not been counted.
    if mixed := [name for name in names if surveys[name].is_quick and surveys[name].n_compared]:
        surveys |= _counted(source, mixed, None, quick=False)
    for name, found in surveys.items():
        if found.tells_label and len(found.label_of) > 1:
            raise TableError(
                f"{source}: column {name!r} is a copy of the label {label!r}, perhaps in other "
                f"words, and would give it away; leave it out by --drop {name}"
            )
    return surveys


def _counted(
    source: Source, names: Sequence[str], label: str | None, *, quick: bool
) -> dict[str, _Survey]:
    types = source.types
    surveys = {
        name: _Survey(name, types[name], tells_label=label not in (None, name)) for name in names
    }
    surveyor = _Surveyor(source, quick)
    for part in source.pieces(names):
        for bad in part.piece.bad:
            raise TableError(source.sentence(part, bad.row, bad.reason))
        table = part.piece.table
        for name in names:
            if label is not None and surveys[name].tells_label:
                _compare_with_label(surveys[name], table.select([name, label]))
            surveyor.add(surveys[name], table[name], part.piece.rows, part.before)
    return surveys


class _Surveyor:
    """Adds the cells of pieces to surveys."""

    def __init__(self, source: Source, quick: bool) -> None:
        self.missing = source.options.missing
        self.quick = quick
        self.decimal = source.options.decimal
        thousands = source.options.thousands
        styles = [*_STYLES, *([(self.decimal or ".", thousands)] if thousands else [])]
        self.styles = [
            style
            for style in dict.fromkeys(styles)
            if self.decimal in (None, style[0])
            and (thousands is None or (style[1] in ("", thousands) and style[0] != thousands))
        ]
        self.engine = sql.Engine()

    def add(self, survey: _Survey, values: pa.ChunkedArray, rows: np.ndarray, before: int) -> None:
        """Add the cells of the next rows, which are in a file with so many rows before it."""
        survey.n_rows += len(values)
        if not len(values):
            return
        numbers = None
        if (self.quick and survey.is_text) or sql.natural_kind(survey.dtype) == "number":
            column = ColumnSchema(survey.name, "number")
            numbers = sql.quickly(values, column, self.missing)
        if numbers is not None:
            self._note(survey, numbers)
            self._note_counting(survey, numbers, rows, before)
            self._add_numbers(survey, numbers, values)
        elif survey.is_text:
            self._add_texts(survey, values)
        else:
            self._add_others(survey, values)

    def _note(self, survey: _Survey, values: pa.ChunkedArray) -> None:
        """Note whether there are different cells."""
        if survey.is_constant and len(values) > values.null_count:
            bounds = pc.min_max(values)
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            survey.first = low if survey.first is None else survey.first
            survey.is_constant = low == high == survey.first

    def _add_numbers(
        self, survey: _Survey, numbers: pa.ChunkedArray, values: pa.ChunkedArray
    ) -> None:
        n_present = len(numbers) - numbers.null_count
        is_whole_so_far = survey.n_integer == survey.n_plain
        survey.n_present += n_present
        survey.n_plain += n_present
        if not survey.is_text or not n_present:
            return
        survey.is_quick = True
        texts = values.cast(pa.string()).filter(pc.is_valid(numbers))
        zeros = pc.match_substring_regex(texts.filter(pc.starts_with(texts, "0")), "^0[0-9]+$")
        survey.n_leading_zero += pc.sum(zeros).as_py() or 0
        if is_whole_so_far and pc.all(pc.equal(numbers, pc.floor(numbers))).as_py() is not False:
            digits = pc.match_substring_regex(texts, "^[0-9]+$")
            survey.n_integer += pc.sum(digits).as_py() or 0

    def _note_counting(
        self, survey: _Survey, numbers: pa.ChunkedArray, rows: np.ndarray, before: int
    ) -> None:
        """Note whether the cells count the rows, in each file anew or over all files."""
        if not survey.counts_up or numbers.null_count:
            survey.counts_up = False
            return
        offset = numbers.to_numpy() - rows
        if survey.offset is None:
            survey.offset = float(offset[0])
        survey.counts_up = bool(
            (offset == offset[0]).all() and offset[0] in (survey.offset, survey.offset - before)
        )

    def _add_others(self, survey: _Survey, values: pa.ChunkedArray) -> None:
        """Add dates, truth values, levels, and numbers with infinite ones among them."""
        survey.counts_up = False
        column = ColumnSchema(survey.name, sql.natural_kind(survey.dtype) or "category")
        table = pa.table({survey.name: values})
        typed, bad = sql.converted(table, [column], self.missing, self.engine)
        good = typed[survey.name]
        survey.n_present += len(good) - good.null_count + len(bad)
        survey.n_plain += len(good) - good.null_count
        self._note(survey, good)
        if bad:
            survey.is_constant = False

    def _add_texts(self, survey: _Survey, values: pa.ChunkedArray) -> None:
        survey.counts_up = False
        counts = pc.value_counts(values.combine_chunks().cast(pa.string()))
        table = pa.table({"x": counts.field("values"), "n": counts.field("counts")})
        empty = ["", *self.missing]
        table = table.filter(pc.invert(pc.is_in(table["x"], pa.array(empty, pa.string()))))
        table = table.filter(pc.is_valid(table["x"]))
        n_present = pc.sum(table["n"]).as_py() or 0
        survey.n_present += n_present
        if not n_present:
            return
        self._note(survey, table["x"])
        is_truth = pc.is_in(pc.utf8_lower(table["x"]), pa.array(["true", "false"]))
        survey.n_truth += pc.sum(table.filter(is_truth)["n"]).as_py() or 0
        if not survey.n_compared:
            survey.n_compared, survey.n_different = n_present, len(table)
        with_digits = table.filter(pc.match_substring_regex(table["x"], "[0-9]"))
        if len(with_digits):
            self._add_digits(survey, with_digits)

    def _add_digits(self, survey: _Survey, table: pa.Table) -> None:
        """Add texts with digits, and how often each of them occurs."""
        iso = f"({sql.date('x', None)}) IS NOT NULL"
        table = self.engine.query(table, f"SELECT x, n, {iso} AS iso FROM cells")
        survey.n_iso += pc.sum(table.filter(table["iso"])["n"]).as_py() or 0
        table = table.filter(pc.invert(table["iso"]))
        if not len(table):
            return
        plain = f"({sql.number('x', ColumnSchema('x', 'number'))}) IS NOT NULL"
        if self.decimal == ",":
            plain = "regexp_full_match(x, '[-+]?[0-9]+')"
        core = "trim(replace(e, a, ''))"
        checks: dict[str, str] = {
            "plain": plain,
            "whole": "regexp_full_match(x, '[0-9]+')",
            "zeros": "regexp_full_match(x, '0[0-9]+')",
            "signs": rf"regexp_full_match({core}, '\(.*\)|.*-')",
            "dates": f"regexp_full_match(trim(x), {sql.literal(_DATE_LIKE)})",
        }
        for number, (decimal, thousands) in enumerate(self.styles):
            column = ColumnSchema("x", "number", None, decimal, thousands, signs=True)
            pattern = sql.literal(sql.number_pattern(column))
            checks[f"style{number}"] = f"regexp_full_match({core}, {pattern})"
        sums = ", ".join(
            f"coalesce(sum(n) FILTER ({check}), 0)::BIGINT AS {name}"
            for name, check in checks.items()
        )
        counts = self.engine.query(
            table,
            f"SELECT a, {sums}, min(x) FILTER (NOT ({plain})) AS odd, "
            f"min(x) FILTER ({checks['dates']}) AS date "
            f"FROM (SELECT *, {sql.affix('e')} AS a "
            f"FROM (SELECT x, n, {sql.even('x')} AS e FROM cells)) GROUP BY a",
        )
        for found in counts.to_pylist():
            survey.n_plain += found["plain"]
            survey.n_integer += found["whole"]
            survey.n_leading_zero += found["zeros"]
            survey.n_date_like += found["dates"]
            survey.date = survey.date or found["date"]
            for number, (decimal, thousands) in enumerate(self.styles):
                survey.styles[decimal, thousands, found["a"]] += found[f"style{number}"]
            if any(found[f"style{number}"] for number in range(len(self.styles))):
                survey.n_signs += found["signs"]
                survey.example = survey.example or found["odd"]
        if survey.n_date_like and 2 * survey.n_date_like > survey.n_present:
            tests = ", ".join(
                f"coalesce(sum(n) FILTER ({sql.date('x', text)} IS NOT NULL), 0)::BIGINT AS f{at}"
                for at, text in enumerate(FORMATS)
            )
            (row,) = self.engine.query(table, f"SELECT {tests} FROM cells").to_pylist()
            for at, text in enumerate(FORMATS):
                survey.formats[text] += row[f"f{at}"]


def _compare_with_label(survey: _Survey, table: pa.Table) -> None:
    """Note whether the values of a column and the labels go together, one to one."""
    if pa.types.is_nested(survey.dtype):
        survey.tells_label = False
        return
    pairs = table.rename_columns(["value", "label"]).group_by(["value", "label"]).aggregate([])
    survey.tells_label = len(pairs) <= _MAX_LABELS
    if survey.tells_label:
        for value, label in zip(*pairs.to_pydict().values(), strict=True):
            if survey.label_of.setdefault(value, label) != label:
                survey.tells_label = False
        survey.tells_label &= len(set(survey.label_of.values())) == len(survey.label_of)


class _Decision:
    """Decides what one column is."""

    def __init__(self, source: Source, survey: _Survey) -> None:
        self.source, self.survey = source, survey
        self.findings: list[str] = []

    @property
    def place(self) -> str:
        return f"{self.source}, column {self.survey.name!r}"

    def kind(self) -> ColumnSchema | None:
        """Return what the column is; None if it says nothing about other tables."""
        survey = self.survey
        name, n = survey.name, survey.n_present
        if reason := self._says_nothing():
            self.findings.append(f"column {name!r} {reason} and is left out")
            return None
        if not survey.is_text:
            kind = sql.natural_kind(survey.dtype) or "category"
            return survey.as_category() if kind == "category" else ColumnSchema(name, kind)
        is_code = survey.n_leading_zero > 0 and survey.n_plain == survey.n_integer
        if not is_code:
            if survey.n_plain == n:
                self._note_zeros()
                return ColumnSchema(name, "number")
            if 2 * survey.n_iso > n:
                return ColumnSchema(name, "date")
            if 2 * survey.n_date_like > n:
                raise TableError(
                    f"{self.place} looks like dates that are not whole dates in ISO 8601, such as "
                    f"{survey.date!r}; name their format, such as {self._proposal()}, or say "
                    f"--category {name}"
                )
            if 2 * self._n_numbers() > n:
                self._note_zeros()
                return self.as_number()
        if survey.n_compared >= MIN_IDS and survey.n_different > IDS_SHARE * survey.n_compared:
            self.findings.append(
                f"column {name!r} has another text in nearly every row and is left out; if its "
                f"texts recur in other tables, say --category {name}"
            )
            return None
        if is_code:
            self.findings.append(
                f"column {name!r} has codes with leading zeros and is taken for a category; if it "
                f"holds numbers, say --number {name}"
            )
        elif (n_numbers := self._n_numbers(with_units=False)) > NUMBERS_SHARE * n:
            self.findings.append(
                f"column {name!r} holds numbers in {n_numbers:,} of {n:,} cells and is "
                "taken for a category; if a text stands for missing numbers, say --missing TEXT"
            )
        return survey.as_category()

    def _note_zeros(self) -> None:
        """Note that texts which would be codes by themselves stand among other numbers."""
        name, n = self.survey.name, self.survey.n_leading_zero
        if n:
            self.findings.append(
                f"column {name!r} has leading zeros in {n:,} cells, but other cells are no codes, "
                f"and is taken for numbers; if it holds codes, say --category {name}"
            )

    def _says_nothing(self) -> str | None:
        """Return why a column says nothing about other tables, if so."""
        survey = self.survey
        if not survey.n_present:
            return "is empty"
        if survey.is_constant and survey.n_present == survey.n_rows > 1:
            return f"has the same value in all rows, {_shown(survey.first)},"
        if survey.counts_up and survey.n_rows > 2:
            return "counts the rows"
        return None

    def _n_numbers(self, *, with_units: bool = True) -> int:
        """Return how many cells are numbers in one way or another.

        Codes such as 9E look like numbers with units.
        """
        best: dict[str, int] = {}
        for (_, _, affix), count in self.survey.styles.items():
            if with_units or not affix:
                best[affix] = max(best.get(affix, 0), count)
        return max(sum(best.values()), self.survey.n_plain)

    def as_number(self) -> ColumnSchema:
        """Return the column as one of numbers, in the way in which most of them are written."""
        survey = self.survey
        name, styles = survey.name, survey.styles
        plain = ColumnSchema(name, "number")
        if not survey.is_text:
            if sql.natural_kind(survey.dtype) != "number":
                raise TableError(
                    f"{self.place} is of the type {survey.dtype}, which is not a number"
                )
            return plain
        if not styles or survey.n_plain >= max(styles.values()):
            return plain
        # Of the styles that fit as many cells, the first is the most usual one.
        decimal, thousands, affix = max(styles, key=styles.__getitem__)
        n_good = styles[decimal, thousands, affix]
        if 2 * n_good <= survey.n_present:
            raise TableError(
                f"{self.place} holds numbers that are written in more than one way, such as "
                f"{survey.example!r}; write them alike, or choose --category {name} or --drop "
                f"{name}"
            )
        if (decimal, thousands) == (".", ",") and styles[",", "", affix] == n_good:
            raise TableError(
                f"{self.place} holds numbers such as {survey.example!r}, whose comma may be the "
                "decimal sign or stand between thousands; say --decimal , or --thousands ,"
            )
        is_usual = (decimal, thousands, affix) == (".", "", "")
        column = replace(
            plain,
            decimal=decimal,
            thousands=thousands,
            affix=affix,
            signs=survey.n_signs > 0 or is_usual,
        )
        self.findings.append(
            f"column {name!r} holds numbers written like {survey.example!r}{_described(column)}"
        )
        return column

    def as_date(self, format: str | None) -> ColumnSchema:
        """Return the column as one of dates."""
        survey = self.survey
        column = ColumnSchema(survey.name, "date", format)
        if not survey.is_text:
            if sql.natural_kind(survey.dtype) != "date":
                raise TableError(f"{self.place} is of type {survey.dtype}, which is not a date")
            return column if format is None else replace(column, format=None)
        if format is not None or 2 * survey.n_iso > survey.n_present:
            return column
        fitting = self._fitting()
        if len(fitting) != 1:
            raise TableError(
                f"{self.place} holds dates that are not in ISO 8601; name their format, such as "
                f"{self._proposal()}"
            )
        self.findings.append(f"column {survey.name!r} holds dates of the form {fitting[0]}")
        return replace(column, format=fitting[0])

    def _fitting(self) -> list[str]:
        formats = self.survey.formats
        return [text for text in FORMATS if formats[text] == self.survey.n_present]

    def _proposal(self) -> str:
        formats = self._fitting()[:2] or ["%d.%m.%Y"]
        return " or ".join(f"--date '{self.survey.name}={text}'" for text in formats)

    def is_good(self, column: ColumnSchema) -> bool:
        """Return whether all cells are known to be of the kind of the column."""
        survey = self.survey
        if column.kind == "category":
            return True
        if column.kind == "number" and survey.is_text and not column.is_plain:
            n_good = survey.styles[column.decimal, column.thousands, column.affix]
        elif column.kind == "number" or not survey.is_text:
            n_good = survey.n_plain
        else:
            n_good = survey.n_iso if column.format is None else survey.formats[column.format]
        return n_good == survey.n_present


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _described(column: ColumnSchema) -> str:
    parts = []
    if column.decimal == ",":
        parts.append("decimal commas")
    if column.thousands:
        parts.append(f"{column.thousands!r} between thousands")
    if column.affix:
        parts.append(f"the sign {column.affix!r}")
    if column.signs:
        parts.append("signs of accountants")
    return f", with {' and '.join(parts)}" if parts else ""


def _check_cells(source: Source, columns: Sequence[ColumnSchema], *, stop: bool) -> list[str]:
    """Return in sentences how many cells are not of the kind of their column.

    Raises
    ------
    TableError
        If there is such a cell and `stop` is True.
    """
    engine = sql.Engine()
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for part in source.pieces([column.name for column in columns]):
        _, bad = sql.converted(part.piece.table, columns, source.options.missing, engine)
        for cell in bad:
            name = cell.column.name
            counts[name] += 1
            if name not in first:
                row = int(part.piece.rows[cell.row])
                first[name] = source.sentence(part, row, no_value(cell), name)
    if not counts:
        return []
    if not stop:
        return [
            f"{first[name]}; cells taken as missing in this column: {n:,}"
            for name, n in counts.items()
        ]
    name = next(iter(first))
    more = f"; it is one of {counts[name]:,} such cells in this column" if counts[name] > 1 else ""
    if others := [other for other in first if other != name]:
        more += f"; so do cells of {', '.join(map(repr, others))}"
    (kind,) = {column.kind for column in columns if column.name == name}
    kinds = " or ".join(f"--{k} {name}" for k in ("number", "date", "category") if k != kind)
    raise TableError(
        f"{first[name]}{more}. Correct it, or choose --bad-cells missing, --missing TEXT, {kinds}, "
        f"or --drop {name}"
    )
