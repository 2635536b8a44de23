"""The training loop: epochs, schedules and early stopping."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vae_anomaly.backend import tf
from vae_anomaly.networks.keras_networks import keras_networks
from vae_anomaly.networks.spec import NetworkSpec, Weights
from vae_anomaly.training.plan import TrainingPlan
from vae_anomaly.training.progress import end_early, progress_bar
from vae_anomaly.training.rows import RowsInBuffers, RowsInMemory
from vae_anomaly.training.step import compiled_steps

WARM_UP = 0.3
"""The fraction of the steps over which the weight of the KL divergence rises from 0 to beta."""

_STEPS_PER_CALL = 200
_BATCH_UNIT = 512


class Moments(NamedTuple):
    """Adam's moments of all trained parameters, as flat vectors, and the number of steps taken."""

    mean: np.ndarray
    variance: np.ndarray
    n_steps: int


class Trained(NamedTuple):
    """The result of a training run."""

    weights: Weights
    history: dict[str, list[float]]
    """"loss", "reconstruction", "kl" and, with early stopping, "val_loss" of each epoch."""
    moments: Moments
    """Adam's moments at the end of training."""


def initial_weights(
    spec: NetworkSpec, observation_log_var: np.ndarray, rng: np.random.RandomState
) -> Weights:
    """Return new random weights for an encoder and a decoder."""
    return keras_networks(spec).initial_weights(observation_log_var, rng)


