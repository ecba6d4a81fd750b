"""A sheet of enlarged crops with boxes and captions, the same bytes on every machine."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PICTURE, TILE, CAPTION, HEADER = 234, 240, 54, 34
"""Sides of a picture and of its cell, heights of its caption and of the title, in pixels."""
COLUMNS, LIMIT = 4, 12
CONTEXT = 1.6
"""Side of the crop as a multiple of the longer side of what it shows."""
OBJECT, BOX, PAPER, INK = (255, 214, 10), (0, 200, 255), (255, 255, 255), (20, 20, 20)


class Tile(NamedTuple):
    """One crop: around all of its boxes, with some context."""

    open_image: Callable[[], Image.Image]
    boxes: tuple[tuple[tuple[float, ...], tuple[int, int, int]], ...]
    """Each: xywh in pixels, and the colour of its outline."""
    caption: str
    """Up to three lines."""


def draw_sheet(tiles: list[Tile], title: str) -> Image.Image:
    """Draw the first 12 tiles, four in a row; without any the picture says so."""
    shown = tiles[:LIMIT]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, HEADER + (rows * (TILE + CAPTION) or CAPTION)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 8), title, fill=INK, font=_font(16))
    if not shown:
        draw.text((8, HEADER + 12), "There is none to show.", fill=INK, font=_font(14))
    for index, tile in enumerate(shown):
        left, top = index % COLUMNS * TILE, HEADER + index // COLUMNS * (TILE + CAPTION)
        sheet.paste(_crop(tile), (left, top))
        draw.multiline_text((left + 4, top + TILE + 3), tile.caption, fill=INK, font=_font(12), spacing=2)
    return sheet


def how_many(total: int, legend: str) -> str:
    """The end of a title: how many there are, how many of them are shown, what the colours mean."""
    if total == 0:
        return "none"
    kept = f", the {LIMIT} largest changes" if total > LIMIT else ""
    return f"{total}{kept} ({legend})"


def _crop(tile: Tile) -> Image.Image:
    """A square around the boxes, with some context, enlarged to PICTURE×PICTURE; outside the image it is black."""
    boxes = np.array([box for box, _ in tile.boxes])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    side = max(16, round(float((high - low).max()) * CONTEXT))
    left, top = np.rint((low + high - side) / 2).astype(int).tolist()
    image = tile.open_image().convert("RGB")
    crop = image.crop((left, top, left + side, top + side)).resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(crop)
    for (x, y, width, height), colour in tile.boxes:
        corners = [(x - left), (y - top), (x - left + width), (y - top + height)]
        draw.rectangle([round(value * PICTURE / side) for value in corners], outline=colour, width=2)
    return crop


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # the font inside Pillow: the same on every machine
