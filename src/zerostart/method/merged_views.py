"""Test-time augmentation: what the detector sees in an image and in its mirror images, as one set of queries.

Queries of all views that lie on one another become one: its box is their weighted mean (box voting, Gidaris & Komodakis 2015,
section 4.2; the weights are squared scores, as in weighted boxes fusion, Solovyev et al. 2021), its score of a class the mean
over the views of the best score there. A view that sees nothing in that place counts 0, so the views' agreement is rewarded. As
many queries stay as one view has: more boxes would raise COCO's AR whatever they are worth.

There are tensor operations only, of shapes that do not depend on values: the same code judges, predicts, and becomes part of
exported graphs.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from zerostart.metrics.coco import scores

CHUNK = 16
"""Images that are merged at once; bounds the memory of their IoUs."""
ROUNDS = 24
"""Rounds that find the leaders in an exported graph, which cannot loop until nothing changes. The longest chain in val and test
of synthetic and neu-det takes 11; a longer one than 24 would leave a query too many in its place, nothing worse. Even: after
an odd number a query may be without a leader."""


class Merged(NamedTuple):
    """B images with Q queries each, by descending best score."""

    boxes: Tensor
    """B×Q×4."""
    scores: Tensor
    """B×Q×K; 0 where fewer than Q queries remain."""
    best: Tensor
    """B×Q int64: which of the V·Q queries (view by view) had the best score in its group."""


def merge(boxes: list[np.ndarray], logits: list[np.ndarray], min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Merge V cached views of the same N images: boxes N×Q×4 (of the image itself) and logits N×Q×K of each, in float64.

    Returns boxes and logits, see :func:`merge_queries`; where fewer than Q queries remain, the others have logits of minus
    infinity, which is no detection.
    """
    parts = []
    for start in range(0, len(boxes[0]), CHUNK):
        chunk = slice(start, start + CHUNK)
        box = torch.from_numpy(np.stack([view[chunk] for view in boxes], axis=1)).double()
        score = torch.from_numpy(np.stack([scores(view[chunk]) for view in logits], axis=1))
        parts.append(merge_queries(box, score, min_iou)[:2])
    merged_boxes, merged_scores = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return merged_boxes.float().numpy(), torch.logit(merged_scores).float().numpy()


def merge_queries(boxes: Tensor, scores: Tensor, min_iou: float, rounds: int | None = None) -> Merged:
    """Merge V views of B images: boxes B×V×Q×4 (cxcywh as fractions of the image itself), scores B×V×Q×K.

    In the order of their best scores, each query takes those that reach `min_iou` with it. rounds: see :func:`_leaders`.
    """
    views, queries, classes = scores.shape[1:]
    every_box = boxes.flatten(1, 2)
    best = scores.flatten(1, 2).amax(dim=2)
    group = _groups(_overlaps(every_box) >= min_iou, best, rounds)
    weight = (best**2).unsqueeze(2)
    nothing = 0 * weight  # zeros_like would become a constant, with the batch of the tracer's example
    slots = nothing.expand(-1, -1, 4).scatter_add(1, group.unsqueeze(2).expand(-1, -1, 4), weight * every_box)
    total = nothing.scatter_add(1, group.unsqueeze(2), weight)
    seen = nothing.expand(-1, -1, classes)
    by_view = group.unflatten(1, (views, queries)).unsqueeze(3).expand(-1, -1, -1, classes)
    mean = sum(seen.scatter_reduce(1, by_view[:, view], scores[:, view], "amax") for view in range(views)) / views
    _, kept = mean.amax(dim=2).topk(queries, dim=1)
    box = slots / total.clamp(min=torch.finfo(total.dtype).tiny)
    kept_boxes, kept_scores = (tensor.gather(1, kept.unsqueeze(2).expand(-1, -1, tensor.shape[2])) for tensor in (box, mean))
    return Merged(kept_boxes, kept_scores, kept)


def _groups(near: Tensor, best: Tensor, rounds: int | None) -> Tensor:
    """B×M: the best query of each one's group, by neighbours (B×M×M) and best scores (B×M); the first of equals leads."""
    count = best.shape[1]
    index = torch.arange(count, device=best.device)
    before = (best.unsqueeze(2) < best.unsqueeze(1)) | ((best.unsqueeze(2) == best.unsqueeze(1)) & (index < index[:, None]))
    rank = before.to(best.dtype).sum(dim=2)
    leader = _leaders((near & before).to(best.dtype), rounds)
    # Every query reaches itself, also an empty box, whose IoU with itself is 0.
    reached = (near | (index == index[:, None])) & (leader > 0).unsqueeze(1)
    return torch.where(reached, rank.unsqueeze(1), count).argmin(dim=2)


def _leaders(suppresses: Tensor, rounds: int | None) -> Tensor:
    """B×M: 1 for the queries that greedy non-maximum suppression keeps, by who would suppress whom: [i, j] is 1 if j does i.

    A query leads if no leader suppresses it. Starting with all, repeating this gives greedy suppression's own result as soon as
    nothing changes, at the latest after M rounds (Zheng et al. 2020, "Enhancing Geometric Factors ...", Cluster-NMS, section
    IV-C). rounds: a fixed number instead, for graphs without a loop.
    """
    leader = (suppresses.sum(dim=2, keepdim=True) == 0).to(suppresses.dtype)  # the first round, in which all lead
    for _ in range(1, rounds or suppresses.shape[1]):
        previous = leader
        leader = (suppresses @ leader == 0).to(leader.dtype)
        if rounds is None and torch.equal(leader, previous):
            break
    return leader.squeeze(-1)


def _overlaps(boxes: Tensor) -> Tensor:
    """B×M×M IoUs of boxes (B×M×4 cxcywh) within the image; 0 where both are empty."""
    low, high = box_convert(boxes, "cxcywh", "xyxy").clamp(0, 1).split(2, dim=-1)
    extent = (high - low).clamp(min=0)
    area = extent.prod(dim=-1)
    inner_high = torch.minimum((low + extent).unsqueeze(2), (low + extent).unsqueeze(1))
    inner = (inner_high - torch.maximum(low.unsqueeze(2), low.unsqueeze(1))).clamp(min=0).prod(dim=-1)
    union = area.unsqueeze(2) + area.unsqueeze(1) - inner
    return inner / union.clamp(min=torch.finfo(union.dtype).tiny)
