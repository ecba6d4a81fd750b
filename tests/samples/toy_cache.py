"""A cached split made up for tests: a query's feature tells the class of its object, the detector's own logits hardly do."""

import json
from pathlib import Path

import numpy as np
import yaml
from coco_samples import coco

from zerostart.cache.views import View

ROOT = Path(__file__).parents[2]
CLASSES = ["crack", "dent", "scratch"]
VISUAL = 8
SIZE = 40


def toy_split(seed: int, images=24, queries=6, dataset="toy") -> tuple[View, dict]:
    """Images with 0..3 objects; the first queries stand on them with a jitter, the others anywhere.

    hidden: a fixed direction for each class (one more for the background) plus noise.
    """
    directions = np.linalg.qr(np.random.default_rng(99).normal(size=(VISUAL, VISUAL)))[0][: len(CLASSES) + 1]
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(0.3, 0.7, (images, queries, 2)), rng.uniform(0.1, 0.4, (images, queries, 2))], axis=2)
    owner = np.full((images, queries), len(CLASSES))
    annotations = []
    for image in range(images):
        for query in range(rng.integers(0, 4)):
            owner[image, query] = k = rng.integers(len(CLASSES))
            corner, extent = boxes[image, query, :2] - boxes[image, query, 2:] / 2, boxes[image, query, 2:]
            bbox = (np.concatenate([corner, extent]) * SIZE).tolist()
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image + 1,
                    category_id=int(k),
                    bbox=bbox,
                    area=bbox[2] * bbox[3],
                    iscrowd=0,
                )
            )
            boxes[image, query] += rng.normal(0, 0.01, 4)
    hidden = 3 * directions[owner] + 0.3 * rng.normal(size=(images, queries, VISUAL))
    logits = rng.normal(-1, 1, (images, queries, len(CLASSES)))
    view = View(
        hidden=hidden.astype(np.float32),
        logits=logits.astype(np.float32),
        boxes=boxes.clip(0, 1).astype(np.float32),
        image_id=np.arange(1, images + 1),
    )
    ids = view.image_id.tolist()
    return view, coco(ids, [(SIZE, SIZE)] * images, annotations, CLASSES, critical=CLASSES[:2], dataset=dataset)


def write_view(folder: Path, view: View) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for array, values in vars(view).items():
        np.save(folder / f"{array}.npy", values)


def write_cache(folder: Path, **changes) -> None:
    """params.yaml (the repository's, with changes), data/coco and data/features of three splits, train twice (mirrored)."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"dataset": "toy", "augment_views": 1, "test_flips": "none", "batch_size": 8}
    (folder / "params.yaml").write_text(yaml.safe_dump(params | changes))
    (folder / "data/coco").mkdir(parents=True)
    for seed, split in enumerate(("train", "val", "test"), start=1):
        view, ground_truth = toy_split(seed)
        (folder / f"data/coco/{split}.json").write_text(json.dumps(ground_truth))
        write_view(folder / "data/features" / split, view)
        if split == "train":
            view.boxes[:, :, 0] = 1 - view.boxes[:, :, 0]
            write_view(folder / "data/features/train_view1", view)
