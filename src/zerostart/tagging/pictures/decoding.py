"""Pictures for tagging: read, large enough to show something, and shrunk."""

from pathlib import Path

import numpy as np
from PIL import Image

from zerostart.datasets.image_files import check_annotated_size
from zerostart.datasets.pictures import PictureError, read_picture

LEAST_SIDE = 8
"""Smaller pictures show nothing."""

UnreadableError = PictureError
"""A picture that cannot be used; the message is the reason, without the file's name."""


def decode(source: Path | bytes, longest: int | None = None, annotated: tuple[float, float] | None = None) -> np.ndarray:
    """A picture upright as H×W×3 uint8, shrunk so that its longer side is at most `longest` pixels.

    annotated: width and height that its annotation gives.
    Raises UnreadableError for what :func:`read_picture` refuses, and for a picture smaller than 8 pixels a side; InputError for
    one of another size than annotated, as its boxes belong to something else.
    """
    picture = read_picture(source, longest)
    if annotated is not None:
        check_annotated_size(annotated, picture, Path(str(source)), "its annotation")
    if min(picture.size) < LEAST_SIDE:
        raise UnreadableError(f"{picture.size[0]}x{picture.size[1]} pixels; at least {LEAST_SIDE} a side are expected")
    return np.asarray(shrink(picture.rgb, longest))


def shrink(image: Image.Image, longest: int | None) -> Image.Image:
    """The image itself, or shrunk to `longest` pixels on its longer side, with its aspect ratio."""
    if longest is None or max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    size = tuple(max(round(side * scale), 1) for side in image.size)
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
