"""The command vae-anomaly: what it prints, writes and refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from malformed import FIT, GOOD, SCORE

from vae_anomaly import explain, load
from vae_anomaly.batch import run as run_module
from vae_anomaly.cli.main import run
from vae_anomaly.files import Hint

ROOT = Path(__file__).parents[1]
BREAST_CANCER = ROOT / "data" / "breast_cancer.csv"
FLIGHTS = ROOT / "data" / "flights.csv"
LABELLED = ["--label", "diagnosis", "--outlier", "malignant"]
FAST = ["--set", "max_iter=5", "--set", "hidden_layer_sizes=(16,)", "--set", "latent_dim=2"]
COST = ["--objective", "cost", "--miss-cost", 20, "--false-alarm-cost", 1]


def call(*arguments):
    """Run a command that must succeed."""
    assert run([str(argument) for argument in arguments]) == 0


def error_line(capsys, *arguments, status=2):
    """Run a command that must refuse, and give the one line it prints."""
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def printed_json(capsys, *arguments):
    capsys.readouterr()
    call(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """Rows that a model was not trained on, and that model."""
    folder = tmp_path_factory.mktemp("held_out")
    rows, model = folder / "rows.csv", folder / "model.skops"
    files = ["--model", model, "--held-out", rows]
    call("fit", BREAST_CANCER, *files, *LABELLED, "--train-on", "inliers", *FAST)
    return rows, model


@pytest.fixture(scope="module")
def model(held_out):
    return held_out[1]


@pytest.fixture(scope="module")
def flights_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "flights.skops"
    call("fit", FLIGHTS, "--model", path, "--drop", "unusual", *FAST)
    return path


@pytest.fixture
def table(tmp_path):
    """Write the breast cancer table, changed by the test, to a file."""

    def write(change):
        path = tmp_path / "table.csv"
        change(pd.read_csv(BREAST_CANCER, dtype=str)).to_csv(path, index=False)
        return path

    return write


# The command as such


def test_the_command_is_installed():
    command = Path(sys.executable).with_name("vae-anomaly")
    told = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("fit", "tune", "score", "evaluate", "explain", "report", "inspect", "export"):
        assert f" {name} " in told


@pytest.mark.parametrize(
    "name", ["fit", "tune", "score", "evaluate", "explain", "report", "inspect", "export"]
)
def test_help_teaches_by_an_example(capsys, name):
    call(name, "--help")
    assert f"vae-anomaly {name} " in capsys.readouterr().out


def test_an_unknown_option_is_an_error_in_one_line(capsys, tmp_path):
    line = error_line(capsys, "fit", FLIGHTS, "--model", tmp_path / "m", "--colour", "red")
    assert line.startswith("vae-anomaly: error: No such option")
    assert "vae-anomaly fit --help" in line


def test_the_process_exits_with_2_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "vae_anomaly", "fit", "absent.csv", "--model", "m.skops"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("vae-anomaly: error: ")
    assert "absent.csv" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_debug_shows_where_an_error_comes_from(capsys, tmp_path):
    arguments = ["fit", tmp_path / "absent.csv", "--model", tmp_path / "m.skops", "--debug"]
    assert run([str(argument) for argument in arguments]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_quiet_prints_nothing(capsys, model, tmp_path):
    call("score", BREAST_CANCER, "--model", model, "--output", tmp_path / "out.csv", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_a_closed_pipe_is_no_error_message(model):
    told = "import sys; from vae_anomaly.cli.main import run; sys.exit(run(sys.argv[1:]))"
    arguments = ["score", BREAST_CANCER, "--model", model, "--output", "-"]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", told, *map(str, arguments)],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_options_come_from_a_file_and_flags_override_them(model, tmp_path):
    config = tmp_path / "nightly.toml"
    config.write_text(f"model = {str(model)!r}\n[score]\nkeep = ['diagnosis']\nreasons = 2\n")
    output = ["--output", tmp_path / "out.csv", "--config", config]
    call("score", BREAST_CANCER, *output, "--reasons", 1)
    columns = list(pd.read_csv(tmp_path / "out.csv"))
    assert "diagnosis" in columns
    assert "reason_1" in columns
    assert "reason_2" not in columns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[score]\ncolour = 'red'", "[score]: there is no option colour"),
        ("[score]\nreason = 2", "no option reason (did you mean reasons?)"),
        ("[score", "is not TOML"),
        ("colour = 'red'", "no command has an option colour"),
        ("[scores]\nreasons = 2", "there is no command scores"),
        ("[score]\nreasons = 'many'", "'many' is not a valid integer"),
    ],
)
def test_a_config_that_is_wrong_is_refused(capsys, model, tmp_path, text, words):
    config = tmp_path / "nightly.toml"
    config.write_text(text)
    arguments = [BREAST_CANCER, "--model", model, "--output", tmp_path / "out.csv"]
    assert words in error_line(capsys, "score", *arguments, "--config", config)


def test_options_of_other_commands_may_stand_at_the_top_of_a_config(model, tmp_path):
    config = tmp_path / "nightly.toml"
    config.write_text("beta = 2\nreasons = 1\n[fit]\ndrop = 'name'\n")
    output = ["--output", tmp_path / "out.csv", "--config", config]
    call("score", BREAST_CANCER, "--model", model, *output)
    assert "reason_1" in list(pd.read_csv(tmp_path / "out.csv"))


@pytest.mark.parametrize(
    "command",
    [
        ["score", BREAST_CANCER, "--output"],
        ["score", BREAST_CANCER, "--output", os.devnull, "--rejects"],
        ["tune", BREAST_CANCER, "--output"],
        ["export", "--output"],
        ["fit", BREAST_CANCER, "--held-out", "rows.csv", *LABELLED, "--model"],
    ],
)
def test_the_config_is_not_written_over(model, tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "nightly.csv"
    config.write_text(f"model = {str(model)!r}\noverwrite = true\n")
    before = config.read_text()
    assert "another file" in error_line(capsys, *command, config, "--config", config)
    assert config.read_text() == before


def test_an_interruption_is_told_in_one_line_with_what_is_kept(
    model, tmp_path, capsys, monkeypatch
):
    def interrupted(*args, **kwargs):
        error = KeyboardInterrupt()
        error.add_note("5 rows are kept")
        error.add_note(Hint("resume it"))
        raise error

    monkeypatch.setattr(run_module, "score_table", interrupted)
    arguments = ["score", BREAST_CANCER, "--model", model, "--output", tmp_path / "out.csv"]
    line = error_line(capsys, *arguments, status=130)
    told = "interrupted; 5 rows are kept; resume it with --resume"
    assert line == f"vae-anomaly: error: {told}\n"


def test_hints_name_flags_and_data_stays_as_it_is(model, table, tmp_path, capsys):
    path = table(lambda rows: rows.assign(mean_area="overwrite it"))
    output = tmp_path / "out.csv"
    line = error_line(capsys, "score", path, "--model", model, "--output", output)
    assert "'overwrite it'" in line
    output.write_text("old")
    line = error_line(capsys, "score", BREAST_CANCER, "--model", model, "--output", output)
    assert line.endswith("out.csv exists; name another file, or overwrite it with --overwrite\n")


def test_scoring_imports_neither_tensorflow_nor_matplotlib(model, tmp_path):
    arguments = ["score", str(BREAST_CANCER), "--model", str(model), "--output", "out.csv"]
    script = (
        f"import sys; from vae_anomaly.cli.main import run; assert run({arguments}) == 0; "
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


# fit


def test_fit_measures_on_held_out_rows(tmp_path, capsys):
    model = ["--model", tmp_path / "m.skops"]
    told = printed_json(capsys, "fit", BREAST_CANCER, *model, *LABELLED, "--test-size", 0.25, *FAST)
    assert told["n_rows"] == 426
    assert told["held_out"]["n_rows"] == 143
    assert told["held_out"]["n_outliers"] == 53
    assert 0.5 < told["held_out"]["auroc"] <= 1


def test_fit_says_what_it_has_learned_from(capsys, tmp_path):
    call("fit", BREAST_CANCER, "--model", tmp_path / "m.skops", *LABELLED, *FAST)
    told = capsys.readouterr().out
    assert "trained on 284 rows" in told
    assert "columns: 30 of numbers\n" in told
    assert "an outlier if its score is above" in told
    call("fit", BREAST_CANCER, "--model", tmp_path / "other.skops", *FAST)
    assert "1 of categories (diagnosis)\n" in capsys.readouterr().out
    assert "AUROC" in told


def test_held_out_rows_are_those_not_trained_on(held_out):
    rows = pd.read_csv(held_out[0])
    assert rows.shape == (285, 31)
    assert (rows["diagnosis"] == "malignant").sum() == 106
    assert load(held_out[1])[-1].n_samples_seen_ == 178


def test_a_threshold_that_is_a_guess_is_told(table, tmp_path, capsys):
    model = ["--model", tmp_path / "m.skops", "--overwrite", *FAST]
    told = printed_json(capsys, "fit", table(lambda rows: rows.head(130)), *model)
    assert "Only 130 rows were trained on" in told["warnings"][0]
    assert "vae-anomaly tune" in told["warnings"][0]
    assert printed_json(capsys, "fit", BREAST_CANCER, *model)["warnings"] == []
    held_out = [*LABELLED, "--test-size", 0.05, "--set", "contamination=1e-6"]
    call("fit", BREAST_CANCER, *model, *held_out)
    assert "No row that was held out is above the threshold" in capsys.readouterr().out


def test_label_and_dropped_columns_are_not_learned_from(tmp_path):
    path = tmp_path / "m.skops"
    call("fit", BREAST_CANCER, "--model", path, *LABELLED, "--drop", "mean_area", *FAST)
    learned = load(path).feature_names_in_
    assert len(learned) == 29
    assert not {"diagnosis", "mean_area"} & set(learned)


def test_settings_reach_the_detector(tmp_path):
    path = tmp_path / "m.skops"
    call("fit", BREAST_CANCER, "--model", path, *LABELLED, *FAST, "--contamination", 0.2)
    detector = load(path)["detector"]
    assert detector.hidden_layer_sizes == (16,)
    assert detector.max_iter == 5
    assert detector.contamination == 0.2


def test_a_table_beyond_memory_is_streamed(tmp_path, capsys):
    path = tmp_path / "m.skops"
    told = printed_json(
        capsys, "fit", FLIGHTS, "--model", path, "--label", "unusual", "--outlier", 1,
        "--stream", "--set", "max_iter=2", "--set", "latent_dim=2",
    )  # fmt: skip
    assert told["n_rows"] == 5000
    assert told["held_out"]["auroc"] > 0.6
    assert {column["kind"] for column in told["columns"]} == {"number", "date", "category"}


def test_an_existing_model_is_only_replaced_on_request(tmp_path, capsys):
    path = tmp_path / "m.skops"
    path.write_text("old")
    arguments = ["fit", BREAST_CANCER, "--model", path, *LABELLED, *FAST]
    assert "--overwrite" in error_line(capsys, *arguments)
    assert path.read_text() == "old"
    call(*arguments, "--overwrite")
    load(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv"], ["absent.csv"]),
        ([BREAST_CANCER, "--label", "grade", "--outlier", "3"], ["breast_cancer.csv", "'grade'"]),
        (
            [BREAST_CANCER, "--label", "diagnosis", "--outlier", "bad"],
            ["breast_cancer.csv", "'diagnosis'", "'bad'", "'benign', 'malignant'"],
        ),
        ([BREAST_CANCER, "--drop", "name"], ["breast_cancer.csv", "'name'"]),
        ([BREAST_CANCER, "--set", "colour=red"], ["'colour'"]),
        ([BREAST_CANCER, "--set", "latent_dims=2"], ["--set", "did you mean latent_dim"]),
        ([BREAST_CANCER, "--set", "latent_dim"], ["PARAM=VALUE"]),
        ([BREAST_CANCER, "--drop", "diagnosis", "--contamination", "0.7"], ["contamination"]),
        ([BREAST_CANCER, "--drop", "diagnosis", "--set", "latent_dim=0"], ["latent_dim"]),
        ([BREAST_CANCER, "--label", "diagnosis"], ["--label and --outlier go together"]),
        ([BREAST_CANCER, "--held-out", "rows.csv"], ["--held-out needs --label"]),
    ],
)
def test_fit_refuses_in_one_line(tmp_path, capsys, arguments, words):
    line = error_line(capsys, "fit", *arguments, "--model", tmp_path / "m.skops")
    assert all(word in line for word in words)
    assert list(tmp_path.iterdir()) == []


def test_the_format_of_held_out_rows_is_checked_before_training(tmp_path, capsys):
    files = ["--model", tmp_path / "m.skops", "--held-out", tmp_path / "rows.xlsx"]
    assert "rows.xlsx" in error_line(capsys, "fit", BREAST_CANCER, *files, *LABELLED, *FAST)
    assert list(tmp_path.iterdir()) == []


def test_outputs_of_fit_are_different_files_and_not_its_table(table, tmp_path, capsys):
    path = table(lambda rows: rows)
    before = path.read_bytes()
    for model, held in ((path, tmp_path / "h.csv"), (tmp_path / "m", tmp_path / "m")):
        files = ["--model", model, "--held-out", held, "--overwrite"]
        assert "another file" in error_line(capsys, "fit", path, *files, *LABELLED, *FAST)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


# Files that cannot be used


def by_name(cases):
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases])


def refused(case, folder, capsys, command, *arguments):
    """Check that a command refuses a file in one line, and writes nothing."""
    folder.mkdir()
    table = folder / case.file
    table.write_bytes(case.content)
    line = error_line(capsys, command, table, *arguments, *case.flags)
    assert line.startswith("vae-anomaly: error: ")
    assert all(word in line for word in case.words)
    assert [path.name for path in folder.iterdir()] == [case.file]


@by_name(FIT)
def test_fit_names_what_is_wrong_with_a_file(case, tmp_path, capsys):
    folder = tmp_path / "run"
    refused(case, folder, capsys, "fit", "--model", folder / "m.skops", *FAST)


@pytest.fixture(scope="module")
def good_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    GOOD.to_csv(folder / "table.csv", index=False)
    call("fit", folder / "table.csv", "--model", folder / "m.skops", *FAST)
    return folder / "m.skops"


@by_name(SCORE)
def test_score_names_what_is_wrong_with_a_file(case, good_model, tmp_path, capsys):
    folder = tmp_path / "run"
    files = ["--model", good_model, "--output", folder / "scores.csv"]
    refused(case, folder, capsys, "score", *files)


# score


def test_scores_are_those_of_the_model(model, tmp_path):
    call("score", BREAST_CANCER, "--model", model, "--output", tmp_path / "out.csv")
    scored = pd.read_csv(tmp_path / "out.csv", converters={"score": float})
    pipeline, rows = load(model), pd.read_csv(BREAST_CANCER)
    np.testing.assert_array_equal(scored["score"], -pipeline.score_samples(rows))
    np.testing.assert_array_equal(scored["is_outlier"], pipeline.predict(rows) == -1)
    np.testing.assert_array_equal(scored["row"], np.arange(1, 570))


def test_columns_are_matched_by_name(model, table, tmp_path):
    reordered = table(lambda rows: rows[rows.columns[::-1]].assign(unknown="x"))
    call("score", BREAST_CANCER, "--model", model, "--output", tmp_path / "a.csv")
    call("score", reordered, "--model", model, "--output", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_reasons_are_the_largest_contributions(model, tmp_path):
    output = tmp_path / "out.parquet"
    options = ["--reasons", 2, "--keep", "diagnosis"]
    call("score", BREAST_CANCER, "--model", model, "--output", output, *options)
    scored = pd.read_parquet(output)
    assert list(scored)[:8] == [
        "row", "diagnosis", "score", "is_outlier",
        "reason_1", "contribution_1", "value_1", "expected_1",
    ]  # fmt: skip
    explanation = explain(load(model), pd.read_csv(BREAST_CANCER))
    largest = explanation.contributions.max(axis=1)
    np.testing.assert_allclose(scored["contribution_1"], largest, rtol=1e-9)


def test_score_tells_rows_and_alarms(model, tmp_path, capsys):
    call("score", BREAST_CANCER, "--model", model, "--output", tmp_path / "out.csv")
    told = capsys.readouterr().out
    assert "569 rows" in told
    assert told.endswith("out.csv.summary.json\n")
    told = printed_json(
        capsys, "score", BREAST_CANCER, "--model", model, "--output", tmp_path / "o.csv"
    )
    assert told["rows_in"] == 569
    assert told["alarms"] == pd.read_csv(tmp_path / "o.csv")["is_outlier"].sum()


def test_scores_on_the_standard_output_are_not_called_saved(model, capfd):
    call("score", BREAST_CANCER, "--model", model, "--output", "-")
    printed = capfd.readouterr()
    assert printed.out.startswith("row,")
    assert "saved" not in printed.err


def test_onnx_files_are_scored(model, tmp_path):
    call("export", "--model", model, "--output", tmp_path / "m.onnx")
    scored = []
    for path in (model, tmp_path / "m.onnx"):
        output = tmp_path / f"{path.name}.csv"
        call("score", BREAST_CANCER, "--model", path, "--output", output)
        scored.append(pd.read_csv(output))
    pd.testing.assert_frame_equal(*scored, rtol=1e-4)


def test_pickles_need_a_flag(model, tmp_path, capsys):
    joblib.dump(load(model), tmp_path / "model.joblib")
    output = ["--output", tmp_path / "out.csv"]
    arguments = ["score", BREAST_CANCER, "--model", tmp_path / "model.joblib", *output]
    assert "with --allow-pickle" in error_line(capsys, *arguments)
    call(*arguments, "--allow-pickle")
    assert "warning: " in capsys.readouterr().err


# tune and evaluate


def tuned(held_out, folder, *arguments):
    """Tune the threshold, and give the tuned model and the rows' labels and scores."""
    rows, model = held_out
    call("tune", rows, "--model", model, "--output", folder / "tuned.skops", *arguments)
    call("score", rows, "--model", folder / "tuned.skops", "--output", folder / "scores.csv")
    scored = pd.read_csv(folder / "scores.csv", converters={"score": float})
    return load(folder / "tuned.skops"), pd.read_csv(rows)["diagnosis"], scored


