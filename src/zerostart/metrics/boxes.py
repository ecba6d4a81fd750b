"""Boxes in pixels, and how much they overlap: the IoUs of the judge.

Those of the loss are in method/matching.py; those of merged views, in shapes that an exported graph can have, in
method/merged_views.py.
"""

import numpy as np
from pycocotools import mask


def iou_matrix(detected: np.ndarray, truth: np.ndarray, crowd: bool = False) -> np.ndarray:
    """IoU of D×4 and G×4 boxes (xywh, float64) by pycocotools' own code, so that thresholds cut at the same bit.

    crowd: `truth` are crowd regions, and the share of each detected box inside is given.
    """
    return np.asarray(mask.iou(np.ascontiguousarray(detected), truth, [int(crowd)] * len(truth))).reshape(-1, len(truth))


def pixel_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Turn normalised cxcywh (N×Q×4) into xywh in pixels (float64), clamped to images of `sizes` N×(width, height)."""
    centre, extent = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64)
    limit = np.asarray(sizes, np.float64)[:, None, :]
    low = np.clip((centre - extent / 2) * limit, 0, limit)
    high = np.clip((centre + extent / 2) * limit, 0, limit)
    return np.concatenate([low, np.maximum(high - low, 0)], axis=-1)  # a negative extent becomes an empty box
