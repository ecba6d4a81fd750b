"""The parameter `baseline`: what it finds, what the stage makes of it, and the sentence where there is nothing."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from official_checkpoint import BASE, CARD, CLASSES, NAMES, SIZE, VARIANTS, random_weights
from safetensors.torch import save_file
from stage_files import run_stage_file
from tiny_detector import CLASSES as THREE
from tiny_detector import random_pixels, tiny_detector
from toy_cache import ROOT

from zerostart.detector.baselines import find_baseline, write_baseline
from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import load_detector, save_detector
from zerostart.errors import InputError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache of one's own, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(hub: Path, name: str) -> Path:
    """The empty snapshot of a model in the hub cache."""
    repository = hub / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("a" * 40)
    (repository / "snapshots" / ("a" * 40)).mkdir(parents=True)
    return repository / "snapshots" / ("a" * 40)


def test_auto_is_the_data_sets_own():
    assert find_baseline("auto", "neu-det") == Path("data/baselines/neu-det")


def test_a_folder_is_itself(tmp_path):
    assert find_baseline(str(tmp_path), "neu-det") == tmp_path


def test_a_hub_model_comes_from_the_cache(hub):
    folder = cached(hub, "Some-One/a_model.v2")
    assert find_baseline("Some-One/a_model.v2", "neu-det") == folder


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ("Intellindust/DEIMv2_HGNetv2_N_COCO", "no such folder, not in the local hub cache, and the hub does not give it"),
        ("data/baselines/none", "no such folder; 'auto', a local folder or a hub id OWNER/NAME"),
        ("runs/best_stg1.pth", "`python -m zerostart.convert runs/best_stg1.pth --config YAML --card toy"),
        (__file__, "a file; `python -m zerostart.convert"),
    ],
)
def test_what_is_not_there_is_told(hub, baseline, message):
    with pytest.raises(InputError, match=message):
        find_baseline(baseline, "toy")


# --- Writing it


def test_a_folder_is_copied_as_it_is(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    save_detector(tiny_detector(), source)
    (source / "notes.txt").write_text("not copied")
    write_baseline(source, THREE, target)
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "model.safetensors"]
    assert all(path.read_bytes() == (source / path.name).read_bytes() for path in target.iterdir())


def test_other_classes_are_refused_here(tmp_path):
    save_detector(tiny_detector(), tmp_path)
    with pytest.raises(InputError, match="was trained for the classes"):
        write_baseline(tmp_path, ["crack", "dent"], tmp_path)


def official_on_the_hub(folder: Path, classes: int) -> Path:
    """What the official project publishes: its sections as config.json, its names, tensors with two names once."""
    sections = {name: BASE.get(name, {}) | VARIANTS["s"][name] for name in ("DINOv3STAs", "HybridEncoder", "DEIMTransformer")}
    own = sections["DEIMTransformer"] | {"num_classes": classes, "eval_spatial_size": [SIZE, SIZE]}
    (folder / "config.json").write_text(json.dumps({"config": {}} | sections | {"DEIMTransformer": own}))
    weights = random_weights("s", classes=classes)
    del weights["decoder.decoder.up"], weights["decoder.decoder.reg_scale"]
    save_file(weights, folder / "model.safetensors")
    return folder


def test_an_official_hub_model_is_converted(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    write_baseline(official_on_the_hub(tmp_path, CLASSES), NAMES, target)
    model = load_detector(target, NAMES)
    assert model.config.image_mean == [0.485, 0.456, 0.406]
    with torch.no_grad():
        assert model(pixel_values=random_pixels()).logits.shape == (2, 20, CLASSES)


def test_an_official_hub_model_of_coco_is_for_cocos_classes(tmp_path):
    official_on_the_hub(tmp_path, 80)
    with pytest.raises(InputError, match=r"was trained for COCO's 80 classes, but the data set has \['class0'"):
        write_baseline(tmp_path, NAMES, tmp_path)
    target = tmp_path / "target"
    target.mkdir()
    write_baseline(tmp_path, COCO_CLASSES, target)
    assert load_detector(target, list(COCO_CLASSES)).config.id2label[0] == "person"


def test_damaged_hub_weights_are_told(tmp_path):
    (official_on_the_hub(tmp_path, CLASSES) / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        write_baseline(tmp_path, NAMES, tmp_path)


# --- The stage


def run_stage(folder: Path, **changes) -> str:
    """The stage `baseline` in a folder of its own with a card of three classes."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": "toy"} | changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "data/datasets").mkdir(parents=True, exist_ok=True)
    card = CARD | {"classes": list(THREE), "critical": [THREE[0]]}
    (folder / "data/datasets/toy.yaml").write_text(yaml.safe_dump(card))
    return run_stage_file("baseline", folder)


def test_the_stage_takes_the_one_that_is_meant(tmp_path):
    for seed, place in enumerate(("data/baselines/toy", "data/baselines/mine", "elsewhere")):
        save_detector(tiny_detector(seed=seed), tmp_path / place)
    assert run_stage(tmp_path) == "data/baseline: from data/baselines/toy"
    for place, note in (("data/baselines/toy", ""), ("data/baselines/mine", ""), ("elsewhere", "; DVC sees changes")):
        assert run_stage(tmp_path, baseline=place).startswith(f"data/baseline: from {place}{note}")
        written = (tmp_path / "data/baseline/model.safetensors").read_bytes()
        assert written == (tmp_path / place / "model.safetensors").read_bytes()


def test_a_refused_baseline_leaves_the_former_one(tmp_path):
    save_detector(tiny_detector(), tmp_path / "data/baselines/toy")
    run_stage(tmp_path)
    before = (tmp_path / "data/baseline/config.json").read_bytes()
    with pytest.raises(InputError, match="no such folder"):
        run_stage(tmp_path, baseline="data/baselines/none")
    assert (tmp_path / "data/baseline/config.json").read_bytes() == before
