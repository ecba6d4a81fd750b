"""Look at a photo six times - whole, in four corners and in the centre - so that small objects are seen larger."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from timm.models.convnext import ConvNeXt
from torch import Tensor

from zerostart.tagging.engine.batches import model_input
from zerostart.tagging.pictures.store import ImageStore

WINDOWS = ("whole", "top left", "top right", "bottom left", "bottom right", "centre")
PICTURES_AT_ONCE = 32


class Window(NamedTuple):
    """A window of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


def windows_of(height: int, width: int, windows: int, overlap: float) -> list[Window]:
    """The first `windows` windows of WINDOWS; corners that are neighbours share `overlap` of their side.

    Two sides f of which o·f is shared cover 1 = 2f − o·f, so f = 1 / (2 − o).
    """
    high, broad = (max(round(side / (2 - overlap)), 1) for side in (height, width))
    down, right = height - high, width - broad
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    return [Window(0, 0, height, width), *(Window(top, left, high, broad) for top, left in corners)][:windows]


def window_scores(model: ConvNeXt, images: Sequence[Tensor], size: int, windows: int, overlap: float) -> np.ndarray:
    """Scores B×W×K float64 of 3×H×W uint8 pictures, all their windows in one forward pass."""
    cut = [
        image[:, w.top : w.top + w.height, w.left : w.left + w.width]
        for image in images
        for w in windows_of(*image.shape[1:], windows, overlap)
    ]
    device = next(model.parameters()).device
    with torch.inference_mode():
        scores = model(model_input(cut, size, device)).double().sigmoid().cpu().numpy()
    return scores.reshape(len(images), windows, -1)


def stored_window_scores(
    model: ConvNeXt, store: ImageStore, indices: np.ndarray, size: int, windows: int, overlap: float
) -> np.ndarray:
    """Scores N×W×K of stored pictures."""
    found = [
        window_scores(model, store.images(indices[start : start + PICTURES_AT_ONCE]), size, windows, overlap)
        for start in range(0, len(indices), PICTURES_AT_ONCE)
    ]
    return np.concatenate(found) if found else np.zeros((0, windows, len(store.tags)))


def merged(scores: np.ndarray, merge: str) -> np.ndarray:
    """N×W×K to N×K: the highest score of a tag in any window (`max`), or the mean over the windows."""
    return scores.max(axis=1) if merge == "max" else scores.mean(axis=1)
