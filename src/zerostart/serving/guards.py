"""What every request passes first: who may ask, how slow a body may be; and what every answer says to a browser."""

import asyncio
import hmac
import ipaddress
import time
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerostart.serving.refusals import Refusal

BODY_SECONDS = 120.0
"""For the whole body of a request."""
MOST_JSON = 4 << 20
"""Bytes of a body that is no upload."""
MOST_TOGETHER = 512 << 20
"""Bytes of all bodies that are read or whose requests are not answered yet."""
AGAIN = 5
"""Seconds after which a client may come again."""
LINGER_SECONDS, LINGER_BYTES = 2.0, 16 << 20
CSP = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
SAID = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """Every answer forbids its page what it does not need; nothing is kept by caches between."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAID.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store" if scope["path"].startswith("/v1") else "no-cache")
            await send(message)

        await self.app(scope, receive, said if scope["type"] == "http" else send)


class SameOriginAndToken:
    """A foreign page cannot ask in its visitor's name, by its own address or by a name that leads to this one."""

    def __init__(self, app: ASGIApp, token: str | None):
        """token: None where the server listens on this machine only."""
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refused(scope) if scope["type"] == "http" else None
        await (refused.answer if refused else self.app)(scope, receive, send)

    def _refused(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and not is_loopback(_name(host)):  # with one, a proxy's name may lead here
            return Refusal(
                403, "the server listens on this machine only, and answers to localhost and to addresses such as 127.0.0.1"
            )
        if origin is not None and _netloc(origin) != host.lower():
            return Refusal(403, "requests from pages of another origin are not answered")
        if self.token is None or not scope["path"].startswith("/v1"):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return None
        refused = Refusal(
            401, "a token is needed: the header `Authorization: Bearer TOKEN` with the one that the server was started with"
        )
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused


def is_loopback(host: str) -> bool:
    """Whether a name or an address, of IPv6 in brackets or without, is this machine's own; no name is looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _name(host: str) -> str:
    """Without the port."""
    return (host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]).lower()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class BoundedBody:
    """A body that is too large or takes too long is given up and its connection closed, before the rest of it is read.

    So is one for which the bodies of others leave no room: a thousand connections may each send one.

    Starlette's RequestBodyLimitMiddleware leaves the connection open: uvicorn would take in a whole gigabyte to throw it away.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float = BODY_SECONDS, together: int = MOST_TOGETHER):
        """most: bytes of an upload, the body of `POST /v1/inspections`; together: of all bodies at a time."""
        self.app, self.most, self.seconds, self.together = app, most, seconds, together
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        length = int(headers.get("content-length", "0"))  # h11 has refused whatever is no number
        has_body = length > 0 or "transfer-encoding" in headers
        most = self.most if scope["path"] == "/v1/inspections" else MOST_JSON
        too_large = Refusal(413, f"the request is larger than {most >> 20} MiB, the most that is taken here", close=True)
        until, size, complete = time.monotonic() + self.seconds, 0, False

        async def bounded() -> Message:
            nonlocal size, complete
            if complete:  # what is awaited now is the client's going away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise Refusal(408, f"the request was not here within {self.seconds:g} seconds", close=True) from None
            size += (more := len(message.get("body", b"")))
            self._held += more
            if size > most:
                raise too_large
            if self._held > self.together:
                raise Refusal(503, "too many pictures are being sent at once; try again in a few seconds", AGAIN, close=True)
            complete = not message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            unread = has_body and not complete
            if unread and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"  # the rest of the body is not wanted
            if unread and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send(message | {"more_body": True})
                await _linger(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        if length > most:
            await too_large.answer(scope, receive, closing)
            return
        try:
            await self.app(scope, bounded, closing)
        finally:
            self._held -= size


async def _linger(receive: Receive) -> None:
    """Take in a little more: a connection that is closed on what was sent is reset, and its client may never see the answer."""
    taken, until = 0, time.monotonic() + LINGER_SECONDS
    with suppress(TimeoutError):
        while taken < LINGER_BYTES:
            message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            taken += len(message.get("body", b""))
            if not message.get("more_body", False):
                return
