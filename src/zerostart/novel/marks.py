"""Draw a mark that has given facts: line, spot, patch, ring, crack network, field of speckles or of streaks.

Everything is float64; the picture is rounded once, when it is complete.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from zerostart.drawing.marks import BOX_PADDING, Mark
from zerostart.novel.facts import Facts
from zerostart.novel.shapes import (
    GLYPHS,
    Shape,
    arc,
    blob_distance,
    cell_walls,
    glyph_paths,
    ramp,
    ring_distance,
    stroke_shape,
    zigzag,
)

ABSORBED = {"grey": (1.0, 1.0, 1.0), "brown": (0.72, 1.02, 1.26), "blue": (1.26, 1.0, 0.72)}
"""How strongly a dark mark of a tint takes away red, green and blue."""
ADDED = {"grey": (1.0, 1.0, 1.0), "brown": (1.2, 0.9, 0.45), "blue": (0.5, 0.9, 1.25)}
"""How strongly a bright one adds them."""


def draw_mark(facts: Facts, rng: np.random.Generator, light: np.ndarray, scale: float = 1.0) -> Mark:
    """A patch with a mark that has the facts. light: unit vector x, y towards the lamp; scale: 1 on images of 256 pixels."""
    shape = _DRAW[facts["form"]](facts, rng, scale)
    cover = shape.cover
    if facts.get("texture") == "grainy":
        grain = ndimage.gaussian_filter(rng.standard_normal(cover.shape), 0.8)
        cover = cover * np.clip(0.62 + 0.62 * grain / grain.std(), 0.0, 1.5)
    gain = _relief(cover, facts, rng, light) if facts["tone"] == "shaded" else _flat(cover, facts, rng)
    if facts.get("rim") == "bright":
        gain = gain * (1 + rng.uniform(0.22, 0.42) * _rim(shape, light))[..., None]
    return Mark(facts["form"], gain, _box(shape.cover))


def _contrast(facts: Facts, rng: np.random.Generator) -> float:
    dark, strong = facts["tone"] != "bright", facts["strength"] == "strong"
    if dark:
        return rng.uniform(0.42, 0.74) if strong else rng.uniform(0.11, 0.2)
    return rng.uniform(0.4, 0.7) if strong else rng.uniform(0.11, 0.2)


def _flat(cover: np.ndarray, facts: Facts, rng: np.random.Generator) -> np.ndarray:
    """Light taken away or added; S×S×3."""
    contrast = _contrast(facts, rng)
    if facts["tone"] == "dark":
        return np.clip(1 - contrast * cover[..., None] * np.array(ABSORBED[facts["tint"]]), 0.03, None)
    return 1 + contrast * cover[..., None] * np.array(ADDED[facts["tint"]])


def _relief(cover: np.ndarray, facts: Facts, rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """A hollow: the wall turned to the light is brighter, the other one in shade; a tint colours its bottom a little."""
    depth = ndimage.gaussian_filter(cover, 1.2 if facts.get("edge") == "jagged" else 2.5)
    slope = np.stack([ndimage.sobel(depth, 1), ndimage.sobel(depth, 0)], -1) @ light
    slope = slope / max(np.abs(slope).max(), 1e-9)
    strength = rng.uniform(0.26, 0.45) if facts["strength"] == "strong" else rng.uniform(0.1, 0.17)
    tint = (np.array(ABSORBED[facts["tint"]]) - 1) * 0.3 + 0.06
    return 1 + strength * slope[..., None] - cover[..., None] * tint


def _rim(shape: Shape, light: np.ndarray) -> np.ndarray:
    """The border that shines: all around a little, more where it faces the light; S×S, 0 to 1."""
    smooth = ndimage.gaussian_filter(shape.cover, 1.5)
    slope = np.stack([ndimage.sobel(smooth, 1), ndimage.sobel(smooth, 0)], -1) @ light
    facing = np.clip(-slope / max(np.abs(slope).max(), 1e-9), 0, 1)
    return np.clip(shape.around - shape.cover, 0, 1) * (0.35 + 0.65 * facing)


def _box(cover: np.ndarray, threshold: float = 0.25) -> tuple[int, int, int, int]:
    seen = cover > min(threshold, 0.5 * cover.max())
    rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    x, y = int(columns[0]) - BOX_PADDING, int(rows[0]) - BOX_PADDING
    return x, y, int(columns[-1]) + 1 + BOX_PADDING - x, int(rows[-1]) + 1 + BOX_PADDING - y


def _size(extent: float) -> int:
    return 2 * int(extent / 2 + 10)


def _oblique(rng: np.random.Generator) -> float:
    """A direction 20 to 70 degrees away from the image's axes: its boxes are never slivers, and the finish runs otherwise."""
    return rng.integers(2) * np.pi / 2 + np.deg2rad(rng.uniform(20, 70))


