"""The command line `smartbms`. Commands live in files of their own and are imported when they are used.

Exit codes: 0 done, 1 the battery or the network said no, 2 wrong use or wrong configuration.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from bridge import __version__
from bridge.errors import BridgeError, ConfigError

_COMMANDS: Final = {
    "run": ("bridge.cli_run", "run"),
    "detect": ("bridge.cli_battery", "detect"),
    "read": ("bridge.cli_battery", "read"),
    "decode": ("bridge.cli_battery", "decode"),
    "emulate": ("bridge.cli_emulate", "emulate"),
    "config": ("bridge.cli_config", "config_group"),
}
"""Command → module and object, in the order of the help."""


class _LazyGroup(click.Group):
    """A group whose commands are imported when somebody asks for them, so that `smartbms --version` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (as above)
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="smartbms")
def _smartbms() -> None:
    """Read a battery's BMS over a serial line and serve it to Home Assistant, browsers and others."""


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; a `BridgeError` ends it with one sentence and code 1, a wrong configuration with 2."""
    try:
        return _smartbms.main(args=arguments, prog_name="smartbms")
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BridgeError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
