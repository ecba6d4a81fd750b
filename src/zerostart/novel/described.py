"""Words that people have written beside single objects of their own data set: they join the school.

- COCO: `attributes` of an annotation, as CVAT writes them, and its `caption`; beside it `descriptions.csv` in the data set's
  folder, with a header and `annotation_id,text` in each row.
- LabelMe: `flags` that are true and `description` of each shape, in a JSON file beside the image, whatever format the card has.

Attributes are facts (facts.py) and become captions; all other words are sentences as they stand.
"""

import csv
import difflib
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from zerostart.datasets.cards import Card
from zerostart.datasets.coco_file import read_coco_file
from zerostart.datasets.files import spelled
from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder
from zerostart.novel.captions import Words, captions
from zerostart.novel.facts import VALUES, Facts, check_facts
from zerostart.novel.material import School
from zerostart.novel.queries import Looks, match_objects
from zerostart.novel.sentences import STOP_WORDS, check_sentence, with_nearest
from zerostart.novel.texts import encode, unknown_words
from zerostart.records import WRONG_SHAPE, read_json, read_text, read_yaml

DESCRIPTIONS = "descriptions.csv"
NOT_SEEN = (
    "occluded",
    "truncated",
    "difficult",
    "pose",
    "rotation",
    "track_id",
    "keyframe",
    "outside",
    "source",
    "z_order",
    "id",
)
"""Attributes by which annotation tools keep their books: they do not say what an object looks like."""
MOST_CSV = 1 << 26
"""Bytes."""
MOST_NAMED = 12
"""Words or attributes that one remark names."""


class Described(NamedTuple):
    """An object and what was written beside it."""

    file_name: str
    """Of its image, in the data set's folder."""
    box: tuple[float, float, float, float]
    """x, y, width, height in pixels."""
    facts: Facts
    """Of its attributes; empty where there are none."""
    sentences: tuple[str, ...]
    where: str
    """File and record, for messages."""


class Found(NamedTuple):
    """All described objects of train, and what was passed over."""

    objects: list[Described]
    unused: Counter
    """Attributes that the vocabulary does not have, and those without a form: how many objects have them."""


def read_described(card: Card, folder: Path, images: Sequence[str], of_classes: Mapping[str, Facts]) -> Found:
    """What is written beside the objects of train. images: its file names; of_classes: of :func:`class_facts`.

    Raises InputError for a value or a near miss of an attribute that the vocabulary has (with the nearest words), for an empty
    sentence, and for a row of the CSV file that belongs to no annotation.
    """
    unused: Counter = Counter()
    objects = list(_of_coco(card, folder, of_classes, unused)) if card.format == "coco" else []
    table = folder / DESCRIPTIONS
    if card.format != "coco" and table.exists():
        raise InputError(f"{table}: {card.format} annotations have no ids that it could name; a COCO data set is expected")
    return Found([*objects, *_of_labelme(folder, images)], unused)


def _of_coco(card: Card, folder: Path, of_classes: Mapping[str, Facts], unused: Counter) -> Iterator[Described]:
    files = card.splits.train
    path = folder / files.annotations
    coco = read_coco_file(path)
    raw = read_json(path, "annotations are expected there")["annotations"]  # the fields that the reader leaves out
    names, images = coco.names(), {image.id: image.file_name for image in coco.images}
    told = _table(folder / DESCRIPTIONS, {one.id for one in coco.annotations if one.id is not None})
    for index, (one, record) in enumerate(zip(coco.annotations, raw, strict=True)):
        where = coco.where(path, index)
        facts = _facts(record.get("attributes"), of_classes.get(card.class_of(names[one.category_id]), {}), unused, where)
        sentences = [*_text(record.get("caption"), f"{where}: caption"), *(told.get(one.id, ()) if one.id is not None else ())]
        if facts or sentences:
            name = spelled(folder, (PurePosixPath(files.images) / images[one.image_id]).as_posix())
            yield Described(name, one.bbox, facts, tuple(sentences), where)


def _facts(attributes: Any, of_class: Facts, unused: Counter, where: str) -> dict[str, str]:
    """Checked facts from an annotation's attributes; its class fills in what they do not say. {} where they say nothing.

    An attribute that is null is open: it cannot be told, whatever the class has.
    """
    if attributes is None:
        return {}
    if not isinstance(attributes, dict):
        raise InputError(f"{where}: its attributes are no mapping of names to values, which is expected")
    said: dict[str, str] = {}
    opened = set()
    for name, value in attributes.items():
        key = str(name).strip().casefold()
        if key in NOT_SEEN or value == "":
            continue
        if key in VALUES and value is None:
            opened.add(key)
        elif key in VALUES:
            said[key] = _value(key, value, where)
        elif near := difflib.get_close_matches(key, VALUES, 3, 0.75):
            raise InputError(f"{where}: the vocabulary has no attribute '{name}' (near: {', '.join(near)})")
        else:
            unused[f"attribute '{name}'"] += 1
    if not said:
        return {}
    if "form" not in said and "form" not in of_class:
        unused["attributes without a form"] += 1
        return {}
    same_form = said.get("form", of_class.get("form")) == of_class.get("form")
    rest = {name: value for name, value in of_class.items() if same_form and name not in opened}
    return check_facts({**rest, **said}, where)


def _value(name: str, value: Any, where: str) -> str:
    key = str(value).strip().casefold()
    if key not in VALUES[name]:
        near = difflib.get_close_matches(key, VALUES[name], 1, 0.6)
        hint = f" (near: {near[0]})" if near else ""
        raise InputError(f"{where}: {name} is '{value}'{hint}; one of {', '.join(VALUES[name])} is expected")
    return key


