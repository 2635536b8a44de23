"""Writing files all or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, which is moved to `path` once the block has ended without error.

    At any moment `path` is the old file or the new one, whole, even if the process is killed or the
    power fails. An error is raised at the start, not after the work, if the folder cannot be
    written to.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.touch()
    try:
        yield part
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows does not open folders
        return
    try:
        if os.name == "posix":  # elsewhere only files opened for writing can be flushed
            os.fsync(handle)
    finally:
        os.close(handle)
