"""The stage on a toy data set: which files it writes, with which numbers, and what it refuses."""

import csv
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from coco_samples import pycocotools, sample
from PIL import Image

from zerostart.errors import InputError
from zerostart.evaluation import detectors
from zerostart.metrics.coco import detections

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """The stage in a folder with the toy set; `stage.refine` maps baseline logits to refined ones."""
    module = importlib.import_module("stages.evaluate")
    views = {name: sample(seed, images=10, absent=(3,)) for name, seed in (("val", 1), ("test", 2))}
    state = SimpleNamespace(module=module, refine=lambda logits: logits, views=views)
    monkeypatch.setattr(detectors, "load_fusion", lambda folder, classes: None)
    monkeypatch.setattr(detectors, "refined_logits", lambda fusion, view: state.refine(view.logits))

    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {
        "dataset": "toy",
        "bootstrap_samples": 100,
        "test_flips": "none",
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("data/coco").mkdir(parents=True)
    Path("data/raw/toy").mkdir(parents=True)
    for name, s in views.items():
        Path(f"data/coco/{name}.json").write_text(json.dumps(s.ground_truth))
        cache(name, s)
    for image in views["test"].ground_truth["images"]:
        Image.new("L", (image["width"], image["height"]), 90).save(f"data/raw/toy/{image['file_name']}")
    return state


def cache(name, s):
    """Write a sample as a feature cache."""
    folder = Path("data/features") / name
    folder.mkdir(parents=True, exist_ok=True)
    hidden = np.zeros((*s.boxes.shape[:2], 2), np.float32)
    for array, values in dict(hidden=hidden, logits=s.logits, boxes=s.boxes, image_id=s.image_ids).items():
        np.save(folder / f"{array}.npy", values)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_equal_pycocotools(stage, capsys):
    stage.refine = lambda logits: logits + np.random.default_rng(0).normal(0, 1, logits.shape).astype(np.float32)
    line = stage.module.main()
    metrics = json.loads(Path("metrics/evaluate.json").read_text())
    s = stage.views["test"]
    for name, logits in (("baseline", s.logits), ("refined", stage.refine(s.logits))):
        stats = pycocotools(s.ground_truth, detections(logits, s.boxes, s.sizes, s.image_ids)).stats
        found = metrics if name == "refined" else metrics["baseline"]
        assert [found[key] for key in ("mAP", "AP50", "AP75")] == pytest.approx(stats[:3].tolist(), abs=1e-6)
    assert metrics["delta"]["mAP"] == pytest.approx(metrics["mAP"] - metrics["baseline"]["mAP"], abs=2e-6)
    assert (
        set(metrics["baseline"])
        == set(metrics["delta"])
        == set(metrics)
        - {
            "baseline",
            "composite_steps",
            "delta",
            "interval",
            "temperature",
            "tempered_calibration_error",
            "threshold",
        }
    )
    assert metrics["interval"]["composite"]["low"] < metrics["interval"]["composite"]["high"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:3] == ["mAP", f"{metrics['baseline']['mAP']:.4f}", f"{metrics['mAP']:.4f}"]
    assert "95 % interval" in line


def test_identical_detectors(stage):
    line = stage.module.main()
    metrics = json.loads(Path("metrics/evaluate.json").read_text())
    assert set(metrics["delta"].values()) == {0}
    assert metrics["interval"]["mAP"] == {"low": 0, "high": 0}
    assert "includes 0" in line
    assert Path("plots/images/won.png").read_bytes() != Path("plots/images/lost.png").read_bytes()
    assert Path("plots/confusion_baseline.csv").read_bytes() == Path("plots/confusion_refined.csv").read_bytes()


def test_mirror_images_are_told_from_training(stage):
    """Without training, all of the difference is theirs; the baseline does not see them."""
    before = stage.module.main() and json.loads(Path("metrics/evaluate.json").read_text())
    for name, s in stage.views.items():
        noise = np.random.default_rng(5).normal(0, 0.01, s.boxes.shape).astype(np.float32)
        boxes = np.clip(s.boxes + noise, 0, 1)
        boxes[..., 0] = 1 - boxes[..., 0]
        cache(f"{name}_view1", s._replace(boxes=boxes))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("test_flips: none", "test_flips: horizontal"))
    line = stage.module.main()
    metrics = json.loads(Path("metrics/evaluate.json").read_text())
    assert metrics["baseline"] == before["baseline"]
    assert before["composite_steps"]["flips"] == {"delta": 0, "low": 0, "high": 0}
    steps = metrics["composite_steps"]
    assert steps["training"] == {"delta": 0, "low": 0, "high": 0}
    assert steps["flips"]["delta"] == pytest.approx(metrics["delta"]["composite"], abs=2e-6) != 0
    assert "(mirror images " in line


def test_tables(stage):
    stage.module.main()
    names = ["class0", "class1", "class2", "class3"]
    cells = rows("plots/confusion_refined.csv")
    assert [(r["actual"], r["predicted"]) for r in cells] == [
        (a, p) for a in [*names, "background"] for p in [*names, "background"]
    ]
    assert [(r["class"], r["detector"]) for r in rows("plots/per_class.csv")] == [
        (name, d)
        for name in names[:3]
        for d in ("baseline", "refined")  # class3 has no object
    ]
    curve = [r for r in rows("plots/pr.csv") if (r["class"], r["detector"]) == ("class0", "refined")]
    assert [r["recall"] for r in curve] == [f"{i / 25:.2f}" for i in range(26)]
    per_class = json.loads(Path("metrics/per_class.json").read_text())
    assert set(per_class) == set(names[:3])
    assert set(per_class["class0"]["baseline"]) == {"AP", "AP50", "AR", "recall"}


def test_same_bytes_twice(stage):
    stage.refine = lambda logits: logits[:, :, ::-1].copy()
    stage.module.main()
    first = {path: path.read_bytes() for folder in ("metrics", "plots") for path in Path(folder).rglob("*.*")}
    stage.module.main()
    assert len(first) == 11
    assert all(path.read_bytes() == content for path, content in first.items())


def test_thresholds_come_from_val(stage):
    s = stage.views["val"]
    stage.module.main()
    before = json.loads(Path("metrics/evaluate.json").read_text())["threshold"]
    cache("val", s._replace(logits=s.logits - 1))
    stage.module.main()
    after = json.loads(Path("metrics/evaluate.json").read_text())["threshold"]
    odds = [value["baseline"] / (1 - value["baseline"]) for value in (before, after)]
    assert odds[1] == pytest.approx(odds[0] / np.e, rel=1e-4)


def test_temperatures_come_from_val(stage):
    """As the thresholds: halved logits there need half the temperature, whatever test says."""
    s = stage.views["val"]
    found = []
    for logits in (s.logits, s.logits / 2):
        cache("val", s._replace(logits=logits))
        stage.module.main()
        found.append(json.loads(Path("metrics/evaluate.json").read_text())["temperature"])
    assert found[1]["baseline"] == pytest.approx(found[0]["baseline"] / 2, rel=0.02)


def test_refusals(stage):
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("dataset: toy", "dataset: other"))
    with pytest.raises(InputError, match=r"val\.json.*'toy'.*'other'"):
        stage.module.main()
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("dataset: other", "dataset: toy"))
    s = stage.views["test"]
    cache("test", s._replace(image_ids=s.image_ids + 1))
    with pytest.raises(InputError, match=r"features/test and .*test\.json.*same image ids"):
        stage.module.main()
    Path("data/coco/test.json").unlink()
    with pytest.raises(InputError, match=r"test\.json: no such file"):
        stage.module.main()
    assert not Path("metrics").exists()
