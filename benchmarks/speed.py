"""Speed and memory: VAEAnomalyDetector compared with other detectors and the machine's limit.

Each contender runs in a process of its own, so that the libraries do not interfere with each other.
The parent process runs them one after the other, round after round. A ratio tells how many times as
fast (or as small) the detector is as its peer: it is the median over the rounds of the ratio within
a round. So ratios are meaningful on a busy machine too, where seconds are not, although code on
several threads, such as the detector's, then suffers more than code on a single thread.

Contenders that take more than ten seconds run only once. The limit is the time of the matrix
products of the same networks alone, in NumPy, in float32 and on the same threads.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import itertools
import multiprocessing
import os
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

HAS_PYOD = all(importlib.util.find_spec(name) for name in ("pyod", "torch"))
SLOW_SECONDS = 10
TOO_SLOW_SECONDS = 60

Measure = Callable[[], float]
"""Does some work and returns seconds, or another figure such as MB or steps per second."""


class Line(NamedTuple):
    """A row of the table; `bar` is the smallest ratio and `most` the largest value to reach."""

    what: str
    ours: list[float]
    peer: list[float] | None = None
    unit: str = "s"
    bar: float | None = None
    most: float | None = None

    def cells(self) -> list[str]:
        ratio = self._ratio()
        bar, met = "", ""
        if self.bar is not None and ratio is not None:
            bar, met = f">= {self.bar:g}", "yes" if ratio >= self.bar else "NO"
        if self.most is not None:
            bar = f"<= {self.most:g} {self.unit}"
            met = "yes" if statistics.median(self.ours) <= self.most else "NO"
        return [
            self.what,
            self._value(self.ours),
            "" if self.peer is None else self._value(self.peer),
            "" if ratio is None else f"{ratio:.2f}",
            bar,
            met,
        ]

    def _ratio(self) -> float | None:
        if self.peer is None:
            return None
        if len(self.ours) == len(self.peer):
            pairs = zip(self.ours, self.peer, strict=True)
            ratio = statistics.median(peer / ours for ours, peer in pairs)
        else:
            ratio = statistics.median(self.peer) / statistics.median(self.ours)
        return 1 / ratio if self.unit == "steps/s" else ratio

    def _value(self, values: list[float]) -> str:
        value = statistics.median(values)
        return f"{value:,.0f} {self.unit}" if value >= 100 else f"{value:.3g} {self.unit}"


class Worker:
    """A process that sets up a contender and then measures it on request."""

    _context = multiprocessing.get_context("spawn")

    def __init__(self, setup: Callable[[], Measure]) -> None:
        self._end, end = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(end, setup))
        self._process.start()
        end.close()
        self._end.recv()

    def measure(self) -> Any:
        self._end.send(None)
        return self._end.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._process.join()


def _serve(end: Connection, setup: Callable[[], Measure]) -> None:
    measure = setup()
    end.send(None)
    while True:
        try:
            end.recv()
        except EOFError:
            return
        end.send(measure())


def in_turn(contenders: dict[str, Callable[[], Measure]], rounds: int) -> dict[str, list[float]]:
    """Measure each contender in each round, in one process for all rounds, after a warm-up run."""
    figures: dict[str, list[float]] = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(make)) for name, make in contenders.items()}
        slow = set()
        for name, worker in workers.items():
            start = time.perf_counter()
            figure = worker.measure()
            if time.perf_counter() - start > SLOW_SECONDS:
                slow.add(name)
            figures[name] = [figure] if name in slow else []
        for _ in range(rounds):
            for name, worker in workers.items():
                if name not in slow:
                    figures[name].append(worker.measure())
    return figures


def in_turn_afresh(
    contenders: dict[str, Callable[[], Measure]], rounds: int
) -> dict[str, list[Any]]:
    """Measure each contender in each round, in a new process each time."""
    figures: dict[str, list[Any]] = {name: [] for name in contenders}
    slow = set()
    for _ in range(rounds):
        for name, make in contenders.items():
            if name in slow:
                continue
            with Worker(make) as worker:
                start = time.perf_counter()
                figures[name].append(worker.measure())
                if time.perf_counter() - start > SLOW_SECONDS:
                    slow.add(name)
    return figures


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make_rows(n_rows: int, n_features: int, seed: int = 0) -> np.ndarray:
    """Return float64 rows on a curved surface of 8 dimensions, with added noise."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).standard_normal((8, n_features))
    X = np.tanh(rng.standard_normal((n_rows, 8))) @ mixing
    X += 0.1 * rng.standard_normal(X.shape)
    return X


