"""Mirror images merged: boxes where they belong, and soft-NMS as in its paper."""

import numpy as np
import pytest
import torch
from coco_samples import logit
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_convert, box_iou

from zerostart.detector.mirror import FLIPS, flip_targets, unflip
from zerostart.method.merged_views import merge


def sample(seed, images=3, queries=7, classes=2):
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0.4, 0.6, (images, queries, 2)), rng.uniform(0.1, 0.5, (images, queries, 2))], axis=2)
    return boxes.astype(np.float32), rng.normal(-1, 2, (images, queries, classes)).astype(np.float32)


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.float64(logits)))


def plain_merge(boxes, probability, view, min_iou):
    """One image, query by query; boxes M×4, probability M×K, view M."""
    iou = box_iou(*[box_convert(torch.from_numpy(boxes).double(), "cxcywh", "xyxy")] * 2).numpy()
    waiting, merged = list(np.argsort(-probability.max(axis=1), kind="stable")), []
    while waiting:
        members = [other for other in waiting if iou[waiting[0], other] >= min_iou]
        waiting = [other for other in waiting if other not in members]
        weight = probability[members].max(axis=1) ** 2
        per_view = [[probability[m] for m in members if view[m] == v] or [0 * probability[0]] for v in sorted(set(view))]
        score = np.mean([np.max(found, axis=0) for found in per_view], axis=0)
        merged.append((score, (weight[:, None] * boxes[members]).sum(axis=0) / weight.sum()))
    return sorted(merged, key=lambda entry: -entry[0].max())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.95), st.integers(2, 4))
def test_merging_all_images_at_once_is_merging_them_one_by_one(seed, min_iou, views):
    boxes, logits = zip(*(sample(100 * seed + view) for view in range(views)), strict=True)
    merged_boxes, merged = merge(list(boxes), list(logits), min_iou)
    view = np.repeat(np.arange(views), 7)
    for image in range(3):
        every_box, every_score = (np.concatenate([part[image] for part in parts]) for parts in (boxes, logits))
        expected = plain_merge(every_box, sigmoid(every_score), view, min_iou)[:7]
        np.testing.assert_allclose(sigmoid(merged[image, : len(expected)]), [score for score, _ in expected], rtol=1e-4)
        np.testing.assert_allclose(merged_boxes[image, : len(expected)], [box for _, box in expected], rtol=1e-4)
        assert (merged[image, len(expected) :] == -np.inf).all()


def test_hand_calculated():
    """Two views agree on one object, and only the first sees another: (0.8 + 0.4) / 2 and 0.5 / 2."""
    boxes = [
        np.float32([[[0.2, 0.2, 0.2, 0.2], [0.8, 0.8, 0.1, 0.1]]]),
        np.float32([[[0.21, 0.2, 0.2, 0.2], [0.5, 0.1, 0.1, 0.1]]]),
    ]
    logits = [logit([0.8, 0.1], [0.5, 0.1])[None], logit([0.4, 0.2], [0.1, 0.1])[None]]
    merged_boxes, merged = merge(boxes, logits, 0.8)
    np.testing.assert_allclose(sigmoid(merged), [[[0.6, 0.15], [0.25, 0.05]]], rtol=1e-5)
    shifted = (0.8**2 * 0.2 + 0.4**2 * 0.21) / (0.8**2 + 0.4**2)
    np.testing.assert_allclose(merged_boxes, [[[shifted, 0.2, 0.2, 0.2], [0.8, 0.8, 0.1, 0.1]]], rtol=1e-5)


def test_boxes_at_the_limit_are_one_and_of_equal_scores_the_first_leads():
    """Three boxes in a row, neighbours with IoU 1/2 exactly: the first takes the second, and the third stays alone."""
    row = np.float32([[0.25, 0.5, 0.25, 0.5], [0.375, 0.5, 0.25, 0.5], [0.5, 0.5, 0.25, 0.5]])
    row[:, 2] = 0.375
    boxes, logits = row[None], np.repeat(logit([0.6, 0.1])[None], 3, axis=1)
    merged_boxes, merged = merge([boxes], [logits], 0.5)
    np.testing.assert_allclose(sigmoid(merged[0, :, 0]), [0.6, 0.6, 0], atol=1e-6)
    np.testing.assert_allclose(sorted(merged_boxes[0, :2, 0]), [0.3125, 0.5], atol=1e-6)


def test_empty_boxes_are_groups_of_their_own():
    boxes, logits = np.zeros((1, 2, 4), np.float32), logit([0.6, 0.1], [0.5, 0.1])[None]
    _, merged = merge([boxes, boxes], [logits, logits], 0.8)
    np.testing.assert_allclose(sigmoid(merged[0, :, 0]), [0.3, 0.3], rtol=1e-5)


@pytest.mark.parametrize("flip", FLIPS)
def test_unflip_undoes_the_mirror(flip):
    boxes, _ = sample(0)
    mirrored = flip_targets([{"class_labels": torch.zeros(7), "boxes": torch.from_numpy(boxes[0])}], flip)[0]["boxes"].numpy()
    np.testing.assert_allclose(unflip(torch.from_numpy(mirrored), flip), boxes[0], atol=1e-6)
