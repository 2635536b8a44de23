"""The training loop: compiled once per architecture, many steps per call, no Python per batch."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from vae_anomaly.backend import keras, tf
from vae_anomaly.losses import loss_terms
from vae_anomaly.networks import NetworkSpec, Weights
from vae_anomaly.networks.functions import Functions
from vae_anomaly.networks.keras_networks import build_decoder, build_encoder

WARM_UP = 0.3
"""Share of the steps over which the weight of the KL divergence rises from 0 to beta."""

MAX_GRADIENT_NORM = 1.0

INDICATOR_DEVIATION = 0.5
"""Of a column that is 0 or 1, the largest it can be: the unit of the noise on such an input."""

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Adam's, as in Keras
_STEPS_PER_CALL = 200
_BATCH_UNIT = 512
_BUFFER_ROWS = 65_536


@dataclass(frozen=True)
class Settings:
    """What a training run needs to know besides the data and the network.

    With `anneal`, beta warms up and the learning rate falls along half a cosine; without it both
    are constant, for training that goes on from call to call. `progress` is the text of a progress
    bar; without text there is none.
    """

    beta: float
    input_noise: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    support_fraction: float
    n_epochs: int
    tol: float
    n_iter_no_change: int
    progress: str
    anneal: bool = True


class Moments(NamedTuple):
    """Adam's moments of all trained numbers, as flat vectors, and the number of steps taken."""

    mean: np.ndarray
    variance: np.ndarray
    n_steps: int


def initial_weights(spec: NetworkSpec, scale: np.ndarray, rng: np.random.RandomState) -> Weights:
    """Return freshly drawn weights of an encoder and a decoder."""
    encoder, decoder = build_encoder(spec, rng), build_decoder(spec, rng)
    return Weights(encoder.get_weights(), decoder.get_weights(), scale)


