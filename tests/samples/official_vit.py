"""DEIMv2's ViT backbones computed from official weights, step by step, as a reference for the converted ones.

After engine/backbone/dinov3_adapter.py, vit_tiny.py and dinov3/layers/attention.py of the official repository.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def fused_maps(weights: dict[str, Tensor], pixels: Tensor, section: dict) -> list[Tensor]:
    """The three maps (strides 8, 16, 32) that the backbone hands to the encoder."""
    height, width = pixels.shape[-2] // 16, pixels.shape[-1] // 16
    maps = []
    details = spatial_details(weights, pixels)
    for index, (tokens, detail) in enumerate(zip(vit_blocks(weights, pixels, section), details, strict=True)):
        semantic = tokens.transpose(1, 2).unflatten(2, (height, width))
        semantic = F.interpolate(semantic, size=detail.shape[-2:], mode="bilinear", align_corners=False)
        fused = F.conv2d(torch.cat([semantic, detail], 1), weights[f"backbone.convs.{index}.weight"])
        maps.append(batch_norm(weights, f"backbone.norms.{index}", fused))
    return maps


def spatial_details(weights: dict[str, Tensor], pixels: Tensor) -> list[Tensor]:
    def step(x: Tensor, conv: str, norm: str) -> Tensor:
        return batch_norm(weights, f"backbone.sta.{norm}", F.conv2d(x, weights[f"backbone.sta.{conv}.weight"], None, 2, 1))

    first = F.max_pool2d(F.gelu(step(pixels, "stem.0", "stem.1")), 3, 2, 1)
    second = step(first, "conv2.0", "conv2.1")
    third = step(F.gelu(second), "conv3.1", "conv3.2")
    return [second, third, step(F.gelu(third), "conv4.1", "conv4.2")]


def vit_blocks(weights: dict[str, Tensor], pixels: Tensor, section: dict) -> list[Tensor]:
    """Patch tokens (B×N×D) after the blocks in `interaction_indexes`; DINOv3's own are normalised, the tiny ViTs' not."""
    tiny = section["name"].startswith("vit_tiny")
    prefix, eps = ("backbone.dinov3._model.", 1e-6) if tiny else ("backbone.dinov3.", 1e-5)
    w = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    heads = section["num_heads"] if tiny else 6
    patches = F.conv2d(pixels, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], 16)
    rope = rotation(*patches.shape[-2:], w["rope_embed.periods"])
    prefixes = [w["cls_token"]] if tiny else [w["cls_token"], w["storage_tokens"]]
    x = torch.cat([*(token.expand(len(pixels), -1, -1) for token in prefixes), patches.flatten(2).transpose(1, 2)], 1)
    extra = sum(token.shape[1] for token in prefixes)
    outputs = []
    for index in range(12):
        block = {name.removeprefix(f"blocks.{index}."): t for name, t in w.items() if name.startswith(f"blocks.{index}.")}
        attended = attention(block, norm(block, "norm1", x, eps), heads, rope, extra)
        x = x + attended * (1 if tiny else block["ls1.gamma"])
        x = x + feed_forward(block, norm(block, "norm2", x, eps)) * (1 if tiny else block["ls2.gamma"])
        if index in section["interaction_indexes"]:
            outputs.append((x if tiny else norm(w, "norm", x, eps))[:, extra:])
    return outputs


def rotation(height: int, width: int, periods: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(0.5, n) / n for n in (height, width))
    coordinates = 2 * torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1) - 1
    angles = (2 * math.pi * coordinates[:, :, None] / periods).flatten(1).repeat(1, 2)
    return angles.sin(), angles.cos()


def attention(block: dict[str, Tensor], x: Tensor, heads: int, rope: tuple[Tensor, Tensor], extra: int) -> Tensor:
    bias = block["attn.qkv.bias"] * block.get("attn.qkv.bias_mask", torch.tensor(1.0))
    qkv = F.linear(x, block["attn.qkv.weight"], bias).unflatten(-1, (3, heads, -1))
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    q, k = (torch.cat([t[:, :, :extra], rotate(t[:, :, extra:], *rope)], 2) for t in (q, k))
    weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
    return F.linear((weights @ v).transpose(1, 2).flatten(2), block["attn.proj.weight"], block["attn.proj.bias"])


def rotate(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    one, other = x.chunk(2, -1)
    return x * cos + torch.cat([-other, one], -1) * sin


def feed_forward(block: dict[str, Tensor], x: Tensor) -> Tensor:
    def layer(name: str, values: Tensor) -> Tensor:
        return F.linear(values, block[f"mlp.{name}.weight"], block[f"mlp.{name}.bias"])

    if "mlp.w1.weight" in block:
        return layer("w3", F.silu(layer("w1", x)) * layer("w2", x))
    return layer("fc2", F.gelu(layer("fc1", x)))


def norm(weights: dict[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def batch_norm(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    keys = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(weights[f"{name}.{key}"] for key in keys))
