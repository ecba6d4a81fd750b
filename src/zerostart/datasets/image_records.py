"""What every annotation format is read into: images with objects, and the place that each stands at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectRecord:
    """One annotated object."""

    class_name: str
    """As in the source."""
    box: tuple[float, float, float, float]
    """x, y (upper left corner), width, height: pixels, or fractions of the image when its record has no size."""
    source: str
    """File and record, for messages."""
    crowd: bool = False
    """A region of many objects (COCO's `iscrowd`): what is found there counts neither for nor against a detector."""
    rounding: float = 0.0
    """By how much the printed numbers may miss an edge of the box, in the box's unit."""


@dataclass(frozen=True)
class ImageRecord:
    """One annotated image."""

    file_name: str
    """Path relative to the dataset's folder."""
    size: tuple[float, float] | None
    """Annotated width and height in pixels; None in YOLO, which has none."""
    objects: tuple[ObjectRecord, ...]
    source: str
    """File and record, for messages."""
