"""The door: every request passes here, is let in or gets an explanation, and leaves with a proper answer.

Knows the rule, and nothing of what is served behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from web.access import AccessRule, Refusal, Verdict
from web.pages import Pages
from web.responses import LIVE, compress, json_response
from web.surroundings import SurroundingsWatch

_LOGGER = logging.getLogger(__name__)

_OLD_SURROUNDINGS = 2.0
"""s after which the network is looked at again before a visitor is turned away: we may just have joined it."""
_SENTENCES: Mapping[Refusal, str] = {
    Refusal.OUTSIDE: (
        "This request does not come from the home network, and there is no log-in yet. "
        "Name its network in web.home_networks to let it read."
    ),
    Refusal.PROXY: (
        "This request came through a proxy that is not trusted, or that does not say for whom it asks. "
        "Name the proxy in web.trusted_proxies and let it send X-Forwarded-For."
    ),
    Refusal.HOST: (
        "The host name in this request is not known to be this bridge's. "
        "Ask by address, or name the host in web.allowed_hosts."
    ),
    Refusal.LOGIN: "web.home_access asks for a log-in, and there is no log-in yet.",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door:
    """The one middleware of the web server."""

    def __init__(self, *, rule: AccessRule, surroundings: SurroundingsWatch, pages: Pages) -> None:
        self._rule = rule
        self._surroundings = surroundings
        self._pages = pages
        self._has_told_of_strangers = False

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request in that may read; answer the others, and what went wrong, in words."""
        verdict = await self._judge(request)
        if verdict.refusal is not None:
            return await self._refuse(request, verdict.refusal, str(verdict.client or request.remote))
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = await self._explain_error(request, error)
        compress(request, response)
        return response

    async def _judge(self, request: web.Request) -> Verdict:
        peer, headers = request.remote or "", tuple(request.headers.items())
        verdict = self._rule.judge(peer, headers, self._surroundings.latest)
        if verdict.refusal is None:
            return verdict
        await self._surroundings.refresh(older_than=_OLD_SURROUNDINGS)
        return self._rule.judge(peer, headers, self._surroundings.latest)

    async def _refuse(self, request: web.Request, refusal: Refusal, client: str) -> web.StreamResponse:
        if refusal is Refusal.OUTSIDE and not self._has_told_of_strangers:
            self._has_told_of_strangers = True
            _LOGGER.warning("The page was asked for from outside the home (%s); it gave an explanation only", client)
        if _is_for_programs(request):
            headers = LIVE | {"WWW-Authenticate": 'Session realm="SmartBMS"'}
            return json_response({"error": _SENTENCES[refusal], "reason": refusal.value}, status=401, headers=headers)
        asked_host = request.headers.get("Host", "")
        return await self._pages.explain(refusal, asked_host if refusal is Refusal.HOST else client)

    async def _explain_error(self, request: web.Request, error: web.HTTPException) -> web.Response:
        if not _is_for_programs(request) and error.status == web.HTTPNotFound.status_code:
            return await self._pages.not_found()
        allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
        return json_response(self._describe_error(request, error), status=error.status, headers=LIVE | allowed)

    def _describe_error(self, request: web.Request, error: web.HTTPException) -> Mapping[str, object]:
        if error.status == web.HTTPNotFound.status_code:
            served = sorted({each.canonical for each in request.app.router.resources() if _is_api(each.canonical)})
            return {"error": f"There is nothing at {request.path}.", "paths": served}
        if isinstance(error, web.HTTPMethodNotAllowed):
            return {"error": f"{error.method} is not possible here; reading is (GET)."}
        return {"error": f"{error.reason}."}


def _is_for_programs(request: web.Request) -> bool:
    """Tell whether a program reads the answer, not a person."""
    return _is_api(request.path) or request.path == "/api"


def _is_api(path: str) -> bool:
    return path.startswith("/api/") or path == "/metrics"
