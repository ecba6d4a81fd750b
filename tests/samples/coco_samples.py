"""Random detection problems and pycocotools' own answer to them, for the tests of the metrics."""

import contextlib
import copy
import io
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


class Sample(NamedTuple):
    ground_truth: dict
    boxes: np.ndarray
    logits: np.ndarray
    image_ids: np.ndarray
    sizes: np.ndarray


def sample(seed: int, images=8, queries=12, classes=4, most=5, levels=None, absent=()) -> Sample:
    """Images with 0..most objects and boxes scattered around them, half of the classes' logits raised there.

    levels: so many different logits only, hence tied scores. absent: classes without an object.
    Some boxes coincide and some objects do, hence tied IoUs; some boxes leave the image.
    """
    rng = np.random.default_rng(seed)
    image_ids = rng.permutation(images) + 1
    sizes = rng.integers(40, 300, (images, 2))
    boxes = rng.uniform(0, 1, (images, queries, 4))
    logits = rng.normal(-2, 1.5, (images, queries, classes))
    present = [k for k in range(classes) if k not in absent]
    annotations = []
    for image in range(images):
        for _ in range(rng.integers(0, most + 1)):
            width, height = rng.uniform(0.1, 0.6, 2)
            box = np.array([rng.uniform(width / 2, 1 - width / 2), rng.uniform(height / 2, 1 - height / 2), width, height])
            if annotations and rng.random() < 0.2:
                box = annotations[-1]["normalised"]
            k = int(rng.choice(present))
            near = rng.choice(queries, size=max(1, queries // 4), replace=False)
            boxes[image, near] = box + rng.choice([0, 0.02, 0.06], (len(near), 1)) * rng.normal(0, 1, (len(near), 4))
            logits[image, near[::2], k] += 2
            corner = (box[:2] - box[2:] / 2) * sizes[image]
            extent = box[2:] * sizes[image]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=int(image_ids[image]),
                    category_id=k,
                    bbox=[*corner.tolist(), *extent.tolist()],
                    area=float(extent.prod()),
                    iscrowd=0,
                    normalised=box,
                )
            )
    for annotation in annotations:
        del annotation["normalised"]
    if levels:
        logits = np.round(logits * levels / 8) / levels * 8
    return Sample(
        coco(image_ids, sizes, annotations, [f"class{k}" for k in range(classes)]),
        boxes.astype(np.float32),
        logits.astype(np.float32),
        image_ids.astype(np.int64),
        sizes,
    )


def coco(image_ids, sizes, annotations, names, critical=("class0",), dataset="toy") -> dict:
    return dict(
        info=dict(dataset=dataset, critical=list(critical)),
        images=[
            dict(id=int(i), file_name=f"{i}.png", width=int(w), height=int(h))
            for i, (w, h) in zip(image_ids, sizes, strict=True)
        ],
        annotations=list(annotations),
        categories=[dict(id=k, name=name) for k, name in enumerate(names)],
    )


def boxes_of(*corners, size=100) -> np.ndarray:
    """Normalised cxcywh float32 of xywh boxes in an image of size×size pixels; Q×4."""
    xywh = np.array(corners, np.float64)
    return (np.concatenate([xywh[:, :2] + xywh[:, 2:] / 2, xywh[:, 2:]], axis=1) / size).astype(np.float32)


def annotation(annotation_id, image_id, category_id, *xywh) -> dict:
    box = [float(value) for value in xywh]
    return dict(id=annotation_id, image_id=image_id, category_id=category_id, bbox=box, area=box[2] * box[3], iscrowd=0)


def logit(*probabilities) -> np.ndarray:
    p = np.array(probabilities, np.float64)
    return np.log(p / (1 - p)).astype(np.float32)


def pycocotools(ground_truth: dict, found: np.ndarray) -> COCOeval:
    """Run the reference implementation, silently, on M×7 detections."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(ground_truth)
        truth.createIndex()
        result = COCOeval(truth, truth.loadRes(found), "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    return result
