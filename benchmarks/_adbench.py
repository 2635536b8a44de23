"""The data sets of the ADBench collection, drawn and split as quality.py and false_alarms.py do."""

import argparse
from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

SETTINGS = ("one-class", "unsupervised")

SOURCE = """\
DATA_FOLDER holds the tables of ADBench (Han et al., "ADBench: Anomaly Detection Benchmark",
NeurIPS 2022): the .npz files of adbench/datasets/Classical at github.com/Minqi824/ADBench, each
with X (rows, features) and y (1 marks an outlier)."""


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of what all scripts here take."""
    parser = argparse.ArgumentParser(
        description=f"{description}\n{SOURCE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of split and model (3)")
    parser.add_argument(
        "--max-rows", type=int, default=6000, help="of larger sets, rows drawn by seed (6000)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="SET",
        help="sets to use, by number or name (default: all in the folder)",
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[Path]]:
    """Return the arguments and `paths` of them, or end with what is wrong."""
    args = parser.parse_args()
    try:
        return args, paths(args)
    except OSError as error:
        parser.error(str(error))


def paths(args: argparse.Namespace) -> list[Path]:
    """Return the files of the sets asked for, the smallest first."""
    found = sorted(args.folder.glob("*.npz"), key=lambda path: path.stat().st_size)
    if args.only:
        found = [p for p in found if {p.stem, p.stem.split("_")[0]}.intersection(args.only)]
    if not found:
        raise FileNotFoundError(f"no such .npz files in {args.folder}")
    return found


def draw(
    path: Path, seed: int, setting: str, max_rows: int, *, raw: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return training rows, test rows and the test rows' labels.

    Of a set with more than `max_rows` rows a subset is drawn: the share of outliers is kept, but
    there are never fewer than 30 of them where there are that many. Columns are standardised with
    mean and standard deviation of the training rows, unless `raw`.
    """
    with np.load(path, allow_pickle=False) as file:
        X, y = file["X"].astype(np.float64), file["y"].astype(int).ravel()
    rng = np.random.default_rng(seed)
    if len(y) > max_rows:
        order = rng.permutation(len(y))
        outliers, inliers = order[y[order] == 1], order[y[order] == 0]
        n_outliers = max(min(30, len(outliers)), round(max_rows * len(outliers) / len(y)))
        kept = np.concatenate([outliers[:n_outliers], inliers[: max_rows - n_outliers]])
        X, y = X[kept], y[kept]
    if setting == "unsupervised":
        train = test = rng.permutation(len(y))
    else:
        inliers = rng.permutation(np.flatnonzero(y == 0))
        train, rest = np.split(inliers, [len(inliers) // 2])
        test = np.concatenate([rest, np.flatnonzero(y == 1)])
    if not raw:
        X = StandardScaler().fit(X[train]).transform(X)
    return X[train], X[test], y[test]
