"""Read the validated splits that the stage `dataset` writes."""

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from zerostart.config import explain_problems
from zerostart.errors import InputError
from zerostart.records import read_json

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Info(BaseModel):
    dataset: str
    critical: list[str]


class _Image(BaseModel):
    id: int
    file_name: str
    width: Annotated[Finite, Field(gt=0)]
    height: Annotated[Finite, Field(gt=0)]


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[Finite, Finite, Finite, Finite]


class _Category(BaseModel):
    id: int
    name: str


class _Split(BaseModel):
    """What the stages and commands rely on."""

    info: _Info
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_split(split: str, folder: str | Path = "data/coco") -> dict:
    """The COCO JSON of `train`, `val` or `test`; raises InputError when it is not as the stage `dataset` writes it."""
    path = Path(folder) / f"{split}.json"
    coco = read_json(path, "the stage `dataset` writes it")
    try:
        found = _Split.model_validate(coco)
    except ValidationError as error:
        problems = explain_problems(error, kind="key")
        raise InputError(f"{path}: not as the stage `dataset` writes it: {problems}") from None
    images, categories = {image.id for image in found.images}, {category.id for category in found.categories}
    for index, item in enumerate(found.annotations):
        if item.image_id not in images or item.category_id not in categories:
            raise InputError(f"{path}: not as the stage `dataset` writes it: annotations.{index} has no image or category")
    return coco


def split_targets(coco: dict) -> list[dict[str, Tensor]]:
    """Ground truth per image, in the order of `coco["images"]`, without crowd regions: they are no training targets.

    Each entry has `class_labels` (M int64) and `boxes` (M×4 float32, cxcywh as a fraction of the image).
    """
    objects: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
    for annotation in coco["annotations"]:
        if not annotation.get("iscrowd"):
            objects[annotation["image_id"]].append(annotation)
    targets = []
    for image in coco["images"]:
        found = objects[image["id"]]
        xywh = torch.tensor([item["bbox"] for item in found], dtype=torch.float64).reshape(-1, 4)
        scale = torch.tensor([image["width"], image["height"]] * 2, dtype=torch.float64)
        cxcywh = torch.cat([xywh[:, :2] + xywh[:, 2:] / 2, xywh[:, 2:]], dim=1) / scale
        labels = torch.tensor([item["category_id"] for item in found], dtype=torch.int64)
        targets.append({"class_labels": labels, "boxes": cxcywh.to(torch.float32)})
    return targets


def class_names(ground_truth: dict[str, Any]) -> list[str]:
    """Class names of a COCO dictionary by category id; raises InputError unless the ids are 0..K-1 in order."""
    categories = ground_truth["categories"]
    ids = [category["id"] for category in categories]
    if ids != list(range(len(ids))):
        raise InputError(f"categories have the ids {ids}; 0..{len(ids) - 1} in this order are expected")
    return [category["name"] for category in categories]
