"""Read photos with COCO files `train.json` (on record), `val.json` and `test.json`, pictures in `images/`.

Category names are a damage type, or a severity and a type as in `minor-dent`. Nothing says which zone a photo shows.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from zerostart.config import explain_problems
from zerostart.datasets.coco_file import CocoAnnotation, read_coco_file
from zerostart.datasets.files import check_inside, spelled
from zerostart.datasets.findings import Findings
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import RECORD, TEST, VAL, Box, Damage, Photo, box_from, box_of, check_no_damage_twice
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN

_RINGS = TypeAdapter(list[list[float]])
SPLITS = {"train": RECORD, "val": VAL, "test": TEST}


def read_coco_photos(folder: Path, findings: Findings | None = None) -> list[Photo]:
    """All photos of the three files, in their order.

    Raises InputError with everything that is wrong, by kind, or leaves it to `findings`: a missing or malformed file, what
    :func:`read_coco_file` finds, a category that is no damage type, a photo that is there twice, and a polygon with fewer than
    three points.
    """
    found = Findings(collect=True) if findings is None else findings
    photos: dict[str, Photo] = {}
    for name in SPLITS:
        with found.as_error("annotations"):
            for photo in _read_split(folder / f"{name}.json", folder, SPLITS[name], found):
                if photo.source in photos:
                    what = f"{photo.source} is that of {photos[photo.source].annotation} as well; each photo is expected once"
                    found.error("photo twice", f"{photo.annotation}: {what}")
                photos.setdefault(photo.source, photo)
    if findings is None:
        found.refuse(folder)
    return list(photos.values())


def _read_split(path: Path, folder: Path, split: str, findings: Findings) -> list[Photo]:
    coco = read_coco_file(path, sizes=False, boxes=False, findings=findings)
    categories = coco.names()
    damages: dict[int, list[Damage]] = {image.id: [] for image in coco.images}
    for index, annotation in enumerate(coco.annotations):
        where = coco.where(path, index)
        with findings.as_defect("category"):
            severity, kind = _severity_and_type(categories[annotation.category_id], where)
            with findings.as_defect("polygon or box"):
                damages[annotation.image_id].append(Damage(kind, severity, _box(annotation, where)))
    photos = []
    for image in coco.images:
        where = f"{path}, image {image.id}"
        with findings.as_defect("damage"):
            check_no_damage_twice(damages[image.id], where)
        source = spelled(folder, f"images/{image.file_name}")
        with findings.as_defect("image path"):
            check_inside(source, folder, where)
            photos.append(Photo(source, where, UNKNOWN, tuple(damages[image.id]), split=split, size=image.size))
    return photos


def _severity_and_type(category: str, where: str) -> tuple[str, str]:
    head, _, tail = category.partition("-")
    severity, kind = (head, tail) if head in SEVERITIES else (UNKNOWN, category)
    if kind not in DAMAGE_TYPES:
        raise InputError(f"{where}: category '{category}' is no damage type; {', '.join(DAMAGE_TYPES)} are known")
    return severity, kind


def _box(annotation: CocoAnnotation, where: str) -> Box:
    """Around the polygons; where there are none (exports for detection, run-length masks), the annotated box."""
    found = annotation.segmentation
    if not isinstance(found, list) or not found:
        if annotation.bbox is None:
            raise InputError(f"{where}: neither polygons nor a bbox found; one of them is expected")
        return box_from(*annotation.bbox, where)
    try:
        rings = _RINGS.validate_python(found)
    except ValidationError as error:
        raise InputError(f"{where}: its segmentation: {explain_problems(error, kind='key')}") from None
    if any(len(ring) % 2 for ring in rings):
        raise InputError(f"{where}: a polygon with an odd number of coordinates found; x and y of each point are expected")
    points = [list(zip(ring[::2], ring[1::2], strict=True)) for ring in rings]
    for ring in points:
        box_of(ring, where)
    return box_of([point for ring in points for point in ring], where)
