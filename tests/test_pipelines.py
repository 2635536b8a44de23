"""The scripts of pipelines/: what they print, write and refuse."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

import batch_score
import train
import tune_threshold
from vae_anomaly import explain, load, to_onnx

ROOT = Path(__file__).parents[1]
BREAST_CANCER = ROOT / "data" / "breast_cancer.csv"
FLIGHTS = ROOT / "data" / "flights.csv"
LABELLED = ["--label", "diagnosis", "--outlier", "malignant"]
FAST = ["--set", "max_iter=5", "--set", "hidden_layer_sizes=(16,)", "--set", "latent_dim=2"]


def call(script, *arguments):
    script.main([str(argument) for argument in arguments])


def error_line(capsys, script, *arguments):
    """Call a script that must refuse, and give the one line it prints."""
    with pytest.raises(SystemExit) as stopped:
        call(script, *arguments)
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "breast_cancer.skops"
    call(train, BREAST_CANCER, "--model", path, *LABELLED, "--train-on", "inliers", *FAST)
    return path


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """Rows that a model was not trained on, and that model."""
    folder = tmp_path_factory.mktemp("held_out")
    rows, model = folder / "rows.csv", folder / "model.skops"
    files = ["--model", model, "--held-out", rows]
    call(train, BREAST_CANCER, *files, *LABELLED, "--train-on", "inliers", *FAST)
    return rows, model


@pytest.fixture(scope="module")
def flights_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "flights.skops"
    call(train, FLIGHTS, "--model", path, "--drop", "unusual", *FAST)
    return path


@pytest.fixture
def table(tmp_path):
    """Write the breast cancer table, changed by the test, to a file."""

    def write(change):
        path = tmp_path / "table.csv"
        change(pd.read_csv(BREAST_CANCER, dtype=str)).to_csv(path, index=False)
        return path

    return write


def test_train_measures_on_held_out_rows(tmp_path, capsys):
    call(train, BREAST_CANCER, "--model", tmp_path / "m", *LABELLED, "--test-size", "0.25", *FAST)
    printed = capsys.readouterr().out
    assert "trained on 426 rows" in printed
    assert "held out 143 rows, 53 of them outliers" in printed
    assert "AUROC" in printed
    assert "average precision" in printed


def test_train_on_inliers_leaves_the_outliers_out(tmp_path, capsys):
    call(train, BREAST_CANCER, "--model", tmp_path / "m", *LABELLED, "--train-on", "inliers", *FAST)
    assert "trained on 178 rows" in capsys.readouterr().out


def test_train_without_label_takes_all_rows(tmp_path, capsys):
    call(train, BREAST_CANCER, "--model", tmp_path / "m", "--drop", "diagnosis", *FAST)
    printed = capsys.readouterr().out
    assert "trained on 569 rows" in printed
    assert "AUROC" not in printed


def test_label_and_dropped_columns_are_not_features(tmp_path):
    path = tmp_path / "m"
    call(train, BREAST_CANCER, "--model", path, *LABELLED, "--drop", "mean_area", *FAST)
    features = load(path).feature_names_in_
    assert len(features) == 29
    assert not {"diagnosis", "mean_area"} & set(features)


def test_settings_reach_the_detector(tmp_path):
    path = tmp_path / "m"
    call(train, BREAST_CANCER, "--model", path, *LABELLED, *FAST, "--contamination", "0.2")
    detector = load(path)["detector"]
    assert detector.hidden_layer_sizes == (16,)
    assert detector.max_iter == 5
    assert detector.contamination == 0.2


def test_columns_are_sorted_by_what_their_texts_are(flights_model):
    fitted = load(flights_model)["columns"]
    columns = {name: names for name, _, names in fitted.transformers_}
    assert columns["dates"] == ["time_hour"]
    assert columns["categories"] == ["carrier", "tailnum", "origin", "dest"]
    assert len(columns["numbers"]) == 9


def test_model_loads_where_the_scripts_are_not(flights_model, tmp_path):
    code = f"import vae_anomaly; vae_anomaly.load({str(flights_model)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_rarely_missing_values_raise_the_score(flights_model, tmp_path):
    rows = pd.read_csv(FLIGHTS, dtype=str).dropna().head(10)
    rows.to_csv(tmp_path / "whole.csv", index=False)
    rows.assign(arr_delay="", air_time="").to_csv(tmp_path / "gap.csv", index=False)
    scores = []
    for name in ("whole", "gap"):
        call(
            batch_score, tmp_path / f"{name}.csv", tmp_path / "scores.csv", "--model", flights_model
        )
        scores.append(pd.read_csv(tmp_path / "scores.csv")["score"])
    assert (scores[1] > scores[0]).all()


def test_scores_are_those_of_the_model(model, tmp_path):
    call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", model)
    scored = pd.read_csv(tmp_path / "out.csv", converters={"score": float})
    pipeline, rows = load(model), pd.read_csv(BREAST_CANCER)
    np.testing.assert_array_equal(scored["score"], -pipeline.score_samples(rows))
    np.testing.assert_array_equal(scored["is_outlier"], pipeline.predict(rows) == -1)
    np.testing.assert_array_equal(scored["row"], np.arange(1, 570))


def test_output_does_not_depend_on_the_chunks(flights_model, tmp_path):
    for rows in (10_000, 999):
        output = tmp_path / f"{rows}.csv"
        call(batch_score, FLIGHTS, output, "--model", flights_model, "--chunk-rows", rows)
    assert (tmp_path / "10000.csv").read_bytes() == (tmp_path / "999.csv").read_bytes()


def test_columns_are_matched_by_name(model, table, tmp_path):
    reordered = table(lambda t: t[t.columns[::-1]].assign(unknown="x"))
    call(batch_score, BREAST_CANCER, tmp_path / "a.csv", "--model", model)
    call(batch_score, reordered, tmp_path / "b.csv", "--model", model)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_kept_columns_are_copied(model, tmp_path):
    keep = ["--keep", "diagnosis", "mean_radius"]
    call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", model, *keep)
    scored = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert list(scored) == ["row", "diagnosis", "mean_radius", "score", "is_outlier"]
    table = pd.read_csv(BREAST_CANCER, dtype=str)
    pd.testing.assert_frame_equal(scored[keep[1:]], table[keep[1:]])


@pytest.mark.parametrize("attribution", ["terms", "hiding"])
def test_reasons_are_the_largest_contributions(model, tmp_path, attribution):
    options = ["--reasons", 2, "--attribution", attribution, "--keep", "diagnosis"]
    call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", model, *options)
    scored = pd.read_csv(tmp_path / "out.csv")
    assert list(scored)[:8] == [
        "row", "diagnosis", "score", "is_outlier",
        "reason_1", "contribution_1", "value_1", "expected_1",
    ]  # fmt: skip
    assert len(scored.columns) == 12
    explanation = explain(load(model), pd.read_csv(BREAST_CANCER), attribution=attribution)
    largest = explanation.contributions.max(axis=1)
    np.testing.assert_allclose(scored["contribution_1"], largest, rtol=1e-9)
    assert (scored["contribution_1"] >= scored["contribution_2"]).all()


def test_reasons_leave_the_scores_and_do_not_depend_on_the_chunks(flights_model, tmp_path):
    call(batch_score, FLIGHTS, tmp_path / "plain.csv", "--model", flights_model)
    for rows in (10_000, 999):
        options = ["--reasons", 3, "--chunk-rows", rows]
        call(batch_score, FLIGHTS, tmp_path / f"{rows}.csv", "--model", flights_model, *options)
    assert (tmp_path / "10000.csv").read_bytes() == (tmp_path / "999.csv").read_bytes()
    plain, explained = (pd.read_csv(tmp_path / name) for name in ("plain.csv", "999.csv"))
    pd.testing.assert_frame_equal(explained[list(plain)], plain)
    reasons = set(explained["reason_1"]) | set(explained["reason_2"])
    assert "time_hour" in reasons
    assert not any("__" in reason for reason in reasons)


def test_more_reasons_than_columns_are_left_empty(model, tmp_path):
    options = ["--reasons", 40, "--top", 0]
    call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", model, *options)
    scored = pd.read_csv(tmp_path / "out.csv")
    assert scored["reason_31"].notna().all()
    assert scored["reason_40"].isna().all()


def test_a_negative_number_of_reasons_is_refused(model, tmp_path, capsys):
    options = ["--model", model, "--reasons", -1]
    line = error_line(capsys, batch_score, BREAST_CANCER, tmp_path / "out.csv", *options)
    assert "--reasons -1" in line


def test_most_anomalous_rows_are_printed(model, tmp_path, capsys):
    call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", model, "--top", 3)
    printed = capsys.readouterr().out
    top = pd.read_csv(tmp_path / "out.csv").nlargest(3, "score")
    lines = printed.splitlines()[-3:]
    assert [int(line.split()[0]) for line in lines] == list(top["row"])
    assert "scored 569 rows" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv"], ["absent.csv"]),
        ([ROOT / "data"], ["data"]),
        ([BREAST_CANCER, "--label", "grade", "--outlier", "3"], ["breast_cancer.csv", "'grade'"]),
        (
            [BREAST_CANCER, "--label", "diagnosis", "--outlier", "bad"],
            ["breast_cancer.csv", "'diagnosis'", "'bad'", "benign, malignant"],
        ),
        ([BREAST_CANCER, "--drop", "name"], ["breast_cancer.csv", "'name'"]),
        ([BREAST_CANCER, "--set", "colour=red"], ["'colour'"]),
        ([BREAST_CANCER, "--drop", "diagnosis", "--contamination", "0.7"], ["contamination"]),
        ([BREAST_CANCER, "--drop", "diagnosis", "--set", "latent_dim=0"], ["latent_dim"]),
    ],
)
def test_train_refuses_in_one_line(tmp_path, capsys, arguments, words):
    line = error_line(capsys, train, *arguments, "--model", tmp_path / "m.skops")
    assert all(word in line for word in words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1,2\n3,4,5\n", "is not a CSV file"),
        (b"a,b\n1,2,3\n4,5,6\n", "more fields than its header"),
        (b"\xff\xfe\x00", "is not a CSV file"),
        (b"a,b\n1,2\ninf,3\n", "column 'a', row 2: 'inf' is no finite number"),
    ],
)
def test_train_names_the_unreadable_file(tmp_path, capsys, content, words):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    line = error_line(capsys, train, path, "--model", tmp_path / "m.skops")
    assert "odd.csv" in line
    assert words in line


def test_train_refuses_a_folder_for_a_model_before_training(tmp_path, capsys):
    assert str(tmp_path) in error_line(capsys, train, BREAST_CANCER, "--model", tmp_path)


def test_label_needs_its_outlier_value(tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(train, BREAST_CANCER, "--model", tmp_path / "m", "--label", "diagnosis")
    assert "--label and --outlier go together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns=["mean_area", "worst_area"]), "'mean_area', 'worst_area'"),
        (lambda t: t.replace({"mean_area": {"1326.0": "big"}}), "'mean_area', row 2: 'big'"),
        (lambda t: t.head(0), "has no rows"),
    ],
)
def test_batch_score_names_the_column_and_row(model, table, tmp_path, capsys, change, words):
    line = error_line(capsys, batch_score, table(change), tmp_path / "out.csv", "--model", model)
    assert "table.csv" in line
    assert words in line


def test_batch_score_refuses_rows_longer_than_the_header(model, tmp_path, capsys):
    header, first, second, *others = BREAST_CANCER.read_text().splitlines()
    path = tmp_path / "table.csv"
    for lines, words in (
        ([first, f"shifted,{second}", *others], "line 3"),
        ([f"shifted,{line}" for line in (first, second, *others)], "more fields than its header"),
    ):
        path.write_text("\n".join([header, *lines]))
        line = error_line(capsys, batch_score, path, tmp_path / "out.csv", "--model", model)
        assert "table.csv" in line
        assert words in line


def test_batch_score_refuses_what_is_no_date(flights_model, tmp_path, capsys):
    path = tmp_path / "flights.csv"
    pd.read_csv(FLIGHTS, dtype=str, nrows=5).assign(time_hour="Monday").to_csv(path)
    line = error_line(capsys, batch_score, path, tmp_path / "out.csv", "--model", flights_model)
    assert "'time_hour', row 1: 'Monday' is no ISO 8601 date" in line


def test_batch_score_refuses_what_is_no_model(tmp_path, capsys):
    line = error_line(capsys, batch_score, FLIGHTS, tmp_path / "out.csv", "--model", FLIGHTS)
    assert "flights.csv is not a model file of vae_anomaly" in line


def test_kept_column_must_not_hide_an_output_column(model, tmp_path, capsys):
    keep = ["--keep", "score"]
    output = tmp_path / "out.csv"
    assert "score" in error_line(capsys, batch_score, FLIGHTS, output, "--model", model, *keep)


def test_failed_run_leaves_the_old_output_alone(model, table, tmp_path, capsys):
    output = tmp_path / "out.csv"
    output.write_text("old")
    bad_end = table(lambda t: t.assign(mean_area=[*t["mean_area"][:-1], "big"]))
    arguments = [bad_end, output, "--model", model, "--chunk-rows", "100"]
    assert "row 569" in error_line(capsys, batch_score, *arguments)
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "table.csv"]


def test_killed_run_leaves_no_output_and_the_next_one_is_whole(flights_model, tmp_path):
    output = tmp_path / "out.csv"
    command = [sys.executable, ROOT / "pipelines" / "batch_score.py", FLIGHTS, output]
    run = subprocess.Popen([*command, "--model", flights_model, "--chunk-rows", "1"])
    while run.poll() is None and not any(p.stat().st_size for p in tmp_path.iterdir()):
        time.sleep(0.01)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert not output.exists()

    call(batch_score, FLIGHTS, output, "--model", flights_model)
    assert len(pd.read_csv(output)) == 10_000


def test_held_out_rows_are_those_not_trained_on(held_out):
    rows = pd.read_csv(held_out[0])
    assert rows.shape == (285, 31)
    assert (rows["diagnosis"] == "malignant").sum() == 106


def test_held_out_rows_need_a_label(tmp_path, capsys):
    arguments = [BREAST_CANCER, "--model", tmp_path / "m", "--held-out", tmp_path / "rows"]
    with pytest.raises(SystemExit):
        call(train, *arguments)
    assert "--held-out needs --label" in capsys.readouterr().err


def test_held_out_rows_do_not_overwrite_the_model(tmp_path, capsys):
    paths = ["--model", tmp_path / "m", "--held-out", tmp_path / "m"]
    with pytest.raises(SystemExit):
        call(train, BREAST_CANCER, *LABELLED, *paths)
    assert "name the same file" in capsys.readouterr().err


COST = ["--objective", "cost", "--miss-cost", "20", "--false-alarm-cost", "1"]


def tune(held_out, folder, *arguments):
    """Tune the threshold, and give the tuned model and the rows' labels and scores."""
    rows, model = held_out
    call(tune_threshold, rows, "--model", model, "--output", folder / "tuned", *arguments)
    call(batch_score, rows, folder / "scores.csv", "--model", folder / "tuned")
    scored = pd.read_csv(folder / "scores.csv", converters={"score": float})
    return load(folder / "tuned"), pd.read_csv(rows)["diagnosis"], scored


