"""Cached views: opened without being read, refused when incomplete; targets mirrored with the images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zerostart.cache.views import ARRAYS, load_view, view_name
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.errors import InputError


@pytest.fixture
def cache(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "val"
    folder.mkdir()
    for name, width in {"hidden": 8, "logits": 3, "boxes": 4}.items():
        np.save(folder / f"{name}.npy", rng.random((6, 5, width), dtype=np.float32))
    np.save(folder / "image_id.npy", np.array([4, 9, 2, 7, 1, 3]))
    return tmp_path


def test_a_view_is_mapped_and_read_only(cache):
    view = load_view(cache, "val")
    for name in ARRAYS:
        array = getattr(view, name)
        assert isinstance(array, np.memmap)
        assert np.array_equal(array, np.load(cache / "val" / f"{name}.npy"))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_names_its_stage(cache, name):
    (cache / "val" / f"{name}.npy").unlink()
    with pytest.raises(InputError, match=rf"val/{name}\.npy: no such file; the stage `features` writes it"):
        load_view(cache, "val")


def test_arrays_of_different_lengths_are_refused(cache):
    np.save(cache / "val/boxes.npy", np.zeros((4, 5, 4), np.float32))
    with pytest.raises(InputError, match=r"val: the arrays differ in their number of images: .*'hidden': 6.*'boxes': 4"):
        load_view(cache, "val")


@pytest.mark.parametrize("keep", [0, 20, 200])
def test_a_truncated_array_is_refused(cache, keep):
    path = cache / "val/hidden.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"val/hidden\.npy: not a complete \.npy array"):
        load_view(cache, "val")


def test_names_of_the_views():
    assert [view_name("train", view) for view in range(3)] == ["train", "train_view1", "train_view2"]
    assert view_name("test", 0) == "test"


fraction = st.floats(0, 1, width=32)
box = st.tuples(fraction, fraction, fraction, fraction)
flips = st.tuples(st.booleans(), st.booleans())


def targets_of(boxes):
    return [{"class_labels": torch.arange(len(boxes)), "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)}]


@settings(deadline=None)
@given(st.lists(box, max_size=4), flips)
def test_flipping_twice_changes_nothing(boxes, flip):
    targets = targets_of(boxes)
    (twice,) = flip_targets(flip_targets(targets, flip), flip)
    torch.testing.assert_close(twice["boxes"], targets[0]["boxes"], atol=1e-7, rtol=0)
    assert torch.equal(twice["class_labels"], targets[0]["class_labels"])


@settings(deadline=None)
@given(st.lists(box, min_size=1, max_size=4))
def test_both_flips_are_one_after_the_other(boxes):
    targets = targets_of(boxes)
    horizontal = flip_targets(targets, (True, False))
    assert torch.equal(flip_targets(horizontal, (False, True))[0]["boxes"], flip_targets(targets, (True, True))[0]["boxes"])


@pytest.mark.parametrize(
    ("flip", "expected"),
    zip(FLIPS, [(0.25, 0.125), (0.75, 0.125), (0.25, 0.875), (0.75, 0.875)], strict=True),
)
def test_flips_hand_calculated(flip, expected):
    targets = targets_of([(0.25, 0.125, 0.5, 0.2)])
    torch.testing.assert_close(flip_targets(targets, flip)[0]["boxes"], torch.tensor([[*expected, 0.5, 0.2]]))
    torch.testing.assert_close(targets[0]["boxes"], torch.tensor([[0.25, 0.125, 0.5, 0.2]]))  # the input is left alone
