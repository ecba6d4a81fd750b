"""A COCO file with crowd regions from the import to the metrics file: the numbers are those of pycocotools."""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from coco_samples import pycocotools, sample
from PIL import Image
from toy_cache import ROOT, write_view

from stages import dataset
from zerostart.cache.views import View
from zerostart.evaluation import detectors
from zerostart.metrics.coco import class_indices, detections

CLASSES = [f"class{k}" for k in range(3)]
CARD = {
    "name": "toy",
    "format": "coco",
    "obtain": "draw it",
    "prompts": "toy",
    "classes": CLASSES,
    "critical": CLASSES[:2],
    "repeated_objects": "keep",
    "splits": {name: {"annotations": f"{name}.json", "images": "."} for name in ("train", "val", "test")},
}


def write_set(split: str, seed: int) -> View:
    """Drawn noise and its annotations, every third one a crowd region of twice the sides with a run-length mask.

    Returns what a detector found there; the import numbers the images from 1 in the order of the file.
    """
    s = sample(seed, images=10, queries=16, classes=3, most=6)
    sizes = {int(image_id): size for image_id, size in zip(s.image_ids, s.sizes, strict=True)}
    for image in s.ground_truth["images"]:
        image["file_name"] = f"{split}{image['id']}.png"
        pixels = np.random.default_rng((seed, image["id"])).integers(0, 256, (image["height"], image["width"]), np.uint8)
        Image.fromarray(pixels).save(f"data/raw/toy/{image['file_name']}")
    for region in s.ground_truth["annotations"][::3]:
        x, y, width, height = region["bbox"]
        limit = sizes[region["image_id"]]
        low = np.maximum([x - width / 2, y - height / 2], 0)
        high = np.minimum([x + 1.5 * width, y + 1.5 * height], limit)
        region |= {"iscrowd": 1, "bbox": [*low, *(high - low)]}
        region["segmentation"] = {"size": [int(limit[1]), int(limit[0])], "counts": [0, int(limit.prod())]}
    Path(f"data/raw/toy/{split}.json").write_text(json.dumps(s.ground_truth))
    return View(np.zeros((10, 16, 2), np.float32), s.logits, s.boxes, np.arange(1, 11))


def read_table(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def views(tmp_path, monkeypatch):
    """A folder with the imported set and the detections of each split."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"dataset": "toy", "bootstrap_samples": 100, "test_flips": "none"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for folder in ("data/raw/toy", "data/datasets"):
        Path(folder).mkdir(parents=True)
    Path("data/datasets/toy.yaml").write_text(yaml.safe_dump(CARD))
    found = {split: write_set(split, seed) for seed, split in enumerate(("train", "val", "test"), 1)}
    dataset.main()
    for split in ("val", "test"):
        write_view(Path("data/features") / split, found[split])
    return found


def test_crowd_regions_give_the_numbers_of_pycocotools(views, monkeypatch):
    def refine(logits: np.ndarray) -> np.ndarray:
        return logits + np.random.default_rng(len(logits)).normal(0, 1, logits.shape).astype(np.float32)

    evaluate, exact = importlib.import_module("stages.evaluate"), {}
    written = evaluate.write_json
    monkeypatch.setattr(detectors, "load_fusion", lambda folder, classes: None)
    monkeypatch.setattr(detectors, "refined_logits", lambda fusion, view: refine(np.asarray(view.logits)))
    monkeypatch.setattr(
        evaluate, "write_json", lambda path, value, **more: exact.update({path.name: value}) or written(path, value, **more)
    )
    evaluate.main()

    truth, test = json.loads(Path("data/coco/test.json").read_text()), views["test"]
    crowds = [item for item in truth["annotations"] if item["iscrowd"]]
    assert len(crowds) > 5 and len(crowds) < len(truth["annotations"]) / 2
    objects = [CLASSES[item["category_id"]] for item in truth["annotations"] if not item["iscrowd"]]
    for name in ("baseline", "refined"):  # what was found and missed at the threshold: the objects, and no region
        rows = read_table(f"plots/confusion_{name}.csv")
        for actual in CLASSES:
            assert sum(int(row["count"]) for row in rows if row["actual"] == actual) == objects.count(actual)
    listed = [row["class"] for row in read_table("plots/critical_objects.csv")]
    assert sorted(listed) == sorted(name for name in objects if name in CARD["critical"])
    sizes = np.array([(image["width"], image["height"]) for image in truth["images"]])
    reported = json.loads(Path("metrics/evaluate.json").read_text())
    for name, logits in (("baseline", test.logits), ("refined", refine(test.logits))):
        result = pycocotools(truth, detections(logits, test.boxes, sizes, test.image_id))
        recall = result.eval["recall"][:, :, 0, 2]
        critical = recall[:, class_indices(CLASSES, CARD["critical"])].mean()
        expected = dict(zip(("mAP", "AP50", "AP75"), result.stats[:3].tolist(), strict=True))
        expected |= {"AR_critical": critical, "composite": 0.7 * expected["mAP"] + 0.3 * critical}
        for key, value in expected.items():
            of_detector = [
                metrics if name == "refined" else metrics["baseline"] for metrics in (exact["evaluate.json"], reported)
            ]
            assert of_detector[0][key] == pytest.approx(value, abs=1e-9), (name, key)
            assert of_detector[1][key] == pytest.approx(value, abs=5.1e-7), (name, key)  # the file has six decimals
        without = truth | {"annotations": [item for item in truth["annotations"] if not item["iscrowd"]]}
        other = pycocotools(without, detections(logits, test.boxes, sizes, test.image_id)).stats[0]
        assert other != pytest.approx(expected["mAP"], abs=1e-3)  # the regions matter
