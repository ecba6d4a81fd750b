"""The table of critical objects of a toy set, by hand."""

import numpy as np
from coco_samples import annotation, boxes_of, coco, logit

from zerostart.evaluation.critical_objects import critical_objects
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.operating_point import OperatingPoint


def test_objects_and_who_finds_them():
    objects = [annotation(3, 7, 0, 50, 50, 20, 20), annotation(1, 7, 0, 0, 0, 20, 20), annotation(2, 3, 1, 0, 0, 20, 20)]
    truth = coco([7, 3], [(100, 100)] * 2, objects, ["crack", "dent"])
    boxes = np.stack([boxes_of((0, 0, 20, 20), (50, 50, 20, 20))] * 2)
    evaluator = FrozenBoxEvaluator(boxes, np.array([7, 3]), truth)
    weak = np.stack([logit([0.3, 0.6], [0.9, 0.1]), logit([0.1, 0.8], [0.1, 0.1])])
    strong = np.stack([logit([0.7, 0.4], [0.8, 0.1]), logit([0.1, 0.2], [0.1, 0.1])])
    points = {"baseline": OperatingPoint(evaluator, weak, 0.5), "refined": OperatingPoint(evaluator, strong, 0.5)}
    rows = critical_objects(evaluator, points, ["crack", "dent"], {7: "b.jpg", 3: "a.jpg"})
    assert [tuple(row) for row in rows] == [
        ("a.jpg", "dent", "0.00", "0.00", "20.00", "20.00", "0.8000", ""),
        ("b.jpg", "crack", "0.00", "0.00", "20.00", "20.00", "", "0.7000"),
        ("b.jpg", "crack", "50.00", "50.00", "20.00", "20.00", "0.9000", "0.8000"),
    ]
    assert [row.image for row in critical_objects(evaluator, points, ["dent"], {7: "b.jpg", 3: "a.jpg"})] == ["a.jpg"]