# The contenders. Libraries that are slow to import are only imported where they are needed.


def make_ours(**parameters: Any) -> Any:
    import vae_anomaly.training.loop  # noqa: F401  (imports TensorFlow before any clock runs)
    from vae_anomaly import VAEAnomalyDetector

    return VAEAnomalyDetector(random_state=0, **parameters)


def make_pyod(hidden: tuple[int, ...] | None = None, **parameters: Any) -> Any:
    from pyod.models.vae import VAE

    if hidden is not None:
        parameters["encoder_neuron_list"] = list(hidden)
        parameters["decoder_neuron_list"] = list(hidden[::-1])
        parameters["dropout_rate"] = 0.0
    return VAE(verbose=0, **parameters)


def default_layers(n_features: int = 30) -> tuple[list, list]:
    """Return the shapes of the kernels of the default encoder and decoder."""
    from vae_anomaly import VAEAnomalyDetector
    from vae_anomaly.networks.spec import ARCHITECTURES

    hidden = ARCHITECTURES["dense"].hidden_layer_sizes
    return layers(n_features, hidden, VAEAnomalyDetector().latent_dim)


def layers(n_features: int, hidden: tuple[int, ...], latent: int) -> tuple[list, list]:
    encoder = [n_features, *hidden, 2 * latent]  # the mean and the log variance in one product
    decoder = [latent, *hidden[::-1], n_features]
    return list(itertools.pairwise(encoder)), list(itertools.pairwise(decoder))


def kernels(shapes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) / np.float32(shape[0]) for shape in shapes]


# 1. Training


def ours_rate(n_rows: int, hidden: tuple[int, ...], latent: int, batch: int) -> Measure:
    X = make_rows(n_rows, 30)

    def fit(n_epochs: int) -> float:
        detector = make_ours(
            hidden_layer_sizes=hidden,
            latent_dim=latent,
            batch_size=batch,
            input_noise=0.0,
            dropout=0.0,
            contamination=0.1,
            max_iter=n_epochs,
        )
        return seconds(lambda: detector.fit(X))

    return functools.partial(_rate, fit, few=1, many=6, steps_per_epoch=n_rows / batch)


