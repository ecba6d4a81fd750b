"""Two drawn domains of the same parts: small centred pictures on plain ground, and photographs of a cluttered bench.

A part is a polygon, turned, foreshortened and drawn at four times its size; light on its edges comes from the slope of its
softened mask. Everything depends on the generator passed in and on nothing else.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from zerostart.drawing.metal import clean_surface, photograph, to_bytes, white_noise
from zerostart.tagging.drawn.shapes import SHAPES, TAGS, Outline, Polygon

ACADEMIC_SIZE = 32
SCENE_SIZE = 448
SUPERSAMPLING = 4
OBJECTS_PER_SCENE = (0.12, 0.38, 0.30, 0.20)
"""Probability of 0 to 3 tagged parts."""
SIDES = (120, 220)
"""Smallest and largest side of a part in a scene, in pixels."""


class Part(NamedTuple):
    """One drawn part."""

    shade: np.ndarray
    """S×S float64, brightness of the metal about 1."""
    cover: np.ndarray
    """S×S float64 in [0, 1], how much of the pixel is part."""


def draw_part(outline: Outline, transform: np.ndarray, side: int, light: float, rng: np.random.Generator) -> Part:
    """Draw an outline through a 3×3 projective transform (about the origin) into a square of `side` pixels."""
    large = side * SUPERSAMPLING
    mask = Image.new("L", (large, large), 0)
    pen = ImageDraw.Draw(mask)
    for polygon, value in [(outline.solid, 255)] + [(hole, 0) for hole in outline.holes]:
        pen.polygon([tuple(point) for point in (_project(polygon, transform) + 1) * (large / 2)], fill=value)
    cover = np.asarray(mask.resize((side, side), Image.Resampling.BOX), np.float64) / 255
    height = ndimage.gaussian_filter(cover, max(side / 45, 0.6))
    slope = np.cos(light) * ndimage.sobel(height, axis=1) + np.sin(light) * ndimage.sobel(height, axis=0)
    grain = white_noise(rng, side, side) * 0.03
    return Part(1 + 0.22 * slope + grain, cover)


def _project(points: Polygon, transform: np.ndarray) -> np.ndarray:
    mapped = np.column_stack([points, np.ones(len(points))]) @ transform.T
    return mapped[:, :2] / mapped[:, 2:]


def _turned(angle: float, tilt: float = 0.0, depth: float = 0.0, scale: float = 0.9) -> np.ndarray:
    """Turn by `angle`, foreshorten by `tilt` (0: none) and let the far side shrink by `depth`."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return np.array([[scale, 0, 0], [0, scale * (1 - tilt), 0], [0, -depth, 1]]) @ turn


def academic_picture(name: str, rng: np.random.Generator) -> np.ndarray:
    """One upright part, centred on plain ground, evenly lit: 32×32×3 uint8."""
    ground, metal = _contrasting_colours(rng)
    transform = _turned(rng.uniform(-0.35, 0.35), scale=rng.uniform(0.75, 0.98))
    part = draw_part(SHAPES[name](rng), transform, ACADEMIC_SIZE, light=-2.0, rng=rng)
    canvas = np.broadcast_to(ground, (ACADEMIC_SIZE, ACADEMIC_SIZE, 3)).copy()
    return to_bytes(_painted(canvas, part, metal, 0, 0))


def scene(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[str, tuple[int, int, int, int]]]]:
    """A photograph of a bench (448×448×3 uint8) with none to three tagged parts among clutter; tag and box of each."""
    light = rng.uniform(-np.pi, np.pi)
    canvas = _bench(rng)
    for _ in range(rng.integers(3, 9)):
        _scrap(canvas, rng)
    taken: list[tuple[int, int, int, int]] = []
    objects: list[tuple[str, tuple[int, int, int, int]]] = []
    tagged = rng.choice(len(OBJECTS_PER_SCENE), p=OBJECTS_PER_SCENE)
    others = [name for name in SHAPES if name not in TAGS]
    names = [*rng.choice(TAGS, size=tagged), *rng.choice(others, size=rng.integers(0, 3))]
    for name in map(str, names):
        side = int(np.exp(rng.uniform(*np.log(SIDES))))
        place = _free_place(side, taken, rng)
        if place is None:
            continue
        x, y = place
        transform = _turned(rng.uniform(-0.7, 0.7), rng.uniform(0, 0.3), rng.uniform(0, 0.15))
        part = draw_part(SHAPES[name](rng), transform, side, light, rng)
        _shadow(canvas, part, x, y, light)
        _painted(canvas, part, _metal(rng), x, y)
        taken.append((x, y, side, side))
        if name in TAGS:
            objects.append((name, _box(part.cover, x, y)))
    return photograph(canvas * _uneven_light(rng), rng), objects


