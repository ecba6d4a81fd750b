"""Threshold, recall and confusion at work: by hand, and against brute force on random detections."""

import numpy as np
import pytest
from coco_samples import annotation, boxes_of, coco, logit, sample

from zerostart.metrics.coco import scores
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.operating_point import OperatingPoint, best_class_only, best_threshold, confusion_rows


def toy(*more):
    """Image 1: a crack found, a dent taken for a crack. Image 2: a dent missed, a dent seen where nothing is."""
    objects = [annotation(1, 1, 0, 0, 0, 20, 20), annotation(2, 1, 1, 50, 50, 20, 20), annotation(3, 2, 1, 0, 0, 20, 20)]
    truth = coco([1, 2], [(100, 100)] * 2, [*objects, *more], ["crack", "dent"])
    boxes = np.stack(
        [
            boxes_of((0, 0, 20, 20), (0, 0, 20, 18), (50, 50, 20, 20)),
            boxes_of((0, 0, 20, 20), (70, 70, 20, 20), (40, 0, 20, 20)),
        ]
    )
    logits = np.stack([logit([0.9, 0.2], [0.7, 0.1], [0.8, 0.6]), logit([0.1, 0.3], [0.1, 0.75], [0.1, 0.1])])
    return FrozenBoxEvaluator(boxes, np.array([1, 2]), truth), logits


def test_confusion_hand_calculated():
    evaluator, logits = toy()
    counts = OperatingPoint(evaluator, logits, 0.5).confusion()
    # The second box on the crack is a duplicate: it is seen where nothing (more) is.
    assert confusion_rows(counts, ["crack", "dent"]) == [
        ("crack", "crack", 1),
        ("crack", "dent", 0),
        ("crack", "background", 0),
        ("dent", "crack", 1),
        ("dent", "dent", 0),
        ("dent", "background", 1),
        ("background", "crack", 1),
        ("background", "dent", 1),
        ("background", "background", 0),
    ]


def test_in_a_crowd_region_a_detection_of_its_class_is_neither_right_nor_wrong():
    """A region of dents around what is seen where nothing is."""
    evaluator, logits = toy(annotation(4, 2, 1, 60, 60, 40, 40) | {"iscrowd": 1})
    counts = OperatingPoint(evaluator, logits, 0.5).confusion()
    assert counts[2].tolist() == [1, 0, 0]  # the dent of 0.75 at (70, 70) is no longer counted


def test_recall_and_found_hand_calculated():
    evaluator, logits = toy()
    at_half, at_quarter = (OperatingPoint(evaluator, logits, threshold) for threshold in (0.5, 0.25))
    assert at_half.recall().tolist() == [1.0, 0.0]  # the dent's box says crack: its second class does not count
    assert at_quarter.recall().tolist() == [1.0, 0.5]
    assert {key: (image, d.query) for key, (image, d) in at_quarter.found().items()} == {1: (0, 0), 3: (1, 0)}


def test_recall_on_resamples_hand_calculated():
    """Both pictures once; only the first; the second twice, where no crack is."""
    evaluator, logits = toy()
    found = OperatingPoint(evaluator, logits, 0.25).resampled_recall(np.array([[1, 1, 0], [1, 0, 2]]))
    np.testing.assert_equal(found, [[1.0, 1.0, np.nan], [0.5, 0.0, 1.0]])


def test_threshold_hand_calculated():
    evaluator, logits = toy()
    # By score: 0.9 right (F1 2·1/(1+3) = 0.5), 0.8 wrong (0.4), 0.75 wrong, 0.7 wrong, 0.3 right (2·2/(5+3) = 0.5).
    # A tie: the higher threshold wins.
    assert best_threshold(evaluator, logits) == pytest.approx(0.9)
    logits[1, 0] = logit(0.1, 0.78)  # now the second right one comes third: 2·2/(3+3) = 0.67
    assert best_threshold(evaluator, logits) == pytest.approx(0.78)


def test_equal_scores_stand_or_fall_together():
    evaluator, _ = toy()
    logits = np.full((2, 3, 2), -1.0, np.float32)
    logits[0, 0, 0] = 1.0
    logits[1, 1:, 1] = 1.0
    logits[1, 0, 0] = -2.0
    # Three at the higher score, one right: 2·1/(3+3) = 0.33, though the right one alone would have 2·1/(1+3) = 0.5.
    # All six, two right: 2·2/(6+3) = 0.44.
    threshold = best_threshold(evaluator, logits)
    assert threshold == scores(np.array([-1.0]))[0]
    assert f1(evaluator, logits, threshold) == pytest.approx(4 / 9)


def f1(evaluator, logits, threshold):
    """2·TP / (detections + objects), counted from what `found` and `detections` say."""
    point = OperatingPoint(evaluator, logits, threshold)
    objects = sum(len(image) for image in evaluator.objects)
    return 2 * len(point.found()) / (sum(len(image) for image in point.detections) + objects)


@pytest.mark.parametrize("seed", range(4))
def test_threshold_and_recall_equal_brute_force(seed):
    s = sample(seed, images=6, queries=10, levels=4 if seed % 2 else None)
    evaluator = FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth)
    threshold = best_threshold(evaluator, s.logits)
    every = {t: f1(evaluator, s.logits, t) for t in np.unique(scores(s.logits.max(axis=2)))}
    assert threshold == max(t for t, value in every.items() if value == max(every.values()))
    point = OperatingPoint(evaluator, s.logits, threshold)
    classes = {a["id"]: a["category_id"] for a in s.ground_truth["annotations"]}
    found = [classes[key] for key in point.found()]
    for k, recall in enumerate(point.recall()):
        objects = list(classes.values()).count(k)
        assert recall == pytest.approx(found.count(k) / objects) if objects else np.isnan(recall)


@pytest.mark.parametrize("seed", range(4))
def test_confusion_counts_every_object_and_every_detection(seed):
    s = sample(seed, images=6, queries=10)
    point = OperatingPoint(FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth), s.logits, 0.3)
    counts = point.confusion()
    actual = np.bincount([a["category_id"] for a in s.ground_truth["annotations"]], minlength=4)
    predicted = np.bincount([d.label for image in point.detections for d in image], minlength=4)
    assert counts[:-1].sum(axis=1).tolist() == actual.tolist()
    assert counts[:, :-1].sum(axis=0).tolist() == predicted.tolist()


def test_one_class_per_query():
    only = best_class_only(np.array([[[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]]))
    assert only.tolist() == [[[-np.inf, 3.0, -np.inf], [2.0, -np.inf, -np.inf]]]


def test_of_equal_overlaps_the_last_object_is_taken():
    """Two cracks at one place and one box: the later one is taken, as by pycocotools; a second box takes the other."""
    objects = [annotation(1, 1, 0, 0, 0, 20, 20), annotation(2, 1, 0, 0, 0, 20, 20)]
    truth = coco([1], [(100, 100)], objects, ["crack", "dent"])
    boxes = np.stack([boxes_of((0, 0, 20, 20), (0, 0, 20, 20))])
    one = OperatingPoint(FrozenBoxEvaluator(boxes, np.array([1]), truth), np.stack([logit([0.9, 0.1], [0.1, 0.1])]), 0.5)
    assert list(one.found()) == [2]
    two = OperatingPoint(FrozenBoxEvaluator(boxes, np.array([1]), truth), np.stack([logit([0.9, 0.1], [0.8, 0.1])]), 0.5)
    assert {key: detection.query for key, (_, detection) in two.found().items()} == {2: 0, 1: 1}
