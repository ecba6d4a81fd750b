"""The one reader of COCO JSON: what a file holds, once all of it fits together."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from zerostart.errors import InputError
from zerostart.records import checked_json


def _whole(value: object) -> object:
    """Tools that keep ids in a table of floats write 7.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    return int(value) if isinstance(value, bool) else 0 if value is None else value


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
    name: Annotated[str, Field(min_length=1)]


class CocoFile(_Record):
    """The fields of a COCO file that are used here; others are ignored."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation] = []
    categories: list[CocoCategory]

    def where(self, path: Path, index: int) -> str:
        """File and record of an annotation, for messages."""
        found = self.annotations[index].id
        return f"{path}, annotations[{index}]" if found is None else f"{path}, annotation {found}"

    def names(self) -> dict[int, str]:
        """Category id: name."""
        return {category.id: category.name for category in self.categories}


def read_coco_file(path: Path, sizes: bool = True, boxes: bool = True, annotations: bool = True) -> CocoFile:
    """Read and check a COCO detection file. Category ids may be any distinct integers.

    sizes, boxes, annotations: whether each image must have a size, each annotation a box, and the file annotations.

    Raises InputError when it is missing, malformed or lacks a field; when an id, a category's name or a picture is there twice;
    when an annotation has no image or no category; and when every box lies in [0, 1], which are fractions and not pixels. A
    category that owns nothing while another of its name does is left out (the root category of some exports); where none of
    them owns anything, the last is kept.
    """
    try:
        coco = CocoFile.model_validate_json(checked_json(path, "annotations are expected there"))
    except ValidationError as error:
        raise InputError(f"{path}: {_explain_json(error)}") from None
    _check_fields(coco, path, sizes, boxes, annotations)
    for key in ("images", "annotations", "categories"):
        ids = [record.id for record in getattr(coco, key) if record.id is not None]
        check_distinct(ids, f"{path}: id", f"in '{key}'")
    coco = _without_empty_roots(coco)
    check_distinct([category.name for category in coco.categories], f"{path}: name", "in 'categories'")
    _check_pictures(coco, path)
    _check_references(coco, path)
    _check_pixels(coco, path)
    return coco


def check_distinct(values: Iterable, what: str, where: str) -> None:
    """Raises InputError naming the first value that stands there twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise InputError(f"{what} {value!r} stands twice {where}; each is expected once")
        seen.add(value)


def _check_fields(coco: CocoFile, path: Path, sizes: bool, boxes: bool, annotations: bool) -> None:
    if annotations and "annotations" not in coco.model_fields_set:
        raise InputError(f"{path}: annotations: field missing")
    for index, image in enumerate(coco.images if sizes else ()):
        for key in ("width", "height"):
            if getattr(image, key) is None:
                raise InputError(f"{path}: images[{index}].{key}: field missing")
    for index, annotation in enumerate(coco.annotations if boxes else ()):
        if annotation.bbox is None:
            raise InputError(f"{coco.where(path, index)}: bbox is missing; x, y, width and height in pixels are expected")


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


def _check_pictures(coco: CocoFile, path: Path) -> None:
    first: dict[str, int] = {}
    for image in coco.images:
        if image.file_name in first:
            raise InputError(
                f"{path}, image {image.id}: '{image.file_name}' is the picture of image {first[image.file_name]} as well; each "
                f"picture is expected once, with all of its objects"
            )
        first[image.file_name] = image.id


def _check_references(coco: CocoFile, path: Path) -> None:
    images, categories = {image.id for image in coco.images}, {category.id for category in coco.categories}
    for index, item in enumerate(coco.annotations):
        if item.image_id not in images:
            raise InputError(
                f"{coco.where(path, index)}: image_id {item.image_id} is not the id of an image of this file; ids of existing"
                " ones are expected"
            )
        if item.category_id not in categories:
            raise InputError(
                f"{coco.where(path, index)}: category_id {item.category_id} is not the id of a category of this file; ids of"
                " existing ones are expected"
            )


def _check_pixels(coco: CocoFile, path: Path) -> None:
    boxes = [item.bbox for item in coco.annotations if item.bbox is not None]
    if boxes and all(min(x, y) >= 0 and x + width <= 1 and y + height <= 1 for x, y, width, height in boxes):
        raise InputError(f"{path}: every bbox lies in [0, 1], as fractions of the image do; pixels are expected")


def _explain_json(error: ValidationError) -> str:
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return f"not valid JSON: {problem['ctx']['error']}"
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).removeprefix(".")
    message = "field missing" if problem["type"] == "missing" else f"{problem['msg'][0].lower()}{problem['msg'][1:]}"
    return f"{key}: {message}" if key else message
