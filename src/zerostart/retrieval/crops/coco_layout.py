"""Read photos with COCO files `train.json` (on record), `val.json` and `test.json` (queries), pictures in `images/`.

Category names are a damage type, or a severity and a type as in `minor-dent`. Nothing says which zone a photo shows.
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from zerostart.config import explain_problems
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import QUERY, RECORD, Damage, Photo, box_of
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN

SPLITS = {"train": RECORD, "val": QUERY, "test": QUERY}


class _Image(BaseModel):
    id: int
    file_name: str


class _Annotation(BaseModel):
    id: int
    image_id: int
    category_id: int
    segmentation: list[list[float]]


class _Category(BaseModel):
    id: int
    name: str


class _CocoFile(BaseModel):
    """The fields that matter here; others are ignored."""

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco_photos(folder: Path) -> list[Photo]:
    """All photos of the three files, in their order.

    Raises InputError naming file and record for a missing or malformed file, an unknown image or category, a category
    that is no damage type, a photo or an image id that is there twice, and a polygon with fewer than three points.
    """
    photos: dict[str, Photo] = {}
    for name in SPLITS:
        for photo in _read_split(folder / f"{name}.json", SPLITS[name]):
            if photo.source in photos:
                first = photos[photo.source].annotation
                raise InputError(f"{photo.annotation}: {photo.source} is that of {first} as well; each photo is expected once")
            photos[photo.source] = photo
    return list(photos.values())


def _read_split(path: Path, split: str) -> list[Photo]:
    try:
        coco = _CocoFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; COCO annotations are expected there") from None
    except ValidationError as error:
        raise InputError(f"{path}: not a COCO file with polygons: {explain_problems(error, kind='key')}") from None
    categories = {category.id: category.name for category in coco.categories}
    damages: dict[int, list[Damage]] = {image.id: [] for image in coco.images}
    if len(damages) < len(coco.images):
        repeated = next(image.id for n, image in enumerate(coco.images) if image.id in {one.id for one in coco.images[:n]})
        raise InputError(f"{path}, image {repeated}: two images have this id; each id is expected once")
    for annotation in coco.annotations:
        where = f"{path}, annotation {annotation.id}"
        if annotation.image_id not in damages or annotation.category_id not in categories:
            raise InputError(f"{where}: its image or its category is not in the file; ids of existing ones are expected")
        damages[annotation.image_id].append(_damage(annotation, categories[annotation.category_id], where))
    return [
        Photo(f"images/{image.file_name}", f"{path}, image {image.id}", UNKNOWN, tuple(damages[image.id]), split=split)
        for image in coco.images
    ]


def _damage(annotation: _Annotation, category: str, where: str) -> Damage:
    head, _, tail = category.partition("-")
    severity, kind = (head, tail) if head in SEVERITIES else (UNKNOWN, category)
    if kind not in DAMAGE_TYPES:
        raise InputError(f"{where}: category '{category}' is no damage type; {', '.join(DAMAGE_TYPES)} are known")
    if any(len(ring) % 2 for ring in annotation.segmentation):
        raise InputError(f"{where}: a polygon with an odd number of coordinates found; x and y of each point are expected")
    rings = [list(zip(ring[::2], ring[1::2], strict=True)) for ring in annotation.segmentation]
    for ring in rings:
        box_of(ring, where)
    return Damage(kind, severity, box_of([point for ring in rings for point in ring], where))
