"""Messages between the server's processes: JSON, with open files beside it, over a Unix socket.

Pictures travel as files without a name (memfd_create): nothing is copied through the socket, and nothing stays when a process
is killed.
"""

import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

HEADER = struct.Struct("!Q")
MOST = 1 << 28
"""Bytes of a message; a longer one is no message of ours."""


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message and duplicates of open files; raises OSError (TimeoutError too) when the other side does not take it."""
    content = json.dumps(message).encode()
    header = HEADER.pack(len(content))
    if files:
        socket.send_fds(channel, [header], list(files))
    else:
        channel.sendall(header)
    channel.sendall(content)


def receive(channel: socket.socket, most_files: int = 1) -> tuple[Any, list[int]]:
    """The next message and its files; raises EOFError when the other side is gone, TimeoutError when it is too slow."""
    header, files, _, _ = socket.recv_fds(channel, HEADER.size, most_files, socket.MSG_CMSG_CLOEXEC)
    try:
        if not header:
            raise EOFError
        header += _exactly(channel, HEADER.size - len(header))
        (size,) = HEADER.unpack(header)
        if size > MOST:
            raise EOFError
        return json.loads(_exactly(channel, size)), files
    except BaseException:
        for file in files:
            os.close(file)
        raise


def _exactly(channel: socket.socket, size: int) -> bytes:
    content = bytearray(size)
    view = memoryview(content)
    while view:
        taken = channel.recv_into(view)
        if not taken:
            raise EOFError
        view = view[taken:]
    return bytes(content)


def memory_file(name: str) -> int:
    """A file in memory without a name; the caller closes it."""
    return os.memfd_create(name, os.MFD_CLOEXEC)


def write_all(file: int, content: memoryview | bytes) -> None:
    """All of it: one call of the system writes at most 2 GiB."""
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[os.write(file, rest) :]
