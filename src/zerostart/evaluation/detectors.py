"""The detectors between the baseline and the refined one, step by step, side by side on one split."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from zerostart.cache.views import View, load_view, view_name
from zerostart.cache.writing import write_view
from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.mirror import FLIPS, TEST_VIEWS, unflip
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.errors import InputError
from zerostart.method.checkpoint import load_fusion
from zerostart.method.merged_views import merge
from zerostart.method.training import refined_logits
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.params import Params

FEATURES, RAW = Path("data/features"), Path("data/raw")
HEAD_TUNING, CHECKPOINT = Path("models/head_tuning"), Path("models/decoder_tuning")
STEPS = ("flips", "training", "decoder")
"""What makes the next detector of the one before it: mirror images, phases 1 and 2, and phase 3 if it tuned the decoder."""


class Split(NamedTuple):
    """One split with the boxes of all detectors, side by side, and the logits that each gives to its own."""

    ground_truth: dict[str, Any]
    boxes: np.ndarray
    """N×DQ×4: Q queries of each of D detectors."""
    image_id: np.ndarray
    logits: dict[str, np.ndarray]
    """From the baseline to the refined detector, step by step: N×DQ×K, minus infinity (no detection) at the others' boxes."""
    evaluator: FrozenBoxEvaluator


def load_split(name: str, params: Params) -> Split:
    """Read one split; raises InputError when it is missing, of another data set, or differs from its features."""
    path = f"data/coco/{name}.json"
    ground_truth = read_split(name)
    if ground_truth["info"]["dataset"] != params.dataset:
        found = ground_truth["info"]["dataset"]
        raise InputError(f"{path}: made from the data set {found!r}; {params.dataset!r} (params.yaml) is expected")
    classes = class_names(ground_truth)
    fusion = load_fusion(CHECKPOINT, classes)
    frozen = _load_views(FEATURES, name, params)
    image_id = np.asarray(frozen[0].image_id)
    detectors = {
        "baseline": (frozen[0].boxes, np.asarray(frozen[0].logits)),
        "flips": _merge_views(frozen, [np.asarray(view.logits) for view in frozen], params),
    }
    with _tuned_views(name, ground_truth, classes, params) as views:
        if views:
            heads = load_fusion(HEAD_TUNING, classes)
            detectors["head_tuning"] = _merge_views(frozen, [refined_logits(heads, view) for view in frozen], params)
        refined = [refined_logits(fusion, view) for view in views or frozen]
        detectors["refined"] = _merge_views(views or frozen, refined, params)
    boxes, logits = _side_by_side(detectors)
    try:
        evaluator = FrozenBoxEvaluator(boxes, image_id, ground_truth)
    except InputError as error:
        raise InputError(f"{FEATURES / name} and {path}: {error}") from None
    return Split(ground_truth, boxes, image_id, logits, evaluator)


def _load_views(folder: Path, name: str, params: Params) -> list[View]:
    """The cached views of a split that are merged."""
    return [load_view(folder, view_name(name, number)) for number in TEST_VIEWS[params.test_flips]]


@contextmanager
def _tuned_views(name: str, coco: dict, classes: list[str], params: Params) -> Iterator[list[View]]:
    """The same views as the detector with the tuned decoder has them; none if no decoder was tuned."""
    if not (CHECKPOINT / "model.safetensors").is_file():
        yield []
        return
    detector = load_detector(CHECKPOINT, classes)
    detector.to(default_device())
    with tempfile.TemporaryDirectory(dir="data", prefix=".tmp-tuned-") as folder:
        for number in TEST_VIEWS[params.test_flips]:
            path = Path(folder) / view_name(name, number)
            write_view(path, detector, coco, RAW / params.dataset, FLIPS[number])
        yield _load_views(Path(folder), name, params)


def _merge_views(views: list[View], logits: list[np.ndarray], params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N×Q×4) and logits (N×Q×K) of all views as one set of queries."""
    flips = [FLIPS[number] for number in TEST_VIEWS[params.test_flips]]
    boxes = [unflip(torch.from_numpy(np.array(view.boxes)), flip).numpy() for view, flip in zip(views, flips, strict=True)]
    return merge(boxes, logits, params.merge_iou) if len(views) > 1 else (boxes[0], logits[0])


def _side_by_side(detectors: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All boxes in one array, so that they are compared with the objects once; see `Split`."""
    boxes = np.concatenate([boxes for boxes, _ in detectors.values()], axis=1)
    queries, together = boxes.shape[1] // len(detectors), {}
    for number, (name, (_, logits)) in enumerate(detectors.items()):
        together[name] = np.full((*boxes.shape[:2], logits.shape[2]), -np.inf, np.float32)
        together[name][:, number * queries : (number + 1) * queries] = logits
    return boxes, together
