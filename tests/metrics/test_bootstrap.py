"""Weighted metrics against pycocotools on repeated images, and the intervals' own guarantees."""

import numpy as np
import pytest
from coco_samples import annotation, boxes_of, coco, logit, pycocotools, sample

from zerostart.evaluation.paired_samples import draw_scores, intervals
from zerostart.metrics.bootstrap import resampled_scores, seeds_and_images_interval, weighted_metrics
from zerostart.metrics.coco import detections
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.resampling import percentile_interval, resample_weights
from zerostart.params import Lambdas

LAMBDAS = Lambdas(map=0.7, ar_critical=0.3)


def evaluator(s):
    return FrozenBoxEvaluator(s.boxes, s.image_ids, s.ground_truth)


def repeated(s, times):
    """The sample with image n (in its own order) repeated times[n] times under new ids."""
    images, annotations, rows = [], [], []
    by_id = {image["id"]: image for image in s.ground_truth["images"]}
    for row, image_id in enumerate(s.image_ids.tolist()):
        for _ in range(times[row]):
            new = len(images) + 1
            images.append(by_id[image_id] | {"id": new})
            rows.append(row)
            own = [a for a in s.ground_truth["annotations"] if a["image_id"] == image_id]
            annotations += [a | {"image_id": new, "id": len(annotations) + i + 1} for i, a in enumerate(own)]
    truth = s.ground_truth | {"images": images, "annotations": annotations}
    return s._replace(
        ground_truth=truth,
        boxes=s.boxes[rows],
        logits=s.logits[rows],
        sizes=s.sizes[rows],
        image_ids=np.arange(1, len(rows) + 1),
    )


def test_weights_of_one_are_the_point_estimate():
    s = sample(0, images=10, queries=20, absent=(3,))
    judge = evaluator(s)
    ap, ar = weighted_metrics(judge.match(s.logits), np.ones((10, 2)))
    expected_ap, expected_ar = judge.evaluate(s.logits)
    for b in range(2):
        np.testing.assert_allclose(ap[:, b], expected_ap, atol=1e-12)
        np.testing.assert_allclose(ar[:, b], expected_ar, atol=1e-12)


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_weights_equal_pycocotools_on_repeated_images(seed, crowds):
    s = sample(seed, images=6, queries=15, most=4)
    for region in s.ground_truth["annotations"][::3] if crowds else ():
        x, y, width, height = region["bbox"]
        region |= {"iscrowd": 1, "bbox": [x - width / 2, y - height / 2, 2 * width, 2 * height]}
    times = np.array([2, 1, 0, 3, 1, 1]) if seed else np.array([2, 1, 1, 1, 1, 1])
    weights = np.zeros(6)
    weights[np.argsort(np.argsort(s.image_ids))] = times  # matches are in ascending order of image id
    ap, ar = weighted_metrics(evaluator(s).match(s.logits), weights[:, None])
    more = repeated(s, times)
    found = detections(more.logits, more.boxes, more.sizes, more.image_ids)
    judged = pycocotools(more.ground_truth, found).eval
    expected_ap = judged["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    expected_ar = judged["recall"][:, :, 0, 2].mean(axis=0)
    for found_here, expected in ((ap, expected_ap), (ar, expected_ar)):
        without_object = expected == -1  # pycocotools' sign for it, where here NaN stands
        assert (np.isnan(found_here[:, 0]) == without_object).all()
        np.testing.assert_allclose(found_here[~without_object, 0], expected[~without_object], atol=1e-12)


def test_resamples_draw_as_many_images_as_there_are():
    weights = resample_weights(7, 50, np.random.default_rng(0))
    assert weights.shape == (7, 50)
    assert (weights.sum(axis=0) == 7).all()
    assert len(np.unique(weights, axis=1).T) > 40


def differences(matches, others, samples=200):
    """The paired intervals of others − matches, with class 0 as the critical one."""
    return intervals(*draw_scores([matches, others], [0], LAMBDAS, samples))


def test_identical_detectors_differ_by_exactly_zero():
    s = sample(2, images=12)
    matches = evaluator(s).match(s.logits)
    found = differences(matches, matches)
    assert list(found) == ["mAP", "AR_critical", "composite"]
    assert set(found.values()) == {(0.0, 0.0)}


def test_sign_and_a_clear_improvement():
    s = sample(4, images=30, queries=16)
    judge = evaluator(s)
    good, bad = judge.match(s.logits), judge.match(np.random.default_rng(0).normal(size=s.logits.shape))
    up, down = differences(bad, good), differences(good, bad)
    assert 0 < up["composite"].low < up["composite"].high
    assert down["mAP"] == pytest.approx((-up["mAP"].high, -up["mAP"].low))
    assert differences(bad, good) == up


def test_an_interval_holds_the_middle_95_percent():
    """Of 0, 1, ... 1000: numpy's percentile at 2.5 and 97.5 interpolates between ranks 25 and 975. NaN does not count."""
    assert percentile_interval(np.array([np.nan, *range(1001)])) == (25, 975)


def test_resamples_without_a_critical_object_are_left_out():
    s = sample(6, images=3, queries=10, most=2)
    rare = [a for a in s.ground_truth["annotations"] if a["category_id"] == 0][:1]
    others = [a for a in s.ground_truth["annotations"] if a["category_id"] != 0]
    s = s._replace(ground_truth=s.ground_truth | {"annotations": rare + others})
    assert rare and others
    judge = evaluator(s)
    found = differences(judge.match(s.logits), judge.match(-s.logits), 100)
    assert np.isfinite(list(found.values())).all()


def test_a_mean_over_classes_leaves_out_those_that_were_not_drawn():
    """Image 1 has a crack that is found, image 2 a dent that is missed. Drawn twice, image 1 alone: mAP is the crack's 1."""
    objects = [annotation(1, 1, 0, 0, 0, 20, 20), annotation(2, 2, 1, 0, 0, 20, 20)]
    truth = coco([1, 2], [(100, 100)] * 2, objects, ["crack", "dent"], critical=["crack"])
    boxes = np.stack([boxes_of((0, 0, 20, 20)), boxes_of((60, 60, 20, 20))])
    logits = np.stack([logit([0.9, 0.1]), logit([0.1, 0.8])])
    matches = FrozenBoxEvaluator(boxes, np.array([1, 2]), truth).match(logits)
    found = resampled_scores(matches, [0], LAMBDAS, np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]]))
    np.testing.assert_allclose(found["mAP"], [0.5, 1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(found["AR_critical"], [1.0, 1.0, np.nan])
    np.testing.assert_allclose(found["composite"], [0.7 * 0.5 + 0.3, 1.0, np.nan], atol=1e-12)


def test_an_interval_over_seeds_and_images_draws_both():
    """One training is 1 better and one is not: of two drawn with replacement, none, one or both are the better one."""
    constant = np.repeat([[0.0], [1.0]], 4000, axis=1)
    assert seeds_and_images_interval(constant, 0) == (0, 1)
    alike = np.tile(np.arange(1001.0), (3, 1))  # trainings that agree: what is left is the interval over images
    assert seeds_and_images_interval(alike, 0) == (25, 975)
    drawn = np.random.default_rng(3).normal(size=(3, 500))
    assert seeds_and_images_interval(drawn, 1) == seeds_and_images_interval(drawn, 1) != seeds_and_images_interval(drawn, 2)
