"""Check a dataset as a whole and convert it to one COCO dictionary per split."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zerostart.datasets.cards import Card
from zerostart.datasets.duplicates import check_one_split_only, repeated
from zerostart.datasets.files import check_inside
from zerostart.datasets.findings import SKIP, Findings
from zerostart.datasets.image_files import ImageFile, check_annotated_size, read_image_files
from zerostart.datasets.image_records import ImageRecord, ObjectRecord
from zerostart.datasets.importers import read_split
from zerostart.errors import InputError

SPLITS = ("train", "val", "test")
EVALUATED = ("val", "test")
TOLERANCE = 0.5
"""Pixels by which a box may reach over the border, to be clipped: positions rounded to half pixels in some COCO exports.
Fractions that are printed with few decimals may reach further, see :attr:`ObjectRecord.rounding`. NEU-DET needs none of it."""
DECIMALS = 6

Records = Mapping[str, Sequence[ImageRecord]]


@dataclass(frozen=True)
class Imported:
    """A dataset that passed the checks."""

    splits: dict[str, dict]
    """COCO dictionaries of train, val and test."""
    said: list[str]
    """Lines for the user: what was not taken literally, what was left out, which class train does not show."""


def build_splits(card: Card, folder: str | Path) -> dict[str, dict]:
    """The COCO dictionaries of :func:`import_dataset`."""
    return import_dataset(card, folder).splits


def import_dataset(card: Card, folder: str | Path) -> Imported:
    """Read, check and convert the dataset in `folder`.

    Category ids are 0..K-1 in the card's order, matched by name; images and annotations are numbered from 1; `area` is the
    area of the box in every format. Classes that the source declares but no object has may be absent from the card.

    Raises InputError with everything that is wrong, grouped by kind: see :func:`read_split`, :func:`known_objects`,
    :func:`check_records`, :func:`check_image_files` and :func:`pixel_objects`. Defective records are left out instead where the
    card says `on_defect: skip`; what makes the whole senseless is an error in any case.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {card.obtain}")
    findings = Findings(collect=True, setting=SKIP)
    skip = card.on_defect == "skip"
    read: dict[str, list[ImageRecord]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        with findings.as_error("annotations"):
            read[split] = read_split(card, folder, split, findings)
    if findings.errors or not all(read.values()):
        findings.refuse(folder, skipped=skip)
    _check_images(read, folder, findings)
    if findings.errors:
        findings.refuse(folder, skipped=skip)
    known = {split: [known_objects(card, image, findings) for image in images] for split, images in read.items()}
    # In the order of the splits, so that what is reported first is always the same.
    used = {record.file_name: record.source for split in SPLITS for record in known[split]}
    files = read_image_files(folder, used, findings)
    usable = check_image_files(known, files, folder, findings)
    records = {
        split: [pixel_objects(image, files[image.file_name].size, findings) for image in images]
        for split, images in usable.items()
    }
    findings.refuse(folder, skipped=skip)
    check_records(card, records, folder)
    unseen = classes_without_objects(card, records["train"])
    about = {"left_out": findings.left_out(), "unseen_in_train": unseen}
    info = {key: value for key, value in about.items() if value}
    said = [f"note: class '{name}' has no object in train: nothing about it is learned" for name in unseen]
    splits = {split: to_coco(card, records[split], files) for split in SPLITS}
    for coco in splits.values():
        coco["info"] |= info
    return Imported(splits, [*said, *findings.said()])


def _check_images(records: Records, folder: Path, findings: Findings) -> None:
    """An empty split, an image path that leaves the dataset's folder, and an image that occurs twice are errors."""
    split_of: dict[str, str] = {}
    for split, images in records.items():
        if not images:
            findings.error("split", f"{folder}: split '{split}' has no images; at least one is expected")
        for image in images:
            with findings.as_error("image path"):
                check_inside(image.file_name, folder, image.source)
            if image.file_name in split_of:
                findings.error(
                    "image twice",
                    f"{image.source}: image '{image.file_name}' is in split '{split_of[image.file_name]}' and again in split "
                    f"'{split}'; each image is expected once",
                )
            split_of.setdefault(image.file_name, split)


def known_objects(card: Card, image: ImageRecord, findings: Findings) -> ImageRecord:
    """The image with those objects whose class is the card's, by the card's names, and which are not there twice."""
    kept = []
    for item in image.objects:
        name = card.class_of(item.class_name)
        if name in card.classes:
            kept.append(replace(item, class_name=name))
        elif name not in card.new:  # an object of a new class is nothing that this detector could be judged by
            expected = f"'{name}' is not in the card '{card.name}' ({', '.join(card.classes)})"
            findings.defect("unknown class", f"{item.source}: class {expected}")
    if card.repeated_objects == "keep":
        return replace(image, objects=tuple(kept))
    twice = [(first, later) for first, later in repeated(((o.class_name, o.box, o.crowd), o) for o in kept) if not later.crowd]
    for first, later in twice:
        findings.defect(
            "object twice",
            f"{later.source}: '{later.class_name}' with the very box of {first.source}; each object is expected once",
        )
    later_ones = {id(later) for _, later in twice}
    return replace(image, objects=tuple(item for item in kept if id(item) not in later_ones))


def check_records(card: Card, records: Records, folder: Path) -> None:
    """Check that something can be learned and judged.

    Raises InputError for an empty split, for a class that no object has, a train split without any object, and a val or test
    split without an object of a critical class. Crowd regions are no objects here.
    """
    for split, images in records.items():
        if not images:
            raise InputError(f"{folder}: split '{split}' has no images; at least one is expected")
    seen = {split: {item.class_name for image in records[split] for item in _objects(image)} for split in SPLITS}
    if not seen["train"]:
        raise InputError(f"{folder}: split 'train' has no object in {len(records['train'])} images; at least one is expected")
    for name in card.classes:
        if not any(name in names for names in seen.values()):
            raise InputError(f"{folder}: no object of class '{name}' in any split; every class of the card needs one")
    for split in EVALUATED:
        if seen[split].isdisjoint(card.critical):
            raise InputError(
                f"{folder}: split '{split}' has no object of a critical class ({', '.join(card.critical)}); at least one is "
                f"expected, or AR_critical is undefined"
            )


def classes_without_objects(card: Card, images: Sequence[ImageRecord]) -> list[str]:
    """The classes of the card that no object of these images has."""
    seen = {item.class_name for image in images for item in _objects(image)}
    return [name for name in card.classes if name not in seen]


def _objects(image: ImageRecord) -> list[ObjectRecord]:
    return [item for item in image.objects if not item.crowd]


def check_image_files(
    records: Records, files: Mapping[str, ImageFile], folder: Path, findings: Findings
) -> dict[str, list[ImageRecord]]:
    """The records whose image could be read and has the annotated size; images of two splits with equal pixels are errors."""
    usable: dict[str, list[ImageRecord]] = {}
    for split, images in records.items():
        usable[split] = []
        for image in images:
            file = files.get(image.file_name)
            if file is None:  # a defect already
                continue
            with findings.as_defect("image size"):
                if image.size is not None:
                    check_annotated_size(image.size, file, folder / image.file_name, image.source)
                usable[split].append(image)
    pictures = [(image.file_name, split, files[image.file_name]) for split, images in usable.items() for image in images]
    check_one_split_only(((name, split, file.pixels_sha256) for name, split, file in pictures), folder, findings)
    return usable


def pixel_objects(image: ImageRecord, size: tuple[int, int], findings: Findings) -> ImageRecord:
    """The image with its boxes in pixels, clipped to its width and height.

    A box that is not finite, has no area or lies outside by more than rounding explains is a defect.
    """
    scale = (1, 1) if image.size is not None else size
    kept = []
    for item in image.objects:
        with findings.as_defect("box"):
            box, over = _pixel_box(item, scale, size)
            kept.append(replace(item, box=box))
            if over > 1e-9 * max(size):
                findings.note("box clipped at the border of its image", item.source)
    return replace(image, objects=tuple(kept))


def to_coco(card: Card, images: Sequence[ImageRecord], files: Mapping[str, ImageFile]) -> dict:
    """One split, its boxes in pixels, as a COCO dictionary: boxes are x, y, width, height."""
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
            coco["annotations"].append(
                {
                    "id": len(coco["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": card.classes.index(item.class_name),
                    "bbox": list(item.box),
                    "area": round(item.box[2] * item.box[3], DECIMALS),
                    "iscrowd": int(item.crowd),
                }
            )
    return coco


def _pixel_box(
    item: ObjectRecord, scale: tuple[int, int], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float], float]:
    """The object's box in pixels, clipped to the image, and by how many pixels it reached over the border."""
    shown = f"[{', '.join(f'{value:g}' for value in item.box)}] (x, y, width, height)"
    if not all(math.isfinite(value) for value in item.box):
        raise InputError(f"{item.source}: box {shown}; finite numbers are expected")
    starts, extents, most = [], [], 0.0
    for start, extent, factor, limit in zip(item.box[:2], item.box[2:], scale, size, strict=True):
        start, extent = start * factor, extent * factor
        over = max(-start, start + extent - limit, 0.0)
        most = max(most, over)
        if over > max(TOLERANCE, item.rounding * factor):
            raise InputError(f"{item.source}: box {shown} reaches outside its image of {size[0]}×{size[1]} pixels")
        inside = max(start, 0.0)
        starts.append(round(inside, DECIMALS))
        extents.append(round(min(extent + start - inside, limit - inside), DECIMALS))
        if extents[-1] <= 0:
            raise InputError(f"{item.source}: box {shown} is empty; a width and a height above 0 are expected")
    return (starts[0], starts[1], extents[0], extents[1]), most