def pyod_rate(n_rows: int, hidden: tuple[int, ...], latent: int, batch: int) -> Measure:
    X = make_rows(n_rows, 30)

    def fit(n_epochs: int) -> float:
        detector = make_pyod(hidden, latent_dim=latent, batch_size=batch, epoch_num=n_epochs)
        return seconds(lambda: detector.fit(X))

    return functools.partial(_rate, fit, few=1, many=4, steps_per_epoch=n_rows // batch)


def keras_rate(n_rows: int, hidden: tuple[int, ...], latent: int, batch: int) -> Measure:
    """Measure the textbook VAE, a subclass of keras.Model that adds the KL divergence as a loss."""
    from vae_anomaly.backend import keras

    layers, ops = keras.layers, keras.ops

    def stack(sizes: tuple[int, ...], n_out: int) -> keras.Sequential:
        hidden = [layers.Dense(size, "relu") for size in sizes]
        return keras.Sequential([*hidden, layers.Dense(n_out)])

    class VAE(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = stack(hidden, 2 * latent), stack(hidden[::-1], 30)
            self.seed_generator = keras.random.SeedGenerator(0)

        def call(self, x: Any) -> Any:
            mean, log_var = ops.split(self.encoder(x), 2, axis=-1)
            noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
            kl = -0.5 * ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=-1)
            self.add_loss(ops.mean(kl))
            return self.decoder(mean + ops.exp(0.5 * log_var) * noise)

    X = make_rows(n_rows, 30).astype(np.float32)
    model = VAE()
    model.compile("adam", "mse")
    model.fit(X, X, batch_size=batch, epochs=1, verbose=0)

    def fit(n_epochs: int) -> float:
        return seconds(lambda: model.fit(X, X, batch_size=batch, epochs=n_epochs, verbose=0))

    return functools.partial(_rate, fit, few=1, many=3, steps_per_epoch=-(-n_rows // batch))


def products_rate(n_rows: int, hidden: tuple[int, ...], latent: int, batch: int) -> Measure:
    """Measure the matrix products of a step: forward, and back to the inputs and to the kernels.

    They run on one thread or on all threads, whichever is faster.
    """
    from threadpoolctl import threadpool_limits

    encoder, decoder = (kernels(shapes) for shapes in layers(30, hidden, latent))
    x = np.ones((batch, 30), np.float32)

    def step() -> None:
        seen = []
        signal = x
        for kernel in [*encoder, *decoder]:
            signal = signal[:, : len(kernel)]  # the decoder takes one of the two heads
            seen.append(signal)
            signal = signal @ kernel
        for i, kernel in reversed(list(enumerate([*encoder, *decoder]))):
            if i == len(encoder) - 1:
                signal = np.concatenate([signal, signal], axis=1)
            seen[i].T @ signal
            if i:
                signal = signal @ kernel.T

    def many_steps() -> None:
        for _ in range(300):
            step()

    def rate() -> float:
        on_all_threads = seconds(many_steps)
        with threadpool_limits(1):
            return 300 / min(on_all_threads, seconds(many_steps))

    return rate


def _rate(fit: Callable[[int], float], few: int, many: int, steps_per_epoch: float) -> float:
    """Return the steps per second, from the difference of two fits to exclude all overhead."""
    short, long = fit(few), fit(many)
    return (many - few) * steps_per_epoch / (long - short)


def training(rounds: int, quick: bool) -> Iterator[Line]:
    n_rows = 10_000 if quick else 50_000
    for hidden, latent, bar in (((128, 64), 8, 3.0), ((256, 128), 32, 1.5)):
        args = n_rows, hidden, latent, 128
        contenders = {
            "ours": functools.partial(ours_rate, *args),
            "keras": functools.partial(keras_rate, *args),
            "products": functools.partial(products_rate, *args),
        }
        if HAS_PYOD:
            contenders["pyod"] = functools.partial(pyod_rate, *args)
        rates = in_turn(contenders, rounds)
        network = "-".join(map(str, [30, *hidden, latent]))
        what = f"training {network}, batch 128, against "
        yield Line(what + "Model.fit", rates["ours"], rates["keras"], "steps/s", bar)
        if HAS_PYOD:
            yield Line(what + "PyOD's VAE", rates["ours"], rates["pyod"], "steps/s", 5.0)
        yield Line(what + "its products", rates["ours"], rates["products"], "steps/s", 0.4)


# 2. Whole fits


def first_fit(make: Callable[[], Any], n_rows: int, n_features: int) -> Measure:
    X = make_rows(n_rows, n_features)
    detector = make()
    return lambda: seconds(lambda: detector.fit(X))


def two_fits(make: Callable[[], Any]) -> Callable[[], tuple[float, float]]:
    """Measure a first fit, and a second one with another number of rows in the same process."""
    first, second = make_rows(200, 10), make_rows(230, 10)
    detectors = make(), make()
    return lambda: (
        seconds(lambda: detectors[0].fit(first)),
        seconds(lambda: detectors[1].fit(second)),
    )


def fitting(rounds: int, quick: bool) -> Iterator[Line]:
    sizes = [(2_000, 20, 1.0)] if quick else [(2_000, 20, 1.0), (20_000, 50, 4.0)]
    for n_rows, n_features, bar in sizes:
        contenders = {"ours": functools.partial(first_fit, make_ours, n_rows, n_features)}
        if HAS_PYOD:
            contenders["pyod"] = functools.partial(first_fit, make_pyod, n_rows, n_features)
        times = in_turn_afresh(contenders, rounds)
        what = f"first fit, defaults, {n_rows:,} x {n_features}"
        what += ", against PyOD's VAE" if HAS_PYOD else ""
        yield Line(what, times["ours"], times.get("pyod"), bar=bar)

    contenders = {"ours": functools.partial(two_fits, functools.partial(make_ours, max_iter=1))}
    if HAS_PYOD:
        contenders["pyod"] = functools.partial(
            two_fits, functools.partial(make_pyod, epoch_num=1, batch_size=128)
        )
    times = in_turn_afresh(contenders, rounds)
    for i, (which, most) in enumerate([("first", 1.5), ("second", 0.1)]):
        what = f"overhead of the {which} fit: one epoch, {(200, 230)[i]} x 10"
        peer = [pair[i] for pair in times["pyod"]] if HAS_PYOD else None
        what += ", against PyOD's VAE" if HAS_PYOD else ""
        yield Line(what, [pair[i] for pair in times["ours"]], peer, most=most)


# 3. Scoring


def scorer(make: Callable[[], Any], n_rows: int) -> Measure:
    X = make_rows(n_rows, 30, seed=1)
    detector = make().fit(make_rows(5_000, 30))
    return lambda: seconds(lambda: detector.decision_function(X))


def make_forest(**parameters: Any) -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=100, random_state=0, **parameters)


def make_lof() -> Any:
    from sklearn.neighbors import LocalOutlierFactor

    return LocalOutlierFactor(novelty=True)


def products_alone(n_draws: int, n_rows: int) -> Measure:
    """Measure the products of encoder and decoder, in tiles that fit in cache, on all threads."""
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    tile = 512
    encoder, decoder = (kernels(shapes) for shapes in default_layers())
    tiles = [min(tile, n_rows - start) for start in range(0, n_rows, tile)]

    def work(sizes: list[int]) -> None:
        x = np.ones((tile, 30), np.float32)
        buffers = [np.empty((tile, kernel.shape[1]), np.float32) for kernel in encoder + decoder]
        for size in sizes:
            signal = x[:size]
            for kernel, buffer in zip(encoder, buffers, strict=False):
                signal = np.matmul(signal, kernel, out=buffer[:size])
            code = np.ascontiguousarray(signal[:, : len(decoder[0])])
            for _ in range(max(1, n_draws)):
                signal = code
                for kernel, buffer in zip(decoder, buffers[len(encoder) :], strict=True):
                    signal = np.matmul(signal, kernel, out=buffer[:size])

    def all_tiles() -> None:
        n_threads = min(cpu_count(), len(tiles))
        with threadpool_limits(1), ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work, [tiles[i::n_threads] for i in range(n_threads)]))

    return lambda: seconds(all_tiles)


