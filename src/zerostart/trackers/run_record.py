"""What a tracker is told of one revision: parameters, metrics with their intervals, curves by epoch, and its files.

Read from git alone. All pipelines' are taken, as `dvc exp show` does: a revision is the whole tree.
"""

import csv
import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from zerostart.errors import InputError, shown
from zerostart.records import parse_json, parse_yaml
from zerostart.review.revisions import Revision, git

EXPORTED = ("dvc.lock", "metrics", "params.yaml", "pipelines", "plots")
"""Files and folders of a revision that are read; what is kept of them: see :func:`_is_kept`."""
STEP = "epoch"
"""First column of the tables that are curves; others are tables of classes, or of scores, and stay files."""
LONGEST_NAME, LONGEST_VALUE = 250, 6000
"""Characters of a name and of a parameter's value that MLflow takes."""


class RunRecord(NamedTuple):
    """One revision; the same one always gives the same record."""

    name: str
    commit: str
    time: int
    """Of the commit, in milliseconds since 1970."""
    params: dict[str, str]
    """`lr.warmup` of params.yaml; `tagging/datasets.toolbox.seed` of pipelines/tagging/params.yaml."""
    metrics: dict[str, float]
    """`evaluate/interval.composite.low` of metrics/evaluate.json; a list of two numbers is an interval, `low` and `high`."""
    curves: dict[str, list[tuple[int, float]]]
    """Epoch and value: `curves/warmup/loss` of plots/warmup.csv."""
    chosen: dict[str, int]
    """The epoch whose weights were kept: `warmup` of metrics/warmup.json."""
    files: dict[str, str]
    """Path and git's hash of what it holds."""

    @property
    def digest(self) -> str:
        """Of all that a tracker is told but the name, which is only how somebody called the revision."""
        return hashlib.sha256(json.dumps(self[1:], sort_keys=True).encode()).hexdigest()


def read_record(revision: Revision) -> RunRecord:
    """Raises InputError for the workspace, and for files that are not what our stages write."""
    if revision.commit is None:
        raise InputError(
            f"{revision.name}: is not committed, so no run could be told apart from the next; a commit is expected"
        )
    listed = git("ls-tree", "-r", "-z", "--full-tree", revision.commit, "--", *EXPORTED)
    entries = dict(_entry(line) for line in listed.split("\0") if line.startswith("100"))  # regular files
    files = {path: blob for path, blob in entries.items() if _is_kept(path)}
    params: dict[str, str] = {}
    metrics: dict[str, float] = {}
    curves: dict[str, list[tuple[int, float]]] = {}
    chosen: dict[str, int] = {}
    for path in sorted(files):
        where, file = f"{path} of {revision.name}", PurePosixPath(path)
        if file.name == "params.yaml":
            prefix = "" if len(file.parts) == 1 else f"{file.parent.name}/"
            for key, value in _flat(parse_yaml(_text(revision, path), where) or {}, where, lists=False):
                _add(params, f"{prefix}{key}", _written(value, where), where)
        elif file.parts[0] == "metrics" and file.suffix == ".json":
            content = parse_json(_text(revision, path), where)
            stem = str(file.relative_to("metrics").with_suffix(""))
            for key, value in _flat(content, where):
                if _is_number(value):
                    _add(metrics, f"{stem}/{key}", float(value), where)
            if isinstance(epoch := content.get("best_epoch"), int):
                chosen[stem] = epoch
        elif file.parts[0] == "plots" and file.suffix == ".csv":
            stem = str(file.relative_to("plots").with_suffix(""))
            for key, points in _curves(_text(revision, path), where):
                _add(curves, f"curves/{stem}/{key}", points, where)
    if clash := metrics.keys() & curves.keys():
        raise InputError(f"{min(clash)!r} of {revision.name}: is a metric and a curve; one of them is expected")
    time = 1000 * int(git("show", "-s", "--format=%ct", revision.commit))
    return RunRecord(revision.name, revision.commit, time, params, metrics, curves, chosen, files)


def _entry(line: str) -> tuple[str, str]:
    """Path and hash of a line of `git ls-tree`."""
    about, path = line.split("\t", 1)
    return path, about.split(" ")[2]


def _is_kept(path: str) -> bool:
    """Of the pipelines their parameters and locks alone: the rest is code."""
    return not path.startswith("pipelines/") or path.endswith(("/params.yaml", "/dvc.lock"))


def _text(revision: Revision, path: str) -> str:
    return revision.read(path) or ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(value: Any, where: str, lists: bool = True) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of nested mappings, as DVC shows them; lists: intervals are taken apart, others left out."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: is {shown(value)}; names and values are expected")
    for key, item in value.items():
        if lists and isinstance(item, list):
            item = dict(zip(("low", "high"), item, strict=True)) if len(item) == 2 and all(map(_is_number, item)) else {}
        if isinstance(item, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in _flat(item, where, lists))
        else:
            yield str(key), item


def _written(value: Any, where: str) -> str:
    """A parameter's value as text: a text as it is, anything else as JSON writes it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > LONGEST_VALUE:
        raise InputError(
            f"{where}: a value has {len(text):,} characters, {shown(text)}; at most {LONGEST_VALUE:,} are expected"
        )
    return text


def _curves(text: str, where: str) -> Iterator[tuple[str, list[tuple[int, float]]]]:
    """The columns of a table by epoch; empty cells are left out. None of another table."""
    header, *rows = [row for row in csv.reader(text.splitlines()) if row] or [[]]
    if header[:1] != [STEP]:
        return
    for line, row in enumerate(rows, 2):
        try:
            epoch, *values = int(row[0]), *(float(cell or "nan") for cell in row[1:])
        except ValueError:
            epoch, values = -1, []
        if epoch < 0 or len(row) != len(header) or any(map(math.isinf, values)):
            raise InputError(
                f"{where}, line {line}: an epoch and {len(header) - 1} numbers are expected, or nothing in their place"
            )
    for column, name in enumerate(header[1:], 1):
        yield name, [(int(row[0]), float(row[column])) for row in rows if row[column]]


def _add(known: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Under a name that MLflow takes; raises InputError where two become one."""
    if (accepted := accepted_name(name)) in known:
        raise InputError(f"{where}: {shown(name)} has the same name as another value; different names are expected")
    known[accepted] = value


def accepted_name(name: str) -> str:
    """A name as MLflow takes it: letters of any script, digits, `_`, `-`, `.`, ` ` and `/`, and not too many of them.

    Any other character becomes its code point; so do slashes and dots that would make a path of another name.
    """
    accepted = re.sub(r"[^\w.\- /]", lambda found: f"_{ord(found[0]):04x}_", name)
    accepted = "/".join(re.sub(r"^(\.*)$", lambda dots: "_002e_" * len(dots[1]) or "_", part) for part in accepted.split("/"))
    if len(accepted) <= LONGEST_NAME:
        return accepted
    return f"{accepted[: LONGEST_NAME - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
