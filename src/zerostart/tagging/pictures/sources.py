"""List the pictures of both domains with the class names that their source gives them; nothing is decoded here."""

import csv
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from torchvision.datasets import CIFAR10

from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.files import check_inside, pictures_below, read_text, spelled
from zerostart.datasets.findings import Findings
from zerostart.datasets.pictures import SUFFIXES
from zerostart.errors import InputError
from zerostart.records import check_regular
from zerostart.tagging.cards import AcademicSource, RealSource
from zerostart.tagging.pictures.decoding import UnreadableError, decode

MOST_SHARE = 1.01
"""Share of a picture that a box may cover: rounded positions add a little to the whole."""
Read = Callable[[int | None], np.ndarray]
"""Decode to H×W×3 uint8, at most so many pixels on the longer side; raises UnreadableError."""


@dataclass(frozen=True)
class Item:
    """One picture of a source."""

    name: str
    """Its path within data/raw/<dataset>."""
    labels: tuple[str, ...]
    """Class names as the source spells them."""
    read: Read
    split: str | None = None
    """train or test, where the source has splits."""
    areas: dict[str, float] = field(default_factory=dict)
    """Class name: share of the picture that its largest object covers, where the source has boxes."""
    size: tuple[float, float] | None = None
    """Width and height of the upright picture, where the source gives them."""


@dataclass(frozen=True)
class Source:
    """The pictures of one source, and its class names in the source's own order."""

    origin: str
    names: tuple[str, ...]
    items: list[Item]


def read_academic(source: AcademicSource, root: Path) -> Source:
    """The pictures of the academic domain; raises InputError when it is missing or has no `train` and `test`."""
    path = root / source.path
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; the academic pictures are expected there")
    reader = {"folder": _split_folders, "zip": _split_zip, "cifar10": _cifar10}[source.format]
    found = reader(path, source.path)
    if unknown := sorted({item.split for item in found.items} - {"train", "test"}):
        raise InputError(f"{path}: a split '{unknown[0]}'; 'train' (of which a share becomes val) and 'test' are expected")
    for split in ("train", "test"):
        if not any(item.split == split for item in found.items):
            raise InputError(f"{path}: no picture in the split '{split}'; pictures are expected as {split}/CLASS/*.jpg or .png")
    return found


def read_real(source: RealSource, root: Path) -> Source:
    """The photos of one real source; raises InputError naming the file and record that is not as expected."""
    folder = root / source.path
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; photos are expected there")
    if source.format == "folders":
        found = _tag_folders(folder, root)
    elif source.format == "images":
        items = [_file(path, root, (source.tag,)) for path in images_in(folder)]
        found = Source(source.path, (source.tag,), items)
    else:
        found = (_csv if source.format == "csv" else _coco)(root / source.labels, folder, root)
    if not found.items:
        raise InputError(f"{folder}: no image in it; at least one photo is expected")
    if source.limit is None or source.limit >= len(found.items):
        return found
    chosen = np.linspace(0, len(found.items) - 1, source.limit).round().astype(int)
    return Source(found.origin, found.names, [found.items[index] for index in chosen])


def images_in(folder: Path) -> list[Path]:
    """Every file below a folder that is named like an image, sorted."""
    return pictures_below(folder)


def _file(path: Path, root: Path, labels: tuple[str, ...], **more) -> Item:
    if not path.is_relative_to(root):
        raise InputError(f"{path}: a path within {root} is expected")
    size = more.get("size")
    return Item(path.relative_to(root).as_posix(), labels, lambda longest: decode(path, longest, size), **more)


def _split_folders(folder: Path, origin: str) -> Source:
    root = folder.parent
    items = []
    for path in images_in(folder):
        parts = path.relative_to(folder).parts
        if len(parts) == 3:
            items.append(_file(path, root, (parts[1],), split=parts[0]))
    return Source(origin, _first_seen(items), items)


