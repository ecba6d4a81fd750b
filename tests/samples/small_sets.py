"""Data sets of one picture per split, for tests of what the annotation formats may hold."""

import numpy as np
from PIL import Image

from zerostart.datasets.cards import Card
from zerostart.datasets.checks import Imported, import_dataset

CLASSES = ("dent", "scratch")
BOTH = "0 .5 .5 .2 .2\n1 .5 .5 .4 .4\n"


def import_yolo(folder, labels, size=(100, 50), files=None, named=True, lists=(), draw=True, **changes) -> Imported:
    """Import images/SPLIT.png with labels/SPLIT.txt: `labels` by split, an object of both classes where none are given.

    files: further ones, path: text. named: the card has the names. lists: splits that the card has a list of; the others have a
    list that the sample writes. draw: write the pictures and labels.
    """
    for index, split in enumerate(("train", "val", "test")):
        if draw:
            for name in ("images", "labels"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/{split}.png")
            (folder / f"labels/{split}.txt").write_text(labels.get(split, BOTH), encoding="utf-8")
        suffix = next(path.suffix for path in sorted((folder / "images").glob(f"{split}.*")))
        if split not in lists:
            (folder / f"{split}.txt").write_text(f"images/{split}{suffix}\n")
    for name, text in (files or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    splits = {
        split: {"annotations": "labels", "images": "images", "list": f"{split}.txt"} for split in ("train", "val", "test")
    }
    fields = {"name": "small", "format": "yolo", "obtain": "draw it", "prompts": "small", "splits": splits, "classes": CLASSES}
    names = {"names": CLASSES} if named else {}
    return import_dataset(Card.model_validate(fields | {"critical": ["dent"]} | names | changes), folder)
