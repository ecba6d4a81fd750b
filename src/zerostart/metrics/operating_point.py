"""A detector at work: one score threshold for all classes, and what is found, missed and confused at it.

At work a box has one class, so every query counts with its best class only, unlike in the COCO metrics.
"""

from typing import NamedTuple

import numpy as np

from zerostart.metrics.boxes import iou_matrix
from zerostart.metrics.frozen_boxes import ClassMatches, FrozenBoxEvaluator, scored_detections

IOU = 0.5
"""An object counts as found from this IoU on."""
BACKGROUND = "background"


class Detection(NamedTuple):
    """One box of one image with its best class."""

    score: float
    query: int
    label: int


class OperatingPoint:
    """What a detector with the given logits (N×Q×K, in the evaluator's input order) reports at a threshold."""

    def __init__(self, evaluator: FrozenBoxEvaluator, logits: np.ndarray, threshold: float):
        self.threshold = threshold
        self._evaluator = evaluator
        self._matches = evaluator.match(best_class_only(logits))
        self.detections = _by_image(self._matches, threshold, len(evaluator.image_ids))
        """Per image, by ascending image id: its detections with a score >= threshold, highest first."""

    def recall(self) -> np.ndarray:
        """K: share of the objects of each class found with the right class; NaN for a class without an object."""
        found = np.array([(m.true_positive[0] & (m.score >= self.threshold)).sum() for m in self._matches])
        objects = np.array([m.objects.sum() for m in self._matches])
        return np.divide(found, objects, out=np.full(len(found), np.nan), where=objects > 0)

    def resampled_recall(self, weights: np.ndarray) -> np.ndarray:
        """K×B: the recall on B resamples of the N images (weights N×B, in ascending order of image id)."""
        images = len(weights)
        kept = [m.true_positive[0] & (m.score >= self.threshold) for m in self._matches]
        found = np.stack([np.bincount(m.image[k], minlength=images) for m, k in zip(self._matches, kept, strict=True)])
        objects = np.stack([m.objects for m in self._matches]) @ weights
        return np.divide(found @ weights, objects, out=np.full(objects.shape, np.nan), where=objects > 0)

    def confusion(self) -> np.ndarray:
        """(K+1)×(K+1) counts, rows actual, columns predicted, background last (missed, and found where nothing is).

        An object goes to one detection of whatever class: in order of score, each takes the free object with the
        highest IoU.
        """
        background = len(self._evaluator.classes)
        counts = np.zeros((background + 1, background + 1), np.int64)
        for image, objects in enumerate(self._evaluator.objects):
            actual = [annotation["category_id"] for annotation in objects]
            found = self._match(image, same_class=False)
            for detection, taken in zip(self.detections[image], found, strict=True):
                if taken is None and self._in_crowd(image, detection):
                    continue
                counts[background if taken is None else actual[taken], detection.label] += 1
            for missed in set(range(len(actual))) - set(found):
                counts[actual[missed], background] += 1
        return counts

    def _in_crowd(self, image: int, detection: Detection) -> bool:
        """Whether a detection lies in a crowd region of its class, where it is neither right nor wrong."""
        levels = self._evaluator.crowd_levels
        return levels is not None and bool(levels[image, detection.query, detection.label])

    def found(self) -> dict[int, tuple[int, Detection]]:
        """Annotation id -> (image index, detection) of every object found with the right class."""
        return {
            objects[taken]["id"]: (image, detection)
            for image, objects in enumerate(self._evaluator.objects)
            for detection, taken in zip(self.detections[image], self._match(image, same_class=True), strict=True)
            if taken is not None
        }

    def _match(self, image: int, same_class: bool) -> list[int | None]:
        """For each detection of the image the index of the object that it takes, or None."""
        objects, found = self._evaluator.objects[image], self.detections[image]
        if not objects or not found:
            return [None] * len(found)
        iou = iou_matrix(
            self._evaluator.boxes[image, [detection.query for detection in found]],
            np.array([annotation["bbox"] for annotation in objects], np.float64),
        )
        if same_class:
            actual = np.array([annotation["category_id"] for annotation in objects])
            iou[np.array([detection.label for detection in found])[:, None] != actual] = 0
        taken: list[int | None] = []
        for row in iou:  # a view: clearing a column below takes the object from the later rows
            best = len(row) - 1 - int(row[::-1].argmax())  # the last of equal IoUs, as pycocotools
            if row[best] >= IOU:
                taken.append(best)
                iou[:, best] = 0
            else:
                taken.append(None)
        return taken


def best_class_only(logits: np.ndarray) -> np.ndarray:
    """Logits (N×Q×K) with all but the highest class of each query, the first in a tie, at minus infinity."""
    best = logits.argmax(axis=2)[:, :, None]
    return np.where(np.arange(logits.shape[2]) == best, logits, -np.inf)


def best_threshold(evaluator: FrozenBoxEvaluator, logits: np.ndarray) -> float:
    """The score threshold with the highest F1 at IoU 0.5, micro-averaged over the classes; the highest in a tie.

    logits: N×Q×K of the split that may choose (val). Detections with score >= threshold count.
    """
    matches = evaluator.match(best_class_only(logits))
    score, correct = scored_detections(matches)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] > 0]  # the classes that are not a query's best have score 0 and never count
    score, hits = score[order], np.cumsum(correct[order])
    f1 = 2 * hits / (np.arange(1, len(score) + 1) + sum(m.objects.sum() for m in matches))
    ends = np.flatnonzero(np.append(score[1:] < score[:-1], True))  # a threshold takes equal scores together
    return float(score[ends[f1[ends].argmax()]])


def confusion_rows(counts: np.ndarray, classes: list[str]) -> list[tuple[str, str, int]]:
    """(actual, predicted, count) for every cell of a confusion matrix, zeros included, background last."""
    names = [*classes, BACKGROUND]
    return [(a, p, int(counts[i, j])) for i, a in enumerate(names) for j, p in enumerate(names)]


def _by_image(matches: list[ClassMatches], threshold: float, images: int) -> list[list[Detection]]:
    detections: list[list[Detection]] = [[] for _ in range(images)]
    for label, m in enumerate(matches):
        # The classes that are not a query's best have score 0 and never count.
        for i in np.flatnonzero((m.score >= threshold) & (m.score > 0)):
            detections[m.image[i]].append(Detection(float(m.score[i]), int(m.query[i]), label))
    return [sorted(found, key=lambda d: (-d.score, d.query)) for found in detections]
