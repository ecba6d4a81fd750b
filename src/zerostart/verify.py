"""Is what was run here the committed result? `python -m zerostart.verify [dvc.lock ...]`, or `make verify`.

Nothing is run again. The lock files and the numbers in metrics and plots are compared with those of the last commit. Either
all outputs have the same bytes (promised on x86-64 with AVX2, zerostart/kernels.py), or only rounding differs and the tables
agree to four digits; one sentence says which. It is an error, and exit code 1, when numbers differ more than that.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from zerostart.errors import InputError, run_stage
from zerostart.records import parse_yaml
from zerostart.review.revisions import git

TOLERANCE = 1e-4 + 1e-9
"""Of two numbers that are the same to four digits: one in the fourth decimal (0.9077 and 0.9078), relative above 1."""
TABLES = {".json", ".csv", ".md"}
"""Outputs in git that hold numbers."""
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

Lock = dict[str, dict[str, Any]]
"""The stages of a dvc.lock by name."""


class Comparison(NamedTuple):
    """What one lock file says of this run and of the committed one."""

    stages: int
    inputs: list[str]
    """Sources, data and parameters that no stage makes and that differ."""
    first: str | None
    """The first stage, in the order in which they run, whose output differs."""


def verify(paths: list[str]) -> str:
    """The sentence; raises InputError when something is missing or numbers differ by more than rounding."""
    all_locks = {path: read_lock(path, show(path)) for path in committed_locks()}
    made = {out for lock in all_locks.values() for stage in lock.values() for out in hashes(stage, "outs")}
    committed = {path: read_lock(path, show(path)) for path in paths} or all_locks
    found = {path: compare(lock, read_lock(path, workspace(path)), made, path) for path, lock in committed.items()}
    names = ", ".join(found)
    inputs = sorted({name for comparison in found.values() for name in comparison.inputs})
    if inputs:
        more = f" and {len(inputs) - 3} more" if len(inputs) > 3 else ""
        return (
            f"other inputs than in the last commit ({', '.join(inputs[:3])}{more}): its numbers are not those to compare with"
        )
    first = next((comparison.first for comparison in found.values() if comparison.first), None)
    where = f"the output of the stage `{first}` is the first with other bytes" if first else "the lock files agree"
    count = sum(compare_tables(path, where) for path in tables(committed.values()))
    if first is None:
        stages = sum(comparison.stages for comparison in found.values())
        return f"the same bytes as in the last commit: the outputs of all {stages} stages in {names}"
    return f"only rounding differs from the last commit: {where}, and {tables_agree(count)} to four digits ({names})"


def committed_locks() -> list[str]:
    """The lock files of the last commit, the main one first."""
    names = [name for name in git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0") if Path(name).name == "dvc.lock"]
    if not names:
        raise InputError("no dvc.lock in the last commit; `dvc repro` writes it, and a commit keeps it to compare with")
    return sorted(names, key=lambda name: (name.count("/"), name))


def read_lock(path: str, text: str) -> Lock:
    """The stages of a lock file; raises InputError when it is none."""
    try:
        stages = parse_yaml(text, path, foreign=True)["stages"]
        for stage in stages.values():
            for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
                _ = entry["path"], entry["md5"]  # both are read below
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a lock file of DVC; `dvc repro` writes it") from None
    return stages


def compare(committed: Lock, here: Lock, made: set[str], path: str) -> Comparison:
    """`made`: what the stages of all pipelines make. Raises InputError when a committed stage has not been run here."""
    for name in committed:
        if name not in here:
            raise InputError(f"{path}: the stage `{name}` of the last commit is not in it; `dvc repro` runs what is missing")
    old, new = ({name: lock[name] for name in committed} for lock in (committed, here))
    before, after = starting_points(old, made), starting_points(new, made)
    inputs = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    first = next((name for name in running_order(old) if hashes(old[name], "outs") != hashes(new[name], "outs")), None)
    return Comparison(len(committed), inputs, first)


def hashes(stage: dict[str, Any], kind: str) -> dict[str, str]:
    """Path -> hash of a stage's `deps` or `outs`."""
    return {entry["path"]: entry["md5"] for entry in stage.get(kind, ())}


def starting_points(lock: Lock, made: set[str]) -> dict[str, Any]:
    """What no stage makes: path -> hash of files, `file: key` -> value of parameters."""
    points: dict[str, Any] = {}
    for stage in lock.values():
        points |= {path: md5 for path, md5 in hashes(stage, "deps").items() if not within(path, made)}
        points |= {f"{file}: {key}": value for file, keys in stage.get("params", {}).items() for key, value in keys.items()}
    return points


def running_order(lock: Lock) -> list[str]:
    """The stages, each after those whose outputs it reads, otherwise as in the file."""
    after = {
        name: [
            other
            for other in lock
            if other != name and any(within(dep, hashes(lock[other], "outs")) for dep in hashes(stage, "deps"))
        ]
        for name, stage in lock.items()
    }
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for other in after[name]:
                visit(other)
            order[name] = None

    for name in lock:
        visit(name)
    return list(order)


def within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the given, in one of them, or a folder that holds one."""
    return any(path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/") for folder in folders)


def tables(locks: Iterable[Lock]) -> list[str]:
    """The outputs with numbers that the last commit holds (DVC's `cache: false`)."""
    outs = {path for lock in locks for stage in lock.values() for path in hashes(stage, "outs")}
    listed = git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")
    return [name for name in listed if Path(name).suffix in TABLES and any(within(name, [out]) for out in outs)]


def tables_agree(count: int) -> str:
    return "1 table agrees" if count == 1 else f"{count} tables agree"


def compare_tables(path: str, where: str) -> int:
    """1; raises InputError at the first number or word of a table that differs by more than rounding."""
    for line, (old, new) in enumerate(zip_lines(show(path), workspace(path)), 1):
        if not same_to_four_digits(old, new):
            raise InputError(
                f"{path}, line {line}: `{new.strip()[:80]}` here, `{old.strip()[:80]}` in the last commit; {where}"
            )
    return 1


def zip_lines(old: str, new: str) -> Iterable[tuple[str, str]]:
    """The lines of two texts side by side; a shorter one ends with empty lines."""
    lines = old.splitlines(), new.splitlines()
    count = max(map(len, lines))
    return zip(*(text + [""] * (count - len(text)) for text in lines), strict=True)


def same_to_four_digits(old: str, new: str) -> bool:
    """Whether two lines have the same words, the same whole numbers, and otherwise numbers that are equal to four digits."""
    if old == new:
        return True
    numbers = NUMBER.findall(old), NUMBER.findall(new)
    if NUMBER.split(old) != NUMBER.split(new):
        return False
    return all(one == two or close(one, two) for one, two in zip(*numbers, strict=True))


def close(one: str, two: str) -> bool:
    """Whether two numbers, of which one has a decimal point, differ by rounding only."""
    if one.lstrip("+-").isdigit() and two.lstrip("+-").isdigit():
        return False  # counts
    a, b = float(one), float(two)
    return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def show(path: str) -> str:
    """Text of a file in the last commit."""
    return git("show", f"HEAD:./{path}")


def workspace(path: str) -> str:
    """Text of a file as it lies there."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: not readable ({reason}); `dvc repro` writes it") from None


if __name__ == "__main__":
    run_stage(lambda: verify(sys.argv[1:]))
