"""The files that a training phase reads and leaves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_cache import CLASSES, VISUAL, write_cache

from zerostart.cache.views import load_view
from zerostart.errors import InputError
from zerostart.method import phase as phases
from zerostart.method.checkpoint import load_fusion
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.method.phase import run_phase
from zerostart.method.training import refined_logits
from zerostart.params import load_params

TEXT = torch.randn(len(CLASSES), 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_cache(tmp_path)
    return tmp_path


def run(epochs=3, lr=0.01, visual_dim=VISUAL, **changes):
    """Run a phase called `toy` that trains the fusion; returns its line."""
    params = load_params().model_copy(update=changes)
    config = FusionConfig.from_params(params, CLASSES, visual_dim, TEXT.shape[1])
    fusion = Fusion(config, TEXT).initialize(params)
    return run_phase("toy", fusion, dict.fromkeys(fusion.fusion_parameters(), lr), epochs, params)


def written() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for name in ("models", "plots", "metrics") for p in Path(name).rglob("*") if p.is_file()}


def test_files_and_what_they_say():
    line = run(epochs=6)
    assert sorted(written()) == [
        "metrics/toy.json",
        "models/toy/fusion.json",
        "models/toy/fusion.safetensors",
        "plots/toy.csv",
    ]
    metrics = json.loads(Path("metrics/toy.json").read_text())
    with open("plots/toy.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "mAP", "AR_critical", "composite", "alpha", "tau"]
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(7)]
    best = max(rows, key=lambda row: float(row["composite"]))
    assert (metrics["best_epoch"], metrics["epochs"]) == (int(best["epoch"]), 6)
    assert metrics["best_epoch"] > 0
    assert metrics["trainable_parameters"] == 8 * 12 + 12 + 2
    assert metrics["val"] == {name: float(best[name]) for name in ("mAP", "AR_critical", "composite")}
    assert (f"{metrics['alpha']:.6f}", f"{metrics['tau']:.6f}") == (best["alpha"], best["tau"])
    start = float(rows[0]["composite"])
    chosen = f"epoch {best['epoch']} of 6 chosen, composite on val {start:.4f} -> {metrics['val']['composite']:.4f}"
    assert line == f"models/toy: {chosen}; see plots/toy.csv"


def test_the_checkpoint_has_the_alpha_of_the_chosen_epoch():
    run()
    fusion = load_fusion("models/toy", CLASSES)
    assert fusion.alpha.item() == pytest.approx(json.loads(Path("metrics/toy.json").read_text())["alpha"], abs=1e-6)


def test_no_epoch_leaves_the_baseline():
    run(epochs=0)
    assert json.loads(Path("metrics/toy.json").read_text())["best_epoch"] == 0
    view = load_view("data/features", "test")
    assert np.array_equal(refined_logits(load_fusion("models/toy", CLASSES), view), view.logits)


def test_same_bytes_twice():
    run()
    first = written()
    run()
    assert written() == first
    run(seed=1)
    assert written() != first


def test_the_mirrored_view_is_trained_on_mirrored_objects(monkeypatch):
    """Its boxes are mirrored as well, hence the IoUs with the objects are those of the plain view."""
    given = []
    monkeypatch.setattr(phases, "train_phase", lambda fusion, runs, images, *_: given.append(images) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run()
    (images,) = given
    assert images.views == 2
    plain, mirrored = np.split(images.iou, 2)
    assert plain.max() > 0.8
    np.testing.assert_allclose(plain, mirrored, rtol=1e-4, atol=1e-5)
    with pytest.raises(ZeroDivisionError):
        run(augment_views=0)
    assert given[1].views == 1


def replace(name: str, values: np.ndarray) -> None:
    np.save(f"data/features/{name}.npy", values)


def refusal(**changes) -> str:
    with pytest.raises(InputError) as refused:
        run(**changes)
    assert written() == {}
    return str(refused.value)


def test_a_view_that_was_not_cached_is_refused():
    assert refusal(augment_views=2) == "data/features/train_view2/hidden.npy: no such file; the stage `features` writes it"


@pytest.mark.parametrize("split, view", [("train", "train"), ("train", "train_view1"), ("val", "val")])
def test_a_cache_of_other_images_is_refused(split, view):
    for changed in (np.arange(24)[::-1] + 1, np.arange(24) + 2):
        replace(f"{view}/image_id", changed)
        assert refusal() == f"data/features/{view}: other images, or in another order, than in data/coco/{split}.json"


def test_a_cache_of_another_detector_is_refused():
    expected = "data/features/train: (8, 3) features and classes per query; (16, 3) are expected"
    assert refusal(visual_dim=16) == expected
    replace("val/logits", np.zeros((24, 6, 4), np.float32))
    assert refusal() == "data/features/val: (8, 4) features and classes per query; (8, 3) are expected"


def test_ground_truth_without_an_object_names_its_file():
    path = Path("data/coco/val.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    assert refusal() == "data/coco/val.json: the ground truth has no object; at least one is expected"


def test_a_failed_phase_leaves_the_last_one_s_files():
    run()
    before = written()
    hidden = np.load("data/features/train/hidden.npy")
    hidden[0, 0, 0] = np.inf
    replace("train/hidden", hidden)
    with pytest.raises(InputError, match="epoch 0: the loss is nan"):
        run()
    assert written() == before
