"""``vae-anomaly export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from vae_anomaly.cli import options, show


@options.command("export")
@options.model("The model to export, made by `fit` or `tune`.")
@click.option(
    "--output",
    type=options.FILE,
    required=True,
    metavar="OUT.onnx",
    help="Where to write the ONNX file.",
)
@options.overwrite
@options.common
def command(model_path: Path, output: Path, **given: Any) -> None:
    """Write the whole score of a model as one ONNX file, for servers without Python.

    The file gives score and decision for rows of numbers and categories; it needs
    `pip install 'vae-anomaly[onnx]'`. Models with dates cannot be exported.

    \b
    Example:
      vae-anomaly export --model alarms.skops --output alarms.onnx
    """
    from vae_anomaly import to_onnx
    from vae_anomaly.batch.models import schema_of
    from vae_anomaly.files import check_new

    model = options.load_model(model_path, given["allow_pickle"])
    dates = [column.name for column in schema_of(model).schemas() if column.kind == "date"]
    if dates:
        raise click.UsageError(
            f"{model_path}: models with dates cannot be exported; fit again with "
            + " ".join(f"--drop {name}" for name in dates)
        )
    options.check_files([model_path], [output])
    check_new(output, overwrite=given["overwrite"])
    to_onnx(model, output)

    def say(out: Console) -> None:
        out.print(f"saved {output} ({output.stat().st_size:,} bytes)")

    show.result({"output": output}, say)
