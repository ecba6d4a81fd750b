"""The YAML configuration of an official DEIMv2 training: its `__include__` chain resolved, its model part typed.

Only data is read: tags that would build Python objects are refused. Keys and defaults are those of the constructors in
Intellindust-AI-Lab/DEIMv2, which the YAML's sections are named after; what is a `Literal` here is all that the
`transformers` model can compute.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, ValidationError, model_validator

from zerostart.config import Count, FrozenModel, Integer, Number, Positive, explain_problems
from zerostart.errors import InputError, shown
from zerostart.records import parse_yaml, read_yaml

Activation = Literal["silu", "relu", "gelu"]
INCLUDE = "__include__"


class Section(FrozenModel):
    """One section of the YAML; keys that only training reads are allowed and dropped."""

    training_only: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _drop_training_only(cls, raw: Any) -> Any:
        return {key: value for key, value in raw.items() if key not in cls.training_only} if isinstance(raw, dict) else raw


class DEIM(Section):
    backbone: Literal["HGNetv2", "DINOv3STAs"]
    encoder: Literal["HybridEncoder", "LiteEncoder"]
    decoder: Literal["DEIMTransformer"]


class HGNetv2(Section):
    training_only = frozenset({"freeze_at", "freeze_norm", "freeze_stem_only", "local_model_dir", "pretrained"})
    name: Literal["Atto", "Femto", "Pico", "B0", "B2", "B4", "B5"]
    return_idx: tuple[Integer, ...] = (1, 2, 3)
    use_lab: bool = False
    act: Literal["relu"] = "relu"


class DINOv3STAs(Section):
    training_only = frozenset({"finetune", "weights_path"})
    name: Literal["vit_tiny", "vit_tinyplus", "dinov3_vits16", "dinov3_vits16plus"]
    interaction_indexes: tuple[Integer, Integer, Literal[11]]
    """Transformer blocks whose outputs become the strides 8, 16 and 32; the last one is the ViT's last."""
    embed_dim: Count = 192
    """Of the tiny ViTs; the DINOv3 ones have their own."""
    num_heads: Count = 3
    patch_size: Literal[16] = 16
    use_sta: Literal[True] = True
    conv_inplane: Count = 16
    hidden_dim: Count | None = None
    """Channels of the fused maps; None: the ViT's width."""


class LiteEncoder(Section):
    training_only = frozenset({"feat_strides"})
    in_channels: tuple[Count] = (512,)
    hidden_dim: Count = 256
    expansion: Positive = 1.0
    depth_mult: Positive = 1.0
    act: Activation = "silu"
    csp_type: Literal["csp2"] = "csp2"


class HybridEncoder(Section):
    training_only = frozenset({"dropout"})
    in_channels: tuple[Count, ...] = (512, 1024, 2048)
    feat_strides: tuple[Count, ...] = (8, 16, 32)
    hidden_dim: Count = 256
    nhead: Count = 8
    dim_feedforward: Count = 1024
    enc_act: Activation = "gelu"
    use_encoder_idx: tuple[Integer, ...] = (2,)
    num_encoder_layers: Integer = 1
    pe_temperature: Integer = 10000
    expansion: Positive = 1.0
    depth_mult: Positive = 1.0
    act: Activation = "silu"
    version: Literal["deim", "dfine"] = "dfine"
    csp_type: Literal["csp2"]
    fuse_op: Literal["sum"]


