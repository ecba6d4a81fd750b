"""Batches from the cache: the right features with the right objects, whatever is asked for."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_cache import toy_split, write_view

from zerostart.cache.views import View, load_view
from zerostart.datasets.splits import split_targets
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.method.cached_images import CachedImages
from zerostart.method.matching import compare_boxes

PLAIN, COCO = toy_split(1)
OBJECTS = split_targets(COCO)
MIRRORED = View(PLAIN.hidden + 1, PLAIN.logits - 1, PLAIN.boxes.copy(), PLAIN.image_id)
MIRRORED.boxes[:, :, 0] = 1 - MIRRORED.boxes[:, :, 0]
VIEWS, OF_VIEW = [PLAIN, MIRRORED], [OBJECTS, flip_targets(OBJECTS, FLIPS[1])]
IMAGES = CachedImages(VIEWS, OF_VIEW)


def test_there_are_images_without_objects():
    assert {len(target["boxes"]) for target in OBJECTS} == {0, 1, 2, 3}
    assert (IMAGES.images, IMAGES.views) == (24, 2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 47), min_size=1, max_size=30))
def test_a_batch_is_its_items_in_their_order(items):
    batch = IMAGES.batch(np.array(items))
    for name in ("hidden", "logits"):
        expected = np.stack([getattr(VIEWS[item // 24], name)[item % 24] for item in items])
        assert np.array_equal(getattr(batch, name), expected)
    boxes = torch.from_numpy(np.stack([VIEWS[item // 24].boxes[item % 24] for item in items]))
    expected = compare_boxes(boxes, [OF_VIEW[item // 24][item % 24] for item in items])
    for found, part in zip(batch.targets, expected, strict=True):
        assert torch.equal(found, part)


def test_a_cache_of_several_chunks():
    """Boxes are compared 256 images at a time."""
    view, coco = toy_split(3, images=300, queries=3)
    objects = split_targets(coco)
    items = np.random.default_rng(0).permutation(300)
    found = CachedImages([view], [objects]).batch(items).targets
    for part, expected in zip(
        found, compare_boxes(torch.from_numpy(view.boxes[items]), [objects[i] for i in items]), strict=True
    ):
        assert torch.equal(part, expected)


def test_nothing_that_grows_with_the_images_is_held_in_memory(tmp_path):
    """The features stay mapped from the cache and the comparison lies in a file; a batch is the same as from memory."""
    write_view(tmp_path / "train", PLAIN)
    images = CachedImages([load_view(tmp_path, "train")], [OBJECTS])
    large = [images.cached[0].hidden, images.cached[0].logits, images.cached[0].boxes, images.box_cost, images.iou]
    assert all(isinstance(array, np.memmap) for array in large)
    items = np.array([5, 5, 0, 23])
    assert all(torch.equal(*pair) for pair in zip(images.batch(items)[:2], IMAGES.batch(items)[:2], strict=True))


def test_images_without_any_object():
    nothing = [{"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)} for _ in range(24)]
    batch = CachedImages([PLAIN], [nothing]).batch(np.array([3, 4]))
    assert len(batch.targets.image) == 0 and batch.targets.iou.shape == (0, 6)
