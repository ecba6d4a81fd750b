"""A process of the server that answers one message at a time, and can be killed without loss to the others."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from zerostart.serving import frames

WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait for each other sleep: spinning, they would take the cores from the other processes of the server."""


class ChildGoneError(Exception):
    """The process ended before it answered."""


class TooSlowError(Exception):
    """The process was killed, as it did not answer in time."""


class Child:
    """`python -m MODULE FD ARGUMENTS`, where FD is a socket that speaks :mod:`zerostart.serving.frames`.

    It ends by itself when the socket closes, as when this process is killed.
    """

    def __init__(self, module: str, arguments: Sequence[str] = ()):
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", module, str(theirs.fileno()), *arguments]
        try:
            # A Ctrl-C on the terminal is the server's to deal with: it drains first.
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True, env=os.environ | WAITING
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.channel = ours
        self._one = threading.Lock()

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, message: Any, files: Sequence[int], seconds: float) -> tuple[Any, list[int]]:
        """Its answer, and the files that come with it, which the caller closes.

        Raises TooSlowError after so many seconds and ChildGoneError when it has ended; in both cases it is dead.
        """
        with self._one:
            try:
                self.channel.settimeout(seconds)
                frames.send(self.channel, message, files)
                return frames.receive(self.channel)
            except TimeoutError:
                self.kill()
                raise TooSlowError from None
            except (EOFError, OSError, ValueError):
                self.kill()
                raise ChildGoneError from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def close(self, seconds: float = 5.0) -> None:
        """Let it end by itself, or kill it after so many seconds."""
        self.channel.close()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


def channel_of_child() -> socket.socket:
    """In the child: the socket that its first argument names; signals of the terminal are left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return socket.socket(fileno=int(sys.argv[1]))


def _end_with_parent(parent: int) -> None:
    """A SIGKILL of the parent leaves nobody to close a computation that takes long."""
    while os.getppid() == parent:
        time.sleep(0.25)
    os._exit(1)
