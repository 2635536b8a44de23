"""``vae-anomaly inspect``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show


@options.command("inspect")
@click.argument("model", type=options.EXISTING_FILE)
@options.common
def command(model: Path) -> None:
    """Tell what a model file holds, without loading the model.

    \b
    Example:
      vae-anomaly inspect alarms.skops
    """
    from vae_anomaly import inspect

    info = inspect(model)
    if info.threshold is not None:  # as the score of the commands is higher for abnormal rows
        info = dataclasses.replace(info, threshold=-info.threshold)

    def say(out: Console) -> None:
        out.print(str(info), markup=False)

    show.result(dataclasses.asdict(info), say)
