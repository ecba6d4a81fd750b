"""Is dvc.lock what the files beside it would give? `python -m zerostart.staleness`, or `make check-lock`.

Needs no data: whatever is in git is compared with its hash in the lock files (`dvc status`), and an output that is not
there is compared by the hashes that its maker and its users have for it. Exits with 1 and names what was changed without a
rerun, and the stages that have to run again; what concerns only the other pipelines is named, and no failure.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from zerostart.errors import InputError, run_stage
from zerostart.records import read_yaml
from zerostart.review.revisions import git, run_dvc

DELETED = " (deleted)"
"""How a missing file is marked until it is known whether it is one that a checkout need not have."""

Found = dict[str, set[str]]
"""What was changed -> the stages that read it."""


class Stale(NamedTuple):
    """One sentence for each change that was not followed by a run, with the stages that it makes stale."""

    experiment: list[str]
    """In dvc.lock."""
    others: list[str]
    """In the lock files of the other pipelines, which take longer and are rerun now and then."""


def find_stale() -> Stale:
    """Ask DVC, and compare the lock files with themselves."""
    git("rev-parse", "--verify", "HEAD")
    locks = {path: read_lock(path) for path in lock_files()}
    if not locks:
        raise InputError("no dvc.lock is in git, so there is nothing to compare; `dvc repro` and a commit are expected")
    found: Found = {}
    for stage, reasons in json.loads(run_dvc("status", "--json")).items():
        if stage in locked_stages(locks):
            for what in changed_in(reasons):
                found.setdefault(what, set()).add(stage)
        elif lock_of(stage) in locks:
            found.setdefault("a stage that was never run", set()).add(stage)
    data = ignored([what for what in found if what.endswith(DELETED)])
    found = {what: stages for what, stages in found.items() if what not in data}
    for what, stages in outdated_outputs(locks).items():
        found.setdefault(what, set()).update(stages)
    after = downstream(run_dvc("dag", "--dot"))
    return Stale(*(sentences(part, after) for part in by_pipeline(found)))


def by_pipeline(found: Found) -> tuple[Found, Found]:
    """The changes with the stages of the main pipeline, and with those of the others."""
    experiment = {what: {stage for stage in stages if "dvc.yaml:" not in stage} for what, stages in found.items()}
    others = {what: stages - experiment[what] for what, stages in found.items()}
    return tuple({what: stages for what, stages in part.items() if stages} for part in (experiment, others))


def lock_files() -> list[Path]:
    """The lock files in git; a pipeline without one has never been run here and cannot be stale."""
    listed = git("ls-files", "-z", "*dvc.lock")
    return [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]


def read_lock(path: Path) -> dict[str, Any]:
    """The stages of a lock file; raises InputError when it is not one."""
    lock = read_yaml(path, "`git checkout` brings it back")
    stages = lock.get("stages") if isinstance(lock, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise InputError(f"{path}: not a lock file of DVC; `git checkout {path}` brings back the last one")
    return stages


def lock_of(stage: str) -> Path:
    """The lock file of a stage as `dvc status` calls it: `warmup`, or `pipelines/x/dvc.yaml:stage@item`."""
    folder, _, _ = stage.rpartition("dvc.yaml:")
    return Path(folder) / "dvc.lock"


def locked_stages(locks: dict[Path, dict[str, Any]]) -> set[str]:
    """The stages of all lock files, by the names that `dvc status` uses."""
    return {
        name if path.parent == Path() else f"{path.parent.as_posix()}/dvc.yaml:{name}"
        for path, stages in locks.items()
        for name in stages
    }


def changed_in(reasons: list[str | dict[str, Any]]) -> Iterator[str]:
    """What `dvc status` says of a stage, but for outputs that are not in this machine's cache."""
    for reason in reasons:
        if isinstance(reason, str):
            yield f"the stage's definition ({reason})"
            continue
        for entries in reason.values():
            for path, state in entries.items():
                if isinstance(state, dict):  # a parameter file: dotted name -> state
                    yield from (f"{path}: {name}" for name in state)
                elif state != "not in cache":
                    yield f"{path}{DELETED}" if state == "deleted" else path


def ignored(deleted: list[str]) -> set[str]:
    """Those whose path git ignores: data that a checkout need not have."""
    paths = [what.removesuffix(DELETED) for what in deleted]
    done = subprocess.run(["git", "check-ignore", "--stdin"], input="\n".join(paths), capture_output=True, encoding="utf-8")
    return {f"{path}{DELETED}" for path in done.stdout.splitlines()}


def outdated_outputs(locks: dict[Path, dict[str, Any]]) -> Found:
    """Outputs that were made anew since a stage used them, by their hashes in the lock files (paths from the root)."""
    made = {out["path"]: out["md5"] for stages in locks.values() for s in stages.values() for out in s.get("outs", [])}
    found: Found = {}
    for path, stages in locks.items():
        prefix = "" if path.parent == Path() else f"{path.parent.as_posix()}/dvc.yaml:"
        for name, stage in stages.items():
            for dep in stage.get("deps", []):
                if made.get(dep["path"], dep["md5"]) != dep["md5"]:
                    found.setdefault(dep["path"], set()).add(prefix + name)
    return found


def downstream(dot: str) -> dict[str, set[str]]:
    """Stage -> all stages after it in the same pipeline, from `dvc dag --dot`."""
    after: dict[str, set[str]] = {}
    for first, second in re.findall(r'^"(.+)" -> "(.+)";$', dot, re.MULTILINE):
        if lock_of(first) == lock_of(second):
            after.setdefault(first, set()).add(second)

    def reached(stage: str) -> set[str]:
        return {stage}.union(*(reached(following) for following in after.get(stage, ())))

    return {stage: reached(stage) - {stage} for stage in after}


def sentences(found: Found, after: dict[str, set[str]]) -> list[str]:
    """For each change the stages that read it, and those that follow."""
    return [sentence(what, stages, after) for what, stages in sorted(found.items())]


def sentence(what: str, stages: set[str], after: dict[str, set[str]]) -> str:
    following = set().union(*(after.get(stage, set()) for stage in stages)) - stages
    then = f", then {', '.join(sorted(following))}" if following else ""
    return f"{what} was changed without a rerun of {', '.join(sorted(stages))}{then}"


def main() -> str:
    stale = find_stale()
    for line in stale.others:
        print(f"note: {line}")
    for line in stale.experiment:
        print(line)
    if stale.experiment:
        raise InputError("dvc.lock is stale, see above; `dvc repro` and a commit of what it changes are expected")
    return "dvc.lock is up to date with everything that is in git"


if __name__ == "__main__":
    run_stage(main)
