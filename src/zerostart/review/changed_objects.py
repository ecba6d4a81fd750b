"""Critical objects that one revision's refined detector finds and another's misses, from their tables alone."""

import csv
import io
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.errors import InputError, printable
from zerostart.evaluation.critical_objects import HEADER, CriticalObject
from zerostart.evaluation.picture_sheet import OBJECT, Tile, draw_sheet, how_many
from zerostart.review.revisions import Revision

OBJECTS_FILE = "plots/critical_objects.csv"


class Change(NamedTuple):
    """An object that one of two revisions finds; its row in both tables."""

    base: CriticalObject
    other: CriticalObject

    @property
    def where(self) -> str:
        """Class, image and box in words."""
        return f"{self.base.class_name} in {self.base.image} at {self.base.x}, {self.base.y}"


class Changes(NamedTuple):
    """Won and lost objects, those that were found with the highest score first."""

    won: list[Change]
    lost: list[Change]


def read_objects(revision: Revision) -> list[CriticalObject] | None:
    """A revision's table, or None where it has none; raises InputError when it is another table."""
    text = revision.read(OBJECTS_FILE)
    if text is None:
        return None
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or tuple(rows[0]) != HEADER or any(len(row) != len(HEADER) for row in rows):
        raise InputError(f"{OBJECTS_FILE} of {revision.name}: the columns {', '.join(HEADER)} are expected in every row")
    objects = [CriticalObject(*row) for row in rows[1:]]
    for number, one in enumerate(objects, 2):
        inside = one.image and not PurePosixPath(one.image).is_absolute() and ".." not in PurePosixPath(one.image).parts
        numbers = (*one[2:6], *filter(None, one[6:]))
        if not inside or not all(re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", value) for value in numbers):
            raise InputError(f"{OBJECTS_FILE} of {revision.name}, line {number}: an image's path and numbers are expected")
    return objects


def find_changes(base: list[CriticalObject], other: list[CriticalObject]) -> Changes:
    """Compare row by row; raises InputError when the tables are of different objects."""
    if [one[:6] for one in base] != [one[:6] for one in other]:
        raise InputError(f"{OBJECTS_FILE}: two revisions with the same test images list other objects in it")
    pairs = [Change(*pair) for pair in zip(base, other, strict=True)]
    won = [pair for pair in pairs if pair.other.refined and not pair.base.refined]
    lost = [pair for pair in pairs if pair.base.refined and not pair.other.refined]
    return Changes(sorted(won, key=lambda c: -float(c.other.refined)), sorted(lost, key=lambda c: -float(c.base.refined)))


def by_class(changes: list[Change]) -> str:
    """How many of which class: "3 (2 fracture, 1 scratch)"."""
    counts = Counter(change.base.class_name for change in changes)
    return f"{len(changes)} ({', '.join(f'{n} {name}' for name, n in sorted(counts.items()))})" if changes else "none"


def draw(changes: list[Change], title: str, names: tuple[str, str], raw: Path) -> Image.Image | None:
    """Draw the changes from the images below `raw`, or None if one of them is not there; names: base and other."""
    if not all((raw / change.base.image).is_file() for change in changes):
        return None
    tiles = [_tile(change, names, raw) for change in changes]
    return draw_sheet(tiles, f"{title}: {how_many(len(changes), 'yellow: object')}")


def _tile(change: Change, names: tuple[str, str], raw: Path) -> Tile:
    box = tuple(float(value) for value in change.base[2:6])
    lines = [printable(f"{change.base.class_name} in {Path(change.base.image).name}".replace("\n", " "), 60)]
    for name, row in zip(names, change, strict=True):
        shown = name if len(name) <= 18 else f"{name[:17]}…"
        lines.append(f"{shown}: found, {float(row.refined):.2f}" if row.refined else f"{shown}: missed")
    return Tile(lambda: open_rgb(raw / change.base.image), ((box, OBJECT),), "\n".join(lines))
