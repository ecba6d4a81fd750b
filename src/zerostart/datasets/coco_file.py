"""The one reader of COCO JSON: what a file holds, once all of it fits together."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from zerostart.datasets.findings import Findings
from zerostart.errors import InputError
from zerostart.records import checked_json

LISTS = ("images", "annotations", "categories")
Value = TypeVar("Value")


def _whole(value: object) -> object:
    """Tools that keep ids in a table of floats write 7.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    return int(value) if isinstance(value, bool) else 0 if value is None else value


def _trimmed(value: object) -> object:
    """No card can name a class that ends with a blank, and nobody sees it."""
    return value.strip() if isinstance(value, str) else value


Id = Annotated[int, BeforeValidator(_whole), Field(ge=-(2**63), lt=2**63)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True)


class CocoImage(_Record):
    id: Id
    file_name: Annotated[str, Field(min_length=1)]
    width: float | None = None
    height: float | None = None

    @property
    def size(self) -> tuple[float, float] | None:
        """Annotated width and height in pixels."""
        return None if self.width is None or self.height is None else (self.width, self.height)


class CocoAnnotation(_Record):
    image_id: Id
    category_id: Id
    id: Id | None = None
    bbox: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels."""
    segmentation: Any = None
    """Polygons or a run-length mask, unchecked."""
    iscrowd: Annotated[int, BeforeValidator(_flag), Field(ge=0, le=1)] = 0


class CocoCategory(_Record):
    id: Id
    name: Annotated[str, Field(min_length=1), BeforeValidator(_trimmed)]


class CocoFile(_Record):
    """The fields of a COCO file that are used here; others are ignored."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation] = []
    categories: list[CocoCategory]
    _positions: dict[str, list[int]] = PrivateAttr(default_factory=dict)
    """Where the images and annotations stood in the file, when some were left out."""

    def where(self, path: Path, index: int) -> str:
        """File and record of an annotation, for messages."""
        found = self.annotations[index].id
        return f"{path}, {self.place('annotations', index)}" if found is None else f"{path}, annotation {found}"

    def place(self, key: str, index: int) -> str:
        """Where an image or annotation stood in the file, for messages."""
        return f"{key}[{self._positions[key][index] if key in self._positions else index}]"

    def names(self) -> dict[int, str]:
        """Category id: name."""
        return {category.id: category.name for category in self.categories}


def read_coco_file(
    path: Path, sizes: bool = True, boxes: bool = True, annotations: bool = True, findings: Findings | None = None
) -> CocoFile:
    """Read and check a COCO detection file. Category ids may be any distinct integers.

    sizes, boxes, annotations: whether each image must have a size, each annotation a box, and the file annotations.
    findings: takes what is wrong, and the file is returned without the records that are: an image goes with its annotations.

    Raises InputError when the file is missing, is no JSON or no COCO file of detections. Without `findings` also with all of
    the following, grouped by kind. Defects of records: a field that is missing or of another type, an annotation without an
    image or a category of the file. Errors: a category without its fields, an id, a category's name or a picture that is there
    twice, and a file whose every box lies in [0, 1], which are fractions and not pixels.

    A category that owns nothing while another of its name does is left out (the root category of some exports); where none of
    them owns anything, the last is kept.
    """
    found = Findings(collect=True) if findings is None else findings
    coco, lost = _read(path, found)
    if annotations and "annotations" not in coco.model_fields_set:
        raise InputError(f"{path}: annotations: field missing")
    for key in LISTS:
        for value in twice(record.id for record in getattr(coco, key) if record.id is not None):
            found.error("id twice", f"{path}: id {value!r} stands twice in '{key}'; each is expected once")
    coco = _without_empty_roots(coco)
    for value in twice(category.name for category in coco.categories):
        found.error("category twice", f"{path}: name {value!r} stands twice in 'categories'; each is expected once")
    _check_pictures(coco, path, found)
    _check_pixels(coco, path, found)
    coco = _with_whole_images(coco, path, lost, found) if sizes else coco
    coco = _with_whole_annotations(coco, path, lost, boxes, found)
    if findings is None:
        found.refuse(path)
    return coco


def twice(values: Iterable[Value]) -> list[Value]:
    """The values that stand there more than once, each once."""
    seen, again = set(), {}
    for value in values:
        if value in seen:
            again[value] = None
        seen.add(value)
    return list(again)


