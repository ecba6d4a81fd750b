"""One photo and its damage, as every layout of a data set gives them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zerostart.datasets.duplicates import repeated
from zerostart.errors import InputError

RECORD, VAL, TEST = "record", "val", "test"
"""Photos on record train the adapter and are searched; the others are held out and ask: on val is chosen, on test judged."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Damage:
    """One annotated damage."""

    type: str
    """One of `vocabulary.DAMAGE_TYPES`."""
    severity: str
    """One of `vocabulary.SEVERITIES`, or `unknown`."""
    box: Box


@dataclass(frozen=True)
class Photo:
    """One photo of a data set."""

    source: str
    """Path relative to the data set's folder."""
    annotation: str
    """File and record that describe it, for messages."""
    zone: str
    """A zone's name, or `unknown`."""
    damages: tuple[Damage, ...]
    ignored: tuple[Box, ...] = ()
    """Regions that are neither a known damage nor clean."""
    split: str = RECORD
    size: tuple[float, float] | None = None
    """Width and height of the upright photo, where its annotation gives them."""
    car: str | None = None
    """Whose photo it is, where its name tells."""


def box_of(points: Sequence[tuple[float, float]], where: str) -> Box:
    """The box around a polygon; raises InputError naming `where` when it has fewer than three points or no area."""
    if len(points) < 3:
        raise InputError(f"{where}: a polygon of {len(points)} point(s) found; at least 3 are expected")
    if not np.isfinite(points).all():
        raise InputError(f"{where}: a point that is not finite found; numbers are expected")
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    if not (high > low).all():
        raise InputError(f"{where}: a polygon without area found; three points that span one are expected")
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def box_from(x: float, y: float, width: float, height: float, where: str) -> Box:
    """A box of another notation; raises InputError naming `where` unless it is finite and has an area."""
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise InputError(f"{where}: bbox {x:g}, {y:g}, {width:g}, {height:g} found; a width and a height above 0 are expected")
    return x, y, x + width, y + height


def check_no_damage_twice(damages: Sequence[Damage], where: str) -> None:
    """Raises InputError when the same damage with the very same box stands there twice."""
    for first, _ in repeated((damage, damage) for damage in damages):
        raise InputError(f"{where}: a {first.type} with the very same box stands there twice; each damage is expected once")


def together(photos: Sequence[Photo], digests: Mapping[str, str]) -> list[Photo]:
    """The photos with every copy (of equal pixels, by `source`) in the split of the first: none asks for itself."""
    first: dict[str, str] = {}
    return [replace(photo, split=first.setdefault(digests[photo.source], photo.split)) for photo in photos]


def hold_out(photos: Sequence[Photo], val_share: float, test_share: float, seed: int) -> list[Photo]:
    """The photos with random shares of the damaged and of the others held out, in the given order.

    Photos of one car, where their names tell, are all on one side; a car counts as damaged if one of its photos does.
    """
    rng = np.random.default_rng(seed)
    cars: dict[str, list[Photo]] = {}
    for photo in photos:
        cars.setdefault(photo.car or photo.source, []).append(photo)
    split = dict.fromkeys(cars, RECORD)
    for damaged in (True, False):
        group = [car for car, own in cars.items() if any(photo.damages for photo in own) == damaged]
        test, val = round(test_share * len(group)), round(val_share * len(group))
        drawn = [group[index] for index in rng.permutation(len(group))]
        split.update(dict.fromkeys(drawn[:test], TEST) | dict.fromkeys(drawn[test : test + val], VAL))
    return [replace(photo, split=split[photo.car or photo.source]) for photo in photos]
