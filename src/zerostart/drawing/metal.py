"""Clean brushed and rolled metal and the camera that photographs it: the canvas of the synthetic data.

All drawing is in float64 and rounded to uint8 once, by `to_bytes`. NumPy's kernels for different processors differ in the
last bit of exp, sin or a sum: in float32 that decides one pixel in a few million, in float64 about one in 10^13. Rounding to
fewer digits first would only move the ties. There are none to begin with: values that kernels can change carry random light,
and what has clean values (plain ground, coverage in steps of 1/255) is made with + − × ÷ alone, which are exact everywhere.
"""

import numpy as np
from scipy import ndimage

SIZE = 256
"""Side of a synthetic image, in pixels."""


def clean_surface(rng: np.random.Generator) -> np.ndarray:
    """Return an unblemished metal sheet as reflectance, SIZE×SIZE×3 float64, about 0.35 to 0.8.

    The finish is brushed or rolled and runs along an image axis, so that it never looks like the oblique
    lines of a fracture or a scratch.
    """
    finish = _brushed if rng.random() < 0.5 else _rolled
    texture = finish(rng)
    if rng.random() < 0.5:
        texture = texture.T
    grey = rng.uniform(0.42, 0.68) * (1 + texture) * _lighting(rng)
    warmth = rng.uniform(-0.035, 0.035)
    tint = np.array([1 + warmth, 1 + rng.uniform(-0.008, 0.008), 1 - warmth])
    return grey[..., None] * tint


def photograph(reflectance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn reflectance (H×W×3, 0 to 1) into a photograph (uint8): vignetting, slight blur, sensor noise."""
    height, width = reflectance.shape[:2]
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    vignette = 1 - rng.uniform(0.02, 0.12) * (y[:, None] ** 2 + x**2)
    blur = rng.uniform(0.35, 0.6)
    image = ndimage.gaussian_filter(reflectance, (blur, blur, 0), truncate=2.5) * vignette[..., None]
    # Mostly luminance noise: a raw sensor's colour noise is smoothed away by any camera.
    noise = white_noise(rng, height, width) * rng.uniform(0.006, 0.014)
    return to_bytes(image + noise[..., None])


def white_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Standard normal values, height×width float64, drawn with the random bits of single precision: half the time."""
    return rng.standard_normal((height, width), dtype=np.float32).astype(np.float64)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Round a float64 picture, 0 to 1, to uint8: the only rounding of a drawing."""
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def _brushed(rng: np.random.Generator) -> np.ndarray:
    """Fine streaks along x at three lengths: the marks of an abrasive belt."""
    texture = np.zeros((SIZE, SIZE))
    for length, thickness, weight in ((15, 0.0, 0.5), (61, 0.5, 0.8), (181, 0.8, 1.0)):
        noise = white_noise(rng, SIZE, SIZE)
        noise = ndimage.uniform_filter1d(noise, length, axis=1, mode="wrap")
        if thickness:
            noise = ndimage.gaussian_filter1d(noise, thickness, axis=0)
        texture += weight * noise / noise.std()
    return texture * rng.uniform(0.018, 0.034)


def _rolled(rng: np.random.Generator) -> np.ndarray:
    """Wide soft bands along x and a pebbled mill grain, slightly stretched in the rolling direction."""
    bands = ndimage.gaussian_filter1d(rng.standard_normal(SIZE), rng.uniform(5, 14), mode="wrap")
    lines = ndimage.gaussian_filter1d(rng.standard_normal(SIZE), 1.2, mode="wrap")
    profile = bands / bands.std() * rng.uniform(0.015, 0.04) + lines / lines.std() * rng.uniform(0.004, 0.012)
    fine = ndimage.gaussian_filter(white_noise(rng, SIZE, SIZE), (0.7, 1.8), truncate=3)
    # The coarse grain is made at a quarter of the size: after the blur nothing finer would be left in it.
    coarse = white_noise(rng, SIZE // 4, SIZE // 4)
    coarse = ndimage.zoom(ndimage.gaussian_filter(coarse, (0.8, 2.0)), 4, order=1)
    grain = fine / fine.std() * rng.uniform(0.016, 0.034) + coarse / coarse.std() * rng.uniform(0.008, 0.018)
    return profile[:, None] + grain


def _lighting(rng: np.random.Generator) -> np.ndarray:
    """A linear gradient and one broad highlight, multiplying the reflectance; mean near 1."""
    y, x = np.meshgrid(*[np.linspace(-0.5, 0.5, SIZE)] * 2, indexing="ij")
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.28)
    gradient = slope * (x * np.cos(angle) + y * np.sin(angle))
    across = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-0.4, 0.4)
    highlight = rng.uniform(0.0, 0.16) * np.exp(-((across / rng.uniform(0.2, 0.4)) ** 2))
    return 1 + gradient + highlight
