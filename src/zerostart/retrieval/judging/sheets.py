"""Picture sheets: each query with its results beside it, their distances and contexts below."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

TILE, CAPTION, LINES = 210, 92, 6
PAPER, INK, QUERY = (255, 255, 255), (20, 20, 20), (20, 90, 200)
CHARACTERS = 34
"""Of the caption's font that fit into a tile."""


@dataclass(frozen=True)
class Tile:
    """One cell: a picture (or none, for a sentence) and a text."""

    picture: Image.Image | None
    caption: str


def draw_sheet(rows: Sequence[Sequence[Tile]], title: str) -> Image.Image:
    """A sheet with one row per query, the query first, marked with a blue frame."""
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (TILE + 8) + 8, 34 + len(rows) * (TILE + CAPTION)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 8), title, fill=INK, font=ImageFont.load_default(16))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            _draw_tile(sheet, draw, tile, (8 + x * (TILE + 8), 34 + y * (TILE + CAPTION)), query=x == 0)
    return sheet


def _draw_tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], query: bool) -> None:
    left, top = corner
    lines = wrap(tile.caption, CHARACTERS)
    if tile.picture is None:
        draw.multiline_text(
            (left + 10, top + 60), "\n".join(wrap(tile.caption, 24)), fill=QUERY, font=ImageFont.load_default(15)
        )
    else:
        shown = tile.picture.copy()
        shown.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(shown, (left + (TILE - shown.width) // 2, top + (TILE - shown.height) // 2))
        kept = lines if len(lines) <= LINES else [*lines[: LINES - 1], lines[LINES - 1][: CHARACTERS - 1] + "…"]
        draw.multiline_text((left, top + TILE + 2), "\n".join(kept), fill=INK, font=ImageFont.load_default(11), spacing=2)
    if query:
        draw.rectangle((left - 3, top - 3, left + TILE + 2, top + TILE), outline=QUERY, width=3)
