"""What every request passes first: who may ask, how slow a body may be; and what every answer says to a browser."""

import asyncio
import hmac
import time
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_SECONDS = 60.0
"""For the whole body of a request."""
CLOSE = {"Connection": "close"}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
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


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)


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

    def __init__(self, app: ASGIApp, token: str | None, loopback: bool):
        self.app, self.token, self.loopback = app, token, loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._refused(scope) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.loopback and _name(host) not in LOOPBACK:
            return refusal(403, "the server listens on this machine only, and answers to 127.0.0.1 and localhost")
        if origin is not None and urlsplit_netloc(origin) != host.lower():
            return refusal(403, "requests from pages of another origin are not answered")
        if self.token is None or not scope["path"].startswith("/v1"):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return None
        sentence = "a token is needed: the header `Authorization: Bearer TOKEN` with the one that the server was started with"
        return refusal(401, sentence, {"WWW-Authenticate": "Bearer"})


def _name(host: str) -> str:
    """Without the port."""
    return (host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]).lower()


def urlsplit_netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class _TooLargeError(Exception):
    """The body is larger than it may be."""


class BoundedBody:
    """A body that is too large or takes too long is given up and its connection closed, before the rest of it is read.

    Starlette's RequestBodyLimitMiddleware leaves the connection open: uvicorn would take in a whole gigabyte to throw it away.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float = BODY_SECONDS):
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        too_large = refusal(413, f"the request is larger than {self.most >> 20} MiB, the most that is taken here", CLOSE)
        if _length(scope) > self.most:
            return await too_large(scope, receive, send)
        until, size, complete, answered = time.monotonic() + self.seconds, 0, False, False

        async def bounded() -> Message:
            nonlocal size, complete
            if complete:  # what is awaited now is the client's going away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise ClientDisconnect from None
            size += len(message.get("body", b""))
            if size > self.most:
                raise _TooLargeError
            complete = not message.get("more_body", False)
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] == "http.response.start" and not complete and (_length(scope) or _chunked(scope)):
                MutableHeaders(scope=message)["Connection"] = "close"  # the body was not wanted, and is not read
            await send(message)

        try:
            await self.app(scope, bounded, noted)
        except _TooLargeError:
            if not answered:
                await too_large(scope, receive, send)
        except ClientDisconnect:
            if not answered and time.monotonic() >= until:
                late = refusal(408, f"the request was not here within {self.seconds:g} seconds", CLOSE)
                await late(scope, receive, send)


def _length(scope: Scope) -> int:
    """What the head says; h11 has refused whatever is no number."""
    return int(Headers(scope=scope).get("content-length", "0"))


def _chunked(scope: Scope) -> bool:
    return "transfer-encoding" in Headers(scope=scope)