def train(
    source: RowsInMemory | RowsInBuffers,
    spec: NetworkSpec,
    weights: Weights,
    plan: TrainingPlan,
    rng: np.random.RandomState,
    moments: Moments | None = None,
    validation_loss: Callable[[Weights], float] | None = None,
    on_epoch_end: Callable[[Callable[[], Weights], bool], bool] | None = None,
) -> Trained:
    """Minimise the loss with Adam on mini-batches of shuffled rows.

    Parameters
    ----------
    source : RowsInMemory or RowsInBuffers
        The batches of rows, in the units of the networks.
    spec, weights : NetworkSpec, Weights
        The networks and their initial weights.
    plan : TrainingPlan
        All other settings.
    rng : RandomState
        Controls the noise and dropout.
    moments : Moments or None, default=None
        Adam's moments from an earlier call. By default they start from zero.
    validation_loss : callable or None, default=None
        Maps weights to the loss of the validation rows. If this has not fallen by `tol` for
        `n_iter_no_change` epochs, training stops. The weights with the lowest loss are returned.
    on_epoch_end : callable or None, default=None
        Called after each epoch with a function that returns the current weights, and with whether
        training stops because of the validation loss. Training stops if it returns True.

    Returns
    -------
    trained : Trained
        The weights, the history and the moments. If training diverges, they are not finite.
    """
    epoch_ends = -(-np.arange(1, plan.n_epochs + 1) * source.n_rows // source.batch_size)
    n_scheduled, n_steps = int(epoch_ends[-1]), int(epoch_ends[plan.n_epochs_to_run - 1])
    stops = {*range(_STEPS_PER_CALL, n_steps, _STEPS_PER_CALL), n_steps}
    watched = validation_loss is not None or on_epoch_end is not None
    if watched:
        stops.update(epoch_ends[: plan.n_epochs_to_run].tolist())

    loop = _Loop(
        spec, weights, plan, moments, n_scheduled, source.batch_size, source.has_missing, rng
    )
    best = _BestWeights(plan.tol, plan.n_iter_no_change)
    losses: list[np.ndarray] = []
    n_done = 0
    with progress_bar(n_steps, plan.progress) as bar:
        for stop in sorted(stops):
            while n_done < stop:
                losses.append(loop.advance(*source.take(stop - n_done), n_done))
                n_done += len(losses[-1])
                bar.set_postfix(loss=f"{losses[-1][:, 0].mean():.4g}", refresh=False)
                bar.update(len(losses[-1]))
            if not watched or stop not in epoch_ends:
                continue
            stopping = False
            if validation_loss is not None:
                current = loop.weights()
                stopping = best.should_stop(validation_loss(current), current)
            if on_epoch_end is not None:
                stopping = on_epoch_end(loop.weights, stopping)
            if stopping:
                end_early(bar)
                break

    history = _by_epoch(np.concatenate(losses), epoch_ends)
    trained = loop.weights()
    if validation_loss is not None:
        history["val_loss"], trained = best.losses, best.weights
    return Trained(trained, history, loop.moments())


class _Loop:
    """The parameters being trained, and the compiled steps that update them.

    All parameters are in one vector instead of one array per layer. So the optimiser's update is a
    single fused operation, and the loop does not depend on the architecture.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        weights: Weights,
        plan: TrainingPlan,
        moments: Moments | None,
        n_steps: int,
        batch_size: int,
        has_missing: bool,
        rng: np.random.RandomState,
    ) -> None:
        flat = np.concatenate([w.ravel() for w in _as_list(weights)])
        if moments is None:
            moments = Moments(np.zeros_like(flat), np.zeros_like(flat), 0)
        self._template = weights
        self._parameters = tf.Variable(flat)
        self._mean, self._variance = tf.Variable(moments.mean), tf.Variable(moments.variance)
        self._n_steps = moments.n_steps
        self._learning_rate, self._beta = _schedules(plan, n_steps)
        self._input_noise = tf.constant(plan.input_noise, tf.float32)
        self._support_fraction = tf.constant(plan.support_fraction or 1.0, tf.float32)
        self._seed = tf.constant(rng.randint(np.iinfo(np.int32).max))
        # Small batches are padded, as otherwise each number of rows would be traced anew.
        units = -(-batch_size // _BATCH_UNIT)
        self._batch_size = min(plan.batch_size, units * _BATCH_UNIT)
        self._steps = compiled_steps(
            spec,
            self._batch_size,
            noisy=plan.input_noise > 0,
            support=plan.support,
            missing=has_missing,
        )

    def advance(
        self, X: tf.Tensor, sample_weight: tf.Tensor, batches: np.ndarray, start: int
    ) -> np.ndarray:
        """Take one step per row of `batches`; return loss, reconstruction and KL of each step.

        `start` is the index of the first step in the schedules.
        """
        stop = start + len(batches)
        batch_size = batches.shape[1]
        if batch_size < self._batch_size:  # pad the batches with idle rows of weight zero
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
            self._support_fraction,
            self._seed,
            tf.constant(self._n_steps),
        )
        self._n_steps += len(batches)
        return losses.numpy()

    def weights(self) -> Weights:
        """Return the current weights."""
        template = _as_list(self._template)
        parts = np.split(self._parameters.numpy(), np.cumsum([w.size for w in template])[:-1])
        arrays = [part.reshape(w.shape) for part, w in zip(parts, template, strict=True)]
        n_encoder = len(self._template.encoder)
        return Weights(arrays[:n_encoder], arrays[n_encoder:-1], arrays[-1])

    def moments(self) -> Moments:
        """Return the state of the optimiser."""
        return Moments(self._mean.numpy(), self._variance.numpy(), self._n_steps)


class _BestWeights:
    """Early stopping: keeps the best weights so far and decides when to stop."""

    def __init__(self, tol: float, n_iter_no_change: int) -> None:
        self._tol, self._n_iter_no_change = tol, n_iter_no_change
        self._to_beat, self._n_waited = np.inf, 0
        self.losses: list[float] = []
        self.weights: Weights

    def should_stop(self, loss: float, weights: Weights) -> bool:
        """Record the validation loss after an epoch; return whether training should stop."""
        if not self.losses or loss < min(self.losses):
            self.weights = weights
        self.losses.append(loss)
        if loss < self._to_beat - self._tol:
            self._to_beat, self._n_waited = loss, 0
        else:
            self._n_waited += 1
        return self._n_waited >= self._n_iter_no_change


def _schedules(plan: TrainingPlan, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the learning rate and the KL weight of each step, each (n_steps,) float32."""
    progress = np.arange(n_steps, dtype=np.float32) / n_steps
    learning_rate = np.full(n_steps, plan.learning_rate, np.float32)
    beta = np.full(n_steps, plan.beta, np.float32)
    if plan.cosine:
        learning_rate *= 0.5 * (1.0 + np.cos(np.pi * progress))
    if plan.warm_up:
        beta *= np.minimum(1.0, progress / WARM_UP)
    return learning_rate, beta


def _by_epoch(losses: np.ndarray, epoch_ends: np.ndarray) -> dict[str, list[float]]:
    """Average the losses of the steps, (n_steps, 3), over each complete epoch."""
    ends = epoch_ends[epoch_ends <= len(losses)]
    starts = np.concatenate([[0], ends[:-1]])
    means = np.add.reduceat(losses.astype(np.float64), starts) / (ends - starts)[:, None]
    return dict(zip(("loss", "reconstruction", "kl"), means.T.tolist(), strict=True))


def _as_list(weights: Weights) -> list[np.ndarray]:
    return [*weights.encoder, *weights.decoder, weights.observation_log_var]
