"""Bootstrap over images: what a detector scores on resamples of the test images, and over trainings as well.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile intervals). A resample draws N
images with replacement; detectors that are compared are judged on the same resamples. Matching is per image and so is done
once: a resample only weights every image by how often it was drawn.
"""

import numpy as np

from zerostart.metrics.coco import composite
from zerostart.metrics.frozen_boxes import ClassMatches, average_precision
from zerostart.metrics.resampling import Interval, percentile_interval
from zerostart.params import Lambdas


def seeds_and_images_interval(differences: np.ndarray, seed: int) -> Interval:
    """95 % interval of a mean difference over S trainings, both the trainings and the images resampled.

    differences: S×B, the difference of each training on each of B resamples of the images. In each of them S trainings are
    drawn with replacement (a two-way bootstrap, Owen 2007, "The pigeonhole bootstrap").
    """
    runs, samples = differences.shape
    drawn = np.random.default_rng(seed).integers(runs, size=(runs, samples))
    return percentile_interval(np.take_along_axis(differences, drawn, axis=0).mean(axis=0))


def weighted_metrics(matches: list[ClassMatches], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AP@[.50:.95] and AR@[.50:.95], both K×B, where image n counts weights[n, b] times; NaN without an object.

    Equal to COCO's on the images repeated that often, but for scores tied within an image.
    """
    ap, ar = np.full((2, len(matches), weights.shape[1]), np.nan)
    for k, match in enumerate(matches):
        positives = match.objects @ weights
        drawn = positives > 0
        ap[k, drawn], ar[k, drawn] = _class_metrics(match, weights[:, drawn], positives[drawn])
    return ap, ar


def _class_metrics(match: ClassMatches, weights: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if match.ignored is not None:
        return _with_crowds(match, weights, positives)
    ranks = np.flatnonzero(match.true_positive.any(axis=0))
    detections = _detections_up_to(ranks, match.image, weights)
    ap = np.zeros(weights.shape[1])
    ar = np.zeros(weights.shape[1])
    for hit in match.true_positive[:, ranks]:
        true_positives = np.cumsum(weights[match.image[ranks[hit]]], axis=0)
        ap += average_precision(true_positives, detections[hit], positives)
        ar += true_positives[-1] / positives if hit.any() else 0.0
    levels = len(match.true_positive)
    return ap / levels, ar / levels


def _with_crowds(match: ClassMatches, weights: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, level by level: which detections are ignored depends on the IoU threshold."""
    levels = []
    for hit, ignored in zip(match.true_positive, match.ignored, strict=True):
        kept = ~ignored
        one = match._replace(
            score=match.score[kept],
            image=match.image[kept],
            query=match.query[kept],
            true_positive=hit[None, kept],
            ignored=None,
        )
        levels.append(_class_metrics(one, weights, positives))
    ap, ar = (np.mean(values, axis=0) for values in zip(*levels, strict=True))
    return ap, ar


def _detections_up_to(ranks: np.ndarray, image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """M×B: weighted number of detections up to and including each of M ranks.

    Counting them per image first (M×N) makes one matrix product of it: far less work than a cumulative sum over
    all detections in every resample.
    """
    images = len(weights)
    segment = np.searchsorted(ranks, np.arange(ranks.max(initial=-1) + 1))  # the first rank not before a detection
    cell = segment * images + image[: len(segment)]
    counts = np.bincount(cell, minlength=len(ranks) * images).reshape(len(ranks), images)
    return np.cumsum(counts, axis=0).astype(np.float64) @ weights


def resampled_scores(
    matches: list[ClassMatches], critical: list[int], lambdas: Lambdas, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """mAP, AR_critical and composite (B each) of one detector on every resample (weights: N×B)."""
    ap, ar = weighted_metrics(matches, weights)
    mean_ap, ar_critical = _mean_of_drawn(ap), _mean_of_drawn(ar[critical])
    return {"mAP": mean_ap, "AR_critical": ar_critical, "composite": composite(mean_ap, ar_critical, lambdas)}


def _mean_of_drawn(values: np.ndarray) -> np.ndarray:
    """Mean over the classes (K×B -> B) that are not NaN; NaN where all are."""
    drawn = ~np.isnan(values)
    count = drawn.sum(axis=0)
    total = np.where(drawn, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
