"""The arms on toy problems whose answer is known: one where the text carries it, one where it does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from coco_samples import coco

from zerostart.ablation.arms import ARMS
from zerostart.ablation.cells import Cell, Problem, TestJudge, run_cells
from zerostart.ablation.control_texts import CONTROLS
from zerostart.ablation.params import load_ablation_params
from zerostart.ablation.report import difference, verdict
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


def telling() -> Problem:
    """Six texts in three dimensions, and features that are a linear image of them: four classes tell of the other two."""
    text = unit(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, 0], [0, -1, -1], [-1, 0.5, -1]], float))
    to_visual = np.linalg.qr(np.random.default_rng(7).normal(size=(VISUAL, 3)))[0]
    return problem(text, 3 * text @ to_visual.T, noise=0.2, seen=[0, 1, 2, 3])


def silent() -> Problem:
    """Texts that have nothing to do with the features, of which every class is seen."""
    text = unit(np.random.default_rng(5).normal(size=(len(CLASSES), 64)))
    directions = 3 * np.linalg.qr(np.random.default_rng(8).normal(size=(VISUAL, VISUAL)))[0][: len(CLASSES)]
    return problem(text, directions, noise=1.0, seen=list(range(6)))


def run(arms, given, params):
    return {Cell(arm, 1.0): run_cells([Cell(arm, 1.0)], given, params)[0] for arm in arms}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_real_text_beats_its_controls_where_it_carries_the_answer():
    given = telling()
    cells = run(["text_descriptive", "shuffled", "isotropic", "no_text"], given, small_params())
    text = cells[Cell("text_descriptive", 1.0)]
    baseline = {f"test_{key}": values for key, values in given.test(given.test.view.logits).items()}
    for control in ("shuffled", "isotropic", "no_text"):
        found = difference(text, cells[Cell(control, 1.0)])
        assert found.interval.low > 0.02
    assert verdict(cells, baseline).startswith("Text beats all of its 3 controls")


def test_no_embedding_beats_another_where_it_says_nothing():
    given = silent()
    cells = run(["text_descriptive", "shuffled", "isotropic", "no_text"], given, small_params())
    baseline = {f"test_{key}": values for key, values in given.test(given.test.view.logits).items()}
    text = cells[Cell("text_descriptive", 1.0)]
    assert difference(text, baseline).interval.low > 0.1  # it learned, as all of them
    for control in ("shuffled", "isotropic"):
        low, high = difference(text, cells[Cell(control, 1.0)]).interval
        assert low <= 0 <= high
    assert "beats all" not in verdict(cells, baseline)


def test_every_arm_runs_alone_as_in_a_batch_with_others():
    given, params = telling(), small_params(bootstrap_samples=100)
    params = params.model_copy(update={"lr_scales": [1.0, 100.0], "seeds": 2})
    given.texts.update(
        plain=given.texts["descriptive"], ensemble=given.texts["descriptive"], random_words=given.texts["isotropic"]
    )
    alone = run(["text_plain", "shuffled", "fixed_tau"], given, params)
    together = run_cells(list(alone), given, params)
    for single, batched in zip(alone.values(), together, strict=True):
        assert single.keys() == batched.keys()
        for name, values in single.items():
            np.testing.assert_allclose(batched[name], values, atol=2e-3)
    others = run([arm for arm in ARMS if arm not in ("text_plain", "shuffled", "fixed_tau")], given, params)
    for cell, arrays in (alone | others).items():
        assert arrays["val_composite"].shape == (2, 2)
        assert arrays["test_composite"].shape == (2, 101)
        assert arrays["alpha"].shape == (2, 16 + 3)
        assert np.isfinite(arrays["test_composite"]).all()
        assert np.ptp(arrays["alpha"]) == 0 if cell.arm in ("no_text", "extra_linear", "affine", "alpha_zero") else True


def test_the_learning_rate_is_chosen_on_val():
    params = small_params().model_copy(update={"lr_scales": [1e-6, 100.0]})
    arrays = run_cells([Cell("no_text", 1.0)], telling(), params)[0]
    slow, fast = arrays["val_composite"].mean(axis=1)
    assert fast > slow + 0.05
    assert arrays["scale"] == 100


def test_a_fraction_makes_as_many_steps_with_fewer_images():
    given, params = silent(), small_params()
    few = run_cells([Cell("no_text", 0.1)], given, params)[0]
    everything = run_cells([Cell("no_text", 1.0)], given, params)[0]
    assert few["test_composite"][:, 0].mean() < everything["test_composite"][:, 0].mean() - 0.005
