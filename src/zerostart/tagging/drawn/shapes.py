"""Outlines of the machine parts in the drawn tagging domains, as polygons on the square [-1, 1] × [-1, 1]."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Polygon = np.ndarray
"""V×2 corners (x, y)."""


class Outline(NamedTuple):
    """A part: what is metal, and the holes in it."""

    solid: Polygon
    holes: tuple[Polygon, ...]


def _ring(radii: np.ndarray | float, corners: int, turn: float = 0.0) -> Polygon:
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.reshape(radii, (-1, 1))


def nut(rng: np.random.Generator) -> Outline:
    """A hexagon with a round hole."""
    return Outline(_ring(0.95, 6), (_ring(rng.uniform(0.4, 0.5), 40),))


def bracket(rng: np.random.Generator) -> Outline:
    """An L of flat bar."""
    end, inner = 0.68, rng.uniform(0.3, 0.42) - 0.68
    corners = [(-end, -end), (inner, -end), (inner, -inner), (end, -inner), (end, end), (-end, end)]
    return Outline(np.array(corners), ())


def gear(rng: np.random.Generator) -> Outline:
    """A wheel of 9 to 12 teeth on a small bore."""
    teeth = int(rng.integers(9, 13))
    radii = np.tile([0.95, 0.95, 0.7, 0.7], teeth)
    return Outline(_ring(radii, 4 * teeth), (_ring(0.18, 30),))


def screw(rng: np.random.Generator) -> Outline:
    """A broad head on a threaded shaft that ends in a point."""
    head, shaft, pitch = rng.uniform(0.42, 0.52), rng.uniform(0.15, 0.2), 0.16
    y = np.arange(-0.55, 0.75, pitch / 2)
    x = shaft + 0.08 * (np.arange(len(y)) % 2)
    right = np.stack([x, y], axis=1)
    left = right[::-1] * (-1, 1)
    cap = np.array([[-shaft, -0.6], [-head, -0.6], [-head * 0.8, -0.95], [head * 0.8, -0.95], [head, -0.6], [shaft, -0.6]])
    return Outline(np.concatenate([cap, right, [[0.0, 0.97]], left]), ())


def pin(rng: np.random.Generator) -> Outline:
    """A plain bar with round ends."""
    width, arc = rng.uniform(0.16, 0.26), np.linspace(0, np.pi, 14)
    end = np.stack([width * np.cos(arc), 0.95 - width + width * np.sin(arc)], axis=1)
    return Outline(np.concatenate([end, -end]), ())


def plate(rng: np.random.Generator) -> Outline:
    """A rectangle with a small hole in each corner."""
    height = rng.uniform(0.4, 0.6)
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (0.78, height)
    holes = tuple(_ring(0.1, 20) + corner * (0.75, 0.7) for corner in corners)
    return Outline(corners, holes)


SHAPES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "nut": nut,
    "gear": gear,
    "screw": screw,
    "bracket": bracket,
    "pin": pin,
    "plate": plate,
}
TAGS = ("nut", "gear", "screw", "bracket")
"""The parts that are tags; the other two are what a tagger must not mistake for one."""
