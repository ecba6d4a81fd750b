"""params.yaml as one frozen, typed model: unknown keys and wrong types are refused with the key's name."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from zerostart.config import (
    Count,
    FrozenModel,
    Integer,
    Name,
    NotNegative,
    Number,
    Positive,
    Rate,
    SampleCount,
    read_checked,
)

Weight = Annotated[NotNegative, Field(le=1000)]

TORCHRUN = (
    "standalone",
    "nnodes",
    "nproc-per-node",
    "node-rank",
    "master-addr",
    "master-port",
    "rdzv-backend",
    "rdzv-endpoint",
)
"""Its options that say how many processes run where."""


def _launcher(command: str) -> str:
    """DVC gives it to a shell: nothing but the program and options of known names is let through."""
    program, *options = command.split(" ")
    found = [re.fullmatch(r"--([a-z_-]+)(=[\w.:-]+)?", option, re.ASCII) for option in options]
    known = all(option and option[1].replace("_", "-") in TORCHRUN for option in found)
    if command != "python" and not (program == "torchrun" and known):
        options = ", ".join(f"--{name}" for name in TORCHRUN)
        raise ValueError(f"`python`, or `torchrun` with options as --nproc-per-node=4 is expected (of {options})")
    return command


class Lambdas(FrozenModel):
    """Weights of the composite score S = map·mAP + ar_critical·AR_critical."""

    map: Weight
    """Weight of COCO's AP@[.50:.95], mean over the classes."""
    ar_critical: Weight
    """Weight of COCO's AR@[.50:.95] with 100 detections, mean over the critical classes."""

    @model_validator(mode="after")
    def _weigh_something(self) -> Self:
        if self.map == self.ar_critical == 0:
            raise ValueError("both weights are 0, and every checkpoint would score the same; one above 0 is expected")
        return self


class LearningRates(FrozenModel):
    """Learning rates of AdamW (Loshchilov & Hutter 2019)."""

    warmup: Rate
    """The fusion in phase 1; published: 2e-4."""
    fusion: Rate
    """The fusion in phases 2 and 3; published: 5e-5."""
    head: Rate
    """The class head's difference in phases 2 and 3; published: 5e-5."""
    decoder: Rate = 2e-5
    """The decoder in phase 3; as published."""


class Epochs(FrozenModel):
    """Upper bounds of the epochs of each phase; 0 skips the phase and keeps its starting point."""

    warmup: Annotated[Integer, Field(ge=0, le=1000)]
    """Phase 1: the fusion alone."""
    head: Annotated[Integer, Field(ge=0, le=1000)]
    """Phase 2: the fusion and the class head's difference."""
    decoder: Annotated[Integer, Field(ge=0, le=1000)] = 0
    """Phase 3: the decoder as well, off by default."""


class DecoderTuning(FrozenModel):
    """How phase 3 goes over the images (`epochs.decoder`, `lr.decoder`)."""

    batch_size: Annotated[Count, Field(le=65536)] = 16
    """Images per optimiser step, of all processes together."""
    accumulate: Annotated[Count, Field(le=65536)] = 1
    """Passes that a process makes for a step, each on a part of its images: less memory, nearly the same step."""
    ema_decay: Annotated[NotNegative, Field(lt=1)] = 0.998
    """Of the moving average of all trained weights, which is what is scored and kept; 0 keeps the weights themselves."""
    launcher: Annotated[str, AfterValidator(_launcher)] = "python"
    """What starts the stage: `python`, or `torchrun --nproc-per-node=4` for four GPUs."""


class Params(FrozenModel):
    """Every parameter of the main pipeline. Swept knobs are top-level, the rest is grouped."""

    dataset: Name
    """Name of a card in data/datasets/."""
    baseline: Name
    """The frozen detector: `auto` (data/baselines/<dataset>), a folder, or a hub id `OWNER/NAME`."""
    prompt_set: Literal["plain", "descriptive", "ensemble"]
    """How a class becomes sentences (data/prompts/<dataset>.yaml)."""
    text_encoder: Name
    """`minilm`, an open_clip tag `name/pretrained`, or `name/path-to-a-local-checkpoint`."""
    seed: Annotated[Integer, Field(ge=0, lt=2**32)]
    """Of the starting weights, the order of the images and dropout."""
    mode: Literal["residual", "replace"]
    """`residual`: L_base + ... + alpha·S. `replace`: the logits are S alone (a published failure, kept to be replayed)."""
    alpha_init: Annotated[Number, Field(ge=-1000, le=1000)]
    """Weight of the text similarity at epoch 0; 0 is the exact baseline ("Zero-Start"; ReZero, Bachlechner et al. 2021)."""
    alpha_per_class: bool
    """One alpha for each class instead of one for all."""
    sigma: Annotated[Positive, Field(le=1000)]
    """Standard deviation of the projection at the start (weight_init `normal`)."""
    weight_init: Literal["normal", "xavier"]
    """Projection at the start: N(0, sigma²), or uniform as in Glorot & Bengio 2010."""
    tau: Annotated[Number, Field(ge=0.01, le=1.0)]
    """Temperature at the start; log tau is learned and clamped to [0.01, 1] (CLIP, Radford et al. 2021)."""
    projector: Literal["linear", "mlp"]
    """From query features to the text's space: one matrix, or two with a ReLU and dropout between them."""
    dropout: Annotated[NotNegative, Field(lt=1)]
    """Dropout of the MLP projector."""
    center_similarity: bool
    """Subtract from S its mean over the classes, so that a common offset per query cannot act as a confidence."""
    augment_views: Annotated[Integer, Field(ge=0, le=3)]
    """Flipped views of the training images in the cache, beside the plain one: horizontal, vertical, both."""
    live: bool
    """Run the frozen detector at every training step instead of reading the cache: far slower, the same result."""
    photometric: Annotated[NotNegative, Field(le=10)]
    """Strength of random changes of brightness and contrast in live training; 1 is up to 0.12 and 25 %."""
    test_flips: Literal["none", "horizontal", "vertical", "both", "all"]
    """Mirror images that the refined detector looks at as well (`both`: the half turn; `all`: three of them), one detector pass
    each. What it sees in them is merged."""
    merge_iou: Annotated[Positive, Field(le=1)]
    """IoU from which queries of the mirror images become one."""
    batch_size: Count
    """Images per optimiser step."""
    weight_decay: Annotated[NotNegative, Field(le=1000)]
    """AdamW's; alpha and tau are not decayed."""
    patience: Count
    """Epochs without a better composite on val before a phase stops."""
    lambdas: Lambdas
    """Of the composite, by which the checkpoint is chosen."""
    lr: LearningRates
    epochs: Epochs
    decoder: DecoderTuning = DecoderTuning()
    bootstrap_samples: SampleCount
    """Resamples of the test images behind each 95 % interval."""

    @model_validator(mode="after")
    def _photometric_needs_live(self) -> Self:
        if self.photometric and not self.live:
            raise ValueError("photometric above 0 needs `live: true`: the cache holds the images as they are")
        return self


def load_params(path: str | Path = "params.yaml") -> Params:
    """The parameters of the main pipeline; raises InputError as `read_checked` does."""
    return read_checked(path, Params)
