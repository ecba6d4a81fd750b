"""The feature cache: what a frozen detector says of every image, computed once and memory-mapped ever after."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zerostart.errors import InputError


@dataclass(frozen=True)
class View:
    """One pass of the frozen detector over one split, as memory-mapped arrays."""

    hidden: np.ndarray
    """N×Q×D_v float32: features of the queries after the last decoder layer."""
    logits: np.ndarray
    """N×Q×K float32: the detector's own class logits, LQE included."""
    boxes: np.ndarray
    """N×Q×4 float32: cxcywh as fractions of the image, clamped to [0, 1] as in DEIMv2's loss."""
    image_id: np.ndarray
    """N int64: ids of the split's COCO file, in its order."""


ARRAYS = ("hidden", "logits", "boxes", "image_id")


def view_name(split: str, view: int) -> str:
    """Folder of a view: view 0 is the plain one."""
    return split if view == 0 else f"{split}_view{view}"


def load_view(folder: str | Path, name: str) -> View:
    """Open a cached view read-only without reading it into memory.

    Raises InputError when an array is missing or damaged, or the arrays do not belong together.
    """
    paths = {array: Path(folder) / name / f"{array}.npy" for array in ARRAYS}
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"{path}: no such file; the stage `features` writes it")
    view = View(**{array: _open_array(path) for array, path in paths.items()})
    counts = {array: len(getattr(view, array)) for array in ARRAYS}
    if len(set(counts.values())) != 1:
        raise InputError(f"{Path(folder) / name}: the arrays differ in their number of images: {counts}")
    return view


def _open_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (EOFError, ValueError) as error:
        raise InputError(f"{path}: not a complete .npy array ({error}); the stage `features` writes it") from None
