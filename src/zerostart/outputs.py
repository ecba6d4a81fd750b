"""Write outputs so that a killed run leaves nothing half-written, and nothing of somebody else's is ever replaced."""

import csv
import fcntl
import hashlib
import io
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from zerostart.errors import InputError, shown

PATIENCE = 5.0
"""Seconds that a writer waits for another of the same folder: a stage whose DVC was killed needs a moment to end."""
MARKER = ".zerostart"
"""Lies in every folder that a command wrote and says what its files hold: only such a folder, unchanged, is ever replaced."""

SHEET = "zerostart, picture sheet"
"""What a sheet says of itself under `Software`."""


@contextmanager
def output_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends without an exception.

    The temporary name is the process's own, so that two writers of one file cannot take it from each other: the last one wins.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        with _named(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Temporary files for `path` whose processes are gone."""
    for leftover in path.parent.glob(".tmp-*"):
        found = re.fullmatch(r"\.tmp-(\d+)-(.*)", leftover.name, re.DOTALL)
        if found and found[2] == path.name and leftover.is_file() and not is_running(int(found[1])):
            leftover.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether there is such a process; none has a number that the system cannot even be asked for."""
    if pid <= 0:  # stands for a group of processes
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def check_new_folder(path: Path) -> None:
    """Raise InputError unless `path` does not exist or is an empty folder: for commands that never replace a result."""
    place = _place(path)
    if _lock_of(place).exists():  # of a writer at work, which is told, or of one that was killed at its very end
        with only_writer(place):
            pass
    if place.is_dir() and any(place.iterdir()):
        raise InputError(f"{path}: exists and is not empty; a new folder is expected")


def check_output_folder(path: str | Path) -> None:
    """Raise InputError unless :func:`output_folder` may write `path`: new, empty, or as an earlier command wrote it."""
    place = _place(Path(path))
    ours = _marked(place / MARKER) | {MARKER: None}
    for file in sorted(place.rglob("*")):
        name = file.relative_to(place).as_posix()
        if file.is_dir() and not file.is_symlink():
            continue
        if name not in ours:
            raise InputError(f"{path}: holds {name!r}, which no command of zerostart wrote there; a new folder is expected")
        if ours[name] is not None and _digest(file) != ours[name]:
            raise InputError(f"{path}: {name!r} was changed since zerostart wrote it; a new folder is expected")


def _marked(marker: Path) -> dict[str, str | None]:
    """The files that a marker names, and their digests: JSON, which escapes whatever a name may hold.

    It was a list of names once, and one name a line before: without digests.
    """
    if not marker.is_file():
        return {}
    text = marker.read_text(encoding="utf-8", errors="surrogateescape")
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return dict.fromkeys(text.split("\n"))
    if isinstance(names, dict):
        return {name: str(digest) for name, digest in names.items()}
    return dict.fromkeys(name for name in names if isinstance(name, str)) if isinstance(names, list) else {text: None}


def _digest(file: Path) -> str:
    """Of what a regular file holds; of anything else, which no command writes, no digest at all."""
    if file.is_symlink() or not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def _place(path: Path) -> Path:
    """Where `path` really is (`missing/..` is the working directory), if a folder may be written there at all."""
    try:
        place = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link in a circle, a null character
        raise InputError(
            f"{shown(str(path), quoted=False)}: no folder can lie there ({error}); a new folder is expected"
        ) from None
    if place == Path.cwd() or place in Path.cwd().parents:
        raise InputError(f"{path}: is the working directory or lies above it; a new folder is expected")
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"{path if there == place else there}: is a file; a new folder is expected")
    if (place / ".git").exists():
        raise InputError(f"{path}: is a git repository; a new folder is expected")
    return place


@contextmanager
def output_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` when the block ends without an exception.

    For folders that a user names: raises InputError, before anything is written, where :func:`check_output_folder` does.
    """
    check_output_folder(path)
    with _replaced(_place(Path(path))) as temporary:
        yield temporary
        files = sorted(file for file in temporary.rglob("*") if not file.is_dir())
        marked = {file.relative_to(temporary).as_posix(): _digest(file) for file in files}
        (temporary / MARKER).write_text(json.dumps(marked, indent=0), encoding="utf-8")
        check_output_folder(path)  # something may have been put there meanwhile


@contextmanager
def stage_folder(path: str | Path) -> Iterator[Path]:
    """As :func:`output_folder`, for an output that dvc.yaml names: it is DVC's to replace, and holds no marker."""
    with _replaced(_place(Path(path))) as temporary:
        yield temporary


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, replaced = _beside(path, "new"), _beside(path, "old")
    with only_writer(path):
        _clear(path)  # what a killed process left: the lock says that nobody writes it now
        temporary.mkdir()
        try:
            with _named(path):
                yield temporary
                if path.exists():
                    os.replace(path, replaced)  # removing it takes time: killed meanwhile, half a folder would stay at `path`
                os.replace(temporary, path)
        finally:
            _clear(path)


