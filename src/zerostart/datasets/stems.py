"""The images of a folder by stem, which is how VOC and YOLO files name them."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from zerostart.datasets.files import pictures_below
from zerostart.datasets.findings import Findings
from zerostart.errors import InputError


def images_by_stem(folder: Path, images: str, findings: Findings) -> dict[str, str]:
    """Path relative to the dataset's folder of every image in its subfolder `images`, by stem, sorted.

    Raises InputError when there is no such folder; two images of one stem are an error for `findings`.
    """
    if not (folder / images).is_dir():
        raise InputError(f"{folder / images}: no such folder; the images are expected there")
    found: dict[str, str] = {}
    for path in pictures_below(folder / images):
        stem = path.relative_to(folder / images).with_suffix("").as_posix()
        if stem in found:
            findings.error("stem", f"{path}: a second image with the stem '{stem}' beside {found[stem]}; one is expected")
        else:
            found[stem] = path.relative_to(folder).as_posix()
    return found


class Alike:
    """Names, to be found by others that differ from them in their Unicode form or their separators only."""

    def __init__(self, known: Iterable[str]):
        self.known = dict.fromkeys(known)
        self.by_plain: dict[str, str] = {}
        for name in self.known:
            self.by_plain.setdefault(_plain(name), name)

    def find(self, name: str) -> str | None:
        """`name` itself if it is known, else the first known one that is alike; None when there is none."""
        return name if name in self.known else self.by_plain.get(_plain(name))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/"))
