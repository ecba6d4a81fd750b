"""Pictures with painted marks: the school, and the kinds that a sentence has to name; on drawn metal or on given images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.drawing.marks import DRAW, Mark, paint
from zerostart.drawing.metal import clean_surface, photograph
from zerostart.drawing.placing import Box, find_room, overlaps
from zerostart.drawing.synthetic import CLASSES, JPEG_QUALITY
from zerostart.novel.facts import Facts, completed, differences, draw_facts
from zerostart.novel.kinds import Kind
from zerostart.novel.marks import draw_mark
from zerostart.outputs import write_jpeg, write_json


class Painted(NamedTuple):
    """One object of a picture."""

    box: Box
    """x, y, w, h in pixels."""
    facts: dict[str, str]
    """Of a painted mark; empty for one of the known classes."""
    kind: str | None
    """Its kind, or the known class's name; None in the school."""


Draw = Callable[[np.random.Generator, np.ndarray], tuple[Mark, dict[str, str], str | None]]
"""Draws one mark: the mark, its facts, its kind."""


def school_mark(left_out: Sequence[Facts], tints: Sequence[str], scale: float) -> Draw:
    """Marks of freely combined facts that are no twin of what is left out."""

    def draw(rng: np.random.Generator, light: np.ndarray) -> tuple[Mark, dict[str, str], None]:
        facts = draw_facts(rng, tints)
        while any(differences(pattern, facts) == 0 for pattern in left_out):
            facts = draw_facts(rng, tints)
        return draw_mark(facts, rng, light, scale), facts, None

    return draw


def kind_mark(kinds: Sequence[Kind], known_share: float) -> Draw:
    """Marks of the kinds, and now and then one of the known classes."""

    def draw(rng: np.random.Generator, light: np.ndarray) -> tuple[Mark, dict[str, str], str]:
        if rng.random() < known_share:
            name = str(rng.choice(CLASSES))
            return DRAW[name](rng, light), {}, name
        kind = kinds[int(rng.integers(len(kinds)))]
        facts = completed(kind.facts, rng)
        return draw_mark(facts, rng, light), facts, kind.name

    return draw


def paint_marks(
    surface: np.ndarray, draw: Draw, count: int, rng: np.random.Generator, taken: Sequence[Box] = ()
) -> list[Painted]:
    """Paint up to `count` marks on a surface (H×W×3 float64, in place) where there is room beside the boxes `taken`."""
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(angle), np.sin(angle)])
    drawn = [draw(rng, light) for _ in range(count)]
    painted: list[Painted] = []
    room = surface.shape[1], surface.shape[0]
    # Large marks first: a small one still finds room beside them.
    for mark, facts, kind in sorted(drawn, key=lambda one: -one[0].box[2] * one[0].box[3]):
        others = [*taken, *(one.box for one in painted)]
        box = find_room(mark.box[2:], room, lambda box, others=others: not any(overlaps(box, one) for one in others), rng)
        if box is not None:
            paint(surface, mark, box[0] - mark.box[0], box[1] - mark.box[1])
            painted.append(Painted(box, facts, kind))
    return painted


def draw_picture(draw: Draw, counts: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, list[Painted]]:
    """A photograph of drawn metal with marks; counts: fewest and most that are tried."""
    surface = clean_surface(rng).astype(np.float64)
    painted = paint_marks(surface, draw, int(rng.integers(counts[0], counts[1] + 1)), rng)
    return photograph(surface, rng), painted


def paint_on_image(
    image: Path, known: Sequence[Box], draw: Draw, counts: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[Painted]]:
    """A given image with marks away from its known boxes."""
    surface = np.asarray(open_rgb(image), np.float64) / 255
    painted = paint_marks(surface, draw, int(rng.integers(counts[0], counts[1] + 1)), rng, known)
    return np.clip(surface * 255 + 0.5, 0, 255).astype(np.uint8), painted


def write_pictures(
    folder: Path,
    pictures: Sequence[Callable[[np.random.Generator], tuple[np.ndarray, list[Painted]]]],
    seed: int,
    kinds: list[str],
) -> int:
    """Write images/NNNNNN.jpg and annotations.json (COCO; a painted mark has its facts under `attributes`).

    Every picture has a generator of its own from the seed and its number. Categories are the `kinds`; a mark of the school has
    the category 0, `mark`, when there are none. Returns the number of objects.
    """
    (folder / "images").mkdir(parents=True)
    names = kinds or ["mark"]
    images, annotations = [], []
    for number, make in enumerate(pictures):
        pixels, painted = make(np.random.default_rng(np.random.SeedSequence((seed, number))))
        name = f"images/{number:06d}.jpg"
        write_jpeg(folder / name, Image.fromarray(pixels), JPEG_QUALITY)
        images.append({"id": number + 1, "file_name": name, "width": pixels.shape[1], "height": pixels.shape[0]})
        for one in painted:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": names.index(one.kind) if one.kind else 0,
                    "bbox": [float(value) for value in one.box],
                    "area": float(one.box[2] * one.box[3]),
                    "iscrowd": 0,
                    "attributes": one.facts,
                }
            )
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    write_json(folder / "annotations.json", {"images": images, "annotations": annotations, "categories": categories})
    return len(annotations)
