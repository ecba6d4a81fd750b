"""Fast COCO metrics for frozen boxes: IoUs are computed once, every call only ranks new logits.

Equal to pycocotools (area `all`, 100 detections per class and image) at a small part of its time, because with
frozen boxes only (image, class) pairs that hold an object can hold true positives, and only for the queries that
reach IoU 0.5 with one. Those are matched in parallel over the pairs; everything else is a false positive.
"""

from typing import Any, NamedTuple

import numpy as np

from zerostart.datasets.splits import class_names
from zerostart.errors import InputError
from zerostart.metrics.boxes import iou_matrix, pixel_boxes
from zerostart.metrics.coco import TOP_K, image_sizes, scores

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100
"""Detections per class and image that COCO looks at."""


class ClassMatches(NamedTuple):
    """The detections of one class over all images, highest score first, each found right or wrong."""

    score: np.ndarray
    """D scores, descending; ties by image id, then by query."""
    image: np.ndarray
    """D indices of images, in ascending order of image id."""
    query: np.ndarray
    """D indices of queries."""
    true_positive: np.ndarray
    """T×D booleans, one row per IoU threshold."""
    objects: np.ndarray
    """N: objects of this class per image, in ascending order of image id."""
    ignored: np.ndarray | None = None
    """T×D booleans: neither right nor wrong, as they lie in a crowd region; None where there is no such region."""


class _Pairs(NamedTuple):
    """The (image, class) pairs with candidates, most candidates first, and their candidates, pair by pair."""

    pair: np.ndarray
    """M: index of the candidate's pair."""
    flat: np.ndarray
    """M: (image·Q + query)·K + class of the candidate, a position in the flattened scores; ascending in a pair."""
    iou: np.ndarray
    """M×G: IoU with the objects of the pair, the last object first, 0 where it has fewer than G."""
    start: np.ndarray
    """P: position of the pair's first candidate."""
    active: list[int]
    """active[r] is the number of pairs with more than r candidates."""


