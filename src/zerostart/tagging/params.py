"""pipelines/tagging/params.yaml: one frozen, typed block of parameters per data set."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from zerostart.config import Count, FrozenModel, Integer, Name, NotNegative, Number, Positive, Rate, Samples, read_params
from zerostart.errors import InputError

PATH = "pipelines/tagging/params.yaml"
Share = Annotated[Number, Field(ge=0, lt=1)]
Split = Annotated[Number, Field(gt=0, lt=1)]
Threshold = Annotated[Number, Field(ge=0, le=1)]
Side = Annotated[Integer, Field(ge=32, le=4096, multiple_of=32)]


class DataParams(FrozenModel):
    """How the pictures are kept."""

    longest: Annotated[Integer, Field(ge=32, le=16384)]
    """Larger photos are stored with so many pixels on their longer side."""
    academic_val: Split
    """Share of the academic training pictures that becomes val."""
    real_val: Split
    real_test: Split

    @model_validator(mode="after")
    def _some_train(self) -> Self:
        if self.real_val + self.real_test >= 1:
            raise ValueError(f"real_val {self.real_val:g} and real_test {self.real_test:g} leave no photo to train on")
        return self


class ModelParams(FrozenModel):
    """The ConvNeXt."""

    name: Name
    """A ConvNeXt of timm, with the tag of its weights where it has several (`convnext_base.fb_in22k_ft_in1k`)."""
    weights: Name
    """`random`, `pretrained` (timm fetches them), or the path of such a model's `model.safetensors`."""
    options: dict[Name, Any]
    """Further arguments of timm's ConvNeXt, such as depths, dims, norm_layer or global_pool; none for published weights."""


class PhaseParams(FrozenModel):
    """One of the two trainings."""

    input_size: Side
    """Side of the square that the model sees; pictures are resized bicubically on the device."""
    epochs: Annotated[Integer, Field(ge=0, le=1000)]
    patience: Count
    """Epochs without a better score on val before the training stops."""
    batch_size: Annotated[Integer, Field(ge=2, le=65536, multiple_of=2)]
    """Even, because MixUp mixes a batch with its reverse."""
    lr: Rate
    layer_decay: Annotated[Positive, Field(le=1)]
    """Learning rate of each layer as a multiple of that of the next; 1: the same everywhere."""
    weight_decay: Annotated[NotNegative, Field(le=1000)]
    mixup_alpha: Annotated[NotNegative, Field(le=1000)]
    """0: no MixUp."""
    least_crop: Annotated[Positive, Field(le=1)]
    """Random crops keep at least this share of each side."""
    zoom_out: Annotated[Number, Field(ge=1, le=100)]
    """Pictures smaller than the input are put somewhere on a ground up to so many times their side; 1: never."""
    all_orientations: bool
    """Upside down and on their sides as well as mirrored left to right."""
    photometric: Annotated[NotNegative, Field(le=10)]
    """Strength of random changes of brightness, contrast (1 is up to 40 %) and tint (20 %)."""
    replay: Share
    """Share of academic pictures among those of an epoch (adaptation only)."""


class EngineParams(FrozenModel):
    """How scores become tags."""

    thresholds: Literal["val", "published"]
    """val: per tag, the best F1 on val; published: the two numbers below."""
    published_standard: Threshold
    published_hd: Threshold


class TilingParams(FrozenModel):
    views: Literal[1, 6]
    overlap: Share
    """Share of a corner view that its neighbour shows as well."""
    merge: Literal["max", "mean"]


class TaggingParams(FrozenModel):
    """Everything that one data set's run of the pipeline depends on, beside its card."""

    seed: Annotated[Integer, Field(ge=0, lt=2**32)]
    threads: Annotated[Count, Field(le=1024)]
    """CPU threads of every stage: sums, and so the last bits of the weights, depend on it."""
    precision: Literal["float32", "bfloat16", "float16"]
    """Of the training on a GPU; a CPU always trains in float32."""
    data: DataParams
    model: ModelParams
    base: PhaseParams
    adaptation: PhaseParams
    engines: EngineParams
    tiling: TilingParams
    coco_detector: Name | None
    """Official DEIMv2 .pth of the COCO classes for the baseline; null: without it."""
    bootstrap_samples: Samples


class _Blocks(FrozenModel):
    datasets: dict[Name, TaggingParams]


def load_tagging_params(dataset: str, path: str | Path = PATH) -> TaggingParams:
    """The block of `dataset`; raises InputError naming each wrong key, its value and what was expected."""
    blocks = read_params(path, _Blocks).datasets
    if dataset not in blocks:
        raise InputError(f"{path}: no block for the data set '{dataset}'; there are {', '.join(blocks) or 'none'}")
    return blocks[dataset]


def dataset_argument() -> str:
    """The data set that a stage of the pipeline is run for."""
    if len(sys.argv) != 2:
        raise InputError(f"usage: python {sys.argv[0]} DATASET")
    return sys.argv[1]