def test_tuned_threshold_has_the_least_cost_of_all(held_out, tmp_path, capsys):
    _, diagnosis, scored = tuned(held_out, tmp_path, *LABELLED, *COST)
    is_outlier = diagnosis == "malignant"

    def cost(is_alarm):
        return 20 * (is_outlier & ~is_alarm).sum() + (~is_outlier & is_alarm).sum()

    least = min(cost(scored["score"] >= level) for level in scored["score"])
    assert cost(scored["is_outlier"]) == least
    printed = capsys.readouterr().out
    assert "scored 285 rows: 106 outliers, 179 inliers" in printed
    assert "mean cost of a row" in printed
    assert "left out: median" in printed


def test_tuning_changes_nothing_but_the_threshold(held_out, tmp_path):
    before = load(held_out[1])
    after, _, _ = tuned(held_out, tmp_path, "--objective", "budget", "--alarms", 0.1)
    assert after.offset_ != before[-1].offset_
    rows = pd.read_csv(BREAST_CANCER)
    np.testing.assert_array_equal(after.score_samples(rows), before.score_samples(rows))


def test_a_tuned_model_gives_p_values(held_out, tmp_path, capsys):
    rows, model = held_out
    tuned(held_out, tmp_path)
    output = ["--output", tmp_path / "p.csv", "--p-value"]
    call("score", rows, "--model", tmp_path / "tuned.skops", *output)
    scored = pd.read_csv(tmp_path / "p.csv")
    assert scored["p_value"].between(0, 1).all()
    assert scored["p_value"].corr(scored["score"], method="spearman") < -0.9
    output = ["--output", tmp_path / "q.csv", "--p-value"]
    assert "by `tune`" in error_line(capsys, "score", rows, "--model", model, *output)