def _line(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    thick = facts["width"] == "thick"
    width = scale * (rng.uniform(5.5, 9.0) if thick else rng.uniform(1.7, 3.4))
    softness = 1.0 if facts["edge"] != "soft" else max(1.4 * width, 3.0)
    arrangement = facts["arrangement"]
    length = scale * (rng.uniform(34, 62) if arrangement == "star" else rng.uniform(44, 120))
    paths, widths = [], []
    if arrangement == "star":
        arms, first = int(rng.integers(4, 7)), rng.uniform(0, 2 * np.pi)
        for arm in range(arms):
            angle = first + 2 * np.pi * (arm + rng.uniform(-0.22, 0.22)) / arms
            points, normals = arc(length * rng.uniform(0.6, 1.0), angle, rng.uniform(-0.05, 0.05))
            points = points - points[0]
            paths.append(_displaced(points, normals, facts, rng, scale))
            paths[-1][0] = 0.0
            widths.append(np.full(len(points), width) * np.linspace(1.1, 0.45, len(points)))
        extent = 2 * length
    else:
        angle, sag = _oblique(rng), rng.uniform(-0.1, 0.1)
        points, normals = arc(length, angle, sag)
        gap = width + scale * rng.uniform(6, 10)
        for offset in (0.0,) if arrangement == "single" else (-gap / 2, gap / 2):
            paths.append(_displaced(points + offset * normals, normals, facts, rng, scale))
            widths.append(_widths(len(points), width, facts, rng))
        extent = length + gap
    return stroke_shape(_size(extent + 2 * width + softness), paths, widths, softness)


def _displaced(points: np.ndarray, normals: np.ndarray, facts: Facts, rng: np.random.Generator, scale: float) -> np.ndarray:
    if facts["edge"] == "jagged":
        amount = zigzag(len(points), rng, spacing=scale * rng.uniform(9, 15), amplitude=scale * rng.uniform(0.9, 2.0))
    else:
        amount = scale * rng.uniform(0.0, 1.2) * ndimage.gaussian_filter1d(rng.standard_normal(len(points)), 14) * 3
    return points + amount[:, None] * normals


def _widths(n: int, mean: float, facts: Facts, rng: np.random.Generator) -> np.ndarray:
    t = np.linspace(0, 1, n)
    taper = np.clip(np.minimum(t, 1 - t) / 0.1, 0.4, 1)
    if facts["edge"] != "jagged":
        return mean * taper
    knots = np.arange(0, n + 24, 12)
    return mean * taper * np.exp(np.interp(np.arange(n), knots, rng.normal(0, 0.3, len(knots))))


def _blob(facts: Facts, rng: np.random.Generator, radius: float, scale: float) -> Shape:
    long = radius * (rng.uniform(1.35, 1.7) if facts["outline"] == "elongated" else 1.0)
    short = radius * (rng.uniform(0.6, 0.75) if facts["outline"] == "elongated" else rng.uniform(0.88, 1.0))
    turn, jagged = rng.uniform(0, np.pi), facts["edge"] == "jagged"
    softness = 1.3 * scale if facts["edge"] != "soft" else 0.95 * radius
    centres = [(0.0, 0.0)]
    reach = long
    if facts.get("arrangement") == "pair":
        side, apart = rng.uniform(0, np.pi), long + scale * rng.uniform(3, 7)
        centres = [(sign * apart * np.cos(side), sign * apart * np.sin(side)) for sign in (-1, 1)]
        reach += apart
    size = _size(2 * reach + 2 * softness)
    inside = np.max([blob_distance(size, centre, long, short, turn, rng, jagged) for centre in centres], axis=0)
    return Shape(ramp(inside, softness), ramp(inside + 1.6 * scale, max(softness, 1.6)))


def _spot(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    return _blob(facts, rng, scale * (rng.uniform(7, 12) if facts["arrangement"] == "pair" else rng.uniform(9, 18)), scale)


def _patch(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    return _blob(facts, rng, scale * rng.uniform(24, 40), scale)


def _ring(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    half, ratio = scale * rng.uniform(15, 28), rng.choice([0.72, 1.0]) if facts["outline"] == "angular" else 1.0
    width = scale * (rng.uniform(5.0, 7.5) if facts["width"] == "thick" else rng.uniform(1.8, 3.2))
    softness = 1.0 if facts["edge"] == "smooth" else max(1.3 * width, 3.0)
    turn = rng.uniform(-0.15, 0.15)
    size = _size(2 * half + 2 * width + 2 * softness)
    distance = np.abs(ring_distance(size, half, ratio, turn, facts["outline"] == "angular"))
    shape = Shape(ramp(width / 2 - distance, softness), ramp(width / 2 - distance + 1.5, max(softness, 1.5)))
    if facts["inside"] == "empty":
        return shape
    strokes = glyph_paths(int(rng.integers(len(GLYPHS))), 0.52 * half * ratio, turn)
    sign = stroke_shape(size, strokes, [np.full(len(stroke), min(width, 4.0)) for stroke in strokes], softness)
    return Shape(np.maximum(shape.cover, sign.cover), np.maximum(shape.around, sign.around))


def _area(rng: np.random.Generator, scale: float, softness: float) -> tuple[int, np.ndarray]:
    """A region of a surface that a field fills: size of its patch, and its soft mask."""
    radius = scale * rng.uniform(26, 44)
    long, short = radius * rng.uniform(1.0, 1.3), radius * rng.uniform(0.75, 1.0)
    size = _size(2 * long + 2 * softness)
    inside = blob_distance(size, (0.0, 0.0), long, short, rng.uniform(0, np.pi), rng, jagged=False)
    return size, ramp(inside, softness)


def _network(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    size, mask = _area(rng, scale, 4.0 * scale)
    thick = facts["width"] == "thick"
    width = scale * (rng.uniform(3.0, 4.5) if thick else rng.uniform(1.2, 2.0))
    walls = cell_walls(size, scale * (rng.uniform(16, 22) if thick else rng.uniform(10, 15)), rng)
    return _field(width / 2 - walls, mask, 1.0)


def _speckles(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    size, mask = _area(rng, scale, 4.0 * scale)
    coarse = facts["width"] == "thick"
    radius = scale * (rng.uniform(2.6, 3.8) if coarse else rng.uniform(1.1, 1.7))
    spacing = radius * rng.uniform(4.0, 5.5)
    steps = np.arange(-size / 2, size / 2, spacing)
    dots = np.stack([part.ravel() for part in np.meshgrid(steps, steps)], -1)
    dots = dots + rng.uniform(-0.5, 0.5, dots.shape) * spacing
    dots = dots[rng.random(len(dots)) < 0.85]
    inside = stroke_shape(size, [dots], [2 * radius * rng.uniform(0.6, 1.35, len(dots))], 1.0)
    return Shape(inside.cover * mask, inside.around * mask)


def _streaks(facts: Facts, rng: np.random.Generator, scale: float) -> Shape:
    size, mask = _area(rng, scale, 6.0 * scale)
    width = scale * (rng.uniform(3.2, 4.6) if facts["width"] == "thick" else rng.uniform(1.2, 2.0))
    softness = 1.0 if facts["edge"] == "smooth" else max(1.2 * width, 2.5)
    angle, count = _oblique(rng), int(rng.integers(9, 16))
    across = np.linspace(-0.42, 0.42, count) * size + rng.uniform(-2, 2, count)
    paths = []
    for offset in across:
        length = scale * rng.uniform(18, 46)
        points, _ = arc(length, angle, 0.0)
        along = rng.uniform(-0.25, 0.25) * size
        shift = np.array([along * np.cos(angle) - offset * np.sin(angle), along * np.sin(angle) + offset * np.cos(angle)])
        paths.append(points + shift)
    inside = stroke_shape(size, paths, [np.full(len(path), width) for path in paths], softness)
    return Shape(inside.cover * mask, inside.around * mask)


def _field(inside: np.ndarray, mask: np.ndarray, softness: float) -> Shape:
    return Shape(ramp(inside, softness) * mask, ramp(inside + 1.2, 1.5) * mask)


_DRAW: dict[str, Callable[[Facts, np.random.Generator, float], Shape]] = {
    "line": _line,
    "spot": _spot,
    "patch": _patch,
    "ring": _ring,
    "network": _network,
    "speckles": _speckles,
    "streaks": _streaks,
}
