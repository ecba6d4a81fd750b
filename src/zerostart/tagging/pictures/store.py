"""Pictures of one domain as uint8 at their own size, one after the other in a memory-mapped file."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zerostart.errors import InputError
from zerostart.outputs import write_array
from zerostart.records import read_json

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ImageStore:
    """N pictures with their tags; only those that are asked for are in memory."""

    folder: Path
    tags: tuple[str, ...]
    names: tuple[str, ...]
    shapes: np.ndarray
    """N×(height, width) int32."""
    offsets: np.ndarray
    """N+1 int64: where each picture starts in pixels.bin."""
    targets: np.ndarray
    """N×K uint8."""
    areas: np.ndarray
    """N×K float32, share of the picture covered by the largest object of a tag; 0 where absent or not known."""
    splits: np.ndarray
    """N uint8, index into SPLITS."""

    def of_split(self, split: str) -> np.ndarray:
        """Indices of the pictures of a split, ascending."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def digest(self) -> str:
        """sha256 of the pictures and of all that stands beside them."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            with open(path, "rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def images(self, indices: Sequence[int] | np.ndarray) -> list[Tensor]:
        """3×H×W uint8 each, in the order of `indices`."""
        # A map per call: the pages read by earlier calls do not stay counted as this process's memory.
        pixels = np.memmap(self.folder / "pixels.bin", np.uint8, "r")
        return [
            torch.from_numpy(pixels[self.offsets[i] : self.offsets[i + 1]].reshape(3, *self.shapes[i]).copy()) for i in indices
        ]


def write_pixels(folder: Path, images: Iterable[np.ndarray]) -> np.ndarray:
    """Append H×W×3 uint8 images to pixels.bin as 3×H×W; returns their shapes N×(height, width)."""
    shapes = []
    with open(folder / "pixels.bin", "wb") as file:
        for image in images:
            file.write(np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes())
            shapes.append(image.shape[:2])
    return np.array(shapes, np.int32).reshape(-1, 2)


def write_index(
    folder: Path,
    tags: Sequence[str],
    names: Sequence[str],
    shapes: np.ndarray,
    targets: np.ndarray,
    areas: np.ndarray,
    splits: np.ndarray,
) -> None:
    """Write what stands beside pixels.bin."""
    for name, array in (("shapes", shapes), ("targets", targets), ("areas", areas), ("splits", splits.astype(np.uint8))):
        write_array(folder / f"{name}.npy", array)
    (folder / "index.json").write_text(json.dumps({"names": list(names), "tags": list(tags)}, indent=1) + "\n")


def open_store(folder: str | Path, tags: Sequence[str]) -> ImageStore:
    """Open a store; raises InputError when it is missing or damaged, or its tags are not `tags` in this order."""
    folder = Path(folder)
    written = "the stage `images` writes it"
    index = read_json(folder / "index.json", written)
    if not isinstance(index, dict) or not all(_are_texts(index.get(key)) for key in ("names", "tags")):
        raise InputError(f"{folder / 'index.json'}: 'names' and 'tags', two lists of texts, are expected; {written}")
    if index["tags"] != list(tags):
        raise InputError(f"{folder}: its tags are {', '.join(index['tags'])}; the card has {', '.join(tags)}")
    count = len(index["names"])
    shapes = {"shapes": (count, 2), "targets": (count, len(tags)), "areas": (count, len(tags)), "splits": (count,)}
    try:
        arrays = {name: np.load(folder / f"{name}.npy") for name in shapes}
        length = (folder / "pixels.bin").stat().st_size
    except (OSError, EOFError, ValueError):
        raise InputError(f"{folder}: no readable image store; {written}") from None
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise InputError(f"{folder / name}.npy: shape {arrays[name].shape}; {shape} is expected beside index.json")
    offsets = np.concatenate([[0], np.cumsum(3 * arrays["shapes"].astype(np.int64).prod(axis=1))])
    if length != offsets[-1]:
        raise InputError(f"{folder}/pixels.bin: {length} bytes; {offsets[-1]} are expected beside shapes.npy")
    return ImageStore(folder, tuple(tags), tuple(index["names"]), offsets=offsets, **arrays)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
