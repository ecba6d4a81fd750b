"""Match the class names of every source to the card's tags: by name, never by position."""

from collections.abc import Sequence

import numpy as np

from zerostart.errors import InputError
from zerostart.tagging.cards import TagCard
from zerostart.tagging.pictures.sources import Item, Source


def align(source: Source, card: TagCard, others_are_negatives: bool) -> dict[str, object]:
    """Check a source's class names against the card and report what each becomes.

    others_are_negatives: class names that the card does not know mean "no tag" (academic domain).
    Raises InputError when no class is in common, and for a class outside the card unless others are negatives.
    """
    seen = dict.fromkeys((*source.names, *(label for item in source.items for label in item.labels)))
    meaning = {name: card.tag_of(name) for name in seen}
    if not any(meaning.values()):
        raise InputError(
            f"{source.origin}: no class in common: it has {', '.join(seen) or 'none'}, the card has {', '.join(card.tags)}"
        )
    carried = dict.fromkeys(label for item in source.items for label in item.labels)
    outside = [name for name in carried if meaning[name] is None and name not in card.negatives]
    if outside and not others_are_negatives:
        record = next(item.name for item in source.items if outside[0] in item.labels)
        raise InputError(
            f"{record}: '{outside[0]}' is outside the card; one of its tags ({', '.join(card.tags)}), its aliases or its"
            f" negatives is expected (outside are {', '.join(outside)})"
        )
    used = {card.tag_of(label) for label in carried}
    tags = list(dict.fromkeys(tag for tag in meaning.values() if tag))
    return {
        "source_order": list(source.names),
        "reordered": tags != [tag for tag in card.tags if tag in tags],
        "mapped": {name: tag for name, tag in meaning.items() if tag and tag != name},
        "negatives": sorted(name for name, tag in meaning.items() if tag is None),
        "missing": [tag for tag in card.tags if tag not in used],
    }


def targets(items: Sequence[Item], card: TagCard) -> np.ndarray:
    """N×K uint8: which tags of the card each item carries, in the card's order."""
    marks = np.zeros((len(items), len(card.tags)), np.uint8)
    for row, item in zip(marks, items, strict=True):
        for label in item.labels:
            tag = card.tag_of(label)
            if tag is not None:
                row[card.tags.index(tag)] = 1
    return marks


def object_areas(items: Sequence[Item], card: TagCard) -> np.ndarray:
    """N×K float32: share of the picture covered by the largest object of each tag; 0 where absent or not known."""
    areas = np.zeros((len(items), len(card.tags)), np.float32)
    for row, item in zip(areas, items, strict=True):
        for label, share in item.areas.items():
            tag = card.tag_of(label)
            if tag is not None:
                row[card.tags.index(tag)] = max(row[card.tags.index(tag)], share)
    return areas
