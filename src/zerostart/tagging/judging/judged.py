"""Judge both engines on both domains: gap, forgetting, references, tiling by object size, `auto`."""

from typing import NamedTuple

import numpy as np

from zerostart.tagging.judging.scores import bootstrap_samples, interval, mean_ap_samples, tag_metrics

NO_TAG = "no tag"
AREA_LIMITS = {"small": (0.0, 0.04), "medium": (0.04, 0.1), "large": (0.1, 1.01)}
"""Sizes of objects by their box's share of the picture."""


class Judged(NamedTuple):
    """One engine's scores on one test split."""

    scores: np.ndarray
    """N×K in [0, 1]."""
    thresholds: np.ndarray
    """K."""
    targets: np.ndarray
    """N×K of 0, 1."""

    @property
    def predicted(self) -> np.ndarray:
        """N×K bool: the tags given."""
        return self.scores >= self.thresholds

    def by_threshold(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores, targets, thresholds: the arguments of :func:`~zerostart.tagging.judging.scores.tag_metrics`."""
        return self.scores, self.targets, self.thresholds

    def resampled(self, samples: int, seed: int) -> dict[str, np.ndarray]:
        """B values of subset accuracy, macro F1, micro F1 and mAP; the same pictures in each for the same B, N and seed."""
        table = bootstrap_samples(self.predicted, self.targets, samples, seed)
        return table | {"mAP": mean_ap_samples(self.scores, self.targets, samples, seed)}


def report(judged: Judged, tags: tuple[str, ...], samples: int, seed: int) -> dict:
    """The metrics of an engine on a domain, and their 95 % intervals over its pictures."""
    resampled = judged.resampled(samples, seed)
    metrics = tag_metrics(*judged.by_threshold(), tags)
    return metrics | {"intervals": {name: interval(values) for name, values in resampled.items()}}


def difference(first: Judged, second: Judged, tags: tuple[str, ...], samples: int, seed: int, paired: bool) -> dict[str, dict]:
    """first − second in each number, with its 95 % bootstrap interval.

    paired: both are of the same pictures, which are then resampled together; else each on its own.
    """
    numbers = [tag_metrics(*judged.by_threshold(), tags) for judged in (first, second)]
    one, two = first.resampled(samples, seed), second.resampled(samples, seed if paired else seed + 1)
    return {name: {"value": numbers[0][name] - numbers[1][name], "interval": interval(one[name] - two[name])} for name in one}


def most_frequent_tags(train_targets: np.ndarray, targets: np.ndarray) -> Judged:
    """Every picture gets the set of tags that most training pictures have (of equally many the first in binary order)."""
    sets, counts = np.unique(train_targets, axis=0, return_counts=True)
    constant = sets[counts.argmax()].astype(float)
    return Judged(np.tile(constant, (len(targets), 1)), np.full(targets.shape[1], 0.5), targets)


def confusion(judged: Judged, tags: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """(actual, predicted, count) for all pairs of tags and "no tag".

    A tag that was found counts on the diagonal. A missed one counts at each wrong tag that the picture got instead, or at "no
    tag" if it got none. A wrong tag of a picture whose own tags were all found counts in the row "no tag".
    """
    names = [*tags, NO_TAG]
    counts = np.zeros((len(names), len(names)), int)
    for given, true in zip(judged.predicted, judged.targets > 0, strict=True):
        wrong = np.flatnonzero(given & ~true).tolist()
        missed = np.flatnonzero(true & ~given).tolist()
        for k in np.flatnonzero(given & true):
            counts[k, k] += 1
        for k in missed:
            counts[k, wrong or [-1]] += 1
        if not missed:
            counts[-1, wrong or ([-1] if not true.any() else [])] += 1
    return [(a, p, int(counts[i, j])) for i, a in enumerate(names) for j, p in enumerate(names)]


def recall_by_size(judged: Judged, areas: np.ndarray) -> dict[str, dict]:
    """Recall and false alarms by object size; areas: N×K, 0 where not known (such objects are left out).

    recall: share of the tags whose largest object is of a size that were given. false_alarms: wrong tags per picture, over the
    pictures whose largest object is of that size; "none" are the pictures without any tag.
    """
    wrong = (judged.predicted & (judged.targets == 0)).sum(axis=1)
    largest = areas.max(axis=1)
    rows = {}
    for name, (low, high) in AREA_LIMITS.items():
        tags = (areas > low) & (areas <= high)
        pictures = (largest > low) & (largest <= high)
        rows[name] = {
            "tags": int(tags.sum()),
            "recall": float(judged.predicted[tags].mean()) if tags.any() else None,
            "false_alarms": float(wrong[pictures].mean()) if pictures.any() else None,
        }
    empty = judged.targets.sum(axis=1) == 0
    rows["none"] = {"tags": 0, "recall": None, "false_alarms": float(wrong[empty].mean()) if empty.any() else None}
    return rows


def verdict(reports: dict[str, dict[str, dict]], suited: dict[str, dict[str, dict]], gain: dict[str, dict[str, dict]]) -> str:
    """What adaptation brought on photos and cost at home, and which tags an engine never gets right.

    reports: domain -> engine -> metrics, at the thresholds in use. suited: the same at thresholds chosen on each domain's own
    val; gain: domain -> metric -> difference hd − standard at those. mAP, which has no thresholds, comes first.
    """

    def change(domain: str, name: str) -> str:
        before, after = (suited[domain][engine][name] for engine in ("standard", "hd"))
        value, (low, high) = gain[domain][name]["value"], gain[domain][name]["interval"]
        return f"{before:.3f} before adaptation, {after:.3f} after ({value:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})"

    text = (
        f"Photos: mAP {change('real', 'mAP')}; macro F1, with thresholds chosen on photos for both engines,"
        f" {change('real', 'macro_F1')}. Academic pictures: mAP {change('academic', 'mAP')}."
    )
    zero = [
        f"{tag} ({engine} on {'photos' if domain == 'real' else 'academic pictures'})"
        for domain, engines in reports.items()
        for engine, metrics in engines.items()
        for tag, numbers in metrics["per_tag"].items()
        if numbers["F1"] == 0 and numbers["pictures"]
    ]
    return text + (f" F1 is zero for {', '.join(zero)}." if zero else " No tag has an F1 of zero.")
