"""The images of a folder by stem, which is how VOC and YOLO files name them."""

import unicodedata
from collections.abc import Collection
from pathlib import Path

from zerostart.datasets.files import pictures_below
from zerostart.errors import InputError


def images_by_stem(folder: Path, images: str) -> dict[str, str]:
    """Path relative to the dataset's folder of every image in its subfolder `images`, by stem, sorted.

    Raises InputError when there is no such folder, or two images have one stem.
    """
    if not (folder / images).is_dir():
        raise InputError(f"{folder / images}: no such folder; the images are expected there")
    found: dict[str, str] = {}
    for path in pictures_below(folder / images):
        stem = path.relative_to(folder / images).with_suffix("").as_posix()
        if stem in found:
            raise InputError(f"{path}: a second image with the stem '{stem}' beside {found[stem]}; one is expected")
        found[stem] = path.relative_to(folder).as_posix()
    return found


def alike(name: str, known: Collection[str]) -> str | None:
    """`name`, or the known name that differs from it in its Unicode form or its separators only; None when there is none."""
    if name in known:
        return name
    plain = _plain(name)
    return next((other for other in known if _plain(other) == plain), None)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/"))
