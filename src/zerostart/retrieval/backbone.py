"""Pooled features of a frozen detector backbone: what the adapter learns from."""

from pathlib import Path

import torch
from torch import Tensor, nn

from zerostart.detector import load_detector
from zerostart.errors import InputError
from zerostart.images import pixel_values
from zerostart.retrieval.coco_detector import load_official_detector
from zerostart.retrieval.detector_classes import classes_of


class PooledBackbone(nn.Module):
    """The last two stages of a DEIMv2 backbone, each pooled to its mean and its maximum."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B×3×S×S) to features (B×F): a small damage moves the maximum, a large one the mean."""
        hidden = self.stages(pixel_values(images), output_hidden_states=True).hidden_states[-2:]
        return torch.cat([pooled for level in hidden for pooled in (level.mean((2, 3)), level.amax((2, 3)))], dim=1)
