"""Who may log in to the embedded broker: a plug-in of amqtt, which loads it by name.

Imports amqtt, so only amqtt itself may import this module.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]  # amqtt ships no types
from amqtt.session import Session  # type: ignore[import-untyped]  # as above


class Login(BaseAuthPlugin):  # type: ignore[misc]  # as above
    """Lets everybody in, or those who know the user name and the password."""

    @dataclass
    class Config:
        """What clients have to know; no password: nothing."""

        username: str | None = None
        password: str | None = None

    async def authenticate(self, *, session: Session) -> bool:
        """Tell whether the client of `session` may come in."""
        username, password = self.config.username, self.config.password
        if username is None or password is None:
            return True
        return _is_same(session.username, username) and _is_same(session.password, password)


def _is_same(given: str | None, wanted: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), wanted.encode())
