"""The data sets of the ADBench collection: subsets and splits, shared by several benchmarks."""

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
    """Return a parser with the arguments that these scripts have in common."""
    parser = argparse.ArgumentParser(
        description=f"{description}\n{SOURCE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DATA_FOLDER")
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of seeds of split and model (default: 3)"
    )
    parser.add_argument(
        "--max-rows", type=int, default=6000, help="rows drawn from larger sets (default: 6000)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="SET",
        help="data sets to use, by number or name (default: all in the folder)",
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[Path]]:
    """Return the arguments and their `paths`, or exit with an error message."""
    args = parser.parse_args()
    try:
        return args, paths(args)
    except OSError as error:
        parser.error(str(error))


def paths(args: argparse.Namespace) -> list[Path]:
    """Return the files of the chosen data sets, the smallest first."""
    found = sorted(args.folder.glob("*.npz"), key=lambda path: path.stat().st_size)
    if args.only:
        found = [p for p in found if {p.stem, p.stem.split("_")[0]}.intersection(args.only)]
    if not found:
        raise FileNotFoundError(f"no such .npz files in {args.folder}")
    return found


def draw(
    path: Path, seed: int, setting: str, max_rows: int, *, raw: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the training rows, the test rows and the labels of the test rows.

    If a data set has more than `max_rows` rows, a subset is drawn that keeps the share of outliers,
    but has at least 30 of them if there are that many. Unless `raw` is True, the columns are
    standardised by the mean and the standard deviation of the training rows.
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
