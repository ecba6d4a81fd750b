"""Stages and commands end in order when they are told to, and when the DVC that started them is gone."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import psutil

INTERVAL = 0.25
"""Seconds between two looks at DVC's process, or at a parent's."""
AGAIN = 0.05
"""Seconds after which what a signal raised is raised again, if somebody swallowed it."""
WORKERS = 1.0
"""Seconds that a worker has for removing what it has half-written."""
STOPPED = "stopped; nothing half-written was left behind"
ENDS = (signal.SIGTERM, signal.SIGINT)

_raised: BaseException | None = None
"""What the last SIGTERM or SIGINT raised."""
_told = 0.0
"""When it was."""
_worker = False
"""Whether this process works for another one of ours."""


def end_at_once() -> None:
    """From now on SIGTERM and Ctrl-C end the process with one line and exit code 130, without raising anything.

    While a command imports what it needs it has written nothing, and an exception could be swallowed: imports run callbacks
    and destructors, where Python ignores exceptions, and much that catches all of them.
    """
    _listen(_end)


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):  # standard error may be closed
        os.write(2, f"{STOPPED}\n".encode())
    os._exit(130)


@contextmanager
def stoppable() -> Iterator[None]:
    """In the block SIGTERM and Ctrl-C raise KeyboardInterrupt, so that what is half-written is removed on the way out.

    The block cannot end in another way then: what it was raised into may swallow it (an import, a destructor), or turn it into
    another exception.
    """
    global _raised
    if threading.current_thread() is not threading.main_thread():  # signals are the main one's
        yield
        return
    _raised, before, hook = None, {}, sys.unraisablehook
    try:
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _insist)
        before |= _listen(_stop)
        sys.unraisablehook = lambda ignored: None if _raised and ignored.exc_value is _raised else hook(ignored)
        yield
    except BaseException:
        if _raised is None:
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if _raised is not None:
        raise KeyboardInterrupt


def _listen(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Set a handler and return those before; a shell has what it starts in the background ignore Ctrl-C, and that stays."""
    heard = [number for number in ENDS if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def _stop(number: int, frame: FrameType | None) -> None:
    global _told
    if _worker and _raised is not None:  # from the terminal, and then from the process that it works for
        return
    _told = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    with suppress(Exception):
        for worker in multiprocessing.active_children():  # a pool would otherwise be left only when all its work is done
            worker.terminate()
    _raise()


def _raise() -> NoReturn:
    """KeyboardInterrupt; in a worker, which would print a traceback of that, SystemExit."""
    global _raised
    _raised = SystemExit(130) if _worker else KeyboardInterrupt()
    raise _raised


def _insist(number: int, frame: FrameType | None) -> None:
    """Raise again what a signal raised, unless it is on its way: somebody cleans up, and that takes as long as it takes."""
    error = sys.exc_info()[1]
    while error is not None and error is not _raised:
        error = error.__context__
    if _worker and (error is None or time.monotonic() - _told > WORKERS):
        os._exit(130)  # its pool takes the exception for the result of the work, and waits to be rid of it
    if error is None:
        _raise()


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
    _leave_signals_to_the_main_thread()
    while process.is_running():
        time.sleep(INTERVAL)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)


def _leave_signals_to_the_main_thread() -> None:
    """The system gives a signal to any thread that takes it; the main one, which is to act on it, would sleep on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDS, signal.SIGALRM})


def end_with_parent() -> None:
    """In a worker process of a pool (its `initializer`): end it when that which started it is gone, or when it is told to.

    After a SIGKILL there it would wait for work for ever, or go on writing into a folder that the next run has begun. Ctrl-C on
    a terminal reaches it as well.
    """
    global _raised, _worker
    _raised, _worker = None, True
    signal.signal(signal.SIGALRM, _insist)
    _listen(_stop)
    threading.Thread(target=_watch_parent, args=(multiprocessing.parent_process().pid,), daemon=True).start()


@cache  # the list of what is called after a fork is inherited, and this with it
def forks_end_with_us() -> None:
    """From now on :func:`end_with_parent` holds for every worker process that this one forks, without an `initializer`."""
    multiprocessing.util.register_after_fork(end_with_parent, lambda function: function())


def _watch_parent(parent: int) -> None:
    """By its number, and not by its end of a pipe: of that, every process that was forked after us holds a copy."""
    _leave_signals_to_the_main_thread()
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
