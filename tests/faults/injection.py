"""Faults that are put into a process from within: at a file operation, or in the middle of a write.

Python announces every opening, renaming, making and removing of a file to audit hooks before it happens; that is where an
operation is counted, where the process kills itself, or where the operation fails. Writes of native code (safetensors, Arrow,
FAISS) are not announced: those are cut by the limit on a file's size, which the system keeps.
"""

import errno
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["moment", "operation", "half a write", "full", "half a write fails", "error"]
STRUCK = b"struck "
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.symlink", "os.link"}
GROWING = {"open", "os.mkdir", "os.truncate"}
"""What a full disk refuses."""


class Fault(NamedTuple):
    """What happens to a run, and when."""

    kind: Kind
    at: float
    """moment: share of the usual duration; operation, full, error: number of the operation; writes: bytes."""
    signal: int = signal.SIGKILL

    def __str__(self) -> str:
        sent = f" {signal.Signals(self.signal).name}" if self.kind == "moment" else ""
        return f"{self.kind}{sent} at {self.at:.3g}"


class Operations:
    """The audit hook: counts the file operations of this process below a folder, and strikes at one of them."""

    def __init__(self, folder: Path, fault: Fault | None, report: int):
        self.folder, self.fault, self.report = str(folder), fault, report
        self.process, self.count, self.full = os.getpid(), 0, False

    def __call__(self, event: str, arguments: tuple) -> None:
        if os.getpid() != self.process or not self._changes(event, arguments):
            return
        self.count += 1
        if self.full and event in GROWING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(arguments[0]))
        if self.fault and self.fault.kind in ("operation", "full", "error") and self.count == self.fault.at:
            self._strike(arguments[0])

    def _changes(self, event: str, arguments: tuple) -> bool:
        if event not in CHANGES and not (event == "open" and arguments[2] & WRITING):
            return False
        if isinstance(arguments[0], int):
            return False
        name = os.fsdecode(arguments[0])
        return not os.path.isabs(name) or name.startswith(self.folder)

    def _strike(self, name: str | bytes) -> None:
        os.write(self.report, STRUCK)
        if self.fault.kind == "operation":
            os.kill(self.process, signal.SIGKILL)
        self.full = self.fault.kind == "full"
        code = errno.ENOSPC if self.full else errno.EIO
        raise OSError(code, os.strerror(code), os.fspath(name))


def inject(fault: Fault | None, folder: Path, report: int) -> Operations:
    """Prepare this process for its fault; `STRUCK` is written to the descriptor `report` when an operation meets it."""
    if fault and fault.kind in ("half a write", "half a write fails"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # By default the signal ends the process at the byte; Python ignores it, and then the write fails.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if fault.kind == "half a write" else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(fault.at), resource.RLIM_INFINITY))
    operations = Operations(folder, fault, report)
    sys.addaudithook(operations)
    return operations
