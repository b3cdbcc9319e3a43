"""`smartbms run`: the main job. Reads the configuration, sets up the log, runs the bridge until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bridge import __version__
from bridge.config.files import load
from bridge.protocols.registry import drivers
from bridge.storage import DataDirectory, choose_directory

if TYPE_CHECKING:
    from bridge.app import Notice
    from bridge.config import Settings

_LOGGER = logging.getLogger(__name__)

_WORKER = "bridge-worker"
_THREADS_DEADLINE = 2.0
"""s that threads have to end once every service has stopped."""

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
    loop = asyncio.get_running_loop()
    workers = ThreadPoolExecutor(thread_name_prefix=_WORKER)
    loop.set_default_executor(workers)
    task = asyncio.create_task(App(settings=settings, data=storage, ready=_show).run(), name="bridge")
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    _leave(workers)


def _leave(workers: ThreadPoolExecutor) -> None:
    """Let threads come to their end; one that waits for a name server or a dead disk is left behind."""
    workers.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _THREADS_DEADLINE
    for each in threading.enumerate():
        if each.name.startswith(_WORKER):
            each.join(max(deadline - time.monotonic(), 0.0))
    if not any(each.name.startswith(_WORKER) for each in threading.enumerate()):
        return
    _LOGGER.info("A thread still waits for the system; the bridge stops without it")
    logging.shutdown()
    os._exit(0)


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
        lines.append(f"         at home {urlsplit(first).hostname}: user {user}, password {shown}")
    elif notice.broker is not None:
        lines += [
            "",
            "To Home Assistant, better: mqtt.url = \"mqtt://…\" of Home Assistant's own broker in bridge.toml;",
            'or open the embedded one to your home: mqtt.embedded_bind = "lan".',
        ]
    with contextlib.suppress(OSError):  # a console that has gone stops nothing
        click.echo("\n" + "\n".join(f"  {line}".rstrip() for line in lines) + "\n")
