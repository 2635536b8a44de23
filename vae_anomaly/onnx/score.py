"""The score of a VAE as an ONNX graph, part by part as `vae_anomaly.vae` computes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_anomaly.encoding import Encoding
from vae_anomaly.losses import loss_terms
from vae_anomaly.missing import filled_in
from vae_anomaly.onnx.graph import Graph, Namespace, Value
from vae_anomaly.onnx.networks import Decode, Encode, make_networks
from vae_anomaly.scaling import STANDARD_BOUND, Scaling
from vae_anomaly.vae import VAE


class Outputs(NamedTuple):
    """What the graph gives for rows X (n, n_columns)."""

    score: Value
    """The score, (n,) float64, as `VAE.score` returns it."""
    codes: Value
    """z_mean, (n, d) float32, as `VAE.encode` returns it."""
    contributions: Value
    """The reconstruction of each column of X with its indicator, then `beta` times the KL
    divergence of each latent dimension, (n, n_columns + d) float32. Missing cells add nothing, and
    there is no calibration."""


def add_score(vae: VAE, graph: Graph, X: Value) -> Outputs:
    """Add the score of rows X to a graph.

    Parameters
    ----------
    vae : VAE
        The trained VAE.
    graph : Graph
        The graph that X belongs to.
    X : Value
        The rows (n, n_columns), float64, with NaN for missing cells and codes for categories.
    """
    xp = Namespace(graph)
    encode, decode = make_networks(vae, graph)
    z = scale(vae.scaling, expand(vae.encoding, X, xp))
    observed = ~missing_cells(vae, z, xp)
    x = clip(z, observed, xp)
    varying = vae.scaling.hide_constants(x, xp)
    x_input = graph.branch(
        (~observed).any(),
        lambda: filled_in(varying, observed, encode, decode, xp),
        lambda: varying,
    )
    z_mean, z_log_var = encode(x_input)

    def encoded(_: Value) -> tuple[Value, Value | None]:
        return z_mean, z_log_var

    terms = reconstruction_and_kl(vae, x, observed, encoded, decode, xp)
    total, total_kl = vae.totals(*terms, observed, xp)
    return Outputs(-(total + vae.beta * total_kl), z_mean, contributions(vae, *terms, xp))


def expand(encoding: Encoding, X: Value, xp: Namespace) -> Value:
    """Return rows (n, n_columns) as the networks take them, like `Encoding.expand`."""
    if encoding.changes_nothing:
        return X
    source = encoding.column_of[: encoding.n_cell_features]
    cells = X.take(source)
    level, is_hot = np.zeros(len(source)), np.zeros(len(source), bool)
    is_binary = np.zeros(len(source), bool)
    for column, *_ in encoding.categories:
        first, stop = encoding.span(column)
        if (first, stop) in encoding.groups:
            is_hot[first:stop] = True
            level[first:stop] = np.arange(stop - first)
        else:
            is_binary[first:stop] = True
    if is_hot.any():
        hot = cells.equals(level).astype(np.float64)
        hot = xp.where(xp.isnan(cells), cells, hot)
        cells = xp.where(is_hot, hot, cells)
    if is_binary.any():
        halfway = xp.where(cells < 0.0, 0.5, cells)
        cells = xp.where(is_binary, halfway, cells)
    if not encoding.indicators:
        return cells
    indicators = xp.isnan(X.take(encoding.indicators)).astype(np.float64)
    return xp.concatenate([cells, indicators], axis=1)


def scale(scaling: Scaling, X: Value) -> Value:
    """Return rows in standardised units, float64, neither clipped nor rounded yet."""
    return (X - scaling.center) / scaling.scale


def missing_cells(vae: VAE, z: Value, xp: Namespace) -> Value:
    """Return which cells are missing, (n, p) bool: all of a one-hot group if one of them is."""
    missing = xp.isnan(z)
    groups = vae.spec.one_hot_groups
    if not groups:
        return missing
    columns = np.arange(vae.spec.n_features)
    member = np.array([(first <= columns) & (columns < stop) for first, stop in groups], np.float32)
    n_missing = xp.matmul(missing.astype(np.float32), member.T)
    return missing | (xp.matmul(n_missing, member) > 0.5)


def clip(z: Value, observed: Value, xp: Namespace) -> Value:
    """Return rows as `Scaling.apply` does, with 0 in missing cells."""
    return xp.clip(xp.where(observed, z, 0.0), -STANDARD_BOUND, STANDARD_BOUND).astype(np.float32)


def reconstruction_and_kl(
    vae: VAE, x: Value, observed: Value, encode: Encode, decode: Decode, xp: Namespace
) -> tuple[Value, Value]:
    """Return the terms by feature (n, p) and by latent dimension (n, d), by `loss_terms` itself."""
    return loss_terms(
        x,
        x,
        encode,
        decode,
        vae.noise[:, None, :],
        vae.spec.likelihood,
        vae.weights.observation_log_var,
        xp,
        observed,
    )


def contributions(vae: VAE, reconstruction: Value, kl: Value, xp: Namespace) -> Value:
    """Return the terms by column of X and by latent dimension, see `Outputs`."""
    encoding = vae.encoding
    if not encoding.changes_nothing:
        fold = (encoding.column_of[:, None] == np.arange(encoding.n_columns)).astype(np.float32)
        reconstruction = xp.matmul(reconstruction, fold)
    return xp.concatenate([reconstruction, vae.beta * kl], axis=-1)