def test_tuned_threshold_has_the_least_cost_of_all(held_out, tmp_path, capsys):
    _, diagnosis, scored = tune(held_out, tmp_path, *LABELLED, *COST)
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
    tuned, _, _ = tune(held_out, tmp_path, "--objective", "budget", "--alarms", "0.1")
    assert tuned[-1].offset_ != before[-1].offset_
    rows = pd.read_csv(BREAST_CANCER)
    np.testing.assert_array_equal(tuned.score_samples(rows), before.score_samples(rows))


@pytest.mark.parametrize(
    ("options", "n_alarms"), [(["--alarms", "0.1"], 28), (["--alarms", "5", "--per", "100"], 14)]
)
def test_alarms_keep_the_budget(held_out, tmp_path, capsys, options, n_alarms):
    _, _, scored = tune(held_out, tmp_path, "--objective", "budget", *options)
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
    tune(held_out, tmp_path, *LABELLED, "--objective", *options)
    lines = {line[:9].strip(): line.split() for line in capsys.readouterr().out.splitlines()}
    assert all(0 <= float(value) <= 1 for value in lines["precision"][1:] + lines["recall"][1:])
    assert len(lines["precision"]) == 6


def test_rows_too_few_to_resample_still_give_a_threshold(held_out, tmp_path, capsys):
    rows = pd.read_csv(held_out[0]).head(101)
    rows.to_csv(tmp_path / "few.csv", index=False)
    tune((tmp_path / "few.csv", held_out[1]), tmp_path, "--objective", "tail")
    assert "how sure the choice is cannot be told" in capsys.readouterr().out