def _contrasting_colours(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A plain ground and a metal that differ by at least 0.25 in brightness."""
    while True:
        ground, metal = rng.uniform(0.1, 0.95, 3), _metal(rng)
        if abs(ground.mean() - metal.mean()) >= 0.25:
            return ground, metal


def _metal(rng: np.random.Generator) -> np.ndarray:
    """Steel, brass, copper or blackened steel, RGB reflectance."""
    base = np.array([(0.62, 0.64, 0.66), (0.72, 0.58, 0.28), (0.68, 0.42, 0.28), (0.16, 0.16, 0.18)])[rng.integers(4)]
    return base * rng.uniform(0.85, 1.15)


def _bench(rng: np.random.Generator) -> np.ndarray:
    """Ground of a scene: brushed or rolled sheet metal, tinted as wood, cloth or cardboard."""
    repeats = -(-SCENE_SIZE // 256)
    tile = clean_surface(rng)
    mirrored = np.concatenate([tile, tile[:, ::-1]], axis=1)[:, : 256 * repeats]  # mirrored, so that no seam shows
    ground = np.concatenate([mirrored, mirrored[::-1]])[:SCENE_SIZE, :SCENE_SIZE]
    tint = np.array([(1, 1, 1), (1.1, 0.8, 0.55), (0.55, 0.75, 0.6), (0.6, 0.7, 1.0), (1.15, 1.0, 0.8)])[rng.integers(5)]
    return np.ascontiguousarray(ground * tint * rng.uniform(0.5, 1.3))


def _scrap(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Something that is no part: a chip, a wire or a stain, in any colour."""
    mask = Image.new("L", (SCENE_SIZE, SCENE_SIZE), 0)
    pen = ImageDraw.Draw(mask)
    centre, size = rng.uniform(0, SCENE_SIZE, 2), rng.uniform(12, 70)
    kind = rng.integers(3)
    if kind == 0:
        points = centre + size * rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2))
        pen.polygon([tuple(p) for p in points], fill=255)
    elif kind == 1:
        points = centre + np.cumsum(rng.uniform(-size, size, (8, 2)), axis=0)
        pen.line([tuple(p) for p in points], fill=255, width=int(rng.integers(2, 7)), joint="curve")
    else:
        axes = size * np.array([1, 0.6])
        pen.ellipse((*(centre - axes), *(centre + axes)), fill=int(rng.integers(60, 200)))
    colour, box = rng.uniform(0.05, 0.9, 3), mask.getbbox()
    if box is None:  # it lies outside of the picture
        return
    left, top, right, bottom = box
    cover = np.asarray(mask.crop(box).filter(ImageFilter.GaussianBlur(0.8)), np.float64)[..., None] / 255
    window = canvas[top:bottom, left:right]
    window += cover * (colour - window)


def _painted(canvas: np.ndarray, part: Part, metal: np.ndarray, x: int, y: int) -> np.ndarray:
    """Lay a part over the canvas with its upper left corner at x, y (in place); returns the canvas."""
    side = len(part.cover)
    window = canvas[y : y + side, x : x + side]
    window += part.cover[..., None] * (part.shade[..., None] * metal - window)
    return canvas


def _shadow(canvas: np.ndarray, part: Part, x: int, y: int, light: float) -> None:
    side = len(part.cover)
    shift = side / 18
    soft = ndimage.shift(part.cover, (shift * np.sin(light), shift * np.cos(light)), order=1)
    soft = ndimage.gaussian_filter(soft, max(side / 30, 1))
    canvas[y : y + side, x : x + side] *= 1 - 0.55 * soft[..., None]


def _uneven_light(rng: np.random.Generator) -> np.ndarray:
    """A gradient across the bench and one spot, H×W×1, between about 0.4 and 1.4."""
    y, x = np.mgrid[0:SCENE_SIZE, 0:SCENE_SIZE] / SCENE_SIZE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    gradient = rng.uniform(0, 0.7) * (x * np.cos(angle) + y * np.sin(angle))
    spot = rng.uniform(-0.5, 0.5, 2)
    highlight = rng.uniform(0, 0.35) * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 0.05)
    return (rng.uniform(0.7, 1.05) + gradient + highlight)[..., None]


def _free_place(side: int, taken: list[tuple[int, int, int, int]], rng: np.random.Generator) -> tuple[int, int] | None:
    """Where a square of `side` touches no other, or None after 40 attempts."""
    for _ in range(40):
        x, y = rng.integers(0, SCENE_SIZE - side, 2).tolist()
        if all(x + side <= a or a + w <= x or y + side <= b or b + h <= y for a, b, w, h in taken):
            return x, y
    return None


def _box(cover: np.ndarray, x: int, y: int) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(cover.max(axis=1) > 0.5), np.flatnonzero(cover.max(axis=0) > 0.5)
    return x + int(columns[0]), y + int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
