"""A group of commands whose modules are loaded when they are called for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that lists its commands without loading them.

    Args:
        commands_of: what each does, by name.
        module: what a command's module is called, its name left out: ``bnao.cli.commands.``.
        heading: of the list of commands.
        settings: click's own.
    """

    def __init__(self, commands_of: Mapping[str, str], module: str, heading: str = "Commands", **settings: Any) -> None:
        super().__init__(**settings)
        self._commands_of, self._module, self._heading = commands_of, module, heading

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self._commands_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name, loaded now."""
        if cmd_name not in self._commands_of:
            return None
        command: click.Command = importlib.import_module(f"{self._module}{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands in the help."""
        with formatter.section(self._heading):
            formatter.write_dl(list(self._commands_of.items()))
