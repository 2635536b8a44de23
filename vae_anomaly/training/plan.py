"""TrainingPlan: the settings of a training run, besides the rows and the networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of a training run, as plain numbers.

    `n_epochs` is the length of the schedules, and `n_epochs_to_run` is the number of epochs after
    which training ends. If `cosine` is True, the learning rate falls to zero along half a cosine;
    otherwise it is constant. If `warm_up` is True, the weight of the KL divergence rises from zero
    to `beta`. `support_fraction` is the fraction of each batch that counts, or None if rows count
    by how far they stand out, see `vae_anomaly.training.support`. `progress` is the label of the
    progress bar; if it is empty, there is no bar.
    """

    beta: float
    input_noise: float
    batch_size: int
    learning_rate: float
    cosine: bool
    warm_up: bool
    support_fraction: float | None
    n_epochs: int
    n_epochs_to_run: int
    tol: float
    n_iter_no_change: int
    progress: str

    @property
    def support(self) -> str:
        """How much each row counts: "all" alike, "bounded" or "trimmed", see `support.py`."""
        if self.support_fraction is None:
            return "bounded"
        return "trimmed" if self.support_fraction < 1 else "all"
