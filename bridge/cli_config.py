"""`smartbms config`: check the configuration, and show what is in force and where each value came from.

The output of `show` is TOML that can be used as a bridge.toml; secrets stand in it as `***`, in a comment. A
`ConfigError` passes through: it ends the command line with exit code 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.config.files import Loaded, load
from bridge.config.layers import Configuration, KeyPath, differences, values
from bridge.config.sections import Secret
from bridge.protocols.registry import drivers
from bridge.storage import choose_directory

_COMMENT_COLUMN = 40
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _places(command: _Command) -> _Command:
    """Add the options that say where configuration and data are, the same as those of `smartbms run`."""
    config = click.option(
        "--config", type=click.Path(path_type=Path), metavar="FILE",
        help="The configuration; else ./bridge.toml, else /etc/smartbms/bridge.toml.",
    )
    data = click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The data directory.")
    return config(data(command))


@click.group("config")
def config_group() -> None:
    """Check or show the configuration."""


@config_group.command()
@_places
def check(config: Path | None, data: Path | None) -> None:
    """Say what is wrong with the configuration: exit code 0 when nothing is, else 2."""
    loaded = _load(config, data)
    for warning in loaded.configuration.warnings:
        click.echo(f"Note: {warning}")
    click.echo(f"{loaded.file or 'The built-in configuration'} is fine: {_summary(loaded.configuration)}.")


@config_group.command()
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object by key.")
@_places
def show(config: Path | None, data: Path | None, changed: bool, as_json: bool) -> None:
    """Print the configuration in force as TOML, with the place where each value was set."""
    configuration = _load(config, data).configuration
    pairs = list(differences(configuration) if changed else values(configuration.settings))
    if as_json:
        click.echo(_as_json(pairs, configuration))
    else:
        click.echo(_as_toml(pairs, configuration) or "# Nothing differs from the defaults.\n", nl=False)


def _load(config: Path | None, data: Path | None) -> Loaded:
    return load(config, choose_directory(data, os.environ), environ=os.environ, protocols=drivers())


def _summary(configuration: Configuration) -> str:
    settings = configuration.settings
    batteries = [battery.id for battery in settings.battery if battery.enabled]
    names = f"battery {', '.join(batteries)}" if batteries else "no battery"
    return f"{names}; MQTT {settings.mqtt.url}; pages on port {settings.web.port}"


def _as_toml(pairs: Iterable[tuple[KeyPath, Any]], configuration: Configuration) -> str:
    lines: list[str] = []
    table: tuple[str, str | None] | None = None
    for path, value in pairs:
        if table != (path.section, path.battery):
            table = (path.section, path.battery)
            lines += ["", f"[{path.section}]" if path.battery is None else f"[[{path.section}]]"]
        origin = configuration.origins[path]
        if value is None:
            lines.append(f"# {path.key} is unset")
        elif isinstance(value, Secret):
            lines.append(f"# {path.key} = {value}  ({origin})")
        else:
            lines.append(f"{f'{path.key} = {_toml_value(value)}':<{_COMMENT_COLUMN}}  # {origin}")
    return "".join(f"{line}\n" for line in lines[1:])


def _toml_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)  # a text, number or truth value looks the same in both


def _as_json(pairs: Iterable[tuple[KeyPath, Any]], configuration: Configuration) -> str:
    content = {
        str(path): {
            "value": str(value) if isinstance(value, Secret) else value,
            "origin": str(configuration.origins[path]),
            "layer": configuration.origins[path].layer.name.lower(),
        }
        for path, value in pairs
    }
    return json.dumps(content, ensure_ascii=False, indent=2)
