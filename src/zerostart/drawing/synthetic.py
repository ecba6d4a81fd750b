"""The synthetic data set: photographs of metal with stamps and flaws, made from a seed and an index."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from zerostart.drawing.marks import DRAW, paint
from zerostart.drawing.metal import SIZE, clean_surface, photograph
from zerostart.drawing.placing import Box, find_room, overlaps
from zerostart.interruptions import end_with_parent
from zerostart.outputs import write_jpeg, write_json

CLASSES = tuple(DRAW)
"""Class names in the order of their ids: normal, perforation, fracture, scratch, dent, contamination."""
CRITICAL = ("fracture", "scratch", "contamination")
SHARES = (0.25, 0.14, 0.14, 0.23, 0.12, 0.12)
"""How often an object is of each class."""
OBJECTS_PER_IMAGE = (0.10, 0.20, 0.26, 0.22, 0.14, 0.08)
"""Probability of 0 to 5 objects."""
SPLITS = {"train": 0.6, "val": 0.2, "test": 0.2}
JPEG_QUALITY = 92

Objects = list[tuple[str, Box]]


def render_image(rng: np.random.Generator) -> tuple[np.ndarray, Objects]:
    """Render one image (SIZE×SIZE×3 uint8) and its objects: class name and box x, y, w, h in pixels."""
    surface = clean_surface(rng)
    angle = rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(angle), np.sin(angle)])
    count = rng.choice(len(OBJECTS_PER_IMAGE), p=OBJECTS_PER_IMAGE)
    marks = [DRAW[str(name)](rng, light) for name in rng.choice(CLASSES, size=count, p=SHARES)]
    objects: Objects = []
    # Large marks first: a small one still finds room beside them.
    for mark in sorted(marks, key=lambda mark: -mark.box[2] * mark.box[3]):
        box = find_room(mark.box[2:], (SIZE, SIZE), lambda box: not any(_crowded(box, other) for _, other in objects), rng)
        if box is not None:
            paint(surface, mark, box[0] - mark.box[0], box[1] - mark.box[1])
            objects.append((mark.name, box))
    return photograph(surface, rng), objects


def image_rng(seed: int, index: int) -> np.random.Generator:
    """The generator of one image: it depends on the seed and the image's index and on nothing else."""
    return np.random.default_rng(np.random.SeedSequence((seed, index)))


def generate(folder: Path, seed: int, images: int, workers: int) -> None:
    """Write the data set into an existing empty folder: images/NNNNNN.jpg, annotations/{train,val,test}.json.

    The annotations are COCO JSON. The bytes depend on `seed` and `images` only, not on how many processes
    (`workers`) share the work. The first 60 % of the images are train, the next 20 % val and the rest test:
    they are independent of each other, so nothing needs shuffling.

    Raises ValueError when there are fewer than 5 images (a split would be empty) or fewer than 1 worker.
    """
    if images < 5 or workers < 1:
        raise ValueError(f"at least 5 images and 1 worker are expected, not {images} and {workers}")
    folder = Path(folder)
    (folder / "images").mkdir()
    work = partial(_write_image, folder, seed)
    if workers == 1:
        objects = [work(index) for index in range(images)]
    else:
        # "spawn": a fork would copy the locks of threads that a caller's libraries may hold.
        with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
            objects = list(pool.map(work, range(images), chunksize=max(images // (8 * workers), 1)))
    for split, indices in split_indices(images).items():
        annotations = _coco({index: objects[index] for index in indices})
        write_json(folder / "annotations" / f"{split}.json", annotations)


def split_indices(images: int) -> dict[str, range]:
    """Consecutive image indices of each split."""
    val, test = round(images * SPLITS["train"]), round(images * (SPLITS["train"] + SPLITS["val"]))
    return {"train": range(val), "val": range(val, test), "test": range(test, images)}


def _crowded(a: Box, b: Box) -> bool:
    """Whether two boxes overlap, or their centres are within 32 pixels."""
    apart = np.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)
    return overlaps(a, b) or bool(apart < 32)


def _write_image(folder: Path, seed: int, index: int) -> Objects:
    pixels, objects = render_image(image_rng(seed, index))
    write_jpeg(folder / _file_name(index), Image.fromarray(pixels), JPEG_QUALITY)
    return objects


def _file_name(index: int) -> str:
    return f"images/{index:06d}.jpg"


def _coco(objects_of: dict[int, Objects]) -> dict:
    """COCO annotations of one split, given the objects of each of its image indices."""
    images, annotations = [], []
    for image_id, (index, objects) in enumerate(objects_of.items(), start=1):
        images.append({"id": image_id, "file_name": _file_name(index), "width": SIZE, "height": SIZE})
        for name, box in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CLASSES.index(name),
                    "bbox": [float(value) for value in box],
                    "area": float(box[2] * box[3]),
                    "iscrowd": 0,
                }
            )
    return {
        "info": {"dataset": "synthetic", "critical": list(CRITICAL)},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": class_id, "name": name} for class_id, name in enumerate(CLASSES)],
    }
