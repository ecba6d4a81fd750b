"""DEIMv2's Hungarian matcher and matchability-aware loss (MAL) on the queries of a detector.

All objects of a batch stand in one list, so that everything is a few operations on whole arrays, and several trainings can
share one batch. Formulas and constants are those of DEIMv2: MAL as in DEIM (Huang et al., CVPR 2025), the matcher as in
RT-DETR. A test compares both with `transformers`.
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
    """The P objects of N images, image by image, compared with the Q boxes of their image."""

    image: Tensor
    """P int64, ascending: the image of an object, 0..N-1."""
    label: Tensor
    """P int64."""
    box_cost: Tensor
    """P×Q: box part of the matching cost."""
    iou: Tensor
    """P×Q."""


def compare_boxes(boxes: Tensor, objects: list[dict[str, Tensor]]) -> Targets:
    """Compare predicted boxes (N×Q×4, cxcywh) with each image's objects (`class_labels` M, `boxes` M×4)."""
    queries = boxes.shape[1]
    image, label = [], [torch.zeros(0, dtype=torch.int64)]
    box_cost, iou = [torch.zeros(0, queries)], [torch.zeros(0, queries)]
    for index, target in enumerate(objects):
        if len(target["boxes"]) == 0:
            continue
        image += [index] * len(target["boxes"])
        label.append(target["class_labels"])
        actual, predicted = (box_convert(b, "cxcywh", "xyxy") for b in (target["boxes"], boxes[index]))
        distance = torch.cdist(target["boxes"], boxes[index], p=1)
        box_cost.append(BOX_COST * distance - GIOU_COST * generalized_box_iou(actual, predicted))
        iou.append(box_iou(actual, predicted))
    return Targets(torch.tensor(image, dtype=torch.int64), *(torch.cat(parts) for parts in (label, box_cost, iou)))


@torch.no_grad()
def match(logits: Tensor, targets: Targets) -> Tensor:
    """Hungarian matching of objects to queries; logits N×Q×K.

    Returns the query of every object (P int64), -1 for one that is left over because its image has too few queries.
    """
    probability = logits[targets.image, :, targets.label].sigmoid()
    negative = (1 - FOCAL_ALPHA) * probability**GAMMA * -(1 - probability + 1e-8).log()
    positive = FOCAL_ALPHA * (1 - probability) ** GAMMA * -(probability + 1e-8).log()
    cost = CLASS_COST * (positive - negative) + targets.box_cost
    query = cost.argmin(dim=1)
    # Where every object of an image has a query of its own, each having its cheapest one is the best assignment. Only
    # the images with a conflict need the algorithm.
    taken = torch.bincount(targets.image * logits.shape[1] + query, minlength=logits.shape[0] * logits.shape[1])
    if taken.numel() and taken.max() > 1:
        crowded = (taken.view(logits.shape[:2]) > 1).any(dim=1)
        _assign(cost, targets.image, crowded, query)
    return query


def _assign(cost: Tensor, image: Tensor, crowded: Tensor, query: Tensor) -> None:
    """Put the optimal assignment of the crowded images (N booleans) into `query`."""
    ends = np.cumsum(np.bincount(image.cpu().numpy(), minlength=len(crowded)))
    chosen = query.cpu().numpy()
    cost = cost.cpu().numpy()
    for index in crowded.nonzero()[:, 0].tolist():
        start, end = (ends[index - 1] if index else 0), ends[index]
        rows, columns = linear_sum_assignment(cost[start:end])
        chosen[start:end] = -1
        chosen[start + rows] = columns
    query.copy_(torch.from_numpy(chosen))


def matchability_aware_loss(logits: Tensor, targets: Targets, query: Tensor, runs: int = 1) -> Tensor:
    """MAL of logits (N×Q×K): binary cross-entropy against IoU^γ at the matched class, weighted p^γ elsewhere.

    query: of every object, from `match`. Summed over queries and classes and divided by the number of objects (at least 1),
    for each of `runs` equal parts of the batch: the images of the first training come first, then those of the second, ...
    Returns one loss per training.
    """
    matched = query >= 0
    position = (targets.image[matched], query[matched], targets.label[matched])
    soft_label = torch.zeros_like(logits)
    soft_label[position] = targets.iou[matched, query[matched]] ** GAMMA
    weight = logits.detach().sigmoid() ** GAMMA
    weight[position] = 1.0
    loss = F.binary_cross_entropy_with_logits(logits, soft_label, weight=weight, reduction="none")
    objects = torch.bincount(targets.image // (len(logits) // runs), minlength=runs)
    return loss.view(runs, -1).sum(dim=1) / objects.clamp(min=1)