def train(
    source: RowsInMemory | RowsInBuffers,
    spec: NetworkSpec,
    weights: Weights,
    settings: Settings,
    rng: np.random.RandomState,
    moments: Moments | None = None,
    validation_loss: Callable[[Weights], float] | None = None,
) -> tuple[Weights, dict[str, list[float]], Moments]:
    """Minimise the loss by Adam on mini-batches of shuffled rows.

    Parameters
    ----------
    source : RowsInMemory or RowsInBuffers
        The rows as the networks see them, in batches.
    spec, weights : NetworkSpec, Weights
        The network and the weights to start from.
    settings : Settings
        Everything else.
    rng : RandomState
        Source of the noise.
    moments : Moments, optional
        Adam's moments to go on with.
    validation_loss : callable, optional
        Loss of the held-out rows under given weights. Once it has not fallen by `tol` for
        `n_iter_no_change` epochs, training stops; the best weights are returned.

    Returns
    -------
    weights : Weights
        The trained weights.
    history : dict of lists
        "loss", "reconstruction", "kl" and, with `validation_loss`, "val_loss", one by epoch.
    moments : Moments
        Adam's moments at the end.

    Raises
    ------
    ValueError
        If training diverges.
    """
    epoch_ends = -(-np.arange(1, settings.n_epochs + 1) * source.n_rows // source.batch_size)
    n_steps = int(epoch_ends[-1])
    stops = {*range(_STEPS_PER_CALL, n_steps, _STEPS_PER_CALL), n_steps}
    if validation_loss is not None:
        stops.update(epoch_ends.tolist())

    loop = _Loop(spec, weights, settings, moments, n_steps, source.batch_size, rng)
    best = _BestWeights(settings.tol, settings.n_iter_no_change)
    losses: list[np.ndarray] = []
    n_done = 0
    with _progress_bar(n_steps, settings.progress) as bar:
        for stop in sorted(stops):
            while n_done < stop:
                losses.append(loop.advance(*source.take(stop - n_done), n_done))
                n_done += len(losses[-1])
                bar.set_postfix(loss=f"{losses[-1][:, 0].mean():.4g}", refresh=False)
                bar.update(len(losses[-1]))
            if validation_loss is not None and stop in epoch_ends:
                current = loop.weights()
                if best.should_stop(validation_loss(current), current):
                    break

    history = _by_epoch(np.concatenate(losses), epoch_ends)
    trained = loop.weights()
    if validation_loss is not None:
        history["val_loss"], trained = best.losses, best.weights
    if not all(np.isfinite(w).all() for w in _as_list(trained)):
        raise ValueError(
            "Training diverged: the weights are not finite. Lower learning_rate_init "
            f"(now {settings.learning_rate})."
        )
    return trained, history, loop.moments()


class _Loop:
    """The numbers in training, and the compiled steps that change them.

    All of them lie in one vector, not in one per layer: the optimiser's update is one fused
    operation, and the loop knows nothing of the architecture.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        weights: Weights,
        settings: Settings,
        moments: Moments | None,
        n_steps: int,
        batch_size: int,
        rng: np.random.RandomState,
    ) -> None:
        flat = np.concatenate([w.ravel() for w in _as_list(weights)])
        if moments is None:
            moments = Moments(np.zeros_like(flat), np.zeros_like(flat), 0)
        self._template = weights
        self._parameters = tf.Variable(flat)
        self._mean, self._variance = tf.Variable(moments.mean), tf.Variable(moments.variance)
        self._n_steps = moments.n_steps
        self._learning_rate, self._beta = _schedules(settings, n_steps)
        self._input_noise = tf.constant(settings.input_noise, tf.float32)
        self._support_fraction = tf.constant(settings.support_fraction, tf.float32)
        self._weight_decay = tf.constant(settings.weight_decay, tf.float32)
        self._seed = tf.constant(rng.randint(np.iinfo(np.int32).max))
        # Few rows are no batch of their own size, which would be traced for every number of them.
        units = -(-batch_size // _BATCH_UNIT)
        self._batch_size = min(settings.batch_size, units * _BATCH_UNIT)
        self._steps = _compiled_steps(
            spec,
            self._batch_size,
            noisy=settings.input_noise > 0,
            decaying=settings.weight_decay > 0,
            trimming=settings.support_fraction < 1,
        )

    def advance(
        self, X: tf.Tensor, sample_weight: tf.Tensor, batches: np.ndarray, start: int
    ) -> np.ndarray:
        """Take one step per row of `batches`; return loss, reconstruction and KL of each step.

        `start` is the number of steps before, by the schedules.
        """
        stop = start + len(batches)
        batch_size = batches.shape[1]
        if batch_size < self._batch_size:  # idle rows without weight fill it up
            batches = np.pad(
                batches, ((0, 0), (0, self._batch_size - batch_size)), constant_values=len(X)
            )
            X = tf.concat([X, tf.zeros_like(X[:1])], axis=0)
            sample_weight = tf.concat(
                [sample_weight * self._batch_size / batch_size, [0.0]], axis=0
            )
        losses = self._steps(
            self._parameters,
            self._mean,
            self._variance,
            X,
            sample_weight,
            tf.constant(batches),
            tf.constant(self._learning_rate[start:stop]),
            tf.constant(self._beta[start:stop]),
            self._input_noise,
            self._weight_decay,
            self._support_fraction,
            self._seed,
            tf.constant(self._n_steps),
        )
        self._n_steps += len(batches)
        return losses.numpy()

    def weights(self) -> Weights:
        """Return the present weights."""
        template = _as_list(self._template)
        parts = np.split(self._parameters.numpy(), np.cumsum([w.size for w in template])[:-1])
        arrays = [part.reshape(w.shape) for part, w in zip(parts, template, strict=True)]
        n_encoder = len(self._template.encoder)
        return Weights(arrays[:n_encoder], arrays[n_encoder:-1], arrays[-1])

    def moments(self) -> Moments:
        """Return the optimiser's state."""
        return Moments(self._mean.numpy(), self._variance.numpy(), self._n_steps)


@functools.lru_cache(maxsize=32)
def _compiled_steps(
    spec: NetworkSpec, batch_size: int, *, noisy: bool, decaying: bool, trimming: bool
) -> Callable[..., tf.Tensor]:
    """Return the compiled loop over steps for one architecture.

    It holds no state: all that changes comes in as variables, so that one trace serves any number
    of fits, rows, steps and threads. Networks and noise are rebuilt from their specification.
    A known `batch_size` spares a step sixty small operations that compute shapes. And halves of a
    batch are computed side by side, on a core each: these products are too small to be shared.
    XLA has no part in it: it compiles for most of a second, for steps that take two thirds of the
    time in a 30-128-64-8 network and hardly less in a 30-256-128-32 one.
    """
    functions = Functions(spec)
    encoder, decoder = functions.encoder, functions.decoder
    kernels = encoder.trainable_variables + decoder.trainable_variables
    shapes = [tuple(v.shape) for v in kernels] + [(spec.n_features,)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    n_encoder, d = len(encoder.trainable_variables), spec.latent_dim
    deviation = np.ones(spec.n_features, np.float32)
    for first, stop in spec.one_hot_groups:
        deviation[first:stop] = INDICATOR_DEVIATION
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    n_slices = 2 if spec.is_dense and batch_size % 2 == 0 and not has_gpu else 1
    decayed = np.repeat([float(len(shape) > 1) for shape in shapes], sizes).astype(np.float32)

    def step_losses(
        parts: list, x: tf.Tensor, x_input: tf.Tensor, noise: tf.Tensor, step: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        *weights, scale = parts
        reconstruction, kl = loss_terms(
            x,
            x_input,
            lambda x: functions.encode(x, weights[:n_encoder], step),
            lambda z: functions.decode(z[0], weights[n_encoder:], step)[None],  # one draw
            noise[None],
            spec.likelihood,
            scale if spec.likelihood.learns_scale else tf.stop_gradient(scale),
            keras.ops,
        )
        return tf.reduce_sum(reconstruction, axis=1), tf.reduce_sum(kl, axis=1)

    # Without AutoGraph, whose reading of the source was half of the overhead of a first fit.
    @tf.function(autograph=False)
    def steps(
        parameters: tf.Variable,
        mean: tf.Variable,
        variance: tf.Variable,
        X: tf.Tensor,
        sample_weight: tf.Tensor,
        batches: tf.Tensor,
        learning_rate: tf.Tensor,
        beta: tf.Tensor,
        input_noise: tf.Tensor,
        weight_decay: tf.Tensor,
        support_fraction: tf.Tensor,
        seed: tf.Tensor,
        n_steps_before: tf.Tensor,
    ) -> tf.Tensor:
        n_steps = tf.shape(batches)[0]

        def take_step(i: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            step = n_steps_before + i
            key = tf.stack([seed, step])
            batch = batches[i]
            noise = tf.random.stateless_normal(
                [batch_size, d + spec.n_features if noisy else d], key
            )
            x = x_input = tf.gather(X, batch)
            if noisy:
                level = tf.random.stateless_uniform([batch_size, 1], key, maxval=2.0)
                x_input = x + input_noise * level * deviation * noise[:, d:]
            flat = parameters.read_value()
            parts = [
                tf.reshape(part, shape)
                for part, shape in zip(tf.split(flat, sizes), shapes, strict=True)
            ]
            slices = zip(
                *(tf.split(t, n_slices) for t in (x, x_input, noise[:, :d])),
                [n_slices * step + j for j in range(n_slices)],
                strict=True,
            )
            terms = [step_losses(parts, *rows) for rows in slices]
            reconstruction, kl = (tf.concat(term, axis=0) for term in zip(*terms, strict=True))
            weight = tf.gather(sample_weight, batch)
            if trimming:
                ranks = tf.where(weight > 0, -kl, -np.inf)
                n_rows = tf.reduce_sum(tf.cast(weight > 0, tf.float32))
                n_kept = tf.cast(tf.math.ceil(support_fraction * n_rows), tf.int32)
                largest = -tf.math.top_k(ranks, n_kept).values[-1]
                weight *= tf.cast(kl <= largest, tf.float32)
            loss = tf.reduce_mean(weight * (reconstruction + beta[i] * kl))
            gradient = tf.concat(
                [
                    tf.reshape(g, [-1])
                    for g in tf.gradients(
                        loss, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO
                    )
                ],
                axis=0,
            )
            # Not tf.clip_by_norm, which goes over the whole vector three times more.
            norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
            gradient *= tf.minimum(1.0, MAX_GRADIENT_NORM / norm)
            rate = learning_rate[i]
            if decaying:
                parameters.assign_sub(rate * weight_decay * decayed * flat)
            n_done = tf.cast(step + 1, tf.float32)
            tf.raw_ops.ResourceApplyAdam(
                var=parameters.handle,
                m=mean.handle,
                v=variance.handle,
                beta1_power=_BETA_1**n_done,
                beta2_power=_BETA_2**n_done,
                lr=rate,
                beta1=_BETA_1,
                beta2=_BETA_2,
                epsilon=_EPSILON,
                grad=gradient,
            )
            row = [loss, tf.reduce_mean(weight * reconstruction), tf.reduce_mean(weight * kl)]
            return i + 1, losses.write(i, tf.stack(row))

        start = tf.constant(0), tf.TensorArray(tf.float32, n_steps)
        _, losses = tf.while_loop(lambda i, _: i < n_steps, take_step, start)
        return losses.stack()

    scalar, vector = tf.TensorSpec([], tf.float32), tf.TensorSpec([None], tf.float32)
    variables = [tf.Variable(tf.zeros(sum(sizes))) for _ in range(3)]
    return steps.get_concrete_function(
        *variables,
        tf.TensorSpec([None, spec.n_features], tf.float32),
        vector,
        tf.TensorSpec([None, batch_size], tf.int32),
        vector,
        vector,
        scalar,
        scalar,
        scalar,
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.int32),
    )


class RowsInMemory:
    """All rows in one float32 tensor; batches are cut from one random permutation after another.

    Parameters
    ----------
    chunks : iterable of arrays (n, p)
        The rows, float32. They are copied one by one, so that there is no second copy of all.
    sample_weight : array of shape (n_rows,)
        Weights of the rows' losses; only their ratios matter.
    n_features : int
        Number of columns, p.
    batch_size : int
        Rows of a batch; all rows where there are fewer.
    rng : RandomState
        Source of the order of the rows.
    """

    def __init__(
        self,
        chunks: Iterable[np.ndarray],
        sample_weight: np.ndarray,
        n_features: int,
        batch_size: int,
        rng: np.random.RandomState,
    ) -> None:
        self.n_rows = len(sample_weight)
        self.batch_size = min(batch_size, self.n_rows)
        rows = tf.Variable(tf.zeros([self.n_rows, n_features]))
        start = 0
        for chunk in chunks:
            rows[start : start + len(chunk)].assign(chunk)
            start += len(chunk)
        self._X = rows.read_value()
        self._sample_weight = tf.constant(sample_weight / np.mean(sample_weight), tf.float32)
        self._rng = rng
        self._left = np.empty(0, np.int32)

    def take(self, n_batches: int) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """Return the rows, their weights and the next batches.

        Batches are numbers of rows, (n_batches, batch_size) int32.
        """
        needed = n_batches * self.batch_size
        parts = [self._left]
        n_drawn = len(self._left)
        while n_drawn < needed:
            parts.append(self._rng.permutation(self.n_rows).astype(np.int32))
            n_drawn += self.n_rows
        drawn = np.concatenate(parts)
        self._left = drawn[needed:]
        return self._X, self._sample_weight, drawn[:needed].reshape(n_batches, self.batch_size)


class RowsInBuffers:
    """Rows that do not fit into memory: one buffer of them at a time, shuffled.

    Parameters
    ----------
    chunks : callable
        Goes through all rows: arrays (n, p), float32. Called once for each epoch.
    n_rows : int
        Number of all rows.
    batch_size : int
        Rows of a batch; all rows where there are fewer.
    rng : RandomState
        Source of the order of the rows in a buffer.
    """

    def __init__(
        self,
        chunks: Callable[[], Iterable[np.ndarray]],
        n_rows: int,
        batch_size: int,
        rng: np.random.RandomState,
    ) -> None:
        self.n_rows, self.batch_size = n_rows, min(batch_size, n_rows)
        self._chunks = itertools.chain.from_iterable(chunks() for _ in itertools.count())
        self._rng = rng
        self._left: list[np.ndarray] = []  # rows too few for a batch
        self._batches = np.empty((0, self.batch_size), np.int32)

    def take(self, n_batches: int) -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
        """Return a buffer of rows, their weights, and at most `n_batches` of its batches."""
        if not len(self._batches):
            self._fill()
        taken, self._batches = self._batches[:n_batches], self._batches[n_batches:]
        return self._X, self._sample_weight, taken

    def _fill(self) -> None:
        parts, n_rows = self._left, sum(map(len, self._left))
        while n_rows < max(_BUFFER_ROWS, self.batch_size):
            parts.append(next(self._chunks))
            n_rows += len(parts[-1])
            if n_rows >= self.n_rows:
                break  # all rows there are
        order = self._rng.permutation(n_rows).astype(np.int32)
        n_used = n_rows - n_rows % self.batch_size
        rows = np.concatenate(parts)
        self._left = [rows[order[n_used:]]]
        self._batches = order[:n_used].reshape(-1, self.batch_size)
        self._X, self._sample_weight = tf.constant(rows), tf.ones(n_rows)


class _BestWeights:
    """Early stopping: the best weights so far, and whether it is time to stop."""

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self._tol, self._n_iter_no_change = tol, n_iter_no_change
        self._to_beat, self._n_waited = np.inf, 0
        self.losses: list[float] = []
        self.weights: Weights

    def should_stop(self, loss: float, weights: Weights) -> bool:
        """Take note of the loss after an epoch."""
        if not self.losses or loss < min(self.losses):
            self.weights = weights
        self.losses.append(loss)
        if loss < self._to_beat - self._tol:
            self._to_beat, self._n_waited = loss, 0
        else:
            self._n_waited += 1
        return self._n_waited >= self._n_iter_no_change


def _schedules(settings: Settings, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return learning rate and weight of the KL divergence by step, each (n_steps,) float32."""
    learning_rate = np.full(n_steps, settings.learning_rate, np.float32)
    beta = np.full(n_steps, settings.beta, np.float32)
    if settings.anneal:
        progress = np.arange(n_steps, dtype=np.float32) / n_steps
        learning_rate *= 0.5 * (1.0 + np.cos(np.pi * progress))
        beta *= np.minimum(1.0, progress / WARM_UP)
    return learning_rate, beta


def _by_epoch(losses: np.ndarray, epoch_ends: np.ndarray) -> dict[str, list[float]]:
    """Average the losses of steps, (n_steps, 3), over each epoch."""
    ends = epoch_ends[epoch_ends <= len(losses)]
    starts = np.concatenate([[0], ends[:-1]])
    means = np.add.reduceat(losses.astype(np.float64), starts) / (ends - starts)[:, None]
    return dict(zip(("loss", "reconstruction", "kl"), means.T.tolist(), strict=True))


def _as_list(weights: Weights) -> list[np.ndarray]:
    return [*weights.encoder, *weights.decoder, weights.scale]


def _progress_bar(n_steps: int, text: str) -> tqdm:
    # A terminal redraws the bar in place; a log file would keep every redrawing.
    return tqdm(
        total=n_steps,
        desc=text,
        unit="step",
        disable=not text,
        mininterval=0.1 if sys.stderr.isatty() else 5.0,
    )
