"""Critical objects that the refined detector finds and the baseline misses ("won"), and the reverse ("lost")."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from zerostart.evaluation.picture_sheet import BOX, OBJECT, Tile, draw_sheet, how_many
from zerostart.metrics.boxes import iou_matrix
from zerostart.metrics.coco import scores
from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.operating_point import IOU, Detection, OperatingPoint


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
    """Draw the first changes, each as an enlarged crop with the object, the box and a caption.

    open_image gives the image of an id. Without any change the picture says so.
    """
    tiles = [Tile(lambda i=c.image_id: open_image(i), ((c.object_box, OBJECT), (c.found_box, BOX)), _caption(c)) for c in found]
    return draw_sheet(tiles, f"{title}: {how_many(len(found), 'yellow: object, blue: box that finds it')}")


def _caption(change: Change) -> str:
    lines = [f"{change.actual} in image {change.image_id}"]
    for name, (label, score) in (("baseline", change.baseline), ("refined", change.refined)):
        lines.append(f"{name}: {label} {score:.2f}" if score else f"{name}: nothing there")
    return "\n".join(lines)