@pytest.mark.parametrize(
    ("options", "n_alarms"), [(["--alarms", 0.1], 28), (["--alarms", 5, "--per", 100], 14)]
)
def test_alarms_keep_the_budget(held_out, tmp_path, capsys, options, n_alarms):
    _, _, scored = tuned(held_out, tmp_path, "--objective", "budget", *options)
    assert scored["is_outlier"].sum() == n_alarms
    assert "precision" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["auto"],
        ["tail", "--alarm-rate", "0.01"],
        ["f-beta"],
        ["f-beta", "--beta", "2"],
        ["recall-at-precision", "--precision", "0.9"],
        ["precision-at-k", "--alarms", "30"],
    ],
    ids=" ".join,
)
def test_each_objective_is_told_with_precision_and_recall(held_out, tmp_path, capsys, options):
    rows, model = held_out
    output = ["--output", tmp_path / "t.skops"]
    told = printed_json(
        capsys, "tune", rows, "--model", model, *output, *LABELLED, "--objective", *options
    )
    for figures in told["figures"].values():
        assert 0 <= figures["precision"] <= 1
        assert 0 <= figures["recall"] <= 1
    assert len(told["figures"]) == 5


def test_rows_too_few_to_resample_still_give_a_threshold(held_out, tmp_path, capsys):
    pd.read_csv(held_out[0]).head(101).to_csv(tmp_path / "few.csv", index=False)
    tuned((tmp_path / "few.csv", held_out[1]), tmp_path, "--objective", "tail")
    assert "how sure the choice is cannot be told" in capsys.readouterr().out


