"""The splits on disk, and their objects as the detector's loss wants them."""

import json

import pytest
import torch
from coco_samples import annotation, coco

from zerostart.datasets.splits import read_split, split_targets
from zerostart.errors import InputError


def test_targets_hand_calculated():
    """Image 7 is 200×100, image 3 is 50×50 and empty, image 5 is 100×200; the annotations are not sorted by image."""
    objects = [annotation(1, 5, 1, 0, 100, 100, 100), annotation(2, 7, 0, 20, 10, 100, 40), annotation(3, 5, 2, 25, 50, 50, 20)]
    targets = split_targets(coco([7, 3, 5], [(200, 100), (50, 50), (100, 200)], objects, ["a", "b", "c"]))
    assert [target["class_labels"].tolist() for target in targets] == [[0], [], [1, 2]]
    # centre (20 + 100/2, 10 + 40/2) = (70, 30) of 200×100
    torch.testing.assert_close(targets[0]["boxes"], torch.tensor([[0.35, 0.3, 0.5, 0.4]]))
    assert targets[1]["boxes"].shape == (0, 4)
    # centres (50, 150) and (50, 60) of 100×200
    torch.testing.assert_close(targets[2]["boxes"], torch.tensor([[0.5, 0.75, 1.0, 0.5], [0.5, 0.3, 0.5, 0.1]]))
    assert all(target["class_labels"].dtype == torch.int64 and target["boxes"].dtype == torch.float32 for target in targets)


def test_crowd_regions_are_no_targets():
    crowd = annotation(1, 1, 0, 0, 0, 10, 10) | {"iscrowd": 1}
    (target,) = split_targets(coco([1], [(10, 10)], [crowd, annotation(2, 1, 1, 0, 0, 5, 5)], ["a", "b"]))
    assert target["class_labels"].tolist() == [1]


def test_a_split_is_read_as_it_was_written(tmp_path):
    written = coco([1], [(10, 10)], [annotation(1, 1, 0, 1, 2, 3, 4)], ["a"])
    (tmp_path / "val.json").write_text(json.dumps(written))
    assert read_split("val", tmp_path) == written


def test_a_missing_split_names_its_stage(tmp_path):
    with pytest.raises(InputError, match=r"test\.json: no such file; the stage `dataset` writes it"):
        read_split("test", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("info"), "key 'info' is missing"),
        (lambda found: found["info"].pop("critical"), "key 'info.critical' is missing"),
        (lambda found: found["images"][0].pop("width"), "key 'images.0.width' is missing"),
        (lambda found: found["images"][0].update(height=0), "key 'images.0.height' is 0: input should be greater than 0"),
        (lambda found: found["annotations"].append({}), "key 'annotations.1.image_id' is missing"),
        (lambda found: found["annotations"][0].update(bbox=None), "key 'annotations.0.bbox' is None: input should be a valid"),
        (lambda found: found["annotations"][0].update(image_id=9), "annotations.0 has no image or category"),
        (lambda found: found["annotations"][0].update(category_id=9), "annotations.0 has no image or category"),
        (lambda found: found["categories"].append("b"), "key 'categories.1' is 'b': input should be a valid dictionary"),
    ],
)
def test_a_split_that_was_changed_since_is_one_sentence(tmp_path, change, message):
    found = coco([1], [(10, 10)], [annotation(1, 1, 0, 1, 2, 3, 4)], ["a"])
    change(found)
    (tmp_path / "val.json").write_text(json.dumps(found))
    with pytest.raises(InputError) as refused:
        read_split("val", tmp_path)
    assert f"val.json: not as the stage `dataset` writes it: {message}" in str(refused.value)
