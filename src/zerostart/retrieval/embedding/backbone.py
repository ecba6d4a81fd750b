"""Pooled features of a frozen detector backbone: what the adapter learns from."""

from pathlib import Path

import torch
from torch import Tensor, nn

from zerostart.detector.baseline_config import baseline_classes
from zerostart.detector.coco import load_official_detector
from zerostart.detector.model import load_detector
from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError


class PooledBackbone(nn.Module):
    """The last two stages of a DEIMv2 backbone, each pooled to its mean and its maximum."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (B×3×S×S) to features (B×F): a small damage moves the maximum, a large one the mean as well."""
        levels = self.stages(pixel_values(images), output_hidden_states=True).hidden_states[-2:]
        return torch.cat([pooled for level in levels for pooled in (level.mean((2, 3)), level.amax((2, 3)))], dim=1)


def load_backbone(source: str) -> PooledBackbone:
    """The backbone of a baseline folder or of an official .pth file; raises InputError when neither is there."""
    path = Path(source)
    if path.suffix == ".pth":
        detector = load_official_detector(path)
    elif (path / "config.json").is_file():
        detector = load_detector(path, baseline_classes(path))
    else:
        raise InputError(f"adapter.backbone '{source}': neither a baseline folder nor an official .pth file")
    config = detector.config
    if config.backbone_config.model_type != "hgnet_v2" or getattr(config, "image_mean", None) is not None:
        raise InputError(f"adapter.backbone '{source}': an HGNetv2 backbone on pixels in [0, 1] is expected, not another one")
    return PooledBackbone(detector.model.conv_encoder.model).eval().requires_grad_(False)
