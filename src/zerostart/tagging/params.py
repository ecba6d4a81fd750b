"""pipelines/tagging/params.yaml: one frozen, typed block of parameters per data set."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from zerostart.config import Count, FrozenModel, Integer, Name, NotNegative, Number, Positive, Rate, SampleCount, read_checked
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


MOST_WEIGHTS = 2_000_000_000
"""Of a model: the largest published ConvNeXt has 850 million."""


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("an odd number is expected")
    return size


Blocks = Annotated[Integer, Field(ge=0, le=200)]
Width = Annotated[Integer, Field(ge=8, le=8192)]
Kernel = Annotated[Integer, Field(ge=1, le=31), AfterValidator(_odd)]
Flag = Annotated[bool, Field(strict=True)]


class ModelOptions(FrozenModel):
    """The arguments of timm's ConvNeXt that shape it; only those that are given are passed on (and written)."""

    depths: tuple[Blocks, Blocks, Blocks, Blocks] = (0, 0, 0, 0)
    """Blocks of each stage."""
    dims: tuple[Width, Width, Width, Width] = (8, 8, 8, 8)
    """Channels of each stage."""
    norm_layer: Literal["batchnorm2d", "groupnorm1", "layernorm", "layernorm2d", "rmsnorm2d", "simplenorm2d"] | None = None
    conv_mlp: Flag = False
    """Two 1×1 convolutions instead of linear layers, as batchnorm2d and groupnorm1 need them."""
    ls_init_value: Annotated[Positive, Field(le=1000)] | None = None
    """Layer scale at the start."""
    global_pool: Literal["avg", "max", "avgmax"] = "avg"
    kernel_sizes: Annotated[
        tuple[Kernel, Kernel, Kernel, Kernel], BeforeValidator(lambda size: (size,) * 4 if isinstance(size, int) else size)
    ] = (7, 7, 7, 7)
    patch_size: Literal[1, 2, 4] = 4
    stem_type: Literal["patch", "overlap", "overlap_tiered", "overlap_act"] = "patch"
    output_stride: Literal[8, 16, 32] = 32
    norm_eps: Annotated[Positive, Field(le=1)] | None = None
    act_layer: Literal["gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "hard_swish", "mish"] = "gelu"
    conv_bias: Flag = True
    use_grn: Flag = False
    head_init_scale: Annotated[Positive, Field(le=1000)] = 1.0
    head_norm_first: Flag = False
    head_hidden_size: Annotated[Integer, Field(ge=1, le=8192)] | None = None
    drop_rate: Share = 0.0
    drop_path_rate: Share = 0.0

    @model_validator(mode="after")
    def _make_a_model(self) -> Self:
        weights = sum(8 * depth * width**2 for depth, width in zip(self.depths, self.dims, strict=True))
        if weights > MOST_WEIGHTS:
            raise ValueError(f"depths and dims make {weights:,} weights; at most {MOST_WEIGHTS:,} are expected")
        if self.norm_layer in ("batchnorm2d", "groupnorm1") and not self.conv_mlp:
            raise ValueError(f"norm_layer {self.norm_layer} needs conv_mlp: true")
        return self

    @model_serializer(mode="wrap")
    def _given(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in serialized(self).items() if key in self.model_fields_set}


class ModelParams(FrozenModel):
    """The ConvNeXt."""

    name: Name
    """A ConvNeXt of timm, with the tag of its weights where it has several (`convnext_base.fb_in22k_ft_in1k`)."""
    weights: Name
    """`random`, `pretrained` (timm fetches them), or the path of such a model's `model.safetensors`."""
    options: ModelOptions
    """Further arguments of timm's ConvNeXt; none for published weights."""


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
    windows: Literal[1, 6]
    overlap: Share
    """Share of a corner window that its neighbour shows as well."""
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
    """Official DEIMv2 .pth of the COCO classes for the reference; null: without it."""
    bootstrap_samples: SampleCount


class _Blocks(FrozenModel):
    datasets: dict[Name, TaggingParams]


def load_tagging_params(dataset: str, path: str | Path = PATH) -> TaggingParams:
    """The block of `dataset`; raises InputError naming each wrong key, its value and what was expected."""
    blocks = read_checked(path, _Blocks).datasets
    if dataset not in blocks:
        raise InputError(f"{path}: no block for the data set '{dataset}'; there are {', '.join(blocks) or 'none'}")
    return blocks[dataset]
