"""TrainingPlan: what a training run needs to know besides the rows and the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPlan:
    """How to train, as plain numbers.

    `n_epochs` is the length of the schedules, `n_epochs_to_run` the number of epochs after which
    training ends. `cosine` tells whether the learning rate falls along half a cosine, or else stays
    as it is, and `warm_up` whether the weight of the KL divergence rises from zero to `beta`.
    `progress` is the text of a progress bar; without text there is none.
    """

    beta: float
    input_noise: float
    batch_size: int
    learning_rate: float
    cosine: bool
    warm_up: bool
    support_fraction: float
    n_epochs: int
    n_epochs_to_run: int
    tol: float
    n_iter_no_change: int
    progress: str
