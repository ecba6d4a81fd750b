"""What an inspector says of an inspection, and whether it can be said of it."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zerostart.serving.options import Label, Number, Text
from zerostart.serving.refusals import Refusal

MOST = 1000
"""Decisions, and added boxes, in one verdict."""
OVER = 0.5
"""Pixels by which a box may reach over the border; it is clipped."""
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Decision(_Said):
    """On one detection."""

    detection: Annotated[str, Field(pattern=r"^(baseline|refined):\d{1,4}$")]
    decision: Literal["accept", "reject", "correct"]
    class_name: Annotated[Label | None, Field(alias="class")] = None
    box: Box | None = None


class Added(_Said):
    """What no detection shows."""

    class_name: Annotated[Label, Field(alias="class")]
    box: Box
    sentence: Text | None = None


class Verdict(_Said):
    """Of one picture; detections that it does not name are left undecided and count as not there."""

    decisions: Annotated[list[Decision], Field(max_length=MOST)] = []
    added: Annotated[list[Added], Field(max_length=MOST)] = []
    sentence: Text | None = None
    inspector: Label | None = None
    part: Label | None = None
    number: Number | None = None
    """Of the inspection whose detections are named; default: the newest one of the picture."""


def checked(verdict: Verdict, answer: dict[str, Any]) -> dict[str, Any]:
    """The verdict as it is stored; raises Refusal for what does not fit the inspection that it is about."""
    detections = {one["id"]: one for found in answer["detections"].values() for one in found}
    size, classes = (answer["picture"]["width"], answer["picture"]["height"]), answer["classes"]
    seen: set[str] = set()
    for index, decision in enumerate(verdict.decisions):
        where = f"decisions[{index}]"
        if decision.detection not in detections:
            raise Refusal(422, f"{where}: the inspection has no detection '{decision.detection}'")
        if decision.detection in seen:
            raise Refusal(422, f"{where}: '{decision.detection}' was decided on before; one decision on each is expected")
        seen.add(decision.detection)
        changes = decision.class_name is not None or decision.box is not None
        if changes != (decision.decision == "correct"):
            raise Refusal(422, f"{where}: `correct` comes with a class, a box or both, the other decisions with neither")
        _check_class(decision.class_name, classes, where)
        decision.box = _clipped(decision.box, size, where)
    for index, added in enumerate(verdict.added):
        _check_class(added.class_name, classes, f"added[{index}]")
        added.box = _clipped(added.box, size, f"added[{index}]")
    return verdict.model_dump(by_alias=True, exclude_none=True, exclude={"number"})


def _check_class(name: str | None, classes: list[str], where: str) -> None:
    if name is not None and name not in classes:
        raise Refusal(422, f"{where}: the class '{name[:80]}' is unknown; {', '.join(classes)} are known")


def _clipped(box: Box | None, size: tuple[int, int], where: str) -> Box | None:
    if box is None:
        return None
    left, top, right, bottom = box
    inside = min(left, top) >= -OVER and right <= size[0] + OVER and bottom <= size[1] + OVER
    if not (inside and right - left >= 1 and bottom - top >= 1 and all(map(math.isfinite, box))):
        raise Refusal(
            422,
            f"{where}: the box is not one of at least a pixel a side inside the picture of {size[0]}x{size[1]} pixels;"
            " x1, y1, x2, y2 are expected",
        )
    return max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom, float(size[1]))
