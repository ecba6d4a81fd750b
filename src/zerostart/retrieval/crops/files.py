"""The pictures that the stage `crops` has written."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from zerostart.datasets.pictures import open_rgb
from zerostart.retrieval.embedding.embedders import OpenCrop

PICTURES = "data/retrieval/crops/images"


def open_crops(rows: Iterable[Mapping[str, Any]], folder: str | Path = PICTURES) -> Iterator[tuple[str, OpenCrop]]:
    """Crop id and a function that opens the picture, for each row of the table of crops."""
    for row in rows:
        yield row["crop_id"], partial(_open, Path(folder) / f"{row['crop_id']}.jpg")


def _open(path: Path) -> Image.Image:
    return open_rgb(path)
