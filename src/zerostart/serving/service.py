"""The processes behind the HTTP one: decoders in a pool, and the one with the models, which is replaced as a whole.

An answer comes from one model process, and such a process has one set of models: when files change, another process is started,
and only when it has loaded everything does it take the place of the first, which ends after its last answer.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zerostart.serving.children import Child, ChildGoneError, TooSlowError
from zerostart.serving.parts import PARTS, Places, signature
from zerostart.serving.refusals import Refusal

POLL = 1.0
"""Seconds between two looks at the files."""
PAUSE = 5.0
"""Seconds after a set that could not be loaded."""
LOADING = 600.0
"""Seconds that loading a set may take, the graphs' export included."""


@dataclass(frozen=True)
class Limits:
    """Of one server."""

    decoders: int = 2
    decode_seconds: float = 20.0
    decode_memory: int = 4 << 30
    """Bytes of address space of a decoder."""
    model_seconds: float = 120.0
    waiting: int = 32
    """Requests that are worked on or wait for it; more are told to come again."""
    decoded: int = 3
    """Decoded pictures in memory at a time."""


@dataclass
class Counts:
    """What the service has lived through."""

    decoders_replaced: int = 0
    models_replaced: int = 0
    reloads: int = 0
    busy: int = 0
    waiting: int = field(default=0)


class Service:
    """Pictures in, answers out; every refusal is a :class:`Refusal`."""

    def __init__(self, places: Places, cache: Path, runtime: str, limits: Limits | None = None):
        self.places, self.limits, self.counts = places, limits or Limits(), Counts()
        self._arguments = [f"--index={places.index}", f"--tagger={places.tagger}", f"--cache={cache}", f"--runtime={runtime}"]
        if places.checkpoint:
            self._arguments.append(f"--checkpoint={places.checkpoint}")
        self._threads = ThreadPoolExecutor(self.limits.decoders + 4, "zerostart-service")
        self._decoders: asyncio.Queue[Child | None] = asyncio.Queue()
        self._model: Child | None = None
        self._lock, self._room = asyncio.Lock(), asyncio.Semaphore(self.limits.decoded)
        self._seen: Any = None
        self.about: dict[str, Any] | None = None
        """What the present set says of itself; None while it is loaded for the first time."""
        self.trouble = "the models are being loaded"
        """Why there is no set."""
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        for _ in range(self.limits.decoders):
            self._decoders.put_nowait(await self._run(self._new_decoder))
        self._task = asyncio.create_task(self._keep_up())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        children = [self._model]
        while not self._decoders.empty():
            children.append(self._decoders.get_nowait())
        for child in children:
            if child:
                child.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def pids(self) -> dict[str, int | None]:
        return {"model": self._model.pid if self._model else None}

    @property
    def ready(self) -> bool:
        return self._model is not None and any(self.about["versions"].values())

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue."""
        if self.counts.waiting >= self.limits.waiting:
            self.counts.busy += 1
            raise Refusal(503, f"{self.counts.waiting} requests are waiting already; try again in a few seconds", 5)
        self.counts.waiting += 1
        try:
            async with self._room:
                yield
        finally:
            self.counts.waiting -= 1

    async def decode(self, content: int, kind: str) -> tuple[list[int], int]:
        """Width, height, and a file of what the picture in an open file shows, which the caller closes; see `decoding`."""
        child = await self._decoders.get()
        try:
            if child is None or not child.alive:
                child = await self._run(self._new_decoder)
            reply, files = await self._run(child.ask, {"as": kind}, [content], self.limits.decode_seconds)
        except TooSlowError:
            raise Refusal(422, f"the picture was not decoded within {self.limits.decode_seconds:g} seconds") from None
        except ChildGoneError:
            raise Refusal(422, "the picture ended the process that decodes, and is not read again") from None
        finally:
            if child is None or not child.alive:
                self.counts.decoders_replaced += 1
                child = None
            self._decoders.put_nowait(child)
        if "error" in reply:
            raise Refusal(reply["status"], reply["error"])
        return reply["size"], files[0]

    async def ask(self, message: dict[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
        """The answer of the models to a message of :mod:`zerostart.serving.modelling`."""
        async with self._lock:
            model = self._model
            if model is None:
                raise Refusal(503, self.trouble, 5)
            try:
                reply, _ = await self._run(model.ask, message, files, self.limits.model_seconds)
            except (TooSlowError, ChildGoneError) as error:
                self._model, self._seen = None, None  # another is started at once
                self.counts.models_replaced += 1
                self.trouble = "the models are being loaded again"
                slow = isinstance(error, TooSlowError)
                why = f"took more than {self.limits.model_seconds:g} seconds" if slow else "ended"
                raise Refusal(503, f"the process with the models {why} at this request; it is started again", 10) from None
        if "error" in reply:
            raise Refusal(reply["status"], reply["error"])
        return reply

    async def _keep_up(self) -> None:
        """Load the first set, and another one whenever files have changed and come to rest, or the process is gone."""
        before = None
        while True:
            try:
                now = await self._run(self._signatures)
                gone = self._model is None or not self._model.alive
                if gone or (now != self._seen and now == before):
                    await self._load(now, gone)
                before = now
            except Exception as error:  # whatever it is, the next round may do better
                print(f"the models could not be loaded: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(PAUSE)
            await asyncio.sleep(POLL)

    async def _load(self, seen: Any, gone: bool) -> None:
        started = time.monotonic()
        child = await self._run(self._new_model)
        try:
            about, _ = await self._run(child.ask, {"do": "about"}, [], LOADING)
        except (ChildGoneError, TooSlowError):
            self._seen = seen if self._model else None
            self.trouble = "the process with the models ended while it loaded them; it is started again"
            raise
        except BaseException:
            child.kill()
            raise
        lost = [part for part in PARTS if self.about and self.about["versions"][part] and not about["versions"][part]]
        if lost and not gone:  # a pipeline is at work: what is there serves until the new one is whole
            child.kill()
            self._seen = seen
            return
        async with self._lock:
            old, self._model, self.about, self._seen = self._model, child, about, seen
        if old:
            self.counts.reloads += 1
            await self._run(old.close)
        versions = ", ".join(f"{part} {version}" for part, version in about["versions"].items() if version) or "nothing"
        print(f"loaded {versions} [{time.monotonic() - started:.1f} s]", flush=True)
        for entry in about["missing"]:
            print(entry["sentence"], flush=True)

    def _signatures(self) -> Any:
        return [signature(self.places.watched(part)) for part in PARTS]

    def _new_decoder(self) -> Child:
        return Child("zerostart.serving.decoding", [str(self.limits.decode_memory)])

    def _new_model(self) -> Child:
        return Child("zerostart.serving.modelling", self._arguments)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
