"""Run a stage in a process of its own without importing everything again: fork, and act as the interpreter does at its end."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from injection import STRUCK, Fault, inject
from targets import Target

from zerostart.errors import run_stage
from zerostart.interruptions import end_at_once

PATIENCE = 180.0
"""Seconds after which a run counts as hanging."""
ORPHANS = 5.0
"""Seconds that processes may live on after the one that started them was killed."""


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    """Negative: the signal."""
    out: str
    err: str
    seconds: float
    operations: int
    struck: bool
    orphans: bool
    """A process that it started was still there much later."""


def run(target: Target, folder: Path, fault: Fault | None = None, usual: float = 0.0) -> Ended:
    """One run in `folder`, which usually takes `usual` seconds."""
    started = time.monotonic()
    pipes = [os.pipe() for _ in ("out", "err", "report")]  # not files: a limit on their size would hold for them as well
    process = os.fork()
    if process == 0:
        try:
            _child(target, folder, fault, [write for _, write in pipes])
        finally:
            os._exit(1)  # whatever happens, the child is not to go on as the parent
    for _, write in pipes:
        os.close(write)
    if fault and fault.kind == "moment":
        _sleep_or_end(process, fault.at * usual)
        os.kill(process, fault.signal)  # a zombie at the worst: it is not reaped yet
    status = _wait(process, started)
    seconds = time.monotonic() - started
    orphans = _orphans(process)
    out, err, report = (_drained(read) for read, _ in pipes)
    code = os.waitstatus_to_exitcode(status)
    struck = STRUCK in report or code != 0
    counted = report.removeprefix(STRUCK).decode()
    return Ended(code, out.decode(errors="replace"), err.decode(errors="replace"), seconds, int(counted or 0), struck, orphans)


def _child(target: Target, folder: Path, fault: Fault | None, pipes: list[int]) -> None:
    os.setsid()
    out, err, report = pipes
    os.dup2(out, 1)
    os.dup2(err, 2)
    # As the interpreter opens them; the parent's may write to a file, which can seek, and a pipe cannot.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    end_at_once()  # as `python -m` has it until all is imported
    os.chdir(folder)
    sys.argv = [target.name, *target.arguments]
    operations, code = inject(fault, folder, report), 0
    try:
        run_stage(target.main)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(report, str(operations.count).encode())
    os._exit(code)


def _drained(descriptor: int) -> bytes:
    """What the pipe holds; its writers are gone."""
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _sleep_or_end(process: int, seconds: float) -> None:
    """Wait for the moment, or for the process to end before it (it stays to be waited for)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(min(0.002, max(0.0, until - time.monotonic())))


def _wait(process: int, started: float) -> int:
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() - started > PATIENCE:
            os.killpg(process, signal.SIGKILL)
            return os.waitpid(process, 0)[1]
        time.sleep(0.002)


def _orphans(group: int) -> bool:
    """Whether the group has processes left after `ORPHANS` seconds; they are ended then."""
    until = time.monotonic() + ORPHANS
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return True
