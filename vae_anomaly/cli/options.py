"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import ast
import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import rich_click as click

from vae_anomaly.cli.state import State

Decorator = Callable[[Any], Any]

FILE = click.Path(path_type=Path)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


HELP = click.RichHelpConfiguration(max_width=100, padding_helptext_first_line=(0, 1, 1, 1))

PANELS = ("Options", "Columns", "Detector", "Objectives", "Output", "Safe runs", "Reading files")
"""The groups of options in the help, in this order; that of the general ones is the last."""


def command(name: str) -> Decorator:
    """Return the decorator that makes a function a command."""
    panels = [click.option_panel(panel) for panel in (*PANELS, "General")]
    return all_of(
        click.command(name=name, context_settings={"help_option_names": ["-h", "--help"]}),
        click.rich_config(help_config=HELP),
        *panels,
    )


def all_of(*decorators: Decorator) -> Decorator:
    """Return one decorator for several, whose options are shown in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value:
            setattr(context.ensure_object(State), name, True)
        return value

    return callback


def _read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Take the defaults of the options from a TOML file."""
    if path is None:
        return
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is not TOML: {error}") from error
    context.ensure_object(State).config = path
    sections = {name: value for name, value in content.items() if isinstance(value, dict)}
    shared = {name: value for name, value in content.items() if name not in sections}
    own = sections.get(str(context.info_name), {})
    names = _option_names(context.command)
    for name in own:
        if name not in names:
            raise click.BadParameter(
                f"{path}, [{context.info_name}]: there is no option {name}{nearest(name, names)}"
            )
    _check_others(context, path, sections, [name for name in shared if name not in names])
    given = {names[name]: value for name, value in {**shared, **own}.items() if name in names}
    for known in context.command.params:
        if known.multiple and known.name in given and not isinstance(given[known.name], list):
            given[known.name] = [given[known.name]]
    context.default_map = {**(context.default_map or {}), **given}


def _check_others(
    context: click.Context, path: Path, sections: Iterable[str], options: Sequence[str]
) -> None:
    """Refuse sections that are no command, and options that no command has."""
    above = context.parent
    assert above is not None  # each command belongs to the group of all
    assert isinstance(above.command, click.Group)
    commands = above.command.list_commands(above)
    if strangers := [name for name in sections if name not in commands]:
        raise click.BadParameter(
            f"{path}: there is no command {', '.join(strangers)}; there are {', '.join(commands)}"
        )
    for name in commands:
        if not options:
            return
        known = _option_names(above.command.get_command(above, name))
        options = [option for option in options if option not in known]
    if options:
        raise click.BadParameter(f"{path}: no command has an option {', '.join(options)}")


def _option_names(command: click.Command | None) -> dict[str, str]:
    """Return the names of parameters by how they are written in a file."""
    return {_spelled(known): str(known.name) for known in command.params} if command else {}


def _spelled(parameter: click.Parameter) -> str:
    """Return the name of a parameter as it is written in a file: that of its flag."""
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return flags[0].removeprefix("--") if flags else str(parameter.name)


common = all_of(
    click.option(
        "--config",
        type=EXISTING_FILE,
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        metavar="FILE.toml",
        help="Options from a file: `sep = ';'` at the top for all commands, in a section such as "
        "`[score]` for one. Flags override them.",
        panel="General",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_remember("as_json"),
        help="Print the result as one JSON object.",
        panel="General",
    ),
    click.option(
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_remember("quiet"),
        help="Print errors, and nothing else that was not asked for.",
        panel="General",
    ),
    click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember("debug"),
        help="Show where an error comes from.",
        panel="General",
    ),
)

reading = all_of(
    click.option("--sep", metavar="CHAR", help="Delimiter of CSV files.", panel="Reading files"),
    click.option(
        "--decimal",
        type=click.Choice([".", ","]),
        help="Decimal mark of numbers.",
        panel="Reading files",
    ),
    click.option(
        "--thousands",
        metavar="CHAR",
        help="Mark between groups of three digits.",
        panel="Reading files",
    ),
    click.option(
        "--encoding", metavar="NAME", help="Encoding, such as latin-1.", panel="Reading files"
    ),
    click.option(
        "--no-header", is_flag=True, help="The first line is a row.", panel="Reading files"
    ),
    click.option(
        "--missing",
        multiple=True,
        metavar="TEXT",
        help="Text that stands for a missing value, besides the empty field. Can be repeated.",
        panel="Reading files",
    ),
)


def model(text: str, *, required: bool = True) -> Decorator:
    """Return the options that tell which model to load, the first one with a help text."""
    return all_of(
        click.option(
            "--model",
            "model_path",
            type=EXISTING_FILE,
            required=required,
            metavar="MODEL",
            help=text,
        ),
        click.option(
            "--allow-pickle",
            is_flag=True,
            help="Also load .joblib files, which can run any code: only if you made it yourself.",
            panel="General",
        ),
    )


bad_cells = click.option(
    "--bad-cells",
    type=click.Choice(["stop", "missing"]),
    default="stop",
    show_default=True,
    help="What to do about a cell that does not fit its column: stop the run, or take it as "
    "missing.",
    panel="Columns",
)

overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace the output if there is one.", panel="Safe runs"
)


def label(*, required: bool = False) -> Decorator:
    """Return the options that tell which rows are outliers."""
    return all_of(
        click.option(
            "--label",
            required=required,
            metavar="COLUMN",
            help="Column that tells which rows are outliers.",
        ),
        click.option(
            "--outlier",
            required=required,
            metavar="VALUE",
            help="The value of this column for outliers.",
        ),
    )


def check_files(
    inputs: Iterable[str | os.PathLike[str]], outputs: Iterable[str | os.PathLike[str] | None]
) -> None:
    """Refuse an output that is another file too, be it an input or that of --config."""
    from vae_anomaly.files import check_distinct

    context = click.get_current_context()
    config = None if context is None else context.ensure_object(State).config
    check_distinct(
        [*inputs, *([] if config is None else [config])],
        [path for path in outputs if path is not None],
    )


def read_options(options: dict[str, Any]) -> Any:
    """Take the options on reading out of all options, and return them as one value."""
    from vae_anomaly.batch.source import ReadOptions

    no_header = options.pop("no_header")
    return ReadOptions(
        sep=options.pop("sep"),
        decimal=options.pop("decimal"),
        thousands=options.pop("thousands"),
        encoding=options.pop("encoding"),
        header=False if no_header else None,
        missing=tuple(options.pop("missing")),
    )


def read_label(label: str | None, outlier: str | None) -> Any:
    """Return the label that the options name, or None."""
    from vae_anomaly.batch.labels import Label

    if (label is None) != (outlier is None):
        raise click.UsageError("--label and --outlier go together.")
    return None if label is None or outlier is None else Label(label, outlier)


def load_model(path: Path, allow_pickle: bool) -> Any:
    """Load a model, with the flag named where it is needed."""
    from vae_anomaly import load

    try:
        return load(path, allow_pickle=allow_pickle)
    except ValueError as error:
        raise ValueError(str(error).replace("allow_pickle=True", "--allow-pickle")) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what may have been meant by a name that is mistyped, to follow the error."""
    meant = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {meant[0]}?)" if meant else ""


def literal(text: str) -> Any:
    """Return the value of a Python literal; any other text is returned unchanged."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def pairs(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values of options of the form NAME=VALUE."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not of the form {parameter.metavar}.")
        found[name] = literal(value)
    return found
