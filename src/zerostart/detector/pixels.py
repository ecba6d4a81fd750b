"""Read the images of a COCO split at the detector's input size, decoding ahead of the consumer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zerostart.datasets.pictures import open_rgb
from zerostart.prefetch import in_order


def read_image(path: Path, size: int) -> np.ndarray:
    """One upright image as RGB uint8 (3×size×size), resized bilinearly without keeping the aspect ratio, as DEIMv2 does.

    Raises InputError when the file is missing or cannot be decoded.
    """
    return resized(open_rgb(path), size)


def image_batches(coco: dict, folder: str | Path, size: int, batch_size: int) -> Iterator[Tensor]:
    """The images of `coco`, in its order, as uint8 batches (B×3×size×size).

    Threads decode the next batches while the caller works on the present one; memory holds a few batches only.
    """
    paths = [Path(folder) / image["file_name"] for image in coco["images"]]
    chunks = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]

    def read_chunk(chunk: list[Path]) -> Tensor:
        return torch.from_numpy(np.stack([read_image(path, size) for path in chunk]))

    with ThreadPoolExecutor(2) as pool:
        yield from in_order(pool, read_chunk, chunks, ahead=4)


def pixel_values(images: Tensor) -> Tensor:
    """uint8 images (B×3×S×S) as the detector's float32 input in [0, 1], stored channels-last (faster on CPU)."""
    return images.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)


def brightness_and_contrast(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Images (B×3×S×S in [0, 1]) with up to 0.12 more or less brightness and 25 % contrast, times `strength`; not clamped."""
    brightness, contrast = (
        strength * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1).to(images.device) for _ in range(2)
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (1 + 0.25 * contrast) + mean + 0.12 * brightness


def resized(image: Image.Image, size: int) -> np.ndarray:
    """An RGB image as the detector's input (3×size×size uint8), as in training: bilinear, without keeping the aspect ratio."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
