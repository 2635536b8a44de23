"""The entry point: one line for each error, and the right exit status."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import rich_click as click

from vae_anomaly.batch.errors import ChangedInputError
from vae_anomaly.batch.signals import Terminated, termination_raises
from vae_anomaly.cli.state import State
from vae_anomaly.files import Hint

BAD_INPUT, FAILURE, INTERRUPTED, CLOSED_PIPE = 2, 1, 130, 141
"""The exit statuses besides 0; the last two, like 143, are those that a signal gives a process."""


class Interrupted(Exception):
    """Ctrl-C, kept from click, which prints an empty line at it and drops its notes."""


def main() -> NoReturn:
    """Run the command with the arguments of the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    from vae_anomaly.cli.app import app

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    state = State(arguments=tuple(arguments))
    try:
        with termination_raises(), warnings.catch_warnings():
            warnings.showwarning = _say_warning  # type: ignore[assignment]
            status = app.main(
                list(arguments), prog_name="vae-anomaly", standalone_mode=False, obj=state
            )
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except BaseException as error:
        if state.debug:
            traceback.print_exc()
        return _told(error)


def _told(error: BaseException) -> int:
    """Say in one line what went wrong, and return the exit status."""
    match error:
        case click.ClickException():
            return _say(error.format_message(), BAD_INPUT, error)
        case Interrupted() if error.__cause__ is not None:
            return _told(error.__cause__)
        case KeyboardInterrupt() | click.Abort():
            return _say(_noted(error, "interrupted"), INTERRUPTED)
        case Terminated():
            return _say(_noted(error, str(error)), int(error.code or FAILURE))
        case BrokenPipeError():
            # Python would complain again when it flushes the standard output at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return CLOSED_PIPE
        case ChangedInputError():  # the same run may succeed when nobody writes to its input
            return _say(_noted(error, str(error)), FAILURE)
        case FileNotFoundError() | FileExistsError() | IsADirectoryError() | NotADirectoryError():
            return _say(_noted(error, _of_file(error)), BAD_INPUT)
        case ValueError() | TypeError():
            return _say(_noted(error, str(error)), BAD_INPUT)
        case OSError():
            return _say(_noted(error, _of_file(error)), FAILURE)
        case SystemExit():
            if isinstance(error.__context__, BrokenPipeError):  # click has turned it into this
                return _told(error.__context__)
            return error.code if isinstance(error.code, int) else FAILURE
        case _:
            told = f"{type(error).__name__}: {error} (--debug shows where)"
            return _say(_noted(error, told), FAILURE)


def _say(message: str, status: int, error: click.ClickException | None = None) -> int:
    context = getattr(error, "ctx", None)
    hint = f" (try '{context.command_path} --help')" if context is not None else ""
    line = _in_one_line(message).removesuffix(".")
    print(f"vae-anomaly: error: {line}{hint}", file=sys.stderr)
    return status


def _say_warning(message: Warning | str, *_: Any) -> None:
    print(f"vae-anomaly: warning: {_in_one_line(str(message))}", file=sys.stderr)


def _in_one_line(message: str) -> str:
    return " ".join(line.strip() for line in message.splitlines())


def _noted(error: BaseException, message: str) -> str:
    """Return a message with the notes of an error, such as where the parts of a run are kept."""
    return "; ".join([message, *map(_with_flags, getattr(error, "__notes__", []))])


def _with_flags(note: str) -> str:
    """Name the flags that do what a hint to users of the functions says."""
    if not isinstance(note, Hint):
        return note
    told = note.replace("overwrite it", "overwrite it with --overwrite")
    return told.replace("resume it", "resume it with --resume")


def _of_file(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"
