"""What a detector sees in boxes, and which query covers which object."""

import numpy as np
import torch

from zerostart.novel.queries import Looks, match_objects, objectness
from zerostart.novel.regions import region_statistics


def test_statistics_of_a_region_are_those_of_the_map_below_it():
    """Rising by 1 a column, constant, and another image: the mean is the value at the box's centre."""
    ramp = torch.arange(32.0).expand(32, 32) + 0.5  # the value at x is x
    maps = torch.stack([torch.stack([ramp, torch.full((32, 32), 7.0)]), torch.stack([2 * ramp, torch.zeros(32, 32)])])
    boxes = torch.tensor([[[0.5, 0.5, 0.25, 0.5], [0.25, 0.5, 0.125, 0.125]]] * 2)
    found = region_statistics([maps], boxes).numpy()
    assert found.shape == (2, 2, 4)
    np.testing.assert_allclose(found[0, :, :2], [[16, 7], [8, 7]], rtol=1e-5)
    np.testing.assert_allclose(found[1, :, :2], [[32, 0], [16, 0]], rtol=1e-5)
    # seven points, evenly spaced over the box's 8 and 4 columns: their deviation is 2 steps
    np.testing.assert_allclose(found[0, :, 2:], [[16 / 7, 0], [8 / 7, 0]], atol=1e-5)


def test_every_object_gets_the_query_that_covers_it_best_and_each_query_one_object():
    boxes = np.array([[[0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.8, 0.8, 0.1, 0.1]]])  # cxcywh of 100 pixels
    coco = {
        "images": [{"id": 5, "width": 100, "height": 100, "file_name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 0, "bbox": [21, 20, 20, 20]},  # query 1 exactly
            {"id": 2, "image_id": 5, "category_id": 1, "bbox": [20, 20, 20, 19]},  # query 0
            {"id": 3, "image_id": 5, "category_id": 0, "bbox": [50, 50, 10, 10]},  # none
        ],
        "categories": [{"id": 0, "name": "x"}, {"id": 1, "name": "y"}],
    }
    match = match_objects(Looks(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), boxes, coco))
    assert sorted(zip(match.query.tolist(), match.annotation.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_objectness_is_the_log_of_the_best_class_s_score():
    np.testing.assert_allclose(objectness(np.array([[0.0, -3.0], [2.0, 1.0]])), np.log(1 / (1 + np.exp([0.0, -2.0]))))
