"""Test-time augmentation on cached views: what the detector sees in an image and in its mirror images, merged.

The boxes of all views stand side by side as if they were queries of one detector; of two boxes on one object the weaker
loses score by soft-NMS (Bodla et al., ICCV 2017, equation 5, Gaussian), class by class.
"""

import numpy as np

from zerostart.coco_metrics import TOP_K, pixel_boxes, scores
from zerostart.frozen_box_metrics import iou_matrix, keep_best


def unflip(boxes: np.ndarray, flip: tuple[bool, bool]) -> np.ndarray:
    """Boxes (…×4, cxcywh as fractions) of a mirrored image, where they are in the image itself."""
    boxes = np.array(boxes)
    for axis, mirrored in enumerate(flip):
        if mirrored:
            boxes[..., axis] = 1 - boxes[..., axis]
    return boxes


def merge(boxes: np.ndarray, logits: np.ndarray, sigma: float, top_k: int = TOP_K) -> np.ndarray:
    """Logits after soft-NMS: boxes N×Q×4 (cxcywh) and logits N×Q×K, the queries of all views one after another.

    As DEIMv2's post-processor does it, only the `top_k` best (query, class) pairs of an image stay; the others become minus
    infinity, which is no detection. sigma: the smaller, the more a score suffers from a better box of IoU o: exp(-o²/sigma).
    """
    kept = scores(logits).reshape(len(logits), -1)
    if kept.shape[1] > top_k:
        kept = keep_best(kept, top_k).clip(min=0)
    decayed = soft_nms(_overlaps(boxes), kept.reshape(logits.shape), sigma)
    with np.errstate(divide="ignore"):  # log 0 is the minus infinity that is wanted
        return (np.log(decayed) - np.log1p(-decayed)).astype(np.float32)


def soft_nms(iou: np.ndarray, score: np.ndarray, sigma: float) -> np.ndarray:
    """Decayed scores of boxes with the given IoUs (N×Q×Q) and scores (N×Q×K in [0, 1)), each class for itself."""
    score = np.moveaxis(score, 2, 1).copy()
    decay = np.exp(-(iou**2) / sigma)
    waiting = np.ones(score.shape, bool)
    image, label = np.indices(score.shape[:2])
    for _ in range(score.shape[2]):
        best = np.where(waiting, score, -1).argmax(axis=2)
        waiting[image, label, best] = False
        np.multiply(score, decay[image, best], out=score, where=waiting)
    return np.moveaxis(score, 1, 2)


def _overlaps(boxes: np.ndarray) -> np.ndarray:
    xywh = pixel_boxes(boxes, np.ones((len(boxes), 2)))
    return np.stack([iou_matrix(of_image, of_image) for of_image in xywh])
