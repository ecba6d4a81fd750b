"""Are the scores probabilities? The detection expected calibration error (D-ECE) over the confidence.

Küppers et al. 2020, "Multivariate Confidence Calibration for Object Detection" (CVPR workshops, arXiv 2004.13546):
accuracy is replaced by precision, since a detector is never told where nothing is. Here with confidence as the
only variable. The paper leaves the bins, the IoU and the lowest score to the user; ours are below.
"""

from typing import NamedTuple

import numpy as np

BINS = 10
"""Equal-width bins of [0, 1]."""
MINIMUM_SCORE = 0.05
"""Lower scores are left out: the hundreds of near-zero queries of each image would drown all others."""


class Bin(NamedTuple):
    """Detections of similar score."""

    confidence: float
    """Mean score."""
    precision: float
    """Share of true positives at IoU 0.5."""
    count: int


def reliability(score: np.ndarray, correct: np.ndarray) -> list[Bin]:
    """Precision against confidence: the non-empty bins, by ascending score; empty without a score >= 0.05."""
    index = np.minimum((score * BINS).astype(int), BINS - 1)  # a score of 1 belongs to the last bin
    index[score < MINIMUM_SCORE] = -1
    members = [index == i for i in range(BINS) if (index == i).any()]
    return [Bin(float(score[m].mean()), float(correct[m].mean()), int(m.sum())) for m in members]


def expected_calibration_error(score: np.ndarray, correct: np.ndarray) -> float:
    """D-ECE = Σ n_bin/n · |precision_bin − confidence_bin| (0 is best); 0 without a score >= 0.05.

    score: D scores in [0, 1]; correct: D booleans, true positive at IoU 0.5.
    """
    bins = reliability(score, correct)
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.precision - b.confidence) for b in bins) / total if total else 0.0
