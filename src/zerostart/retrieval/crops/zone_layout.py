"""Read photos named `zona1_{ko|ok}_2_3_<timestamp>_zona_<1-10>_imageDANO_original.jpg` with LabelMe files beside them.

The polygons of a damaged (`ko`) photo are in `…_labelDANO_modificado.json`; a clean (`ok`) one has `…_imageDANO_original.json`.
"""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from zerostart.config import explain_problems
from zerostart.errors import InputError
from zerostart.retrieval.crops.photos import Damage, Photo, box_of
from zerostart.retrieval.vocabulary import IGNORED_LABEL, LABELS, UNKNOWN, ZONES

CONVENTION = "zona1_{ko|ok}_2_3_<timestamp>_zona_<1-10>_imageDANO_original.jpg"
_NAME = re.compile(r"(?P<stem>zona1_(?P<state>ko|ok)_2_3_\d+_zona_(?P<zone>\d+))_imageDANO_original\.jpg")


class _Shape(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)

    label: str
    points: list[tuple[float, float]]


class _LabelMe(BaseModel):
    """The fields of a LabelMe file that matter here; others are ignored."""

    shapes: list[_Shape]


def read_zone_photos(folder: Path) -> list[Photo]:
    """All photos of a folder, by name.

    Raises InputError naming the file for a name off the convention, a zone outside 1–10, a missing or malformed JSON
    file, a label outside 1–9, a polygon with fewer than three points, an `ok` photo with damage and a `ko` photo without.
    """
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return [_read_photo(path) for path in pictures]


def _read_photo(path: Path) -> Photo:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise InputError(f"{path}: the file name is off the convention; {CONVENTION} is expected")
    zone = int(name["zone"])
    if zone not in ZONES:
        raise InputError(f"{path}: zone {zone} found; 1 to {max(ZONES)} are expected")
    kind = "labelDANO_modificado" if name["state"] == "ko" else "imageDANO_original"
    annotation = path.with_name(f"{name['stem']}_{kind}.json")
    damages, ignored = [], []
    for index, shape in enumerate(_read_labelme(annotation, path).shapes, 1):
        where = f"{annotation}, shape {index}"
        if shape.label not in {str(label) for label in (*LABELS, IGNORED_LABEL)}:
            raise InputError(f"{where}: label '{shape.label}' found; 1 to {IGNORED_LABEL} are expected")
        box = box_of(shape.points, where)
        if int(shape.label) == IGNORED_LABEL:
            ignored.append(box)
        else:
            damages.append(Damage(LABELS[int(shape.label)], UNKNOWN, box))
    if name["state"] == "ko" and not damages and not ignored:
        raise InputError(f"{annotation}: no polygon found; a 'ko' photo is expected to have at least one")
    if damages and name["state"] == "ok":
        raise InputError(f"{annotation}: {len(damages)} damage polygon(s) found; none is expected beside an 'ok' photo")
    return Photo(path.name, str(annotation), ZONES[zone], tuple(damages), tuple(ignored))


def _read_labelme(path: Path, picture: Path) -> _LabelMe:
    try:
        return _LabelMe.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the LabelMe annotations of {picture.name} are expected there") from None
    except ValidationError as error:
        raise InputError(f"{path}: not a LabelMe file: {explain_problems(error, kind='key')}") from None
