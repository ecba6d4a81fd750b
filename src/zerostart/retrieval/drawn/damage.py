"""The eight types of damage on a painted panel, each drawn as a small patch of gains with its outline."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

from zerostart.drawing.marks import Mark, dent, fracture
from zerostart.drawing.metal import white_noise

VISIBLE = 0.06
"""Change of the reflectance from which on a pixel belongs to a damage."""
PRIMER, METAL, CAVITY = (0.45, 0.44, 0.42), (0.62, 0.63, 0.64), (0.035, 0.035, 0.04)


def outline(mark: Mark) -> np.ndarray:
    """The convex hull of what is visible of a mark, n×2 (x, y) pixels in its patch."""
    rows, columns = np.nonzero(np.abs(mark.gain - 1).max(axis=2) > VISIBLE)
    points = np.stack([columns, rows], axis=1) + 0.5
    return points[ConvexHull(points).vertices]


def surface_scratch(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """One to four fine, nearly parallel lines in the clear coat; paint is not broken."""
    length, angle = rng.uniform(80, 200), rng.uniform(0, np.pi)
    size = int(length + 50)
    lines = [
        _stroke(
            size,
            length * rng.uniform(0.5, 1),
            angle + rng.normal(0, 0.05),
            across=6 * i + rng.uniform(-2, 2),
            sag=0.04,
            rng=rng,
        )
        for i in range(rng.integers(1, 5))
    ]
    cover = _cover(
        size, lambda draw: [draw.line(line, fill=255, width=round(rng.uniform(5, 8)), joint="curve") for line in lines]
    )
    bright = paint.mean() < 0.55  # on pale paint a scratch is a grey line
    return _patch("surface_scratch", cover, np.full(3, 0.62 if bright else 0.42), paint)


def deep_scratch(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """One long wide groove through the paint: bare metal in the middle, primer at its edges, a dark side."""
    length, angle, width = rng.uniform(120, 260), rng.uniform(0, np.pi), rng.uniform(5, 9)
    size = int(length + 50)
    line = _stroke(size, length, angle, across=0.0, sag=rng.uniform(-0.08, 0.08), rng=rng)
    wide, narrow, dark = (
        _cover(size, lambda draw, w=share * width: draw.line(line, fill=255, width=round(4 * w), joint="curve"))
        for share in (1.0, 0.5, 0.3)
    )
    gain = _blend(np.ones((size, size, 3)), wide, np.divide(PRIMER, paint))
    gain = _blend(gain, narrow, np.divide(METAL, paint))
    gain = _blend(gain, np.roll(dark, round(width / 3), axis=0), np.divide(CAVITY, paint))
    return _mark("deep_scratch", gain)


def paint_peeling(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """Flaked patches with ragged borders that show primer, a few islands of paint left."""
    extent = rng.uniform(70, 150)
    size = int(extent * 1.4 + 20)
    y, x = np.meshgrid(*[np.arange(size) - size / 2] * 2, indexing="ij")
    distance = np.hypot(x, y / rng.uniform(0.55, 1.0)) / (extent / 2)
    rough = ndimage.gaussian_filter(white_noise(rng, size, size), extent / 14)
    bare = np.clip((0.9 - distance + 0.35 * rough / rough.std()) / 0.03, 0, 1) * (distance < 1.25)
    edge = np.clip(ndimage.grey_dilation(bare, 5) - bare, 0, 1)
    gain = _blend(np.ones((size, size, 3)), bare, np.multiply(PRIMER, rng.uniform(1.2, 1.6)) / paint)
    return _mark("paint_peeling", _blend(gain, edge, np.full(3, 0.6)))


def missing_part(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """A large dark opening where a cover or a lamp has been, with bare brackets inside."""
    width, height = rng.uniform(110, 190), rng.uniform(70, 130)
    size = int(max(width, height) + 30)
    centre = size / 2
    corners = np.array([centre - width / 2, centre - height / 2, centre + width / 2, centre + height / 2])
    hole = _cover(size, lambda draw: draw.rounded_rectangle((4 * corners).tolist(), radius=60, fill=255))
    bars = [centre + share * width + rng.uniform(-6, 6) for share in (-0.25, 0.25)]
    bracket = _cover(size, lambda draw: [draw.rectangle((4 * x, 0, 4 * x + 36, 4 * size), fill=255) for x in bars])
    gain = _blend(np.ones((size, size, 3)), hole, np.divide(CAVITY, paint))
    return _mark("missing_part", _blend(gain, np.minimum(bracket, hole) * 0.8, np.full(3, 0.22) / paint))


def missing_accessory(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """The pale, unfaded footprint of an emblem or a moulding, with its clip holes."""
    width, height = rng.uniform(90, 170), rng.uniform(26, 44)
    size = int(width + 30)
    centre = size / 2
    box = np.array([centre - width / 2, centre - height / 2, centre + width / 2, centre + height / 2])
    footprint = _cover(size, lambda draw: draw.rounded_rectangle((4 * box).tolist(), radius=4 * int(height / 3), fill=255))
    holes = np.linspace(centre - 0.36 * width, centre + 0.36 * width, int(rng.integers(2, 5)))
    radius = rng.uniform(4, 6)
    clips = _cover(
        size,
        lambda draw: [
            draw.ellipse([4 * v for v in (x - radius, centre - radius, x + radius, centre + radius)], fill=255) for x in holes
        ],
    )
    tone = 0.78 if paint.mean() > 0.55 else 1.3
    gain = _blend(np.ones((size, size, 3)), footprint, np.full(3, tone))
    return _mark("missing_accessory", _blend(gain, clips, np.divide(CAVITY, paint)))


def misaligned_part(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
    """A panel gap that opens like a wedge, its one side standing proud and bright."""
    length, wide = rng.uniform(130, 220), rng.uniform(12, 22)
    size = int(length + 40)
    top, left = (size - length) / 2, size / 2
    wedge = [(left, top), (left + wide, top + length), (left, top + length)]
    proud = [(left + 1, top), (left + wide + 10, top + length), (left + wide, top + length)]
    gap, lip = (
        _cover(size, lambda draw, p=points: draw.polygon([(4 * x, 4 * y) for x, y in p], fill=255)) for points in (wedge, proud)
    )
    gain = _blend(np.ones((size, size, 3)), lip, np.full(3, 1.5 if paint.mean() < 0.55 else 0.72))
    gain = _blend(gain, gap, np.divide(CAVITY, paint))
    if rng.random() < 0.5:
        gain = gain.transpose(1, 0, 2)
    return _mark("misaligned_part", np.ascontiguousarray(gain))


def _enlarged(draw: Callable[[np.random.Generator, np.ndarray], Mark], name: str) -> Callable[..., Mark]:
    """A mark of the metal surfaces at the scale of a panel."""

    def drawn(rng: np.random.Generator, light: np.ndarray, paint: np.ndarray) -> Mark:
        scale = rng.uniform(1.4, 2.2)
        return _mark(name, ndimage.zoom(draw(rng, light).gain, (scale, scale, 1), order=1))

    return drawn


DRAW: dict[str, Callable[[np.random.Generator, np.ndarray, np.ndarray], Mark]] = {
    "surface_scratch": surface_scratch,
    "dent": _enlarged(dent, "dent"),
    "paint_peeling": paint_peeling,
    "deep_scratch": deep_scratch,
    "crack": _enlarged(fracture, "crack"),
    "missing_part": missing_part,
    "missing_accessory": missing_accessory,
    "misaligned_part": misaligned_part,
}
"""How each damage type is drawn on a paint (RGB) under a light (unit x, y), in the order of the labels 1 to 8."""


def _stroke(
    size: int, length: float, angle: float, across: float, sag: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Points of a slightly trembling arc through the middle of a patch, in units of a quarter pixel."""
    t = np.linspace(-1, 1, 40)
    along = t * length / 2
    aside = across + sag * length * (1 - t**2) + ndimage.gaussian_filter1d(rng.standard_normal(40), 4)
    x, y = along * np.cos(angle) - aside * np.sin(angle), along * np.sin(angle) + aside * np.cos(angle)
    return [(4 * (float(a) + size / 2), 4 * (float(b) + size / 2)) for a, b in zip(x, y, strict=True)]


def _cover(size: int, paint: Callable[[ImageDraw.ImageDraw], object]) -> np.ndarray:
    """Coverage 0 to 1 of what is drawn at four times the size."""
    image = Image.new("L", (4 * size, 4 * size))
    paint(ImageDraw.Draw(image))
    return np.asarray(image.reduce(4), np.float64) / 255


def _blend(gain: np.ndarray, cover: np.ndarray, target: np.ndarray) -> np.ndarray:
    return gain + cover[..., None] * (target - gain)


def _patch(name: str, cover: np.ndarray, colour: np.ndarray, paint: np.ndarray) -> Mark:
    return _mark(name, _blend(np.ones((*cover.shape, 3)), cover, colour / paint))


def _mark(name: str, gain: np.ndarray) -> Mark:
    rows, columns = (np.flatnonzero((np.abs(gain - 1).max(axis=2) > VISIBLE).any(axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    return Mark(name, gain, (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y))
