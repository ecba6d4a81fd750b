"""What differs between revisions: parameters, metrics, and what the stages depend on."""

from typing import Any, NamedTuple

from zerostart.errors import InputError
from zerostart.records import WRONG_SHAPE, parse_yaml
from zerostart.review.revisions import Revision, dvc_diff, git

LOCK = "dvc.lock"
TEXTS = ("data/prompts", "data/datasets")
"""Written by people, and quoted where they differ."""
QUOTED = 60
"""Lines of a quotation."""

Values = dict[tuple[str, str], list[Any]]
"""(file, dotted name): the value in the base, then in each other revision; None where there is none."""


class Differences(NamedTuple):
    """Of several revisions from the first, the base."""

    params: Values
    """Only those that differ somewhere."""
    metrics: Values
    """All."""
    dependencies: list[str]
    """Files and folders that the main pipeline starts from, as dvc.lock has them, and that differ somewhere."""
    texts: list[str]
    """Per other revision: prompts and cards as a diff from the base, empty when they are the same."""

    def changed(self, column: int) -> bool:
        """Whether a revision (1 is the first other) differs in parameters, metrics or dependencies."""
        values = [*self.params.values(), *self.metrics.values()]
        return bool(self.dependencies) or any(value[column] != value[0] for value in values)


def find_differences(revisions: list[Revision]) -> Differences:
    """Ask git and DVC; revisions: the base and at least one other."""
    base, *others = revisions
    starts = [starting_points(revision.read(LOCK)) for revision in revisions]
    return Differences(
        side_by_side([dvc_diff("params", base, other) for other in others]),
        side_by_side([dvc_diff("metrics", base, other, "--all") for other in others]),
        sorted({path for other in starts[1:] for path in {*starts[0], *other} if starts[0].get(path) != other.get(path)}),
        [texts(base, other) for other in others],
    )


def side_by_side(diffs: list[dict[str, dict[str, dict[str, Any]]]]) -> Values:
    """DVC's diffs from one base as one table; a value that a diff does not name is the base's."""
    old = {(f, name): cell["old"] for diff in diffs for f, cells in diff.items() for name, cell in cells.items()}
    table = {}
    for file, name in sorted(old):
        news = [diff.get(file, {}).get(name, {"new": old[file, name]})["new"] for diff in diffs]
        table[file, name] = [old[file, name], *news]
    return table


def starting_points(lock: str | None) -> dict[str, str]:
    """Path -> hash of the dependencies that no stage makes."""
    raw = parse_yaml(lock or "", LOCK) or {}
    try:
        stages = raw.get("stages", {}).values()
        made = {out["path"] for stage in stages for out in stage.get("outs", [])}
        used = {dep["path"]: dep["md5"] for stage in stages for dep in stage.get("deps", [])}
    except WRONG_SHAPE:
        raise InputError(f"{LOCK}: not a lock file of DVC; `git checkout {LOCK}` brings back the last one") from None
    return {path: md5 for path, md5 in used.items() if path not in made}


def texts(base: Revision, other: Revision) -> str:
    """Prompts and cards of `other` as a diff from those of the base."""
    commits = [revision.commit for revision in (base, other) if revision.commit]
    if len(commits) < 2 and base.commit is None:
        commits = ["-R", *commits]  # from the workspace to a commit
    lines = git("diff", "--no-color", "--no-ext-diff", "--unified=1", *commits, "--", *TEXTS).splitlines()
    kept = [line for line in lines if not line.startswith(("diff --git", "index "))]
    more = [f"... {len(kept) - QUOTED} more lines"] if len(kept) > QUOTED else []
    return "\n".join(kept[:QUOTED] + more)
