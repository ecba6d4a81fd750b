"""Read YOLO label files: boxes, or polygons and oriented boxes, whose bounding boxes are taken."""

import math
from pathlib import Path, PurePosixPath

from zerostart.datasets.cards import SplitFiles
from zerostart.datasets.coco_file import twice
from zerostart.datasets.files import files_below, read_lines, read_text
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_records import ImageRecord, ObjectRecord
from zerostart.datasets.pictures import SUFFIXES
from zerostart.datasets.stems import Alike, images_by_stem
from zerostart.errors import InputError
from zerostart.records import read_yaml

NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
"""Files of labelling tools with a class name per line, in the order of the indices."""
LEAST_DECIMALS = 3
"""Files with fewer are taken as printed with so many: 0.5 has lost zeros rather than precision."""
EXPECTED = "a class index and four numbers (cx cy w h), or the points of a polygon, are expected"


def read_yolo(folder: Path, files: SplitFiles, names: list[str], findings: Findings | None = None) -> list[ImageRecord]:
    """Records of YOLO label files, one `class cx cy w h` or `class x1 y1 x2 y2 x3 y3 ...` per line in fractions of the image.

    `names` are the class names in the order of the indices. The images are those that `files.list` names, or every image in
    `files.images` by name; images/<stem>.jpg has the label file annotations/<stem>.txt, and without one it has no objects.

    Raises InputError (or notes it, see :class:`Findings`) for a label file without an image or that is no text, with which its
    image is left out, and for a line that is none.
    """
    findings = findings or Findings()
    images = images_by_stem(folder, files.images, findings)
    labels = folder / files.annotations
    if not labels.is_dir():
        raise InputError(f"{labels}: no such folder; the label files are expected there")
    stems = list(images) if files.list is None else _listed_stems(folder, files, images, findings)
    pictures = Alike(images)
    for path in files_below(labels):
        # Labelling tools write the class names beside the labels, macOS its own files.
        if path.suffix != ".txt" or path.name in NAME_LISTS or path.name.startswith("._"):
            continue
        if pictures.find(_stem(path, labels)) is None:
            findings.defect(
                "label file", f"{path}: a label file without an image; {_missing_image(path, labels, folder, files)}"
            )
    found = {_stem(path, labels): path for path in files_below(labels) if path.suffix == ".txt"}
    written = Alike(found)
    records = []
    for stem in stems:
        with findings.as_defect("label file"):
            records.append(_record(images[stem], _label_file(stem, labels, found, written), names, findings))
    return records


def _stem(path: Path, labels: Path) -> str:
    return path.relative_to(labels).with_suffix("").as_posix()


def _label_file(stem: str, labels: Path, found: dict[str, Path], written: Alike) -> Path:
    known = written.find(stem)
    return labels / f"{stem}.txt" if known is None else found[known]


def _missing_image(path: Path, labels: Path, folder: Path, files: SplitFiles) -> str:
    wanted = folder / files.images / _stem(path, labels)
    beside = sorted(other for other in wanted.parent.glob("*") if other.stem == wanted.name and other != path)
    if beside:
        return f"{beside[0]} is none that is read; one of {', '.join(sorted(SUFFIXES))} is expected"
    return f"one with the same stem is expected in {folder / files.images}"


def _listed_stems(folder: Path, files: SplitFiles, images: dict[str, str], findings: Findings) -> list[str]:
    path = folder / files.list
    stem_of = {image: stem for stem, image in images.items()}
    listed, stems = Alike(stem_of), []
    for line in read_lines(path):
        image = listed.find(_within(line, folder)) or listed.find(_within(line.removeprefix("data/"), folder))
        if image is None:
            where = folder / files.images
            findings.defect("list", f"{path}: no image '{line}' in {where}; paths relative to {folder} are expected")
        else:
            stems.append(stem_of[image])
    return stems


def _within(line: str, folder: Path) -> str:
    """A line of a list relative to the dataset's folder; CVAT puts `data/` before it, Ultralytics the whole path."""
    place = PurePosixPath(line.replace("\\", "/"))
    whole = PurePosixPath(folder.resolve().as_posix())
    return (place.relative_to(whole) if place.is_relative_to(whole) else place).as_posix()


