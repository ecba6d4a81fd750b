"""DVC's queue after its worker was killed: experiments that will run for ever in its tables, and those that nobody fetches."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from zerostart.checkup.findings import Finding, listed
from zerostart.outputs import is_running

EXPERIMENTS = Path(".dvc/tmp/exps")
BEGUN = (1, 2)
"""DVC's numbers for an experiment that is prepared, and one that runs."""


def look_at_queue(folder: Path = EXPERIMENTS) -> Iterator[Finding]:
    """Experiments whose process is gone, then those that wait without a worker."""
    dead = sorted(_dead(folder))
    if dead:
        remedy = "; ".join(f"dvc queue kill {shlex.quote(name)}" for name in dead) + "; then queue it again"
        yield Finding("DVC's queue", f"{listed(dead)}: running for the queue, but the process is gone", remedy)
    waiting = len(list((folder / "celery/broker/in").glob("*.celery.msg")))
    if waiting and not any(is_running(_number(path)) for path in (folder / "celery").glob("dvc-exp-worker-*.pid")):
        yield Finding("DVC's queue", f"{waiting} experiments wait, and no worker is there", "dvc queue start -j 1")


def _dead(folder: Path) -> Iterator[str]:
    for path in folder.glob("run/*/*.run"):
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            begun, name = about["status"] in BEGUN, str(about.get("name") or path.stem[:7])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            begun, name = True, path.stem[:7]
        if begun and not is_running(_number(path.with_suffix(".pid"))):
            yield name


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
