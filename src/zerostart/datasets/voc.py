"""Read Pascal VOC XML files."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path, PurePosixPath

from zerostart.datasets.cards import SplitFiles
from zerostart.datasets.files import read_content, read_lines, spelled
from zerostart.datasets.findings import Findings
from zerostart.datasets.image_records import ImageRecord, ObjectRecord
from zerostart.datasets.stems import Alike, images_by_stem
from zerostart.errors import InputError

DECLARATION = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"'][^>]*\?>")


def read_voc(folder: Path, files: SplitFiles, findings: Findings | None = None) -> list[ImageRecord]:
    """Records of the Pascal VOC files whose stems `files.list` names, in its order; image and XML share the stem.

    A box is (xmin, ymin, xmax - xmin, ymax - ymin): corners are taken as 0-based pixel edges, as labelling tools write them
    and detection loaders read them. (The VOC devkit counts pixels from 1 and includes xmax; by it every box would lie one
    pixel further left and up and be one pixel larger.) Objects marked difficult or truncated are ordinary objects here.

    Raises InputError (or notes it, see :class:`Findings`) for a file that is missing or malformed or lacks a field, and for one
    whose `filename` is another picture of the data set.
    """
    findings = findings or Findings()
    images = images_by_stem(folder, files.images, findings)
    stems, records = Alike(images), []
    for line in read_lines(folder / files.list):
        stem = stems.find(line) or line
        path = folder / spelled(folder, (PurePosixPath(files.annotations) / f"{stem}.xml").as_posix())
        if stem not in images:
            where = f"{folder / files.images / stem}.jpg is expected"
            findings.defect("list", f"{folder / files.list}: no image for '{stem}'; {where}")
            continue
        with findings.as_defect("VOC file"):
            records.append(_record(images, stem, path, findings))
    return records


def _record(images: dict[str, str], stem: str, path: Path, findings: Findings) -> ImageRecord:
    root = _parse(path)
    named = (root.findtext("filename") or "").strip().replace("\\", "/")
    other = PurePosixPath(named).stem
    if named and other != PurePosixPath(stem).name and images.get((PurePosixPath(stem).parent / other).as_posix()):
        raise InputError(f"{path}: its filename is '{named}', another picture of the data set; that of '{stem}' is expected")
    size = (_number(root, "size/width", path), _number(root, "size/height", path))
    items = [*root.findall("object"), *root.findall("objects/object")]
    if len(items) != sum(1 for _ in root.iter("object")):
        raise InputError(f"{path}: an <object> inside another element; objects directly in <annotation> are expected")
    objects = []
    for index, item in enumerate(items, 1):
        with findings.as_defect("VOC object"):
            objects.append(_object(item, f"{path}, object {index}"))
    return ImageRecord(images[stem], size, tuple(objects), str(path))


def _parse(path: Path) -> ElementTree.Element:
    """The root of an XML file in any encoding that Python knows; expat itself knows four."""
    content = read_content(path)
    declared = DECLARATION.match(content)
    try:
        if declared is None:
            return ElementTree.fromstring(content)
        encoding = declared[1].decode("ascii", "replace")
        return ElementTree.fromstring(content[declared.end() :].decode(encoding).lstrip())
    except LookupError:
        raise InputError(f"{path}: XML in the encoding '{encoding}', which is unknown; UTF-8 is expected") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not the {encoding} that it declares: {error.reason} at byte {error.start}") from None
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid XML: {error}") from None


def _object(item: ElementTree.Element, source: str) -> ObjectRecord:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{source}: 'name' is missing; a class name is expected")
    xmin, ymin, xmax, ymax = (_number(item, f"bndbox/{key}", source) for key in ("xmin", "ymin", "xmax", "ymax"))
    return ObjectRecord(name, (xmin, ymin, xmax - xmin, ymax - ymin), source)


def _number(element: ElementTree.Element, key: str, source: str | Path) -> float:
    text = element.findtext(key)
    if text is None:
        raise InputError(f"{source}: '{key}' is missing; a number is expected")
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{source}: '{key}' is '{text.strip()}'; a number is expected") from None
