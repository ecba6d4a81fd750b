"""Who may ask: by which names a server without a token answers, and how much all who ask may send at a time."""

import asyncio

import pytest

from zerostart.serving.guards import BoundedBody, SameOriginAndToken
from zerostart.serving.refusals import Refusal


def status_at(host: str) -> int:
    """Of a request with this header `Host`, to a server without a token; 204 comes from behind the guard."""
    statuses = []

    async def behind(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message):
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": "GET", "path": "/healthz", "headers": [(b"host", host.encode())]}
    asyncio.run(SameOriginAndToken(behind, None)(scope, None, send))
    return statuses[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "127.0.0.2:8000", "localhost:1", "LOCALHOST", "[::1]:8000"])
def test_this_machine_answers_to_all_its_own_addresses(host):
    """All of 127.0.0.0/8 is loopback (RFC 1122, 3.2.1.3), as is ::1 (RFC 4291, 2.5.3)."""
    assert status_at(host) == 204


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.2:8000", "[::2]:1"]
)
def test_foreign_names_are_refused(host):
    """A name that leads here is a foreign page's way to ask in its visitor's name."""
    assert status_at(host) == 403


def test_bodies_together_are_bounded():
    """Of two of 6 bytes with room for 10, the second is told to come again; when the first is answered, there is room."""

    async def run():
        release = asyncio.Event()

        async def behind(scope, receive, send):
            await receive()
            await release.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})

        async def request():
            async def receive():
                return {"type": "http.request", "body": b"123456", "more_body": False}

            async def send(message):
                pass

            await guard({"type": "http", "path": "/v1/inspections", "headers": [(b"content-length", b"6")]}, receive, send)

        guard = BoundedBody(behind, 8, together=10)
        first = asyncio.create_task(request())
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await asyncio.wait_for(request(), 5)
        assert (refused.value.status_code, refused.value.headers["Retry-After"]) == (503, "5")
        release.set()
        await first
        await asyncio.wait_for(request(), 5)

    asyncio.run(run())
