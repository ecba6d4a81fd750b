"""Patches: the whole and the patches of a crop, with no pixel left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zerostart.retrieval.embedding.patches import patch_weights, patches_of


def picture(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def test_a_crop_of_twice_the_input_is_seen_whole_and_in_four_patches():
    crop = picture(64, 64)
    found = patches_of(crop, 32)
    pixels = np.asarray(crop).transpose(2, 0, 1)
    assert found.shape == (5, 3, 32, 32)
    np.testing.assert_array_equal(found[0], np.asarray(crop.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1))
    corners = [(0, 0), (0, 32), (32, 0), (32, 32)]
    np.testing.assert_array_equal(found[1:], np.stack([pixels[:, y : y + 32, x : x + 32] for y, x in corners]))


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 100), st.integers(4, 100))
def test_the_number_of_patches(width, height):
    window = min(32, width, height)
    patches = -(-width // window) * -(-height // window) if max(width, height) > 32 else 0
    assert len(patches_of(picture(width, height), 32)) == 1 + patches


def test_weights_are_60_to_40():
    assert patch_weights(1).tolist() == [1]
    assert patch_weights(5).tolist() == pytest.approx([0.6, 0.1, 0.1, 0.1, 0.1])
