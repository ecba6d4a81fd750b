"""Leave out what cannot be read or stands there twice, and divide the photos into splits."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from zerostart.datasets.findings import Findings
from zerostart.datasets.image_files import pixels_sha256
from zerostart.errors import InputError
from zerostart.tagging.pictures.decoding import UnreadableError
from zerostart.tagging.pictures.sources import Item
from zerostart.tagging.pictures.store import SPLITS

AHEAD = 64
"""Pictures that threads decode ahead of the consumer."""
JOINED = "the same pixels with other tags as"


def clean(items: list[Item], longest: int, kept: list[Item], left_out: dict[str, str], join_tags: bool) -> Iterator[np.ndarray]:
    """Decode the items in order, yield each that is new (H×W×3 uint8) and note it in `kept`; the others in `left_out`.

    left_out: name -> reason. Of two pictures with the same pixels the first in `items` stays; join_tags: with the tags of both,
    as one photo in two folders is the usual way to say that it shows both. Exhaust the iterator before reading `kept`.

    Raises InputError, at the end, with all pictures that contradict their annotation.
    """
    first: dict[str, int] = {}
    findings = Findings(collect=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(items), AHEAD):
            chunk = items[start : start + AHEAD]
            for item, image in zip(chunk, pool.map(lambda item: _read(item, longest), chunk), strict=True):
                if isinstance(image, UnreadableError):
                    left_out[item.name] = str(image)
                    continue
                if isinstance(image, InputError):
                    findings.defect("picture", str(image))
                    continue
                index = first.setdefault(pixels_sha256(image), len(kept))
                if index == len(kept):
                    kept.append(item)
                    yield image
                    continue
                left_out[item.name] = _the_same(kept[index], item, join_tags)
                if join_tags:
                    kept[index] = _joined(kept[index], item)
    findings.refuse(Path(items[0].name).parent if items else Path())


def _the_same(first: Item, item: Item, join_tags: bool) -> str:
    added = [label for label in item.labels if label not in first.labels]
    if not added:
        return f"the same pixels as {first.name}"
    if join_tags:
        return f"{JOINED} {first.name}, which now has the tags of both: {', '.join((*first.labels, *added))}"
    return f"the same pixels as {first.name}, though with other tags"


def _joined(first: Item, item: Item) -> Item:
    areas = {label: max(first.areas.get(label, 0.0), item.areas.get(label, 0.0)) for label in (*first.areas, *item.areas)}
    return replace(first, labels=tuple(dict.fromkeys((*first.labels, *item.labels))), areas=areas)


def _read(item: Item, longest: int) -> np.ndarray | InputError:
    try:
        return item.read(longest)
    except InputError as error:
        return error


def academic_splits(items: list[Item], val_share: float, seed: int) -> np.ndarray:
    """N indices into SPLITS: the source's own test, and a share of each class of its train as val."""
    splits = np.array([SPLITS.index("test" if item.split == "test" else "train") for item in items])
    rng = np.random.default_rng(seed)
    for _, members in _groups(items, np.flatnonzero(splits == 0)):
        splits[rng.permutation(members)[: round(len(members) * val_share)]] = SPLITS.index("val")
    return splits


def real_splits(items: list[Item], shares: dict[str, float], seed: int) -> np.ndarray:
    """N indices into SPLITS: photos with the same tags are shared out in the same proportions (the rest is train)."""
    splits = np.zeros(len(items), int)
    rng = np.random.default_rng(seed)
    for _, members in _groups(items, np.arange(len(items))):
        shuffled = rng.permutation(members)
        val, test = (round(len(members) * shares[split]) for split in ("val", "test"))
        splits[shuffled[:test]] = SPLITS.index("test")
        splits[shuffled[test : test + val]] = SPLITS.index("val")
    return splits


def _groups(items: list[Item], indices: np.ndarray) -> list[tuple[tuple[str, ...], list[int]]]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for index in indices.tolist():
        groups.setdefault(tuple(sorted(items[index].labels)), []).append(index)
    return sorted(groups.items())


def balance(targets: np.ndarray, splits: np.ndarray, tags: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """(split, tag, pictures) for every tag and for the pictures without any."""
    rows = []
    for index, split in enumerate(SPLITS):
        chosen = targets[splits == index]
        rows += [(split, tag, int(count)) for tag, count in zip(tags, chosen.sum(axis=0), strict=True)]
        rows.append((split, "no tag", int((chosen.sum(axis=1) == 0).sum())))
    return rows


def reasons(left_out: dict[str, str]) -> dict[str, int]:
    """How often pictures were left out, by the first words of the reason."""
    return dict(Counter(_kind(reason) for reason in left_out.values()))


def _kind(reason: str) -> str:
    if reason.startswith(JOINED):
        return "duplicate, tags joined"
    if reason.startswith("the same"):
        return "duplicate"
    return "missing" if reason.startswith("no such image") else "unreadable"
