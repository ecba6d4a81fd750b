"""Check a dataset as a whole and convert it to one COCO dictionary per split."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from zerostart.datasets.cards import Card
from zerostart.datasets.image_files import ImageFile, read_image_files
from zerostart.datasets.importers import ImageRecord, ObjectRecord, read_split
from zerostart.errors import InputError

SPLITS = ("train", "val", "test")
EVALUATED = ("val", "test")
# Pixels by which a box may reach over the border, to be clipped: what rounding adds (fractions printed with few decimals
# in YOLO files, positions rounded to half pixels in some COCO exports). NEU-DET needs none of it.
TOLERANCE = 0.5
DECIMALS = 6

Records = Mapping[str, Sequence[ImageRecord]]


def build_splits(card: Card, folder: str | Path) -> dict[str, dict]:
    """Read, check and convert the dataset in `folder`: COCO dictionaries of train, val and test.

    Category ids are 0..K-1 in the card's order, matched by name; images and annotations are numbered from 1; `area` is the
    area of the box in every format. Classes that the source declares but no object has may be absent from the card.

    Raises InputError at the first defect: see :func:`read_split`, :func:`check_records`, :func:`read_image_files`,
    :func:`check_image_files` and :func:`to_coco`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {card.obtain}")
    records = {split: read_split(card, folder, split) for split in SPLITS}
    check_records(card, records, folder)
    # In the order of the splits, so that the first defect reported is always the same.
    used = {record.file_name: record.source for split in SPLITS for record in records[split]}
    files = read_image_files(folder, used)
    check_image_files(records, files, folder)
    return {split: to_coco(card, records[split], files) for split in SPLITS}


def check_records(card: Card, records: Records, folder: Path) -> None:
    """Check what the annotations alone show.

    Raises InputError for an empty split, an image path that leaves the dataset's folder, an image that occurs twice, an
    object whose class is not the card's, a class that no object has, and a val or test split without an object of a
    critical class.
    """
    _check_images(records, folder)
    seen = {split: {_known_class(card, item) for image in records[split] for item in image.objects} for split in SPLITS}
    for name in card.classes:
        if not any(name in names for names in seen.values()):
            raise InputError(f"{folder}: no object of class '{name}' in any split; every class of the card needs one")
    for split in EVALUATED:
        if seen[split].isdisjoint(card.critical):
            raise InputError(
                f"{folder}: split '{split}' has no object of a critical class ({', '.join(card.critical)}); at least one is "
                f"expected, or AR_critical is undefined"
            )


def _check_images(records: Records, folder: Path) -> None:
    split_of: dict[str, str] = {}
    for split, images in records.items():
        if not images:
            raise InputError(f"{folder}: split '{split}' has no images; at least one is expected")
        for image in images:
            path = PurePosixPath(image.file_name)
            if path.is_absolute() or ".." in path.parts:
                raise InputError(f"{image.source}: image '{path}'; a path inside {folder} is expected")
            if image.file_name in split_of:
                raise InputError(
                    f"{image.source}: image '{path}' is in split '{split_of[image.file_name]}' and again in split '{split}'; "
                    f"each image is expected once"
                )
            split_of[image.file_name] = split


def _known_class(card: Card, item: ObjectRecord) -> str:
    name = card.class_of(item.class_name)
    if name not in card.classes:
        raise InputError(f"{item.source}: class '{name}' is not in the card '{card.name}' ({', '.join(card.classes)})")
    return name


def check_image_files(records: Records, files: Mapping[str, ImageFile], folder: Path) -> None:
    """Compare the image files with the annotations and with each other.

    Raises InputError when an annotated size is not the file's, and when images of two splits have equal pixels: what is
    learned in training must not be counted in testing. Equal images within one split are legal.
    """
    first: dict[str, tuple[str, str]] = {}
    for split, images in records.items():
        for image in images:
            file = files[image.file_name]
            if image.size is not None and image.size != file.size:
                raise InputError(
                    f"{image.source}: size {image.size[0]:g}×{image.size[1]:g} is annotated, but {folder / image.file_name} "
                    f"is {file.size[0]}×{file.size[1]}; the same size is expected"
                )
            other, other_split = first.setdefault(file.pixels_sha256, (image.file_name, split))
            if other_split != split:
                raise InputError(
                    f"{folder}: '{other}' (split '{other_split}') and '{image.file_name}' (split '{split}') have the same "
                    f"pixels; an image is expected in one split only"
                )


def to_coco(card: Card, images: Sequence[ImageRecord], files: Mapping[str, ImageFile]) -> dict:
    """One split as a COCO dictionary: boxes are x, y, width, height in pixels.

    Raises InputError when a box is not finite, has no area or lies outside its image by more than TOLERANCE.
    """
    coco: dict = {
        "info": {"dataset": card.name, "critical": list(card.critical)},
        "images": [],
        "annotations": [],
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(card.classes)],
    }
    for image_id, image in enumerate(images, start=1):
        width, height = files[image.file_name].size
        coco["images"].append({"id": image_id, "file_name": image.file_name, "width": width, "height": height})
        for item in image.objects:
            scale = (1, 1) if image.size is not None else (width, height)
            box = _pixel_box(item, scale, (width, height))
            coco["annotations"].append(
                {
                    "id": len(coco["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": card.classes.index(card.class_of(item.class_name)),
                    "bbox": box,
                    "area": round(box[2] * box[3], DECIMALS),
                    "iscrowd": 0,
                }
            )
    return coco


def _pixel_box(item: ObjectRecord, scale: tuple[int, int], size: tuple[int, int]) -> list[float]:
    """The object's box in pixels, clipped to the image."""
    shown = f"[{', '.join(f'{value:g}' for value in item.box)}] (x, y, width, height)"
    if not all(math.isfinite(value) for value in item.box):
        raise InputError(f"{item.source}: box {shown}; finite numbers are expected")
    starts, extents = [], []
    for start, extent, factor, limit in zip(item.box[:2], item.box[2:], scale, size, strict=True):
        start, extent = start * factor, extent * factor
        if start < -TOLERANCE or start + extent > limit + TOLERANCE:
            raise InputError(f"{item.source}: box {shown} reaches outside its image of {size[0]}×{size[1]} pixels")
        inside = max(start, 0.0)
        starts.append(round(inside, DECIMALS))
        extents.append(round(min(extent + start - inside, limit - inside), DECIMALS))
        if extents[-1] <= 0:
            raise InputError(f"{item.source}: box {shown} is empty; a width and a height above 0 are expected")
    return [*starts, *extents]