def _beside(path: Path, kind: str) -> Path:
    """Where what belongs to `path` lies meanwhile: no name of one kind is a name of another, whatever folders are called."""
    return path.with_name(f".tmp-{kind}-{path.name}")


def _clear(path: Path) -> None:
    """Remove what was begun; the folder that was to be replaced goes only where there is another, and back otherwise."""
    replaced, gone = _beside(path, "old"), _beside(path, "gone")
    shutil.rmtree(gone, ignore_errors=True)
    if replaced.exists():
        os.replace(replaced, gone if path.exists() else path)  # cut short in its removal, it must not pass for a whole one
    for folder in (_beside(path, "new"), gone):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What goes wrong says what was being written: native libraries name no file."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while {path} was written")
        raise


def reserve(path: str | Path) -> None:
    """Take the room on the disk that a sparse file needs.

    Written through a memory map it would take its room page by page, and a full disk would end the process with SIGBUS; here
    it raises OSError.
    """
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _lock_of(path: Path) -> Path:
    return _beside(path, "lock")


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, which the system frees with the process; InputError names the process that holds it already."""
    lock = _lock_of(path)
    until = time.monotonic() + PATIENCE
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            writer = os.read(descriptor, 20).decode() or "another"
            os.close(descriptor)
            if time.monotonic() < until:
                time.sleep(0.05)
                continue
            raise InputError(f"{path}: process {writer} is writing it; wait for it, or end it first") from None
        with suppress(FileNotFoundError):
            if os.stat(lock).st_ino == os.fstat(descriptor).st_ino:
                break
        os.close(descriptor)  # its holder removed the file between our opening and locking it
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write a .npy file whole, or raise OSError.

    Given a real file, NumPy overlooks that its last few thousand bytes were not taken: on a full disk a part of an array
    would pass for the whole. So it is given something that can only be written to.
    """
    with open(path, "wb") as file:
        np.save(_Pipe(file.write), array, allow_pickle=False)


class _Pipe(NamedTuple):
    """All that NumPy needs of a file."""

    write: Callable[[bytes], int]


def check_sheet(path: str | Path, shows: str | Path | None = None) -> None:
    """Raise InputError unless :func:`write_sheet` may write `path`: new, or a sheet that it wrote; not the picture shown."""
    path = Path(path)
    if shows is not None and path.exists() and path.samefile(shows):
        raise InputError(f"{path}: is the picture that is asked about; another name is expected")
    if path.suffix.lower() != ".png" or path.is_dir():
        raise InputError(f"{path}: the name of a .png file is expected")
    if path.exists() and not _is_sheet(path):
        raise InputError(f"{path}: exists, and is no picture sheet of zerostart; a new name is expected")


def _is_sheet(path: Path) -> bool:
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == SHEET
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def write_sheet(path: str | Path, image: Image.Image) -> None:
    """Write a picture sheet that a user names, as a PNG that says whose it is: only such a one is replaced."""
    check_sheet(path)
    with output_file(path) as temporary:
        about = PngInfo()
        about.add_text("Software", SHEET)
        image.save(temporary, format="PNG", pnginfo=about)


def write_jpeg(path: str | Path, image: Image.Image, quality: int) -> None:
    """Write a picture whole, or raise OSError.

    Pillow hands a JPEG to the system and overlooks that only a part of it was taken: on a full disk half a picture would pass
    for a whole one.
    """
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=quality)
    Path(path).write_bytes(encoded.getbuffer())


def rounded(value: Any, digits: int = 6) -> Any:
    """Round every float in a nested structure.

    Raises ValueError on NaN and infinity, which JSON does not know and DVC cannot compare.
    """
    if isinstance(value, dict):
        return {str(key): rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written to JSON")
        return round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def write_json(path: str | Path, value: Any, digits: int = 6) -> None:
    """Write JSON with sorted keys and floats rounded to `digits` decimals."""
    with output_file(path) as temporary:
        temporary.write_text(json.dumps(rounded(value, digits), indent=1, sort_keys=True) + "\n")


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table: floats with six decimals, nothing for None and NaN, everything else as it is; lines end as on Unix."""
    with output_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_cell(value) for value in row] for row in rows)


def write_records(path: str | Path, records: Sequence[Mapping[str, Any]]) -> None:
    """As :func:`write_csv`, a row for each record; the columns are the records' keys as they first occur."""
    header = list(dict.fromkeys(key for record in records for key in record))
    write_csv(path, header, [[record.get(key) for key in header] for record in records])


def _cell(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value  # NumPy's scalars
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6f}"
    return value
