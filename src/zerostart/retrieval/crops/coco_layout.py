"""Read photos with COCO files `train.json` (on record), `val.json` and `test.json`, pictures in `images/`.

Category names are a damage type, or a severity and a type as in `minor-dent`. Nothing says which zone a photo shows.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from zerostart.config import explain_problems
from zerostart.datasets.coco_file import CocoAnnotation, read_coco_file
from zerostart.datasets.files import check_inside, spelled
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import RECORD, TEST, VAL, Box, Damage, Photo, box_from, box_of, check_no_damage_twice
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN

_RINGS = TypeAdapter(list[list[float]])
SPLITS = {"train": RECORD, "val": VAL, "test": TEST}


def read_coco_photos(folder: Path) -> list[Photo]:
    """All photos of the three files, in their order.

    Raises InputError naming file and record for a missing or malformed file, an unknown image or category, a category
    that is no damage type, a photo or an image id that is there twice, and a polygon with fewer than three points.
    """
    photos: dict[str, Photo] = {}
    for name in SPLITS:
        for photo in _read_split(folder / f"{name}.json", folder, SPLITS[name]):
            if photo.source in photos:
                first = photos[photo.source].annotation
                raise InputError(f"{photo.annotation}: {photo.source} is that of {first} as well; each photo is expected once")
            photos[photo.source] = photo
    return list(photos.values())


def _read_split(path: Path, folder: Path, split: str) -> list[Photo]:
    coco = read_coco_file(path, sizes=False, boxes=False)
    categories = coco.names()
    damages: dict[int, list[Damage]] = {image.id: [] for image in coco.images}
    for index, annotation in enumerate(coco.annotations):
        where = coco.where(path, index)
        damages[annotation.image_id].append(_damage(annotation, categories[annotation.category_id], where))
    photos = []
    for image in coco.images:
        where = f"{path}, image {image.id}"
        check_no_damage_twice(damages[image.id], where)
        source = spelled(folder, f"images/{image.file_name}")
        check_inside(source, folder, where)
        photos.append(Photo(source, where, UNKNOWN, tuple(damages[image.id]), split=split, size=image.size))
    return photos


def _damage(annotation: CocoAnnotation, category: str, where: str) -> Damage:
    head, _, tail = category.partition("-")
    severity, kind = (head, tail) if head in SEVERITIES else (UNKNOWN, category)
    if kind not in DAMAGE_TYPES:
        raise InputError(f"{where}: category '{category}' is no damage type; {', '.join(DAMAGE_TYPES)} are known")
    return Damage(kind, severity, _box(annotation, where))


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