class FrozenBoxEvaluator:
    """Ranks and matches the logits of a detector whose boxes do not change.

    boxes: N×Q×4 normalised cxcywh. image_ids: N, in any order; the logits have the same order.
    ground_truth: COCO dictionary of the same images, categories 0..K-1.
    Crowd regions (`iscrowd`) are no objects: an unmatched detection of their class inside one is ignored, as COCO does.
    Raises InputError when images or shapes differ, and where there is no object at all.
    """

    def __init__(self, boxes: np.ndarray, image_ids: np.ndarray, ground_truth: dict[str, Any], top_k: int = TOP_K):
        self.classes = class_names(ground_truth)
        self.top_k = top_k
        # pycocotools breaks ties by ascending image id.
        self.order = np.argsort(image_ids, kind="stable")
        """N: positions in the caller's arrays, by ascending image id."""
        self.image_ids = np.asarray(image_ids)[self.order]
        sizes = image_sizes(ground_truth, self.image_ids)
        self.boxes = pixel_boxes(np.asarray(boxes)[self.order], sizes)
        """N×Q×4 xywh in pixels, in ascending order of image id."""
        self.objects = _objects_per_image(ground_truth, self.image_ids, crowd=False)
        """Per image, in ascending order of its id: its annotations in the order of the file, without crowd regions."""
        self.crowd_levels = _crowd_levels(self.boxes, _objects_per_image(ground_truth, self.image_ids, True), len(self.classes))
        """N×Q×K: how many of the IoU thresholds a box reaches with a crowd region of a class; None without any region."""
        self._counts = np.zeros((len(self.image_ids), len(self.classes)), np.int64)
        for image, annotations in enumerate(self.objects):
            for annotation in annotations:
                self._counts[image, annotation["category_id"]] += 1
        if not self._counts.any():
            raise InputError("the ground truth has no object; at least one is expected")
        self._pairs = _candidate_pairs(self.boxes, self.objects, len(self.classes))

    def evaluate(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """AP@[.50:.95] and AR@[.50:.95] of each class (K, K) for logits N×Q×K; NaN for a class without an object."""
        ap, ar = np.full((2, len(self.classes)), np.nan)
        for k, matches in enumerate(self.match(logits)):
            positives = matches.objects.sum()
            if positives == 0:
                continue
            hits = [np.flatnonzero(row) for row in matches.true_positive]
            counted = [h + 1.0 for h in hits]
            if matches.ignored is not None:
                counted = [np.cumsum(~row)[h].astype(float) for row, h in zip(matches.ignored, hits, strict=True)]
            pairs = zip(hits, counted, strict=True)
            ap[k] = np.mean([average_precision(np.arange(1.0, len(h) + 1), n, positives) for h, n in pairs])
            ar[k] = np.mean([len(h) / positives for h in hits])
        return ap, ar

    def match(self, logits: np.ndarray) -> list[ClassMatches]:
        """Rank the detections of each class and match them greedily, as pycocotools does.

        logits: N×Q×K; minus infinity is no detection. Raises InputError for other logits that are no finite number.
        """
        expected = (*self.boxes.shape[:2], len(self.classes))
        if logits.shape != expected:
            raise InputError(f"logits of shape {logits.shape}; {expected} (images, queries, classes) is expected")
        logits = logits[self.order]
        if not (logits < np.inf).all():
            raise InputError("a logit is not a finite number; are the cached features, is a learning rate too high?")
        images, queries, classes = expected
        ranked = np.where(logits > -np.inf, scores(logits), -1.0).reshape(images, queries * classes)
        if queries * classes > self.top_k:
            ranked = keep_best(ranked, self.top_k)
        ranked = ranked.reshape(expected)
        if queries > MAX_DETECTIONS:
            by_class = np.moveaxis(ranked, 2, 1).reshape(images * classes, queries)
            ranked = np.moveaxis(keep_best(by_class, MAX_DETECTIONS).reshape(images, classes, queries), 1, 2)
        true_positive = self._true_positives(ranked.reshape(-1)).reshape(-1, images * queries, classes)
        found = [_class_matches(ranked[:, :, k], true_positive[:, :, k], self._counts[:, k]) for k in range(classes)]
        return found if self.crowd_levels is None else [self._with_ignored(matches, k) for k, matches in enumerate(found)]

    def _with_ignored(self, matches: ClassMatches, k: int) -> ClassMatches:
        reached = self.crowd_levels[matches.image, matches.query, k]
        ignored = (reached > np.arange(len(IOU_THRESHOLDS))[:, None]) & ~matches.true_positive
        return matches._replace(ignored=ignored)

    def _true_positives(self, ranked: np.ndarray) -> np.ndarray:
        """T×(N·Q·K) booleans: the detections that COCO's greedy matching pairs with an object.

        Step r takes the r-th best candidate of every pair at once. It gets the free object with the highest IoU,
        the last such object in a tie, if that IoU reaches the threshold.
        """
        pairs, levels = self._pairs, len(IOU_THRESHOLDS)
        # Stable, so ties by query. Dropped candidates (-1) come last and can take no object from the others.
        order = np.lexsort((-ranked[pairs.flat], pairs.pair))
        free = np.ones((len(pairs.start), levels, pairs.iou.shape[1]), bool)
        hits = np.zeros((len(pairs.flat), levels), bool)
        for rank, active in enumerate(pairs.active):
            candidate = order[pairs.start[:active] + rank]
            iou = np.where(free[:active], pairs.iou[candidate, None, :], 0.0)
            best = iou.argmax(axis=2)  # the first of equal IoUs, which is the last object: they stand reversed
            value = np.take_along_axis(iou, best[:, :, None], axis=2)[:, :, 0]
            hit = value >= IOU_THRESHOLDS
            hits[candidate] = hit
            pair, level = np.nonzero(hit)
            free[pair, level, best[pair, level]] = False
        true_positive = np.zeros((levels, len(ranked)), bool)
        true_positive[:, pairs.flat] = hits.T
        return true_positive


def average_precision(true_positives: np.ndarray, detections: np.ndarray, positives: np.ndarray | float) -> np.ndarray:
    """101-point interpolated AP from the ranks that hold a true positive.

    true_positives, detections: M×..., cumulative counts at each of M true positives, by descending score;
    positives: ..., number of objects (above 0). Trailing dimensions are evaluated independently.
    Between true positives precision only falls, so the M ranks determine its envelope. Each recall point takes
    the envelope at the first rank whose recall reaches it, and 0 beyond the last.
    Source: `COCOeval.accumulate` of pycocotools.
    """
    if len(true_positives) == 0:
        return np.zeros(np.shape(positives))
    precision = true_positives / (detections + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    reached = np.searchsorted(RECALLS, true_positives / positives, side="right")
    points = np.diff(reached, axis=0, prepend=0)
    return (envelope * points).sum(axis=0) / len(RECALLS)


def mean_over_classes(values: np.ndarray, class_indices: list[int] | None = None) -> float:
    """Mean of per-class values over all, or the given, classes that have objects (the others are NaN).

    Raises InputError when none of them has an object.
    """
    chosen = values if class_indices is None else values[class_indices]
    if np.isnan(chosen).all():
        raise InputError("none of the classes has an object in the ground truth; at least one is expected")
    return float(np.nanmean(chosen))


def _class_matches(ranked: np.ndarray, true_positive: np.ndarray, objects: np.ndarray) -> ClassMatches:
    flat = ranked.ravel()
    kept = np.flatnonzero(flat >= 0)
    # A stable sort over (image, query) is pycocotools' two stable sorts in one: in the image, then over the images.
    kept = kept[np.argsort(-flat[kept], kind="stable")]
    image, query = np.divmod(kept, ranked.shape[1])
    return ClassMatches(flat[kept], image, query, true_positive[:, kept], objects)


def keep_best(values: np.ndarray, count: int) -> np.ndarray:
    """Keep the `count` highest values of each row, ties by position, and set the others to -1."""
    last = np.partition(values, -count, axis=1)[:, -count, None]
    above, tied = values > last, values == last
    room = count - above.sum(axis=1, keepdims=True)
    return np.where(above | (tied & (np.cumsum(tied, axis=1) <= room)), values, -1.0)


def _objects_per_image(ground_truth: dict[str, Any], image_ids: np.ndarray, crowd: bool) -> list[list[dict[str, Any]]]:
    """Per image its single objects, or its crowd regions."""
    objects: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in image_ids.tolist()}
    for annotation in ground_truth["annotations"]:
        if bool(annotation.get("iscrowd")) == crowd:
            objects[annotation["image_id"]].append(annotation)
    return list(objects.values())


def _crowd_levels(boxes: np.ndarray, regions: list[list[dict[str, Any]]], classes: int) -> np.ndarray | None:
    """N×Q×K counts of thresholds that a box reaches with a region: there the overlap is the share of the box inside it."""
    if not any(regions):
        return None
    levels = np.zeros((*boxes.shape[:2], classes), np.int8)
    for image, annotations in enumerate(regions):
        for annotation in annotations:
            share = iou_matrix(boxes[image], np.array([annotation["bbox"]], np.float64), crowd=True)
            reached = (share >= IOU_THRESHOLDS).sum(axis=1)
            of_class = levels[image, :, annotation["category_id"]]
            np.maximum(of_class, reached, out=of_class, casting="unsafe")
    return levels


def _candidate_pairs(boxes: np.ndarray, objects: list[list[dict[str, Any]]], classes: int) -> _Pairs:
    """Collect, for each (image, class), the queries that reach the lowest IoU threshold with one of its objects."""
    queries = boxes.shape[1]
    found = []
    for image, annotations in enumerate(objects):
        for k in sorted({annotation["category_id"] for annotation in annotations}):
            truth = np.array([a["bbox"] for a in annotations[::-1] if a["category_id"] == k], np.float64)
            iou = iou_matrix(boxes[image], truth)
            query = np.flatnonzero(iou.max(axis=1) >= IOU_THRESHOLDS[0])
            if len(query):
                found.append(((image * queries + query) * classes + k, iou[query]))
    found.sort(key=lambda pair: -len(pair[0]))
    counts = np.array([len(flat) for flat, _ in found], np.int64)
    widest = max((iou.shape[1] for _, iou in found), default=1)
    padded = [np.pad(iou, ((0, 0), (0, widest - iou.shape[1]))) for _, iou in found]
    return _Pairs(
        pair=np.repeat(np.arange(len(found)), counts),
        flat=np.concatenate([flat for flat, _ in found] or [np.zeros(0, np.int64)]),
        iou=np.concatenate([*padded, np.zeros((0, widest))]),
        start=np.cumsum(counts) - counts,
        active=[int((counts > rank).sum()) for rank in range(counts.max(initial=0))],
    )


def scored_detections(matches: list[ClassMatches]) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the detections of all classes, and whether each is a true positive at IoU 0.5; ignored ones left out."""
    kept = [slice(None) if m.ignored is None else ~m.ignored[0] for m in matches]
    score = np.concatenate([m.score[which] for m, which in zip(matches, kept, strict=True)])
    return score, np.concatenate([m.true_positive[0][which] for m, which in zip(matches, kept, strict=True)])
