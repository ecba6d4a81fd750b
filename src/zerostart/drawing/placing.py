"""Where a mark's box finds room on a surface."""

from collections.abc import Callable

import numpy as np

Box = tuple[int, int, int, int]
"""x, y, width, height in pixels."""


def find_room(
    size: tuple[int, int],
    surface: tuple[int, int],
    accepted: Callable[[Box], bool],
    rng: np.random.Generator,
    margin: int = 2,
    attempts: int = 40,
) -> Box | None:
    """A random place that is `accepted`, or None when none of the attempts is, or the box is too large.

    size, surface: width and height in pixels; margin: pixels between a box and the border of the surface.
    """
    (width, height), (columns, rows) = size, surface
    if width + 2 * margin > columns or height + 2 * margin > rows:
        return None
    for _ in range(attempts):
        x = int(rng.integers(margin, columns - margin - width + 1))
        y = int(rng.integers(margin, rows - margin - height + 1))
        if accepted((x, y, width, height)):
            return x, y, width, height
    return None


def overlaps(a: Box, b: Box) -> bool:
    """Whether two boxes share more than a tenth of the smaller one: at most that keeps the IoU below 0.1."""
    overlap_x = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    overlap_y = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(overlap_x, 0) * max(overlap_y, 0) > 0.1 * min(a[2] * a[3], b[2] * b[3])
