"""The six things a synthetic metal surface can carry, each drawn as a small patch with a tight box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from zerostart.drawing.metal import white_noise

SUPERSAMPLING = 4
"""Outlines are drawn this many times larger and averaged down, for smooth edges."""
BOX_PADDING = 2
"""Pixels between the outermost visible pixel of a mark and its box."""


@dataclass(frozen=True)
class Line:
    """What fractures and scratches have in common; both classes draw it from the same distribution."""

    length: float
    """End to end, in pixels."""
    angle: float
    """Radians; 20 to 70 degrees away from the image axes, so that boxes are never slivers."""
    width: float
    """Mean width in pixels."""
    contrast: float
    """Share of the light that the line swallows at its darkest."""
    sag: float
    """Height of the arc over its chord, as a share of the length."""


@dataclass(frozen=True)
class Mark:
    """A patch to be painted on a surface: S×S masks with the mark in the middle."""

    name: str
    gain: np.ndarray
    """S×S×3 float64, multiplies the reflectance."""
    box: tuple[int, int, int, int]
    """Tight box x, y, w, h in the patch, padded by BOX_PADDING."""
    polish: np.ndarray | None = None
    """S×S, 0 to 1: how far the texture below is smoothed away."""
    slip: np.ndarray | None = None
    """S×S, 0 to 1: where the texture below is displaced by `slip_by`."""
    slip_by: tuple[int, int] = (0, 0)


def draw_line(rng: np.random.Generator) -> Line:
    """Draw the geometry and the contrast shared by fractures and scratches."""
    quadrant = rng.integers(2) * np.pi / 2
    return Line(
        length=rng.uniform(40, 140),
        angle=quadrant + np.deg2rad(rng.uniform(20, 70)),
        width=rng.uniform(1.6, 4.0),
        contrast=rng.uniform(0.38, 0.72),
        sag=rng.uniform(-0.12, 0.12),
    )


def fracture(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A jagged dark gap of uneven width, sometimes branching, whose two banks have slipped a little."""
    line = draw_line(rng)
    size = _patch_size(line.length)
    path, normals = _arc(line, size, step=2.0)
    jag = _jag(len(path), rng, spacing=rng.uniform(3, 5), amplitude=rng.uniform(0.1, 0.8))
    path = path + jag[:, None] * normals
    ribbons = [_ribbon(path, _uneven_widths(len(path), line.width, rng))]
    ribbons += [_branch(path, line, rng) for _ in range(rng.choice(3, p=[0.82, 0.14, 0.04]))]
    gap = _fill(ribbons, size)
    side = rng.choice([-1.0, 1.0])
    slip = _bank(path, normals * side, depth=rng.uniform(8, 16), size=size)
    along = (path[-1] - path[0]) / line.length * rng.choice([-1, 1]) * rng.uniform(0.4, 1.6)
    shade = 1 + rng.uniform(0.0, 0.04) * np.sign(side * (normals.mean(0) @ light)) * slip
    return _mark("fracture", (1 - line.contrast * gap) * shade, gap, slip=slip, slip_by=_whole(along))


