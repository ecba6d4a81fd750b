"""Stages and commands end in order when they are told to, and when the DVC that started them is gone."""

import multiprocessing.connection
import os
import signal
import threading
import time

import psutil

INTERVAL = 0.25
"""Seconds between two looks at DVC's process."""


def terminate_like_interrupt() -> None:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that what is half-written is removed on the way out."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def end_with_dvc() -> None:
    """In a stage that DVC started: end it once DVC is gone, or the next `dvc repro` would run beside it.

    DVC gives its stages the variable DVC_STAGE, so the first process above us without it is DVC's.
    """
    if "DVC_STAGE" not in os.environ:
        return
    try:
        above = next((parent for parent in psutil.Process().parents() if "DVC_STAGE" not in parent.environ()), None)
    except psutil.Error:  # a process of another user above us: then DVC's cannot be told
        return
    if above is not None and above.pid != 1:
        threading.Thread(target=_watch, args=(above,), daemon=True).start()


def _watch(process: psutil.Process) -> None:
    while process.is_running():
        time.sleep(INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent() -> None:
    """In a worker process of a pool (its `initializer`): end it once the process that started it is gone.

    After a SIGKILL there it would wait for work for ever, or go on writing into a folder that the next run has begun.
    """
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
