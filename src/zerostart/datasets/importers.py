"""Read COCO JSON, Pascal VOC XML and YOLO label files into one kind of record.

The readers keep for every image and object the name of its file and record and the annotated size, which the checks in
:mod:`zerostart.datasets.checks` need. They check structure only: what can be read is returned as it stands.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from zerostart.datasets.cards import Card, SplitFiles
from zerostart.errors import InputError
from zerostart.records import checked_json, read_yaml

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class ObjectRecord:
    """One annotated object."""

    class_name: str
    """As in the source."""
    box: tuple[float, float, float, float]
    """x, y (upper left corner), width, height: pixels, or fractions of the image when its record has no size."""
    source: str
    """File and record, for messages."""


@dataclass(frozen=True)
class ImageRecord:
    """One annotated image."""

    file_name: str
    """Path relative to the dataset's folder."""
    size: tuple[float, float] | None
    """Annotated width and height in pixels; None in YOLO, which has none."""
    objects: tuple[ObjectRecord, ...]
    source: str
    """File and record, for messages."""


def read_split(card: Card, folder: Path, split: str) -> list[ImageRecord]:
    """The records of one split of the dataset in `folder`.

    Raises InputError when a file is missing, malformed or lacks a field, when an id occurs twice, when an annotation has
    no image, and when a COCO object is a crowd region.
    """
    files: SplitFiles = getattr(card.splits, split)
    if card.format == "coco":
        return read_coco(folder, files)
    if card.format == "voc":
        return read_voc(folder, files)
    return read_yolo(folder, files, list(card.names) if card.names else read_yolo_names(folder / "data.yaml"))


class _CocoRecord(BaseModel):
    model_config = ConfigDict(strict=True)


class _CocoImage(_CocoRecord):
    id: int
    file_name: str
    width: float
    height: float


class _CocoAnnotation(_CocoRecord):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class _CocoCategory(_CocoRecord):
    id: int
    name: str


class _CocoFile(_CocoRecord):
    """The fields of a COCO file that a detector needs; others are ignored."""

    images: list[_CocoImage]
    annotations: list[_CocoAnnotation]
    categories: list[_CocoCategory]


def read_coco(folder: Path, files: SplitFiles) -> list[ImageRecord]:
    """Records of a COCO detection file, in the order of its `images`. Category ids may be any distinct integers."""
    path = folder / files.annotations
    try:
        coco = _CocoFile.model_validate_json(checked_json(path, "the card says that annotations are there"))
    except ValidationError as error:
        raise InputError(f"{path}: {_explain_json(error)}") from None
    _check_coco(coco, path)
    names = {category.id: category.name for category in coco.categories}
    objects: dict[int, list[ObjectRecord]] = {image.id: [] for image in coco.images}
    for item in coco.annotations:
        source = f"{path}, annotation {item.id}"
        if item.image_id not in objects:
            raise InputError(f"{source}: image_id {item.image_id} is not the id of an image of this file")
        if item.category_id not in names:
            raise InputError(f"{source}: category_id {item.category_id} is not the id of a category of this file")
        if item.iscrowd:
            raise InputError(f"{source}: iscrowd is {item.iscrowd}; single objects (0) are expected, crowd regions unsupported")
        objects[item.image_id].append(ObjectRecord(names[item.category_id], item.bbox, source))
    return [
        ImageRecord(
            file_name=(PurePosixPath(files.images) / image.file_name).as_posix(),
            size=(image.width, image.height),
            objects=tuple(objects[image.id]),
            source=f"{path}, image {image.id}",
        )
        for image in coco.images
    ]


def _explain_json(error: ValidationError) -> str:
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return f"not valid JSON: {problem['ctx']['error']}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).removeprefix(".")
    message = "field missing" if problem["type"] == "missing" else f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"{key}: {message}" if key else message


def _check_coco(coco: _CocoFile, path: Path) -> None:
    for key in ("images", "annotations", "categories"):
        _check_distinct([record.id for record in getattr(coco, key)], f"{path}: id", f"in '{key}'")
    _check_distinct([category.name for category in coco.categories], f"{path}: name", "in 'categories'")


def read_voc(folder: Path, files: SplitFiles) -> list[ImageRecord]:
    """Records of the Pascal VOC files whose stems `files.list` names, in its order; image and XML share the stem.

    A box is (xmin, ymin, xmax - xmin, ymax - ymin): corners are taken as 0-based pixel edges, as labelling tools write them
    and detection loaders read them. (The VOC devkit counts pixels from 1 and includes xmax; by it every box would lie one
    pixel further left and up and be one pixel larger.) Objects marked difficult or truncated are ordinary objects here.
    """
    images = _images_by_stem(folder, files.images)
    records = []
    for stem in _read_list(folder / files.list):
        path = folder / files.annotations / f"{stem}.xml"
        if stem not in images:
            raise InputError(f"{folder / files.list}: no image for '{stem}'; {folder / files.images / stem}.jpg is expected")
        try:
            root = ElementTree.fromstring(_read(path))
        except ElementTree.ParseError as error:
            raise InputError(f"{path}: not valid XML: {error}") from None
        size = (_xml_number(root, "size/width", path), _xml_number(root, "size/height", path))
        objects = tuple(_voc_object(item, f"{path}, object {index}") for index, item in enumerate(root.findall("object"), 1))
        records.append(ImageRecord(images[stem], size, objects, str(path)))
    return records


