"""Evaluation in the training loop and at the end, against pycocotools on the same detections."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from report import alternating, report

from zerostart.cache.views import load_view
from zerostart.datasets.splits import read_split
from zerostart.metrics.coco import detections, evaluate_coco, image_sizes
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator, mean_over_classes
from zerostart.params import load_params

coco, view = read_split("val"), load_view("data/features", "val")
critical, lambdas = coco["info"]["critical"], load_params().lambdas
sizes = image_sizes(coco, view.image_id)
evaluator = FrozenBoxEvaluator(view.boxes, view.image_id, coco)
logits = np.asarray(view.logits)
found = detections(logits, view.boxes, sizes, view.image_id)
mean_ap = {}


def peer() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(coco))
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found.copy()), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    mean_ap["pycocotools"] = judge.stats[0]


def in_loop() -> None:
    mean_ap["in the loop"] = mean_over_classes(evaluator.evaluate(logits)[0])


def final() -> None:
    mean_ap["final"] = evaluate_coco(coco, found.copy(), critical, lambdas).mAP


for name, way in (("in_loop", in_loop), ("final", final)):
    slow, fast = alternating(peer, way)
    assert max(mean_ap.values()) - min(mean_ap.values()) < 1e-9, mean_ap
    report(
        f"evaluation_{name}",
        f"{slow / fast:.0f} times as fast as pycocotools, the same mAP"
        f" ({fast:.3f} against {slow:.3f} s for {len(logits)} images)",
        ratio=slow / fast,
        seconds=fast,
        pycocotools_seconds=slow,
        images=len(logits),
    )
