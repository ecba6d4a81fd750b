"""Test-time augmentation on cached views: what the detector sees in an image and in its mirror images, as one set of queries.

Queries of all views that lie on one another become one: its box is their weighted mean (box voting, Gidaris & Komodakis 2015,
section 4.2; the weights are squared scores, as in weighted boxes fusion, Solovyev et al. 2021), its score of a class the mean
over the views of the best score there. A view that sees nothing in that place counts 0, so the views' agreement is rewarded. As
many queries stay as one view has: more boxes would raise COCO's AR whatever they are worth.
"""

import numpy as np

from zerostart.coco_metrics import pixel_boxes, scores
from zerostart.frozen_box_metrics import iou_matrix

CHUNK = 64
"""Images that are merged at once; bounds the memory of their IoUs."""


def unflip(boxes: np.ndarray, flip: tuple[bool, bool]) -> np.ndarray:
    """Boxes (…×4, cxcywh as fractions) of a mirrored image, where they are in the image itself."""
    boxes = np.array(boxes)
    for axis, mirrored in enumerate(flip):
        if mirrored:
            boxes[..., axis] = 1 - boxes[..., axis]
    return boxes


def merge(boxes: list[np.ndarray], logits: list[np.ndarray], min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Merge V views of the same N images: boxes N×Q×4 (cxcywh as fractions of the image itself) and logits N×Q×K of each.

    Returns N×Q×4 and N×Q×K. In the order of their best scores, each query takes those that reach `min_iou` with it. Where
    fewer than Q queries remain, the others have logits of minus infinity, which is no detection.
    """
    parts = []
    for start in range(0, len(boxes[0]), CHUNK):
        chunk = slice(start, start + CHUNK)
        parts.append(_merge([b[chunk] for b in boxes], [scores(values[chunk]) for values in logits], min_iou))
    merged_boxes, merged_scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    with np.errstate(divide="ignore"):  # log 0 is the minus infinity that is wanted
        return merged_boxes.astype(np.float32), (np.log(merged_scores) - np.log1p(-merged_scores)).astype(np.float32)


def _merge(boxes: list[np.ndarray], score: list[np.ndarray], min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    views, (images, queries, classes) = len(boxes), score[0].shape
    every_box, every_score = (np.concatenate(arrays, axis=1) for arrays in (boxes, score))
    best = every_score.max(axis=2)
    group = _groups(_overlaps(every_box), best, min_iou)
    image = np.arange(images)[:, None]
    weight = best**2
    box, total = np.zeros((images, views * queries, 4)), np.zeros((images, views * queries, 1))
    np.add.at(box, (image, group), weight[..., None] * every_box)
    np.add.at(total, (image, group), weight[..., None])
    seen = np.zeros((views, images, views * queries, classes))
    for view in range(views):
        np.maximum.at(seen[view], (image, group[:, view * queries : (view + 1) * queries]), score[view])
    mean = seen.mean(axis=0)
    kept = np.argsort(-mean.max(axis=2), axis=1, kind="stable")[:, :queries]
    return (box / np.maximum(total, np.finfo(float).tiny))[image, kept], mean[image, kept]


def _groups(iou: np.ndarray, best: np.ndarray, min_iou: float) -> np.ndarray:
    """N×M: the group of every query, by IoUs N×M×M and best scores N×M; queries of a group reach min_iou with its best one."""
    image = np.arange(len(best))
    group = np.full(best.shape, -1)
    for number in range(best.shape[1]):
        free = group < 0
        leader = np.where(free, best, -1).argmax(axis=1)
        group[free & (iou[image, leader] >= min_iou)] = number
        group[image, leader] = np.where(free[image, leader], number, group[image, leader])  # an empty box is its own group
    return group


def _overlaps(boxes: np.ndarray) -> np.ndarray:
    xywh = pixel_boxes(boxes, np.ones((len(boxes), 2)))
    return np.stack([iou_matrix(of_image, of_image) for of_image in xywh])
