"""What a model of a fixed input size sees of a crop: the whole of it, and patches of a crop that is larger."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

WHOLE_WEIGHT = 0.6
"""Weight of the whole crop where there are patches; they share the rest equally."""


def patches_of(crop: Image.Image, size: int) -> np.ndarray:
    """V×3×size×size uint8: the crop squeezed into the square, then, if its longer side is above `size`, its patches.

    Patches are size×size pixels as they are, as few as cover the crop, evenly spaced; a crop narrower than that gives
    patches of its shorter side, enlarged.
    """
    pictures = [crop]
    if max(crop.size) > size:
        window = min(size, *crop.size)
        corners = [(left, top) for top in _starts(crop.height, window) for left in _starts(crop.width, window)]
        pictures += [crop.crop((left, top, left + window, top + window)) for left, top in corners]
    resized = [
        picture if picture.size == (size, size) else picture.resize((size, size), Image.Resampling.BICUBIC)
        for picture in pictures
    ]
    return np.stack([np.asarray(picture) for picture in resized]).transpose(0, 3, 1, 2)


def patch_weights(count: int) -> Tensor:
    """Weights of a crop's patches, summing to 1: the whole alone, or the whole and its patches."""
    if count == 1:
        return torch.ones(1)
    weights = torch.full((count,), (1 - WHOLE_WEIGHT) / (count - 1))
    weights[0] = WHOLE_WEIGHT
    return weights


def _starts(length: int, window: int) -> list[int]:
    return np.rint(np.linspace(0, length - window, -(-length // window))).astype(int).tolist()
