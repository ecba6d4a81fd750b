"""DVC's lock files after a kill: its own bookkeeping of who reads and writes what, and dvc.lock cut in the middle."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import psutil

from zerostart.checkup.findings import Finding
from zerostart.errors import InputError
from zerostart.outputs import is_running
from zerostart.records import read_yaml

RWLOCK = Path(".dvc/tmp/rwlock")
"""Which process reads or writes which path. DVC forgets the dead by itself, but not where another process has the number."""


def look_at_locks(dvc_locks: list[Path]) -> Iterator[Finding]:
    """What keeps DVC from running at all; `dvc_locks`: the lock files of all pipelines."""
    for path in (RWLOCK, Path(".dvc/tmp/exps/rwlock")):
        if path.is_file() and (reason := _blocked(path.read_text(encoding="utf-8", errors="replace"))):
            yield Finding("DVC's locks", f"{path}: {reason}", f"rm {path}")
    for path in dvc_locks:
        try:
            whole = isinstance(read_yaml(path, "", foreign=True), dict)
        except InputError:
            whole = False
        if not whole:
            yield Finding(
                "DVC's locks", f"{path}: cut in the middle", f"git checkout -- {shlex.quote(str(path))}, then dvc repro"
            )


def _blocked(content: str) -> str | None:
    """Why DVC cannot go on with this file, or None."""
    try:
        held = json.loads(content)
        writers, readers = held.get("write", {}).values(), held.get("read", {}).values()
        holders = {int(holder["pid"]) for holder in [*writers, *(one for several in readers for one in several)]}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return "cut in the middle when DVC was killed"
    foreign = sorted(pid for pid in holders if is_running(pid) and not _is_dvc(pid))
    return f"names process {foreign[0]}, which is another program now" if foreign else None


def _is_dvc(pid: int) -> bool:
    try:
        return any("dvc" in part for part in psutil.Process(pid).cmdline())
    except psutil.Error:  # somebody else's, or gone meanwhile
        return True
