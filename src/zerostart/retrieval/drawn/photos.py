"""The drawn data set of the retrieval pipeline: photos of panels in the layout and file names of its users."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from zerostart.drawing.marks import paint
from zerostart.drawing.metal import photograph
from zerostart.drawing.placing import Box, find_room
from zerostart.interruptions import end_with_parent
from zerostart.outputs import write_jpeg
from zerostart.retrieval.drawn.damage import DRAW, outline
from zerostart.retrieval.drawn.panels import HEIGHT, WIDTH, Panel, clean_panel
from zerostart.retrieval.vocabulary import LABELS, ZONES

JPEG_QUALITY = 92
MARGIN = 6
"""Pixels between a damage and the border of the photo."""
ATTEMPTS = 300
"""To find room for a damage."""
ON_BODY = 0.97
"""Share of a damage's box that must be painted metal."""
FIRST_TIMESTAMP, TIME_STEP = 1_700_000_000_000, 61_000
"""Milliseconds in the file names."""
PATTERNS = {"isolated": 0.5, "clustered": 0.28, "distributed": 0.22}
"""How the damages of a photo lie, and how often."""

Shape = tuple[str, np.ndarray]


def generate_panels(folder: Path, seed: int, photos: int, workers: int) -> None:
    """Write `photos` photographs and their LabelMe files into an existing empty folder; every second one is damaged.

    The bytes depend on `seed` and `photos` only, not on the number of processes (`workers`).
    """
    work = partial(_write_photo, Path(folder), seed)
    if workers == 1:
        for index in range(photos):
            work(index)
        return
    # "spawn": a fork would copy the locks of threads that a caller's libraries may hold.
    with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
        list(pool.map(work, range(photos), chunksize=max(photos // (8 * workers), 1)))


def render_photo(zone: int, damaged: bool, rng: np.random.Generator) -> tuple[np.ndarray, list[Shape]]:
    """A photo (HEIGHT×WIDTH×3 uint8) and its damages: type and outline (n×2 pixels)."""
    panel = clean_panel(zone, rng)
    shapes = _damage(panel, rng) if damaged else []
    while damaged and not shapes:  # no room for the drawn size: draw another
        shapes = _damage(panel, rng)
    return photograph(np.clip(panel.reflectance, 0, 1), rng), shapes


def _damage(panel: Panel, rng: np.random.Generator) -> list[Shape]:
    """Paint one pattern of damages onto a panel, in place."""
    pattern = str(rng.choice(list(PATTERNS), p=list(PATTERNS.values())))
    names = rng.choice(list(DRAW), size=1 if pattern == "isolated" else int(rng.integers(2, 4)))
    if pattern == "clustered" or rng.random() < 0.6:
        names = np.repeat(names[:1], len(names)) if rng.random() < 0.5 else names
    marks = sorted(
        (DRAW[str(name)](rng, panel.light, panel.paint) for name in names), key=lambda mark: -mark.box[2] * mark.box[3]
    )
    taken: list[Box] = []
    shapes: list[Shape] = []
    for mark in marks:
        box = find_room(mark.box[2:], (WIDTH, HEIGHT), lambda box: _has_room(panel, box, taken, pattern), rng, MARGIN, ATTEMPTS)
        if box is not None:
            x, y = box[0] - mark.box[0], box[1] - mark.box[1]
            paint(panel.reflectance, mark, x, y)
            taken.append(box)
            hull = np.clip(outline(mark) + np.array([x, y]), 0, (WIDTH, HEIGHT))
            shapes.append((mark.name, hull))
    return shapes


def _has_room(panel: Panel, box: Box, taken: list[Box], pattern: str) -> bool:
    """Whether a place is on painted metal, near the first damage when clustered, far from all when distributed."""
    x, y, width, height = box
    gaps = [_gap(box, other) for other in taken]
    too_far = pattern == "clustered" and taken and gaps[0] > 30
    too_near = any(gap < (4 if pattern == "clustered" else 90) for gap in gaps)
    return not too_far and not too_near and bool(panel.body[y : y + height, x : x + width].mean() >= ON_BODY)


def _gap(one: Box, other: Box) -> float:
    """Pixels between two boxes; 0 when they touch or overlap."""
    dx = max(one[0] - other[0] - other[2], other[0] - one[0] - one[2], 0)
    dy = max(one[1] - other[1] - other[3], other[1] - one[1] - one[3], 0)
    return float(np.hypot(dx, dy))


def _write_photo(folder: Path, seed: int, index: int) -> None:
    # Ten zones in turn, first damaged, then clean: both halves hold all zones.
    zone, damaged = 1 + index % len(ZONES), index // len(ZONES) % 2 == 0
    rng = np.random.default_rng(np.random.SeedSequence((seed, index)))
    pixels, shapes = render_photo(zone, damaged, rng)
    stem = f"zona1_{'ko' if damaged else 'ok'}_2_3_{FIRST_TIMESTAMP + index * TIME_STEP}_zona_{zone}"
    picture = f"{stem}_imageDANO_original.jpg"
    write_jpeg(folder / picture, Image.fromarray(pixels), JPEG_QUALITY)
    _write_labelme(folder / f"{stem}_imageDANO_original.json", picture, [])
    if damaged:
        _write_labelme(folder / f"{stem}_labelDANO_modificado.json", picture, shapes)


def _write_labelme(path: Path, picture: str, shapes: list[Shape]) -> None:
    labels = {name: str(label) for label, name in LABELS.items()}
    polygons = [
        {
            "label": labels[name],
            "points": np.round(points.astype(float), 1).tolist(),
            "group_id": None,
            "shape_type": "polygon",
            "flags": {},
        }
        for name, points in shapes
    ]
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    content = {"version": "5.4.1", "flags": {}, "shapes": polygons, "imagePath": picture, "imageData": None} | size
    path.write_text(json.dumps(content, indent=1) + "\n")
