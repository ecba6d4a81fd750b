"""Critical objects that the refined detector finds and the baseline misses ("won"), and the reverse ("lost")."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zerostart.coco_metrics import scores
from zerostart.frozen_box_metrics import FrozenBoxEvaluator, iou_matrix
from zerostart.operating_point import IOU, Detection, OperatingPoint

PICTURE, TILE, CAPTION, HEADER = 234, 240, 54, 34
"""Sides of a picture and of its cell, heights of its caption and of the title, in pixels."""
COLUMNS, LIMIT = 4, 12
CONTEXT = 1.6
"""Side of the crop as a multiple of the longer side of what it shows."""
OBJECT, BOX, PAPER, INK = (255, 214, 10), (0, 200, 255), (255, 255, 255), (20, 20, 20)


class Change(NamedTuple):
    """One object that one of two detectors finds with the right class and the other misses."""

    image_id: int
    actual: str
    object_box: tuple[float, ...]
    """xywh in pixels."""
    found_box: tuple[float, ...]
    """xywh in pixels, the box that found it."""
    baseline: tuple[str, float]
    """Best class of its most certain box on the object, and the score; 0 where it has none."""
    refined: tuple[str, float]


def changes(
    evaluator: FrozenBoxEvaluator, logits: dict[str, np.ndarray], points: dict[str, OperatingPoint], critical: list[str]
) -> tuple[list[Change], list[Change]]:
    """The critical objects won and lost, each list by descending change of the right class's score.

    logits (N×Q×K) and points have the keys `baseline` and `refined`.
    """
    found = {name: point.found() for name, point in points.items()}
    won = _only_in(evaluator, logits, critical, found["refined"], found["baseline"])
    lost = _only_in(evaluator, logits, critical, found["baseline"], found["refined"])
    return won, lost


def _only_in(
    evaluator: FrozenBoxEvaluator,
    logits: dict[str, np.ndarray],
    critical: list[str],
    found: dict[int, tuple[int, Detection]],
    missed: dict[int, tuple[int, Detection]],
) -> list[Change]:
    annotations = {a["id"]: a for objects in evaluator.objects for a in objects}
    ranked = []
    for annotation_id in sorted(set(found) - set(missed)):
        annotation, (image, detection) = annotations[annotation_id], found[annotation_id]
        if evaluator.classes[annotation["category_id"]] not in critical:
            continue
        row = evaluator.order[image]
        there = iou_matrix(evaluator.boxes[image], np.array([annotation["bbox"]], np.float64))[:, 0] >= IOU
        score = {name: _best_there(logits[name][row], there) for name in ("baseline", "refined")}
        gain = abs(score["refined"] - score["baseline"])[annotation["category_id"]]
        ranked.append((-gain, annotation_id, _change(evaluator, annotation, image, detection.query, score)))
    return [change for *_, change in sorted(ranked, key=lambda entry: entry[:2])]


def _best_there(logits: np.ndarray, there: np.ndarray) -> np.ndarray:
    """K scores of the most certain query (logits Q×K) among those that reach the object; 0 where none does."""
    score = np.where(there[:, None], scores(logits), 0.0)
    return score[score.max(axis=1).argmax()]


def _change(
    evaluator: FrozenBoxEvaluator, annotation: dict[str, Any], image: int, query: int, score: dict[str, np.ndarray]
) -> Change:
    best = {name: (evaluator.classes[values.argmax()], float(values.max())) for name, values in score.items()}
    return Change(
        image_id=int(evaluator.image_ids[image]),
        actual=evaluator.classes[annotation["category_id"]],
        object_box=tuple(annotation["bbox"]),
        found_box=tuple(evaluator.boxes[image, query].tolist()),
        **best,
    )


def draw_changes(found: list[Change], title: str, open_image: Callable[[int], Image.Image]) -> Image.Image:
    """Draw at most 12 changes, four in a row, each as an enlarged crop with the object, the box and a caption.

    open_image gives the image of an id. Without any change the picture says so.
    """
    shown = found[:LIMIT]
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, HEADER + (rows * (TILE + CAPTION) or CAPTION)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 8), f"{title}: {_how_many(len(shown), len(found))}", fill=INK, font=_font(16))
    if not shown:
        draw.text((8, HEADER + 12), "There is none to show.", fill=INK, font=_font(14))
    for index, change in enumerate(shown):
        left, top = index % COLUMNS * TILE, HEADER + index // COLUMNS * (TILE + CAPTION)
        sheet.paste(_crop(open_image(change.image_id), change), (left, top))
        draw.multiline_text((left + 4, top + TILE + 3), _caption(change), fill=INK, font=_font(12), spacing=2)
    return sheet


def _how_many(shown: int, total: int) -> str:
    if total == 0:
        return "none"
    kept = "" if shown == total else f", the {shown} largest changes"
    return f"{total}{kept} (yellow: object, blue: box that finds it)"


def _caption(change: Change) -> str:
    lines = [f"{change.actual} in image {change.image_id}"]
    for name, (label, score) in (("baseline", change.baseline), ("refined", change.refined)):
        lines.append(f"{name}: {label} {score:.2f}" if score else f"{name}: nothing there")
    return "\n".join(lines)


def _crop(image: Image.Image, change: Change) -> Image.Image:
    """A square around object and box, with some context, enlarged to PICTURE×PICTURE; outside the image it is black."""
    boxes = np.array([change.object_box, change.found_box])
    low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    side = max(16, round(float((high - low).max()) * CONTEXT))
    left, top = np.rint((low + high - side) / 2).astype(int).tolist()
    crop = image.convert("RGB").crop((left, top, left + side, top + side)).resize((PICTURE, PICTURE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(crop)
    for (x, y, width, height), colour in ((change.object_box, OBJECT), (change.found_box, BOX)):
        corners = [(x - left), (y - top), (x - left + width), (y - top + height)]
        draw.rectangle([round(value * PICTURE / side) for value in corners], outline=colour, width=2)
    return crop


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # the font inside Pillow: the same on every machine
