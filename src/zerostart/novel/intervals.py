"""Intervals of a mean over seeds, kinds (or divisions) and images at once, and what follows from many comparisons.

A three-way bootstrap (Owen 2007, "The pigeonhole bootstrap"): in every resample the seeds, the kinds and the test images
are each drawn with replacement. Images were drawn when the AP was computed; seeds and kinds are drawn here, the same for
all arms.
"""

import math
from typing import NamedTuple

import numpy as np

from zerostart.metrics.resampling import LEVEL

POWER = 1.959964 + 0.841621
"""Standard errors of a difference that a two-sided test at 5 % finds in 80 % of all cases."""


class Estimate(NamedTuple):
    """A mean and how sure it is."""

    value: float
    low: float
    high: float
    """95 % percentile interval."""
    error: float
    """Standard error: the deviation of the resamples."""

    @property
    def p_value(self) -> float:
        """Two-sided, for a mean of 0, from value and standard error (normal)."""
        return math.erfc(abs(self.value) / self.error / math.sqrt(2)) if self.error > 0 else float(self.value == 0)

    @property
    def detectable(self) -> float:
        """Smallest true difference that would be found in 80 % of all cases."""
        return POWER * self.error

    def shown(self, sign: bool = False) -> str:
        """For a table."""
        return (
            f"{self.value:{'+' if sign else ''}.3f} [{self.low:{'+' if sign else ''}.3f}, {self.high:{'+' if sign else ''}.3f}]"
        )


def estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """values: S×K×(1+B), of S seeds and K kinds on the test images and on B resamples of them; NaN without an object."""
    seeds, kinds, columns = values.shape
    rng = np.random.default_rng(seed)
    drawn = []
    for column in range(1, columns):
        of_images = values[:, :, column]
        chosen = of_images[rng.integers(seeds, size=seeds)][:, rng.integers(kinds, size=kinds)]
        drawn.append(np.nanmean(chosen))
    low, high = np.percentile(drawn, LEVEL)
    return Estimate(float(np.nanmean(values[:, :, 0])), float(low), float(high), float(np.std(drawn, ddof=1)))


def of_each(values: np.ndarray) -> list[Estimate]:
    """The same for every kind or division by itself: seeds and images are drawn."""
    return [estimate(values[:, index : index + 1]) for index in range(values.shape[1])]


def holm(p_values: dict[str, float]) -> dict[str, float]:
    """p values corrected for their number (Holm 1979, step-down)."""
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    corrected, highest = {}, 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
