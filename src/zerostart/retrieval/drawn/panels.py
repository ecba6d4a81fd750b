"""Clean painted car panels in ten vehicle zones: a lit, curved surface and the parts that tell one zone from another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from zerostart.drawing.metal import white_noise

WIDTH, HEIGHT = 784, 588
"""Size of a photograph in pixels."""
PAINTS = (
    (0.62, 0.05, 0.06),
    (0.07, 0.16, 0.42),
    (0.78, 0.79, 0.80),
    (0.42, 0.44, 0.47),
    (0.09, 0.10, 0.11),
    (0.06, 0.25, 0.16),
    (0.70, 0.66, 0.55),
    (0.30, 0.10, 0.13),
    (0.52, 0.60, 0.68),
    (0.75, 0.48, 0.08),
)
"""RGB reflectance of the paints."""
RUBBER, CHROME, PLASTIC = (0.05, 0.05, 0.055), (0.66, 0.67, 0.69), (0.12, 0.12, 0.125)
CLEAR_LENS, RED_LENS, GLASS = (0.82, 0.86, 0.88), (0.58, 0.03, 0.05), (0.16, 0.21, 0.24)


@dataclass(frozen=True)
class Panel:
    """A clean panel before the camera."""

    reflectance: np.ndarray
    """HEIGHT×WIDTH×3 float64."""
    body: np.ndarray
    """HEIGHT×WIDTH, 1 where painted metal is, 0 on glass, rubber, lamps and gaps."""
    paint: np.ndarray
    """RGB of the paint as it is seen: the median over the body."""
    light: np.ndarray
    """Unit vector x, y towards the lamp."""


Cover = tuple[tuple[slice, slice], np.ndarray]
"""A window of the picture and how far each of its pixels is covered, 0 to 1."""


class _Canvas:
    """A panel under construction; coordinates are fractions of the picture, mirrored for the other side of the car."""

    def __init__(self, pixels: np.ndarray, rng: np.random.Generator, mirrored: bool) -> None:
        self.pixels, self.mirrored = pixels, mirrored
        self.body = np.ones((HEIGHT, WIDTH))
        self.shift = rng.uniform(-0.03, 0.03, 2)
        self.scale = rng.uniform(0.94, 1.06)

    def fill(self, points: list[tuple[float, float]], colour: tuple[float, ...], gloss: float = 0.15) -> None:
        """Fill a polygon with a part's colour; a share `gloss` of the shading below stays visible."""
        window, cover = _cover(self._place(points), lambda draw, placed: draw.polygon(placed, fill=255))
        below = self.pixels[window]
        shading = below.mean(axis=2, keepdims=True) / max(float(below.mean()), 1e-3)
        target = np.array(colour) * (1 - gloss + gloss * shading)
        self.pixels[window] += cover[..., None] * (target - below)
        self.body[window] *= 1 - cover

    def circle(self, x: float, y: float, radius: float, colour: tuple[float, ...]) -> None:
        """Fill a circle; `radius` is a fraction of the picture's width."""
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        rim = np.stack([x + radius * np.cos(angles), y + radius * WIDTH / HEIGHT * np.sin(angles)], axis=1)
        self.fill([(float(px), float(py)) for px, py in rim], colour)

    def wheel(self, x: float, y: float, radius: float) -> None:
        """An arch with tyre, rim and hub."""
        layers = ((1.14, PLASTIC), (1.0, RUBBER), (0.66, CHROME), (0.58, PLASTIC), (0.5, CHROME), (0.16, PLASTIC))
        for share, colour in layers:
            self.circle(x, y, radius * share, colour)

    def seam(self, points: list[tuple[float, float]], width: float = 4.0) -> None:
        """A gap between two panels: a dark line with a bright edge beside it."""
        for offset, gain, strength in ((0.0, 0.22, 1.0), (0.8 * width, 1.25, 0.6)):
            window, cover = self._line(points, (offset, offset), width)
            self.pixels[window] *= 1 + strength * cover[..., None] * (gain - 1)
            self.body[window] *= 1 - cover

    def crease(self, points: list[tuple[float, float]], width: float = 9.0) -> None:
        """A pressed character line: bright above, dark below; paint all over."""
        for offset, gain in ((-width / 2, 1.13), (width / 2, 0.88)):
            window, cover = self._line(points, (0.0, offset), width)
            self.pixels[window] *= 1 + ndimage.gaussian_filter(cover, width / 3)[..., None] * (gain - 1)

    def _line(self, points: list[tuple[float, float]], offset: tuple[float, float], width: float) -> Cover:
        placed = self._place(points) + offset
        return _cover(
            placed, lambda draw, line: draw.line(line, fill=255, width=round(2 * width), joint="curve"), pad=int(2 * width)
        )

    def _place(self, points: list[tuple[float, float]]) -> np.ndarray:
        placed = 0.5 + (np.array(points) - 0.5) * self.scale + self.shift
        if self.mirrored:
            placed[:, 0] = 1 - placed[:, 0]
        return placed * (WIDTH, HEIGHT)


