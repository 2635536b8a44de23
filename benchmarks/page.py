"""Fill the tables and pictures of docs/benchmarks.md from the files in benchmarks/results/.

What stands on the page between a line <!-- NAME --> and the next <!-- end --> is written by this
script, the rest by hand. With --check nothing is written, and the exit status is 1 if the page or a
picture is not what the results give. The pictures need matplotlib.
"""

import argparse
import hashlib
import itertools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import quality
from _results import FOLDER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = FOLDER.parents[1] / "docs" / "benchmarks.md"
IMAGES = PAGE.parent / "images"
ADBENCH = [FOLDER / "quality.csv", FOLDER / "quality_pyod.csv"]
PART = re.compile(r"<!-- (?P<name>[\w ,-]+) -->\n.*?<!-- end -->", re.DOTALL)

OURS = "**VAEAnomalyDetector**"
NAMES = {
    "vae": OURS,
    "VAEAnomalyDetector": OURS,
    "iforest": "IsolationForest",
    "lof": "LocalOutlierFactor",
    "ocsvm": "OneClassSVM",
    "gmm": "GaussianMixture, 8 components",
    "GaussianMixture": "GaussianMixture, 8 components",
    "EllipticEnvelope": "EllipticEnvelope (robust covariance)",
    "knn": "distance to the fifth neighbour",
    "knn_mean": "mean squared distance to five neighbours",
    "neighbours": "mean squared distance to five neighbours",
    "rule": "the rule on `arr_delay`, told to no detector",
    "pyod_vae": "PyOD VAE",
    "pyod_ae": "PyOD AutoEncoder",
}
COMPARED = {"knn_mean": "five neighbours", "iforest": "IsolationForest", "pyod_vae": "PyOD's VAE"}
SERIES_LINES = {
    "VAE": "**`WindowedDetector(VAEAnomalyDetector())`**",
    "squared norm": "whitened and smoothed like ours: squared norm of the window",
    **{
        f"{peer}, {windows}": f"{title}: {peer}"
        for windows, title in (
            ("like the default", "whitened and smoothed like ours"),
            ("plain windows of 32", "plain windows of 32, their mean"),
        )
        for peer in ("PCA", "k-means", "neighbours", "IsolationForest")
    },
}
SETTINGS = {"one-class": "trained on inliers", "unsupervised": "outliers among the training rows"}
WORDS = ("missing numbers", "peer")
"""Columns of words, which are not aligned on the right as numbers are."""
THRESHOLD_DETECTORS = {
    "vae": "VAEAnomalyDetector",
    "knn": "nearest neighbours",
    "forest": "IsolationForest",
}
F1_RULES = {
    "tuned": '`TunedThresholdDetectorCV(scoring="f1")`',
    "by folds": "the same by `OneClassKFold(5)`, without a second set of rows",
    "resampled": "median choice of 50 resamples (`bootstrap_threshold`)",
    "true share": "quantile of the new rows at their true share of outliers",
    "contamination 0.01": "`contamination=0.01`, a quantile of the training rows",
    "contamination 0.1": "`contamination=0.1`",
}
ALARM_RULES = {
    "auto": "`AutoThreshold()`, which aims at 1 %",
    "tail 0.01": "`ExtremeValueTail(0.01)`",
    "tail 0.001": "`ExtremeValueTail(0.001)`",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    text = PAGE.read_text()
    filled = fill(text)
    if not is_check:
        PAGE.write_text(filled)
        for path, draw in PICTURES.items():
            draw(path)
    elif filled != text or any(digest() not in path.read_text() for path in PICTURES):
        sys.exit("docs/benchmarks.md is not up to date: run python benchmarks/page.py")


def fill(text: str) -> str:
    """Return the page with what the results give."""
    return PART.sub(lambda part: written(part["name"]), text)


def written(name: str) -> str:
    return f"<!-- {name} -->\n\n{PARTS[name]()}\n\n<!-- end -->"


def markdown(table: pd.DataFrame) -> str:
    """Return a table whose cells are texts; the first column is the index."""
    head = [table.index.name or "", *table.columns]
    rule = ["---"] + ["---" if name in WORDS else "---:" for name in table.columns]
    lines = [head, rule, *table.reset_index().to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def digits(value: float, n: int = 3) -> str:
    return "" if pd.isna(value) else f"{value:.{n}f}"


def p_value(value: float) -> str:
    if pd.isna(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.1g}"


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def summary() -> str:
    lines = []
    for setting, title in SETTINGS.items():
        of = {
            name: both(*row) for name, row in quality.means(adbench(setting)).iloc[:, :2].iterrows()
        }
        beside = ", ".join(f"{of[name]} of {title}" for name, title in COMPARED.items())
        lines.append(f"21 tables, {title}: mean AUROC / AUPRC **{of['vae']}**, beside {beside}.")
    flights = pd.read_csv(FOLDER / "data_tables.csv").query(
        "table == 'flights' and train_on == 'all' and model == 'VAEAnomalyDetector'"
    )
    ours = flights.mean(numeric_only=True)
    lines.append(
        "The flights, as they come: AUROC / average precision "
        f"**{both(ours['auroc'], ours['average_precision'])}**. The automatic threshold finds "
        f"{ours['n_found']:.0f} of {ours['n_outliers']:.0f}, with {ours['n_false_alarms']:.0f} "
        f"false alarms among {ours['n_inliers']:,.0f} other rows."
    )
    return "\n".join(f"- {line}" for line in lines)


def both(auroc: float, precision: float) -> str:
    return f"{digits(auroc)} / {digits(precision)}"


# -- The tables of ADBench -------------------------------------------------------------------------


def adbench(setting: str) -> pd.DataFrame:
    table = pd.concat(map(pd.read_csv, ADBENCH))
    return table[table.setting == setting]


def quality_table(setting: str) -> str:
    table = adbench(setting)
    means = quality.means(table)
    ahead = quality.differences(table, "vae").reindex(means.index)
    shown = pd.DataFrame(
        {
            "AUROC": means["AUROC"].map(digits),
            "AUPRC": means["AUPRC"].map(digits),
            "rank": means["rank"].map(lambda rank: digits(rank, 1)),
            "best": means["best on"].map(str),
            "far below": means["far below iforest"].map(str),
            "p (AUROC)": ahead["p (AUROC)"].map(p_value),
            "p (AUPRC)": ahead["p (AUPRC)"].map(p_value),
        }
    )
    return markdown(shown.rename(index=NAMES).rename_axis("detector"))


def draw_sets(path: Path) -> None:
    """Draw the AUROC of each set: ours, the trees and the neighbours."""
    import matplotlib.pyplot as plt

    from vae_anomaly.axes import COLORS, remove_spines

    shown = {
        "vae": "VAEAnomalyDetector",
        "knn_mean": "five neighbours",
        "iforest": NAMES["iforest"],
    }
    figure, axes = plt.subplots(
        1, 2, figsize=(9, 6), sharex=True, sharey=True, layout="constrained"
    )
    by_setting = {setting: quality.by_set(adbench(setting))[0][list(shown)] for setting in SETTINGS}
    order = by_setting["one-class"]["vae"].sort_values().index
    lowest = min(auroc.min(axis=None) for auroc in by_setting.values())
    for ax, (setting, title) in zip(axes, SETTINGS.items(), strict=True):
        auroc = by_setting[setting].loc[order]
        rows = range(len(auroc))
        ax.hlines(rows, auroc.min(axis=1), auroc.max(axis=1), color="#D0D0D0", zorder=0)
        for name, color, marker, size in zip(shown, COLORS, "os^", (64, 30, 34), strict=False):
            ax.scatter(auroc[name], rows, size, color, marker, label=shown[name])
        ax.set(title=title[0].upper() + title[1:], xlabel="AUROC", xlim=(lowest - 0.02, 1.01))
        ax.axvline(0.5, color="#D0D0D0", linestyle=":", zorder=0)
    axes[0].set_yticks(rows, [name.split("_", 1)[1] for name in order])
    axes[0].legend(loc="upper left", frameon=False, fontsize=8, handletextpad=0.2)
    remove_spines(list(axes), keep_right=False)
    save(figure, path)


def draw_means(path: Path) -> None:
    """Draw the mean AUPRC of each detector in one setting over that in the other."""
    import matplotlib.pyplot as plt

    from vae_anomaly.axes import COLORS, GREY, remove_spines

    clean, dirty = (quality.means(adbench(setting))["AUPRC"] for setting in SETTINGS)
    labels = {"knn": "fifth neighbour", "knn_mean": COMPARED["knn_mean"]}
    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in clean.index:
        is_ours = name == "vae"
        ax.scatter(clean[name], dirty[name], 70 if is_ours else 40, COLORS[0] if is_ours else GREY)
        ax.annotate(
            labels.get(name, NAMES[name]).strip("*"),
            (clean[name], dirty[name]),
            xytext=(0, -16 if name == "knn_mean" else 7),  # lest it covers that of "knn"
            textcoords="offset points",
            ha="center",
            fontweight="bold" if is_ours else "normal",
            fontsize=9,
        )
    ax.set(
        xlabel=f"Mean AUPRC, {SETTINGS['one-class']}",
        ylabel=f"Mean AUPRC, {SETTINGS['unsupervised']}",
    )
    ax.margins(0.15)
    remove_spines([ax], keep_right=False)
    save(figure, path)


def save(figure: "Figure", path: Path) -> None:
    import matplotlib as mpl

    path.parent.mkdir(exist_ok=True)
    # The same file each time, which tells what it was drawn from, so that --check can see it.
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None, "Description": digest()}, facecolor="white")