class DEIMTransformer(Section):
    training_only = frozenset({"aux_loss", "dropout", "feat_strides"})
    hidden_dim: Count = 256
    feat_channels: tuple[Count, ...] = (512, 1024, 2048)
    num_levels: Count = 3
    num_points: Count | tuple[Count, ...] = 4
    nhead: Count = 8
    num_layers: Count = 6
    dim_feedforward: Count = 1024
    num_queries: Count = 300
    num_denoising: Integer = 100
    label_noise_ratio: Number = 0.5
    box_noise_scale: Number = 1.0
    reg_max: Count = 32
    reg_scale: Positive = 4.0
    layer_scale: Positive = 1.0
    eval_idx: Integer = -1
    activation: Activation = "relu"
    """Of the quality estimator (LQE): the feed-forward blocks are SwiGLU whatever it says."""
    mlp_act: Activation = "relu"
    """Of the box heads and the query positions."""
    use_gateway: bool = True
    share_bbox_head: bool = False
    share_score_head: bool = False
    learn_query_content: Literal[False] = False
    cross_attn_method: Literal["default"] = "default"
    query_select_method: Literal["default"] = "default"


class Normalize(Section):
    """The operation of that name in the validation data's transforms."""

    training_only = frozenset({"type"})
    mean: tuple[Number, Number, Number]
    std: tuple[Positive, Positive, Positive]


class Task(FrozenModel):
    """What stands at the top level; everything else there is training's own."""

    model_config = ConfigDict(extra="ignore")
    num_classes: Count
    eval_spatial_size: tuple[Count, Count]
    remap_mscoco_category: bool = False


@dataclass(frozen=True)
class OfficialConfig:
    """The model part of one official configuration."""

    task: Task
    backbone: HGNetv2 | DINOv3STAs
    encoder: HybridEncoder | LiteEncoder
    decoder: DEIMTransformer
    normalize: Normalize | None
    """Of the input, after it was scaled to [0, 1]."""


SECTIONS = {section.__name__: section for section in (HGNetv2, DINOv3STAs, LiteEncoder, HybridEncoder, DEIMTransformer)}


def read_official_config(path: str | Path, updates: Sequence[str] = ()) -> OfficialConfig:
    """Read a YAML file, what it includes, and `updates` (`key.key=value`, as `train.py -u` takes them).

    Raises InputError for a file that is missing, not plain YAML or includes itself, and as :func:`official_config` does.
    """
    raw = _resolve(Path(path))
    for update in updates:
        raw = _merge(raw, _parse_update(update))
    return official_config(raw, path)


def official_config(raw: dict, source: str | Path) -> OfficialConfig:
    """The typed model part of a resolved configuration.

    Raises InputError naming the section and the key that is missing, unknown, mistyped or beyond what can be computed.
    """
    if not isinstance(raw.get("DEIM"), dict):
        raise InputError(f"{source}: no section 'DEIM'; the configuration of a DEIMv2 training is expected")
    parts = _validated(DEIM, raw["DEIM"], f"{source}, section 'DEIM'")
    names = (parts.backbone, parts.encoder, parts.decoder)
    if absent := [name for name in names if not isinstance(raw.get(name), dict)]:
        raise InputError(f"{source}: no section '{absent[0]}', which section 'DEIM' names")
    sections = (_validated(SECTIONS[name], raw[name], f"{source}, section '{name}'") for name in names)
    config = OfficialConfig(_validated(Task, raw, str(source)), *sections, _normalize(raw, source))
    _check(config, source)
    return config


def hub_config(raw: dict, source: str | Path) -> OfficialConfig:
    """The typed model part of the `config.json` that the official project publishes on the hub.

    It has the same sections without the training around them. What it leaves out is filled in as those models were trained
    (the base configuration and the DINOv3 ones of the official repository): SiLU, COCO's 80 classes, ImageNet's mean and
    standard deviation for the DINOv3 variants. Raises InputError as :func:`official_config` does.
    """
    dino = "DINOv3STAs" in raw
    parts = {
        "backbone": "DINOv3STAs" if dino else "HGNetv2",
        "encoder": "LiteEncoder" if "LiteEncoder" in raw else "HybridEncoder",
        "decoder": "DEIMTransformer",
    }
    sections = {name: dict(raw.get(name) or {}) for name in parts.values()}
    shared = {"num_classes": 80, "eval_spatial_size": [640, 640], "remap_mscoco_category": True}
    for section in sections.values():
        shared |= {key: section.pop(key) for key in ("num_classes", "eval_spatial_size") if key in section}
    sections["DEIMTransformer"] = {"activation": "silu", "mlp_act": "silu"} | sections["DEIMTransformer"]
    imagenet = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    validation = {"dataset": {"transforms": {"ops": [imagenet] if dino else []}}}
    return official_config({"DEIM": parts, **sections, **shared, "val_dataloader": validation}, source)


