"""The one check of what stands there twice: a picture in two splits, an object in one picture."""

from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from zerostart.datasets.findings import Findings

Item = TypeVar("Item")


def check_one_split_only(pictures: Iterable[tuple[str, str, str]], folder: Path, findings: Findings) -> None:
    """Pictures of two splits with equal pixels are errors: what is learned must not be counted in testing.

    pictures: name, split and :func:`zerostart.datasets.image_files.pixels_sha256`. Equal pictures within a split are legal.
    """
    first: dict[str, tuple[str, str]] = {}
    for name, split, digest in pictures:
        other, other_split = first.setdefault(digest, (name, split))
        if other_split != split:
            findings.error(
                "picture in two splits",
                f"{folder}: '{other}' (split '{other_split}') and '{name}' (split '{split}') have the same pixels; an image is "
                f"expected in one split only",
            )


def repeated(items: Iterable[tuple[Hashable, Item]]) -> Iterator[tuple[Item, Item]]:
    """(the first, a later one) for every item whose key was there before."""
    first: dict[Hashable, Item] = {}
    for key, item in items:
        if key in first:
            yield first[key], item
        else:
            first[key] = item
