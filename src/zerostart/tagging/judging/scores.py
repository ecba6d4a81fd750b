"""How good are tags? Threshold-free and thresholded numbers of N×K scores, and their intervals by bootstrap."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from zerostart.metrics.calibration import expected_calibration_error
from zerostart.metrics.resampling import LEVEL, resample_weights


def tag_metrics(scores: np.ndarray, targets: np.ndarray, thresholds: np.ndarray, tags: tuple[str, ...]) -> dict:
    """Metrics of scores (N×K in [0, 1]) against targets (N×K of 0, 1); a score >= its tag's threshold (K) is a tag.

    A tag without a positive and a negative picture has no AP and AUC (None) and is in neither mean.
    """
    predicted = scores >= thresholds
    judged = [k for k in range(len(tags)) if 0 < targets[:, k].sum() < len(targets)]
    ap = {k: float(average_precision_score(targets[:, k], scores[:, k])) for k in judged}
    auc = {k: float(roc_auc_score(targets[:, k], scores[:, k])) for k in judged}
    f1, support = per_tag_f1(predicted, targets), targets.sum(axis=0)
    return {
        **accuracy_and_f1(predicted, targets),
        "mAP": float(np.mean(list(ap.values()))) if ap else 0.0,
        "mean_AUC": float(np.mean(list(auc.values()))) if auc else 0.0,
        "ECE": expected_calibration_error(scores.ravel(), targets.ravel() > 0),
        "per_tag": {
            tag: {"F1": float(f1[k]), "AP": ap.get(k), "AUC": auc.get(k), "pictures": int(support[k])}
            for k, tag in enumerate(tags)
        },
    }


def accuracy_and_f1(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Subset accuracy, macro F1 (over the tags that have a picture) and micro F1."""
    table = _resampled(predicted, targets, np.ones((len(targets), 1)))
    return {name: float(values[0]) for name, values in table.items()}


def per_tag_f1(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """K: F1 = 2·TP / (predicted + actual) of each tag; 0 where both are none."""
    true = targets > 0
    total = predicted.sum(axis=0) + true.sum(axis=0)
    return np.divide(2.0 * (predicted & true).sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)


def bootstrap_samples(predicted: np.ndarray, targets: np.ndarray, samples: int, seed: int) -> dict[str, np.ndarray]:
    """B values of each number of :func:`accuracy_and_f1`, one for each resample of the pictures.

    The same seed and number of pictures give the same resamples, so that two engines are compared pairwise.
    """
    return _resampled(predicted, targets, resample_weights(len(targets), samples, np.random.default_rng(seed)))


def mean_ap_samples(scores: np.ndarray, targets: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """B values of mAP on the resamples of :func:`bootstrap_samples`, each over the tags with a picture in it (none: NaN)."""
    weights = resample_weights(len(targets), samples, np.random.default_rng(seed))
    judged = [k for k in range(targets.shape[1]) if 0 < targets[:, k].sum() < len(targets)]
    if not judged:
        return np.zeros(samples)
    per_tag = np.stack([_weighted_ap(scores[:, k], targets[:, k], weights) for k in judged])
    present = ~np.isnan(per_tag)
    count = present.sum(axis=0)
    total = np.where(present, per_tag, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(samples, np.nan), where=count > 0)


def _weighted_ap(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision Σ (R_i − R_{i−1}) · P_i of each column of weights (N×B), ties one step; NaN without positives."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    hits = np.cumsum(weights[order] * targets[order, None], axis=0)[ends]
    total = np.cumsum(weights[order], axis=0)[ends]
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    gained = np.diff(hits, axis=0, prepend=0)
    return np.divide((gained * precision).sum(axis=0), hits[-1], out=np.full(hits.shape[1], np.nan), where=hits[-1] > 0)


def interval(values: np.ndarray) -> list[float]:
    """95 % percentile interval (low, high); resamples without a value (NaN) are left out."""
    return [float(value) for value in np.nanpercentile(values, LEVEL)]


def _resampled(predicted: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """weights: N×B, how often each picture counts."""
    true = targets > 0
    hits, guessed, actual = ((mask.T.astype(float) @ weights) for mask in (predicted & true, predicted, true))  # K×B
    total = guessed + actual
    f1 = np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)
    has_picture = actual > 0
    count = np.maximum(has_picture.sum(axis=0), 1)
    return {
        "subset_accuracy": (predicted == true).all(axis=1).astype(float) @ weights / weights.sum(axis=0),
        "macro_F1": (f1 * has_picture).sum(axis=0) / count,
        "micro_F1": 2 * hits.sum(axis=0) / np.maximum(total.sum(axis=0), 1),
    }


def best_thresholds(scores: np.ndarray, targets: np.ndarray, fallback: float) -> np.ndarray:
    """K: the threshold with the best F1 of each tag, halfway to the next lower score; `fallback` for a tag without a picture.

    Halfway, because a threshold equal to a score would change sides with its last bit.
    """
    chosen = np.full(targets.shape[1], fallback)
    for k in range(targets.shape[1]):
        if not targets[:, k].any():
            continue
        order = np.argsort(-scores[:, k], kind="stable")
        ranked, hits = scores[order, k], np.cumsum(targets[order, k])
        f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
        ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))  # equal scores are tags together
        best = ends[f1[ends].argmax()]
        below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
        chosen[k] = (ranked[best] + below) / 2
    return chosen
