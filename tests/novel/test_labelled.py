"""Labelled boxes of a new class that are refused, and those that are taken."""

import json

import numpy as np
import pytest
from tiny_detector import tiny_detector, write_images

from zerostart.errors import InputError
from zerostart.novel.labelled import shots_of


@pytest.fixture
def file(tmp_path):
    coco = write_images(tmp_path, 2)
    coco["categories"] = [{"id": 7, "name": "rust"}, {"id": 9, "name": "dent"}]
    coco["annotations"] = []

    def write(boxes, category=7):
        coco["annotations"] = [
            {
                "id": index + 1,
                "image_id": coco["images"][0]["id"],
                "category_id": category,
                "bbox": box,
                "area": 1,
                "iscrowd": 0,
            }
            for index, box in enumerate(boxes)
        ]
        (tmp_path / "shots.json").write_text(json.dumps(coco))
        return tmp_path / "shots.json"

    return write


@pytest.mark.parametrize(
    ("boxes", "category", "said"),
    [
        ([[5, 5, 20, 20]], 9, "has boxes of 'dent', which the detector knows; boxes of 'rust' alone"),
        ([], 7, "has 0 boxes of 'rust'; 1 to 20"),
        ([[5, 5, 20 + index, 20] for index in range(21)], 7, "has 21 boxes of 'rust'"),
        ([[5, 5, 1, 1]], 7, "the detector looks at none of these boxes"),
    ],
)
def test_what_is_no_example_is_refused(file, boxes, category, said):
    with pytest.raises(InputError, match=said):
        shots_of(file(boxes, category), None, "rust", ["dent"], tiny_detector(), True)


def test_features_are_those_of_the_query_that_covers_the_box(file, tmp_path):
    import torch

    from zerostart.detector.pixels import pixel_values, read_image
    from zerostart.novel.regions import look_at_regions

    model = tiny_detector()
    path = file([[5, 5, 20, 20]])
    picture = json.loads(path.read_text())["images"][0]
    pixels = torch.from_numpy(np.stack([read_image(tmp_path / picture["file_name"], model.config.eval_size[0])]))
    seen = look_at_regions(model, pixel_values(pixels))
    x, y, w, h = (seen["boxes"][0, 3] * torch.tensor([picture["width"], picture["height"]] * 2)).tolist()
    features, boxes = shots_of(file([[x - w / 2, y - h / 2, w, h]]), None, "rust", ["dent"], model, True)
    assert boxes == 1
    expected = torch.cat([seen["hidden"], seen["regions"]], dim=2)[0]
    np.testing.assert_allclose(np.abs(expected.numpy() - features).max(axis=1).min(), 0, atol=1e-5)