def _cover(points: np.ndarray, paint: Callable[[ImageDraw.ImageDraw, list], None], pad: int = 1) -> Cover:
    """What `paint` draws through the points (n×2 pixels), smoothed by drawing it at twice the size."""
    low = np.clip(np.floor(points.min(axis=0)).astype(int) - pad, 0, (WIDTH - 1, HEIGHT - 1))
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + pad, low + 1, (WIDTH, HEIGHT))
    image = Image.new("L", tuple((2 * (high - low)).tolist()))
    paint(ImageDraw.Draw(image), [(float(x), float(y)) for x, y in 2 * (points - low)])
    return (slice(low[1], high[1]), slice(low[0], high[0])), np.asarray(image.reduce(2), np.float64) / 255


def clean_panel(zone: int, rng: np.random.Generator) -> Panel:
    """A panel of zone 1 to 10 in a random paint under a random light."""
    paint = np.array(PAINTS[rng.integers(len(PAINTS))])
    angle = rng.uniform(np.pi * 1.15, np.pi * 1.85)  # from above: y points down
    light = np.array([np.cos(angle), np.sin(angle)])
    draw, mirrored = _ZONES[zone]
    canvas = _Canvas(_painted_surface(paint, rng), rng, mirrored)
    draw(canvas)
    return Panel(canvas.pixels, canvas.body, np.median(canvas.pixels[canvas.body > 0.5], axis=0), light)


