"""Stages and commands end in order when they are told to, and when the DVC that started them is gone."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

INTERVAL = 0.25
"""Seconds between two looks at DVC's process, or at a parent's."""
STOPPED = "stopped; nothing half-written was left behind"


def terminate_like_interrupt() -> None:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that what is half-written is removed on the way out."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def end_with_dvc() -> None:
    """In a stage that DVC started: end it once DVC is gone, or the next `dvc repro` would run beside it.

    `import zerostart` calls it, as the other imports of a stage take seconds. The processes that a stage starts end with it.
    """
    worker = multiprocessing.parent_process() or getattr(multiprocessing.current_process(), "_inheriting", False)
    if "DVC_STAGE" not in os.environ or worker:
        return
    above = _dvc()
    if above is None:  # killed before we came so far
        print(STOPPED, file=sys.stderr)
        raise SystemExit(130)
    threading.Thread(target=_watch, args=(above,), daemon=True).start()


def _dvc() -> psutil.Process | None:
    """The process of the DVC that started this one, or None when it is gone.

    DVC gives its stages the variable DVC_STAGE, so the first process above us without it is DVC's; or, when DVC is gone, what
    takes its orphans: PID 1, or a service manager or container's init below it.
    """
    import psutil  # here, as `import zerostart` is to cost nothing where no DVC is

    try:
        for parent in psutil.Process().parents():
            try:
                if "DVC_STAGE" in parent.environ():
                    continue
            except psutil.AccessDenied:  # another user's: a `sudo`, or PID 1
                if not _may_be_dvc(parent):
                    continue
            return parent if _may_be_dvc(parent) else None
    except psutil.NoSuchProcess:  # it went while we looked
        pass
    return None


def _may_be_dvc(process: psutil.Process) -> bool:
    """`dvc repro` in any form, or a program in Python that uses DVC's own functions."""
    said = process.cmdline()
    return any("dvc" in word for word in said) or (process.pid != 1 and "python" in Path(said[0] if said else "").name)


def _watch(process: psutil.Process) -> None:
    while process.is_running():
        time.sleep(INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent() -> None:
    """In a worker process of a pool (its `initializer`): end it once the process that started it is gone.

    After a SIGKILL there it would wait for work for ever, or go on writing into a folder that the next run has begun.
    """
    threading.Thread(target=_watch_parent, args=(multiprocessing.parent_process().pid,), daemon=True).start()


@cache  # the list of what is called after a fork is inherited, and this with it
def forks_end_with_us() -> None:
    """From now on :func:`end_with_parent` holds for every worker process that this one forks, without an `initializer`."""
    multiprocessing.util.register_after_fork(end_with_parent, lambda function: function())


def _watch_parent(parent: int) -> None:
    """By its number, and not by its end of a pipe: of that, every process that was forked after us holds a copy."""
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
