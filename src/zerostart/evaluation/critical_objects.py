"""The critical objects of a test set and who finds them, as a small table: two experiments are compared by their tables."""

from collections.abc import Mapping
from typing import NamedTuple

from zerostart.metrics.frozen_boxes import FrozenBoxEvaluator
from zerostart.metrics.operating_point import OperatingPoint


class CriticalObject(NamedTuple):
    """A row of plots/critical_objects.csv; all text, as it stands there."""

    image: str
    """File name below data/raw/<dataset>."""
    class_name: str
    x: str
    y: str
    width: str
    height: str
    baseline: str
    """Score with which the detector finds it, right class and at its own threshold; empty when it does not."""
    refined: str


HEADER = ("image", "class", *CriticalObject._fields[2:])


def critical_objects(
    evaluator: FrozenBoxEvaluator, points: Mapping[str, OperatingPoint], critical: list[str], files: Mapping[int, str]
) -> list[CriticalObject]:
    """All objects of the critical classes by image id and annotation id; files: file name by image id."""
    found = {name: point.found() for name, point in points.items()}
    rows = []
    for image_id, objects in zip(evaluator.image_ids.tolist(), evaluator.objects, strict=True):
        for annotation in sorted(objects, key=lambda a: a["id"]):
            name = evaluator.classes[annotation["category_id"]]
            if name in critical:
                scores = {d: f"{f[annotation['id']][1].score:.4f}" if annotation["id"] in f else "" for d, f in found.items()}
                rows.append(CriticalObject(files[image_id], name, *(f"{v:.2f}" for v in annotation["bbox"]), **scores))
    return rows