def _split_zip(path: Path, origin: str) -> Source:
    check_regular(path)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable zip file ({error})") from None

    def read(name: str, longest: int | None) -> np.ndarray:
        try:
            packed = archive.read(name)
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise UnreadableError(f"damaged in the zip file ({type(error).__name__})") from None
        return decode(packed, longest)

    def item(name: str) -> Item:
        split, label, _ = PurePosixPath(name).parts
        return Item(f"{origin}/{name}", (label,), partial(read, name), split)

    names = sorted(archive.namelist())
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES and "/._" not in name]
    items = [item(name) for name in pictures if len(PurePosixPath(name).parts) == 3]
    return Source(origin, _first_seen(items), items)


def _cifar10(folder: Path, origin: str) -> Source:
    """torchvision checks the files' published MD5 before it opens them."""
    items, names = [], ()
    for split in ("train", "test"):
        try:
            dataset = CIFAR10(str(folder), train=split == "train")
        except RuntimeError as error:
            raise InputError(f"{folder}: {error}; the folder cifar-10-batches-py is expected in it") from None
        names = tuple(dataset.classes)
        for index, (pixels, label) in enumerate(zip(dataset.data, dataset.targets, strict=True)):
            items.append(Item(f"{origin}/{split}/{index:05d}", (names[label],), lambda _, p=pixels: p, split))
    return Source(origin, names, items)


def _first_seen(items: list[Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label for item in items for label in item.labels))


def _tag_folders(folder: Path, root: Path) -> Source:
    tags = sorted(path for path in folder.iterdir() if path.is_dir())
    items = [_file(path, root, (tag.name,)) for tag in tags for path in images_in(tag)]
    return Source(folder.relative_to(root).as_posix(), tuple(tag.name for tag in tags), items)


def _csv(labels: Path, folder: Path, root: Path) -> Source:
    """Rows `file,tag,tag…`, with or without a header that starts with `file`; an empty tag says that there is none."""
    try:
        rows = list(csv.reader(read_text(labels, "labels are expected there").splitlines()))
    except csv.Error as error:
        raise InputError(f"{labels}: not a readable CSV file ({error})") from None
    items, findings = [], Findings(collect=True)
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and row[0] == "file"):
            continue
        if len(row) < 2:
            why = "has no tag column; `file,tag,tag…` is expected"
            findings.defect("line without a tag column", f"{labels}, line {number}: '{row[0]}' {why}")
        elif row[0] in lines:
            why = "twice; one line per photo, `file,tag,tag…`, is expected"
            findings.defect("photo twice", f"{labels}, lines {lines[row[0]]} and {number}: '{row[0]}' {why}")
        else:
            lines[row[0]] = number
            name = spelled(folder, row[0])
            with findings.as_defect("photo's path"):
                check_inside(name, folder, f"{labels}, line {number}")
                tags = tuple(dict.fromkeys(tag.strip() for tag in row[1:] if tag.strip()))
                items.append(_file(folder / name, root, tags))
    findings.refuse(labels)
    return Source(labels.relative_to(root).as_posix(), _first_seen(items), items)


def _coco(labels: Path, folder: Path, root: Path) -> Source:
    findings = Findings(collect=True)
    coco = read_coco_file(labels, findings=findings)
    names = coco.names()
    boxes: dict[int, dict[str, float]] = {image.id: {} for image in coco.images}
    pixels = {image.id: image.width * image.height for image in coco.images}
    for index, item in enumerate(coco.annotations):
        name, image = names[item.category_id], item.image_id
        share = item.bbox[2] * item.bbox[3] / pixels[image] if pixels[image] > 0 else math.nan
        if not 0 < share <= MOST_SHARE:
            why = f"its bbox covers {share:.3g} of the picture; more than 0 and at most the whole are expected"
            findings.defect("annotations.bbox", f"{coco.where(labels, index)}: {why}")
        boxes[image][name] = max(share, boxes[image].get(name, 0.0))
    items = []
    for image in sorted(coco.images, key=lambda image: image.file_name):
        name, areas = spelled(folder, image.file_name), boxes[image.id]
        with findings.as_defect("image path"):
            check_inside(name, folder, f"{labels}, image {image.id}")
            items.append(_file(folder / name, root, tuple(areas), areas=areas, size=image.size))
    findings.refuse(labels)
    return Source(labels.relative_to(root).as_posix(), tuple(names.values()), items)
