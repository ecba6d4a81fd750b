"""Random checkpoints with the names and shapes of the official DEIMv2 code, and YAML files as its repository has them.

The names are written down here from the official modules, independently of the conversion's own rules.
"""

import itertools
import re
from pathlib import Path

import torch
import yaml
from official_anchors import anchors
from torch import Tensor

CLASSES = 6
SIZE = 64

# What the official configs/base/deimv2.yml says of the model, with some of what it says of training.
BASE = {
    "task": "detection",
    "model": "DEIM",
    "use_focal_loss": True,
    "eval_spatial_size": [640, 640],
    "DEIM": {"backbone": "HGNetv2", "encoder": "HybridEncoder", "decoder": "DEIMTransformer"},
    "HGNetv2": {"name": "B4", "return_idx": [1, 2, 3], "freeze_at": -1, "freeze_stem_only": True, "pretrained": True},
    "HybridEncoder": {
        "in_channels": [512, 1024, 2048],
        "feat_strides": [8, 16, 32],
        "hidden_dim": 256,
        "use_encoder_idx": [2],
        "num_encoder_layers": 1,
        "nhead": 8,
        "dim_feedforward": 1024,
        "dropout": 0.0,
        "enc_act": "gelu",
        "expansion": 1.0,
        "depth_mult": 1,
        "act": "silu",
        "version": "deim",
        "csp_type": "csp2",
        "fuse_op": "sum",
    },
    "DEIMTransformer": {
        "feat_channels": [256, 256, 256],
        "feat_strides": [8, 16, 32],
        "hidden_dim": 256,
        "num_levels": 3,
        "num_layers": 6,
        "eval_idx": -1,
        "num_queries": 300,
        "num_denoising": 100,
        "label_noise_ratio": 0.5,
        "box_noise_scale": 1.0,
        "reg_max": 32,
        "reg_scale": 4,
        "layer_scale": 1,
        "num_points": [3, 6, 3],
        "cross_attn_method": "default",
        "query_select_method": "default",
        "activation": "silu",
        "mlp_act": "silu",
        "dim_feedforward": 2048,
    },
    "PostProcessor": {"num_top_queries": 300},
    "epoches": 58,
    "DEIMCriterion": {"losses": ["mal", "boxes", "local"], "gamma": 1.5},
}
DATA = {
    "num_classes": CLASSES,
    "remap_mscoco_category": False,
    "val_dataloader": {"type": "DataLoader", "dataset": {"transforms": {"type": "Compose", "ops": [{"type": "Resize"}]}}},
}
IMAGENET = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def vit_variant(vit: dict, width: int, encoder: dict, layers: int, ffn: int) -> dict:
    return {
        "eval_spatial_size": [SIZE, SIZE],
        "DEIM": {"backbone": "DINOv3STAs"},
        "DINOv3STAs": {"weights_path": "./ckpts/any.pth"} | vit,
        "HybridEncoder": {"in_channels": [width] * 3, "hidden_dim": width} | encoder,
        "DEIMTransformer": {
            "feat_channels": [width] * 3,
            "hidden_dim": width,
            "num_layers": layers,
            "dim_feedforward": ffn,
            "num_queries": 20,
        },
        "val_dataloader": {"dataset": {"transforms": {"ops": [{"type": "Resize", "size": [SIZE, SIZE]}, IMAGENET]}}},
    }


def hgnet_variant(name: str, channels: list[int], lab: bool) -> dict:
    """The backbone of an official S, M, L or X with HGNetv2 before a small encoder and decoder."""
    return {
        "eval_spatial_size": [SIZE, SIZE],
        "HGNetv2": {"name": name, "use_lab": lab},
        "HybridEncoder": {
            "in_channels": channels,
            "hidden_dim": 64,
            "depth_mult": 0.34,
            "expansion": 0.5,
            "dim_feedforward": 96,
        },
        "DEIMTransformer": {
            "feat_channels": [64] * 3,
            "hidden_dim": 64,
            "num_layers": 3,
            "dim_feedforward": 96,
            "num_queries": 20,
        },
    }


