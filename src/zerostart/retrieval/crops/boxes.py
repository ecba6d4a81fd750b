"""Where to cut: one crop per cluster of damages, a grid of clean tiles over the vehicle. Real pixels only, no padding."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

from zerostart.retrieval.crops.photos import Box

Pixels = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels."""


def cluster_boxes(boxes: Sequence[Box], distance: float) -> list[list[int]]:
    """Indices of the boxes in single-linkage clusters: no two clusters are within `distance` pixels of each other."""
    low, high = np.array(boxes)[:, None, :2], np.array(boxes)[:, None, 2:]
    gaps = np.maximum(low - high.swapaxes(0, 1), low.swapaxes(0, 1) - high).clip(min=0)
    count, member = connected_components(np.linalg.norm(gaps, axis=2) <= distance)
    return [np.flatnonzero(member == cluster).tolist() for cluster in range(count)]


def damage_crop(boxes: Sequence[Box], size: tuple[int, int], margin: float, min_side: int) -> Pixels:
    """The crop around a cluster: `margin` times its longer side on every side, at least `min_side` pixels long and wide.

    At the border of the picture (`size`: width, height) it is shifted, and where the picture ends, cut.
    """
    low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    extent = np.maximum(high - low + 2 * margin * (high - low).max(), min_side)
    extent = np.minimum(np.ceil(extent), size)
    start = np.clip(np.rint((low + high - extent) / 2), 0, size - extent)
    left, top, right, bottom = np.concatenate([start, start + extent]).astype(int).tolist()
    return left, top, right, bottom


def grow(box: Box, margin: float, size: tuple[int, int]) -> Pixels:
    """A box with `margin` times its width and height added on every side, inside the picture."""
    aside, above = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    left, top = max(int(box[0] - aside), 0), max(int(box[1] - above), 0)
    return left, top, min(int(np.ceil(box[2] + aside)), size[0]), min(int(np.ceil(box[3] + above)), size[1])


def clean_tiles(
    region: Pixels, vehicle: Box, avoid: Sequence[Box], tile: int, overlap: float, vehicle_share: float
) -> Iterator[Pixels]:
    """Tiles of a grid over `region` that are at least `vehicle_share` vehicle and touch no box of `avoid`.

    Neighbours overlap by `overlap` of a tile, the last ones by more: they end where the region ends. A region smaller
    than a tile is one tile.
    """
    for top in _starts(region[1], region[3], tile, overlap):
        for left in _starts(region[0], region[2], tile, overlap):
            box = (left, top, min(left + tile, region[2]), min(top + tile, region[3]))
            area = (box[2] - box[0]) * (box[3] - box[1])
            if 0 < area <= _shared(box, vehicle) / vehicle_share and not any(_shared(box, other) > 0 for other in avoid):
                yield box


def share_inside(box: Box, crop: Pixels) -> float:
    """How much of a box's area lies inside a crop, 0 to 1."""
    return _shared(box, crop) / ((box[2] - box[0]) * (box[3] - box[1]))


def _starts(low: int, high: int, tile: int, overlap: float) -> list[int]:
    last = max(high - tile, low)
    step = max(round(tile * (1 - overlap)), 1)
    return sorted({*range(low, last, step), last})


def _shared(one: Box | Pixels, other: Box | Pixels) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
