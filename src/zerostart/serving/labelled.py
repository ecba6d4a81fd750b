"""Verdicts as a data set: COCO files, pictures and a card that the stage `dataset` reads."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import EVALUATED, SPLITS, build_splits
from zerostart.datasets.pictures import FORMATS, PictureError, read_picture
from zerostart.errors import InputError
from zerostart.metrics.boxes import iou_matrix
from zerostart.outputs import write_json
from zerostart.serving.store import Store

SHARES = {"train": 0.7, "val": 0.85, "test": 1.0}
"""Up to which part of the range of hashes a split reaches: 70, 15 and 15 % of the pictures."""
SAME = 0.7
"""Accepted boxes of one class and of two engines that overlap by more are one object."""
ENGINES = {"baseline", "refined"}
SUFFIX = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif", "WEBP": ".webp"}


@dataclass
class Labelled:
    """A data set under construction."""

    card: Card
    """Whose classes it has."""
    images: dict[str, list[dict]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    """COCO images of each split, with `source` (the file to copy) and `objects` (COCO annotations without ids)."""
    twice: int = 0
    """Objects that were kept of both engines."""
    undecided: int = 0
    """Detections at or above their threshold on which nothing was said: no objects."""

    def counts(self, split: str) -> tuple[int, int]:
        return len(self.images[split]), sum(len(image["objects"]) for image in self.images[split])


def split_of(picture_id: str) -> str:
    """A picture's split by its hash alone: it stays, whatever is judged later."""
    share = int(picture_id[:8], 16) / 16**8
    return next(split for split, limit in SHARES.items() if share < limit)


def collect(store: Store, card: Card, base: Path | None = None) -> Labelled:
    """The newest verdict on every picture; base: the folder of the card's data set, whose pictures come first.

    A picture of the base that was judged has the verdict's boxes and stays in its split. Raises InputError where nothing was
    judged, or a class is not the card's.
    """
    verdicts = store.newest_verdicts()
    if not verdicts:
        raise InputError(f"{store.folder}: no verdict was given; at least one on the page is expected")
    labelled, known = Labelled(card), {}
    if base is not None:
        known = _add_base(labelled, base)
    for picture_id, number, verdict in verdicts:
        answer = store.inspection_number(number)
        record = {"verdict_of": picture_id, "source": store.picture(picture_id), "objects": []}
        record |= {"width": answer["picture"]["width"], "height": answer["picture"]["height"]}
        notes = {"caption": verdict.get("sentence"), "part": verdict.get("part") or answer.get("part")}
        record |= {key: value for key, value in notes.items() if value}
        labelled.undecided += _undecided(answer, verdict)
        for one in _objects(answer, verdict):
            if one["class"] not in card.classes:
                raise InputError(
                    f"{store.folder}, picture {picture_id[:12]}: class '{one['class']}' is not in the card '{card.name}'"
                    f" ({', '.join(card.classes)}); `--like` names another card"
                )
            if _is_there(one, record["objects"]):
                labelled.twice += 1
            else:
                record["objects"].append(one)
        if picture_id in known:
            known[picture_id].update(record)
        else:
            labelled.images[split_of(picture_id)].append(record)
    return labelled


def _objects(answer: dict[str, Any], verdict: dict[str, Any]) -> list[dict]:
    """What an inspector says is there; the surest first: corrected, added, accepted of the refined engine, of the baseline."""
    detections = {one["id"]: one for found in answer["detections"].values() for one in found}
    by = {"inspector": verdict["inspector"]} if verdict.get("inspector") else {}
    found = []
    for decision in verdict["decisions"]:
        one = detections[decision["detection"]]
        if decision["decision"] == "reject":
            continue
        about = {"decision": decision["decision"], "detection": one["id"], "score": one["score"], **by}
        rank = 0 if decision["decision"] == "correct" else 2 if one["id"].startswith("refined") else 3
        kept = {"class": decision.get("class", one["class"]), "box": decision.get("box", one["box"]), "attributes": about}
        found.append((rank, kept))
    for added in verdict["added"]:
        caption = {"caption": added["sentence"]} if added.get("sentence") else {}
        found.append((1, {"class": added["class"], "box": added["box"], "attributes": {"decision": "add", **by}, **caption}))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _undecided(answer: dict[str, Any], verdict: dict[str, Any]) -> int:
    """Of the refined engine, or of the baseline where only that was asked for."""
    engine = "refined" if "refined" in answer["detections"] else "baseline"
    decided = {decision["detection"] for decision in verdict["decisions"]}
    found, limit = answer["detections"].get(engine, []), answer["thresholds"].get(engine, 1.0)
    return sum(one["score"] >= limit and one["id"] not in decided for one in found)


