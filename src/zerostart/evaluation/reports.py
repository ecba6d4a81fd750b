"""Everything found out about a detector on `test`, and what a comparison of two of them says."""

from typing import Any, NamedTuple

import numpy as np

from zerostart.evaluation.detectors import STEPS, Split
from zerostart.evaluation.paired_samples import SEED, Scores, draw_scores, intervals
from zerostart.metrics.bootstrap import resampled_scores
from zerostart.metrics.calibration import Bin, expected_calibration_error, reliability
from zerostart.metrics.coco import CocoMetrics, class_indices, detections, evaluate_coco, image_sizes
from zerostart.metrics.frozen_boxes import ClassMatches, mean_over_classes, scored_detections
from zerostart.metrics.operating_point import OperatingPoint
from zerostart.metrics.resampling import Interval, percentile_interval, resample_weights
from zerostart.metrics.temperature import resampled_errors, tempered
from zerostart.params import Params

DETECTORS = ("baseline", "refined")


class Report(NamedTuple):
    """Everything found out about one detector on `test`."""

    coco: CocoMetrics
    point: OperatingPoint
    recall: np.ndarray
    """K: share of the objects of each class found at work."""
    bins: list[Bin]
    metrics: dict[str, float]
    temperature: float
    """Chosen on val; dividing the logits by it makes scores probabilities, and changes neither AP nor what is found."""
    tempered_error: float
    """Calibration error on `test` at that temperature."""


class Comparison(NamedTuple):
    """What lies between the baseline and the refined detector."""

    steps: dict[str, dict[str, float]]
    """What each step adds to the composite, with its interval."""
    at_work: dict[str, Interval]
    """95 % intervals of refined − baseline at the detectors' own thresholds: critical_recall, calibration_error."""
    samples: list[Scores]
    """Scores of the baseline and of the refined detector on the same resamples of the test images."""


def judge(
    split: Split, logits: np.ndarray, threshold: float, critical: list[str], params: Params, temperature: float = 1.0
) -> Report:
    """All numbers of one detector (logits N×DQ×K of the split's boxes) at the given score threshold and temperature."""
    sizes = image_sizes(split.ground_truth, split.image_id)
    found = detections(logits, split.boxes, sizes, split.image_id)
    coco = evaluate_coco(split.ground_truth, found, critical, params.lambdas)
    point = OperatingPoint(split.evaluator, logits, threshold)
    recall = point.recall()
    score, correct = scored_detections(split.evaluator.match(logits))
    metrics = coco.summary() | {
        "critical_recall": mean_over_classes(recall, class_indices(split.evaluator.classes, critical)),
        "calibration_error": expected_calibration_error(score, correct),
    }
    tempered_error = expected_calibration_error(tempered(score, temperature), correct)
    return Report(coco, point, recall, reliability(score, correct), metrics, temperature, tempered_error)


def compare(split: Split, reports: dict[str, Report], critical: list[str], params: Params) -> Comparison:
    """All detectors of a split on the same resamples of its images. reports: of DETECTORS."""
    indices = class_indices(split.evaluator.classes, critical)
    matches = [split.evaluator.match(logits) for logits in split.logits.values()]
    drawn = draw_scores(matches, indices, params.lambdas, params.bootstrap_samples)
    composites = [_composite(of_detector, indices, params) for of_detector in matches]
    steps = {
        name: {"delta": composites[i + 1] - composites[i]} | intervals(*drawn[i : i + 2])["composite"]._asdict()
        for i, name in enumerate(STEPS[: len(matches) - 1])
    }
    ends = dict(zip(DETECTORS, (matches[0], matches[-1]), strict=True))
    return Comparison(steps, _at_work(ends, reports, indices, params), [drawn[0], drawn[-1]])


def _at_work(
    matches_of: dict[str, list[ClassMatches]], reports: dict[str, Report], critical: list[int], params: Params
) -> dict[str, Interval]:
    images = len(matches_of[DETECTORS[0]][0].objects)
    weights = resample_weights(images, params.bootstrap_samples, np.random.default_rng(SEED))
    recalls, errors = [], []
    for name in DETECTORS:
        matches = matches_of[name]
        score, correct = scored_detections(matches)
        errors.append(resampled_errors(score, correct, _images_of(matches), weights))
        of_critical = reports[name].point.resampled_recall(weights)[critical]
        count = (~np.isnan(of_critical)).sum(axis=0)
        recalls.append(np.divide(np.nansum(of_critical, axis=0), count, out=np.full(len(count), np.nan), where=count > 0))
    return {
        name: percentile_interval(refined - baseline)
        for name, (baseline, refined) in (("critical_recall", recalls), ("calibration_error", errors))
    }


def _images_of(matches: list[ClassMatches]) -> np.ndarray:
    """The image of each of the `scored_detections`: positions in ascending order of image id."""
    kept = [slice(None) if m.ignored is None else ~m.ignored[0] for m in matches]
    return np.concatenate([m.image[which] for m, which in zip(matches, kept, strict=True)])


def _composite(matches: list[ClassMatches], critical: list[int], params: Params) -> float:
    """The composite of one detector."""
    weights = np.ones((len(matches[0].objects), 1))
    return float(resampled_scores(matches, critical, params.lambdas, weights)["composite"][0])


def about_data(info: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What a reader of the numbers must know of the data: records that were left out, classes without an object in train."""
    unseen = dict.fromkeys(info.get("unseen_in_train", []), 0)
    found = {"left_out": info.get("left_out", {}), "objects_in_train": unseen}
    return {key: value for key, value in found.items() if value}


def metrics_of(reports: dict[str, Report], comparison: Comparison, data: dict[str, dict[str, int]]) -> dict[str, Any]:
    """metrics/evaluate.json: the refined detector's metrics at the top, the baseline's and the comparison below.

    data: see :func:`about_data`; the key is there when there is something to say.
    """
    baseline, refined = (reports[name].metrics for name in DETECTORS)
    return (
        refined
        | {
            "baseline": baseline,
            "delta": {name: refined[name] - baseline[name] for name in refined},
            "interval": {
                name: interval._asdict() for name, interval in (intervals(*comparison.samples) | comparison.at_work).items()
            },
            "temperature": {name: reports[name].temperature for name in DETECTORS},
            "tempered_calibration_error": {name: reports[name].tempered_error for name in DETECTORS},
            "composite_steps": comparison.steps,
            "threshold": {name: reports[name].point.threshold for name in DETECTORS},
        }
        | ({"data": data} if data else {})
    )


def per_class_of(reports: dict[str, Report]) -> dict[str, dict[str, dict[str, float]]]:
    """metrics/per_class.json: class -> detector -> AP, AP50, AR and recall; a class without an object in `test` has none."""
    per_class: dict[str, dict[str, dict[str, float]]] = {}
    for name, report in reports.items():
        for k, (class_name, values) in enumerate(report.coco.per_class.items()):
            if values["AP"] is not None:
                per_class.setdefault(class_name, {})[name] = values | {"recall": float(report.recall[k])}
    return per_class