def scoring(rounds: int, quick: bool) -> Iterator[Line]:
    from vae_anomaly import VAEAnomalyDetector

    n_draws = VAEAnomalyDetector().n_draws
    peers: dict[str, Callable[[int], Measure]] = {
        "IsolationForest": functools.partial(scorer, make_forest),
        "IsolationForest(n_jobs=-1)": functools.partial(
            scorer, functools.partial(make_forest, n_jobs=-1)
        ),
        "LocalOutlierFactor": functools.partial(scorer, make_lof),
    }
    if HAS_PYOD:
        peers["PyOD's VAE"] = functools.partial(
            scorer, functools.partial(make_pyod, epoch_num=1, batch_size=128)
        )
    for n_rows in (1_000, 10_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000):
        contenders = {name: functools.partial(make, n_rows) for name, make in peers.items()}
        for draws in (n_draws, 0):
            make = functools.partial(make_ours, n_draws=draws, max_iter=1)
            contenders[f"ours {draws}"] = functools.partial(scorer, make, n_rows)
            contenders[f"products {draws}"] = functools.partial(products_alone, draws, n_rows)
        times = in_turn(contenders, rounds)
        for draws, default in ((n_draws, " (the default)"), (0, "")):
            ours = times[f"ours {draws}"]
            what = f"scoring {n_rows:,} x 30, n_draws={draws}{default}, against "
            judged = n_rows == 1_000_000
            for name in peers:
                bar = (1.0 if draws else 2.5) if judged and name == "IsolationForest" else None
                yield Line(what + name, ours, times[name], bar=bar)
            bar = 0.5 if judged else None
            yield Line(what + "its products", ours, times[f"products {draws}"], bar=bar)
        peers = {
            name: make
            for name, make in peers.items()
            if 10 * statistics.median(times[name]) < TOO_SLOW_SECONDS
        }


# 4. Memory


