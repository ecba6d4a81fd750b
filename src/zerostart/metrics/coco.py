"""The judge: detections as DEIMv2's post-processor makes them, and the COCO metrics that faster-coco-eval gives them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from zerostart.datasets.splits import class_names
from zerostart.errors import InputError
from zerostart.metrics.boxes import pixel_boxes
from zerostart.params import Lambdas

TOP_K = 300
"""`num_top_queries` of DEIMv2: so many (query, class) scores of an image become detections."""
NORMAL = "normal"
"""Name of the class of flawless parts, where a data set has one."""
METRICS = ("mAP", "AP50", "AP75", "AR_critical", "composite", "mAP_without_normal")


@dataclass(frozen=True)
class CocoMetrics:
    """COCO metrics of one detector on one split; area `all`, at most 100 detections per class and image."""

    mAP: float
    """AP@[.50:.95], mean over the classes that have objects."""
    AP50: float
    AP75: float
    AR_critical: float
    """AR@[.50:.95], mean over the critical classes that have objects."""
    composite: float
    """λ1·mAP + λ2·AR_critical."""
    mAP_without_normal: float
    """mAP over the classes other than `normal`."""
    per_class: dict[str, dict[str, float | None]]
    """Class name -> AP, AP50, AR; all None for a class without an object, which no mean includes."""
    precision: np.ndarray
    """T×R×K interpolated precision: 10 IoU thresholds, 101 recall points, -1 for a class without an object."""
    recall: np.ndarray
    """T×K highest recall, -1 for a class without an object."""
    stats: np.ndarray
    """The 12 numbers of COCO's summary."""

    def summary(self) -> dict[str, float]:
        """The scalar metrics by name (:data:`METRICS`)."""
        return {name: getattr(self, name) for name in METRICS}

    def precision_at_50(self, class_index: int) -> np.ndarray | None:
        """101 precisions at recall 0, 0.01 ... 1 and IoU 0.5; None for a class without an object."""
        curve = self.precision[0, :, class_index]
        return curve if curve[0] > -1 else None


def class_indices(names: list[str], wanted: list[str]) -> list[int]:
    """Positions of the wanted classes; raises InputError naming the unknown ones, or when none is wanted."""
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        what = f"critical classes {unknown} are unknown" if unknown else "no critical class is named"
        raise InputError(f"{what}; at least one of {names} is expected")
    return [names.index(name) for name in wanted]


def composite(mean_ap: float, ar_critical: float, lambdas: Lambdas) -> float:
    """The score that selects and judges: λ1·mAP + λ2·AR_critical (numbers or arrays)."""
    return lambdas.map * mean_ap + lambdas.ar_critical * ar_critical


def image_sizes(ground_truth: dict[str, Any], image_ids: np.ndarray) -> np.ndarray:
    """N×(width, height) in pixels of the images; raises InputError unless they are exactly the ground truth's."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in ground_truth["images"]}
    ids = np.asarray(image_ids).tolist()
    if sorted(sizes) != sorted(ids):
        raise InputError(
            f"the {len(ids)} cached images are not the {len(sizes)} of the ground truth; "
            "the same image ids, each once, are expected"
        )
    return np.array([sizes[image_id] for image_id in ids], np.float64).reshape(-1, 2)


def scores(logits: np.ndarray) -> np.ndarray:
    """Sigmoid of the logits in float64, any shape; in float32 large logits would become ties.

    Raises InputError for logits that are not a number, which have no place in a ranking.
    """
    if np.isnan(logits).any():
        raise InputError("logits hold a NaN; finite numbers are expected")
    with np.errstate(over="ignore"):  # exp overflows to inf for a logit below -709, whose score 0 is right
        return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def detections(
    logits: np.ndarray, boxes: np.ndarray, sizes: np.ndarray, image_ids: np.ndarray, top_k: int = TOP_K
) -> np.ndarray:
    """Detections of N images: the `top_k` highest of their Q×K scores, highest first, ties by flattened index.

    logits N×Q×K (minus infinity: none), boxes N×Q×4 normalised cxcywh, sizes N×(width, height) in pixels, image_ids N.
    Returns M×7 float64: image id, x, y, width, height in pixels, score, class index (the rows that COCO's
    `loadRes` takes). Source: DEIMv2's `PostProcessor`, focal-loss branch.
    """
    images, queries, classes = logits.shape
    flat = scores(logits).reshape(images, queries * classes)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :top_k]
    image = np.repeat(np.arange(images), best.shape[1])
    index = best.ravel()
    box = pixel_boxes(boxes, sizes)[image, index // classes]
    columns = [np.asarray(image_ids)[image, None], box, flat[image, index, None], index[:, None] % classes]
    found = logits.reshape(images, -1)[image, index] > -np.inf
    return np.concatenate(columns, axis=1).astype(np.float64)[found]


def evaluate_coco(ground_truth: dict[str, Any], found: np.ndarray, critical: list[str], lambdas: Lambdas) -> CocoMetrics:
    """COCO metrics of the detections `found` (M×7, see :func:`detections`; M = 0 is legal).

    Raises InputError for unknown critical classes, and where no class or no critical class has an object.
    Source: Lin et al. 2014 (COCO), as implemented by faster-coco-eval.
    """
    names = class_names(ground_truth)
    critical_indices = class_indices(names, critical)
    _check_annotation_ids(ground_truth)
    truth = COCO(ground_truth, use_deepcopy=True)
    judge = COCOeval_faster(truth, truth.loadRes(found), iouType="bbox")
    judge.run()
    # T×R×K×A×M and T×K×A×M: area `all` is the first of four, 100 detections the last of three.
    precision, recall = judge.eval["precision"][:, :, :, 0, -1], judge.eval["recall"][:, :, 0, -1]

    present = [k for k in range(len(names)) if recall[0, k] > -1]
    ap, ar = precision.mean(axis=(0, 1)), recall.mean(axis=0)
    mean_ap = _mean(ap, present, "class")
    ar_critical = _mean(ar, [k for k in critical_indices if k in present], "critical class")
    return CocoMetrics(
        mAP=mean_ap,
        AP50=float(precision[0][:, present].mean()),
        AP75=float(precision[5][:, present].mean()),
        AR_critical=ar_critical,
        composite=composite(mean_ap, ar_critical, lambdas),
        mAP_without_normal=_mean(ap, [k for k in present if names[k] != NORMAL], f"class other than {NORMAL}"),
        per_class={
            name: dict(AP=float(ap[k]), AP50=float(precision[0, :, k].mean()), AR=float(ar[k]))
            if k in present
            else dict(AP=None, AP50=None, AR=None)
            for k, name in enumerate(names)
        },
        precision=precision,
        recall=recall,
        stats=np.asarray(judge.stats[:12]),
    )


def _check_annotation_ids(ground_truth: dict[str, Any]) -> None:
    """COCO's code takes the id 0 for "not matched" and would count that object as missed for ever."""
    for annotation in ground_truth["annotations"]:
        if annotation["id"] < 1:
            raise InputError(f"annotation id {annotation['id']} in the ground truth; ids from 1 are expected")


def _mean(values: np.ndarray, indices: list[int], what: str) -> float:
    if not indices:
        raise InputError(f"no {what} has an object in the ground truth; at least one is expected")
    return float(values[indices].mean())