def _voc_object(item: ElementTree.Element, source: str) -> ObjectRecord:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{source}: 'name' is missing; a class name is expected")
    xmin, ymin, xmax, ymax = (_xml_number(item, f"bndbox/{key}", source) for key in ("xmin", "ymin", "xmax", "ymax"))
    return ObjectRecord(name, (xmin, ymin, xmax - xmin, ymax - ymin), source)


def _xml_number(element: ElementTree.Element, key: str, source: str | Path) -> float:
    text = element.findtext(key)
    if text is None:
        raise InputError(f"{source}: '{key}' is missing; a number is expected")
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{source}: '{key}' is '{text.strip()}'; a number is expected") from None


def read_yolo(folder: Path, files: SplitFiles, names: list[str]) -> list[ImageRecord]:
    """Records of YOLO label files, one `class cx cy w h` per line in fractions of the image.

    `names` are the class names in the order of the indices. The images are those that `files.list` names, or every image in
    `files.images` by name; images/<stem>.jpg has the label file annotations/<stem>.txt, and without one it has no objects.
    """
    images = _images_by_stem(folder, files.images)
    labels = folder / files.annotations
    if not labels.is_dir():
        raise InputError(f"{labels}: no such folder; the label files are expected there")
    stems = list(images) if files.list is None else _listed_stems(folder, files, images)
    for path in sorted(labels.rglob("*.txt")):
        # Labelling tools write the class names beside the labels.
        if path.name != "classes.txt" and path.relative_to(labels).with_suffix("").as_posix() not in images:
            raise InputError(
                f"{path}: a label file without an image; one with the same stem is expected in {folder / files.images}"
            )
    return [_yolo_record(images[stem], labels / f"{stem}.txt", names) for stem in stems]


def _listed_stems(folder: Path, files: SplitFiles, images: dict[str, str]) -> list[str]:
    path = folder / files.list
    stem_of = {image: stem for stem, image in images.items()}
    stems = []
    for line in _read_list(path):
        image = PurePosixPath(line).as_posix()
        if image not in stem_of:
            raise InputError(f"{path}: no image '{line}' in {folder / files.images}; paths relative to {folder} are expected")
        stems.append(stem_of[image])
    return stems


def _yolo_record(image: str, path: Path, names: list[str]) -> ImageRecord:
    lines = _read_text(path).splitlines() if path.exists() else []
    objects = [_yolo_object(line, f"{path}, line {number}", names) for number, line in enumerate(lines, 1) if line.strip()]
    return ImageRecord(image, None, tuple(objects), str(path))


def _yolo_object(line: str, source: str, names: list[str]) -> ObjectRecord:
    try:
        index, (cx, cy, width, height) = int(line.split()[0]), map(float, line.split()[1:])
    except ValueError:
        raise InputError(f"{source}: '{line.strip()}' found; a class index and four numbers (cx cy w h) are expected") from None
    if not 0 <= index < len(names):
        raise InputError(f"{source}: class index {index} found; 0 to {len(names) - 1} are expected ({', '.join(names)})")
    return ObjectRecord(names[index], (cx - width / 2, cy - height / 2, width, height), source)


def read_yolo_names(path: Path) -> list[str]:
    """The class names of a YOLO data.yaml: a list, or a mapping from the indices 0..n-1."""
    content = read_yaml(path, "the card says that the names of the classes are there", foreign=True)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: 'names' with a list of class names, or a mapping of 0..n-1 to them, is expected")
    _check_distinct(names, f"{path}: class", "in 'names'")
    return names


def _images_by_stem(folder: Path, images: str) -> dict[str, str]:
    """Path relative to the dataset's folder of every image in its subfolder `images`, by stem, sorted."""
    if not (folder / images).is_dir():
        raise InputError(f"{folder / images}: no such folder; the images are expected there")
    found: dict[str, str] = {}
    for path in sorted((folder / images).rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            stem = path.relative_to(folder / images).with_suffix("").as_posix()
            if stem in found:
                raise InputError(f"{path}: a second image with the stem '{stem}' beside {found[stem]}; one is expected")
            found[stem] = path.relative_to(folder).as_posix()
    return found


def _read_list(path: Path) -> list[str]:
    return [line.strip() for line in _read_text(path).splitlines() if line.strip()]


def _read_text(path: Path) -> str:
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); the card says that annotations are there") from None


def _check_distinct(values: list, what: str, where: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise InputError(f"{what} {value!r} stands twice {where}; each is expected once")
        seen.add(value)
