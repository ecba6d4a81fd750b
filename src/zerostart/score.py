"""What an exported detector is worth: `python -m zerostart.score FOLDER --split test`, through its own runtime."""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zerostart.datasets.splits import class_names, read_split
from zerostart.detector.pixels import image_batches
from zerostart.errors import InputError, run_stage
from zerostart.inference.exported import Exported, open_export
from zerostart.metrics.coco import CocoMetrics, evaluate_coco
from zerostart.params import Lambdas, load_params


def score(exported: Exported, coco: dict, folder: Path, lambdas: Lambdas, batch_size: int = 16) -> CocoMetrics:
    """COCO metrics and composite of an exported detector on the images of a split (`coco`, its files in `folder`).

    Raises InputError when it was made for other classes.
    """
    classes = class_names(coco)
    if exported.metadata["classes"] != classes:
        raise InputError(f"the export is for the classes {exported.metadata['classes']}, but the data set has {classes}")
    ids = np.array([image["id"] for image in coco["images"]])
    rows, start = [], 0
    with tqdm(total=len(ids), unit="image", disable=None) as progress:
        for batch in image_batches(coco, folder, exported.metadata["image_size"], batch_size):
            rows.append(_rows(exported.run(batch.numpy()), ids[start : start + len(batch)], coco))
            start += len(batch)
            progress.update(len(batch))
    return evaluate_coco(coco, np.concatenate(rows), coco["info"]["critical"], lambdas)


def _rows(found: list[np.ndarray], ids: np.ndarray, coco: dict) -> np.ndarray:
    """M×7 as `zerostart.metrics.coco.detections` has them: image id, x, y, width, height in pixels, score, class."""
    boxes, scores, labels = found
    sizes = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    limit = np.array([sizes[image_id] for image_id in ids.tolist()], np.float64)[:, None]
    low, high = boxes[..., :2] * limit, boxes[..., 2:] * limit
    columns = [np.broadcast_to(ids[:, None, None], (*scores.shape, 1)), low, np.maximum(high - low, 0)]
    rows = np.concatenate([*columns, scores[..., None], labels[..., None]], axis=2, dtype=np.float64)
    return rows[scores > 0]


def main() -> str:
    parser = argparse.ArgumentParser(prog="python -m zerostart.score", description="COCO metrics of an exported detector.")
    parser.add_argument("folder", type=Path, help="written by python -m zerostart.export")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    args = parser.parse_args()
    exported, coco = open_export(args.folder), read_split(args.split)
    metrics = score(exported, coco, Path("data/raw") / coco["info"]["dataset"], load_params().lambdas)
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in metrics.summary().items())
    return f"{args.folder} on {args.split}: {numbers}"


if __name__ == "__main__":
    run_stage(main)
