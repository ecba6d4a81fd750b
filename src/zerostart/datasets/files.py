"""Find and read the files of a data set: through linked folders, under any spelling of a name, with or without a BOM."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from zerostart.datasets.pictures import is_picture
from zerostart.errors import InputError
from zerostart.records import MOST_JSON, read_bytes


def read_content(path: Path, expected: str = "annotations are expected there") -> bytes:
    """The bytes of a regular file without a byte order mark; raises InputError saying what was `expected`."""
    return read_bytes(path, expected, MOST_JSON).removeprefix(b"\xef\xbb\xbf")


def read_text(path: Path, expected: str = "annotations are expected there") -> str:
    """A UTF-8 text; raises InputError when it is missing, or is no such text."""
    try:
        return read_content(path, expected).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def read_lines(path: Path, expected: str = "annotations are expected there") -> list[str]:
    """The lines of a text that are not blank."""
    return [line.strip() for line in read_text(path, expected).splitlines() if line.strip()]


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted; links to folders are followed, each real folder once."""
    return sorted(_walk(folder))


def pictures_below(folder: Path) -> list[Path]:
    """Every file below a folder that is named like a picture, sorted."""
    return [path for path in files_below(folder) if is_picture(path)]


def spelled(folder: Path, name: str) -> str:
    """How the file system spells `name`, a path below `folder`: with / for \\, in the other Unicode form, or unchanged.

    macOS stores ä as two characters (NFD), others as one (NFC), and annotations travel between them.
    """
    for separated in (name, name.replace("\\", "/")):
        for variant in (separated, *(unicodedata.normalize(form, separated) for form in ("NFC", "NFD"))):
            try:
                if (folder / variant).is_file():
                    return variant
            except (OSError, ValueError):  # too long a name, or a null character
                return name
    return name


def check_inside(name: str, folder: Path, source: str) -> None:
    """Raises InputError, naming the record, unless a picture's path stays below the folder that it starts from."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{source}: image '{name}'; a path inside {folder} is expected")


def _walk(folder: Path) -> Iterator[Path]:
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(place)
        if here in seen:  # a link back to where we were
            folders.clear()
            continue
        seen.add(here)
        folders.sort()  # by which of its names a folder that is linked twice is found
        yield from (Path(place) / name for name in names)
