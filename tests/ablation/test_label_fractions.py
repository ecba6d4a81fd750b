"""Shares of the training images in which no class is missing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zerostart.ablation.label_fractions import label_subset
from zerostart.errors import InputError

CLASSES = ["crack", "dent", "scratch"]


def objects(*labels):
    return [{"class_labels": torch.tensor(found, dtype=torch.int64)} for found in labels]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 0.9), st.floats(0.01, 0.9))
def test_every_class_occurs_and_subsets_are_nested(seed, fraction, further):
    rng = np.random.default_rng(0)
    images = objects(*[[], [0], [1], [1]], *[rng.integers(0, 2, rng.integers(0, 3)).tolist() for _ in range(90)], [2])
    subset = label_subset(images, CLASSES, fraction, seed)
    assert len(subset) == int(np.ceil(fraction * 95))
    assert len(set(subset.tolist())) == len(subset)
    assert {label for image in subset for label in images[image]["class_labels"].tolist()} == {0, 1, 2}
    larger = label_subset(images, CLASSES, min(1, fraction + further), seed)
    assert set(subset.tolist()) <= set(larger.tolist())


def test_seeds_draw_other_images():
    images = objects(*[[k % 3] for k in range(60)])
    assert set(label_subset(images, CLASSES, 0.2, 0).tolist()) != set(label_subset(images, CLASSES, 0.2, 1).tolist())


def test_a_fraction_that_leaves_a_class_empty_is_refused_by_name():
    images = objects(*[[0]] * 50, [1], [2])
    with pytest.raises(InputError) as refused:
        label_subset(images, CLASSES, 0.02, seed=0)
    message = str(refused.value)
    assert message.startswith("label fraction 0.02: 2 of 52 training images (seed 0) leave ")
    assert message.endswith(" without an object; a larger fraction is expected")
    assert sum(name in message for name in CLASSES) == 1
