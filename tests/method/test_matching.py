"""The matcher and the loss on cached queries against the detector library's own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Deimv2Config
from transformers.loss.loss_deimv2 import Deimv2Loss

from zerostart.method.matching import Targets, compare_boxes, match, matchability_aware_loss

CLASSES = 4
PEER = Deimv2Loss(Deimv2Config(num_labels=CLASSES))


def problem(counts, seed=0, queries=12, crowd=1.0):
    """Logits N×Q×K, boxes N×Q×4 of which some lie on the objects, and each image's objects.

    crowd: the smaller, the closer the objects of an image lie, so that they want the same queries.
    """
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    logits = 6 * rand(len(counts), queries, CLASSES) - 4
    boxes = torch.cat([rand(len(counts), queries, 2), 0.05 + 0.4 * rand(len(counts), queries, 2)], dim=-1)
    targets = []
    for image, count in enumerate(counts):
        objects = torch.cat([0.2 + 0.6 * crowd * rand(count, 2), 0.1 + 0.3 * crowd * rand(count, 2)], dim=-1)
        near = min(count, queries // 2)
        boxes[image, :near] = objects[:near] + 0.03 * rand(near, 4)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        targets.append({"class_labels": labels, "boxes": objects})
    return logits, boxes.clamp(0, 1), targets


def peer_pairs(logits, boxes, targets):
    """Image, query and object index of every pair, as RTDetrHungarianMatcher gives them."""
    indices = PEER.matcher({"logits": logits, "pred_boxes": boxes}, targets)
    pairs = [(image, q, o) for image, pair in enumerate(indices) for q, o in zip(*(p.tolist() for p in pair), strict=True)]
    return indices, pairs


def own_pairs(logits, boxes, targets):
    """The query of every object, and the same as sorted (image, query, object of the image)."""
    prepared = compare_boxes(boxes, targets)
    query = match(logits, prepared)
    number = [position for target in targets for position in range(len(target["boxes"]))]
    pairs = zip(prepared.image.tolist(), query.tolist(), number, strict=True)
    return query, sorted(pair for pair in pairs if pair[1] >= 0)


def peer_loss(logits, boxes, targets, indices):
    """The library's MAL, divided by the number of objects."""
    number = max(1, sum(len(target["boxes"]) for target in targets))
    return PEER.loss_labels_mal({"logits": logits, "pred_boxes": boxes}, targets, indices, number)["loss_mal"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=6, max_size=6),
    st.integers(0, 10_000),
    st.integers(6, 15),
    st.sampled_from([1.0, 0.02]),
    st.sampled_from([1, 2, 3, 6]),
)
def test_pairs_losses_and_gradient_equal_the_library(counts, seed, queries, crowd, runs):
    """With up to nine objects and as few as six queries: conflicts of objects over a query, and objects left over."""
    logits, boxes, targets = problem(counts, seed, queries, crowd)
    query, pairs = own_pairs(logits, boxes, targets)
    indices, expected = peer_pairs(logits, boxes, targets)
    assert pairs == expected
    own_logits, peer_logits = (logits.clone().requires_grad_() for _ in range(2))
    own = matchability_aware_loss(own_logits, compare_boxes(boxes, targets), query, runs)
    starts = range(0, 6, 6 // runs)
    parts = [slice(start, start + 6 // runs) for start in starts]
    peer = torch.stack([peer_loss(peer_logits[part], boxes[part], targets[part], indices[part]) for part in parts])
    torch.testing.assert_close(own, peer, rtol=1e-5, atol=1e-7)
    own.sum().backward()
    peer.sum().backward()
    torch.testing.assert_close(own_logits.grad, peer_logits.grad, rtol=1e-5, atol=1e-7)


def test_objects_in_a_crowd_want_the_same_queries():
    """What the property above is worth: here most objects do not get their cheapest query."""
    logits, boxes, targets = problem([9] * 6, queries=12, crowd=0.02)
    moved = 0
    for image in range(6):
        part = slice(image, image + 1)
        alone = [
            compare_boxes(boxes[part], [{name: values[i : i + 1] for name, values in targets[image].items()}]) for i in range(9)
        ]
        cheapest = [match(logits[part], single).item() for single in alone]
        moved += (match(logits[part], compare_boxes(boxes[part], targets[part])) != torch.tensor(cheapest)).sum().item()
    assert moved > 27


def test_more_objects_than_queries():
    logits, boxes, targets = problem([9, 2], queries=5)
    matched, pairs = own_pairs(logits, boxes, targets)
    assert pairs == peer_pairs(logits, boxes, targets)[1]
    assert (matched >= 0).tolist().count(True) == 7
    assert (matched[:9] == -1).sum() == 4


def test_images_without_objects():
    """No pair; p^γ·BCE against 0 of every query and class, divided by 1."""
    logits, boxes, targets = problem([0, 0])
    prepared = compare_boxes(boxes, targets)
    matched = match(logits, prepared)
    assert len(matched) == 0
    p = logits.double().sigmoid()
    expected = (p**2 * -torch.log1p(-p)).sum().item()
    assert matchability_aware_loss(logits, prepared, matched).item() == pytest.approx(expected, rel=1e-5)


def test_loss_hand_calculated():
    """One query on its object with IoU 1/2: label 1/4 at class 2, the other classes are weighted 1/4 (p = 1/2)."""
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4]]])
    targets = [{"class_labels": torch.tensor([2]), "boxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]])}]
    prepared = compare_boxes(boxes, targets)
    assert prepared.iou[0, 0].item() == pytest.approx(0.5)
    logits = torch.zeros(1, 1, CLASSES)
    # at logit 0 every cross-entropy is log 2, whatever the label: 1 matched + 3 others weighted 0.5²
    expected = (1 + 3 * 0.25) * np.log(2)
    assert matchability_aware_loss(logits, prepared, match(logits, prepared)).item() == pytest.approx(expected)


def test_the_matching_follows_the_logits():
    """Two queries on one object: the one with the higher probability of its class is matched."""
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.4]] * 2])
    prepared = compare_boxes(boxes, [{"class_labels": torch.tensor([1]), "boxes": boxes[0, :1]}])
    logits = torch.full((1, 2, CLASSES), -2.0)
    for better in (0, 1):
        raised = logits.clone()
        raised[0, better, 1] = 1.0
        assert match(raised, prepared).tolist() == [better]


def test_two_objects_that_want_one_query():
    """Both are cheapest with query 0; the total is least when the second object steps aside."""
    prepared = Targets(
        image=torch.tensor([0, 0]),
        label=torch.tensor([1, 2]),
        box_cost=torch.tensor([[0.0, 9.0], [1.0, 2.0]]),
        iou=torch.ones(2, 2),
    )
    assert match(torch.zeros(1, 2, CLASSES), prepared).tolist() == [0, 1]
    swapped = prepared._replace(box_cost=torch.tensor([[1.0, 2.0], [0.0, 9.0]]))
    assert match(torch.zeros(1, 2, CLASSES), swapped).tolist() == [1, 0]


def test_runs_of_a_batch_have_losses_of_their_own():
    """Four images as two runs: each run's loss is what its two images give alone, divided by its own objects."""
    logits, boxes, targets = problem([3, 0, 5, 1])
    prepared = compare_boxes(boxes, targets)
    together = matchability_aware_loss(logits, prepared, match(logits, prepared), runs=2)
    for run, part in enumerate((slice(0, 2), slice(2, 4))):
        alone = compare_boxes(boxes[part], targets[part])
        loss = matchability_aware_loss(logits[part], alone, match(logits[part], alone))
        assert together[run].item() == pytest.approx(loss.item(), rel=1e-6)
