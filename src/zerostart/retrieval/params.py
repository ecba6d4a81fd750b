"""pipelines/retrieval/params.yaml as one frozen, typed model."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from zerostart.config import Count, FrozenModel, Integer, Name, NotNegative, Number, Rate, SampleCount, read_checked

PATH = "pipelines/retrieval/params.yaml"
Share = Annotated[Number, Field(ge=0, le=1)]
InnerShare = Annotated[Number, Field(ge=0, lt=1)]


class CropParams(FrozenModel):
    """Where crops are cut."""

    size: Annotated[Integer, Field(ge=32, le=16384)]
    """Side of a clean tile and longest side of any crop, in pixels."""
    overlap: InnerShare
    """Share of a tile that its neighbour shows as well."""
    vehicle_share: Share
    """Least share of a clean tile that is vehicle."""
    vehicle_margin: InnerShare
    """Added to the vehicle's box on every side, as a share of its width and height."""
    damage_margin: Annotated[NotNegative, Field(le=10)]
    """Context around a cluster of damages, as a share of its longer side."""
    min_side: Count
    """Least width and height of a damage crop in the source, where the photo is as large."""
    cluster_distance: Share
    """Damages no further apart than this share of the photo's diagonal are one crop."""
    max_clean: Count
    """Clean tiles kept per photo, evenly over the grid."""


class AdapterParams(FrozenModel):
    """The offline embedder: detector backbone, pooling, a learned projection to the text space."""

    backbone: Name
    """A baseline folder, or an official DEIMv2 .pth of the variants Atto and Femto."""
    input_size: Annotated[Integer, Field(ge=32, le=8192, multiple_of=32)]
    """Side of the square that the backbone sees; larger crops are seen whole and in patches of this size."""
    loss: Literal["siglip", "clip"]
    hidden: Annotated[Integer, Field(ge=0, le=65536)]
    """Width of the projection's hidden layer; 0: a linear projection."""
    dropout: InnerShare
    epochs: Annotated[Count, Field(le=10_000)]
    batch_size: Annotated[Integer, Field(ge=2, le=1_000_000)]
    lr: Rate
    weight_decay: Annotated[NotNegative, Field(le=1000)]


class MixParams(FrozenModel):
    """How a crop's picture and its context become one vector on record."""

    strategy: Literal["average", "weighted", "image", "text"]
    alpha: Annotated[NotNegative, Field(le=1000)]
    """Weight of the picture under `weighted`."""
    beta: Annotated[NotNegative, Field(le=1000)]
    """Weight of the text under `weighted`."""


class IndexParams(FrozenModel):
    """HNSW (Malkov and Yashunin 2018, arXiv 1603.09320) or exact search."""

    kind: Literal["hnsw", "flat"]
    m: Annotated[Integer, Field(ge=2, le=1024)]
    ef_construction: Annotated[Count, Field(le=100_000)]
    ef_search: Annotated[Count, Field(le=100_000)]
    exact_below: Annotated[Integer, Field(ge=0, le=1_000_000_000)]
    """A filter that leaves no more vectors than this is searched exactly."""


class ValidationParams(FrozenModel):
    k: Annotated[Count, Field(le=10_000)]
    """Results per query in coverage, precision and recall."""
    bootstrap_samples: SampleCount


class RetrievalParams(FrozenModel):
    """Every parameter of the retrieval pipeline."""

    dataset: Name
    """A folder in data/raw."""
    layout: Literal["zones", "coco"]
    """Which files the folder holds: zerostart/retrieval/zone_layout.py or coco_layout.py."""
    vehicle_detector: Name | None
    """COCO detector that finds the vehicle: an official DEIMv2 .pth file or a hub id; null: the whole photo is vehicle."""
    language: Literal["en", "es"]
    """Of the contexts: a table in data/contexts. The embedders shipped or named here read English best."""
    embedder: Name
    """`adapter`, or an open_clip model as for `text_encoder` of the main pipeline."""
    seed: Annotated[Integer, Field(ge=0, lt=2**32)]
    val_share: Annotated[Number, Field(gt=0, lt=0.5)]
    """Photos held out to choose by; layout `coco` has its own splits."""
    test_share: Annotated[Number, Field(gt=0, lt=0.5)]
    """Photos held out to judge by."""
    crops: CropParams
    adapter: AdapterParams
    mix: MixParams
    index: IndexParams
    validation: ValidationParams


def load_retrieval_params(path: str | Path = PATH) -> RetrievalParams:
    """Read and check the parameters; raises InputError naming each wrong key, its value and what was expected."""
    return read_checked(path, RetrievalParams)