def _resolve(path: Path, above: tuple[Path, ...] = ()) -> dict:
    """The file's mapping laid over those that it includes, which are relative to it; later includes win."""
    place = Path(os.path.realpath(path))  # of a link to itself as well, where `resolve` raises RuntimeError
    if place in above:
        raise InputError(f"{path}: includes itself, by way of {', '.join(step.name for step in above)}")
    try:
        own = read_yaml(path, "a YAML file is expected", foreign=True) or {}
    except InputError as error:
        raise InputError(f"{error}{f' (included by {above[-1]})' if above else ''}") from None
    if not isinstance(own, dict):
        raise InputError(f"{path}: a mapping of keys to values is expected")
    includes = own.pop(INCLUDE, [])
    if not isinstance(includes, list) or not all(isinstance(name, str) for name in includes):
        raise InputError(f"{path}: '{INCLUDE}' is {includes!r}; a list of YAML files is expected")
    resolved: dict = {}
    for name in includes:
        resolved = _merge(resolved, _resolve(path.parent / Path(name).expanduser(), (*above, place)))
    return _merge(resolved, own)


def _merge(below: dict, over: dict) -> dict:
    """Mappings are merged key by key; everything else, lists too, is replaced."""
    merged = dict(below)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _parse_update(update: str) -> dict:
    keys, equals, text = update.partition("=")
    try:
        value = parse_yaml(text, "update")
    except InputError:
        equals = ""
    if not equals or not keys:
        raise InputError(f"update {shown(update)}: key=value or section.key=value is expected")
    for key in reversed(keys.split(".")):
        value = {key: value}
    return value


def _validated(model: type[FrozenModel], raw: Any, where: str) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{where}: {explain_problems(error, kind='key')}") from None


def _normalize(raw: dict, source: str | Path) -> Normalize | None:
    operations: Any = raw
    for key in ("val_dataloader", "dataset", "transforms", "ops"):
        operations = operations.get(key) if isinstance(operations, dict) else None
    found = [step for step in operations or [] if isinstance(step, dict) and step.get("type") == "Normalize"]
    return _validated(Normalize, found[-1], f"{source}, val_dataloader's Normalize") if found else None


def _check(config: OfficialConfig, source: str | Path) -> None:
    height, width = config.task.eval_spatial_size
    if height != width or height % 32:
        # The official position embedding is transposed for other shapes, and the pipeline reads square images.
        raise InputError(f"{source}: eval_spatial_size is {height}x{width}; equal sides, a multiple of 32, are expected")
    decoder, encoder = config.decoder, config.encoder
    if decoder.eval_idx not in (-1, decoder.num_layers - 1):
        raise InputError(f"{source}: DEIMTransformer.eval_idx is {decoder.eval_idx}; the last layer, -1, is expected")
    points = 1 if isinstance(decoder.num_points, int) else len(decoder.num_points) / decoder.num_levels
    if set(decoder.feat_channels) != {encoder.hidden_dim} or len(decoder.feat_channels) != decoder.num_levels or points != 1:
        raise InputError(
            f"{source}: DEIMTransformer has feat_channels {list(decoder.feat_channels)} and num_points {decoder.num_points};"
            f" for each of its {decoder.num_levels} levels the encoder's {encoder.hidden_dim} channels are expected"
        )
    if isinstance(config.backbone, DINOv3STAs) and isinstance(encoder, LiteEncoder):
        raise InputError(f"{source}: DINOv3STAs with LiteEncoder; HybridEncoder is expected")
