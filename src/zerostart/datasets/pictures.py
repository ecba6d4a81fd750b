"""The one reader of pictures: every part of the library sees the same upright RGB pixels of 8 bits per channel."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from zerostart.errors import InputError
from zerostart.records import first_bytes, stands_for_another

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What Pillow may take a file for, whatever its name says; its rarer readers were written for less hostile files."""
SUFFIXES = frozenset((".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
"""Names of files that are taken for pictures."""
MOST_PIXELS = 89_478_485
"""Larger pictures are refused from their header, before anything is decoded (it is Pillow's own limit)."""
BITS_PER_SAMPLE = 0x0102
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation: how the stored pixels are turned to be upright."""
SIDEWAYS = (5, 6, 7, 8)
"""The orientations that exchange width and height."""

# Pillow warns of pictures above its limit in two lines of its own; they are refused in one sentence below. It also warns of the
# transparency that is dropped here and of EXIF that is damaged. Set once, at import: `warnings.catch_warnings` around each
# reading would change the filters of all threads.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
for _said in ("Palette images with Transparency", "Corrupt EXIF data"):
    warnings.filterwarnings("ignore", _said, UserWarning)


class PictureError(InputError):
    """A picture that cannot be used; the message is the reason, without the file's name."""


class Picture(NamedTuple):
    """A picture as it is seen."""

    rgb: Image.Image
    """Upright, 8 bits per channel."""
    size: tuple[int, int]
    """Width and height upright; `rgb` is smaller where a JPEG was decoded to a part of its size."""
    orientation: int
    """EXIF orientation of the file, 1 (stored upright) to 8."""
    mode: str
    """Pillow's mode of the stored pixels, or its raw mode where only that tells of 16 bits per channel: `RGB;16B`."""

    @property
    def deep(self) -> bool:
        """Whether the file has more than 8 bits per channel, which were scaled down."""
        return _is_deep(self.mode)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the pixels as they are stored, before they were turned."""
        return _swapped(self.size) if self.orientation in SIDEWAYS else self.size


def is_picture(path: Path) -> bool:
    """Whether a file is named like a picture; `._` files, which macOS leaves beside the real ones, are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._")


def read_picture(source: Path | bytes, longest: int | None = None) -> Picture:
    """Decode a file, or its content, turned as its EXIF orientation says.

    Grey, palette and CMYK become RGB, 16 bits per channel become 8 over their full range (65535 is white), whatever part of it
    the picture uses (of colours, Pillow gives the high byte); an alpha channel is dropped; of an animation the first frame is
    taken.
    longest: so many pixels are needed on the longer side; a JPEG may then be decoded to a half, a quarter or an eighth.

    Raises PictureError when it is missing, empty, truncated, of no format in FORMATS, of floating point, or of more than
    MOST_PIXELS.
    """
    if isinstance(source, Path) and not source.is_file():
        raise PictureError("no such image" if not source.exists() else "not a readable image (not a regular file)")
    try:
        # Given a path, Pillow would map uncompressed TIFFs into memory with width and height exchanged.
        file = source.open("rb") if isinstance(source, Path) else BytesIO(source)
        with file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            size, mode = image.size, _stored_mode(image)
            if longest is not None:
                image.draft("RGB", (longest, longest))
            orientation = orientation_of(image)
            # Pillow turns a TIFF by itself: its size is the upright one already, and once it is loaded its orientation is gone.
            upright = _swapped(size) if orientation in SIDEWAYS and image.format != "TIFF" else size
            return Picture(_rgb(image), upright, orientation, mode)
    except (PictureError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"not a readable image ({error})") from None
    # Damaged files raise nearly anything: SyntaxError and ValueError (PNG), TypeError and struct.error (TIFF) ...
    except Exception as error:
        raise PictureError(f"not a readable image ({_reason(error, source)})") from None


def open_rgb(source: str | Path | Image.Image | np.ndarray) -> Image.Image:
    """A picture of whatever kind a user has, as :func:`read_picture` reads it.

    A path, a PIL image, or an array (H×W or H×W×3, uint8 or uint16).

    Raises InputError, naming the source, where it cannot be used.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if not isinstance(source, Image.Image):
        try:
            return read_picture(Path(source)).rgb
        except PictureError as reason:
            raise InputError(f"{source}: {reason}") from None
    name = f"a PIL image of mode {source.mode}"
    try:
        _check_size(source)
        return _rgb(source)
    except PictureError as reason:
        raise InputError(f"{name}: {reason}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: not a readable image ({error})") from None


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none, or where the picture is fine but its EXIF is damaged."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF raises as many kinds as damaged pixels do
        return 1
    return found if found in TURNS else 1


def _swapped(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    turn = TURNS.get(orientation_of(image))
    upright = image if turn is None else image.transpose(turn)
    return _eight_bits(upright).convert("RGB")


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if 0 in image.size:
        raise PictureError(f"an image of {width}x{height} pixels; at least 1x1 is expected")
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"{width}x{height} pixels, too large to be decoded safely; at most {MOST_PIXELS // 1_000_000} megapixels are"
            " expected"
        )


def _stored_mode(image: Image.Image) -> str:
    """See `Picture.mode`; of a file that was opened and not loaded yet."""
    raw_modes = [tile.args if isinstance(tile.args, str) else tile.args[0] for tile in image.tile if tile.args]
    planes = image.format == "TIFF" and raw_modes[:1] == [image.mode[0]] != ["I"]
    if planes and max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))) > 8:
        raise PictureError("16 bits per channel in separate planes, uncompressed, which cannot be read here; LZW is expected")
    modes = [image.mode, *(mode for mode in raw_modes if isinstance(mode, str))]
    return next((mode for mode in modes if _is_deep(mode)), image.mode)


def _is_deep(mode: str) -> bool:
    # BMP's `BGR;16` is 16 bits of a whole pixel.
    return mode == "I" or mode.startswith("I;16") or mode.endswith((";16B", ";16L", ";16N"))


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise PictureError("floating point pixels, whose white is unknown; 8 or 16 bits per channel are expected")
    if not _is_deep(image.mode):
        return image
    values = np.asarray(image).astype(np.int64)  # Pillow would turn everything above 255 into white
    if values.min() < 0 or values.max() > 65535:
        raise PictureError(f"pixels from {values.min()} to {values.max()}; 0 to 65535 are expected")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype not in (np.uint8, np.uint16) or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise InputError(f"an array of shape {array.shape} and type {array.dtype}; HxW or HxWx3, uint8 or uint16 is expected")
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape}; at least one pixel is expected")
    eight_bits = array if array.dtype == np.uint8 else np.rint(array / 257).astype(np.uint8)
    return Image.fromarray(eight_bits).convert("RGB")


def _reason(error: Exception, source: Path | bytes) -> str:
    """What is wrong with a file that no reader takes, where its first bytes tell it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "cannot identify" not in text:
        return text
    try:
        start = source[:512] if isinstance(source, bytes) else first_bytes(source)
    except OSError:
        return text
    if not start:
        return "an empty file"
    if start[4:8] == b"ftyp":
        return "HEIC or AVIF, which are not read here; JPEG or PNG is expected"
    return stands_for_another(start) or f"not one of {', '.join(FORMATS)}"
