"""Stage `evaluate`: judge baseline and refined detector on `test`, the only stage that reads it.

The refined detector looks at mirror images as well (`test_flips`). Between it and the baseline stand the detectors that lack
its last steps, so that it can be told what each step gains. The thresholds of the operating points are chosen on `val`.
"""

import csv
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from zerostart.cache.views import View, load_view, view_name
from zerostart.cache.writing import write_view
from zerostart.datasets.pictures import open_rgb
from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.mirror import FLIPS, TEST_VIEWS, unflip
from zerostart.detector.model import load_detector
from zerostart.errors import InputError, run_stage
from zerostart.evaluation.changes import changes, draw_changes
from zerostart.evaluation.critical_objects import HEADER, critical_objects
from zerostart.evaluation.paired_samples import SEED, Scores, draw_scores, intervals, to_json
from zerostart.evaluation.verdict import table, verdict
from zerostart.method.checkpoint import load_fusion
from zerostart.method.merged_views import merge
from zerostart.method.training import refined_logits
from zerostart.metrics.bootstrap import resampled_scores
from zerostart.metrics.calibration import Bin, expected_calibration_error, reliability
from zerostart.metrics.coco import CocoMetrics, class_indices, detections, evaluate_coco, image_sizes
from zerostart.metrics.frozen_boxes import ClassMatches, FrozenBoxEvaluator, mean_over_classes, scored_detections
from zerostart.metrics.operating_point import OperatingPoint, best_threshold, confusion_rows
from zerostart.metrics.resampling import Interval
from zerostart.outputs import output_file, write_json
from zerostart.params import Params, load_params

COCO, FEATURES, RAW = Path("data/coco"), Path("data/features"), Path("data/raw")
HEAD_TUNING, CHECKPOINT = Path("models/head_tuning"), Path("models/decoder_tuning")
METRICS_FILE, PER_CLASS_FILE = Path("metrics/evaluate.json"), Path("metrics/per_class.json")
SAMPLES_FILE = Path("metrics/bootstrap.json")
PLOTS = Path("plots")
DETECTORS = ("baseline", "refined")
STEPS = ("flips", "training", "decoder")
"""What makes the next detector of the one before it: mirror images, phases 1 and 2, and phase 3 if it tuned the decoder."""
PR_STEP = 4
"""Every fourth of the 101 recall points of a precision-recall curve is written."""


class Split(NamedTuple):
    """One split with the boxes of all detectors, side by side, and the logits that each gives to its own."""

    ground_truth: dict[str, Any]
    boxes: np.ndarray
    """N×DQ×4: Q queries of each of D detectors."""
    image_id: np.ndarray
    logits: dict[str, np.ndarray]
    """From the baseline to the refined detector, step by step: N×DQ×K, minus infinity (no detection) at the others' boxes."""
    evaluator: FrozenBoxEvaluator


class Report(NamedTuple):
    """Everything found out about one detector on `test`."""

    coco: CocoMetrics
    point: OperatingPoint
    recall: np.ndarray
    matches: list[ClassMatches]
    bins: list[Bin]
    metrics: dict[str, float]


def main() -> str:
    params = load_params()
    val, test = (load_split(name, params) for name in ("val", "test"))
    critical = test.ground_truth["info"]["critical"]
    reports = {}
    for name in DETECTORS:
        threshold = best_threshold(val.evaluator, val.logits[name])
        reports[name] = judge(test, test.logits[name], threshold, critical, params)
    critical_indices = class_indices(test.evaluator.classes, critical)

    matches = [test.evaluator.match(logits) for logits in test.logits.values()]
    drawn = draw_scores(matches, critical_indices, params.lambdas, params.bootstrap_samples)
    composites = [composite_of(of_detector, critical_indices, params) for of_detector in matches]
    steps = {
        name: {"delta": composites[i + 1] - composites[i]} | intervals(*drawn[i : i + 2])["composite"]._asdict()
        for i, name in enumerate(STEPS[: len(matches) - 1])
    }
    metrics = write_metrics(reports, intervals(drawn[0], drawn[-1]), steps, about_data(test.ground_truth["info"]))
    write_samples(drawn[0], drawn[-1], params, len(test.image_id))
    write_plots(reports, test.evaluator.classes)
    write_pictures(test, reports, critical, RAW / params.dataset)
    print(table(metrics))
    return verdict(metrics)


