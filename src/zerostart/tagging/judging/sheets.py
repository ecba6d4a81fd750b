"""A contact sheet of tagged pictures: right tags in green, wrong ones in red, missed ones in brackets."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

CELL, CAPTION, COLUMNS = 220, 54, 4
PAPER, INK, RIGHT, WRONG, MISSED = (255, 255, 255), (20, 20, 20), (0, 130, 60), (200, 30, 30), (130, 130, 130)


def sheet(images: Sequence[Tensor], given: dict[str, np.ndarray], targets: np.ndarray, tags: tuple[str, ...]) -> Image.Image:
    """Pictures (3×H×W uint8) above the tags that each engine gave.

    given: engine -> N×K bool; targets: N×K of 0, 1.
    """
    rows = -(-len(images) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * CELL, rows * (CELL + CAPTION)), PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for index, image in enumerate(images):
        x, y = index % COLUMNS * CELL, index // COLUMNS * (CELL + CAPTION)
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture = picture.resize(_fitting(picture.size, CELL - 8), Image.Resampling.BICUBIC)
        page.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
        for line, (engine, found) in enumerate(given.items()):
            _caption(pen, font, (x + 4, y + CELL + 22 * line), f"{engine}:", found[index], targets[index] > 0, tags)
    return page


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _caption(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    place: tuple[int, int],
    title: str,
    given: np.ndarray,
    true: np.ndarray,
    tags: tuple[str, ...],
) -> None:
    x, y = place
    words = [(title, INK)]
    for k, tag in enumerate(tags):
        if given[k]:
            words.append((tag, RIGHT if true[k] else WRONG))
        elif true[k]:
            words.append((f"[{tag}]", MISSED))
    if len(words) == 1:
        words.append(("no tag", RIGHT))
    for word, colour in words:
        pen.text((x, y), word, fill=colour, font=font)
        x += pen.textlength(word, font=font) + 5
