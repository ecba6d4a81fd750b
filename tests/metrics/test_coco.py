"""The judge against pycocotools, and against two detections judged by hand."""

import copy

import numpy as np
import pytest
from coco_samples import annotation, boxes_of, coco, logit, pycocotools, sample

from zerostart.datasets.splits import class_names
from zerostart.errors import InputError
from zerostart.metrics.boxes import pixel_boxes
from zerostart.metrics.coco import detections, evaluate_coco, image_sizes, scores
from zerostart.params import Lambdas

LAMBDAS = Lambdas(map=0.7, ar_critical=0.3)


@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools(seed):
    s = sample(seed, images=12, queries=30, levels=6 if seed % 2 else None, absent=(2,) if seed % 3 == 0 else ())
    found = detections(s.logits, s.boxes, s.sizes, s.image_ids, top_k=60)
    metrics = evaluate_coco(s.ground_truth, found, ["class0", "class1"], LAMBDAS)
    reference = pycocotools(s.ground_truth, found)
    np.testing.assert_allclose(metrics.stats, reference.stats, atol=1e-12)
    np.testing.assert_allclose(metrics.precision, reference.eval["precision"][:, :, :, 0, 2], atol=1e-12)
    np.testing.assert_allclose(metrics.recall, reference.eval["recall"][:, :, 0, 2], atol=1e-12)
    assert [metrics.mAP, metrics.AP50, metrics.AP75] == pytest.approx(reference.stats[:3].tolist(), abs=1e-12)
    expected = reference.eval["recall"][:, :2, 0, 2].mean()
    assert metrics.AR_critical == pytest.approx(expected, abs=1e-12)
    assert metrics.composite == pytest.approx(0.7 * reference.stats[0] + 0.3 * expected, abs=1e-12)


def toy(names=("crack", "normal")):
    """One image with a crack and a flawless part; the crack is found at 0.9 after a false alarm at 0.95."""
    truth = coco([1], [(100, 100)], [annotation(1, 1, 0, 0, 0, 50, 50), annotation(2, 1, 1, 60, 60, 30, 30)], names)
    boxes = boxes_of((0, 0, 50, 50), (5, 50, 20, 20), (60, 60, 30, 30))[None]
    logits = logit([0.9, 0.1], [0.95, 0.1], [0.1, 0.8])[None]
    return truth, detections(logits, boxes, [(100, 100)], [1])


def test_hand_calculated():
    metrics = evaluate_coco(*toy(), ["crack"], LAMBDAS)
    # crack: false alarm, then hit: precision 1/2 up to recall 1 at every IoU; normal: the hit comes first.
    assert metrics.per_class["crack"] == pytest.approx({"AP": 0.5, "AP50": 0.5, "AR": 1.0})
    assert metrics.per_class["normal"] == pytest.approx({"AP": 1.0, "AP50": 1.0, "AR": 1.0})
    assert metrics.summary() == pytest.approx(
        dict(mAP=0.75, AP50=0.75, AP75=0.75, AR_critical=1.0, composite=0.825, mAP_without_normal=0.5)
    )
    assert metrics.precision_at_50(0) == pytest.approx(np.full(101, 0.5))


def test_mean_without_normal_is_the_mean_where_there_is_no_normal():
    metrics = evaluate_coco(*toy(("crack", "dent")), ["crack"], LAMBDAS)
    assert metrics.mAP_without_normal == metrics.mAP == pytest.approx(0.75)


def test_no_detections_score_zero():
    metrics = evaluate_coco(toy()[0], np.zeros((0, 7)), ["crack"], LAMBDAS)
    assert set(metrics.summary().values()) == {0.0}


def test_absent_class_is_none_and_in_no_mean():
    truth, found = toy(("crack", "dent", "normal"))  # category 1 is now the dent and normal has no object
    metrics = evaluate_coco(truth, found, ["crack", "normal"], LAMBDAS)
    assert metrics.per_class["normal"] == dict(AP=None, AP50=None, AR=None)
    assert metrics.precision_at_50(2) is None
    assert (metrics.mAP, metrics.AR_critical) == pytest.approx((0.75, 1.0))


def test_does_not_change_the_ground_truth():
    truth, found = toy()
    before = copy.deepcopy(truth)
    evaluate_coco(truth, found, ["crack"], LAMBDAS)
    assert truth == before


def test_detections_take_the_best_and_break_ties_by_index():
    boxes = boxes_of((0, 0, 10, 10), (20, 20, 10, 10))[None]
    logits = np.array([[[0.0, 1.0], [1.0, 0.0]]], np.float32)
    found = detections(logits, boxes, [(100, 100)], [7], top_k=3)
    assert found[:, 0].tolist() == [7, 7, 7]
    assert found[:, 6].tolist() == [1, 0, 0]  # flattened indices 1 and 2 tie at the top, then 0 before 3
    assert found[:, 1].tolist() == pytest.approx([0, 20, 0], abs=1e-5)


def test_boxes_are_clamped_to_the_image():
    boxes = np.array([[[0.0, 0.5, 0.5, 1.5], [0.5, 0.5, -0.2, 0.5]]], np.float32)
    # centre (0, 50) of 200×100: x from -50 to 50, y from -25 to 125; the second has a negative width.
    np.testing.assert_allclose(pixel_boxes(boxes, [(200, 100)])[0, 0], [0, 0, 50, 100])
    assert pixel_boxes(boxes, [(200, 100)])[0, 1, 2] == 0


def test_large_logits_do_not_tie():
    high = scores(np.array([18.0, 19.0, 20.0], np.float32))
    assert (np.diff(high) > 0).all()  # in float32 all three would be 1
    assert scores(np.array([-1000.0, -np.inf], np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t["categories"][0].update(id=5), "0..1"),
        (lambda t: t["annotations"][0].update(id=0), "ids from 1"),
        (lambda t: t["annotations"].pop(0), "no critical class"),
    ],
)
def test_bad_ground_truth(change, sentence):
    truth, found = toy()
    change(truth)
    with pytest.raises(InputError, match=sentence):
        evaluate_coco(truth, found, ["crack"], LAMBDAS)


def test_bad_input_is_named():
    truth, found = toy()
    with pytest.raises(InputError, match="hole"):
        evaluate_coco(truth, found, ["hole"], LAMBDAS)
    with pytest.raises(InputError, match="no critical class is named"):
        evaluate_coco(truth, found, [], LAMBDAS)
    with pytest.raises(InputError, match="NaN"):
        scores(np.array([np.nan]))
    with pytest.raises(InputError, match="same image ids"):
        image_sizes(truth, [1, 2])
    assert class_names(truth) == ["crack", "normal"]
