"""Contact sheets of the synthetic classes for the README: `python -m zerostart.contact_sheets`."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from zerostart.drawing.synthetic import CLASSES, Box, image_rng, render_image
from zerostart.outputs import output_file, write_jpeg

COLUMNS, ROWS = 6, 2
CROP = 160
"""Side of a crop, in pixels: an object and its surroundings, at the scale of the image."""


def contact_sheet(class_name: str, seed: int = 0) -> Image.Image:
    """Return COLUMNS×ROWS crops of one class, its box outlined, from the first images that show it."""
    sheet = Image.new("RGB", (COLUMNS * CROP, ROWS * CROP))
    index = filled = 0
    while filled < COLUMNS * ROWS:
        pixels, objects = render_image(image_rng(seed, index))
        box = next((box for name, box in objects if name == class_name), None)
        if box is not None:
            sheet.paste(_crop(pixels, box), (filled % COLUMNS * CROP, filled // COLUMNS * CROP))
            filled += 1
        index += 1
    return sheet


def _crop(pixels: np.ndarray, box: Box) -> Image.Image:
    """The CROP×CROP surroundings of a box, kept inside the image."""
    x, y, width, height = box
    left = int(np.clip(x + width // 2 - CROP // 2, 0, pixels.shape[1] - CROP))
    top = int(np.clip(y + height // 2 - CROP // 2, 0, pixels.shape[0] - CROP))
    crop = Image.fromarray(pixels[top : top + CROP, left : left + CROP])
    outline = (x - left, y - top, x - left + width - 1, y - top + height - 1)
    ImageDraw.Draw(crop).rectangle(outline, outline=(255, 210, 60))
    return crop


def write_contact_sheets(folder: Path) -> None:
    """Write synthetic_<class>.jpg for every class."""
    for name in CLASSES:
        with output_file(folder / f"synthetic_{name}.jpg") as path:
            write_jpeg(path, contact_sheet(name), 88)


if __name__ == "__main__":
    write_contact_sheets(Path("docs/images"))
