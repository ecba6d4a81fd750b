"""What a client is told when it does not get what it asked for: a status and one sentence."""

import errno
import sqlite3

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from zerostart.errors import printable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refusal(HTTPException):
    """An answer that is not the one that was asked for."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None, close: bool = False):
        """retry_after: seconds; close: end the connection, as what else it carries is not wanted."""
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        super().__init__(status, printable(sentence), headers | ({"Connection": "close"} if close else {}))

    @property
    def answer(self) -> JSONResponse:
        return JSONResponse({"error": self.detail}, self.status_code, self.headers)


def of_disk(error: OSError | sqlite3.Error) -> Refusal | None:
    """What failed because there is no room, or because another process holds the store; None for anything else."""
    if isinstance(error, OSError):
        full, busy = error.errno in FULL, False
    else:
        full = error.sqlite_errorcode in (sqlite3.SQLITE_FULL,) or (error.sqlite_errorcode or 0) & 0xFF == sqlite3.SQLITE_IOERR
        busy = error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    if full:
        return Refusal(507, "the disk of the server has no room left: nothing was stored, and what was stored before is intact")
    return Refusal(503, "the store is busy; try again", 2) if busy else None
