"""Leave out what cannot be read or stands there twice, and divide the photos into splits."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zerostart.tagging.pictures.decoding import UnreadableError
from zerostart.tagging.pictures.sources import Item
from zerostart.tagging.pictures.store import SPLITS

AHEAD = 64
"""Pictures that threads decode ahead of the consumer."""


def clean(items: list[Item], longest: int, kept: list[Item], left_out: dict[str, str]) -> Iterator[np.ndarray]:
    """Decode the items in order, yield each that is new (H×W×3 uint8) and note it in `kept`; the others in `left_out`.

    left_out: name -> reason. Of two pictures with the same pixels the first in `items` stays.
    """
    first: dict[str, Item] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(items), AHEAD):
            chunk = items[start : start + AHEAD]
            for item, image in zip(chunk, pool.map(lambda item: _read(item, longest), chunk), strict=True):
                if isinstance(image, UnreadableError):
                    left_out[item.name] = str(image)
                    continue
                digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
                if digest in first:
                    same = first[digest]
                    other = "" if same.labels == item.labels else ", though with other tags"
                    left_out[item.name] = f"the same pixels as {same.name}{other}"
                    continue
                first[digest] = item
                kept.append(item)
                yield image


def _read(item: Item, longest: int) -> np.ndarray | UnreadableError:
    try:
        return item.read(longest)
    except UnreadableError as error:
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
    return dict(Counter("duplicate" if reason.startswith("the same") else "unreadable" for reason in left_out.values()))