def anonymous_mb() -> float:
    """Return this process's memory in MB, without memory-mapped files such as the input."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def workspace(detector_path: str, rows_path: str) -> Measure:
    """Measure the peak memory of scoring in MB, beyond the input and the scores returned."""
    X = np.load(rows_path, mmap_mode="r")
    detector = pickle.loads(Path(detector_path).read_bytes())

    def measure() -> float:
        before = peak = anonymous_mb()
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.005):
                peak = max(peak, anonymous_mb())

        thread = threading.Thread(target=watch)
        thread.start()
        scores = detector.score_samples(X)
        done.set()
        thread.join()
        return peak - before - scores.nbytes / 2**20

    return measure


def memory(rounds: int, quick: bool) -> Iterator[Line]:
    if not Path("/proc/self/status").exists():
        print("memory: left out, it needs Linux", file=sys.stderr)
        return
    n_rows = 500_000 if quick else 5_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "rows.npy"))
        X = np.lib.format.open_memmap(path, "w+", shape=(n_rows, 30), dtype=np.float64)
        for start in range(0, n_rows, 100_000):
            X[start : start + 100_000] = make_rows(min(100_000, n_rows - start), 30, seed=start)
        X.flush()
        del X
        contenders = {}
        makers = {"ours": functools.partial(make_ours, max_iter=1), "forest": make_forest}
        for name, make in makers.items():
            save(make, make_rows(5_000, 30), f"{folder}/{name}")
            contenders[name] = functools.partial(workspace, f"{folder}/{name}", path)
        peaks = in_turn_afresh(contenders, 1 if quick else min(rounds, 3))
    what = f"workspace to score {n_rows:,} x 30 float64 from a file, against IsolationForest"
    yield Line(what, peaks["ours"], peaks["forest"], "MB", most=300)


# 5. Start-up


def start_up(rounds: int, quick: bool) -> Iterator[Line]:
    import pandas as pd

    columns = [f"column {i}" for i in range(10)]
    frame = pd.DataFrame(make_rows(500, 10), columns=columns)
    imports = {
        "ours": "import vae_anomaly",
        "sklearn.ensemble and pandas": "import sklearn.ensemble, pandas",
    }
    detectors = {
        "ours": functools.partial(make_ours, max_iter=1),
        "IsolationForest": make_forest,
    }
    if HAS_PYOD:
        imports["PyOD's VAE"] = "from pyod.models.vae import VAE"
        detectors["PyOD's VAE"] = functools.partial(make_pyod, epoch_num=1, batch_size=128)

    times: dict[str, list[float]] = {name: [] for name in imports}
    for _ in range(rounds):
        for name, code in imports.items():
            times[name].append(seconds(lambda code=code: run_python(code)))
    for name in [name for name in imports if name != "ours"]:
        yield Line(f"python -c 'import vae_anomaly', against {name}", times["ours"], times[name])

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "frame").write_bytes(pickle.dumps(frame.head(10)))
        codes = {}
        for i, (name, make) in enumerate(detectors.items()):
            save(make, frame, f"{folder}/{i}")
            codes[name] = (
                "import pickle, sys, warnings\n"
                "warnings.simplefilter('ignore')\n"
                f"frame = pickle.load(open({f'{folder}/frame'!r}, 'rb'))\n"
                f"pickle.load(open({f'{folder}/{i}'!r}, 'rb')).predict(frame)\n"
                "print('tensorflow' in sys.modules or 'keras' in sys.modules)"
            )
        if run_python(codes["ours"]).strip() != "False":
            print("start-up: unpickling and predict import TensorFlow", file=sys.stderr)
        times = {name: [] for name in codes}
        for _ in range(rounds):
            for name, code in codes.items():
                times[name].append(seconds(lambda code=code: run_python(code)))
    for name in [name for name in codes if name != "ours"]:
        what = f"python, unpickle and predict 10 rows, against {name}"
        yield Line(what, times["ours"], times[name])


def save(make: Callable[[], Any], X: Any, path: str) -> None:
    """Fit in a separate process, and pickle the result."""
    with Worker(functools.partial(saver, make, X, path)) as worker:
        worker.measure()


def saver(make: Callable[[], Any], X: Any, path: str) -> Measure:
    return lambda: Path(path).write_bytes(pickle.dumps(make().fit(X)))


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


# 6. Grid search


HIDDEN = [(64, 32), (128, 64), (256, 128)]
LATENT = [4, 8]
LEARNING_RATES = [1e-3, 3e-3]
N_EPOCHS = 5


def search(make: Callable[[], Any], grid: Any, n_rows: int) -> Measure:
    from sklearn.model_selection import GridSearchCV

    X = make_rows(n_rows, 20)
    grid_search = GridSearchCV(
        make(), grid, scoring=mean_decision, cv=3, refit=False, error_score="raise"
    )
    return lambda: seconds(lambda: grid_search.fit(X))


def mean_decision(detector: Any, X: np.ndarray, y: object = None) -> float:
    return float(np.mean(detector.decision_function(X)))


def grid_search(rounds: int, quick: bool) -> Iterator[Line]:
    n_rows = 1_000 if quick else 5_000
    grid = {
        "hidden_layer_sizes": HIDDEN,
        "latent_dim": LATENT,
        "learning_rate_init": LEARNING_RATES,
    }
    pyod_grid = [
        {
            "encoder_neuron_list": [list(hidden)],
            "decoder_neuron_list": [list(hidden[::-1])],
            "latent_dim": LATENT,
            "lr": LEARNING_RATES,
        }
        for hidden in HIDDEN
    ]
    ours = functools.partial(make_ours, max_iter=N_EPOCHS, batch_size=128)
    contenders = {
        "auto": functools.partial(search, ours, grid, n_rows),
        "0.1": functools.partial(search, functools.partial(ours, contamination=0.1), grid, n_rows),
    }
    if HAS_PYOD:
        pyod = functools.partial(make_pyod, (64, 32), epoch_num=N_EPOCHS, batch_size=128)
        contenders["pyod"] = functools.partial(search, pyod, pyod_grid, n_rows)
    times = in_turn_afresh(contenders, 1)
    for contamination in ("0.1", "auto"):
        what = f"GridSearchCV, 12 settings x 3 folds, {n_rows:,} x 20, {N_EPOCHS} epochs, "
        what += f"contamination={contamination}" + (", against PyOD's VAE" if HAS_PYOD else "")
        yield Line(what, times[contamination], times.get("pyod"), bar=3.0)


# 7. Growth


def growth(rounds: int, quick: bool) -> Iterator[Line]:
    rows = [(1_000, 30), (10_000, 30), (100_000, 30), (1_000_000, 30)]
    columns = [(10_000, 10), (10_000, 100), (10_000, 1_000)]
    for shapes in (rows[:-1], columns) if quick else (rows, columns):
        contenders = {}
        for shape in shapes:
            contenders["fit", shape] = functools.partial(warm_fit, *shape)
            contenders["score", shape] = functools.partial(warm_score, *shape)
        # One at a time, as all processes together would not fit in the memory of a small machine.
        times: dict[Any, list[float]] = {}
        for name, contender in contenders.items():
            times |= in_turn({name: contender}, min(rounds, 3))
        for work, how in (("fit", "defaults, second fit of a process"), ("score", "defaults")):
            for smaller, shape in zip([None, *shapes], shapes, strict=False):
                what = f"{work}, {how}, {shape[0]:,} x {shape[1]:,}"
                what += "" if smaller is None else f", against {smaller[0]:,} x {smaller[1]:,}"
                peer = None if smaller is None else times[work, smaller]
                yield Line(what, times[work, shape], peer)


def warm_fit(n_rows: int, n_features: int) -> Measure:
    X = make_rows(n_rows, n_features)
    make_ours(max_iter=1).fit(make_rows(200, n_features))
    return lambda: seconds(lambda: make_ours().fit(X))


def warm_score(n_rows: int, n_features: int) -> Measure:
    X = make_rows(n_rows, n_features)
    detector = make_ours(max_iter=1).fit(X[:1_000])
    return lambda: seconds(lambda: detector.score_samples(X))


SECTIONS = {
    "training": training,
    "fitting": fitting,
    "scoring": scoring,
    "memory": memory,
    "start-up": start_up,
    "grid-search": grid_search,
    "growth": growth,
}


def describe_machine() -> str:
    names = ["vae-anomaly", "numpy", "scikit-learn", "tensorflow", "tensorflow-cpu", "keras"]
    names += ["pyod", "torch"]
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{os.cpu_count()} cores of {model}{load}; Python {platform.python_version()}, "
        + ", ".join(versions)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SECTIONS,
        default=list(SECTIONS),
        metavar="SECTION",
        help=f"what to measure, some of {', '.join(SECTIONS)} (default: all)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="use smaller sizes, for a trial run")
    arguments = parser.parse_args()

    # Otherwise torch's threads spin while they wait, which makes PyOD 70 times slower on a busy
    # machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not HAS_PYOD:
        print("PyOD or torch is not installed: left out.", file=sys.stderr)
    print(describe_machine(), end="\n\n")
    print("| what | ours | peer | ratio | bar | met |")
    print("| --- | ---: | ---: | ---: | --- | --- |", flush=True)
    for name in arguments.only:
        for line in SECTIONS[name](arguments.rounds, arguments.quick):
            print(f"| {' | '.join(line.cells())} |", flush=True)


if __name__ == "__main__":
    main()
