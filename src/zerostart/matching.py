"""DEIMv2's Hungarian matcher and matchability-aware loss (MAL) on cached queries.

Boxes are frozen, so everything about boxes (their part of the matching cost, the IoUs of the soft labels) is computed once;
only the class cost and the loss follow the logits. Formulas and constants are those of DEIMv2: MAL as in DEIM (Huang et al.,
CVPR 2025), the matcher as in RT-DETR. A test compares both with `transformers`.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, box_iou, generalized_box_iou

CLASS_COST, BOX_COST, GIOU_COST = 2.0, 5.0, 2.0
FOCAL_ALPHA, GAMMA = 0.25, 2.0


class Targets(NamedTuple):
    """Ground truth of N images padded to M objects, with all that depends on the frozen boxes."""

    labels: Tensor
    """N×M int64; 0 where padded."""
    count: np.ndarray
    """N: objects per image."""
    box_cost: Tensor
    """N×Q×M: box part of the matching cost."""
    iou: Tensor
    """N×Q×M."""

    def select(self, images: Tensor) -> "Targets":
        """The targets of some images (indices)."""
        return Targets(self.labels[images], self.count[images.numpy()], self.box_cost[images], self.iou[images])


def prepare_targets(boxes: Tensor, targets: list[dict[str, Tensor]]) -> Targets:
    """Compare cached boxes (N×Q×4, cxcywh) with each image's objects (`class_labels` M, `boxes` M×4)."""
    count = np.array([len(target["class_labels"]) for target in targets])
    most = max(1, count.max())
    labels = torch.zeros(len(targets), most, dtype=torch.int64)
    box_cost = torch.zeros(*boxes.shape[:2], most)
    iou = torch.zeros(*boxes.shape[:2], most)
    for index, target in enumerate(targets):
        objects = count[index]
        if objects == 0:
            continue
        labels[index, :objects] = target["class_labels"]
        predicted, actual = (box_convert(b, "cxcywh", "xyxy") for b in (boxes[index], target["boxes"]))
        distance = torch.cdist(boxes[index], target["boxes"], p=1)
        overlap = generalized_box_iou(predicted, actual)
        box_cost[index, :, :objects] = BOX_COST * distance - GIOU_COST * overlap
        iou[index, :, :objects] = box_iou(predicted, actual)
    return Targets(labels, count, box_cost, iou)


@torch.no_grad()
def match(logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Hungarian matching of queries to objects; logits N×Q×K.

    Returns the image, query and object index of every matched pair (min(Q, objects) per image).
    """
    labels = targets.labels[:, None, :].expand(-1, logits.shape[1], -1)
    probability = logits.sigmoid().gather(2, labels)
    negative = (1 - FOCAL_ALPHA) * probability**GAMMA * -(1 - probability + 1e-8).log()
    positive = FOCAL_ALPHA * (1 - probability) ** GAMMA * -(probability + 1e-8).log()
    cost = (CLASS_COST * (positive - negative) + targets.box_cost).numpy()
    images, queries, objects = [], [], []
    for index in np.flatnonzero(targets.count):
        rows, columns = linear_sum_assignment(cost[index, :, : targets.count[index]])
        images.append(np.full(len(rows), index))
        queries.append(rows)
        objects.append(columns)
    if not images:
        return (torch.zeros(0, dtype=torch.int64),) * 3
    return tuple(torch.from_numpy(np.concatenate(parts)) for parts in (images, queries, objects))


def matching_aware_loss(logits: Tensor, targets: Targets, matched: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """MAL of logits (N×Q×K): binary cross-entropy against IoU^γ at the matched class, weighted p^γ elsewhere.

    Summed over queries and classes, divided by the number of objects (at least 1).
    """
    images, queries, objects = matched
    positive = torch.zeros_like(logits)
    soft_label = torch.zeros_like(logits)
    labels = targets.labels[images, objects]
    positive[images, queries, labels] = 1.0
    soft_label[images, queries, labels] = targets.iou[images, queries, objects] ** GAMMA
    weight = logits.detach().sigmoid() ** GAMMA * (1 - positive) + positive
    loss = F.binary_cross_entropy_with_logits(logits, soft_label, weight=weight, reduction="sum")
    return loss / max(1, int(targets.count.sum()))
