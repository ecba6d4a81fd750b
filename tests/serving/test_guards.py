"""Who may ask: by which names a server without a token answers."""

import asyncio

import pytest

from zerostart.serving.guards import SameOriginAndToken


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
