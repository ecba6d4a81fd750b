"""The fast evaluator against pycocotools on random and adversarial problems, and by hand."""

import numpy as np
import pytest
from coco_samples import Sample, annotation, boxes_of, coco, logit, pycocotools, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from zerostart.errors import InputError
from zerostart.metrics import frozen_boxes as frozen_box_metrics
from zerostart.metrics.bootstrap import weighted_metrics
from zerostart.metrics.coco import detections, evaluate_coco
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator, average_precision, mean_over_classes
from zerostart.metrics.operating_point import OperatingPoint
from zerostart.params import Lambdas


def reference(s, top_k):
    """pycocotools' AP and AR per class, NaN where it says -1."""
    found = detections(s.logits, s.boxes, s.sizes, s.image_ids, top_k)
    judged = pycocotools(s.ground_truth, found).eval
    ap, ar = judged["precision"][:, :, :, 0, 2].mean(axis=(0, 1)), judged["recall"][:, :, 0, 2].mean(axis=0)
    return np.where(ap == -1, np.nan, ap), np.where(ar == -1, np.nan, ar)


def assert_equal_to_pycocotools(s, top_k=300):
    result = FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth, top_k).evaluate(s.logits)
    np.testing.assert_allclose(result, reference(s, top_k), rtol=0, atol=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    images=st.integers(1, 8),
    queries=st.integers(1, 16),
    classes=st.integers(1, 4),
    most=st.integers(1, 12),
    levels=st.sampled_from([None, 1, 3]),
    top_k=st.sampled_from([1, 7, 300]),
)
def test_equals_pycocotools(seed, images, queries, classes, most, levels, top_k):
    s = sample(seed, images, queries, classes, most, levels, absent=(classes - 1,) if classes > 2 else ())
    if s.ground_truth["annotations"]:
        assert_equal_to_pycocotools(s, top_k)


@pytest.mark.parametrize("tied", [False, True])
def test_more_than_100_detections_of_a_class(tied):
    """Of two objects the first is found by the 100th detection, the other by the 101st, which does not count."""
    objects = [(0, 0, 20, 20), (40, 40, 20, 20)]
    truth = coco([1], [(100, 100)], [annotation(i + 1, 1, 0, *box) for i, box in enumerate(objects)], ["class0"])
    boxes = boxes_of(*[(80, 80, 10, 10)] * 99, *objects, *[(80, 80, 10, 10)] * 20)[None]
    logits = np.linspace(2, -2, boxes.shape[1], dtype=np.float32)[None, :, None] * (not tied)
    s = Sample(truth, boxes, logits, np.array([1]), np.array([(100, 100)]))
    assert_equal_to_pycocotools(s)
    assert FrozenBoxEvaluator(boxes, s.image_ids, truth).evaluate(logits)[1] == pytest.approx(0.5)


def test_equal_scores_everywhere():
    s = sample(5, images=6, queries=20, most=8)
    assert_equal_to_pycocotools(s._replace(logits=np.zeros_like(s.logits)), top_k=30)


def test_iou_exactly_on_a_threshold():
    # 10×10 against 10×20 inside it: IoU is exactly 0.5, which counts as found at the first of ten thresholds.
    truth = coco([1], [(128, 128)], [annotation(1, 1, 0, 0, 0, 16, 32)], ["class0"])
    boxes = boxes_of((0, 0, 16, 16), size=128)[None]
    evaluator = FrozenBoxEvaluator(boxes, np.array([1]), truth)
    ap, ar = evaluator.evaluate(logit([0.5])[None])
    assert (ap[0], ar[0]) == pytest.approx((0.1, 0.1))


def test_equal_iou_goes_to_the_later_object():
    """Two objects mirror each other about box A; B lies on the first. Taking the first for A would cost B its match."""
    truth = coco([1], [(128, 128)], [annotation(1, 1, 0, 0, 0, 32, 32), annotation(2, 1, 0, 16, 0, 32, 32)], ["class0"])
    boxes = boxes_of((8, 0, 32, 32), (0, 0, 32, 32), size=128)[None]
    matches = FrozenBoxEvaluator(boxes, np.array([1]), truth).match(logit([0.9], [0.8])[None])
    # IoU(A, either) = 24/40 = 0.6: both detections are right at 0.5, 0.55 and 0.6. Higher, only B is.
    assert matches[0].true_positive[:3].all()
    assert matches[0].true_positive[3:].tolist() == [[False, True]] * 7


