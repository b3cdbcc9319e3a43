"""Keeps the bridge announced in the home network under its own name, whatever happens to addresses, port and name.

Decides what is announced and when; how mDNS is spoken stands in `responder`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.errors import ServiceError
from bridge.interfaces import Board, Identity
from bridge.network import InterfaceAddress
from bridge.outputs.mdns.addresses import own_addresses

if TYPE_CHECKING:
    from bridge.config import MdnsSection
    from bridge.outputs.mdns.responder import Responder, Service

_LOGGER = logging.getLogger(__name__)

_NAME = "mdns"
_PORT_INTERVAL = 0.1
"""s between two looks for the port of the pages, until it is known."""
_WATCH_INTERVAL = 2.0
"""s between two looks whether addresses or port have changed."""
_RETRY_AFTER = 10.0


class MdnsOutput:
    """Announces `<name>.local` with the pages' port; a name that another machine has becomes `<name>-2` and so on."""

    def __init__(
        self,
        *,
        settings: MdnsSection,
        identity: Identity,
        board: Board,
        web_port: Callable[[], int | None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`web_port` gives the port of the pages once it is known; `jitter` numbers from 0 to 1."""
        self._settings = settings
        self._identity = identity
        self._board = board
        self._web_port = web_port
        self._jitter = jitter
        self._host_name: str | None = None
        self._holder = "another machine"
        """Who has the name that we wanted."""

    @property
    def host_name(self) -> str | None:
        """The name really announced, such as `smartbms-2.local`; None while there is none."""
        return self._host_name

    async def run(self) -> None:
        """Keep the bridge announced until cancelled, then say goodbye; raise ServiceError where mDNS is impossible."""
        if not self._settings.enabled:
            self._board.tell(_NAME, "off", "Switched off in the configuration (mdns.enabled).")
            return
        # In a thread: the import takes a while and starts a child process.
        await asyncio.to_thread(importlib.import_module, "bridge.outputs.mdns.responder")
        number, disputed = 1, 0
        try:
            while True:
                number, is_disputed = await self._announce(number)
                if is_disputed and number == disputed:
                    number += 1  # somebody uses it without defending it
                elif is_disputed:
                    disputed = number
        finally:
            self._host_name = None

    async def _announce(self, number: int) -> tuple[int, bool]:
        """Announce the bridge until something changes.

        Take the first free name from `<name>-<number>` on; return its number, and whether another machine disputes it.
        """
        from bridge.outputs.mdns.responder import open_responder

        port = await self._known_port()
        addresses = await asyncio.to_thread(own_addresses)
        if not addresses:
            raise ServiceError("mDNS is off, because there is no network that it could use.", retry_after=_RETRY_AFTER)
        async with open_responder(addresses, jitter=self._jitter) as responder:
            number = await self._claim(responder, number, {str(each.address) for each in addresses})
            await responder.announce(self._services(port))
            self._tell(number)
            return number, await self._watch(responder, port, addresses)

    async def _known_port(self) -> int:
        while (port := self._web_port()) is None:
            self._board.tell(_NAME, "starting", "Waits for the port of the pages.")
            await asyncio.sleep(_PORT_INTERVAL)
        return port

    async def _claim(self, responder: Responder, number: int, own: set[str]) -> int:
        """Make the first free name from `number` on ours, and return its number."""
        if self._host_name is None:
            self._board.tell(_NAME, "starting", "Asks whether the name is free.")
        while (holder := await responder.claim(self._label(number))) is not None:
            if number == 1:
                self._holder = "another program on this machine" if holder in own else holder
            number += 1
        return number

    def _tell(self, number: int) -> None:
        """Say which name it has become."""
        name = detail = f"{self._label(number)}.local"
        if number > 1:
            detail = f"{name}, because {self._label(1)}.local belongs to {self._holder}."
        if name != self._host_name:
            _LOGGER.log(logging.WARNING if number > 1 else logging.INFO, "this bridge is %s", detail)
        self._host_name = name
        self._board.tell(_NAME, "running", detail)

    async def _watch(self, responder: Responder, port: int, addresses: tuple[InterfaceAddress, ...]) -> bool:
        """Wait until port or addresses have changed, or the name is disputed; tell whether it is that."""
        while True:
            try:
                async with asyncio.timeout(_WATCH_INTERVAL):
                    await responder.disputed.wait()
            except TimeoutError:
                pass
            else:
                _LOGGER.warning("%s is used by another machine too; looks for a free name", self._host_name)
                return True
            # While the pages are started again they have no port for a moment: the announcement stays.
            if self._web_port() not in (None, port) or await asyncio.to_thread(own_addresses) != addresses:
                _LOGGER.info("addresses or port have changed; announces %s anew", self._host_name)
                return False

    def _label(self, number: int) -> str:
        return self._identity.name if number == 1 else f"{self._identity.name}-{number}"

    def _services(self, port: int) -> tuple[Service, ...]:
        from bridge.outputs.mdns.responder import Service

        properties = (("id", self._identity.uid), ("version", self._identity.version), ("path", "/"))
        return tuple(Service(kind, port, properties) for kind in ("_http._tcp", "_smartbms._tcp"))
