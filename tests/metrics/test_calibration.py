"""D-ECE by hand and against scikit-learn's reliability curve."""

import numpy as np
import pytest
from coco_samples import annotation, boxes_of, coco, logit
from sklearn.calibration import calibration_curve

from zerostart.metrics.calibration import expected_calibration_error, reliability
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator, scored_detections


def test_hand_calculated():
    score = np.array([0.81, 0.83, 0.15, 0.01])  # the last is below 0.05 and not counted
    correct = np.array([True, False, True, True])
    # bin 0.8: |1/2 - 0.82| = 0.32 for two of three; bin 0.1: |1 - 0.15| = 0.85 for one of three.
    assert expected_calibration_error(score, correct) == pytest.approx((2 * 0.32 + 0.85) / 3)
    assert reliability(score, correct)[0] == pytest.approx((0.15, 1.0, 1))


def test_precision_and_confidence_equal_scikit_learn():
    rng = np.random.default_rng(0)
    score = rng.uniform(0.05, 1, 500)
    correct = rng.random(500) < score**2
    precision, confidence = calibration_curve(correct, score, n_bins=10)
    bins = reliability(score, correct)
    assert [b.precision for b in bins] == pytest.approx(precision.tolist())
    assert [b.confidence for b in bins] == pytest.approx(confidence.tolist())
    assert sum(b.count for b in bins) == 500


def test_perfect_and_worst():
    assert expected_calibration_error(np.ones(4), np.ones(4, bool)) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4, bool)) == 1


def test_nothing_to_judge():
    assert expected_calibration_error(np.array([0.01]), np.array([True])) == 0
    assert reliability(np.zeros(0), np.zeros(0, bool)) == []


def test_scored_detections_are_judged_at_iou_50():
    truth = coco([1], [(100, 100)], [annotation(1, 1, 0, 0, 0, 20, 20)], ["class0"])
    boxes = boxes_of((0, 0, 20, 11), (0, 0, 20, 9))[None]  # IoU 0.55 and 0.45
    matches = FrozenBoxEvaluator(boxes, np.array([1]), truth).match(logit([0.6], [0.8])[None])
    score, correct = scored_detections(matches)
    assert score.tolist() == pytest.approx([0.8, 0.6])
    assert correct.tolist() == [False, True]