def _read(path: Path, found: Findings) -> tuple[CocoFile, dict[str, set]]:
    """The records that have the fields of such a file, and the ids of those that have not, by list."""
    text = checked_json(path, "annotations are expected there")
    try:
        return CocoFile.model_validate_json(text), {key: set() for key in LISTS}
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        raise InputError(f"{path}: not valid JSON: {problems[0]['ctx']['error']}")
    content = json.loads(text)
    _refuse_other_kinds(content, path)
    if whole := [problem for problem in problems if len(problem["loc"]) < 2]:
        raise InputError(f"{path}: {'; '.join(map(_explained, whole))}")
    records: dict[tuple[str, int], list[dict]] = {}
    for problem in problems:
        records.setdefault(problem["loc"][:2], []).append(problem)
    for (key, _), of_record in records.items():
        field = of_record[0]["loc"][2:3]
        keep = found.error if key == "categories" else found.defect  # without its category nothing is known of an object
        keep(".".join((key, *field)), f"{path}: {', '.join(map(_explained, of_record))}")
    positions = {key: [k for k in range(len(content.get(key, ()))) if (key, k) not in records] for key in LISTS}
    lost = {key: {_id_of(content[key][index]) for other, index in records if other == key} for key in LISTS}
    kept = {key: [content[key][index] for index in positions[key]] for key in LISTS if key in content}
    coco = CocoFile.model_validate_json(json.dumps(content | kept))
    coco._positions = positions
    return coco, lost


def _id_of(record: object) -> int | None:
    value = _whole(record.get("id")) if isinstance(record, dict) else None
    return value if isinstance(value, int) else None


def _refuse_other_kinds(content: object, path: Path) -> None:
    """Raises InputError for COCO's files of other tasks, which have the same top-level keys."""
    annotations = content.get("annotations") if isinstance(content, dict) else None
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    if isinstance(first, dict) and "segments_info" in first:
        raise InputError(f"{path}: COCO's panoptic annotations; those of objects are expected, as in instances_*.json")
    if isinstance(first, dict) and "caption" in first and "category_id" not in first:
        raise InputError(f"{path}: COCO's captions; annotations of objects are expected, as in instances_*.json")


def _with_whole_images(coco: CocoFile, path: Path, lost: dict[str, set], found: Findings) -> CocoFile:
    """Those that have a size."""
    kept = []
    for index, image in enumerate(coco.images):
        missing = [key for key in ("width", "height") if getattr(image, key) is None]
        if missing:
            found.defect(f"images.{missing[0]}", f"{path}: {coco.place('images', index)}.{missing[0]}: field missing")
            lost["images"].add(image.id)
        else:
            kept.append(index)
    return _only(coco, "images", kept)


def _with_whole_annotations(coco: CocoFile, path: Path, lost: dict[str, set], boxes: bool, found: Findings) -> CocoFile:
    """Those with an image and a category, and a box where there must be `boxes`; what went with a lost record is not named."""
    owners = {"image": {image.id for image in coco.images}, "category": {category.id for category in coco.categories}}
    kept = []
    for index, item in enumerate(coco.annotations):
        if item.image_id in lost["images"] or item.category_id in lost["categories"]:
            continue
        named = {"image": item.image_id, "category": item.category_id}
        strange = next((owner for owner in named if named[owner] not in owners[owner]), None)
        if strange:
            why = f"{strange}_id {named[strange]} is not the id of {'an' if strange == 'image' else 'a'} {strange} of this file"
            found.defect(f"annotations.{strange}_id", f"{coco.where(path, index)}: {why}; ids of existing ones are expected")
        elif boxes and item.bbox is None:
            why = "bbox is missing; x, y, width and height in pixels are expected"
            found.defect("annotations.bbox", f"{coco.where(path, index)}: {why}")
        else:
            kept.append(index)
    return _only(coco, "annotations", kept)


def _only(coco: CocoFile, key: str, kept: list[int]) -> CocoFile:
    records = getattr(coco, key)
    if len(kept) == len(records):
        return coco
    before = coco._positions.get(key, range(len(records)))
    coco = coco.model_copy(update={key: [records[index] for index in kept]})
    coco._positions = coco._positions | {key: [before[index] for index in kept]}
    return coco


def _without_empty_roots(coco: CocoFile) -> CocoFile:
    owning = {annotation.category_id for annotation in coco.annotations}
    owners = {category.name for category in coco.categories if category.id in owning}
    last = {category.name: category.id for category in coco.categories}
    kept = [
        category
        for category in coco.categories
        if category.id in owning or (category.name not in owners and last[category.name] == category.id)
    ]
    return coco.model_copy(update={"categories": kept})


def _check_pictures(coco: CocoFile, path: Path, found: Findings) -> None:
    first: dict[str, int] = {}
    for image in coco.images:
        if image.file_name in first:
            found.error(
                "picture twice",
                f"{path}, image {image.id}: '{image.file_name}' is the picture of image {first[image.file_name]} as well; each "
                f"picture is expected once, with all of its objects",
            )
        first.setdefault(image.file_name, image.id)


def _check_pixels(coco: CocoFile, path: Path, found: Findings) -> None:
    boxes = [item.bbox for item in coco.annotations if item.bbox is not None]
    if boxes and all(min(x, y) >= 0 and x + width <= 1 and y + height <= 1 for x, y, width, height in boxes):
        found.error("fractions", f"{path}: every bbox lies in [0, 1], as fractions of the image do; pixels are expected")


def _explained(problem: dict) -> str:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).removeprefix(".")
    message = "field missing" if problem["type"] == "missing" else f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"{key}: {message}" if key else message
