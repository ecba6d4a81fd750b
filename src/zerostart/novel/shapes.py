"""The forms of marks as fields over a square patch, in float64: how much of a pixel a form covers, from exact distances."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

GLYPHS = (
    (((-0.6, -0.8), (-0.6, 0.8)), ((-0.6, 0.0), (0.6, 0.0)), ((0.6, -0.8), (0.6, 0.8))),
    (((-0.7, 0.8), (0.0, -0.8), (0.7, 0.8)), ((-0.35, 0.2), (0.35, 0.2))),
    (((-0.6, -0.8), (0.6, -0.8), (-0.1, 0.8)),),
    (((-0.6, -0.7), (0.6, 0.7)), ((-0.6, 0.7), (0.6, -0.7))),
    (((-0.5, 0.8), (-0.5, -0.8), (0.5, -0.8)), ((-0.5, 0.0), (0.3, 0.0))),
    (((-0.05, 0.0), (0.05, 0.0)),),
)
"""Strokes of the signs that are stamped inside a ring: H, A, 7, X, F and a punch mark; x, y from -1 to 1."""


class Shape(NamedTuple):
    """A form on a patch of S×S pixels."""

    cover: np.ndarray
    """S×S float64, 0 to 1: how much of the pixel the form covers."""
    around: np.ndarray
    """S×S, 0 to 1: the same for the form with a border of about 1.5 pixels."""


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels' centres from the middle of the patch, S×S float64."""
    axis = np.arange(size, dtype=np.float64) + 0.5 - size / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def stroke_shape(size: int, paths: list[np.ndarray], widths: list[np.ndarray], softness: float) -> Shape:
    """Strokes along paths (n×2 points from the middle, about half a pixel apart), n widths each, in pixels."""
    points, half = np.concatenate(paths), np.concatenate(widths) / 2
    x, y = grid(size)
    distance, nearest = cKDTree(points).query(np.stack([x.ravel(), y.ravel()], -1))
    inside = (half[nearest] - distance).reshape(size, size)
    return Shape(ramp(inside, softness), ramp(inside + 1.5, max(softness, 1.5)))


def ramp(inside: np.ndarray, softness: float) -> np.ndarray:
    """0 outside, 1 inside; a smooth step over `softness` pixels around the edge (inside: pixels to it, negative outside)."""
    t = np.clip(inside / softness + 0.5, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def arc(length: float, angle: float, sag: float) -> tuple[np.ndarray, np.ndarray]:
    """Points half a pixel apart along a shallow parabola around the middle, and its unit normals; both n×2."""
    t = np.linspace(-1.0, 1.0, max(int(2 * length), 8))
    along, across = t * length / 2, sag * length * (1 - t**2 - 2 / 3)
    cos, sin = np.cos(angle), np.sin(angle)
    points = np.stack([along * cos - across * sin, along * sin + across * cos], -1)
    tangent = np.gradient(points, axis=0)
    return points, np.stack([-tangent[:, 1], tangent[:, 0]], -1) / np.linalg.norm(tangent, axis=1, keepdims=True)


def zigzag(n: int, rng: np.random.Generator, spacing: float, amplitude: float) -> np.ndarray:
    """Sideways steps of n points in pixels: straight pieces of about `spacing` points between uneven corners."""
    corners = np.cumsum(rng.uniform(0.5, 1.5, int(n / (0.5 * spacing)) + 4) * spacing) - spacing
    heights = rng.uniform(0.3, 1.5, len(corners)) * amplitude * np.where(np.arange(len(corners)) % 2, 1.0, -1.0)
    return np.interp(np.arange(n), corners, heights)


def outline_radius(angle: np.ndarray, rng: np.random.Generator, jagged: bool) -> np.ndarray:
    """Radius of an uneven outline around 1 at each angle (radians): calm lobes, or teeth as well."""
    radius = 1.0 + sum(rng.uniform(0.01, 0.05) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi)) for wave in (2, 3, 5))
    if not jagged:
        return radius
    teeth = 2 * int(rng.integers(7, 12))
    corners = np.cumsum(rng.uniform(0.4, 1.6, teeth + 1))
    corners = (corners - corners[0]) / (corners[-1] - corners[0]) * 2 * np.pi
    heights = rng.uniform(0.02, 0.22, teeth) * np.where(np.arange(teeth) % 2, 1.0, -1.0)
    return radius + np.interp(np.mod(angle, 2 * np.pi), corners, np.append(heights, heights[0]))


def blob_distance(
    size: int, centre: tuple[float, float], long: float, short: float, turn: float, rng: np.random.Generator, jagged: bool
) -> np.ndarray:
    """Pixels from the outline of an uneven ellipse, positive inside; S×S."""
    x, y = grid(size)
    x, y = x - centre[0], y - centre[1]
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    radius = outline_radius(np.arctan2(v / short, u / long), rng, jagged)
    return (radius - np.sqrt((u / long) ** 2 + (v / short) ** 2)) * np.sqrt(long * short)


def ring_distance(size: int, half: float, ratio: float, turn: float, angular: bool) -> np.ndarray:
    """Pixels from the line of a circle or of a rounded frame (half as wide as `half`), positive outside; S×S."""
    x, y = grid(size)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    power = 10.0 if angular else 2.0
    return half * ((np.abs(u / half) ** power + np.abs(v / (half * ratio)) ** power) ** (1 / power) - 1)


def glyph_paths(number: int, half: float, turn: float) -> list[np.ndarray]:
    """The strokes of a sign, half a pixel apart, as high as 2·half pixels."""
    cos, sin = np.cos(turn), np.sin(turn)
    paths = []
    for stroke in GLYPHS[number]:
        corners = np.array(stroke) * half * np.array([0.75, 1.0])
        lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
        at = np.linspace(0.0, lengths[-1], max(int(2 * lengths[-1]), 2))
        x, y = np.interp(at, lengths, corners[:, 0]), np.interp(at, lengths, corners[:, 1])
        paths.append(np.stack([x * cos - y * sin, x * sin + y * cos], -1))
    return paths


def cell_walls(size: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Pixels from the walls between the cells of a crack network (Voronoi cells, their walls bent); S×S, 0 on a wall."""
    x, y = grid(size)
    steps = np.arange(-size / 2 - spacing, size / 2 + 2 * spacing, spacing)
    seeds = np.stack([part.ravel() for part in np.meshgrid(steps, steps)], -1)
    seeds = seeds + rng.uniform(-0.45, 0.45, seeds.shape) * spacing
    phase = rng.uniform(0, 2 * np.pi, 4)
    bent_x = x + 1.2 * np.sin(y / 4.1 + phase[0]) + 0.8 * np.sin(y / 1.9 + phase[1])
    bent_y = y + 1.2 * np.sin(x / 4.3 + phase[2]) + 0.8 * np.sin(x / 2.1 + phase[3])
    distance, _ = cKDTree(seeds).query(np.stack([bent_x.ravel(), bent_y.ravel()], -1), k=2)
    return ((distance[:, 1] - distance[:, 0]) / 2).reshape(size, size)
