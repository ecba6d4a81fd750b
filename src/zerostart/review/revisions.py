"""Revisions of this repository: anything that git or DVC can name, or the workspace as it lies there."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev

from zerostart.errors import InputError, shown
from zerostart.records import MOST_JSON, read_text

WORKSPACE = "workspace"
"""DVC's name for the files as they lie there, committed or not."""


class Revision(NamedTuple):
    """A branch, tag, commit or experiment, or the workspace."""

    name: str
    """As it was given, a whole commit hash shortened: what DVC is asked for and how its plots call it."""
    commit: str | None
    """None: the workspace."""

    def read(self, path: str) -> str | None:
        """Text of a file that is in git, or None where this revision has none."""
        if self.commit is None:
            return read_text(path, "", MOST_JSON) if Path(path).exists() else None
        found = subprocess.run(["git", "show", f"{self.commit}:{path}"], capture_output=True)
        try:
            return found.stdout.decode("utf-8") if found.returncode == 0 else None
        except UnicodeDecodeError:
            raise InputError(f"{path} of {self.name}: not UTF-8 text") from None


def resolve(names: list[str]) -> list[Revision]:
    """Find all revisions; raises InputError for one that neither git nor DVC knows, or that is named twice."""
    git("rev-parse", "--verify", "HEAD")
    try:
        with Repo() as repo:
            revisions = [_resolve(repo, name) for name in names]
    except DvcException as error:
        raise InputError(f"{' '.join(str(error).split())}; a repository of git and DVC is expected here") from None
    if len({revision.name for revision in revisions}) < len(revisions):
        raise InputError(f"{' '.join(names)}: each revision is expected once")
    return revisions


def _resolve(repo: Repo, name: str) -> Revision:
    if unsafe := re.search(r"[^\w./@{}^~+=#%,:-]", name):  # DVC writes the name into its page as it is
        raise InputError(f"{shown(name)}: has the character {shown(unsafe[0])}; the hash of its commit is expected instead")
    if name == WORKSPACE:
        return Revision(name, None)
    try:
        commit = resolve_rev(repo.scm, name)
    except RevError:
        known = "a branch, tag, commit, experiment name or `workspace` is expected"
        if git("rev-parse", "--is-shallow-repository").strip() == "true":
            known += "; this clone is shallow: `git fetch --unshallow` brings the commits that it lacks"
        raise InputError(f"{name!r}: unknown revision; {known}") from None
    return Revision(git("rev-parse", "--short", commit).strip() if name == commit else name, commit)


def run_dvc(*arguments: str) -> str:
    """Standard output of a DVC command; its own error becomes an InputError."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, encoding="utf-8")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"dvc {' '.join(arguments)}: {reason.removeprefix('ERROR: ')}")
    return done.stdout


def dvc_diff(kind: str, base: Revision, other: Revision, *options: str) -> dict[str, dict[str, dict[str, Any]]]:
    """`dvc metrics diff` or `dvc params diff`: file -> dotted name -> old, new (None where a revision has no such number)."""
    return json.loads(run_dvc(kind, "diff", "--json", *options, "--", base.name, other.name) or "{}")


def git(*arguments: str) -> str:
    """Standard output of a git command that reads the repository; InputError without git, repository or commit."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise InputError("git: no such program here; it is expected on the PATH") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0].removeprefix("fatal: ")
        raise InputError(f"git {arguments[0]}: {reason}; a git repository with a commit is expected here")
    return done.stdout


def uncommitted() -> list[str]:
    """Files of the workspace that differ from the last commit, or are not in git though not ignored."""
    entries = git("status", "--porcelain", "-z", "--no-renames").split("\0")
    return sorted(entry[3:] for entry in entries if entry)


def experiments() -> list[Revision]:
    """All finished experiments of DVC, of every commit, the oldest first; queued and failed ones are no revisions."""
    git("rev-parse", "--verify", "HEAD")
    try:
        with Repo() as repo:
            named = [one for ones in repo.experiments.ls(all_commits=True).values() for one in ones]
    except DvcException as error:
        raise InputError(f"{' '.join(str(error).split())}; a repository of git and DVC is expected here") from None
    revisions = {commit: Revision(name, commit) for name, commit in named}
    if not revisions:
        return []
    in_order = git("rev-list", "--no-walk=sorted", "--reverse", *revisions).split()
    return [revisions[commit] for commit in in_order]
