"""The cure of calibration: one temperature, chosen on val; and how sure a calibration error is."""

import numpy as np

from zerostart.metrics.calibration import BINS, MINIMUM_SCORE


def resampled_errors(score: np.ndarray, correct: np.ndarray, image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The error on B resamples of N images, weights N×B; image: D positions of the detections' images."""
    index = np.minimum((score * BINS).astype(int), BINS - 1)  # a score of 1 belongs to the last bin
    kept = score >= MINIMUM_SCORE
    surplus, count = np.zeros((2, len(weights), BINS))
    np.add.at(surplus, (image[kept], index[kept]), correct[kept] - score[kept])
    np.add.at(count, (image[kept], index[kept]), 1.0)
    total = count.sum(axis=1) @ weights
    error = np.abs(surplus.T @ weights).sum(axis=0)
    return np.divide(error, total, out=np.zeros_like(total), where=total > 0)


def best_temperature(score: np.ndarray, correct: np.ndarray) -> float:
    """The T by which logits are divided so that the likelihood of D detections (of val) is highest.

    Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599, section 4.2), for sigmoids. From a grid of
    1 % steps between 0.2 and 5.
    """
    logits = _logits(score)
    signed = np.where(correct, logits, -logits)
    grid = np.exp(np.arange(-161, 162) / 100)
    return float(min(grid, key=lambda temperature: np.logaddexp(0.0, -signed / temperature).sum()))


def tempered(score: np.ndarray, temperature: float) -> np.ndarray:
    """Scores whose logits are divided by T: none passes another, AP and the choice at a threshold stay as they are."""
    return 1 / (1 + np.exp(-_logits(score) / temperature))


def _logits(score: np.ndarray) -> np.ndarray:
    kept = np.clip(score.astype(np.float64), 1e-12, 1 - 1e-12)
    return np.log(kept) - np.log1p(-kept)
