"""Who is answered, and the headers of every answer: what a browser may do with the page. Knows ASGI messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
HOST = re.compile(r"([a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]+)?")
"""A Host header in lower case: a name or an address, and perhaps a port."""
UNNAMED = (
    "the Host header is none of this server's names: use the address that it printed, or start it with --allow-host"
)


class NamedHosts:
    """Passes on the requests whose Host header, in any case and with any port, has one of the names; 400 for others."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """``hosts`` are names without a port; ``*.example.org`` is every name that ends so."""
        self.app = app
        named = [host.lower() for host in hosts]
        self.whole = {host for host in named if not host.startswith("*.")}
        self.ends = tuple(host.removeprefix("*") for host in named if host.startswith("*."))

    def names(self, header: str | None) -> bool:
        """Whether a Host header has one of the names."""
        found = HOST.fullmatch((header or "").lower())
        return found is not None and (found[1] in self.whole or found[1].endswith(self.ends))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self.names(Headers(scope=scope).get("host")):
            await self.app(scope, receive, send)
        else:
            await JSONResponse({"error": UNNAMED}, 400)(scope, receive, send)


class SecurityHeaders:
    """Adds the headers, and ``no-store`` where an answer does not say how long it may be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