def _is_there(one: dict, before: list[dict]) -> bool:
    """Whether the other engine found it too. Two boxes of one engine, or an added one, were meant as two objects."""
    engine = _engine(one)
    same = [other["box"] for other in before if other["class"] == one["class"] and {engine, _engine(other)} == ENGINES]
    return bool(same) and bool(iou_matrix(_xywh([one["box"]]), _xywh(same)).max() > SAME)


def _engine(one: dict) -> str:
    """Of an object of a verdict; empty for an added one."""
    return one["attributes"].get("detection", "").partition(":")[0]


def _xywh(boxes: list[Any]) -> np.ndarray:
    corners = np.asarray(boxes, np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _add_base(labelled: Labelled, base: Path) -> dict[str, dict]:
    """The pictures of a data set as they are; returns them by the SHA-256 of their files."""
    known = {}
    for split, coco in build_splits(labelled.card, base).items():
        objects: dict[int, list[dict]] = {image["id"]: [] for image in coco["images"]}
        for item in coco["annotations"]:
            x, y, width, height = item["bbox"]
            kept = {"class": labelled.card.classes[item["category_id"]], "box": [x, y, x + width, y + height]}
            objects[item["image_id"]].append(kept | {"iscrowd": item["iscrowd"]})
        for image in coco["images"]:
            source = base / image["file_name"]
            record = {"source": source, "width": image["width"], "height": image["height"], "objects": objects[image["id"]]}
            labelled.images[split].append(record)
            with source.open("rb") as file:
                known[hashlib.file_digest(file, "sha256").hexdigest()] = record
    return known


def check(labelled: Labelled) -> None:
    """Raise InputError, naming all that is missing, where the stage `dataset` would refuse so few pictures."""
    seen = {split: {one["class"] for image in images for one in image["objects"]} for split, images in labelled.images.items()}
    lacking = [f"{split} has no picture" for split in SPLITS if not labelled.images[split]]
    for split in EVALUATED:
        if labelled.images[split] and seen[split].isdisjoint(labelled.card.critical):
            lacking.append(f"{split} has no object of a critical class")
    everywhere = set().union(*seen.values())
    lacking += [f"no object of class '{name}'" for name in labelled.card.classes if name not in everywhere]
    if lacking:
        counts = ", ".join(f"{split} {len(images)}" for split, images in labelled.images.items())
        raise InputError(
            f"too few verdicts for a data set of their own ({counts} pictures): {'; '.join(lacking)}; judge more pictures, or"
            " add them to the data set with `--with-base`"
        )


def write(labelled: Labelled, folder: Path) -> None:
    """Pictures and one COCO file per split, into an empty folder."""
    (folder / "images").mkdir()
    names = labelled.card.classes
    for split, images in labelled.images.items():
        coco: dict[str, Any] = {"images": [], "annotations": []}
        coco["categories"] = [{"id": index, "name": name} for index, name in enumerate(names)]
        for number, record in enumerate(images, 1):
            name = _copy(record, folder / "images", f"{split}_{number:06d}")
            notes = {key: record[key] for key in ("caption", "part", "verdict_of") if key in record}
            size = {"width": record["width"], "height": record["height"]}
            coco["images"].append({"id": number, "file_name": f"images/{name}", **size, **notes})
            coco["annotations"] += list(_annotations(record, number, len(coco["annotations"]), names))
        write_json(folder / f"{split}.json", coco)


def _annotations(record: dict, image_id: int, before: int, names: tuple[str, ...]) -> Iterator[dict]:
    for index, one in enumerate(record["objects"], before + 1):
        left, top, right, bottom = one["box"]
        notes = {key: one[key] for key in ("attributes", "caption") if key in one}
        box = {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}
        yield {
            "id": index,
            "image_id": image_id,
            "category_id": names.index(one["class"]),
            "iscrowd": one.get("iscrowd", 0),
            **box,
            **notes,
        }


def _copy(record: dict, folder: Path, stem: str) -> str:
    """The file itself, or, of more than 8 bits per channel, which a data set may not have, the pixels that were looked at."""
    source = record["source"]
    try:
        picture = read_picture(source)
        with Image.open(source, formats=FORMATS) as image:
            suffix = SUFFIX[image.format]
    except PictureError as reason:
        raise InputError(f"{source}: {reason}") from None
    if picture.deep:
        picture.rgb.save(folder / f"{stem}.png")
        return f"{stem}.png"
    shutil.copyfile(source, folder / f"{stem}{suffix}")
    return f"{stem}{suffix}"