def _text(value: Any, where: str) -> list[str]:
    """A sentence, or none where nothing is written; InputError for anything that is no text."""
    if value is None or value == "":
        return []
    if not isinstance(value, str):
        raise InputError(f"{where} is {value!r}; a sentence is expected")
    return [" ".join(value.split())] if value.strip() else []


def _table(path: Path, known: set[int]) -> dict[int, list[str]]:
    """descriptions.csv: annotation id to its sentences; {} without such a file."""
    if not path.exists():
        return {}
    rows = list(csv.reader(io.StringIO(read_text(path, "it was there a moment ago", MOST_CSV))))
    if not rows or [cell.strip() for cell in rows[0]] != ["annotation_id", "text"]:
        raise InputError(f"{path}: its first line is not annotation_id,text, which is expected")
    told: dict[int, list[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 2 or not row[0].strip().lstrip("-").isdigit() or not row[1].strip():
            raise InputError(f"{path}, line {number}: an annotation's id and a sentence are expected (with commas, in quotes)")
        if (index := int(row[0])) not in known:
            raise InputError(f"{path}, line {number}: train has no annotation {index}; one of its ids is expected")
        told.setdefault(index, []).extend(_text(row[1], f"{path}, line {number}"))
    return told


def _of_labelme(folder: Path, images: Sequence[str]) -> Iterator[Described]:
    """From the JSON file of LabelMe beside each image, where there is one (JSON of another kind is passed over)."""
    for name in images:
        path = (folder / name).with_suffix(".json")
        content = read_json(path, "it was there a moment ago") if path.is_file() else None
        if not isinstance(content, dict) or "shapes" not in content or "imagePath" not in content:
            continue
        for number, shape in enumerate(content["shapes"], 1):
            where = f"{path}, shape {number}"
            try:
                flags = [str(flag) for flag, given in (shape.get("flags") or {}).items() if given is True]
                points = np.array(shape["points"], np.float64).reshape(-1, 2)
                (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
                description = shape.get("description")
            except WRONG_SHAPE:
                raise InputError(f"{where}: not a shape of LabelMe; points, flags and a description are expected") from None
            sentences = (*_text(description, f"{where}: description"), *([", ".join(flags)] if flags else []))
            if sentences:
                yield Described(name, (left, top, right - left, bottom - top), {}, sentences, where)


def class_facts(dataset: str, path: str | Path = "data/captions/facts.yaml") -> dict[str, dict[str, str]]:
    """What is known of all objects of a data set's classes; {} where nobody has written it down."""
    raw = read_yaml(path, "it is part of the repository")
    try:
        return {name: check_facts(facts, f"{path}: {name}") for name, facts in raw["classes"].get(dataset, {}).items()}
    except WRONG_SHAPE:
        raise InputError(f"{path}: under 'classes' each data set's classes with their facts are expected") from None


class Joined(NamedTuple):
    """A school with described objects in it."""

    school: School
    seen: int
    """Described objects that a query covers."""
    unknown: Counter
    """Words of their sentences that no caption has, and how often they stand there."""


def join(school: School, looks: Looks, objects: Sequence[Described], words: Words, encoder: TextEncoder, seed: int) -> Joined:
    """The school with the objects that a query covers, each with as many sentences as a mark of the school has captions.

    looks: of the data set's own train. An object with more sentences counts more than once. Raises InputError for a sentence
    that the encoder would cut.
    """
    for one in objects:
        for sentence in one.sentences:
            check_sentence(one.where, sentence, encoder)
    image_ids = {image["file_name"]: image["id"] for image in looks.coco["images"]}
    there = [one for one in objects if one.file_name in image_ids]
    annotations = [{"image_id": image_ids[one.file_name], "bbox": list(one.box)} for one in there]
    match = match_objects(looks._replace(coco=looks.coco | {"annotations": annotations}))
    each, rng = school.captions.shape[1], np.random.default_rng(seed)
    rows, said = [], []
    for image, query, index in zip(*match, strict=True):
        one = there[index]
        texts = [*one.sentences, *(captions(one.facts, words, each, rng) if one.facts else ())]
        for start in range(0, len(texts), each):
            rows.append((image, query))
            said += [texts[(start + number) % len(texts)] for number in range(each)]
    if not rows:
        return Joined(school, 0, Counter())
    unknown = Counter(word for one in there for text in one.sentences for word in unknown_words(text, words))
    images, queries = np.array(rows).T
    joined = school._replace(
        features=np.concatenate([school.features, looks.features[images, queries]]),
        captions=np.concatenate([school.captions, encode(encoder, said).reshape(len(rows), each, -1)]),
    )
    return Joined(joined, len(match.image), Counter({word: n for word, n in unknown.items() if word not in STOP_WORDS}))


def remarks(found: Found, joined: Joined, words: Words) -> list[str]:
    """What was there, what of it joined the school, and which words it cannot know."""
    if not found.objects and not found.unused:
        return []
    kinds = f"{sum(bool(one.facts) for one in found.objects)} with attributes"
    kinds += f", {sum(bool(one.sentences) for one in found.objects)} with sentences"
    lines = [f"described objects: {len(found.objects)} ({kinds}), {joined.seen} of them covered by a query"]
    if found.unused:
        lines.append(f"not used: {', '.join(f'{what} ({count})' for what, count in found.unused.most_common(MOST_NAMED))}")
    if joined.unknown:
        common = joined.unknown.most_common(MOST_NAMED)
        told = ", ".join(f"{with_nearest(word, words)} ({count})" for word, count in common)
        lines.append(f"warning: no caption has the words {told}; they act through the text encoder alone, if at all")
    return lines
