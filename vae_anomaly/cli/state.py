"""What the options that all commands share have set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class State:
    """What the options that all commands share have set."""

    arguments: tuple[str, ...] = ()
    debug: bool = False
    quiet: bool = False
    as_json: bool = False
    config: Path | None = None