TINY = {"name": "vit_tiny", "embed_dim": 192, "num_heads": 3, "interaction_indexes": [3, 7, 11]}
PLUS = {"name": "vit_tinyplus", "embed_dim": 256, "num_heads": 4, "interaction_indexes": [3, 7, 11]}
SMALL = {"name": "dinov3_vits16", "interaction_indexes": [5, 8, 11], "conv_inplane": 32, "hidden_dim": 224, "finetune": True}
LARGE = {"name": "dinov3_vits16plus", "interaction_indexes": [5, 8, 11], "conv_inplane": 64, "hidden_dim": 256}
VARIANTS = {
    "s": vit_variant(TINY, 192, {"depth_mult": 0.67, "expansion": 0.34, "dim_feedforward": 512}, layers=4, ffn=512),
    "m": vit_variant(PLUS, 256, {"depth_mult": 1, "expansion": 0.67, "dim_feedforward": 512}, layers=4, ffn=512),
    "l": vit_variant(SMALL, 224, {"dim_feedforward": 896}, layers=4, ffn=1792),
    "x": vit_variant(LARGE, 256, {"dim_feedforward": 1024, "expansion": 1.25, "depth_mult": 1.37}, layers=6, ffn=2048),
    "B0": hgnet_variant("B0", [256, 512, 1024], lab=True),
    "B2": hgnet_variant("B2", [384, 768, 1536], lab=True),
    "B4": hgnet_variant("B4", [512, 1024, 2048], lab=False),
    "B5": hgnet_variant("B5", [512, 1024, 2048], lab=False),
}


def write_config(folder: Path, variant: str, **changes) -> Path:
    """configs/deimv2/<variant>.yml with its chain of includes; `changes` are laid over the variant's own keys."""
    own = {"__include__": ["../dataset/custom.yml", "../base/deimv2.yml"]} | VARIANTS[variant] | changes
    for name, content in (("dataset/custom", DATA), ("base/deimv2", BASE), (f"deimv2/{variant}", own)):
        path = folder / f"configs/{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return path


def write_checkpoint(path: Path, weights: dict[str, Tensor], ema: dict[str, Tensor] | None = None) -> Path:
    content = {"date": "2026-01-01T00:00:00", "last_epoch": 3, "model": weights}
    torch.save(content | ({"ema": {"module": ema, "updates": 7, "warmups": 0}} if ema else {}), path)
    return path


# --- Names and shapes


def linear(prefix: str, inputs: int, outputs: int) -> dict:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def layer_norm(prefix: str, width: int) -> dict:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def batch_norm(prefix: str, width: int) -> dict:
    statistics = {f"{prefix}.running_mean": (width,), f"{prefix}.running_var": (width,), f"{prefix}.num_batches_tracked": ()}
    return layer_norm(prefix, width) | statistics


def conv_norm(prefix: str, inputs: int, outputs: int, kernel: int, conv="conv", norm="norm") -> dict:
    return {f"{prefix}.{conv}.weight": (outputs, inputs, kernel, kernel)} | batch_norm(f"{prefix}.{norm}", outputs)


def mlp(prefix: str, *widths: int) -> dict:
    pairs = itertools.pairwise(widths)
    return {key: shape for i, pair in enumerate(pairs) for key, shape in linear(f"{prefix}.layers.{i}", *pair).items()}