def load_split(name: str, params: Params) -> Split:
    """Read one split; raises InputError when it is missing, of another data set, or differs from its features."""
    path = COCO / f"{name}.json"
    ground_truth = read_split(name)
    if ground_truth["info"]["dataset"] != params.dataset:
        found = ground_truth["info"]["dataset"]
        raise InputError(f"{path}: made from the data set {found!r}; {params.dataset!r} (params.yaml) is expected")
    classes = class_names(ground_truth)
    fusion = load_fusion(CHECKPOINT, classes)
    frozen = load_views(FEATURES, name, params)
    image_id = np.asarray(frozen[0].image_id)
    detectors = {
        "baseline": (frozen[0].boxes, np.asarray(frozen[0].logits)),
        "flips": merge_views(frozen, [np.asarray(view.logits) for view in frozen], params),
    }
    with tuned_views(name, ground_truth, classes, params) as views:
        if views:
            heads = load_fusion(HEAD_TUNING, classes)
            detectors["head_tuning"] = merge_views(frozen, [refined_logits(heads, view) for view in frozen], params)
        refined = [refined_logits(fusion, view) for view in views or frozen]
        detectors["refined"] = merge_views(views or frozen, refined, params)
    boxes, logits = side_by_side(detectors)
    try:
        evaluator = FrozenBoxEvaluator(boxes, image_id, ground_truth)
    except InputError as error:
        raise InputError(f"{FEATURES / name} and {path}: {error}") from None
    return Split(ground_truth, boxes, image_id, logits, evaluator)


def load_views(folder: Path, name: str, params: Params) -> list[View]:
    """The cached views of a split that are merged."""
    return [load_view(folder, view_name(name, number)) for number in TEST_VIEWS[params.test_flips]]


