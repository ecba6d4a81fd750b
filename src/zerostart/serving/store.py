"""What was inspected and what inspectors said of it: an append-only SQLite file, and the pictures beside it by their hash.

A row is whole or not there at any moment (WAL); a verdict is on the disk before it is acknowledged. Nothing is ever changed or
removed: the newest row of a picture counts. Pictures come into being under their final name, whole (O_TMPFILE and link).
"""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zerostart.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS inspections (
  n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, seconds REAL NOT NULL, file_name TEXT,
  uncertainty REAL NOT NULL, novelty REAL, score REAL NOT NULL, answer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS inspections_of ON inspections (id, n);
CREATE TABLE IF NOT EXISTS verdicts (
  n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, inspection INTEGER NOT NULL REFERENCES inspections (n),
  seconds REAL NOT NULL, verdict TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS verdicts_of ON verdicts (id, n);
CREATE TRIGGER IF NOT EXISTS verdicts_stay BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS verdicts_last BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""
FILE, PICTURES = "verdicts.sqlite", "pictures"
BUSY = 10.0
"""Seconds that a writer waits for another process of the same store."""


class Store:
    """A folder; several servers on one machine may share it."""

    def __init__(self, folder: Path, create: bool = True):
        """Open it. Raises InputError where it cannot be had."""
        self.folder, self._one = folder, threading.Lock()
        if not create and not (folder / FILE).is_file():
            raise InputError(f"{folder / FILE}: no such file; `python -m zerostart.serve --store {folder}` writes it")
        try:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(folder / FILE, timeout=BUSY, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InputError(f"{folder}: no store can be opened there ({error})") from None

    def close(self) -> None:
        self._database.close()

    def picture(self, picture_id: str) -> Path:
        """Where the bytes of a picture lie, if it was inspected."""
        return self.folder / PICTURES / picture_id[:2] / picture_id

    def add_picture(self, picture_id: str, content: int) -> None:
        """Keep the bytes of an open file under their SHA-256; raises OSError where there is no room."""
        path = self.picture(picture_id)
        if path.is_file():
            return
        path.parent.mkdir(exist_ok=True)
        file = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            size, done = os.fstat(content).st_size, 0
            while done < size:
                done += os.sendfile(file, content, done, size - done)
            os.fsync(file)
            with _folder(Path("/proc/self/fd")) as own, suppress(FileExistsError):
                # Given a folder's descriptor, Python follows the link there, as linkat wants it for a file without a name.
                os.link(str(file), path, src_dir_fd=own, follow_symlinks=True)
        finally:
            os.close(file)
        for place in (path.parent, path.parent.parent):  # which may be a new one there
            with _folder(place) as folder:
                os.fsync(folder)

    def add_inspection(self, answer: dict[str, Any], worth: dict[str, float | None]) -> int:
        """Append the answer about a picture; worth: uncertainty, novelty and score. Raises sqlite3.Error."""
        row = (answer["id"], time.time(), answer["picture"]["file_name"], *worth.values(), json.dumps(answer))
        columns = f"id, seconds, file_name, {', '.join(worth)}, answer"
        with self._writing("NORMAL"):  # a lost one can be asked for again
            return self._database.execute(f"INSERT INTO inspections ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row).lastrowid

    def add_verdict(self, picture_id: str, inspection: int, verdict: dict[str, Any]) -> int:
        """Append a verdict on an inspection; once this returns, it is on the disk. Raises sqlite3.Error."""
        row = (picture_id, inspection, time.time(), json.dumps(verdict))
        with self._writing("FULL"):
            statement = "INSERT INTO verdicts (id, inspection, seconds, verdict) VALUES (?, ?, ?, ?)"
            return self._database.execute(statement, row).lastrowid

    @contextmanager
    def _writing(self, synchronous: str) -> Iterator[None]:
        with self._one:
            self._database.execute(f"PRAGMA synchronous = {synchronous}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise

    def inspection(self, picture_id: str, number: int | None = None) -> tuple[int, dict[str, Any]] | None:
        """Number and answer of an inspection of a picture: of the newest, or the one with that number."""
        only, values = ("", ()) if number is None else (" AND n = ?", (number,))
        row = self._row(f"SELECT n, answer FROM inspections WHERE id = ?{only} ORDER BY n DESC LIMIT 1", picture_id, *values)
        return (row[0], json.loads(row[1])) if row else None

    def inspection_number(self, n: int) -> dict[str, Any]:
        """The answer with this number."""
        return json.loads(self._row("SELECT answer FROM inspections WHERE n = ?", n)[0])

    def verdict(self, picture_id: str) -> dict[str, Any] | None:
        """The newest verdict on a picture, with its number and that of the inspection whose detections it names."""
        row = self._row("SELECT n, inspection, verdict FROM verdicts WHERE id = ? ORDER BY n DESC LIMIT 1", picture_id)
        return {"verdict": row[0], "inspection": picture_id, "number": row[1], **json.loads(row[2])} if row else None

    def newest_verdicts(self) -> list[tuple[str, int, dict[str, Any]]]:
        """Of every judged picture, in the order of their ids: its id, the number of the inspection, the verdict."""
        rows = self._rows(
            "SELECT id, inspection, verdict FROM verdicts WHERE n IN (SELECT MAX(n) FROM verdicts GROUP BY id) ORDER BY id"
        )
        return [(picture_id, inspection, json.loads(verdict)) for picture_id, inspection, verdict in rows]

    def next(self, limit: int) -> list[dict[str, Any]]:
        """The inspected pictures without a verdict, highest score first."""
        rows = self._rows(
            "SELECT id, file_name, uncertainty, novelty, score FROM inspections"
            " WHERE n IN (SELECT MAX(n) FROM inspections GROUP BY id) AND id NOT IN (SELECT id FROM verdicts)"
            " ORDER BY score DESC, id LIMIT ?",
            limit,
        )
        return [dict(zip(("id", "file_name", "uncertainty", "novelty", "score"), row, strict=True)) for row in rows]

    def counts(self) -> dict[str, int]:
        """Rows of each table."""
        return {table: self._row(f"SELECT COUNT(*) FROM {table}")[0] for table in ("inspections", "verdicts")}

    def _row(self, statement: str, *values: Any) -> tuple | None:
        with self._one:
            return self._database.execute(statement, values).fetchone()

    def _rows(self, statement: str, *values: Any) -> list[tuple]:
        with self._one:
            return self._database.execute(statement, values).fetchall()


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sha256_of(file: int) -> str:
    """Of an open file's whole content."""
    with open(os.dup(file), "rb") as stream:
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