def _record(image: str, path: Path, names: list[str], findings: Findings) -> ImageRecord:
    text = read_text(path) if path.exists() else ""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rounding = 0.75 * 10.0 ** -_decimals(
        values for _, values in lines
    )  # half a unit of the centre, and half of that of the size
    objects = []
    for number, values in lines:
        source = f"{path}, line {number}"
        with findings.as_defect("YOLO line"):
            objects.append(_object(values, source, names, rounding))
            if len(values) > 5:
                findings.note("polygon or oriented box, whose bounding box was taken", source)
    return ImageRecord(image, None, tuple(objects), str(path))


def _decimals(lines) -> int:
    """With how many decimals the coordinates of a file are printed."""
    printed = (value.partition(".")[2] for values in lines for value in values[1:])
    return max([LEAST_DECIMALS, *(min(len(part), 15) for part in printed if part.isdigit())])


def _object(values: list[str], source: str, names: list[str], rounding: float) -> ObjectRecord:
    try:
        index, numbers = float(values[0]), [float(value) for value in values[1:]]
    except ValueError:
        raise InputError(f"{source}: '{' '.join(values)}' found; {EXPECTED}") from None
    if not index.is_integer() or not (len(numbers) == 4 or (len(numbers) >= 6 and len(numbers) % 2 == 0)):
        raise InputError(f"{source}: '{' '.join(values)}' found; {EXPECTED}")
    if not 0 <= index < len(names):
        raise InputError(f"{source}: class index {index:g} found; 0 to {len(names) - 1} are expected ({', '.join(names)})")
    return ObjectRecord(names[int(index)], _box(numbers), source, rounding=rounding)


def _box(numbers: list[float]) -> tuple[float, float, float, float]:
    if len(numbers) == 4:
        cx, cy, width, height = numbers
        return cx - width / 2, cy - height / 2, width, height
    if not all(map(math.isfinite, numbers)):
        return (math.nan,) * 4
    left, top = min(numbers[::2]), min(numbers[1::2])
    return left, top, max(numbers[::2]) - left, max(numbers[1::2]) - top


def yolo_names(folder: Path, splits: list[SplitFiles], given: list[str] | None) -> list[str]:
    """The class names in the order of the indices: those `given` in the card, of data.yaml, or of a list of a labelling tool.

    Raises InputError when there are none, and when two of these have a name at different indices.
    """
    sources = {"'names' of the card": given} if given else {}
    data = folder / "data.yaml"
    places = [
        folder,
        *(folder / files.annotations for files in splits),
        *((folder / files.annotations).parent for files in splits),
    ]
    lists = [place / name for place in dict.fromkeys(places) for name in NAME_LISTS if (place / name).is_file()]
    if data.exists() or not (sources or lists):
        sources[str(data)] = read_yolo_names(data)
    sources |= {str(path): read_lines(path) for path in lists}
    (first, names), *others = sources.items()
    _check_distinct(names, first, "it")
    for other, its in others:
        for index, name in enumerate(its):
            if name in names and names.index(name) != index:
                raise InputError(
                    f"{other}: '{name}' is class {index}, but {first} has it as class {names.index(name)}; the same order is"
                    " expected"
                )
    return names


def read_yolo_names(path: Path) -> list[str]:
    """The class names of a YOLO data.yaml: a list, or a mapping from the indices 0..n-1."""
    content = read_yaml(path, "the card says that the names of the classes are there", foreign=True)
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and {str(key) for key in names} == {str(index) for index in range(len(names))}:
        by_index = {str(key): name for key, name in names.items()}
        names = [by_index[str(index)] for index in range(len(names))]
    if not isinstance(names, list):
        raise InputError(f"{path}: 'names' with a list of class names, or a mapping of 0..n-1 to them, is expected")
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(
                f"{path}: 'names' has {name!r} as class {index}; 'names' with a list of class names is expected, in quotes"
                " where YAML would read a number, yes or no"
            )
    names = [name.strip() for name in names]
    _check_distinct(names, path, "'names'")
    return names


def _check_distinct(names: list[str], source: str | Path, where: str) -> None:
    for name in twice(names):
        raise InputError(f"{source}: class {name!r} stands twice in {where}; each is expected once")
