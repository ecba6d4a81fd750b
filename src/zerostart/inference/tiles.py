"""Look at parts of a large image, and make one list of what was found in all of them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision.ops import batched_nms

from zerostart.detector.pixels import resized
from zerostart.inference.detections import Detections

Tiling = Literal["none", "six", "grid"]
Tile = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""
PART = 0.6
"""Side of the corners and the centre of `six`, as a part of the image's."""
OVERLAP = 0.25
"""Of neighbours in `grid`, at least, as a part of a tile."""
BORDER = 0.01
"""A box so near (as a part of the tile) to an inner edge is one that the edge cuts."""


def tiles(width: int, height: int, tiling: Tiling, side: int) -> list[Tile]:
    """The parts to look at, the whole image first: it shows what is larger than a tile.

    `six`: the whole, four corners and the centre. `grid`: the whole and, where the image is larger than `side`, overlapping
    squares of `side` pixels that cover it.
    """
    whole = (0, 0, width, height)
    if tiling == "none":
        return [whole]
    if tiling == "six":
        w, h = round(width * PART), round(height * PART)
        starts = [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h), ((width - w) // 2, (height - h) // 2)]
        return [whole, *((left, top, left + w, top + h) for left, top in starts)]
    if max(width, height) <= side:
        return [whole]
    w, h = min(side, width), min(side, height)
    return [whole, *((left, top, left + w, top + h) for top in _starts(height, h) for left in _starts(width, w))]


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = 1 + int(np.ceil((length - side) / (side * (1 - OVERLAP))))
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def cut_out(image: Image.Image, parts: Sequence[Tile], side: int) -> np.ndarray:
    """The parts of an image at the detector's input size: n×3×side×side uint8."""
    return np.stack([resized(image.crop(part) if part != (0, 0, *image.size) else image, side) for part in parts])


def merge_tiles(found: Sequence[Detections], parts: Sequence[Tile], size: tuple[int, int], max_iou: float) -> Detections:
    """All detections of an image of `size` (width, height), boxes in its pixels; see :func:`merged_with_origins`."""
    return merged_with_origins(found, parts, size, max_iou)[0]


def merged_with_origins(
    found: Sequence[Detections], parts: Sequence[Tile], size: tuple[int, int], max_iou: float
) -> tuple[Detections, np.ndarray]:
    """All detections of an image of `size` (width, height), boxes in its pixels, and the index of the part that found each.

    found: of each tile, boxes as fractions of it. Boxes that an inner edge of their tile cuts are left to the neighbour or to
    the whole image; of those that overlap by more than `max_iou` in one class the best stays (torchvision's batched_nms).
    """
    kept, origins = [], []
    for index, (of_tile, (left, top, right, bottom)) in enumerate(zip(found, parts, strict=True)):
        inner = np.array([left > 0, top > 0, right < size[0], bottom < size[1]])
        gap = np.concatenate([of_tile.boxes[:, :2], 1 - of_tile.boxes[:, 2:]], axis=1)
        whole = ~((gap < BORDER) & inner).any(axis=1)
        boxes = of_tile.boxes * np.float32([right - left, bottom - top] * 2) + np.float32([left, top] * 2)
        kept.append(Detections(*(array[whole] for array in of_tile._replace(boxes=boxes))))
        origins.append(np.full(int(whole.sum()), index))
    every = Detections(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True)))
    origin = np.concatenate(origins)
    if len(found) == 1:
        return every, origin
    best = batched_nms(*(torch.from_numpy(array) for array in every[:3]), max_iou).numpy()
    return Detections(*(array[best] for array in every)), origin[best]
