"""Detections drawn on the image, with the reason for each in words and numbers."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zerostart.inference.detections import Detections, DetectorName
from zerostart.inference.refined_detector import Settings

SIDE = 640
"""Longer side of a drawn image in pixels."""
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
COLOURS = (
    (230, 25, 75),
    (0, 130, 200),
    (60, 180, 75),
    (245, 130, 48),
    (145, 30, 180),
    (0, 128, 128),
    (170, 110, 40),
    (128, 128, 0),
)
"""One per class, in turn."""
SHOWN = 8
"""So many detections of an image are explained below it; all are drawn."""
RIVALS = 2
"""Other classes in an explanation."""
FONT, SMALL = 15, 13


def draw(image: Image.Image, found: dict[DetectorName, Detections], settings: Settings) -> Image.Image:
    """One panel per detector, side by side: the image (RGB) with its boxes, enlarged or reduced, and below it the reasons.

    The boxes of `found` are in pixels of the image.
    """
    panels = [_panel(image, which, detections, settings) for which, detections in found.items()]
    sheet = Image.new("RGB", (sum(panel.width for panel in panels), max(panel.height for panel in panels)), PAPER)
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width
    return sheet


def _panel(image: Image.Image, which: DetectorName, found: Detections, settings: Settings) -> Image.Image:
    scale = SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    lines = _lines(which, found, settings)
    panel = Image.new("RGB", (SIDE + 16, height + 12 + sum(_height(size) for _, _, size in lines)), PAPER)
    panel.paste(image.resize((width, height), Image.Resampling.BICUBIC), (4, 4))
    canvas = ImageDraw.Draw(panel)
    for number, (box, label) in reversed(list(enumerate(zip(found.boxes * scale + 4, found.labels, strict=True), 1))):
        colour = COLOURS[label % len(COLOURS)]
        canvas.rectangle(box.tolist(), outline=colour, width=3)
        _tag(canvas, (box[0], box[1]), str(number), colour)
    top = height + 8
    for text, colour, size in lines:
        canvas.text((8, top), text, fill=colour, font=_font(size))
        top += _height(size)
    return panel


def _tag(canvas: ImageDraw.ImageDraw, corner: Sequence[float], text: str, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = canvas.textbbox((corner[0] + 5, corner[1] + 3), text, font=_font(FONT))
    canvas.rectangle((left - 5, top - 4, right + 5, bottom + 4), fill=colour)
    canvas.text((corner[0] + 5, corner[1] + 3), text, fill=PAPER, font=_font(FONT))


def _lines(which: DetectorName, found: Detections, settings: Settings) -> list[tuple[str, tuple[int, int, int], int]]:
    threshold = getattr(settings.threshold, which)
    count = len(found.scores)
    title = f"{which}: {count or 'no'} detection{'' if count == 1 else 's'}"
    lines = [
        (f"{title}{f', the best {SHOWN} explained' if count > SHOWN else ''} (usual threshold {threshold:.2f})", INK, FONT)
    ]
    for index in range(min(count, SHOWN)):
        label = found.labels[index]
        name = settings.classes[label]
        lines.append((f"{index + 1}  {name} {found.scores[index]:.2f}", COLOURS[label % len(COLOURS)], FONT))
        for rank, k in enumerate(ranking(found, index)[: 1 + RIVALS]):
            lines.append((f"    {'' if rank == 0 else 'against '}{_sum(found, index, k, settings.classes[k])}", FAINT, SMALL))
        if which == "refined":
            sentence = "; ".join(settings.prompts[name])
            lines += [(f"    {part}", INK, SMALL) for part in textwrap.wrap(f'"{sentence}"', 86)]
    return lines


def ranking(found: Detections, index: int) -> list[int]:
    """Classes of a detection by descending refined logit of its query, the detected class first."""
    refined = found.base[index] + found.delta[index] + found.text[index]
    order = np.argsort(-refined, kind="stable").tolist()
    label = int(found.labels[index])
    return [label, *(k for k in order if k != label)]


def _sum(found: Detections, index: int, k: int, name: str) -> str:
    base, delta, text = (float(part[index, k]) for part in (found.base, found.delta, found.text))
    if not np.any(found.delta[index]) and not np.any(found.text[index]):
        return f"{name}: logit {base:+.2f}"
    return f"{name}: detector {base:+.2f}, head {delta:+.2f}, text {text:+.2f} = {base + delta + text:+.2f}"


def _height(size: int) -> int:
    return size + 6


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # the font inside Pillow: the same on every machine