def test_rows_may_lack_a_label(held_out, tmp_path, capsys):
    rows = pd.read_csv(held_out[0], dtype=str)
    rows.loc[::2, "diagnosis"] = None
    rows.to_csv(tmp_path / "partly.csv", index=False)
    tune((tmp_path / "partly.csv", held_out[1]), tmp_path, *LABELLED, *COST)
    assert "143 without a label" in capsys.readouterr().out


def test_the_model_may_be_tuned_in_place(held_out, tmp_path):
    path = tmp_path / "model.skops"
    shutil.copy(held_out[1], path)
    call(tune_threshold, held_out[0], "--model", path, "--output", path, *LABELLED, *COST)
    assert load(path)[-1].offset_ != load(held_out[1])[-1].offset_


@pytest.mark.parametrize("labels", [[], LABELLED], ids=["scores", "scores and labels"])
def test_a_picture_is_drawn(held_out, tmp_path, labels):
    tune(held_out, tmp_path, *labels, "--plot", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (COST, "--objective cost needs labels: set --label and --outlier"),
        ([*LABELLED, "--objective", "cost", "--miss-cost", "5"], "needs --false-alarm-cost"),
        (["--beta", "2"], "--beta cannot be used with --objective auto"),
        (["--objective", "budget", "--alarms", "-1"], "--alarms: alarms of AlarmBudget must be"),
        (["--label", "grade", "--outlier", "3"], "rows.csv has no column 'grade'"),
        (["--label", "diagnosis", "--outlier", "bad"], "'diagnosis' must have the value 'bad'"),
        (["--plot", "picture.txt"], "must end in one of"),
    ],
)
def test_tune_threshold_refuses_in_one_line(held_out, tmp_path, capsys, options, words):
    rows, model = held_out
    arguments = [rows, "--model", model, "--output", tmp_path / "tuned", *options]
    assert words in error_line(capsys, tune_threshold, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_tune_threshold_refuses_what_is_no_model(held_out, tmp_path, capsys):
    arguments = [held_out[0], "--model", held_out[0], "--output", tmp_path / "tuned"]
    assert "rows.csv is not a model file of vae_anomaly" in error_line(
        capsys, tune_threshold, *arguments
    )


def test_script_exits_with_2_and_no_traceback(tmp_path):
    command = [sys.executable, ROOT / "pipelines" / "train.py", "absent.csv", "--model", "m"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("train.py: error: ")
    assert "Traceback" not in run.stderr


def test_pickle_needs_a_flag(model, tmp_path, capsys):
    joblib.dump(load(model), tmp_path / "model.joblib")
    arguments = [BREAST_CANCER, tmp_path / "out.csv", "--model", tmp_path / "model.joblib"]
    assert "with --allow-pickle" in error_line(capsys, batch_score, *arguments)
    with pytest.warns(UserWarning, match="can run any code"):
        call(batch_score, *arguments, "--allow-pickle")


def test_onnx_files_are_scored(model, table, tmp_path, capsys):
    rows = pd.read_csv(BREAST_CANCER)
    to_onnx(load(model), tmp_path / "m.onnx", X=rows[load(model).feature_names_in_])
    outputs = []
    for name in (model, tmp_path / "m.onnx"):
        call(batch_score, BREAST_CANCER, tmp_path / "out.csv", "--model", name)
        outputs.append(pd.read_csv(tmp_path / "out.csv"))
    pd.testing.assert_frame_equal(*outputs, rtol=1e-4)
    capsys.readouterr()
    bad = table(lambda t: t.assign(mean_area="big"))
    arguments = [bad, tmp_path / "out.csv", "--model", tmp_path / "m.onnx"]
    assert "'mean_area', row 1: 'big' is no finite number" in error_line(
        capsys, batch_score, *arguments
    )
    arguments = [BREAST_CANCER, "--output", tmp_path / "t", "--model", tmp_path / "m.onnx"]
    assert "tune the pipeline" in error_line(capsys, tune_threshold, *arguments)


def test_categories_of_onnx_files_are_texts(tmp_path):
    table = pd.read_csv(FLIGHTS, dtype=str).drop(columns=["unusual", "time_hour", "tailnum"])
    table.head(1000).to_csv(tmp_path / "flights.csv", index=False)
    call(train, tmp_path / "flights.csv", "--model", tmp_path / "m.skops", *FAST)
    rows = pd.read_csv(tmp_path / "flights.csv")
    to_onnx(load(tmp_path / "m.skops"), tmp_path / "m.onnx", X=rows)
    outputs = []
    for name in ("m.skops", "m.onnx"):
        files = [tmp_path / "flights.csv", tmp_path / "out.csv"]
        call(batch_score, *files, "--model", tmp_path / name)
        outputs.append(pd.read_csv(tmp_path / "out.csv"))
    pd.testing.assert_frame_equal(*outputs, rtol=1e-4)
