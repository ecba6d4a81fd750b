"""Read the validated splits that the stage `dataset` writes."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerostart.errors import InputError
from zerostart.records import read_json


def read_split(split: str, folder: str | Path = "data/coco") -> dict:
    """The COCO JSON of `train`, `val` or `test`; raises InputError when the stage `dataset` has not written it."""
    path = Path(folder) / f"{split}.json"
    coco = read_json(path, "the stage `dataset` writes it")
    lists = ("images", "annotations", "categories")
    if not isinstance(coco, dict) or not all(isinstance(coco.get(key), list) for key in lists):
        raise InputError(f"{path}: COCO annotations, as the stage `dataset` writes them, are expected")
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
