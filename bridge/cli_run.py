"""`smartbms run`: the main job. Reads the configuration, sets up the log, runs the bridge until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge import __version__
from bridge.config.files import load
from bridge.protocols.registry import drivers
from bridge.storage import DataDirectory, choose_directory

if TYPE_CHECKING:
    from bridge.app import Notice
    from bridge.config import Settings

_LOGGER = logging.getLogger(__name__)

_NOISY = ("aiohttp.access", "asyncio", "zeroconf", "amqtt", "transitions", "aiomqtt", "mqtt")
"""Loggers of libraries that tell at INFO what nobody wants to know."""


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE",
    help="The configuration; else ./bridge.toml, else /etc/smartbms/bridge.toml, else the built-in one.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="The data directory.")
def run(config: Path | None, data: Path | None) -> None:
    """Read the batteries and serve them until stopped."""
    directory = choose_directory(data, os.environ)
    with DataDirectory(directory) as storage:
        loaded = load(config, directory, environ=os.environ, protocols=drivers().keys())
        settings = loaded.configuration.settings
        set_up_log(settings)
        for warning in loaded.configuration.warnings:
            _LOGGER.warning("%s", warning)
        _LOGGER.info("Configuration: %s; data: %s", loaded.file or "built-in", directory)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(settings, storage))


def set_up_log(settings: Settings) -> None:
    """Send the log to the standard error stream, at the level that the configuration asks for."""
    level = getattr(logging, settings.logging.level.upper())
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


async def _run(settings: Settings, storage: DataDirectory) -> None:
    from bridge.app import App

    gc.freeze()  # what was imported stays: the collector need not look at it again
    task = asyncio.create_task(App(settings=settings, data=storage, ready=_show).run(), name="bridge")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _show(notice: Notice) -> None:
    """Print where the bridge can be found; a password only on a console, never into a journal."""
    first, *others = notice.addresses
    lines = [f"SmartBMS Bridge {__version__}", "", f"Open     {first}"]
    lines += [f"or       {address}" for address in others]
    if notice.broker is not None:
        lines.append(f"MQTT     {notice.broker} (embedded broker, for trying out)")
    if notice.login is not None:
        user, password = notice.login
        shown = password.reveal() if sys.stdout.isatty() else "in secrets.toml of the data directory"
        lines.append(f"         at home: user {user}, password {shown}")
    elif notice.broker is not None:
        lines += [
            "",
            "To Home Assistant, better: mqtt.url = \"mqtt://…\" of Home Assistant's own broker in bridge.toml;",
            'or open the embedded one to your home: mqtt.embedded_bind = "lan".',
        ]
    click.echo("\n" + "\n".join(f"  {line}".rstrip() for line in lines) + "\n")
