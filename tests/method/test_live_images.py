"""Training with the detector at every step: the cache's numbers as long as nothing is augmented."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_detector import CLASSES, SIZE, same_state, tiny_detector, write_images

from zerostart.cache.views import load_view, view_name
from zerostart.cache.writing import write_view
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.detector.model import save_detector
from zerostart.detector.pixels import brightness_and_contrast, image_batches
from zerostart.method.cached_images import CachedImages
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.method.live_images import LiveImages
from zerostart.method.phase import training_images
from zerostart.method.training import Run, Schedule, ValidationScore, refined_logits, train_phase
from zerostart.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
COUNT = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The same images and objects, cached (plain and mirrored) and live, and the detector."""
    folder = tmp_path_factory.mktemp("live")
    coco = write_images(folder / "raw", COUNT)
    model = tiny_detector()
    generator = torch.Generator().manual_seed(2)
    objects = [
        {
            "class_labels": torch.randint(len(CLASSES), (count,), generator=generator),
            "boxes": 0.3 + 0.2 * torch.rand(count, 4, generator=generator),
        }
        for count in (2, 0, 1, 3, 1, 2)
    ]
    for view in (0, 1):
        write_view(folder / str(view), model, coco, folder / "raw", FLIPS[view])
    of_view = [flip_targets(objects, FLIPS[view]) for view in (0, 1)]
    cached = CachedImages([load_view(folder, str(view)) for view in (0, 1)], of_view)

    def live(photometric=0.0):
        return LiveImages(model, coco, folder / "raw", of_view, photometric, seed=0)

    return cached, live, model, coco, folder


def test_a_batch_is_the_cache_s(world):
    cached, live, *_ = world
    items = np.array([7, 0, 3, 3, 11, 5])
    for found, expected in zip(live().batch(items)[:2], cached.batch(items)[:2], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for found, expected in zip(live().batch(items).targets, cached.batch(items).targets, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_the_parameter_live_chooses_it(world, monkeypatch):
    *_, model, coco, folder = world
    monkeypatch.chdir(folder)
    save_detector(model, Path("data/baseline"))
    shutil.copytree("raw", "data/raw/toy")
    for view in (0, 1):
        shutil.copytree(str(view), Path("data/features") / view_name("train", view))
    boxes = [{"id": 1, "image_id": coco["images"][1]["id"], "category_id": 2, "bbox": [20, 12, 40, 24], "iscrowd": 0}]
    fusion = Fusion(FusionConfig.from_params(PARAMS, CLASSES, 64, 12), torch.randn(len(CLASSES), 12))
    params = [PARAMS.model_copy(update={"dataset": "toy", "augment_views": 1, "live": live}) for live in (False, True)]
    found = [training_images(coco | {"annotations": boxes}, fusion, given) for given in params]
    assert [type(images) for images in found] == [CachedImages, LiveImages]
    expected, seen = (images.batch(np.array([1, 7, 2])) for images in found)
    torch.testing.assert_close(seen.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen.targets.iou, expected.targets.iou, rtol=1e-3, atol=1e-4)
    assert seen.targets.label.tolist() == [2, 2]


def test_trained_live_is_trained_on_the_cache_and_the_detector_stays(world):
    cached, live, model, coco, folder = world
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    text = torch.randn(len(CLASSES), 12, generator=torch.Generator().manual_seed(0))
    view = load_view(folder, "0")
    boxes = [[4, 4, 30, 20], [10, 8, 20, 20], [2, 2, 50, 30]]
    annotations = [
        {"id": i + 1, "image_id": image["id"], "category_id": i % 3, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, (image, box) in enumerate(zip(coco["images"][: len(boxes)], boxes, strict=True))
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
    truth = coco | {"annotations": annotations, "categories": categories, "info": {"critical": CLASSES[:1]}}
    score = ValidationScore(view, truth, PARAMS.lambdas)
    config = FusionConfig.from_params(PARAMS, CLASSES, view.hidden.shape[2], 12)
    trained = []
    for images in (cached, live()):
        fusion = Fusion(config, text).initialize(PARAMS)
        rates = dict.fromkeys([*fusion.fusion_parameters(), *fusion.head_parameters()], 0.01)
        (result,) = train_phase(fusion, [Run(fusion.state_dict(), rates, 0)], images, score, Schedule(4, 9, 4, 1e-4))
        fusion.load_state_dict(result.best_state)
        trained.append((result, refined_logits(fusion.eval(), view)))
    (first, expected), (second, found) = trained
    assert [row["loss"] for row in second.history] == pytest.approx([row["loss"] for row in first.history], rel=1e-3)
    assert first.best_epoch == second.best_epoch
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert same_state(before, model.state_dict()) and not model.training


def test_photometric_changes_differ_from_step_to_step_and_follow_the_seed(world):
    _, live, *_ = world
    items = np.arange(3)
    augmented, again = live(1.0), live(1.0)
    first, second = augmented.batch(items), augmented.batch(items)
    assert not torch.allclose(first.logits, live().batch(items).logits, atol=1e-3)
    assert not torch.allclose(first.logits, second.logits, atol=1e-3)
    assert torch.equal(again.batch(items).logits, first.logits)


def test_brightness_and_contrast_stay_in_their_bounds(world):
    *_, coco, folder = world
    (pictures,) = image_batches(coco, folder / "raw", SIZE, COUNT)
    pixels = 0.3 + 0.4 * pictures.float() / 255
    changed = brightness_and_contrast(pixels, 1.0, torch.Generator().manual_seed(0))
    shift = (changed.mean(dim=(1, 2, 3)) - pixels.mean(dim=(1, 2, 3))).abs()
    assert 0 < shift.max() <= 0.121
    contrast = changed.std(dim=(1, 2, 3)) / pixels.std(dim=(1, 2, 3))
    assert 0.74 < contrast.min() < 1 < contrast.max() < 1.26
    assert torch.equal(brightness_and_contrast(pixels, 0.0, torch.Generator()), pixels)
