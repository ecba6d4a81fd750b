"""pipelines/novel/params.yaml as one frozen, typed model."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from zerostart.config import Count, FrozenModel, Integer, Number, Positive, SampleCount, read_checked
from zerostart.errors import InputError

PATH = Path("pipelines/novel/params.yaml")
Ridge = Annotated[Positive, Field(le=1_000_000)]


class School(FrozenModel):
    """The pictures that the vocabulary is learned from."""

    images: Count
    marks: tuple[Count, Count]
    """Fewest and most marks that are tried on a picture."""
    seed: Annotated[Integer, Field(ge=0, lt=2**32)]


class DatasetParams(FrozenModel):
    """One data set's part."""

    tints: tuple[str, ...]
    """Tints of its school; `grey` alone where the images have no colour."""
    surface: str
    """drawn: on drawn metal; own: on the data set's training images, away from their boxes."""
    scale: Annotated[Positive, Field(le=100)]
    """Size of the marks, 1 on images of 256 pixels."""
    kinds: bool
    """Whether pictures with kinds that the detector never saw are drawn for it."""


class NovelParams(FrozenModel):
    """What the experiment does."""

    text_encoder: str
    languages: tuple[str, ...]
    school: School
    kind_images: dict[str, Count]
    """Pictures with kinds that nobody knows: `val` chooses, `test` judges; `val_pool` and `pool` give examples of them."""
    known_share: Annotated[Number, Field(ge=0, lt=1)]
    """Share of marks of the known classes in them."""
    captions_per_object: Annotated[Count, Field(le=1000)]
    omit: Annotated[Number, Field(ge=0, lt=1)]
    """Probability that a caption leaves a fact out."""
    regions: bool
    """Whether regions of the backbone are looked at as well as the query's features."""
    ridge_features: Ridge
    """γ, in shares of the mean variance of a feature."""
    ridge_text: Ridge
    """λ."""
    background: Annotated[Number, Field(ge=0, le=1)]
    """Weight of queries that need not cover anything in the covariance of the features."""
    known_objects: bool
    """Whether labelled objects of the known classes shape the covariance as well."""
    gain: Annotated[Positive, Field(le=1000)]
    """How strongly the words act beside objectness."""
    shift: Annotated[Number, Field(ge=-100, le=100)]
    """From how many deviations above the mean on the words speak for a query."""
    worth: Annotated[Positive, Field(le=1_000_000)]
    """How many labelled objects the sentence counts for where there are some."""
    candidates: dict[str, tuple[bool | Annotated[Number, Field(ge=-1_000_000, le=1_000_000)], ...]]
    """What the stage `choose` tries for each of the parameters above, from the first value on."""
    seeds: Annotated[Integer, Field(ge=2, le=1000)]
    """Each draws its half of the school, its captions and its controls."""
    shots: tuple[Count, ...]
    caption_counts: tuple[Count, ...]
    samples: SampleCount
    """Resamples of the test images."""
    datasets: dict[str, DatasetParams]


def load_novel_params(path: str | Path = PATH) -> NovelParams:
    """Read and check the parameters; raises InputError naming each wrong key, its value and what was expected."""
    return read_checked(path, NovelParams)


def of_dataset(params: NovelParams, dataset: str) -> DatasetParams:
    """A data set's part of the parameters."""
    if dataset not in params.datasets:
        raise InputError(f"{PATH}: no data set {dataset!r}; there are {', '.join(params.datasets)}")
    return params.datasets[dataset]
