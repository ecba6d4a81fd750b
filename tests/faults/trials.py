"""One trial: a fault in a run, what it left, then the same command again; the result must be an undisturbed one's."""

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from injection import Fault
from processes import Ended, run
from targets import TARGETS, Target

ENDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
REFUSED = "exists and is not empty; a new folder is expected"
"""What `predict` and `export` say when they were killed after their folder was in its place, or not at all."""

CURVES = {"plots/detector_synthetic.csv"}
"""Grows with every epoch, so that a training can be watched."""

Tree = dict[str, bytes | None]


class Usual(NamedTuple):
    """An undisturbed run of a target."""

    target: Target
    made: Tree
    """The files and folders that it makes, and the files that it changes."""
    ended: Ended


class World(NamedTuple):
    """The folder in which every stage has run once."""

    folder: Path
    tree: Tree
    usual: list[Usual]


class Trial(NamedTuple):
    """What is tried."""

    usual: Usual
    fault: Fault
    anew: bool
    """The outputs are there already, from the run before."""

    def __str__(self) -> str:
        return f"{self.usual.target.name}{' (again)' if self.anew else ''}: {self.fault}"


class Outcome(NamedTuple):
    """How a trial ended."""

    trial: str
    kind: str
    struck: bool
    problems: list[str]


def read_tree(folder: Path) -> Tree:
    """Every file's bytes and every folder (None) below one, without what links point to."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def build(folder: Path) -> World:
    """Run every target once, in order; raises RuntimeError where one fails."""
    before, usual = read_tree(folder), []
    for target in TARGETS:
        ended = run(target, folder)
        if ended.code:
            raise RuntimeError(f"{target.name} ends with {ended.code}:\n{ended.err}")
        after = read_tree(folder)
        if target.name == "synthetic":
            for path in sorted((folder / "data/raw/synthetic/images").iterdir())[:3]:
                shutil.copy(path, folder / "shown")  # for `predict`
                after[f"shown/{path.name}"] = path.read_bytes()
        new = sorted(name for name in after if name not in before or after[name] != before[name])  # in one order
        made = {name: after[name] for name in new if "shown/" not in name}
        usual.append(Usual(target, made, ended))
        if target.command:
            for name in sorted(made, reverse=True):
                path = folder / name
                if name in before:
                    path.write_bytes(before[name])
                else:
                    path.rmdir() if made[name] is None else path.unlink()
        else:
            before = after
    return World(folder, read_tree(folder), usual)


def draw(world: World, count: int, seed: int) -> Iterator[Trial]:
    """`count` trials: every target in turn, the kinds of faults by chance."""
    rng = random.Random(seed)
    for number in range(count):
        usual = world.usual[number % len(world.usual)]
        anew = not usual.target.command and rng.random() < 0.4
        yield Trial(usual, _fault(usual, rng), anew)


def _fault(usual: Usual, rng: random.Random) -> Fault:
    kind = rng.choice(["moment", "moment", "operation", "operation", "half a write", "full", "half a write fails", "error"])
    if kind == "moment":
        return Fault(kind, rng.random(), rng.choice(ENDS))
    if "write" in kind:
        sizes = [len(content) for content in usual.made.values() if content] or [1]
        size = rng.choice(sizes)  # half of them in the last bytes, which a library may still hold when it is done
        return Fault(kind, rng.choice([rng.randrange(size), size - 1 - rng.randrange(min(size, 4096))]))
    return Fault(kind, rng.randint(1, max(1, usual.ended.operations)))


def attempt(trial: Trial, place: Path, world: World) -> Outcome:
    """Carry a trial out in the new folder `place`."""
    target, made = trial.usual.target, trial.usual.made
    shutil.copytree(world.folder, place, symlinks=True)
    expected = world.tree | made
    if not trial.anew and not target.command:  # its output is not there
        for name in sorted(made, reverse=True):
            path = place / name
            if path.is_file():
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    first = run(target, place, trial.fault, trial.usual.ended.seconds)
    problems = _of_the_fault(first, read_tree(place), world.tree, expected, target)
    second = run(target, place)
    if second.code and not (REFUSED in second.err and target.command):
        problems.append(f"the same command then ends with {second.code}: {second.err[-1500:]}")
    elif not target.told:
        problems += _differences(read_tree(place), expected)
    elif _said(second) != _said(trial.usual.ended):
        problems.append(f"it says {_said(second)!r} and not {_said(trial.usual.ended)!r}")
    if first.orphans or second.orphans:
        problems.append("a process that it started lives on")
    shutil.rmtree(place)
    return Outcome(str(trial), trial.fault.kind, first.struck, problems)


def _of_the_fault(first: Ended, left: Tree, before: Tree, expected: Tree, target: Target) -> list[str]:
    """What is wrong right after the fault: a traceback, or half an output under its final name."""
    problems = []
    if "Traceback" in first.err:
        problems.append(f"a traceback: {first.err[-1500:]}")
    if not target.told:
        hidden = {name for name in left if any(part.startswith((".tmp-", ".finished-")) for part in name.split("/"))}
        whole = [before, expected]
        torn = [n for n in left.keys() - hidden - CURVES if not any(n in tree and left[n] == tree[n] for tree in whole)]
        problems += [f"half-written: {name}" for name in torn]
    return problems


def _differences(found: Tree, expected: Tree) -> list[str]:
    return [
        *(f"left over: {name}" for name in sorted(found.keys() - expected.keys())),
        *(f"missing: {name}" for name in sorted(expected.keys() - found.keys())),
        *(f"other bytes: {name}" for name in sorted(found.keys() & expected.keys()) if found[name] != expected[name]),
    ]


def _said(ended: Ended) -> str:
    return ended.out.strip().splitlines()[-1].partition(" [")[0]