def digest() -> str:
    """Return what tells one state of the results from another."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in ADBENCH)).hexdigest()


# -- The tables of data/ ---------------------------------------------------------------------------


def data_table(name: str, train_on: str) -> str:
    table = pd.read_csv(FOLDER / "data_tables.csv").query(
        "table == @name and train_on == @train_on"
    )
    n_outliers, n_inliers = table[["n_outliers", "n_inliers"]].mean().round().astype(int)
    groups = table.drop(columns=["table", "train_on", "seed"]).groupby(["model", "missing"])
    means = groups.mean().sort_values("average_precision", ascending=False)
    shown = pd.DataFrame(index=means.index.get_level_values("model").map(lambda n: NAMES.get(n, n)))
    shown.index.name = "detector"
    if len(set(means.index.get_level_values("missing"))) > 2:
        shown["missing numbers"] = means.index.get_level_values("missing")
    shown["AUROC"] = means["auroc"].map(digits).to_numpy()
    shown["average precision"] = means["average_precision"].map(digits).to_numpy()
    for column, title in (
        ("n_found", f"found, of {n_outliers}"),
        ("n_false_alarms", f"false alarms, of {n_inliers:,}"),
    ):
        shown[title] = ["" if pd.isna(count) else f"{count:,.0f}" for count in means[column]]
    return markdown(shown)


# -- Thresholds and series -------------------------------------------------------------------------


def thresholds() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "thresholds.csv")


def threshold_sets() -> str:
    names = sorted({name.split("_", 1)[1] for name in thresholds()["dataset"]}, key=str.lower)
    return f"These are the figures of {len(names)} tables, one seed: {', '.join(names)}."


def f1_table() -> str:
    by_set = thresholds().drop(columns="seed").groupby(["detector", "dataset"]).mean()
    mean, worst = (by_set.groupby("detector").agg(how)[list(F1_RULES)] for how in ("mean", "min"))
    shown = pd.DataFrame(
        {
            title: [f"{mean.at[name, rule]:.3f} ({worst.at[name, rule]:.3f})" for rule in F1_RULES]
            for name, title in THRESHOLD_DETECTORS.items()
        },
        index=pd.Index(F1_RULES.values(), name="threshold"),
    )
    return markdown(shown)


def alarm_table() -> str:
    fits = thresholds().groupby("detector")
    shown = pd.DataFrame(index=pd.Index(ALARM_RULES.values(), name="threshold"))
    for name, title in THRESHOLD_DETECTORS.items():
        of_detector = fits.get_group(name)
        shown[title] = [
            ", ".join(
                share(s) for s in of_detector[f"{rule}: alarms"].agg(["median", "mean", "max"])
            )
            for rule in ALARM_RULES
        ]
    return markdown(shown)


def conformal_table() -> str:
    means = thresholds().drop(columns="dataset").groupby("detector").mean()
    lines = {
        f"false alarms at alpha = {alpha}": f"alpha {alpha}" for alpha in ("0.01", "0.05", "0.1")
    }
    lines["false discoveries at a level of 10 %"] = "false discoveries"
    lines["outliers found at this level"] = "found"
    shown = pd.DataFrame(
        {
            title: means.loc[name, list(lines.values())]
            for name, title in THRESHOLD_DETECTORS.items()
        }
    )
    shown.index = pd.Index(lines, name="p-values, calibrated on half of the new inliers")
    return markdown(shown.map(share))


def series_table() -> str:
    table = pd.read_csv(FOLDER / "series.csv")
    # Of plain windows, whose scores were never meant to be smoothed, those that suit them best.
    vus_pr = table["smooth"].where(~table["line"].str.contains("plain"), table["mean"])
    means = vus_pr.groupby([table["line"], table["collection"]]).mean().unstack()
    means = means.loc[list(SERIES_LINES), ["skab", "nab"]].sort_values("skab", ascending=False)
    shown = means.map(digits).set_axis(["SKAB", "NAB"], axis=1)
    return markdown(shown.rename(index=SERIES_LINES).rename_axis("detector"))


def speed_table() -> str:
    table = pd.read_csv(FOLDER / "speed.csv", dtype=str, index_col="what")
    return markdown(table.rename_axis(""))


# -- How all this was made -------------------------------------------------------------------------


def runs() -> str:
    lines = []
    for path in sorted(FOLDER.glob("*.json")):
        for run in json.loads(path.read_text()):
            note = f"; {run['note']}" if "note" in run else ""
            lines.append(
                f"- [{path.stem}.csv](../benchmarks/results/{path.stem}.csv): `{run['command']}` "
                f"({run['date']}, commit {run['commit']}, {run['processor']}{note})"
            )
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "summary": summary,
    **{f"quality, {name}": lambda name=name: quality_table(name) for name in SETTINGS},
    **{
        f"{table}, {rows}": lambda table=table, rows=rows: data_table(table, rows)
        for table, rows in itertools.product(("flights", "breast_cancer"), ("all", "inliers"))
    },
    "thresholds, sets": threshold_sets,
    "thresholds, f1": f1_table,
    "thresholds, alarms": alarm_table,
    "thresholds, conformal": conformal_table,
    "series": series_table,
    "speed": speed_table,
    "runs": runs,
}
PICTURES: dict[Path, Callable[[Path], None]] = {
    IMAGES / "benchmarks_means.svg": draw_means,
    IMAGES / "benchmarks_sets.svg": draw_sets,
}


if __name__ == "__main__":
    main()
