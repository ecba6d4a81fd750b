"""Decode every image of a dataset once, to know its size and whether another one has the same pixels."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from zerostart.errors import InputError


@dataclass(frozen=True)
class ImageFile:
    """What the checks need to know about an image file."""

    size: tuple[int, int]
    """Width and height in pixels, as stored: an EXIF orientation is not applied, neither here nor for the detector."""
    pixels_sha256: str
    """Of the size and the RGB pixels, which are what the detector sees."""


def read_image_files(folder: Path, sources: Mapping[str, str]) -> dict[str, ImageFile]:
    """Decode all images in threads.

    `sources` maps each image's path relative to `folder` to the record that names it.

    Raises InputError for the first image, in the order of `sources`, that is missing, not an image, truncated or of
    more than 8 bits per channel.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        files = pool.map(lambda name: _read_image_file(folder / name, sources[name]), sources)
        return dict(zip(sources, files, strict=True))


def _read_image_file(path: Path, source: str) -> ImageFile:
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, image.convert("RGB")
    except FileNotFoundError:
        raise InputError(f"{path}: no such image; {source} is its annotation") from None
    # Pillow reports a broken PNG as a SyntaxError or ValueError, and a size that could exhaust memory in its own way.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error}); {source} is its annotation") from None
    if mode in ("F", "I") or mode.startswith("I;16"):
        # Pillow would turn everything above 255 into white.
        raise InputError(f"{path}: pixels of more than 8 bits (mode {mode}); 8 bits per channel are expected")
    digest = hashlib.sha256(f"{pixels.size}".encode())
    digest.update(pixels.tobytes())
    return ImageFile(pixels.size, digest.hexdigest())
