"""The stage `decoder_tuning` on a handful of images: what it writes, what it leaves alone, and what `evaluate` makes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from pipeline_sample import change_params, tree
from safetensors.torch import load_file
from stage_files import run_stage_file as run_stage
from tiny_detector import CLASSES, same_state, tiny_detector, write_images, zero_start_fusion
from toy_cache import ROOT

from zerostart.cache.views import load_view
from zerostart.cache.writing import write_view
from zerostart.detector.model import load_detector, save_detector
from zerostart.errors import InputError
from zerostart.method.checkpoint import load_fusion, save_fusion
from zerostart.method.training import refined_logits

COUNT = 6
PARAMS = {
    "dataset": "toy",
    "augment_views": 1,
    "test_flips": "horizontal",
    "batch_size": 4,
    "bootstrap_samples": 100,
    "decoder": {"batch_size": 4, "accumulate": 1, "ema_decay": 0.5, "launcher": "python"},
}
ON = {"epochs": {"warmup": 0, "head": 0, "decoder": 2}, "lr": {"warmup": 0.01, "fusion": 0.01, "head": 0.01, "decoder": 0.01}}


@pytest.fixture
def experiment(tmp_path) -> Path:
    """A folder in which all stages up to head tuning have run on images of noise, phase 3 switched on."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(yaml.safe_load((ROOT / "params.yaml").read_text()) | PARAMS | ON))
    save_detector(tiny_detector(), tmp_path / "data/baseline")
    coco = write_images(tmp_path / "data/raw/toy", COUNT)
    for image in coco["images"]:
        box = {"bbox": [20, 10, 30, 20], "area": 600, "iscrowd": 0, "category_id": image["id"] % 2}
        coco["annotations"].append(box | {"id": image["id"], "image_id": image["id"]})
    coco["categories"] = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    coco["info"] = {"dataset": "toy", "critical": CLASSES[:1]}
    (tmp_path / "data/coco").mkdir()
    for split in ("train", "val", "test"):
        (tmp_path / f"data/coco/{split}.json").write_text(json.dumps(coco))
    (tmp_path / "models/head_tuning").mkdir(parents=True)
    save_fusion(zero_start_fusion(), tmp_path / "models/head_tuning")
    run_stage("features", tmp_path)
    return tmp_path


@pytest.fixture
def rising(monkeypatch):
    """Every epoch scores better than the one before: the last one is chosen."""
    scored = []

    def score(self, logits):
        scored.append(np.asarray(logits))
        return {"mAP": 0.5, "AR_critical": 0.5, "composite": 0.1 * len(scored)}

    monkeypatch.setattr("zerostart.method.training.ValidationScore.__call__", score)
    return scored


def test_the_decoder_changes_and_backbone_and_encoder_keep_their_bytes(experiment, rising):
    baseline = tree(experiment, "data/baseline")
    line = run_stage("decoder_tuning", experiment)
    assert line.startswith("models/decoder_tuning: epoch 2 of 2 chosen, composite on val 0.1000 -> 0.3000; see plots/")
    assert tree(experiment, "data/baseline") == baseline
    found = tree(experiment, "models/decoder_tuning")
    names = ["config.json", "fusion.json", "fusion.safetensors", "model.safetensors"]
    assert sorted(found) == [f"models/decoder_tuning/{name}" for name in names]
    assert found["models/decoder_tuning/config.json"] == baseline["data/baseline/config.json"]
    before, after = (load_file(experiment / folder / names[-1]) for folder in ("data/baseline", "models/decoder_tuning"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert not [name for name in changed if name.startswith(("model.conv_encoder", "model.encoder"))]
    assert not [name for name in after if after[name].dtype != before[name].dtype]


def test_what_is_written_is_what_was_scored(experiment, rising):
    run_stage("decoder_tuning", experiment)
    scored = rising[-1]
    detector = load_detector(experiment / "models/decoder_tuning", CLASSES)
    assert not same_state(detector.state_dict(), load_detector(experiment / "data/baseline", CLASSES).state_dict())
    coco = json.loads((experiment / "data/coco/val.json").read_text())
    write_view(experiment / "again/val", detector, coco, experiment / "data/raw/toy")
    fusion = load_fusion(experiment / "models/decoder_tuning", CLASSES)
    np.testing.assert_allclose(refined_logits(fusion, load_view(experiment / "again", "val")), scored, atol=1e-4)


def test_same_bytes_twice_and_nothing_else(experiment, rising):
    folders = ("models", "plots", "metrics")
    run_stage("decoder_tuning", experiment)
    first = tree(experiment, *folders)
    assert not [name for name in first if ".tmp" in name]
    rising.clear()
    run_stage("decoder_tuning", experiment)
    assert tree(experiment, *folders) == first


def test_switched_off_it_passes_on_what_head_tuning_chose(experiment):
    change_params(experiment, epochs={"warmup": 0, "head": 0, "decoder": 0})
    run_stage("decoder_tuning", experiment)
    chosen, passed_on = (tree(experiment, f"models/{name}") for name in ("head_tuning", "decoder_tuning"))
    assert list(passed_on.values()) == list(chosen.values())
    metrics = json.loads((experiment / "metrics/decoder_tuning.json").read_text())
    assert (metrics["epochs"], metrics["best_epoch"], metrics["trainable_parameters"]) == (0, 0, 0)


def test_an_epoch_0_that_stays_the_best_leaves_the_detector_as_it_was(experiment, monkeypatch):
    worse = {"mAP": 0.5, "AR_critical": 0.5, "composite": 0.5}
    monkeypatch.setattr("zerostart.method.training.ValidationScore.__call__", lambda self, logits: worse)
    run_stage("decoder_tuning", experiment)
    assert sorted(path.name for path in (experiment / "models/decoder_tuning").iterdir()) == [
        "fusion.json",
        "fusion.safetensors",
    ]


def test_the_evaluation_uses_the_tuned_detector(experiment, rising):
    run_stage("decoder_tuning", experiment)
    run_stage("evaluate", experiment)
    tuned = json.loads((experiment / "metrics/evaluate.json").read_text())
    for name in ("config.json", "model.safetensors"):  # the same fusion on the frozen detector
        (experiment / "models/decoder_tuning" / name).unlink()
    run_stage("evaluate", experiment)
    frozen = json.loads((experiment / "metrics/evaluate.json").read_text())
    assert tuned["baseline"] == frozen["baseline"]
    assert tuned["composite_steps"]["flips"] == frozen["composite_steps"]["flips"]
    assert list(tuned["composite_steps"]) == ["decoder", "flips", "training"]
    assert list(frozen["composite_steps"]) == ["flips", "training"]
    assert tuned["composite_steps"]["training"]["delta"] == 0  # head tuning's choice is the baseline here
    gained = sum(step["delta"] for step in tuned["composite_steps"].values())
    assert gained == pytest.approx(tuned["delta"]["composite"], abs=3e-6)
    assert tuned["calibration_error"] != frozen["calibration_error"]
    assert not [path for path in (experiment / "data").iterdir() if path.name.startswith(".tmp")]


def test_too_few_images_are_refused_before_anything_is_computed(experiment):
    change_params(experiment, decoder=PARAMS["decoder"] | {"batch_size": 16})
    with pytest.raises(InputError, match=r"'decoder.batch_size' is 16, but there are only 12 training images"):
        run_stage("decoder_tuning", experiment)
    assert sorted(path.name for path in (experiment / "models").iterdir()) == ["head_tuning"]
