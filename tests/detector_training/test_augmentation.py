"""After augmentation the boxes still lie around what they name."""

import pytest
import torch

from zerostart.detector_training.augmentation import _move_target, augment

SIDE = 64
BRIGHT, GROUND = 0.9, 0.2


def scene(left, top, right, bottom):
    """One bright rectangle (pixels) on a dark image, and its target."""
    image = torch.full((3, SIDE, SIDE), GROUND)
    image[:, top:bottom, left:right] = BRIGHT
    box = torch.tensor([[(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]]) / SIDE
    return image, {"class_labels": torch.tensor([1]), "boxes": box}


def augmented(image, target, seed):
    images, (moved,) = augment(image[None], [target], torch.Generator().manual_seed(seed))
    return images[0], moved


def bright_extent(image):
    """Left, top, right and bottom (pixels) of what is bright, or None; noise and contrast keep the halves apart."""
    bright = image.mean(dim=0) > (BRIGHT + GROUND) / 2 + (image.median() - GROUND)
    rows, columns = bright.any(dim=1).nonzero(), bright.any(dim=0).nonzero()
    if not len(rows):
        return None
    return torch.cat([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


# At least a tenth of the image away from its border: a window of 1.2 reflects nothing of them into the picture.
@pytest.mark.parametrize("rectangle", [(8, 10, 28, 22), (34, 8, 56, 36), (36, 40, 50, 54)])
def test_the_box_still_encloses_the_rectangle(rectangle):
    image, target = scene(*rectangle)
    sizes, centres, dropped = set(), set(), 0
    for seed in range(150):
        moved_image, moved = augmented(image, target, seed)
        seen = bright_extent(moved_image)
        if not len(moved["boxes"]):
            dropped += 1
            continue
        centre, size = moved["boxes"][0, :2] * SIDE, moved["boxes"][0, 2:] * SIDE
        box = torch.cat([centre - size / 2, centre + size / 2])
        torch.testing.assert_close(seen, box, atol=1.5, rtol=0, msg=lambda text, seed=seed: f"seed {seed}: {text}")
        assert moved["class_labels"].tolist() == [1]
        assert ((box >= 0) & (box <= SIDE)).all()
        sizes.add(round(size[0].item()))
        centres.add(tuple((centre > SIDE / 2).tolist()))
    assert len(sizes) > 5  # zoomed in and out
    assert len(centres) == 4  # flipped each way
    assert dropped < 50


def test_without_zoom_an_image_is_only_flipped():
    image, target = scene(8, 10, 28, 22)
    centres = set()
    for seed in range(20):
        images, (moved,) = augment(image[None], [target], torch.Generator().manual_seed(seed), zoom=False)
        torch.testing.assert_close(moved["boxes"][0, 2:], target["boxes"][0, 2:])
        x, y = (moved["boxes"][0, :2] * SIDE).tolist()
        assert bright_extent(images[0]).tolist() == pytest.approx([x - 10, y - 6, x + 10, y + 6])
        centres.add((round(x), round(y)))
    assert centres == {(18, 16), (46, 16), (18, 48), (46, 48)}


def test_what_is_out_of_sight_is_dropped():
    """A small object in a corner of the safe area leaves some of the zoomed windows."""
    image, target = scene(7, 7, 15, 15)
    kept = {True: 0, False: 0}
    for seed in range(150):
        moved_image, moved = augmented(image, target, seed)
        seen = bright_extent(moved_image)
        kept[len(moved["boxes"]) == 1] += 1
        if seen is None:
            assert not len(moved["boxes"]), seed
            assert moved["class_labels"].shape == (0,)
            assert moved["boxes"].shape == (0, 4)
    assert kept[True] > 50
    assert kept[False] > 5


def test_moved_targets_hand_calculated():
    """The window of half the size, centred at x = 3/4, sees x from 0.5 to 1 and y from 0.25 to 0.75."""
    boxes = [
        [0.75, 0.5, 0.1, 0.2],  # whole
        [0.5, 0.5, 0.2, 0.2],  # x from 0.4 to 0.6: half of it
        [0.45, 0.5, 0.2, 0.2],  # x from 0.35 to 0.55: a quarter of it, less than 0.4
        [0.1, 0.5, 0.1, 0.1],  # none of it
    ]
    target = {"class_labels": torch.arange(4), "boxes": torch.tensor(boxes)}
    moved = _move_target(target, torch.tensor(0.5), torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.0]))
    assert moved["class_labels"].tolist() == [0, 1]
    torch.testing.assert_close(moved["boxes"], torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.1, 0.5, 0.2, 0.4]]))
    mirrored = _move_target(target, torch.tensor(0.5), torch.tensor([-1.0, 1.0]), torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(mirrored["boxes"], torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.9, 0.5, 0.2, 0.4]]))


def test_labels_stay_with_their_objects():
    image, first = scene(8, 20, 24, 40)
    image[:, 20:40, 36:56] = 0.0
    second = torch.tensor([[46.0, 30.0, 20.0, 20.0]]) / SIDE
    target = {"class_labels": torch.tensor([1, 0]), "boxes": torch.cat([first["boxes"], second])}
    both = 0
    for seed in range(60):
        moved_image, moved = augmented(image, target, seed)
        middle = {}
        for label, box in zip(moved["class_labels"].tolist(), moved["boxes"], strict=True):
            x, y = (box[:2] * SIDE).long().tolist()
            middle[label] = moved_image[:, y, x].mean()
        if len(middle) == 2:
            both += 1
            assert middle[1] > middle[0] + 0.3, seed
    assert both > 20


def test_a_function_of_the_generator_alone():
    image, target = scene(10, 10, 30, 30)
    images, targets = image.repeat(4, 1, 1, 1), [target] * 4
    results = [augment(images, targets, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(results[0][1], results[1][1], strict=True))
    assert not torch.equal(results[0][0], results[2][0])


def test_the_inputs_are_left_alone_and_images_stay_in_the_unit_interval():
    image, target = scene(10, 10, 30, 30)
    image[0] = 1.0
    images, boxes = image[None].clone(), target["boxes"].clone()
    for seed in range(20):
        moved, _ = augment(images, [target], torch.Generator().manual_seed(seed))
        assert moved.shape == images.shape
        assert moved.min() >= 0
        assert moved.max() <= 1
    assert torch.equal(images[0], image)
    assert torch.equal(target["boxes"], boxes)


def test_an_image_without_objects():
    empty = {"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": torch.zeros(0, 4)}
    _, (moved,) = augment(torch.rand(1, 3, SIDE, SIDE), [empty], torch.Generator().manual_seed(0))
    assert moved["boxes"].shape == (0, 4)
    assert moved["class_labels"].dtype == torch.int64