def _painted_surface(paint: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A curved sheet that mirrors a bright sky above and a dark ground below, with the paint's fine flakes."""
    y, x = (np.linspace(-1, 1, size) for size in (HEIGHT, WIDTH))
    y, x = y[:, None], x[None, :]
    tilt = rng.uniform(0.5, 0.9) * y + rng.uniform(-0.3, 0.3) * x + rng.uniform(-0.35, 0.35) * x**2 + rng.uniform(-0.2, 0.2)
    diffuse = 0.86 - 0.3 * tilt + rng.uniform(-0.12, 0.12) * x
    wave = 0.05 * np.sin(2 * np.pi * rng.uniform(0.4, 1.1) * x + rng.uniform(0, 6))
    sky = 1 / (1 + np.exp((tilt + 0.25 + wave) / rng.uniform(0.04, 0.12)))
    lamp = np.exp(-(((tilt + rng.uniform(0.2, 0.5)) / rng.uniform(0.08, 0.2)) ** 2))
    flakes = 1 + rng.uniform(0.005, 0.02) * white_noise(rng, HEIGHT, WIDTH)
    mirror = 0.05 + rng.uniform(0.08, 0.16) * sky + rng.uniform(0.0, 0.12) * lamp
    return paint * (diffuse * flakes)[..., None] + mirror[..., None]


def _fender(canvas: _Canvas) -> None:
    canvas.wheel(0.72, 0.98, 0.26)
    canvas.fill([(-0.2, 0.16), (0.10, 0.20), (0.30, 0.38), (0.22, 0.46), (-0.2, 0.42)], CLEAR_LENS, gloss=0.35)
    canvas.seam([(-0.2, 0.08), (0.4, 0.10), (1.2, 0.04)])
    canvas.seam([(-0.2, 0.62), (0.2, 0.60), (0.36, 0.82)])
    canvas.crease([(0.3, 0.36), (0.7, 0.30), (1.2, 0.28)])


def _hood(canvas: _Canvas) -> None:
    canvas.fill([(-0.2, -0.2), (1.2, -0.2), (1.2, 0.06), (0.5, 0.01), (-0.2, 0.06)], GLASS, gloss=0.4)
    canvas.crease([(0.30, 0.06), (0.22, 0.5), (0.20, 0.90)])
    canvas.crease([(0.70, 0.06), (0.78, 0.5), (0.80, 0.90)])
    canvas.seam([(-0.2, 0.84), (0.5, 0.90), (1.2, 0.84)])
    canvas.fill([(0.30, 0.94), (0.70, 0.94), (0.66, 1.2), (0.34, 1.2)], PLASTIC)
    canvas.circle(0.5, 0.80, 0.028, CHROME)


def _rear_quarter(canvas: _Canvas) -> None:
    canvas.wheel(0.24, 0.96, 0.27)
    canvas.fill([(0.86, 0.22), (1.2, 0.20), (1.2, 0.56), (0.80, 0.50)], RED_LENS, gloss=0.35)
    canvas.fill([(-0.2, -0.2), (0.52, -0.2), (0.30, 0.12), (-0.2, 0.14)], GLASS, gloss=0.4)
    canvas.seam([(0.42, 0.36), (0.58, 0.36), (0.58, 0.53), (0.42, 0.53), (0.42, 0.36)], width=3)
    canvas.seam([(0.70, 0.62), (0.84, 0.60), (1.2, 0.62)])


def _rear_bumper(canvas: _Canvas) -> None:
    canvas.seam([(-0.2, 0.14), (0.5, 0.18), (1.2, 0.14)])
    canvas.fill([(-0.2, 0.82), (0.5, 0.86), (1.2, 0.82), (1.2, 1.2), (-0.2, 1.2)], PLASTIC)
    canvas.fill([(0.06, 0.68), (0.26, 0.70), (0.26, 0.76), (0.06, 0.74)], RED_LENS, gloss=0.3)
    canvas.fill([(0.74, 0.70), (0.94, 0.68), (0.94, 0.74), (0.74, 0.76)], RED_LENS, gloss=0.3)
    canvas.crease([(-0.2, 0.44), (0.5, 0.48), (1.2, 0.44)])
    canvas.circle(0.16, 0.94, 0.05, CHROME)


def _door(canvas: _Canvas) -> None:
    canvas.fill([(-0.2, -0.2), (1.2, -0.2), (1.2, 0.13), (-0.2, 0.19)], GLASS, gloss=0.4)
    canvas.fill([(-0.2, 0.19), (1.2, 0.13), (1.2, 0.16), (-0.2, 0.22)], PLASTIC)
    canvas.seam([(0.90, 0.14), (0.92, 0.6), (0.84, 1.2)])
    canvas.fill([(0.66, 0.29), (0.84, 0.28), (0.85, 0.34), (0.67, 0.35)], PLASTIC)
    canvas.fill([(0.65, 0.30), (0.84, 0.29), (0.84, 0.32), (0.65, 0.33)], CHROME)
    canvas.crease([(-0.2, 0.48), (0.5, 0.44), (1.2, 0.42)])
    canvas.fill([(-0.2, 0.84), (0.84, 0.82), (0.84, 0.87), (-0.2, 0.89)], PLASTIC)


def _rocker(canvas: _Canvas) -> None:
    canvas.fill([(-0.2, 0.80), (1.2, 0.78), (1.2, 1.2), (-0.2, 1.2)], RUBBER)
    canvas.seam([(-0.2, 0.22), (0.62, 0.20), (0.70, -0.2)])
    canvas.seam([(0.70, 0.20), (1.2, 0.19)])
    canvas.crease([(-0.2, 0.52), (1.2, 0.50)], width=12)
    canvas.fill([(0.10, 0.70), (0.18, 0.70), (0.18, 0.80), (0.10, 0.80)], PLASTIC)
    canvas.wheel(1.10, 0.72, 0.24)


_ZONES = {
    1: (_fender, False),
    2: (_hood, False),
    3: (_fender, True),
    4: (_rear_quarter, False),
    5: (_rear_bumper, False),
    6: (_rear_quarter, True),
    7: (_door, False),
    8: (_rocker, False),
    9: (_door, True),
    10: (_rocker, True),
}
"""How each zone is drawn, and whether it is the other side's mirror image."""
