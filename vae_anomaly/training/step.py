"""The compiled training step: the loss, its gradient and Adam's update, many steps per call."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from vae_anomaly.backend import clear_kernel_cache, keras, tf
from vae_anomaly.losses import loss_terms
from vae_anomaly.missing import filled_in
from vae_anomaly.networks.keras_networks import keras_networks
from vae_anomaly.networks.spec import NetworkSpec
from vae_anomaly.training.support import bounded, trimmed

MAX_GRADIENT_NORM = 1.0

INDICATOR_DEVIATION = 0.5
"""The unit of the input noise on columns of 0 and 1: the largest standard deviation of these."""

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7  # Adam's parameters, as in Keras


@functools.lru_cache(maxsize=32)
def compiled_steps(
    spec: NetworkSpec, batch_size: int, *, noisy: bool, support: str, missing: bool
) -> Callable[..., tf.Tensor]:
    """Return the compiled loop over training steps for one specification.

    It holds no state: everything that changes is passed in, so that one trace serves any number of
    fits, rows, steps and threads. A fixed `batch_size` saves each step sixty small operations that
    compute shapes. The two halves of a batch are computed in parallel, on one core each, as the
    single products are too small to be divided among threads. XLA is not used: it takes most of a
    second to compile, and then steps take two thirds of the time in a 30-128-64-8 network, but
    hardly less in a 30-256-128-32 one.

    `support` says how much each row counts: "all" alike, "bounded" or "trimmed", see `support.py`.
    """
    networks = keras_networks(spec)
    encoder, decoder = networks.encoder, networks.decoder
    kernels = encoder.trainable_variables + decoder.trainable_variables
    shapes = [tuple(v.shape) for v in kernels] + [(spec.n_features,)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    n_encoder, d = len(encoder.trainable_variables), spec.latent_dim
    deviation = np.where(spec.is_grouped, np.float32(INDICATOR_DEVIATION), np.float32(1))
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    n_slices = 2 if spec.is_dense and batch_size % 2 == 0 and not has_gpu else 1

    def step_losses(
        parts: list,
        x: tf.Tensor,
        x_input: tf.Tensor,
        noise: tf.Tensor,
        dropout_seed: tf.Tensor,
        observed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        *weights, log_var = parts
        reconstruction, kl = loss_terms(
            x,
            x_input,
            lambda x: networks.encode(x, weights[:n_encoder], dropout_seed),
            lambda z: networks.decode(z[0], weights[n_encoder:], dropout_seed)[None],  # one draw
            noise[None],
            spec.likelihood,
            log_var if spec.likelihood.learns_variance else tf.stop_gradient(log_var),
            keras.ops,
            observed,
        )
        return tf.reduce_sum(reconstruction, axis=1), tf.reduce_sum(kl, axis=1)

    # AutoGraph is disabled, as parsing the source was half of the overhead of a first fit.
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
            flat = parameters.read_value()
            parts = [
                tf.reshape(part, shape)
                for part, shape in zip(tf.split(flat, sizes), shapes, strict=True)
            ]
            x = x_input = tf.gather(X, batch)
            masks = []
            if missing:
                observed = tf.logical_not(tf.math.is_nan(x))
                masks.append(observed)
                x = tf.where(observed, x, 0.0)
                x_input = tf.stop_gradient(
                    filled_in(
                        x,
                        observed,
                        lambda x: networks.encode(x, parts[:n_encoder]),
                        lambda z: networks.decode(z, parts[n_encoder:-1]),
                        keras.ops,
                    )
                )
            if noisy:
                level = tf.random.stateless_uniform([batch_size, 1], key, maxval=2.0)
                x_input += input_noise * level * deviation * noise[:, d:]
            slices = zip(
                *(tf.split(t, n_slices) for t in (x, x_input, noise[:, :d])),
                # The first number differs from that of `key`, so the masks do not repeat the noise.
                [tf.stack([seed + 1, n_slices * step + j]) for j in range(n_slices)],
                *(tf.split(t, n_slices) for t in masks),
                strict=True,
            )
            terms = [step_losses(parts, *slice_) for slice_ in slices]
            reconstruction, kl = (tf.concat(term, axis=0) for term in zip(*terms, strict=True))
            weight = tf.gather(sample_weight, batch)
            row_loss = reconstruction + beta[i] * kl
            influence = weight
            if support == "bounded":
                influence = bounded(weight, kl)
            elif support == "trimmed":
                influence = trimmed(weight, kl, support_fraction)
            loss = tf.reduce_mean(influence * row_loss)
            gradient = tf.concat(
                [
                    tf.reshape(g, [-1])
                    for g in tf.gradients(
                        loss, parts, unconnected_gradients=tf.UnconnectedGradients.ZERO
                    )
                ],
                axis=0,
            )
            # tf.clip_by_norm would read the whole vector three more times.
            norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
            gradient *= tf.minimum(1.0, MAX_GRADIENT_NORM / norm)
            rate = learning_rate[i]
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
            # Of all rows, whatever their influence, as the loss of validation rows is.
            means = [tf.reduce_mean(weight * term) for term in (row_loss, reconstruction, kl)]
            return i + 1, losses.write(i, tf.stack(means))

        start = tf.constant(0), tf.TensorArray(tf.float32, n_steps)
        _, losses = tf.while_loop(lambda i, _: i < n_steps, take_step, start)
        return losses.stack()

    scalar, vector = tf.TensorSpec([], tf.float32), tf.TensorSpec([None], tf.float32)
    variables = [tf.Variable(tf.zeros(sum(sizes))) for _ in range(3)]
    concrete = steps.get_concrete_function(
        *variables,
        tf.TensorSpec([None, spec.n_features], tf.float32),
        vector,
        tf.TensorSpec([None, batch_size], tf.int32),
        vector,
        vector,
        scalar,
        scalar,
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([], tf.int32),
    )
    clear_kernel_cache()
    return concrete