def scratch(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A smooth dark groove of even width with a bright burr along the side that faces the light.

    It trembles a little, and the burr may be weak: such a scratch and a calm fracture are easily confused.
    """
    line = draw_line(rng)
    size = _patch_size(line.length)
    path, normals = _arc(line, size, step=2.0)
    tremor = ndimage.gaussian_filter1d(rng.standard_normal(len(path)), 3)
    path = path + rng.uniform(0, 2.4) * tremor[:, None] * normals
    widths = np.full(len(path), line.width) * _taper(len(path))
    facing = 1.0 if normals.mean(0) @ light > 0 else -1.0
    groove = _fill([_ribbon(path, widths)], size)
    burr_width = rng.uniform(1.0, 1.8)
    offset = facing * (line.width / 2 + burr_width / 2) * normals
    burr = _fill([_ribbon(path + offset, np.full(len(path), burr_width) * _taper(len(path)))], size)
    gain = (1 - line.contrast * groove) * (1 + rng.uniform(0.0, 0.18) * burr)
    return _mark("scratch", gain, groove)


def perforation(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A punched hole: nearly black, with a rim that is bright where it faces the light."""
    radius = rng.uniform(11, 21)
    size = _patch_size(2 * radius + 12)
    distance, direction = _ellipse(size, radius, radius * rng.uniform(0.88, 1.0), rng.uniform(0, np.pi))
    hole = _step(1 - distance, 1.2 / radius)
    rim = np.exp(-(((distance - 1.06) * radius / 1.6) ** 2))
    facing = direction @ light
    gain = (1 - hole * rng.uniform(0.8, 0.92) * (1 - 0.12 * facing)) * (1 + rim * (0.16 + 0.3 * facing))
    return _mark("perforation", gain, np.maximum(hole, rim))


def dent(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A shallow bowl: the wall turned to the light is brighter, the other one in shade."""
    long = rng.uniform(18, 42)
    short = long * rng.uniform(0.6, 1.0)
    size = _patch_size(2 * long + 10)
    distance, _ = _ellipse(size, long, short, rng.uniform(0, np.pi))
    depth = np.clip(1 - distance**2, 0, None) ** 1.25
    slope = np.stack([ndimage.sobel(depth, 1), ndimage.sobel(depth, 0)], -1) @ light
    slope /= np.abs(slope).max()
    gain = 1 + rng.uniform(0.2, 0.42) * slope - rng.uniform(0.02, 0.1) * depth
    return _mark("dent", gain, (distance < 1))


def contamination(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A faint stain, oily film or dust: a soft irregular blotch, faint against its background."""
    extent = rng.uniform(34, 84)
    size = _patch_size(extent * 1.5)
    blotch = _blotch(size, extent, rng)
    kind = rng.choice(["stain", "oil", "dust"])
    if kind == "dust":
        specks = ndimage.gaussian_filter(white_noise(rng, size, size), 0.9)
        specks = np.clip(specks / specks.std() - 0.3, 0, 1.4)
        gain = 1 + rng.uniform(0.04, 0.07) * blotch + rng.uniform(0.04, 0.08) * specks * blotch
        return _mark("contamination", gain, blotch, threshold=0.45)
    darkness = rng.uniform(0.08, 0.15)
    # A film dries or thins out from its middle: what is left is a darker border.
    body = blotch * (0.72 + 0.28 * np.exp(-(((blotch - 0.55) / 0.22) ** 2)))
    hue = np.array([0.8, 1.0, 1.25] if kind == "stain" else [1.08, 1.0, 0.86])
    gain = 1 - darkness * body[..., None] * hue
    return _mark("contamination", gain, blotch, threshold=0.3, polish=blotch * 0.5)


def normal(rng: np.random.Generator, light: np.ndarray) -> Mark:
    """A good part's inspection mark: a stamped ring, frame or inscription on a polished spot."""
    half = rng.uniform(14, 27)
    size = _patch_size(2 * half + 12)
    stamp = _stamp(size, half, rng)
    height = ndimage.gaussian_filter(stamp, 0.8)
    slope = np.stack([ndimage.sobel(height, 1), ndimage.sobel(height, 0)], -1) @ light
    gain = (1 - rng.uniform(0.12, 0.25) * stamp) * (1 + 0.09 * slope)
    polish = ndimage.gaussian_filter(ndimage.grey_dilation(stamp, 9), 2)
    return _mark("normal", gain * (1 + 0.05 * polish), stamp, polish=polish)


DRAW: dict[str, Callable[[np.random.Generator, np.ndarray], Mark]] = {
    "normal": normal,
    "perforation": perforation,
    "fracture": fracture,
    "scratch": scratch,
    "dent": dent,
    "contamination": contamination,
}
"""How each class is drawn, in class order. `light` is the unit vector x, y towards the lamp."""


def paint(surface: np.ndarray, mark: Mark, x: int, y: int) -> None:
    """Paint a mark on a surface (H×W×3, in place); x, y is its patch's top left corner, maybe outside."""
    size, (height, width) = len(mark.gain), surface.shape[:2]
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + size, width), min(y + size, height)
    patch = (slice(top - y, bottom - y), slice(left - x, right - x))
    window = surface[top:bottom, left:right]
    below = window
    if mark.polish is not None:
        smooth = ndimage.gaussian_filter(window, (2.5, 2.5, 0))
        below = below + mark.polish[patch][..., None] * (smooth - below)
    if mark.slip is not None:
        moved = ndimage.shift(window, (mark.slip_by[1], mark.slip_by[0], 0), order=0, mode="nearest")
        below = below + mark.slip[patch][..., None] * (moved - below)
    surface[top:bottom, left:right] = below * mark.gain[patch]


def _mark(
    name: str,
    gain: np.ndarray,
    visible: np.ndarray,
    threshold: float = 0.25,
    polish: np.ndarray | None = None,
    slip: np.ndarray | None = None,
    slip_by: tuple[int, int] = (0, 0),
) -> Mark:
    rows, columns = (np.flatnonzero((visible > threshold).any(axis)) for axis in (1, 0))
    x, y = int(columns[0]) - BOX_PADDING, int(rows[0]) - BOX_PADDING
    box = (x, y, int(columns[-1]) + 1 + BOX_PADDING - x, int(rows[-1]) + 1 + BOX_PADDING - y)
    if gain.ndim == 2:
        gain = np.repeat(gain[..., None], 3, axis=2)
    return Mark(name, gain, box, polish, slip, slip_by)


def _patch_size(extent: float) -> int:
    return 2 * int(extent / 2 + 12)


def _whole(vector: np.ndarray) -> tuple[int, int]:
    return int(np.rint(vector[0])), int(np.rint(vector[1]))


def _arc(line: Line, size: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Points along a shallow parabola in the middle of the patch, and their unit normals; both n×2."""
    t = np.linspace(-1, 1, max(int(line.length / step), 8))
    along, across = t * line.length / 2, line.sag * line.length * (1 - t**2 - 2 / 3)
    cos, sin = np.cos(line.angle), np.sin(line.angle)
    points = np.stack([along * cos - across * sin, along * sin + across * cos], -1) + size / 2
    return points, _normals(points)


def _normals(points: np.ndarray) -> np.ndarray:
    tangent = np.gradient(points, axis=0)
    return np.stack([-tangent[:, 1], tangent[:, 0]], -1) / np.linalg.norm(tangent, axis=1, keepdims=True)


def _taper(n: int) -> np.ndarray:
    """1 along the line, falling to 0.4 over its last tenth at either end."""
    t = np.linspace(0, 1, n)
    return np.clip(np.minimum(t, 1 - t) / 0.1, 0.4, 1)


def _jag(n: int, rng: np.random.Generator, spacing: float, amplitude: float) -> np.ndarray:
    """Sideways displacement of n points: straight pieces of about `spacing` points, zigzagging."""
    corners = np.cumsum(rng.uniform(0.6, 1.4, int(n / (0.6 * spacing)) + 3) * spacing) - spacing
    heights = rng.uniform(0.4, 1.6, len(corners)) * amplitude * np.where(np.arange(len(corners)) % 2, 1, -1)
    return np.interp(np.arange(n), corners, heights)


def _uneven_widths(n: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """n uneven widths with exactly the given mean."""
    knots = np.arange(0, n + 6, 5)
    factor = np.exp(np.interp(np.arange(n), knots, rng.normal(0, rng.uniform(0.08, 0.3), len(knots))))
    widths = factor * _taper(n)
    return widths * (mean * _taper(n).mean() / widths.mean())


def _branch(path: np.ndarray, line: Line, rng: np.random.Generator) -> np.ndarray:
    """A thinner, tapering side crack leaving the path at 25 to 55 degrees."""
    start = rng.integers(len(path) // 5, 4 * len(path) // 5)
    angle = line.angle + rng.choice([-1, 1]) * np.deg2rad(rng.uniform(25, 55)) + rng.choice([0, np.pi])
    n = max(int(line.length * rng.uniform(0.12, 0.28) / 2), 4)
    direction = np.array([np.cos(angle), np.sin(angle)])
    points = path[start] + 2.0 * np.arange(n)[:, None] * direction
    jag = _jag(n, rng, spacing=3, amplitude=1.0) * (np.arange(n) > 0)
    points = points + jag[:, None] * np.array([-direction[1], direction[0]])
    return _ribbon(points, line.width * np.linspace(0.75, 0.35, n))


def _ribbon(path: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Outline of a line with the given width at each point; 2n×2."""
    half = _normals(path) * widths[:, None] / 2
    return np.concatenate([path + half, (path - half)[::-1]])


def _fill(outlines: list[np.ndarray], size: int, values: list[int] | None = None) -> np.ndarray:
    """Anti-aliased coverage (size×size, 0 to 1) of filled outlines, later ones over earlier ones."""
    canvas = Image.new("L", (size * SUPERSAMPLING, size * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    for outline, value in zip(outlines, values or [255] * len(outlines), strict=True):
        draw.polygon((outline * SUPERSAMPLING).ravel().tolist(), fill=value)
    return np.asarray(canvas.reduce(SUPERSAMPLING), np.float64) / 255


def _bank(path: np.ndarray, outward: np.ndarray, depth: float, size: int) -> np.ndarray:
    """One bank of a crack: 1 at the crack, falling in four steps to 0 at `depth` pixels from it."""
    bulge = np.sin(np.linspace(0, np.pi, len(path)))[:, None] * outward * depth
    outlines = [np.concatenate([path, (path + share * bulge)[::-1]]) for share in (1.0, 0.75, 0.5, 0.25)]
    return _fill(outlines, size, [64, 128, 192, 255])


def _ellipse(size: int, long: float, short: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the middle, 1 on the outline (size×size), and unit directions outwards (size×size×2)."""
    y, x = np.meshgrid(*[np.arange(size) + 0.5 - size / 2] * 2, indexing="ij")
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    distance = np.sqrt((u / long) ** 2 + (v / short) ** 2)
    return distance, np.stack([x, y], -1) / np.maximum(np.hypot(x, y), 1)[..., None]


def _step(value: np.ndarray, softness: float) -> np.ndarray:
    """0 below, 1 above zero, with a ramp as wide as `softness`."""
    return np.clip(value / softness + 0.5, 0, 1)


def _blotch(size: int, extent: float, rng: np.random.Generator) -> np.ndarray:
    """An irregular soft-edged spot about `extent` pixels across, 0 to 1."""
    angle = rng.uniform(0, np.pi)
    distance, _ = _ellipse(size, extent / 2, extent / 2 * rng.uniform(0.6, 1.0), angle)
    wobble = ndimage.gaussian_filter(white_noise(rng, size, size), extent / 9)
    return _step(0.8 - distance + 0.16 * wobble / wobble.std(), 0.27)


def _stamp(size: int, half: float, rng: np.random.Generator) -> np.ndarray:
    """A ring or a frame, with an inscription or a punch mark inside; size×size, 0 to 1."""
    canvas = Image.new("L", (size * SUPERSAMPLING, size * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    centre, stroke = size * SUPERSAMPLING / 2, int(rng.uniform(2.2, 3.4) * SUPERSAMPLING)
    half_x, half_y = half * SUPERSAMPLING, half * SUPERSAMPLING * rng.choice([1.0, 0.7])
    corners = (centre - half_x, centre - half_y, centre + half_x, centre + half_y)
    if half_x == half_y and rng.random() < 0.6:
        draw.ellipse(corners, outline=255, width=stroke)
    else:
        draw.rounded_rectangle(corners, radius=4 * SUPERSAMPLING, outline=255, width=stroke)
    if rng.random() < 0.75:
        font = ImageFont.load_default(half_y * 0.95)
        text = rng.choice(["QC", "OK", "A1", "B2", "07", "Q3"])
        draw.text((centre, centre), str(text), fill=255, font=font, anchor="mm", stroke_width=1)
    else:
        radius = half_y * 0.28
        draw.ellipse((centre - radius, centre - radius, centre + radius, centre + radius), fill=255)
    return np.asarray(canvas.reduce(SUPERSAMPLING), np.float64) / 255
