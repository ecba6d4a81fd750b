"""Counters in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

import time
from collections import Counter
from dataclasses import dataclass, field

import psutil
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""


@dataclass
class Telemetry:
    """Of the HTTP process."""

    requests: Counter = field(default_factory=Counter)
    """(route, method, status): how many."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Route: a count for each bucket, of all, and their sum."""

    def seen(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests[route, method, status] += 1
        counts = self.seconds.setdefault(route, [0.0] * (len(BUCKETS) + 2))
        for index, limit in enumerate(BUCKETS):
            counts[index] += seconds <= limit
        counts[-2] += 1
        counts[-1] += seconds

    def text(self, values: dict[str, tuple[str, str, float]]) -> str:
        """values: name without `zerostart_`: kind, help, value."""
        lines = [
            "# HELP zerostart_requests_total Answers by route, method and status.",
            "# TYPE zerostart_requests_total counter",
        ]
        lines += [
            f'zerostart_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
            for (route, method, status), count in sorted(self.requests.items())
        ]
        lines += [
            "# HELP zerostart_request_seconds Time to the end of the answer.",
            "# TYPE zerostart_request_seconds histogram",
        ]
        for route, counts in sorted(self.seconds.items()):
            named = [*zip(map(str, BUCKETS), counts, strict=False), ("+Inf", counts[-2])]
            lines += [f'zerostart_request_seconds_bucket{{route="{route}",le="{le}"}} {count:g}' for le, count in named]
            lines.append(f'zerostart_request_seconds_count{{route="{route}"}} {counts[-2]:g}')
            lines.append(f'zerostart_request_seconds_sum{{route="{route}"}} {counts[-1]:.6f}')
        for name, (kind, about, value) in values.items():
            lines += [*_head(name, kind, about), f"zerostart_{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP zerostart_{name} {about}", f"# TYPE zerostart_{name} {kind}"]


METHODS = ("GET", "HEAD", "POST")


class Timed:
    """Counts every answer under the route that gave it, never under a path that a client made up."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry):
        self.app, self.telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.monotonic(), 499  # as nginx has it: the client went before there was an answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.telemetry.seen(route, method, status, time.monotonic() - started)


def resident(pid: int | None) -> float:
    """Bytes of memory of a process, 0 when it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) if pid else 0.0
    except psutil.NoSuchProcess:
        return 0.0
