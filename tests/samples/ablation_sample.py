"""A toy ablation: made-up features, labels and texts."""

from pathlib import Path

import numpy as np
from coco_samples import coco

from zerostart.ablation.cells import Problem, TestJudge
from zerostart.ablation.control_texts import CONTROLS
from zerostart.ablation.params import load_ablation_params
from zerostart.cache.views import View
from zerostart.datasets.splits import split_targets
from zerostart.method.cached_images import CachedImages
from zerostart.method.training import ValidationScore

CLASSES = ["a", "b", "c", "d", "e", "f"]


SIZE, QUERIES, VISUAL = 40, 5, 8


PARAMS = load_ablation_params(Path(__file__).parents[2] / "pipelines/ablation/params.yaml")
SEEDS = 3


def small_params(**experiment):
    lighter = {
        "batch_size": 16,
        "bootstrap_samples": 100,
        "epochs": PARAMS.experiment.epochs.model_copy(update={"warmup": 15, "head": 2}),
    }
    changed = PARAMS.experiment.model_copy(update=lighter | experiment)
    return PARAMS.model_copy(update={"seeds": SEEDS, "lr_scales": [100.0], "experiment": changed, "jobs": 1})


def split(seed: int, directions: np.ndarray, noise: float, seen: list[int], images: int) -> tuple[View, dict]:
    """Images with three objects of the classes `seen`; hidden tells the class, the detector's logits only that it is one."""
    rng = np.random.default_rng(seed)
    shape = (images, QUERIES)
    boxes = np.concatenate([rng.uniform(0.3, 0.7, (*shape, 2)), rng.uniform(0.1, 0.4, (*shape, 2))], axis=2)
    hidden, logits = noise * rng.normal(size=(*shape, VISUAL)), rng.normal(-5, 0.3, (*shape, len(CLASSES)))
    annotations = []
    for image in range(images):
        for query in range(3):
            k = int(rng.choice(seen))
            hidden[image, query] += directions[k]
            logits[image, query] += 3
            corner, extent = boxes[image, query, :2] - boxes[image, query, 2:] / 2, boxes[image, query, 2:]
            bbox = (np.concatenate([corner, extent]) * SIZE).tolist()
            record = {"id": len(annotations) + 1, "image_id": image + 1, "category_id": k, "bbox": bbox, "iscrowd": 0}
            annotations.append(record | {"area": bbox[2] * bbox[3]})
    arrays = (array.astype(np.float32) for array in (hidden, logits, boxes))
    ids = np.arange(1, images + 1)
    return View(*arrays, ids), coco(ids.tolist(), [(SIZE, SIZE)] * images, annotations, CLASSES, critical=CLASSES[:2])


def problem(text: np.ndarray, directions: np.ndarray, noise: float, seen: list[int]) -> Problem:
    """Every class occurs on val and test, only those `seen` on train."""
    everything = list(range(len(CLASSES)))
    drawn = ((1, seen, 64), (2, everything, 40), (3, everything, 60))
    (train, train_coco), val, test = (split(s, directions, noise, classes, images) for s, classes, images in drawn)
    objects = split_targets(train_coco)
    controls = {
        name: np.stack([make(text, np.random.default_rng(seed)) for seed in range(SEEDS)]) for name, make in CONTROLS.items()
    }
    return Problem(
        classes=CLASSES,
        objects=objects,
        images=CachedImages([train], [objects]),
        val=ValidationScore(*val, PARAMS.experiment.lambdas),
        test=TestJudge(*test, PARAMS.experiment.lambdas, samples=100),
        texts={name: np.float32(values) for name, values in ({"descriptive": text} | controls).items()},
    )


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def silent() -> Problem:
    """Texts that have nothing to do with the features, of which every class is seen."""
    text = unit(np.random.default_rng(5).normal(size=(len(CLASSES), 64)))
    directions = 3 * np.linalg.qr(np.random.default_rng(8).normal(size=(VISUAL, VISUAL)))[0][: len(CLASSES)]
    return problem(text, directions, noise=1.0, seen=list(range(6)))
