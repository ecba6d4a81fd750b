"""The bootstrap samples of an evaluation, kept: their differences are paired intervals, between two experiments as well.

Every experiment draws the same resamples of the same test images. So the scores of two detectors on resample b belong
together, even if one was judged a year ago on another machine (`zerostart.metrics.bootstrap` says what an interval means).
"""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from zerostart.config import FrozenModel, Name, explain_problems
from zerostart.errors import InputError
from zerostart.metrics.bootstrap import resampled_scores
from zerostart.metrics.coco import composite
from zerostart.metrics.frozen_boxes import ClassMatches
from zerostart.metrics.resampling import Interval, percentile_interval, resample_weights
from zerostart.params import Lambdas

SEED = 0
"""Of the resamples, whatever an experiment's own seed is: two seeds of training are compared on the same resamples."""
METRICS = ("mAP", "AR_critical", "composite")

Scores = dict[str, np.ndarray]
"""B values (one per resample) of mAP, AR_critical and composite; NaN where a resample has no such object."""
Samples = Annotated[tuple[float | None, ...], Field(min_length=1)]


class DetectorSamples(FrozenModel):
    """B values of each metric that the composite is made of; None where a resample has no such object."""

    mAP: Samples
    AR_critical: Samples


class PairedSamples(FrozenModel):
    """One evaluation's samples, and all that must be equal for a comparison with those of another to be paired."""

    dataset: Annotated[Name, Field(pattern=r"^[^<>&`*|@\[\]]+$")]
    test: str
    """sha256 of data/coco/test.json: images and objects."""
    images: int
    seed: Literal[0]
    samples: int
    lambdas: Lambdas
    baseline: DetectorSamples
    refined: DetectorSamples

    @model_validator(mode="after")
    def _equally_many(self) -> Self:
        found = {len(values) for d in (self.baseline, self.refined) for values in (d.mAP, d.AR_critical)}
        if found != {self.samples}:
            raise ValueError(f"{self.samples} samples of every metric are expected, not {sorted(found)}")
        return self

    def scores(self, detector: Literal["baseline", "refined"]) -> Scores:
        """The samples of one detector, with their composite."""
        values = getattr(self, detector)
        ap, ar = (np.array(getattr(values, name), np.float64) for name in ("mAP", "AR_critical"))
        return {"mAP": ap, "AR_critical": ar, "composite": composite(ap, ar, self.lambdas)}


def draw_scores(matches: list[list[ClassMatches]], critical: list[int], lambdas: Lambdas, samples: int) -> list[Scores]:
    """Scores of several detectors (their matches of the same images) on the same resamples."""
    weights = resample_weights(len(matches[0][0].objects), samples, np.random.default_rng(SEED))
    return [resampled_scores(of_detector, critical, lambdas, weights) for of_detector in matches]


def intervals(first: Scores, second: Scores) -> dict[str, Interval]:
    """95 % percentile intervals of second − first, by metric; resamples without a value are left out."""
    return {name: percentile_interval(second[name] - first[name]) for name in METRICS}


def to_json(scores: Scores) -> dict[str, list[float | None]]:
    """The samples as `DetectorSamples` expects them; the composite follows from the others."""
    return {name: [None if np.isnan(v) else float(v) for v in scores[name]] for name in ("mAP", "AR_critical")}


def parse_samples(text: str, name: str) -> PairedSamples:
    """Read metrics/bootstrap.json; raises InputError, which calls the text `name`, when it is something else."""
    try:
        return PairedSamples.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{name}: {explain_problems(error, kind='key')}") from None
