"""The group of all commands."""

from __future__ import annotations

import importlib
from typing import Any

import rich_click as click

from vae_anomaly import __version__
from vae_anomaly.cli.main import Interrupted
from vae_anomaly.cli.options import HELP

COMMANDS = ("fit", "tune", "score", "evaluate", "explain", "report", "inspect", "export")


class LazyGroup(click.RichGroup):
    """Commands that are only imported if they are called, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"vae_anomaly.cli.{cmd_name}").command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(help_config=HELP)
@click.version_option(__version__, message="%(version)s")
def app() -> None:
    """Find abnormal rows in tables with a variational autoencoder.

    A table is a CSV file (also .gz and .zst), a Parquet file, JSON lines, a folder of Parquet
    files or a pattern such as 'day-*.csv'. A first session:

    \b
      vae-anomaly fit history.csv --model alarms.skops
      vae-anomaly score today.csv --model alarms.skops --output scores.csv
      vae-anomaly explain today.csv --model alarms.skops --top 5

    With some labels, measure it and choose the alarm threshold that costs least:

    \b
      vae-anomaly fit history.csv --model alarms.skops --label fraud --outlier 1 --held-out new.csv
      vae-anomaly tune new.csv --model alarms.skops --output tuned.skops \\
          --label fraud --outlier 1 --objective cost --miss-cost 50 --false-alarm-cost 1

    The exit status is 0 if all went well, 2 if the input or an option is wrong, 1 after any other
    failure, 130 after Ctrl-C, 143 after SIGTERM and 141 if a reader has closed the pipe.
    """
