"""Decode every image of a dataset once, to know its size and whether another one has the same pixels."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from zerostart.datasets.findings import Findings
from zerostart.datasets.pictures import Picture, PictureError, read_picture
from zerostart.errors import InputError


@dataclass(frozen=True)
class ImageFile:
    """What the checks need to know about an image file."""

    size: tuple[int, int]
    """Width and height in pixels of the upright picture."""
    stored_size: tuple[int, int]
    """The same before it was turned as its EXIF orientation says."""
    orientation: int
    """EXIF orientation, 1 (stored upright) to 8."""
    pixels_sha256: str
    """See :func:`pixels_sha256`."""


def pixels_sha256(picture: Image.Image | np.ndarray) -> str:
    """Digest of the size and the RGB pixels (H×W×3), which are what a model sees: equal for two files of the same picture."""
    pixels = np.asarray(picture)
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def read_image_files(folder: Path, sources: Mapping[str, str], findings: Findings | None = None) -> dict[str, ImageFile]:
    """Decode all images in threads.

    `sources` maps each image's path relative to `folder` to the record that names it.

    Raises InputError for the first image, in the order of `sources`, that is missing, not an image, truncated or of
    more than 8 bits per channel; with `findings` such images are left out and noted there.
    """
    findings = findings or Findings()
    files = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found in zip(
            sources, pool.map(lambda name: _read_image_file(folder / name, sources[name]), sources), strict=True
        ):
            if isinstance(found, ImageFile):
                files[name] = found
            else:
                findings.defect("image", str(found))
    return files


def check_annotated_size(annotated: tuple[float, float], file: ImageFile | Picture, path: Path, source: str) -> None:
    """Raises InputError unless the annotated width and height are the upright picture's; it names EXIF where that is why."""
    if annotated == file.size:
        return
    why = "the same size is expected"
    if annotated == file.stored_size:
        why = (
            f"the annotated size is that of the stored pixels, before they are turned as EXIF orientation {file.orientation} "
            f"says; boxes on the upright picture are expected, or files without that orientation"
        )
    shown, size = ("×".join(f"{side:g}" for side in sides) for sides in (annotated, file.size))
    raise InputError(f"{source}: size {shown} is annotated, but {path} is {size}; {why}")


def _read_image_file(path: Path, source: str) -> ImageFile | InputError:
    try:
        picture = read_picture(path)
    except PictureError as reason:
        return InputError(f"{path}: {reason}; {source} is its annotation")
    if picture.deep:
        # Of 16 bits cameras often use 10 or 12, which would be nearly black.
        return InputError(f"{path}: pixels of more than 8 bits (mode {picture.mode}); 8 bits per channel are expected")
    return ImageFile(picture.size, picture.stored_size, picture.orientation, pixels_sha256(picture.rgb))
