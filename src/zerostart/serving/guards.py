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


class BodyInTime:
    """A body that takes too long is given up, so that its connection does not stay for ever."""

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS):
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        until, complete = time.monotonic() + self.seconds, False

        async def in_time() -> Message:
            nonlocal complete
            if complete:  # what is awaited now is the client's going away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise ClientDisconnect from None
            complete = not message.get("more_body", False)
            return message

        try:
            await self.app(scope, in_time, send)
        except ClientDisconnect:
            if time.monotonic() >= until:
                await refusal(408, f"the request was not here within {self.seconds:g} seconds", {"Connection": "close"})(
                    scope, receive, send
                )
