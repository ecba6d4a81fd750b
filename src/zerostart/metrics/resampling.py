"""Resamples of images: what every bootstrap draws."""

from typing import NamedTuple

import numpy as np

LEVEL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


class Interval(NamedTuple):
    """A 95 % interval of a difference refined − baseline."""

    low: float
    high: float


def resample_weights(images: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """N×B float64: how often each of N images is in each of B resamples of N images."""
    return rng.multinomial(images, np.full(images, 1 / images), size=samples).T.astype(np.float64)


def percentile_interval(differences: np.ndarray) -> Interval:
    """The 95 % percentile interval of B differences; resamples without a value (NaN) are left out."""
    low, high = np.percentile(differences[~np.isnan(differences)], LEVEL)
    return Interval(float(low), float(high))
