"""The buffers of an official checkpoint: anchors by the official formula, and what a training makes of them.

After engine/deim/deim_decoder.py (`_generate_anchors`), engine/optim/ema.py and dinov3's RopePositionEmbedding.
"""

import math

import torch
from torch import Tensor


def anchors(size: int, strides=(8, 16, 32), dtype=torch.float32) -> tuple[Tensor, Tensor]:
    """1xLx4 (logits of cxcywh, infinite where the box is no valid one) and 1xLx1 for a square image."""
    levels = []
    for level, side in enumerate(size // stride for stride in strides):
        rows, columns = torch.meshgrid(torch.arange(side, dtype=dtype), torch.arange(side, dtype=dtype), indexing="ij")
        centres = (torch.stack([columns, rows], -1) + 0.5) / side
        levels.append(torch.cat([centres, torch.full_like(centres, 0.05 * 2.0**level)], -1).reshape(1, -1, 4))
    boxes = torch.cat(levels, 1)
    valid = ((boxes > 0.01) & (boxes < 0.99)).all(-1, keepdim=True)
    return torch.where(valid, torch.log(boxes / (1 - boxes)), torch.inf), valid


def averaged(buffer: Tensor, steps=30_000, decay=0.9999, warmups=1000) -> Tensor:
    """A float buffer, which never changes, after so many steps of the official EMA in float32."""
    average = buffer.clone()
    for step in range(1, steps + 1):
        rate = decay * (1 - math.exp(-step / warmups))
        average *= rate
        average += (1 - rate) * buffer
    return average
