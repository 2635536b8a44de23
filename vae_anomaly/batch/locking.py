"""A folder beside an output that belongs to one run at a time, and outlives the run if need be."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCK = "lock"


class RunLockedError(OSError):
    """Another run is writing to the same output."""


class RunFolder:
    """The hidden folder in which a run keeps what it has done, locked while the run goes on.

    The lock is one of the operating system, which ends with the process, however that ends.

    Parameters
    ----------
    output : Path
        The file that the run will write, with links resolved. The folder lies beside it, so that
        files can be moved from one to the other, and is named after it.

    Attributes
    ----------
    path : Path
        The folder.
    checkpoint : Path
        The file in it that says how far the run has come.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f".{output.name}.run")
        self.checkpoint = self.path / "checkpoint.json"
        self._output = output
        self._lock = -1

    def acquire(self) -> None:
        """Make the folder, if it is not there, and lock it.

        Raises
        ------
        RunLockedError
            If another run holds it; the message says which.
        """
        path = self.path / _LOCK
        while True:
            try:
                self.path.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:  # the user has not given the name of the folder
                error.filename = str(self._output)
                raise
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:  # the run that held it has just removed the folder
                continue
            try:
                if not _lock(lock):
                    raise RunLockedError(
                        f"{self._output} is being written by {_holder(path)}; wait for it, or name "
                        "another output"
                    )
                # The file may have been removed by the run that held it before it could be locked.
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(lock), os.stat(path)):
                        with contextlib.suppress(OSError):  # the disk may be full
                            os.truncate(lock, 0)
                            os.write(lock, _me())
                        self._lock, lock = lock, -1
                        return
            finally:
                if lock >= 0:
                    os.close(lock)

    def clear(self) -> None:
        """Remove all that earlier runs have left, but not the lock."""
        # Without a checkpoint, whatever else a kill leaves here counts for nothing.
        self.checkpoint.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.name != _LOCK:
                path.unlink()

    def release(self, *, keep: bool) -> None:
        """Let other runs have the folder, or remove it with all that it holds."""
        if keep:
            os.close(self._lock)
            return
        self.clear()
        if sys.platform == "win32":  # which does not remove files that are open
            os.close(self._lock)
        (self.path / _LOCK).unlink()
        with contextlib.suppress(OSError):  # another run may be about to lock it
            self.path.rmdir()
        if sys.platform != "win32":
            os.close(self._lock)


def _lock(file: int) -> bool:
    """Lock an open file, without waiting, and return whether that succeeded."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _me() -> bytes:
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": now}).encode()


def _holder(path: Path) -> str:
    """Say which run holds a lock, if it has already said so itself."""
    try:
        holder = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return "another run"
    return f"process {holder['process']} on {holder['host']} since {holder['since']}"
