"""Cut the crops of a photo and describe each: where it is from, which zone and part, which damage."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from zerostart.retrieval.crops.boxes import Pixels, clean_tiles, cluster_boxes, damage_crop, grow, share_inside
from zerostart.retrieval.crops.photos import Box, Damage, Photo
from zerostart.retrieval.params import CropParams
from zerostart.retrieval.vocabulary import DAMAGE_TYPES, SEVERITIES, UNKNOWN, area_of

INSIDE = 0.5
"""Share of a damage's box that must lie in a crop for the crop to show it."""
LEVELS = ("top", "centre", "bottom")

SCHEMA = pa.schema(
    [
        ("crop_id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("left", pa.int32()),
        ("top", pa.int32()),
        ("right", pa.int32()),
        ("bottom", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("crop_type", pa.string()),
        ("vehicle_zone", pa.string()),
        ("area", pa.string()),
        ("level", pa.string()),
        ("has_damage", pa.bool_()),
        ("damage_types", pa.list_(pa.string())),
        ("damage_counts", pa.list_(pa.int32())),
        ("severity", pa.string()),
        ("spread", pa.float32()),
    ]
)
"""One row per crop. left … bottom: pixels of the source; width, height: of the crop's file; crop_type: `damage`,
`clean_region` (of a damaged photo) or `clean`; level: `top`, `centre` or `bottom` of the zone; severity: the worst;
spread: the largest distance between two damages as a share of the crop's diagonal, 0 for one or none."""


@dataclass(frozen=True)
class Crop:
    """A rectangle of a photo and the row of the table that describes it."""

    box: Pixels
    row: dict[str, Any]


def crops_of(photo: Photo, number: int, size: tuple[int, int], vehicle: Box, params: CropParams) -> list[Crop]:
    """The crops of a photo of `size` (width, height): clusters of damage, then clean tiles of the vehicle.

    `number` is the photo's, for the crop ids. A photo with ignored regions and no known damage gives clean tiles
    outside them.
    """
    boxes = [damage.box for damage in photo.damages]
    found = []
    if boxes:
        for cluster in cluster_boxes(boxes, params.cluster_distance * float(np.hypot(*size))):
            cut = damage_crop([boxes[index] for index in cluster], size, params.damage_margin, params.min_side)
            shown = [d for i, d in enumerate(photo.damages) if i in cluster or share_inside(d.box, cut) >= INSIDE]
            found.append(("damage", cut, shown))
    region = grow(vehicle, params.vehicle_margin, size)
    tiles = clean_tiles(region, vehicle, [*boxes, *photo.ignored], params.size, params.overlap, params.vehicle_share)
    kind = "clean_region" if boxes or photo.ignored else "clean"
    found += [(kind, tile, []) for tile in _spread_out(list(tiles), params.max_clean)]
    return [
        Crop(cut, _row(photo, f"{number:05d}-{index}", kind, cut, shown, size, params.size))
        for index, (kind, cut, shown) in enumerate(found)
    ]


def cut_out(image: Image.Image, box: Pixels, longest: int) -> Image.Image:
    """The crop's pixels; its longer side is brought down to `longest` (Lanczos) when it is larger, never enlarged."""
    crop = image.crop(box)
    return crop.resize(fitted(crop.size, longest), Image.Resampling.LANCZOS) if max(crop.size) > longest else crop


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height in the same proportion, the longer one at most `longest`."""
    scale = min(longest / max(size), 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _spread_out(tiles: list[Pixels], limit: int) -> list[Pixels]:
    """At most `limit` tiles, evenly over the list."""
    if len(tiles) <= limit:
        return tiles
    return [tiles[index] for index in np.linspace(0, len(tiles) - 1, limit).round().astype(int)]


def _row(
    photo: Photo, crop_id: str, kind: str, cut: Pixels, damages: list[Damage], size: tuple[int, int], longest: int
) -> dict[str, Any]:
    counts = Counter(damage.type for damage in damages)
    types = [name for name in DAMAGE_TYPES if name in counts]
    width, height = fitted((cut[2] - cut[0], cut[3] - cut[1]), longest)
    return {
        "crop_id": crop_id,
        "source": photo.source,
        "split": photo.split,
        **dict(zip(("left", "top", "right", "bottom"), cut, strict=True)),
        "width": width,
        "height": height,
        "crop_type": kind,
        "vehicle_zone": photo.zone,
        "area": area_of(photo.zone),
        "level": _level([damage.box for damage in damages] or [cut], size[1]),
        "has_damage": bool(damages),
        "damage_types": types,
        "damage_counts": [counts[name] for name in types],
        "severity": max((damage.severity for damage in damages), key=(UNKNOWN, *SEVERITIES).index, default=UNKNOWN),
        "spread": _spread([damage.box for damage in damages], cut),
    }


def _level(boxes: list[Box] | list[Pixels], height: int) -> str:
    """In which third of the photo the middle of the boxes lies."""
    middle = np.mean([(box[1] + box[3]) / 2 for box in boxes])
    return LEVELS[min(int(3 * middle / height), 2)]


def _spread(boxes: list[Box], cut: Pixels) -> float:
    if len(boxes) < 2:
        return 0.0
    centres = np.array([((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in boxes])
    largest = np.linalg.norm(centres[:, None] - centres, axis=2).max()
    return float(largest / np.hypot(cut[2] - cut[0], cut[3] - cut[1]))
