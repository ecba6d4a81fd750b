"""The queries of a frozen detector as feature rows: which query covers which object, and how much a query is any object."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from zerostart.metrics.boxes import iou_matrix, pixel_boxes
from zerostart.metrics.coco import image_sizes
from zerostart.records import read_json

MATCH_IOU = 0.5
SEEN_FROM = np.log(0.1)
"""Queries with at least this objectness may be objects: scores are standardised over them."""


class Looks(NamedTuple):
    """What the detector saw in N pictures, Q queries each."""

    features: np.ndarray
    """N×Q×D float32: hidden, and the statistics of the regions behind it where they are used."""
    logits: np.ndarray
    """N×Q×K float32."""
    boxes: np.ndarray
    """N×Q×4 cxcywh."""
    coco: dict
    """Of the same pictures, in the same order."""


def load_looks(folder: Path, regions: bool) -> Looks:
    """Read a folder of the stage `looks`, or InputError where it is not there."""
    coco = read_json(folder / "coco.json", "the stage `looks` writes it")
    hidden, logits, boxes = (np.load(folder / f"{name}.npy") for name in ("hidden", "logits", "boxes"))
    features = np.concatenate([hidden, np.load(folder / "regions.npy").astype(np.float32)], axis=2) if regions else hidden
    return Looks(features, logits, boxes, coco)


class Matches(NamedTuple):
    """The objects that a query covers."""

    image: np.ndarray
    """M: position of the picture."""
    query: np.ndarray
    annotation: np.ndarray
    """M: position in the list of annotations."""


def match_objects(looks: Looks) -> Matches:
    """Each object's query: the one with the highest IoU, at least MATCH_IOU; a query belongs to one object at most.

    Classes are not looked at: the detector need not know what it covers.
    """
    position = {image["id"]: index for index, image in enumerate(looks.coco["images"])}
    sizes = image_sizes(looks.coco, np.array(list(position)))
    boxes = pixel_boxes(looks.boxes, sizes)
    of_image: list[list[int]] = [[] for _ in position]
    for index, annotation in enumerate(looks.coco["annotations"]):
        of_image[position[annotation["image_id"]]].append(index)
    rows = []
    for image, owned in enumerate(of_image):
        if not owned:
            continue
        truth = np.array([looks.coco["annotations"][index]["bbox"] for index in owned], np.float64)
        iou = iou_matrix(boxes[image], truth)
        while iou.size and iou.max() >= MATCH_IOU:
            query, which = np.unravel_index(iou.argmax(), iou.shape)
            rows.append((image, int(query), owned[int(which)]))
            iou[query, :] = iou[:, which] = -1
    return Matches(*np.array(sorted(rows), np.int64).reshape(-1, 3).T)


def objectness(logits: np.ndarray) -> np.ndarray:
    """log of the best class's score, ...×K to ...; the class-agnostic score that the frozen heads give."""
    best = logits.max(axis=-1).astype(np.float64)
    return -np.logaddexp(0.0, -best)
