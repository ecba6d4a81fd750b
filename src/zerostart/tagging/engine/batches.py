"""Stored uint8 pictures become the model's input on its own device: crop, flip, bicubic resize, normalise."""

from collections.abc import Sequence

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor
from torch.nn import functional

from zerostart.tagging.params import PhaseParams


def model_input(images: Sequence[Tensor], size: int, device: torch.device) -> Tensor:
    """3×H×W uint8 pictures of any sizes as B×3×size×size float32, normalised with ImageNet's mean and deviation.

    The aspect ratio is not kept: a tag may be anywhere in the photo, so nothing is cut off.
    """
    if len({image.shape for image in images}) == 1:
        resized = _resize(torch.stack(list(images)).to(device), size)
    else:
        resized = torch.cat([_resize(image[None].to(device), size) for image in images])
    mean, std = (
        torch.tensor(values, device=device).reshape(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    )
    return (resized.clamp_(0, 255) / 255 - mean) / std


def _resize(images: Tensor, size: int) -> Tensor:
    """uint8 to float32 of another size; large pictures lose pixels by whole steps first, which costs little."""
    step = min(images.shape[2:]) // (2 * size)
    values = images.float()
    if step > 1:
        values = functional.avg_pool2d(values, step)
    if values.shape[2:] == (size, size):
        return values
    return functional.interpolate(values, (size, size), mode="bicubic", align_corners=False, antialias=True)


def augmented(images: Sequence[Tensor], phase: PhaseParams, generator: torch.Generator) -> list[Tensor]:
    """Random crops and mirror images or orientations, small pictures also zoomed out; still uint8."""
    draws = torch.rand(len(images), 10, generator=generator).tolist()
    return [
        _zoomed_out(_oriented(_cropped(image, phase, *draw[:4]), phase, *draw[4:7]), phase, *draw[7:])
        for image, draw in zip(images, draws, strict=True)
    ]


def _cropped(image: Tensor, phase: PhaseParams, tall: float, wide: float, top: float, left: float) -> Tensor:
    _, height, width = image.shape
    high, broad = (
        max(round(side * (phase.least_crop + (1 - phase.least_crop) * u)), 1) for side, u in ((height, tall), (width, wide))
    )
    y, x = round((height - high) * top), round((width - broad) * left)
    return image[:, y : y + high, x : x + broad]


def _oriented(image: Tensor, phase: PhaseParams, across: float, upside: float, turn: float) -> Tensor:
    """Mirrored left to right half of the time; with `all_orientations` one of the eight ways to lay the picture."""
    if phase.all_orientations and turn < 0.5:
        image = image.transpose(1, 2)
    flips = [2] * (across < 0.5) + [1] * (phase.all_orientations and upside < 0.5)
    return image.flip(flips) if flips else image


def _zoomed_out(image: Tensor, phase: PhaseParams, scale: float, top: float, left: float) -> Tensor:
    """A small picture on a larger ground, which its border pixels continue (as in SSD, Liu et al. 2016)."""
    _, height, width = image.shape
    if phase.zoom_out == 1 or max(height, width) >= phase.input_size:
        return image
    down, right = (round(side * (phase.zoom_out - 1) * scale) for side in (height, width))
    above, before = round(down * top), round(right * left)
    around = (before, right - before, above, down - above)
    return functional.pad(image[None].float(), around, mode="replicate")[0].to(torch.uint8)


def photometric(inputs: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Random contrast, brightness and tint of each normalised picture (B×3×S×S)."""
    if not strength:
        return inputs
    draws = (torch.rand(4, len(inputs), 3, 1, 1, generator=generator) * 2 - 1).to(inputs.device) * strength
    contrast, brightness = 0.4 * draws[0, :, :1], 0.4 * draws[1, :, :1]  # the same for all channels
    return inputs * (1 + contrast + 0.2 * draws[2]) + brightness + 0.2 * draws[3]
