"""Detector training from its parameter file to the files it leaves, on a handful of drawn images."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from zerostart.detector_training import run as detector_run
from zerostart.drawing.synthetic import CLASSES, generate
from zerostart.errors import InputError
from zerostart.weights import CLASS_HEADS

ROOT = Path(__file__).parents[2]
TINY = {
    "image_size": 64,
    "num_queries": 5,
    "num_denoising": 4,
    "epochs": 2,
    "zoom_epochs": 1,
    "batch_size": 8,
    "warmup_steps": 1,
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/synthetic").mkdir(parents=True)
    generate(tmp_path / "data/raw/synthetic", seed=3, images=60, workers=1)
    shutil.copytree(ROOT / "data/datasets", tmp_path / "data/datasets")
    blocks = yaml.safe_load((ROOT / "pipelines/detector/params.yaml").read_text())
    blocks["datasets"]["synthetic"] |= TINY | {"extra_images": 0}
    (tmp_path / "pipelines/detector").mkdir(parents=True)
    (tmp_path / "pipelines/detector/params.yaml").write_text(yaml.safe_dump(blocks))
    return tmp_path


def run_detector(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["detector.py", *arguments])
    return runpy.run_path(str(ROOT / "src/stages/detector/detector.py"))["main"]()


def test_detector_leaves_a_baseline_its_curve_and_its_metrics(workplace, monkeypatch):
    line = run_detector(monkeypatch, "synthetic")
    assert line.startswith("models/detector/synthetic: epoch ")
    config = json.loads(Path("models/detector/synthetic/config.json").read_text())
    assert list(config["id2label"].values()) == list(CLASSES)
    assert pd.read_csv("plots/detector_synthetic.csv")["epoch"].tolist() == [1, 2]
    assert set(json.loads(Path("metrics/detector_synthetic.json").read_text())["test"]) == {"mAP", "AP50", "AP75"}
    assert not list(workplace.glob("**/.tmp-*"))


def test_shipped_parameters_are_valid():
    for dataset in ("synthetic", "neu-det"):
        detector_run.load_training_params(ROOT / "pipelines/detector/params.yaml", dataset)


@pytest.mark.parametrize("frozen", [False, True])
def test_training_may_start_from_a_baseline_of_other_classes(frozen):
    params = detector_run.load_training_params(ROOT / "pipelines/detector/params.yaml", "synthetic")
    params = params.model_copy(update={"init": str(ROOT / "data/baselines/synthetic"), "freeze_batch_norm": frozen})
    model = detector_run.new_state(params, ["bolt", "nut", "washer"], torch.device("cpu")).model
    shipped = load_file(ROOT / "data/baselines/synthetic/model.safetensors")
    own = model.state_dict()
    compared = [name for name in shipped if not name.endswith("num_batches_tracked")]
    other = {name for name in compared if not torch.equal(own[name], shipped[name])}
    assert other and all(CLASS_HEADS.search(name) for name in other)
    with pytest.raises(InputError, match=r"datasets: no readable model.safetensors"):
        detector_run.starting_weights(ROOT / "data/datasets")


def test_bad_parameters_are_named(workplace, monkeypatch):
    with pytest.raises(InputError, match=r"no block for the data set 'steel'; there are neu-det, synthetic"):
        run_detector(monkeypatch, "steel")
    text = Path("pipelines/detector/params.yaml").read_text()
    Path("pipelines/detector/params.yaml").write_text(text.replace("  ema_decay", "  ema_decai"))
    with pytest.raises(InputError, match=r"block 'synthetic': .*unknown parameter 'ema_decai'"):
        run_detector(monkeypatch, "synthetic")


def test_extra_images_are_none_of_the_data_set():
    images, targets = detector_run.extra_images(5, 64)
    assert tuple(images.shape) == (5, 3, 64, 64) and len(targets) == 5
    assert detector_run.EXTRA_SEED != 0  # the data set's own seed