def vit(section: dict) -> tuple[dict, int]:
    """Names of the ViT and its width."""
    tiny, gated = section["name"].startswith("vit_tiny"), section["name"].endswith("plus") and "dinov3" in section["name"]
    width, heads = (section["embed_dim"], section["num_heads"]) if tiny else (384, 6)
    prefix = "backbone.dinov3._model" if tiny else "backbone.dinov3"
    names = {
        f"{prefix}.cls_token": (1, 1, width),
        f"{prefix}.patch_embed.proj.weight": (width, 3, 16, 16),
        f"{prefix}.patch_embed.proj.bias": (width,),
        f"{prefix}.rope_embed.periods": (width // heads // 4,),
    }
    if not tiny:
        names |= {f"{prefix}.storage_tokens": (1, 4, width), f"{prefix}.mask_token": (1, width)}
        names |= layer_norm(f"{prefix}.norm", width)
    for index in range(12):
        block = f"{prefix}.blocks.{index}"
        names |= layer_norm(f"{block}.norm1", width) | layer_norm(f"{block}.norm2", width)
        names |= linear(f"{block}.attn.qkv", width, 3 * width) | linear(f"{block}.attn.proj", width, width)
        if gated:
            names |= linear(f"{block}.mlp.w1", width, 4 * width) | linear(f"{block}.mlp.w2", width, 4 * width)
            names |= linear(f"{block}.mlp.w3", 4 * width, width)
        else:
            names |= linear(f"{block}.mlp.fc1", width, 4 * width) | linear(f"{block}.mlp.fc2", 4 * width, width)
        if not tiny:
            names |= {f"{block}.ls1.gamma": (width,), f"{block}.ls2.gamma": (width,)}
            names |= {f"{block}.attn.qkv.bias_mask": (3 * width,)}
    return names, width


def dino_backbone(section: dict) -> dict:
    names, width = vit(section)
    planes, out = section.get("conv_inplane", 16), section.get("hidden_dim") or width
    sta = "backbone.sta"
    names |= conv_norm(f"{sta}.stem", 3, planes, 3, "0", "1") | conv_norm(f"{sta}.conv2", planes, 2 * planes, 3, "0", "1")
    names |= conv_norm(f"{sta}.conv3", 2 * planes, 4 * planes, 3, "1", "2")
    names |= conv_norm(f"{sta}.conv4", 4 * planes, 4 * planes, 3, "1", "2")
    for index, detail in enumerate((2 * planes, 4 * planes, 4 * planes)):
        names |= {f"backbone.convs.{index}.weight": (out, width + detail, 1, 1)} | batch_norm(f"backbone.norms.{index}", out)
    return names


# Of the stem (mid, out) and the four stages (in, mid, out, blocks, layers): engine/backbone/hgnetv2.py, arch_configs.
HGNET = {
    "B0": ((16, 16), [(16, 16, 64, 1, 3), (64, 32, 256, 1, 3), (256, 64, 512, 2, 3), (512, 128, 1024, 1, 3)]),
    "B2": ((24, 32), [(32, 32, 96, 1, 4), (96, 64, 384, 1, 4), (384, 128, 768, 3, 4), (768, 256, 1536, 1, 4)]),
    "B4": ((32, 48), [(48, 48, 128, 1, 6), (128, 96, 512, 1, 6), (512, 192, 1024, 3, 6), (1024, 384, 2048, 1, 6)]),
    "B5": ((32, 64), [(64, 64, 128, 1, 6), (128, 128, 512, 2, 6), (512, 256, 1024, 5, 6), (1024, 512, 2048, 2, 6)]),
}


def hgnet_backbone(section: dict) -> dict:
    lab = section["use_lab"]

    def conv(prefix: str, inputs: int, outputs: int, kernel: int, active=True) -> dict:
        names = conv_norm(prefix, inputs, outputs, kernel, norm="bn")
        return names | ({f"{prefix}.lab.scale": (1,), f"{prefix}.lab.bias": (1,)} if lab and active else {})

    (mid, out), stages = HGNET[section["name"]]
    stem = {"stem1": (3, mid, 3), "stem2a": (mid, mid // 2, 2), "stem2b": (mid // 2, mid, 2), "stem3": (2 * mid, mid, 3)}
    names: dict = {}
    for name, shape in (stem | {"stem4": (mid, out, 1)}).items():
        names |= conv(f"backbone.stem.{name}", *shape)
    for index, (inputs, mid, out, blocks, layers) in enumerate(stages):
        light, kernel = (True, 5) if index > 1 else (False, 3)
        if index:
            names |= conv(f"backbone.stages.{index}.downsample", 1, inputs, 3, active=False)
        for number in range(blocks):
            block, first = f"backbone.stages.{index}.blocks.{number}", inputs if number == 0 else out
            for layer in range(layers):
                prefix, entering = f"{block}.layers.{layer}", first if layer == 0 else mid
                if light:
                    names |= conv(f"{prefix}.conv1", entering, mid, 1, active=False) | conv(f"{prefix}.conv2", 1, mid, kernel)
                else:
                    names |= conv(prefix, entering, mid, kernel)
            names |= conv(f"{block}.aggregation.0", first + layers * mid, out // 2, 1)
            names |= conv(f"{block}.aggregation.1", out // 2, out, 1)
    return names


def hybrid_encoder(section: dict) -> dict:
    """Of version deim: no convolution after the CSP blocks; an input projection where other channels come in."""
    width, inner = section["hidden_dim"], round(section["expansion"] * section["hidden_dim"] // 2)
    layer = "encoder.encoder.0.layers.0"
    names = {f"{layer}.self_attn.in_proj_weight": (3 * width, width), f"{layer}.self_attn.in_proj_bias": (3 * width,)}
    names |= linear(f"{layer}.self_attn.out_proj", width, width)
    names |= linear(f"{layer}.linear1", width, section["dim_feedforward"])
    names |= linear(f"{layer}.linear2", section["dim_feedforward"], width)
    names |= layer_norm(f"{layer}.norm1", width) | layer_norm(f"{layer}.norm2", width)
    for index, channels in enumerate(section["in_channels"]):
        names |= conv_norm(f"encoder.input_proj.{index}", channels, width, 1) if channels != width else {}
    for index in range(2):
        names |= conv_norm(f"encoder.lateral_convs.{index}", width, width, 1)
        names |= conv_norm(f"encoder.downsample_convs.{index}.0.cv1", width, width, 1)
        names |= conv_norm(f"encoder.downsample_convs.{index}.0.cv2", 1, width, 3)
        for block in (f"encoder.fpn_blocks.{index}", f"encoder.pan_blocks.{index}"):
            names |= conv_norm(f"{block}.cv1", width, 2 * width, 1) | conv_norm(f"{block}.cv4", 2 * width + 2 * inner, width, 1)
            for csp, inputs in (("cv2", width), ("cv3", inner)):
                names |= conv_norm(f"{block}.{csp}.0.conv1", inputs, 2 * inner, 1)
                for number in range(round(3 * section["depth_mult"])):
                    bottleneck = f"{block}.{csp}.0.bottlenecks.{number}"
                    names |= conv_norm(f"{bottleneck}.conv1", inner, inner, 3) | conv_norm(
                        f"{bottleneck}.conv2", inner, inner, 1
                    )
    return names


def decoder(section: dict, classes: int, size: int) -> dict:
    """With gateways, and a box head for each layer."""
    positions = sum((size // stride) ** 2 for stride in (8, 16, 32))
    width, points = section["hidden_dim"], sum(section["num_points"])
    names = {"decoder.up": (1,), "decoder.reg_scale": (1,), "decoder.decoder.up": (1,), "decoder.decoder.reg_scale": (1,)}
    names |= {"decoder.anchors": (1, positions, 4), "decoder.valid_mask": (1, positions, 1)}
    names |= {"decoder.denoising_class_embed.weight": (classes + 1, width)} | linear("decoder.enc_score_head", width, classes)
    names |= mlp("decoder.enc_bbox_head", width, width, width, 4) | mlp("decoder.pre_bbox_head", width, width, width, 4)
    names |= mlp("decoder.query_pos_head", 4, width, width, width)
    for index in range(section["num_layers"]):
        layer = f"decoder.decoder.layers.{index}"
        names |= {f"{layer}.self_attn.in_proj_weight": (3 * width, width), f"{layer}.self_attn.in_proj_bias": (3 * width,)}
        names |= linear(f"{layer}.self_attn.out_proj", width, width)
        names |= {f"{layer}.norm1.scale": (width,), f"{layer}.norm3.scale": (width,), f"{layer}.gateway.norm.scale": (width,)}
        names |= linear(f"{layer}.gateway.gate", 2 * width, 2 * width)
        names |= {f"{layer}.cross_attn.num_points_scale": (points,)}
        names |= linear(f"{layer}.cross_attn.sampling_offsets", width, 8 * points * 2)
        names |= linear(f"{layer}.cross_attn.attention_weights", width, 8 * points)
        names |= linear(f"{layer}.swish_ffn.w12", width, section["dim_feedforward"])
        names |= linear(f"{layer}.swish_ffn.w3", section["dim_feedforward"] // 2, width)
        names |= mlp(f"decoder.decoder.lqe_layers.{index}.reg_conf", 20, 64, 1)
        names |= linear(f"decoder.dec_score_head.{index}", width, classes)
        names |= mlp(f"decoder.dec_bbox_head.{index}", width, width, width, 132)
    return names


def random_weights(variant: str, classes=CLASSES, seed=0, size=SIZE) -> dict[str, Tensor]:
    """All tensors of an official S, M, L or X (`B0` to `B5`: those with HGNetv2) for images of size x size."""
    own = VARIANTS[variant]
    names = dino_backbone(own["DINOv3STAs"]) if "DINOv3STAs" in own else hgnet_backbone(own["HGNetv2"])
    names |= hybrid_encoder(BASE["HybridEncoder"] | own["HybridEncoder"])
    names |= decoder(BASE["DEIMTransformer"] | own["DEIMTransformer"], classes, size)
    generator = torch.Generator().manual_seed(seed)
    made = dict(zip(("decoder.anchors", "decoder.valid_mask"), anchors(size), strict=True))
    return {name: made[name] if name in made else _value(name, shape, generator) for name, shape in names.items()}


def _value(name: str, shape: tuple, generator: torch.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(9)
    if name.endswith("bias_mask"):
        return torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(shape[0] // 3)
    if name.endswith("rope_embed.periods"):
        return 100.0 ** (torch.arange(shape[0]) / shape[0])
    if name.endswith(("up", "reg_scale")):
        return torch.tensor([0.5 if name.endswith("up") else 4.0])
    if name.endswith("running_var"):
        return 0.5 + torch.rand(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    if name.endswith(("gamma", "scale")) or (len(shape) == 1 and name.endswith("weight")):
        return 1 + 0.1 * noise
    return noise * (0.1 if len(shape) == 1 else (2.0 / torch.tensor(shape[1:]).prod()) ** 0.5)


STEEP = re.compile(r"attn\.(proj|out_proj)|mlp\.(fc2|w3)|swish_ffn\.w3|bbox_head|sampling_offsets|reg_conf")


def calm_weights(variant: str, classes=CLASSES, size=SIZE) -> dict[str, Tensor]:
    """Random ones that do not amplify rounding: otherwise 1e-9 of a pixel moves logits by 5e-3, in the port's float32 norms."""
    weights = random_weights(variant, classes, size=size)
    weights = {name: 0.1 * tensor if STEEP.search(name) else tensor for name, tensor in weights.items()}
    return weights | {"decoder.enc_score_head.bias": torch.zeros(classes)}  # else positions without a box win at 448 pixels


NAMES = [f"class{k}" for k in range(CLASSES)]
CARD = {
    "name": "toy",
    "format": "coco",
    "obtain": "it is made by the tests",
    "prompts": "toy",
    "classes": NAMES,
    "critical": NAMES[:1],
    "splits": {split: {"annotations": f"{split}.json", "images": "."} for split in ("train", "val", "test")},
}