def test_rows_may_lack_a_label(held_out, tmp_path, capsys):
    rows = pd.read_csv(held_out[0], dtype=str)
    rows.loc[::2, "diagnosis"] = None
    rows.to_csv(tmp_path / "partly.csv", index=False)
    tuned((tmp_path / "partly.csv", held_out[1]), tmp_path, *LABELLED, *COST)
    assert "143 without a label" in capsys.readouterr().out
    call("evaluate", tmp_path / "partly.csv", "--model", held_out[1], *LABELLED)
    assert "measured on 142 rows" in capsys.readouterr().out


def test_the_model_may_be_tuned_in_place_and_again(held_out, tmp_path):
    path = tmp_path / "model.skops"
    shutil.copy(held_out[1], path)
    for _ in range(2):
        arguments = [held_out[0], "--model", path, "--output", path, *LABELLED, *COST]
        call("tune", *arguments, "--overwrite")
    assert load(path).offset_ != load(held_out[1])[-1].offset_


def test_labels_that_choose_no_threshold_are_told(held_out, tmp_path, capsys):
    tuned(held_out, tmp_path, *LABELLED)
    assert "labels were not used to choose the threshold" in capsys.readouterr().out
    files = ["--model", held_out[1], "--output", tmp_path / "other.skops"]
    call("tune", held_out[0], *files, *LABELLED, "--objective", "auto")
    assert "labels were not used" not in capsys.readouterr().out


