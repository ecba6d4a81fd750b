"""Mirror images merged: boxes where they belong, and soft-NMS as in its paper."""

import numpy as np
import pytest
import torch
from coco_samples import logit
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_convert, box_iou

from zerostart.feature_cache import FLIPS, flip_targets
from zerostart.merged_views import merge, soft_nms, unflip


def sample(seed, images=3, queries=7, classes=2):
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0.4, 0.6, (images, queries, 2)), rng.uniform(0.1, 0.5, (images, queries, 2))], axis=2)
    return boxes.astype(np.float32), rng.normal(-1, 2, (images, queries, classes)).astype(np.float32)


def published(boxes, score, sigma):
    """The algorithm of the paper (figure 3) for one image and one class: a list that the best box leaves."""
    iou = box_iou(*[box_convert(torch.from_numpy(boxes).double(), "cxcywh", "xyxy")] * 2).numpy()
    remaining, result = dict(enumerate(score)), {}
    while remaining:
        best = max(remaining, key=remaining.get)
        result[best] = remaining.pop(best)
        for other in remaining:
            remaining[other] *= np.exp(-(iou[best, other] ** 2) / sigma)
    return [result[index] for index in range(len(score))]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 2))
def test_soft_nms_is_the_published_algorithm(seed, sigma):
    boxes, logits = sample(seed)
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    found = 1 / (1 + np.exp(-merge(boxes, logits, sigma).astype(np.float64)))
    for image in range(3):
        for label in range(2):
            expected = published(boxes[image], probability[image, :, label], sigma)
            np.testing.assert_allclose(found[image, :, label], expected, rtol=1e-4)


def test_hand_calculated():
    """Two equal boxes and one far away: the weaker of the two keeps exp(-1/0.5) of its score."""
    iou = np.array([[[1, 1, 0], [1, 1, 0], [0, 0, 1]]], float)
    score = np.array([[[0.5], [0.8], [0.1]]])
    np.testing.assert_allclose(soft_nms(iou, score, 0.5)[0, :, 0], [0.5 * np.exp(-2), 0.8, 0.1])


def test_only_the_best_pairs_stay():
    boxes = np.tile([[[0.2, 0.2, 0.1, 0.1], [0.8, 0.8, 0.1, 0.1]]], (1, 1, 1)).astype(np.float32)
    logits = logit([0.9, 0.1], [0.8, 0.7])[None].astype(np.float32)
    merged = merge(boxes, logits, 1.0, top_k=2)
    np.testing.assert_allclose(merged, [[[logits[0, 0, 0], -np.inf], [logits[0, 1, 0], -np.inf]]], rtol=1e-5)


@pytest.mark.parametrize("flip", FLIPS)
def test_unflip_undoes_the_mirror(flip):
    boxes, _ = sample(0)
    mirrored = flip_targets([{"class_labels": torch.zeros(7), "boxes": torch.from_numpy(boxes[0])}], flip)[0]["boxes"].numpy()
    np.testing.assert_allclose(unflip(mirrored, flip), boxes[0], atol=1e-6)
