"""Support: how much each row of a batch counts in a training step, by its KL divergence.

A network learns to rebuild the outliers among its training rows too. Early in training they stand
out by their KL divergence, because the code has not yet been bent to fit them in; rows that count
for little from the start are never learned.
"""

from __future__ import annotations

import numpy as np

from vae_anomaly.backend import tf

SMALLEST_MEDIAN = 1.0
"""Smaller medians, in nats, count as this one: of codes that tell nothing, none stands out."""


def bounded(weight: tf.Tensor, kl: tf.Tensor) -> tf.Tensor:
    """Return weights of rows that fall as their KL divergence leaves that of the batch behind.

    They are those of Cauchy's distribution in robust regression (P. W. Holland and R. E. Welsch,
    "Robust Regression Using Iteratively Reweighted Least-Squares", 1977): 1 / (1 + (kl / c)^2),
    where c is the weighted median of the batch. A row at the median counts half, and one with ten
    times that a hundredth. A smaller c keeps outliers out better and forgets more of the rarer
    kinds of ordinary rows, see benchmarks/README.md.

    Parameters
    ----------
    weight : tensor of shape (n,)
        The weights of the rows, zero for idle ones.
    kl : tensor of shape (n,)
        Their KL divergences.
    """
    kl = tf.stop_gradient(kl)
    order = tf.argsort(tf.where(weight > 0, kl, np.inf))
    total = tf.cumsum(tf.gather(weight, order))
    n_below = tf.reduce_sum(tf.cast(total <= total[-1] / 2.0, tf.int32))
    # All of them if the weights are so small that float32 has zero for each.
    median = tf.gather(kl, order[tf.minimum(n_below, tf.size(order) - 1)])
    return weight / (1.0 + tf.square(kl / tf.maximum(median, SMALLEST_MEDIAN)))


def trimmed(weight: tf.Tensor, kl: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Return the weights with zeros for all but a fraction of the rows, those of the smallest KL.

    Parameters
    ----------
    weight, kl : tensors of shape (n,)
        The weights and KL divergences of the rows, see `bounded`.
    fraction : scalar tensor
        The fraction of the rows to keep; it keeps at least one.
    """
    ranks = tf.where(weight > 0, -kl, -np.inf)
    n_rows = tf.reduce_sum(tf.cast(weight > 0, tf.float32))
    n_kept = tf.maximum(1, tf.cast(tf.math.ceil(fraction * n_rows), tf.int32))
    largest = -tf.math.top_k(ranks, n_kept).values[-1]
    return weight * tf.cast(kl <= largest, tf.float32)