def test_an_objective_is_told_by_its_options(held_out, tmp_path, capsys):
    tuned(held_out, tmp_path, *LABELLED, *COST)
    told = capsys.readouterr().out
    assert "with --objective cost --miss-cost 20 --false-alarm-cost 1 a row is an outlier" in told


@pytest.mark.parametrize("labels", [[], LABELLED], ids=["scores", "scores and labels"])
def test_a_picture_is_drawn(held_out, tmp_path, labels):
    tuned(held_out, tmp_path, *labels, "--plot", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (COST, "--objective cost needs --label and --outlier"),
        ([*LABELLED, "--objective", "cost", "--miss-cost", "5"], "needs --false-alarm-cost"),
        (["--beta", "2"], "--beta cannot be used with --objective auto"),
        (["--objective", "budget", "--alarms", "-1"], "--alarms: alarms of AlarmBudget must be"),
        (["--label", "grade", "--outlier", "3"], "'grade'"),
        (["--label", "diagnosis", "--outlier", "bad"], "'diagnosis' has no value 'bad'"),
        (["--plot", "picture.txt"], "must end in"),
        (["--objective", "f1"], "(did you mean f-beta?"),
        (["--objective", "recall"], "'recall' is not one of"),
    ],
)
def test_tune_refuses_in_one_line(held_out, tmp_path, capsys, options, words):
    rows, model = held_out
    arguments = [rows, "--model", model, "--output", tmp_path / "tuned.skops", *options]
    assert words in error_line(capsys, "tune", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_evaluate_counts_what_the_threshold_makes_of_the_rows(held_out, capsys):
    rows, model = held_out
    told = printed_json(capsys, "evaluate", rows, "--model", model, *LABELLED)
    table = pd.read_csv(rows)
    is_alarm = load(model).predict(table) == -1
    assert told["n_found"] == (is_alarm & (table["diagnosis"] == "malignant")).sum()
    assert told["n_false_alarms"] == (is_alarm & (table["diagnosis"] == "benign")).sum()


# explain, inspect and export


def test_the_most_abnormal_rows_are_explained(model, capsys):
    told = printed_json(
        capsys, "explain", BREAST_CANCER, "--model", model, "--top", 3, "--keep", "diagnosis"
    )
    scores = -load(model).score_samples(pd.read_csv(BREAST_CANCER))
    assert [row["row"] for row in told["rows"]] == list(np.argsort(-scores)[:3] + 1)
    assert {"row", "score", "kept", "reasons"} == set(told["rows"][0])
    assert list(told["rows"][0]["kept"]) == ["diagnosis"]


def test_kept_columns_may_have_the_names_of_results(model, table, capsys):
    path = table(lambda rows: rows.assign(score="low", reasons="none"))
    keep = ["--keep", "score", "--keep", "reasons"]
    call("explain", path, "--model", model, "--row", 1, *keep)
    assert "row 1, score low, reasons none: score" in capsys.readouterr().out
    told = printed_json(capsys, "explain", path, "--model", model, "--row", 1, *keep)
    assert told["rows"][0]["kept"] == {"score": "low", "reasons": "none"}


def test_a_row_is_explained_with_what_would_make_it_normal(flights_model, capsys):
    call("explain", FLIGHTS, "--model", flights_model, "--row", 3, "--counterfactuals")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("row 3: score ")
    assert len(lines) == 3


def test_a_row_that_is_not_there_is_refused(model, capsys):
    line = error_line(capsys, "explain", BREAST_CANCER, "--model", model, "--row", 570)
    assert "--row 570: the table has 569 rows" in line


def test_inspect_tells_what_a_model_is(model, capsys):
    call("inspect", model)
    in_words = capsys.readouterr().out
    assert "VAEAnomalyDetector" in in_words
    told = printed_json(capsys, "inspect", model)
    assert told["n_samples"] == 178
    assert told["threshold"] == -load(model)[-1].offset_  # of the scores that the commands tell
    assert f"\nthreshold  {told['threshold']:.4g}\n" in in_words


def test_what_is_no_model_is_refused(capsys, tmp_path):
    output = ["--output", tmp_path / "out.csv"]
    line = error_line(capsys, "score", FLIGHTS, "--model", FLIGHTS, *output)
    assert "flights.csv is not a model file of vae_anomaly" in line


def test_models_with_dates_are_not_exported(flights_model, tmp_path, capsys):
    output = ["--output", tmp_path / "m.onnx"]
    line = error_line(capsys, "export", "--model", flights_model, *output)
    assert "models with dates cannot be exported; fit again with --drop time_hour" in line
    assert list(tmp_path.iterdir()) == []
