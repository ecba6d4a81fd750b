"""Augmentation of detector training: flips, zoom-and-shift crops, brightness, contrast and sensor noise, on whole batches."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zerostart.detector.pixels import brightness_and_contrast

MIN_VISIBLE = 0.4  # an object of which a crop keeps less than this share of its area is dropped


def augment(
    images: Tensor, targets: list[dict[str, Tensor]], generator: torch.Generator, zoom: bool = True
) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Return augmented copies of float images (B×3×S×S in [0, 1]) and their targets (cxcywh fractions).

    Every image is flipped each way with probability 1/2 and, if `zoom`, with probability 1/2 seen through a window of 0.6 to
    1.2 times its size (parts outside the image repeat by reflection; what was reflected is not labelled).
    """
    count = len(images)
    flips = torch.where(torch.rand(count, 2, generator=generator) < 0.5, -1.0, 1.0)
    window = torch.where(
        torch.rand(count, generator=generator) < 0.5 * zoom, 0.6 + 0.6 * torch.rand(count, generator=generator), 1.0
    )
    # The window's centre moves so far that a window smaller than the image stays inside it.
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - window).clamp(min=0)[:, None]
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = window * flips[:, 0], window * flips[:, 1]
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    moved_targets = [_move_target(target, window[index], flips[index], shift[index]) for index, target in enumerate(targets)]
    return _photometric(moved, generator), moved_targets


def _move_target(target: dict[str, Tensor], window: Tensor, flips: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """Inverse of the sampling transform: input = window·flip·output + shift, in coordinates from -1 to 1."""
    centres = ((target["boxes"][:, :2] * 2 - 1 - shift) / (window * flips) + 1) / 2
    sizes = target["boxes"][:, 2:] / window
    low, high = (centres - sizes / 2).clamp(0, 1), (centres + sizes / 2).clamp(0, 1)
    visible = (high - low).prod(dim=1) >= MIN_VISIBLE * sizes.prod(dim=1)
    boxes = torch.cat([(low + high) / 2, high - low], dim=1)[visible]
    return {"class_labels": target["class_labels"][visible], "boxes": boxes}


def _photometric(images: Tensor, generator: torch.Generator) -> Tensor:
    changed = brightness_and_contrast(images, 1.0, generator)
    noise = 0.02 * torch.rand(len(images), 1, 1, 1, generator=generator) * torch.randn(images.shape, generator=generator)
    return (changed + noise).clamp_(0, 1)
