"""The directive "commands": what the help of a command of click and of its subcommands says."""

import importlib
import inspect
import re

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class Commands(Directive):
    """Describe a command, which is given as MODULE:NAME, and the name that users call it by."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Make one section for the command and one for each of its subcommands."""
        place, name = self.arguments
        module, attribute = place.split(":")
        group = getattr(importlib.import_module(module), attribute)
        context = click.Context(group, info_name=name)
        contexts = [context]
        for subcommand in group.list_commands(context):
            command = group.get_command(context, subcommand)
            contexts.append(click.Context(command, info_name=subcommand, parent=context))
        return [self._section(one) for one in contexts]

    def _section(self, context: click.Context) -> nodes.section:
        path, command = context.command_path, context.command
        section = nodes.section(ids=[nodes.make_id(path)], names=[nodes.fully_normalize_name(path)])
        section += nodes.title(path, path)
        self.state.document.note_explicit_target(section)
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        section += _code(usage)
        section += _text(command.help or "")
        listed = nodes.definition_list(classes=["options"])
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                flags, meaning = record
                term = nodes.term("", "", nodes.literal(flags, flags))
                text = nodes.definition("", nodes.paragraph(meaning, meaning))
                listed += nodes.definition_list_item("", term, text)
        section += listed
        return section


def _text(text: str) -> list[nodes.Node]:
    """Return the paragraphs of a help text; one that begins with a line of backspace is code."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return [
        _code(inspect.cleandoc("\n" + paragraph.removeprefix("\b\n")))
        if paragraph.startswith("\b")
        else nodes.paragraph(paragraph, paragraph)
        for paragraph in paragraphs
    ]


def _code(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="text")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
