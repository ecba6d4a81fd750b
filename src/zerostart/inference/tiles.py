"""Look at parts of a large image, and make one list of what was found in all of them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torchvision.ops import batched_nms

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


def merge_tiles(found: Sequence[Detections], parts: Sequence[Tile], size: tuple[int, int], max_iou: float) -> Detections:
    """All detections of an image of `size` (width, height), boxes in its pixels.

    found: of each tile, boxes as fractions of it. Boxes that an inner edge of their tile cuts are left to the neighbour or to
    the whole image; of those that overlap by more than `max_iou` in one class the best stays (torchvision's batched_nms).
    """
    kept = []
    for of_tile, (left, top, right, bottom) in zip(found, parts, strict=True):
        inner = np.array([left > 0, top > 0, right < size[0], bottom < size[1]])
        gap = np.concatenate([of_tile.boxes[:, :2], 1 - of_tile.boxes[:, 2:]], axis=1)
        whole = ~((gap < BORDER) & inner).any(axis=1)
        boxes = of_tile.boxes * np.float32([right - left, bottom - top] * 2) + np.float32([left, top] * 2)
        kept.append(Detections(*(array[whole] for array in of_tile._replace(boxes=boxes))))
    every = Detections(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True)))
    if len(found) == 1:
        return every
    best = batched_nms(*(torch.from_numpy(array) for array in every[:3]), max_iou)
    return Detections(*(array[best.numpy()] for array in every))
