"""Writing files all or nothing, and telling files apart."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path
from typing import BinaryIO

STANDARD_OUTPUT = "-"

_OPEN_FILE = re.compile(r"/dev/(stdout|stderr|fd/\d+)|/proc/self/fd/\d+")
_STANDARD = {STANDARD_OUTPUT: 1, "stdout": 1, "stderr": 2}
_LONGEST_NAME = 200  # of a temporary file; file systems allow 255 bytes


class Hint(str):
    """A note on an error that says what to do, without any data, so that a command can add flags.

    It says to "overwrite it" or to "resume it".
    """


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, which is moved to `path` once the block has ended without error.

    At any moment `path` is the old file or the new one, whole, even if the process is killed or the
    power fails, and whatever other processes write to `path`. A link keeps pointing to its target,
    and the file keeps its mode. The path to write to has the suffixes of `path`. A pipe or a device
    cannot be replaced: it is yielded itself. An error is raised at the start, not after the work,
    if the folder is missing or cannot be written to.
    """
    if is_stream(path):
        yield Path(path)
        return
    target = destination(path)
    part = target.with_name(f".{secrets.token_hex(4)}-{target.name[-_LONGEST_NAME:]}")
    try:
        part.touch(exist_ok=False)
        _take_on_mode(part, target)
        yield part
        publish(part, target)
    except OSError as error:
        # A full disk, or a name that nobody has given.
        if error.errno is not None and error.filename in (None, str(part)):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def open_replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file whose content replaces that of `path`, or goes to it if it is a stream."""
    if is_stream(path):
        with open_stream(path) as file:
            yield file
        return
    with replacing(path) as part, part.open("wb") as file:
        yield file


def publish(part: Path, target: Path) -> None:
    """Move a finished file over another one of the same file system, which gives it its mode."""
    _take_on_mode(part, target)
    flush(part)
    os.replace(part, target)
    flush(target.parent)


def flush(path: Path) -> None:
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


def destination(path: str | os.PathLike[str]) -> Path:
    """Return where a file is to be written, with links resolved.

    Raises
    ------
    IsADirectoryError
        If it is a folder.
    FileNotFoundError
        If its folder does not exist.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {target.parent}")
    return target


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a pipe or a device, which takes what is written and keeps nothing.

    "-" is standard output. It counts as a stream even if it leads to a file: that file belongs to
    the shell that opened it, and may hold other output.
    """
    if str(path) == STANDARD_OUTPUT or _OPEN_FILE.fullmatch(str(path)):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_stream(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a pipe or a device for writing; a file that is open already goes on where it is."""
    number = _open_number(path)
    return open(path, "wb") if number is None else os.fdopen(os.dup(number), "wb")


def digest_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_new(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Raise an error if a file cannot be written: it exists, is a folder, or has no folder.

    A stream can always be written.

    Raises
    ------
    FileExistsError
        If it exists and is not to be overwritten.
    IsADirectoryError, FileNotFoundError
        See `destination`.
    """
    if not is_stream(path) and destination(path).exists() and not overwrite:
        error = FileExistsError(f"{path} exists")
        error.add_note(Hint("name another file, or overwrite it"))
        raise error


def check_distinct(
    inputs: Iterable[str | os.PathLike[str]], outputs: Iterable[str | os.PathLike[str]]
) -> None:
    """Raise a ValueError if an output is an input or another output, however it is spelled.

    Files are compared by device and inode, so that links make no difference. Outputs that do not
    exist yet are compared by their folder and name. Devices such as /dev/null may be named twice.
    """
    written_files = _identified(outputs)
    read_files = _identified(inputs)
    for output, written in written_files:
        for path, read in read_files:
            if written == read:
                raise ValueError(f"{_same(output, path)} an input of this run: name another file.")
    for (first, one), (second, other) in combinations(written_files, 2):
        if one == other:
            raise ValueError(
                f"{_same(second, first)} another output of this run: name another file."
            )


def _identified(
    paths: Iterable[str | os.PathLike[str]],
) -> list[tuple[str | os.PathLike[str], tuple[int | str, ...]]]:
    return [(path, identity) for path in paths if (identity := _identity(path)) is not None]


def _same(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> str:
    return (
        f"{path} is" if str(path) == str(other) else f"{path} is the same file as {other}, which is"
    )


def _identity(path: str | os.PathLike[str]) -> tuple[int | str, ...] | None:
    """Return what tells a file from all others; None for a device."""
    try:
        number = _open_number(path)
        status = os.stat(path) if number is None else os.fstat(number)
    except FileNotFoundError:
        target = destination(path)
        folder = os.stat(target.parent)
        return (folder.st_dev, folder.st_ino, target.name)
    if stat.S_ISCHR(status.st_mode):
        return None
    return (status.st_dev, status.st_ino)


def _open_number(path: str | os.PathLike[str]) -> int | None:
    """Return the number of the open file that a path stands for, if it does."""
    text = str(path)
    if text != STANDARD_OUTPUT and not _OPEN_FILE.fullmatch(text):
        return None
    name = text.rpartition("/")[2]
    return _STANDARD[name] if name in _STANDARD else int(name)


def _take_on_mode(part: Path, target: Path) -> None:
    """Give a file the owner, where that is allowed, and the mode of another one, if that exists."""
    try:
        status = os.stat(target)
    except FileNotFoundError:
        return
    if hasattr(os, "chown"):
        with suppress(PermissionError):  # only root may give files away
            os.chown(part, status.st_uid, status.st_gid)
    os.chmod(part, stat.S_IMODE(status.st_mode))
