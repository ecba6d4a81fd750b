"""A server on loopback in a process of its own, as a user starts it."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
from PIL import Image

SOURCES = Path(__file__).parents[2] / "src"
PATIENCE = 120.0


class LiveServer:
    """`python -m zerostart.serve --port 0` in a folder; what it says is in `said`."""

    def __init__(self, root: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str):
        command = [*before, sys.executable, "-m", "zerostart.serve", "--port", "0", *map(str, arguments)]
        known = os.environ | {"PYTHONPATH": str(SOURCES), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | environment
        self.process = subprocess.Popen(
            command, cwd=root, env=known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self._wait_for_address()
        self.client = httpx.Client(base_url=self.address, timeout=60, trust_env=False)

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))

    def _wait_for_address(self) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            if found := [line for line in self.said if line.startswith("http://")]:
                return found[0]
            time.sleep(0.02)
        self._reader.join(5)
        raise AssertionError(f"no address: {self.said}")

    @property
    def place(self) -> tuple[str, int]:
        parts = urlsplit(self.address)
        return parts.hostname, parts.port

    def wait_ready(self) -> "LiveServer":
        until = time.monotonic() + PATIENCE
        while self.client.get("/readiness").status_code != 200:
            assert time.monotonic() < until, self.said
            time.sleep(0.1)
        return self

    def wait_answering(self) -> "LiveServer":
        """Of a server without models."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.client.get("/healthz")
                return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self.said)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.place, timeout=30)

    def inspect(self, content: bytes, name: str = "part.png", **fields) -> httpx.Response:
        return self.client.post("/v1/inspections", files={"picture": (name, content)}, data=fields)

    def model_process(self) -> psutil.Process:
        found = [child for child in self.main().children() if any("serving.modelling" in word for word in child.cmdline())]
        return found[0]

    def main(self) -> psutil.Process:
        """The HTTP process, below what was put `before` it."""
        process = psutil.Process(self.process.pid)
        below = [child for child in process.children() if "zerostart.serve" in child.cmdline()]
        return below[0] if below else process

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.client.close()
        self.main().send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """And all that it has started."""
        self.client.close()
        if self.process.poll() is None:
            for process in [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]:
                process.kill()
        self.process.wait(10)


@contextmanager
def live_server(root: Path, *arguments: str, ready: bool = True, **environment: str) -> Iterator[LiveServer]:
    server = LiveServer(root, *arguments, **environment)
    try:
        yield server.wait_ready() if ready else server.wait_answering()
    finally:
        server.kill()


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
