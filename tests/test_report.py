"""Reports: what the page tells, of tables and of files of scores, and what is refused."""

import base64
import hashlib
import html
import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline

from vae_anomaly import (
    AlarmCost,
    ConformalDetector,
    FixedThresholdDetector,
    TableSchema,
    TunedThresholdDetectorCV,
    VAEAnomalyDetector,
    save,
)
from vae_anomaly.batch import Label, Source, evaluate_table, score_frame, score_table
from vae_anomaly.cli.main import run
from vae_anomaly.report import write_report

SECTIONS = (
    "summary",
    "outliers",
    "threshold",
    "metrics",
    "scores",
    "codes",
    "drift",
    "columns",
    "origin",
)
LABEL = Label("odd", "yes")
SCRIPT = "<script>alert(1)</script>"
CLOSING = "</script></style><img src=x onerror=alert(2)>"
HOSTILE = (
    SCRIPT,
    CLOSING,
    "\"'><svg onload=alert(3)>",
    "javascript:alert(4)",
    "=cmd|'/c calc'!A0",
    "abc\u202ecba\u0007",
    "{{ 7 * 7 }}{% raw %}",
    "x" * 10_000,
)
BOLD = "<b>bold</b> $x_1$ \u202e"
_VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """The elements of a page, and the text of those with an id."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.html, self.elements, self.texts, self._open = html, [], {}, []
        self.cells = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        if "id" in attrs:
            self.texts[attrs["id"]] = ""
        tables = self._tables()
        if len(tables) == 1 and tables[0] is not None:  # others lie in the cells of such a table
            if tag == "tr":
                self.cells.setdefault(tables[0], []).append([])
            if tag in ("td", "th"):
                self.cells[tables[0]][-1].append("")
        if tag not in _VOID:
            self._open.append((tag, attrs.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for _, name in self._open:
            if name is not None:
                self.texts[name] += data
        tables = self._tables()
        if tables and tables[0] and any(tag in ("td", "th") for tag, _ in self._open):
            self.cells[tables[0]][-1][-1] += data

    def _tables(self):
        return [name for tag, name in self._open if tag == "table"]

    def tags(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def rows(self, table):
        """The rows of a table behind its head, as one dict by column for each."""
        head, *rows = self.cells[table]
        return [dict(zip(head, map(str.strip, row), strict=True)) for row in rows]


def rows_of(n, seed):
    """Rows of two columns that hang together, a category, and labelled ones that do not."""
    rng = np.random.RandomState(seed)
    a = rng.normal(size=n)
    table = pd.DataFrame({"a": a, BOLD: 2 * a + rng.normal(0, 0.1, n)})
    table["shop"] = rng.choice(["north", "south"], n)
    table["odd"] = np.where(rng.uniform(size=n) < 0.05, "yes", "no")
    table.loc[table["odd"] == "yes", "a"] += rng.choice([4.0, 8.0], n)[table["odd"] == "yes"]
    table["key"] = [f"k{number}" for number in range(n)]
    return table


@pytest.fixture(scope="module")
def fitted():
    """A model that has learned from such rows."""
    rows = rows_of(300, seed=0)
    detector = VAEAnomalyDetector(
        hidden_layer_sizes=(16,),
        latent_dim=2,
        max_iter=30,
        contamination=0.05,
        random_state=0,
        categorical_features=["shop"],
    )
    return make_pipeline(TableSchema(), detector).fit(rows[["a", BOLD, "shop"]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, fitted):
    """A folder with a model and a table in which the highest scores have hostile keys."""
    folder = tmp_path_factory.mktemp("report")
    save(fitted, folder / "model.skops")
    rows = rows_of(200, seed=1)
    order = np.argsort(fitted.score_samples(rows))
    rows.loc[order[: len(HOSTILE)], "key"] = HOSTILE
    rows.to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def table(folder):
    return Source.open([folder / "table.csv"])


@pytest.fixture(scope="module")
def whole(folder, fitted, table):
    """What a report with labels, prices and kept columns tells, and its page."""
    output = folder / "whole.html"
    contents = write_report(
        fitted,
        table,
        output,
        model_path=folder / "model.skops",
        label=LABEL,
        cost=AlarmCost(50, 1),
        keep=["key"],
        top=30,
        command="vae-anomaly report <now>",
    )
    return contents, Page(output.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scored(folder, fitted, table):
    """A file of scores with reasons."""
    path = folder / "scores.csv"
    score_table(fitted, table, path, keep=["odd", "key"], reasons=2)
    return Source.open([path])


def page_of(model, source, output, **arguments):
    arguments = {"top": 10} | arguments
    if not arguments.get("scored"):
        arguments = {"attribution": "terms"} | arguments
    write_report(model, source, output, **arguments)
    return Page(output.read_text(encoding="utf-8"))


def error_line(capsys, *arguments):
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    return printed.err


# What the page tells


def test_the_page_has_all_sections_with_headings_in_order(whole):
    page = whole[1]
    assert [attrs["id"] for attrs in page.tags("section")] == list(SECTIONS)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    assert levels.count(1) == 1


def test_the_summary_tells_rows_alarms_and_threshold(whole, fitted, folder):
    contents, page = whole
    scores = -fitted.score_samples(pd.read_csv(folder / "table.csv"))
    threshold = -fitted[-1].offset_
    assert contents.threshold == threshold
    assert contents.n_alarms == (scores > threshold).sum()
    text = page.texts["summary"]
    assert "Of the 200 rows of" in text
    assert f"{contents.n_alarms} raise an alarm" in text


def test_the_highest_scores_are_listed_in_order(whole, fitted, folder):
    contents, page = whole
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    scores = score_frame(fitted, rows)["score"].sort_values(ascending=False, kind="stable")
    assert [row.number - 1 for row in contents.listing.rows] == scores.index[:30].tolist()
    np.testing.assert_array_equal([row.score for row in contents.listing.rows], scores[:30])
    listed = page.rows("listed")
    assert [int(row["Row"]) for row in listed] == [row.number for row in contents.listing.rows]
    assert all(row["Alarm"] in ("alarm", "no") for row in listed)


def test_each_listed_row_has_a_sentence_and_its_reasons(whole):
    contents, page = whole
    first = contents.listing.rows[0]
    assert len(first.reasons) == 3
    assert {reason.column for reason in first.reasons} & {"a", BOLD}
    assert "of the score" in page.rows("listed")[0]["Why"]
    assert contents.listing.importance[0][1] == max(v for _, v in contents.listing.importance)


def test_metrics_are_those_of_an_evaluation(whole, fitted, table):
    metrics = whole[0].metrics
    evaluation = evaluate_table(fitted, table, LABEL.read(table))
    values = {metric.name: metric.value for metric in metrics.metrics}
    assert values["AUROC"] == evaluation.auroc
    assert values["average precision"] == evaluation.average_precision
    assert (metrics.n_found, metrics.n_false_alarms) == (
        evaluation.n_found,
        evaluation.n_false_alarms,
    )
    assert all(metric.low <= metric.value <= metric.high for metric in metrics.metrics)


def test_alternative_thresholds_tell_what_they_would_do(whole, fitted, folder):
    contents = whole[0]
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    scores, is_outlier = -fitted.score_samples(rows), (rows["odd"] == "yes").to_numpy()
    falling = [one.threshold for one in contents.alternatives]
    assert falling == sorted(falling, reverse=True)
    for one in contents.alternatives:
        alarm = scores > one.threshold
        n_missed = (is_outlier & ~alarm).sum()
        assert one.n_alarms == alarm.sum()
        assert one.n_found == (is_outlier & alarm).sum()
        assert one.cost == pytest.approx(5 * (50 * n_missed + one.n_false_alarms))
    names = ", ".join(one.what for one in contents.alternatives)
    assert all(what in names for what in ("now", "highest F1", "lowest cost"))
    best = min(contents.alternatives, key=lambda one: one.cost)
    assert "lowest cost" in best.what


def test_columns_are_summed_up(whole, folder):
    contents, page = whole
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    a, bold, shop = contents.columns
    assert (a.name, a.kind, bold.name) == ("a", "number", BOLD)
    assert (a.low, a.high) == (rows["a"].min(), rows["a"].max())
    assert a.median == pytest.approx(rows["a"].median(), abs=0.1)
    assert dict(shop.levels) == rows["shop"].value_counts(normalize=True).to_dict()
    assert len(page.rows("held")) == 3


def test_how_the_report_was_made_is_told(whole, folder):
    text = whole[1].texts["origin"]
    digest = hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()
    for told in ("vae-anomaly report <now>", digest, "300 rows", "30 epochs", "latent_dim"):
        assert told in text
    assert "Pipeline > TableSchema > VAEAnomalyDetector" in text


def test_pictures_have_a_name_and_follow_the_colours_of_the_page(whole):
    page = whole[1]
    pictures = [attrs for attrs in page.tags("div") if attrs.get("role") == "img"]
    assert len(pictures) >= 7
    assert all(page.texts[attrs["aria-labelledby"]].strip() for attrs in pictures)
    svg = page.html[page.html.index("<svg") : page.html.rindex("</svg>")]
    assert "currentColor" in svg
    assert "#000000" not in svg


def test_each_axis_has_at_least_two_labels(tmp_path):
    score = np.geomspace(30, 700, 200)  # with one power of ten among them
    scores = pd.DataFrame({"row": np.arange(200) + 1, "score": score, "is_outlier": score > 500})
    scores.to_csv(tmp_path / "scores.csv", index=False)
    source = Source.open([tmp_path / "scores.csv"])
    page = page_of(None, source, tmp_path / "report.html", scored=True)
    axes = re.split(r'<g id="[\w-]+-matplotlib\.axis_\d+">', page.html)[1:]
    assert len(axes) == 4
    for axis in axes:
        texts = re.findall(r"<text [^>]*>([^<]*)</text>", axis.split('<g id="scores-patch')[0])
        assert sum(text[:1].isdigit() for text in texts) >= 2


def test_names_of_elements_are_unique(whole):
    ids = [attrs["id"] for _, attrs in whole[1].elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_nothing_in_the_page_leads_outside(whole):
    page = whole[1]
    for _, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    (policy,) = (a["content"] for a in page.tags("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    script = page.html[page.html.rindex("<script>") + len("<script>") :].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


# Without labels, and with other models


def test_without_labels_the_page_says_how_to_get_metrics(fitted, table, tmp_path):
    page = page_of(fitted, table, tmp_path / "report.html")
    assert "metrics" not in page.texts
    assert "--label" in page.texts["threshold"]


def test_rows_without_a_label_count_for_alarms_only(fitted, folder, tmp_path):
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    rows.loc[rows.index[:50], "odd"] = None
    rows.to_csv(tmp_path / "table.csv", index=False)
    source = Source.open([tmp_path / "table.csv"])
    contents = write_report(fitted, source, tmp_path / "report.html", label=LABEL, top=5)
    assert (contents.n_rows, contents.metrics.n_rows) == (200, 150)


def test_a_column_that_has_moved_is_told_first(fitted, tmp_path):
    rows_of(400, seed=2).assign(a=lambda rows: rows["a"] + 3).to_csv(
        tmp_path / "moved.csv", index=False
    )
    source = Source.open([tmp_path / "moved.csv"])
    page = page_of(fitted, source, tmp_path / "report.html")
    assert page.rows("drifted")[0]["Column"] == "a"
    assert "column 'a'" in page.texts["summary"]
    assert "drift-0-text" in page.texts


def test_a_table_in_two_files_is_one_table_whose_rows_name_their_file(fitted, folder, tmp_path):
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    rows[:120].to_csv(tmp_path / "1.csv", index=False)
    rows[120:].to_csv(tmp_path / "2.csv", index=False)
    page = page_of(
        fitted, Source.open([tmp_path / "1.csv", tmp_path / "2.csv"]), tmp_path / "r.html"
    )
    one = page_of(fitted, Source.open([folder / "table.csv"]), tmp_path / "one.html")
    listed = page.rows("listed")
    assert [row["Row"] for row in listed] == [row["Row"] for row in one.rows("listed")]
    assert {Path(row["file"]).name for row in listed} <= {"1.csv", "2.csv"}


def test_a_tuned_model_adds_p_values(fitted, table, folder, tmp_path):
    rows = pd.read_csv(folder / "table.csv", float_precision="round_trip")
    tuned = TunedThresholdDetectorCV(fitted, scoring="auto", cv="prefit").fit(rows)
    page = page_of(tuned, table, tmp_path / "report.html")
    expected = tuned.p_values(rows).min()
    assert float(page.rows("listed")[0]["p-value"]) == pytest.approx(expected, rel=0.05)


def test_a_model_that_is_no_vae_gets_a_report_without_reasons(table, tmp_path):
    schema = TableSchema([{"name": "a", "kind": "number"}])
    model = make_pipeline(schema, FixedThresholdDetector(IsolationForest(random_state=0)))
    page = page_of(model.fit(rows_of(100, seed=3)), table, tmp_path / "report.html")
    assert "cannot be explained" in page.texts["outliers"]
    assert "cannot be explained" in page.texts["codes"]
    assert "Why" not in page.rows("listed")[0]


def test_a_table_of_one_row_has_a_report(fitted, tmp_path):
    rows_of(1, seed=4).to_csv(tmp_path / "one.csv", index=False)
    page = page_of(fitted, Source.open([tmp_path / "one.csv"]), tmp_path / "report.html")
    assert len(page.rows("listed")) == 1


@pytest.fixture(scope="module")
def silent(fitted):
    """A model with so few calibration rows for its rate that it never raises an alarm."""
    with pytest.warns(UserWarning, match="never flags"):
        model = ConformalDetector(fitted, alpha=0.001, cv="prefit").fit(rows_of(100, seed=5))
    assert model.offset_ == -np.inf
    return model


def test_a_model_that_never_raises_an_alarm_gets_a_report(silent, table, tmp_path):
    page = page_of(silent, table, tmp_path / "report.html", label=LABEL)
    assert "0 raise an alarm, as the threshold of the model is infinite." in page.texts["summary"]
    assert "Threshold∞" in page.texts["summary"].replace("\n", "")


@pytest.mark.parametrize("with_model", [True, False])
def test_the_scores_of_a_model_that_never_raises_an_alarm_get_a_report(
    silent, table, tmp_path, with_model
):
    score_table(silent, table, tmp_path / "scores.csv")
    source = Source.open([tmp_path / "scores.csv"])
    model = silent if with_model else None
    contents = write_report(model, source, tmp_path / "report.html", scored=True, top=5)
    assert (contents.n_alarms, contents.threshold) == (0, np.inf)
    assert contents.is_threshold_exact


def test_the_score_is_only_said_to_be_that_of_a_vae_where_it_is(whole, scored, table, tmp_path):
    assert "plus the KL divergence of its code, in nats" in whole[1].texts["scores"]
    schema = TableSchema([{"name": "a", "kind": "number"}])
    forest = make_pipeline(schema, FixedThresholdDetector(IsolationForest(random_state=0)))
    forest.fit(rows_of(100, seed=3))
    for page in (
        page_of(forest, table, tmp_path / "forest.html"),
        page_of(None, scored, tmp_path / "scored.html", scored=True),
    ):
        assert "KL divergence" not in page.texts["scores"]
        assert "nats" not in page.texts["summary"] + page.texts["scores"]
        assert "nats" not in page.texts["threshold"]


def test_the_weight_of_the_kl_divergence_is_told(fitted, table, tmp_path):
    model = make_pipeline(clone(fitted[0]), clone(fitted[-1]).set_params(beta=0.5, max_iter=2))
    model.fit(rows_of(100, seed=0)[["a", BOLD, "shop"]])
    score_table(model, table, tmp_path / "scores.csv")
    source = Source.open([tmp_path / "scores.csv"])
    for page in (
        page_of(model, table, tmp_path / "report.html"),
        page_of(model, source, tmp_path / "scored.html", scored=True),
    ):
        assert "plus 0.5 times the KL divergence" in page.texts["scores"]


def test_the_score_of_a_plain_autoencoder_is_said_to_be_its_reconstruction_loss(
    fitted, table, tmp_path
):
    detector = clone(fitted[-1]).set_params(variational=False, max_iter=2)
    model = make_pipeline(clone(fitted[0]), detector).fit(rows_of(100, 0)[["a", BOLD, "shop"]])
    text = page_of(model, table, tmp_path / "report.html").texts["scores"]
    assert "The score of a row is its reconstruction loss, in nats. It is shown" in text


def test_columns_whose_drift_is_not_known_are_last(fitted, tmp_path):
    rows = rows_of(200, seed=2).assign(a=None)
    rows.to_csv(tmp_path / "table.csv", index=False)
    source = Source.open([tmp_path / "table.csv"])
    contents = write_report(fitted, source, tmp_path / "report.html", top=5, attribution="terms")
    assert [column.psi is None for column in contents.drift] == [False, False, True]


@pytest.fixture
def damaged(folder, tmp_path):
    """A table with two cells that are no numbers."""
    rows = pd.read_csv(folder / "table.csv", dtype=str)
    rows.loc[rows.index[:2], "a"] = ["n/b", "?!"]
    rows.to_csv(tmp_path / "damaged.csv", index=False)
    return Source.open([tmp_path / "damaged.csv"])


def test_cells_that_were_taken_as_missing_are_told(fitted, damaged, tmp_path):
    page = page_of(fitted, damaged, tmp_path / "report.html", bad_cells="missing")
    told = "column 'a': 2 cells not of its kind, taken as missing"
    assert told in page.texts["columns"]
    score_table(fitted, damaged, tmp_path / "scores.csv", bad_cells="missing")
    scores = Source.open([tmp_path / "scores.csv"])
    page = page_of(None, scores, tmp_path / "scored.html", scored=True)
    assert told in page.texts["columns"]


def test_rows_that_were_rejected_are_told(fitted, damaged, tmp_path):
    score_table(fitted, damaged, tmp_path / "scores.csv", rejects=tmp_path / "rejects.csv")
    scores = Source.open([tmp_path / "scores.csv"])
    page = page_of(None, scores, tmp_path / "report.html", scored=True)
    assert "2 rows rejected, so not scored" in page.texts["columns"]


# Hostile input


def test_hostile_cells_are_text(whole):
    page = whole[1]
    assert len(page.tags("script")) == 1
    assert not page.tags("img")
    assert not [attrs for _, attrs in page.elements if any(name[:2] == "on" for name in attrs)]
    keys = [row["key"] for row in page.rows("listed")[: len(HOSTILE)]]
    assert keys[:5] == list(HOSTILE[:5])
    assert keys[6] == HOSTILE[6]


def test_characters_that_hide_or_reorder_others_are_visible(whole):
    page = whole[1]
    assert page.rows("listed")[5]["key"] == "abc⟨U+202E⟩cba␇"
    assert not set("\u202e\u0007") & set(page.html)


def test_a_long_cell_is_shortened_and_there_in_full(whole):
    page = whole[1]
    assert page.html.count('<details class="long">') == 1
    assert "x" * 10_000 in page.html
    assert f"<summary>{'x' * 119}…</summary>" in page.html


def test_a_hostile_name_of_a_column_is_text(whole):
    page = whole[1]
    assert not page.tags("b")
    assert any("<b>bold</b> $x_1$ ⟨U+202E⟩" in row["Column"] for row in page.rows("held"))


def test_a_hostile_name_of_a_file_is_text(fitted, folder, tmp_path):
    name = "<i>\"'&\u202e.csv"
    (tmp_path / name).write_bytes((folder / "table.csv").read_bytes())
    page = page_of(fitted, Source.open([tmp_path / name]), tmp_path / "report.html")
    assert not page.tags("i")
    assert "<i>\"'&⟨U+202E⟩.csv" in page.texts["summary"]


@pytest.mark.parametrize("level", ["#000000", 'id="x', "url(#x)", "<g id='a'>"])
def test_texts_in_pictures_are_those_of_the_table(fitted, tmp_path, level):
    rows = rows_of(300, seed=0)[["a", "shop"]]
    rows["shop"] = np.where(rows["shop"] == "north", level, "south")
    model = make_pipeline(clone(fitted[0]), clone(fitted[-1]).set_params(max_iter=2)).fit(rows)
    rows.assign(shop=level).to_csv(tmp_path / "table.csv", index=False)
    source = Source.open([tmp_path / "table.csv"])
    page = page_of(model, source, tmp_path / "report.html")
    picture = re.search(r'aria-labelledby="drift-0-text">.*?</svg>', page.html, re.DOTALL)
    texts = re.findall(r">([^<>]*)</text>", picture[0])
    assert level in map(html.unescape, texts)


# Files of scores


def test_a_file_of_scores_tells_the_same_without_scoring(whole, scored, tmp_path):
    contents = write_report(None, scored, tmp_path / "report.html", scored=True, top=30)
    by_model = whole[0]
    assert (contents.n_rows, contents.n_alarms) == (200, by_model.n_alarms)
    assert (contents.threshold, contents.is_threshold_exact) == (by_model.threshold, True)
    numbers = [row.number for row in contents.listing.rows]
    assert numbers == [row.number for row in by_model.listing.rows]
    assert contents.listing.kept == ("odd", "key")
    assert contents.listing.rows[0].sentence
    assert [column.name for column in contents.drift] == [column.name for column in by_model.drift]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_files_of_scores_may_be_of_any_format(fitted, table, whole, tmp_path, kind):
    path = tmp_path / f"scores.{kind}"
    score_table(fitted, table, path)
    source = Source.open([path])
    contents = write_report(None, source, tmp_path / "report.html", scored=True, top=5)
    assert contents.n_alarms == whole[0].n_alarms
    assert contents.threshold == whole[0].threshold


def test_decisions_that_are_neither_true_nor_false_are_refused(scored, tmp_path):
    rows = pd.read_csv(scored.paths[0])
    rows["is_outlier"] = rows["is_outlier"].astype(int)
    rows.to_csv(tmp_path / "scores.csv", index=False)
    source = Source.open([tmp_path / "scores.csv"])
    with pytest.raises(ValueError, match="is neither true nor false"):
        write_report(None, source, tmp_path / "report.html", scored=True)


def test_what_a_file_of_scores_lacks_is_left_out_with_a_reason(scored, tmp_path):
    page = page_of(None, scored, tmp_path / "report.html", scored=True)
    assert "Write the report from the table" in page.texts["codes"]
    assert "Write the report from the table" in page.texts["columns"]
    assert "The model was not passed" in page.texts["origin"]


def test_labels_in_a_file_of_scores_give_metrics(whole, scored, tmp_path):
    contents = write_report(None, scored, tmp_path / "report.html", scored=True, label=LABEL, top=5)
    assert contents.metrics == whole[0].metrics


def test_without_its_summary_a_file_of_scores_has_a_threshold_between_two_scores(
    whole, scored, tmp_path
):
    (tmp_path / "scores.csv").write_bytes(scored.paths[0].read_bytes())
    source = Source.open([tmp_path / "scores.csv"])
    contents = write_report(None, source, tmp_path / "report.html", scored=True, top=5)
    assert not contents.is_threshold_exact
    assert contents.n_alarms == (contents.scores.scores > contents.threshold).sum()
    assert "drift" in contents.left_out


def test_a_summary_of_other_scores_is_not_used(scored, tmp_path):
    rows = pd.read_csv(scored.paths[0])[:100]
    rows.to_csv(tmp_path / "scores.csv", index=False)
    summary = Path(f"{scored.paths[0]}.summary.json").read_text()
    (tmp_path / "scores.csv.summary.json").write_text(summary)
    source = Source.open([tmp_path / "scores.csv"])
    contents = write_report(None, source, tmp_path / "report.html", scored=True, top=5)
    assert "drift" in contents.left_out


def test_a_summary_of_as_many_other_scores_is_not_used(scored, tmp_path):
    rows = pd.read_csv(scored.paths[0])
    rows.assign(score=1.5 * rows["score"]).to_csv(tmp_path / "scores.csv", index=False)
    summary = Path(f"{scored.paths[0]}.summary.json").read_text()
    (tmp_path / "scores.csv.summary.json").write_text(summary)
    source = Source.open([tmp_path / "scores.csv"])
    contents = write_report(None, source, tmp_path / "report.html", scored=True, top=5)
    assert "drift" in contents.left_out
    assert contents.warnings == ()


@pytest.mark.parametrize(
    "change",
    [
        5,
        None,
        ["rows_out", "alarms", "threshold", "drift", "warnings"],
        {"threshold": None},
        {"warnings": [1]},
        {"drift": {"a": {"psi": 1}}},
        {"drift": {"a": 1}},
        {"score_quantiles": {"0.5": "low"}},
    ],
    ids=json.dumps,
)
def test_a_damaged_summary_counts_as_none(scored, tmp_path, change):
    (tmp_path / "scores.csv").write_bytes(scored.paths[0].read_bytes())
    if isinstance(change, dict):
        change = json.loads(Path(f"{scored.paths[0]}.summary.json").read_text()) | change
    (tmp_path / "scores.csv.summary.json").write_text(json.dumps(change))
    source = Source.open([tmp_path / "scores.csv"])
    contents = write_report(None, source, tmp_path / "report.html", scored=True, top=5)
    assert "cannot be read" in contents.left_out["drift"]


def test_a_model_without_a_file_has_no_digest(scored, tmp_path):
    page = page_of(None, scored, tmp_path / "report.html", scored=True)
    assert "SHA-256" not in page.texts["origin"]


def test_a_file_of_scores_shows_as_many_reasons_as_are_wanted(scored, tmp_path):
    contents = write_report(None, scored, tmp_path / "report.html", scored=True, top=5, reasons=1)
    assert [len(row.reasons) for row in contents.listing.rows] == [1] * 5


def test_reasons_that_are_in_the_file_cannot_be_shared_out_anew(scored, tmp_path):
    with pytest.raises(ValueError, match="attribution has no effect"):
        write_report(None, scored, tmp_path / "report.html", scored=True, attribution="hiding")


def test_scores_of_another_model_are_refused(scored, fitted, tmp_path):
    other = FixedThresholdDetector(fitted, threshold=-1e6)
    other.fit(rows_of(100, seed=0)[["a", BOLD, "shop"]])
    with pytest.raises(ValueError, match="was not scored with this model"):
        write_report(other, scored, tmp_path / "report.html", scored=True)


def test_a_table_without_scores_is_no_file_of_scores(table, tmp_path):
    with pytest.raises(ValueError, match="no column 'row'"):
        write_report(None, table, tmp_path / "report.html", scored=True)


# Writing


def test_the_same_input_gives_the_same_bytes_at_the_same_time(fitted, table, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("one.html", "two.html"):
        page_of(fitted, table, tmp_path / name, label=LABEL)
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "2023-11-14 22:13 UTC" in page


def test_parameters_that_are_objects_are_told_without_their_address(fitted, table, tmp_path):
    detector = clone(fitted[-1]).set_params(max_iter=1, random_state=np.random.RandomState(0))
    model = make_pipeline(clone(fitted[0]), detector).fit(rows_of(100, seed=0)[["a", BOLD, "shop"]])
    page = page_of(model, table, tmp_path / "report.html")
    assert "RandomState(MT19937)" in page.texts["origin"]
    assert " at 0x" not in page.html


def test_a_date_that_is_none_is_refused(fitted, table, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH must be a number"):
        write_report(fitted, table, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"top": 0}, "top must be"),
        ({"reasons": 1.5}, "reasons must be"),
        ({"attribution": "guess"}, "attribution must be"),
        ({"bad_cells": "guess"}, "bad_cells must be"),
        ({"cost": AlarmCost(2, 1)}, "label"),
        ({"keep": ["kee"]}, "no column 'kee'"),
        ({"label": Label("odd", "maybe")}, "'maybe'"),
    ],
)
def test_arguments_that_are_wrong_are_refused(fitted, table, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        write_report(fitted, table, tmp_path / "report.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_report_needs_a_name_of_a_page(fitted, table, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.html"):
        write_report(fitted, table, tmp_path / "report.pdf")


def test_a_report_is_only_written_over_if_that_is_wanted(fitted, table, tmp_path):
    output = tmp_path / "report.html"
    output.write_text("old")
    with pytest.raises(FileExistsError):
        write_report(fitted, table, output)
    assert output.read_text() == "old"
    page_of(fitted, table, output, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_an_input_is_never_written_over(fitted, folder, tmp_path):
    path = tmp_path / "table.html"
    path.write_bytes((folder / "table.csv").read_bytes())
    with pytest.raises(ValueError, match="an input of this run"):
        write_report(fitted, Source.open([path]), path, overwrite=True)


def test_a_model_without_a_threshold_is_refused(table, tmp_path):
    schema = TableSchema([{"name": "a", "kind": "number"}])
    model = make_pipeline(schema, IsolationForest(random_state=0)).fit(rows_of(50, seed=0))
    del model[-1].offset_
    with pytest.raises(ValueError, match="has no threshold"):
        write_report(model, table, tmp_path / "report.html")


def test_without_jinja2_the_error_names_the_extra_before_anything_is_read(
    fitted, table, tmp_path, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name)
    )
    with pytest.raises(ImportError, match=r"vae-anomaly\[report\]"):
        write_report(fitted, table, tmp_path / "report.html")


def test_importing_reports_imports_neither_jinja2_nor_matplotlib(run_python):
    script = "import sys, vae_anomaly.report; print({'jinja2', 'matplotlib'} & set(sys.modules))"
    assert run_python(script).strip() == "set()"


# The command


def test_the_command_writes_a_report_and_says_what_it_found(folder, tmp_path, capsys, whole):
    output = tmp_path / "report.html"
    arguments = ["report", folder / "table.csv", "--model", folder / "model.skops"]
    arguments += ["--output", output, "--label", "odd", "--outlier", "yes", "--top", 5]
    assert run([str(argument) for argument in [*arguments, "--title", "A & B"]]) == 0
    printed = capsys.readouterr().out
    assert f"200 rows: {whole[0].n_alarms} alarms" in printed
    page = Page(output.read_text(encoding="utf-8"))
    assert "<title>A &amp; B</title>" in page.html
    assert "vae-anomaly report" in page.texts["origin"]
    assert "--title 'A & B'" in page.texts["origin"]


def test_the_command_tells_the_figures_as_json(scored, tmp_path, capsys, whole):
    output = tmp_path / "report.html"
    arguments = ["report", scored.paths[0], "--scored", "--output", output, "--json"]
    assert run([str(argument) for argument in arguments]) == 0
    assert json.loads(capsys.readouterr().out)["alarms"] == whole[0].n_alarms


def test_the_command_writes_nothing_but_the_page_to_the_standard_output(scored, capfd):
    assert run(["report", str(scored.paths[0]), "--scored", "--output", "-"]) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith("<!DOCTYPE html>")
    assert printed.out.endswith("</html>\n")
    assert "200 rows" in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Pass --model"),
        (["--scored", "--miss-cost", "5"], "--false-alarm-cost go together"),
        (["--scored", "--label", "odd"], "--label and --outlier go together"),
        (["--scored", "--attribution", "terms"], "--attribution has no effect"),
        (["--scored"], "there is no column 'row'"),
    ],
)
def test_the_command_refuses_in_one_line(folder, tmp_path, capsys, arguments, words):
    output = ["--output", tmp_path / "report.html"]
    assert words in error_line(capsys, "report", folder / "table.csv", *output, *arguments)


def test_the_command_refuses_to_write_over_a_file(folder, scored, tmp_path, capsys):
    output = tmp_path / "report.html"
    output.write_text("old")
    line = error_line(capsys, "report", scored.paths[0], "--scored", "--output", output)
    assert "--overwrite" in line


def test_the_command_names_the_extra_that_is_missing(scored, tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name)
    )
    output = ["--output", tmp_path / "report.html"]
    line = error_line(capsys, "report", scored.paths[0], "--scored", *output)
    assert "pip install 'vae-anomaly[report]'" in line
