"""Decode any picture that people have into RGB, or say why not."""

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from zerostart.errors import InputError

# Pillow warns of large pictures in two lines; they are refused in one sentence below.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

LEAST_SIDE = 8
"""Smaller pictures show nothing."""
MOST_PIXELS = 64_000_000
"""Larger ones are refused from their header, before anything is decoded (RGB of 64 megapixels is 192 MB)."""


class UnreadableError(InputError):
    """A picture that cannot be used; the message is the reason, without the file's name."""


def decode(source: Path | bytes, longest: int | None = None) -> np.ndarray:
    """A picture upright as H×W×3 uint8, shrunk so that its longer side is at most `longest` pixels.

    Grey, palette and CMYK become RGB; of an animation the first frame is taken; an EXIF orientation is applied.
    Raises UnreadableError for what is truncated, no image, of more than 8 bits a channel, smaller than 8 pixels a side or
    larger than 64 megapixels.
    """
    try:
        with Image.open(source if isinstance(source, Path) else BytesIO(source)) as image:
            _check(image)
            if longest is not None:
                image.draft("RGB", (longest, longest))  # a JPEG decodes to a half, quarter or eighth at little cost
            upright = ImageOps.exif_transpose(image).convert("RGB")
    # Pillow reports a broken PNG as a SyntaxError or ValueError, a broken TIFF as a TypeError or struct.error.
    except UnreadableError:
        raise
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than {MOST_PIXELS // 1_000_000} megapixels") from None
    except (OSError, SyntaxError, ValueError, TypeError, struct.error) as error:
        raise UnreadableError(_reason(error)) from None
    return np.asarray(shrink(upright, longest))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "truncated" if "truncated" in text else "not an image" if "identify" in text else f"damaged ({type(error).__name__})"


def _check(image: Image.Image) -> None:
    width, height = image.size
    if min(image.size) < LEAST_SIDE:
        raise UnreadableError(f"{width}x{height} pixels; at least {LEAST_SIDE} a side are expected")
    if width * height > MOST_PIXELS:
        raise UnreadableError(f"{width}x{height} pixels; at most {MOST_PIXELS // 1_000_000} megapixels are expected")
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        raise UnreadableError(f"more than 8 bits per channel (mode {image.mode})")


def shrink(image: Image.Image, longest: int | None) -> Image.Image:
    """The image itself, or shrunk to `longest` pixels on its longer side, with its aspect ratio."""
    if longest is None or max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    size = tuple(max(round(side * scale), 1) for side in image.size)
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