@contextmanager
def tuned_views(name: str, coco: dict, classes: list[str], params: Params) -> Iterator[list[View]]:
    """The same views as the detector with the tuned decoder has them; none if no decoder was tuned."""
    if not (CHECKPOINT / "model.safetensors").is_file():
        yield []
        return
    detector = load_detector(CHECKPOINT, classes)
    detector.to("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory(dir="data", prefix=".tmp-tuned-") as folder:
        for number in TEST_VIEWS[params.test_flips]:
            path = Path(folder) / view_name(name, number)
            write_view(path, detector, coco, RAW / params.dataset, FLIPS[number])
        yield load_views(Path(folder), name, params)


def merge_views(views: list[View], logits: list[np.ndarray], params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N×Q×4) and logits (N×Q×K) of all views as one set of queries."""
    flips = [FLIPS[number] for number in TEST_VIEWS[params.test_flips]]
    boxes = [unflip(torch.from_numpy(np.array(view.boxes)), flip).numpy() for view, flip in zip(views, flips, strict=True)]
    return merge(boxes, logits, params.merge_iou) if len(views) > 1 else (boxes[0], logits[0])


def side_by_side(detectors: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All boxes in one array, so that they are compared with the objects once; see `Split`."""
    boxes = np.concatenate([boxes for boxes, _ in detectors.values()], axis=1)
    queries, together = boxes.shape[1] // len(detectors), {}
    for number, (name, (_, logits)) in enumerate(detectors.items()):
        together[name] = np.full((*boxes.shape[:2], logits.shape[2]), -np.inf, np.float32)
        together[name][:, number * queries : (number + 1) * queries] = logits
    return boxes, together


def composite_of(matches: list[ClassMatches], critical: list[int], params: Params) -> float:
    """The composite of one detector."""
    weights = np.ones((len(matches[0].objects), 1))
    return float(resampled_scores(matches, critical, params.lambdas, weights)["composite"][0])


def judge(split: Split, logits: np.ndarray, threshold: float, critical: list[str], params: Params) -> Report:
    """All numbers of one detector at the given score threshold."""
    sizes = image_sizes(split.ground_truth, split.image_id)
    found = detections(logits, split.boxes, sizes, split.image_id)
    coco = evaluate_coco(split.ground_truth, found, critical, params.lambdas)
    matches = split.evaluator.match(logits)
    point = OperatingPoint(split.evaluator, logits, threshold)
    recall = point.recall()
    score, correct = scored_detections(matches)
    metrics = coco.summary() | {
        "critical_recall": mean_over_classes(recall, class_indices(split.evaluator.classes, critical)),
        "calibration_error": expected_calibration_error(score, correct),
    }
    return Report(coco, point, recall, matches, reliability(score, correct), metrics)


def about_data(info: dict[str, Any]) -> dict[str, dict[str, int]]:
    """What a reader of the numbers must know of the data: records that were left out, classes without an object in train."""
    unseen = dict.fromkeys(info.get("unseen_in_train", []), 0)
    found = {"left_out": info.get("left_out", {}), "objects_in_train": unseen}
    return {key: value for key, value in found.items() if value}


def write_metrics(
    reports: dict[str, Report],
    intervals: dict[str, Interval],
    steps: dict[str, dict[str, float]],
    data: dict[str, dict[str, int]],
) -> dict:
    """Write the refined detector's metrics at the top, the baseline's and the comparison below; and per class.

    data: see :func:`about_data`; the key is there when there is something to say.
    """
    baseline, refined = (reports[name].metrics for name in DETECTORS)
    comparison = {
        "baseline": baseline,
        "delta": {name: refined[name] - baseline[name] for name in refined},
        "interval": {name: interval._asdict() for name, interval in intervals.items()},
        "composite_steps": steps,
        "threshold": {name: reports[name].point.threshold for name in DETECTORS},
    }
    comparison |= {"data": data} if data else {}
    write_json(METRICS_FILE, refined | comparison)
    per_class: dict[str, dict[str, dict[str, float]]] = {}
    for name, report in reports.items():
        for k, (class_name, values) in enumerate(report.coco.per_class.items()):
            if values["AP"] is not None:  # a class without an object in `test` has no numbers
                per_class.setdefault(class_name, {})[name] = values | {"recall": float(report.recall[k])}
    write_json(PER_CLASS_FILE, per_class)
    return refined | comparison


def write_samples(baseline: Scores, refined: Scores, params: Params, images: int) -> None:
    """Write the bootstrap samples, so that other revisions can be compared with this one (`zerostart.report`)."""
    paired_by = {
        "dataset": params.dataset,
        "test": hashlib.sha256((COCO / "test.json").read_bytes()).hexdigest(),
        "images": images,
        "seed": SEED,
        "samples": params.bootstrap_samples,
        "lambdas": params.lambdas.model_dump(),
    }
    write_json(SAMPLES_FILE, paired_by | {"baseline": to_json(baseline), "refined": to_json(refined)}, digits=5)


def write_plots(reports: dict[str, Report], classes: list[str]) -> None:
    """Write the tables behind the plots, in the order of the classes."""
    per_class, curves, calibration = [], [], []
    for k, class_name in enumerate(classes):
        for name, report in reports.items():
            precision = report.coco.precision_at_50(k)
            if precision is None:
                continue
            values = report.coco.per_class[class_name]
            per_class.append((class_name, name, *(f"{values[metric]:.6f}" for metric in ("AP", "AP50", "AR"))))
            points = range(0, len(precision), PR_STEP)
            curves += [(class_name, name, f"{i / 100:.2f}", f"{precision[i]:.4f}") for i in points]
    for name, report in reports.items():
        calibration += [(name, f"{b.confidence:.4f}", f"{b.precision:.4f}", b.count) for b in report.bins]
        cells = confusion_rows(report.point.confusion(), classes)
        write_csv(PLOTS / f"confusion_{name}.csv", ("actual", "predicted", "count"), cells)
    write_csv(PLOTS / "per_class.csv", ("class", "detector", "AP", "AP50", "AR"), per_class)
    write_csv(PLOTS / "pr.csv", ("class", "detector", "recall", "precision"), curves)
    write_csv(PLOTS / "calibration.csv", ("detector", "confidence", "precision", "count"), calibration)


def write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    with output_file(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_pictures(split: Split, reports: dict[str, Report], critical: list[str], raw: Path) -> None:
    """List the critical objects, and draw those that only one of the detectors finds."""
    files = {image["id"]: raw / image["file_name"] for image in split.ground_truth["images"]}

    def open_image(image_id: int) -> Image.Image:
        if not files[image_id].is_file():
            raise InputError(f"{files[image_id]}: no such file; {COCO / 'test.json'} lists it as image {image_id}")
        return open_rgb(files[image_id])

    points = {name: report.point for name, report in reports.items()}
    names = {image["id"]: image["file_name"] for image in split.ground_truth["images"]}
    write_csv(PLOTS / "critical_objects.csv", HEADER, critical_objects(split.evaluator, points, critical, names))
    won, lost = changes(split.evaluator, split.logits, points, critical)
    titles = {"won": "Critical objects that only the refined detector finds"}
    titles["lost"] = "Critical objects that only the baseline finds"
    for name, found in (("won", won), ("lost", lost)):
        with output_file(PLOTS / "images" / f"{name}.png") as path:
            draw_changes(found, titles[name], open_image).save(path)


if __name__ == "__main__":
    run_stage(main)
