"""Pictures with labelled boxes as the frozen detector sees them: shots of a new class, and what one is judged on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from transformers import Deimv2ForObjectDetection

from zerostart.datasets.coco_file import CocoFile, read_coco_file
from zerostart.datasets.files import spelled
from zerostart.datasets.findings import Findings
from zerostart.errors import InputError
from zerostart.novel.additions import MOST_SHOTS
from zerostart.novel.queries import Looks, match_objects
from zerostart.novel.regions import look_at_images


class Labelled(NamedTuple):
    """Labelled pictures and all their queries."""

    looks: Looks
    names: list[str]
    """Of the categories, by position; `looks.coco` has these positions as category ids."""


def look_at_labelled(path: Path, images: Path | None, model: Deimv2ForObjectDetection, regions: bool) -> Labelled:
    """Read a COCO file (its pictures lie beside it, or in `images`) and look at every picture of it.

    Raises InputError for a damaged file, one without a box, and a picture that is missing.
    """
    return _look_at(read_coco_file(path), path, images, model, regions)


def _look_at(coco: CocoFile, path: Path, images: Path | None, model: Deimv2ForObjectDetection, regions: bool) -> Labelled:
    folder = images or path.parent
    if not coco.annotations:
        raise InputError(f"{path}: has no box; at least one is expected")
    as_dictionary = _dictionary(coco, folder, path)
    batches = list(look_at_images(model, as_dictionary, folder))
    seen = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    features = np.concatenate([seen["hidden"], seen["regions"]], axis=2) if regions else seen["hidden"]
    return Labelled(Looks(features, seen["logits"], seen["boxes"], as_dictionary), [one.name for one in coco.categories])


def _dictionary(coco: CocoFile, folder: Path, path: Path) -> dict:
    position = {category.id: index for index, category in enumerate(coco.categories)}
    images, findings = [], Findings(collect=True)
    for image in coco.images:
        name = spelled(folder, image.file_name)
        if not (folder / name).is_file():
            why = f"no such image, but {path} lists it; --images says where its images lie"
            findings.error("image", f"{folder / name}: {why}")
        images.append({"id": image.id, "file_name": name, "width": image.width, "height": image.height})
    findings.refuse(path)
    annotations = [
        {
            "id": index + 1,
            "image_id": one.image_id,
            "category_id": position[one.category_id],
            "bbox": list(one.bbox or ()),
            "area": one.bbox[2] * one.bbox[3] if one.bbox else 0.0,
            "iscrowd": one.iscrowd,
        }
        for index, one in enumerate(coco.annotations)
    ]
    categories = [{"id": index, "name": category.name} for index, category in enumerate(coco.categories)]
    return {"images": images, "annotations": annotations, "categories": categories}


def shots_of(
    path: Path, images: Path | None, name: str, known: list[str], model: Deimv2ForObjectDetection, regions: bool
) -> tuple[np.ndarray, int]:
    """Features of the 1 to 20 labelled boxes of a new class, n×D float32, and how many boxes there are.

    Each box's features are those of the query that covers it best; a box that none covers (IoU 0.5) has none.

    Raises InputError for boxes of another class, and where no query of the detector covers one of them.
    """
    coco = read_coco_file(path)
    there = coco.names()
    found = [there[one.category_id] for one in coco.annotations]
    if strange := next((other for other in found if other != name), None):
        why = "which the detector knows" if strange in known else "which is another class"
        raise InputError(f"{path}: has boxes of '{strange}', {why}; boxes of '{name}' alone are expected")
    if not 1 <= len(found) <= MOST_SHOTS:
        raise InputError(f"{path}: has {len(found)} boxes of '{name}'; 1 to {MOST_SHOTS} are expected")
    labelled = _look_at(coco, path, images, model, regions)
    match = match_objects(labelled.looks)
    if len(match.image) == 0:
        raise InputError(f"{path}: the detector looks at none of these boxes (IoU 0.5); other examples are expected")
    return labelled.looks.features[match.image, match.query].astype(np.float32), len(found)
