"""DEIMv2's HGNetv2 backbones computed from official weights, step by step, as a reference for the converted ones.

After engine/backbone/hgnetv2.py of the official repository.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor


def stage_maps(weights: dict[str, Tensor], pixels: Tensor, return_idx=(1, 2, 3)) -> list[Tensor]:
    """The maps of the stages in `return_idx`, which the backbone hands to the encoder."""

    def conv(x: Tensor, name: str, stride=1, active=True) -> Tensor:
        """Convolution, batch norm, and where it is active ReLU and the learned scale and bias."""
        kernel = weights[f"{name}.conv.weight"]
        groups, padding = x.shape[1] // kernel.shape[1], (kernel.shape[-1] - 1) // 2
        x = F.conv2d(x, kernel, None, stride, padding, groups=groups)
        x = F.batch_norm(x, *(weights[f"{name}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))
        if not active:
            return x
        return x.relu() * weights.get(f"{name}.lab.scale", 1) + weights.get(f"{name}.lab.bias", 0)

    def block(x: Tensor, name: str, residual: bool) -> Tensor:
        seen = [x]
        for layer in range(parts(weights, f"{name}.layers")):
            prefix = f"{name}.layers.{layer}"
            light = f"{prefix}.conv1.conv.weight" in weights
            y = conv(conv(seen[-1], f"{prefix}.conv1", active=False), f"{prefix}.conv2") if light else conv(seen[-1], prefix)
            seen.append(y)
        y = conv(conv(torch.cat(seen, 1), f"{name}.aggregation.0"), f"{name}.aggregation.1")
        return y + x if residual else y

    x = F.pad(conv(pixels, "backbone.stem.stem1", 2), (0, 1, 0, 1))
    other = conv(F.pad(conv(x, "backbone.stem.stem2a"), (0, 1, 0, 1)), "backbone.stem.stem2b")
    x = torch.cat([F.max_pool2d(x, 2, 1, ceil_mode=True), other], 1)
    x = conv(conv(x, "backbone.stem.stem3", 2), "backbone.stem.stem4")
    maps = []
    for stage in range(4):
        name = f"backbone.stages.{stage}"
        x = conv(x, f"{name}.downsample", 2, active=False) if stage else x
        for number in range(parts(weights, f"{name}.blocks")):
            x = block(x, f"{name}.blocks.{number}", residual=number > 0)
        maps.append(x)
    return [maps[index] for index in return_idx]


def parts(weights: dict[str, Tensor], name: str) -> int:
    """How many numbered modules there are below a name."""
    return len({found[1] for key in weights if (found := re.match(rf"{re.escape(name)}\.(\d+)\.", key))})