def test_hand_calculated():
    """A hit at 0.9, a false alarm at 0.8, a hit at 0.7, and a third object that nobody finds."""
    objects = [(0, 0, 20, 20), (40, 40, 20, 20), (80, 80, 20, 20)]
    truth = coco([1], [(100, 100)], [annotation(i + 1, 1, 0, *box) for i, box in enumerate(objects)], ["class0", "b"])
    boxes = boxes_of(objects[0], (0, 60, 20, 20), objects[1])[None]
    ap, ar = FrozenBoxEvaluator(boxes, np.array([1]), truth).evaluate(logit([0.9, 0.1], [0.8, 0.1], [0.7, 0.1])[None])
    # Recall 0..0.33 (34 points) at precision 1, 0.34..0.66 (33 points) at 2/3, beyond that 0.
    assert ap[0] == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert ar[0] == pytest.approx(2 / 3)
    assert np.isnan(ap[1])
    assert mean_over_classes(ap) == ap[0] == mean_over_classes(ap, [0])


def test_average_precision_in_columns_equals_single_ones():
    hits = np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 1.0]])
    seen = np.array([[1.0, 2.0], [5.0, 3.0], [9.0, 7.0]])
    together = average_precision(hits, seen, np.array([4.0, 2.0]))
    single = [average_precision(hits[:, b], seen[:, b], positives) for b, positives in enumerate((4.0, 2.0))]
    assert together.tolist() == [float(value) for value in single]


def test_ious_are_computed_once(monkeypatch):
    s = sample(1)
    evaluator = FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth)
    expected = evaluator.evaluate(s.logits)
    monkeypatch.setattr(frozen_box_metrics, "iou_matrix", None)
    np.testing.assert_array_equal(evaluator.evaluate(s.logits), expected)


@pytest.mark.parametrize("seed", range(12))
def test_crowd_regions_equal_pycocotools(seed):
    """Every third annotation is a region four times as large: detections inside are neither right nor wrong."""
    s = sample(seed, images=8, queries=16, classes=3, most=6)
    for annotation_ in s.ground_truth["annotations"][::3]:
        x, y, width, height = annotation_["bbox"]
        annotation_ |= {"iscrowd": 1, "bbox": [x - width / 2, y - height / 2, 2 * width, 2 * height]}
    assert_equal_to_pycocotools(s)
    evaluator = FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth)
    ap, ar = weighted_metrics(evaluator.match(s.logits), np.ones((len(s.image_ids), 1)))
    np.testing.assert_allclose(np.stack([ap[:, 0], ar[:, 0]]), reference(s, 300), rtol=0, atol=1e-9)
    found = detections(s.logits, s.boxes, s.sizes, s.image_ids)
    judged = evaluate_coco(s.ground_truth, found, ["class0"], Lambdas(map=0.7, ar_critical=0.3))
    np.testing.assert_allclose(judged.mAP, np.nanmean(reference(s, 300)[0]), rtol=0, atol=1e-9)


def test_a_detection_in_a_crowd_is_no_mistake_by_hand():
    """One object, found with the second score; the first lies in a crowd of its class: AP 1, and 0.5 without the crowd."""
    objects = [annotation(1, 1, 0, 10, 10, 20, 20), annotation(2, 1, 0, 50, 50, 40, 40) | {"iscrowd": 1}]
    boxes, logits = boxes_of([60, 60, 10, 10], [10, 10, 20, 20])[None], logit([0.9], [0.6])[None]
    for found, expected in ((objects, 1.0), (objects[:1], 0.5)):
        evaluator = FrozenBoxEvaluator(boxes, np.array([1]), coco([1], [(100, 100)], found, ["a"]))
        assert evaluator.evaluate(logits)[0] == pytest.approx([expected])
        false = OperatingPoint(evaluator, logits, 0.5).confusion()[1, 0]
        assert false == (0 if expected == 1 else 1)


def test_bad_input_is_named():
    s = sample(0)
    with pytest.raises(InputError, match="same image ids"):
        FrozenBoxEvaluator(s.boxes[1:], s.image_ids[1:], s.ground_truth)
    with pytest.raises(InputError, match="shape"):
        FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth).evaluate(s.logits[:, :, :2])
    with pytest.raises(InputError, match="no object"):
        FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth | {"annotations": []})
    crowd = [s.ground_truth["annotations"][0] | {"iscrowd": 1}]
    with pytest.raises(InputError, match="no object"):
        FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth | {"annotations": crowd})
    with pytest.raises(InputError, match="none of the classes"):
        mean_over_classes(np.array([1.0, np.nan]), [1])
