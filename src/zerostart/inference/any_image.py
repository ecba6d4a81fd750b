"""Open an image of whatever kind a user has, as RGB."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from zerostart.errors import InputError


def open_rgb(source: str | Path | Image.Image | np.ndarray, upright: bool = True) -> Image.Image:
    """An image as RGB of 8 bits per channel: a path, a PIL image, or an array (H×W or H×W×3, uint8 or uint16).

    16 bits per channel become 8 over their full range (65535 is white), whatever part of it the image uses. An alpha channel is
    dropped, as in training. upright: turn the image as its EXIF orientation says.

    Raises InputError with one sentence when it is missing, empty, truncated, not an image, of floating point, or so large that
    decoding it could exhaust the memory (Pillow's limit, 89 million pixels).
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = source if isinstance(source, str | Path) else f"a PIL image of mode {source.mode}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = source if isinstance(source, Image.Image) else Image.open(source)
            image.load()
            image = ImageOps.exif_transpose(image) if upright else image
            rgb = _to_rgb(image, name)
    except InputError:  # which is a ValueError
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: no such image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name}: too large to be decoded safely ({error})") from None
    # Pillow reports a broken PNG as a SyntaxError or ValueError.
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: not a readable image ({error})") from None
    if 0 in rgb.size:
        raise InputError(f"{name}: an image of {rgb.width}x{rgb.height} pixels; at least 1x1 is expected")
    return rgb


def _to_rgb(image: Image.Image, name: object) -> Image.Image:
    if image.mode == "F":
        raise InputError(f"{name}: floating point pixels, whose white is unknown; 8 or 16 bits per channel are expected")
    if image.mode == "I" or image.mode.startswith("I;16"):  # Pillow would turn everything above 255 into white
        values = np.asarray(image).astype(np.int64)
        if values.size and (values.min() < 0 or values.max() > 65535):
            raise InputError(f"{name}: pixels from {values.min()} to {values.max()}; 0 to 65535 are expected")
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    return image.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype not in (np.uint8, np.uint16) or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise InputError(f"an array of shape {array.shape} and type {array.dtype}; HxW or HxWx3, uint8 or uint16 is expected")
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape}; at least one pixel is expected")
    eight_bits = array if array.dtype == np.uint8 else np.rint(array / 257).astype(np.uint8)
    return Image.fromarray(eight_bits).convert("RGB")
