"""How good a ranking is: coverage, precision, average precision and recall per query, means with intervals over photos."""

from typing import NamedTuple

import numpy as np

from zerostart.metrics.resampling import LEVEL, resample_weights


class Estimate(NamedTuple):
    """A mean over queries with its 95 % interval over photos."""

    value: float
    low: float
    high: float


def precision_at(relevant: np.ndarray, k: int) -> np.ndarray:
    """Share of relevant results among the first k (Q×N bool, in ranked order, to Q)."""
    return relevant[:, :k].mean(axis=1)


def found_at(relevant: np.ndarray, k: int) -> np.ndarray:
    """1 where any of the first k results is relevant, Q: recall@k of CLIP-like models (Radford et al. 2021)."""
    return relevant[:, :k].any(axis=1).astype(float)


def average_precision(relevant: np.ndarray) -> np.ndarray:
    """Average precision of full rankings (Q×N bool to Q): the mean of the precisions at each relevant result.

    A row without any relevant result is NaN.
    """
    hits = np.cumsum(relevant, axis=1)
    precision = hits / np.arange(1, relevant.shape[1] + 1)
    total = hits[:, -1]
    return np.divide((precision * relevant).sum(axis=1), total, out=np.full(len(relevant), np.nan), where=total > 0)


def estimate(values: np.ndarray, photos: np.ndarray, samples: int, seed: int) -> Estimate:
    """Mean of the queries' values (Q, or G×Q: the mean over groups of each group's mean) and its percentile interval.

    Photos, not crops, are drawn with replacement: crops of one photo are alike, and drawing them one by one would make the
    interval too narrow. NaN values are left out, and with them groups that a resample does not hold.
    """
    values = np.atleast_2d(values)
    names, photo = np.unique(photos, return_inverse=True)
    weights = resample_weights(len(names), samples, np.random.default_rng(seed))[photo]
    means = _macro_mean(values, weights)
    low, high = np.percentile(means[~np.isnan(means)], LEVEL)
    return Estimate(float(_macro_mean(values, np.ones((len(photos), 1)))[0]), float(low), float(high))


def _macro_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """G×Q values, Q×B weights to B means over groups; NaN where no group has a value."""
    known = ~np.isnan(values)
    counts = known.astype(float) @ weights
    sums = np.where(known, values, 0.0) @ weights
    present = counts > 0
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=present)
    return np.divide(means.sum(axis=0), present.sum(axis=0), out=np.full(weights.shape[1], np.nan), where=present.any(axis=0))
