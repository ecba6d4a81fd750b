"""Read photos named `zona1_{ko|ok}_2_3_<timestamp>_zona_<1-10>_imageDANO_original.jpg` with LabelMe files beside them.

The polygons of a damaged (`ko`) photo are in `…_labelDANO_modificado.json`; a clean (`ok`) one has `…_imageDANO_original.json`.
"""

import math
import re
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from zerostart.config import explain_problems
from zerostart.datasets.files import read_content
from zerostart.datasets.findings import Findings
from zerostart.datasets.pictures import is_picture
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import Box, Damage, Photo, box_from, box_of, check_no_damage_twice
from zerostart.retrieval.vocabulary import IGNORED_LABEL, LABELS, UNKNOWN, ZONES

CONVENTION = "zona1_{ko|ok}_2_3_<timestamp>_zona_<1-10>_imageDANO_original.jpg"
_NAME = re.compile(r"(?P<stem>zona1_(?P<state>ko|ok)_2_3_(?P<time>\d+)_zona_(?P<zone>\d+))_imageDANO_original\.jpg")


class _Shape(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)

    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"


class _LabelMe(BaseModel):
    """The fields of a LabelMe file that matter here; others are ignored."""

    shapes: list[_Shape]
    imageWidth: int | None = None
    imageHeight: int | None = None

    @property
    def size(self) -> tuple[float, float] | None:
        """Of the photo that the shapes were drawn on."""
        return None if self.imageWidth is None or self.imageHeight is None else (self.imageWidth, self.imageHeight)


def read_zone_photos(folder: Path, findings: Findings | None = None) -> list[Photo]:
    """All photos of a folder, by name.

    Raises InputError with everything that is wrong, by kind, or leaves it to `findings`: a name off the convention, a zone
    outside 1–10, a missing or malformed JSON file, a label outside 1–9, a polygon with fewer than three points, an `ok` photo
    with damage and a `ko` photo without.
    """
    found, photos = Findings(collect=True) if findings is None else findings, []
    for path in sorted(path for path in folder.iterdir() if is_picture(path)):
        with found.as_defect("name of a photo"):
            name = _named(path)
            kind = "labelDANO_modificado" if name["state"] == "ko" else "imageDANO_original"
            annotation = path.with_name(f"{name['stem']}_{kind}.json")
            with found.as_defect("LabelMe file"):
                labelme = _read_labelme(annotation, path)
                with found.as_defect("damage"):
                    photos.append(_photo(path, name, annotation, labelme, found))
    if findings is None:
        found.refuse(folder)
    return photos


def _named(path: Path) -> re.Match:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise InputError(f"{path}: the file name is off the convention; {CONVENTION} is expected")
    if int(name["zone"]) not in ZONES:
        raise InputError(f"{path}: zone {int(name['zone'])} found; 1 to {max(ZONES)} are expected")
    return name


def _photo(path: Path, name: re.Match, annotation: Path, labelme: _LabelMe, findings: Findings) -> Photo:
    damages, ignored = [], []
    for index, shape in enumerate(labelme.shapes, 1):
        where = f"{annotation}, shape {index}"
        if shape.label not in {str(label) for label in (*LABELS, IGNORED_LABEL)}:
            findings.defect("label", f"{where}: label '{shape.label}' found; 1 to {IGNORED_LABEL} are expected")
            continue
        with findings.as_defect("shape"):
            box = _box(shape, where)
            if int(shape.label) == IGNORED_LABEL:
                ignored.append(box)
            else:
                damages.append(Damage(LABELS[int(shape.label)], UNKNOWN, box))
    if name["state"] == "ko" and not labelme.shapes:
        raise InputError(f"{annotation}: no polygon found; a 'ko' photo is expected to have at least one")
    check_no_damage_twice(damages, str(annotation))
    if damages and name["state"] == "ok":
        raise InputError(f"{annotation}: {len(damages)} damage polygon(s) found; none is expected beside an 'ok' photo")
    zone, car = ZONES[int(name["zone"])], name["time"]
    return Photo(path.name, str(annotation), zone, tuple(damages), tuple(ignored), size=labelme.size, car=car)


def _box(shape: _Shape, where: str) -> Box:
    """Around a polygon, a rectangle (two opposite corners) or a circle (its centre and a point on it)."""
    if shape.shape_type == "polygon":
        return box_of(shape.points, where)
    if shape.shape_type not in ("rectangle", "circle"):
        raise InputError(f"{where}: a shape of type '{shape.shape_type}' found; a polygon, rectangle or circle is expected")
    expected = (2, 4) if shape.shape_type == "rectangle" else (2,)
    if len(shape.points) not in expected:
        raise InputError(f"{where}: a {shape.shape_type} of {len(shape.points)} point(s) found; 2 are expected")
    if shape.shape_type == "rectangle":
        (left, top), (right, bottom) = np.min(shape.points, axis=0).tolist(), np.max(shape.points, axis=0).tolist()
    else:
        (x, y), edge = shape.points
        radius = math.dist((x, y), edge)
        left, top, right, bottom = x - radius, y - radius, x + radius, y + radius
    return box_from(left, top, right - left, bottom - top, where)


def _read_labelme(path: Path, picture: Path) -> _LabelMe:
    if not path.exists():
        raise InputError(f"{path}: no such file; the LabelMe annotations of {picture.name} are expected there")
    content = read_content(path)
    try:
        return _LabelMe.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{path}: not a LabelMe file: {explain_problems(error, kind='key')}") from None
