"""Outputs that lost something: their line in .gitignore, their file in git, their object in the cache, room on its disk."""

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zerostart.checkup.findings import Finding, listed
from zerostart.errors import InputError
from zerostart.records import read_yaml

LEAST_ROOM = 500_000_000
"""Bytes; less is told, because DVC ends with 0 when its cache is full."""


def look_at_outputs(dvc_locks: list[Path], cache: Path) -> Iterator[Finding]:
    """dvc_locks: the lock files of all pipelines; cache: DVC's, with the folders `files/md5`."""
    yield from _git(dvc_locks)
    yield from _cache(cache)


def _git(dvc_locks: list[Path]) -> Iterator[Finding]:
    """What git should not see and does, and what it should see and does not."""
    outs = [Path(out["path"]) for path in dvc_locks for out in _outs(path)]
    there = [path.as_posix() for path in outs if path.exists() or path.is_symlink()]
    known = {*_paths("check-ignore", "-z", "--stdin", names=there), *_paths("ls-files", "-z", "--", *there)}
    tracked = {parent.as_posix() for name in known for parent in Path(name).parents}
    if seen := sorted({name for name in there if name not in known | tracked}):
        lines = "; ".join(_ignoring(Path(name)) for name in seen)
        yield Finding("git", f"{listed(seen)}: DVC's output, but its line in .gitignore is lost", lines)
    if removed := _paths("ls-files", "-z", "--deleted", "--", "metrics", "plots"):
        remedy = "git ls-files -z --deleted metrics plots | xargs -0 git checkout --, or dvc repro for new ones"
        yield Finding("git", f"{listed(removed)}: DVC removed it before a stage that did not end", remedy)


def _ignoring(path: Path) -> str:
    return f"echo {shlex.quote('/' + path.name)} >> {shlex.quote((path.parent / '.gitignore').as_posix())}"


def _outs(path: Path) -> list[dict[str, Any]]:
    try:
        stages = read_yaml(path, "", foreign=True)["stages"].values()
        return [out for stage in stages for out in stage.get("outs", [])]
    except (InputError, KeyError, TypeError, AttributeError):
        return []  # `look_at_locks` says so


def _paths(*arguments: str, names: list[str] | None = None) -> list[str]:
    """The paths that a command of git prints; those of a folder that is no repository are none."""
    given = "\0".join(names) if names is not None else None
    try:
        done = subprocess.run(["git", *arguments], input=given, capture_output=True, encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise InputError("git: no such program here; it is expected on the PATH") from None
    return [name for name in done.stdout.split("\0") if name]


def _cache(cache: Path) -> Iterator[Finding]:
    if not cache.is_dir():
        return
    if (free := shutil.disk_usage(cache).free) < LEAST_ROOM:
        yield Finding("DVC's cache", f"{cache}: {free / 1e6:.0f} MB are left on its disk", "make room there, then look again")
    objects = [path for path in cache.glob("files/md5/*/*") if path.is_file()]
    if moved := [path for path in objects if path.name.startswith(".") and path.suffix == ".tmp"]:
        remedy = f"find {shlex.quote(str(cache))} -name '.*.tmp' -delete, while no dvc runs"
        yield Finding("DVC's cache", f"{len(moved)} half-moved objects ({moved[0].name}) take room", remedy)
    if broken := [str(path) for path in objects if path not in moved and _is_broken(path)]:
        remedy = f"rm -f {' '.join(map(shlex.quote, broken))}; then dvc commit -f, or dvc repro"
        yield Finding("DVC's cache", f"{listed(broken)}: not what the name says", remedy)


def _is_broken(path: Path) -> bool:
    """DVC takes the write permission from what it has moved whole: only the others, and empty ones, are read."""
    status = path.stat()
    if status.st_size and not status.st_mode & 0o222:
        return False
    expected = path.parent.name + path.name.removesuffix(".dir")
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != expected
