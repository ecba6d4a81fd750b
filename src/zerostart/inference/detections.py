"""What was found in an image."""

from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from zerostart.metrics.coco import TOP_K

DetectorName = Literal["baseline", "refined"]


class Detections(NamedTuple):
    """What was found in one image: n boxes by descending score."""

    boxes: np.ndarray
    """n×4 x1, y1, x2, y2 in pixels of the image."""
    scores: np.ndarray
    """n."""
    labels: np.ndarray
    """n int64: class indices."""
    base: np.ndarray
    """n×K: the detector's own logits, then what the class head's difference and the text add to each; see `Seen`."""
    delta: np.ndarray
    text: np.ndarray


def top_pairs(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, score and class (B×n each) of the n = min(300, Q·K) highest scores of B×Q×K, as DEIMv2's post-processor has it."""
    classes = scores.shape[2]
    flat = scores.flatten(1)
    score, index = flat.topk(min(TOP_K, scores.shape[1] * classes), dim=1)
    return index // classes, score, index % classes
