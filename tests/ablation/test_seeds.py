"""What differs between the seeds of an arm and what must not: order of the images, text of a control, resamples, rates."""

import numpy as np
import pytest
import torch
from ablation_sample import SEEDS, silent, small_params

from zerostart.ablation import cells
from zerostart.ablation.arms import ARMS, rates
from zerostart.ablation.cells import Cell, TestJudge, new_module, run_cells
from zerostart.params import Lambdas


def short(**changes):
    epochs = small_params().experiment.epochs.model_copy(update={"warmup": 1, "head": 1})
    return small_params(epochs=epochs).model_copy(update=changes)


@pytest.fixture
def runs(monkeypatch):
    """All runs that are trained, of both phases."""
    seen = []
    train = cells.train_phase
    monkeypatch.setattr(cells, "train_phase", lambda module, runs, *rest: seen.append(runs) or train(module, runs, *rest))
    return seen


def test_every_seed_has_its_own_order_and_its_own_images(runs):
    run_cells([Cell("no_text", 0.5)], silent(), short(lr_scales=[1.0, 2.0]))
    for of_phase in runs:
        assert [run.seed for run in of_phase] == [*range(SEEDS)] * 2
        subsets = [run.images if hasattr(run, "images") else run[3] for run in of_phase]
        assert not np.array_equal(subsets[0], subsets[1])
        assert np.array_equal(subsets[0], subsets[SEEDS])


def test_the_rate_with_the_best_mean_on_val_is_taken():
    given, params = silent(), small_params().model_copy(update={"lr_scales": [1e-6, 100.0, 1e-5]})
    (found,) = run_cells([Cell("no_text", 1.0)], given, params)
    means = found["val_composite"].mean(axis=1)
    assert means[1] > max(means[0], means[2]) + 0.05
    assert found["scale"] == 100


def test_every_seed_of_a_control_has_another_text():
    given = silent()
    texts = [new_module("isotropic", given, short(), seed).text for seed in range(SEEDS)]
    for seed, text in enumerate(texts):
        expected = torch.from_numpy(given.texts["isotropic"][seed])
        assert torch.allclose(torch.nn.functional.normalize(text, dim=1), torch.nn.functional.normalize(expected, dim=1))
    assert not torch.allclose(texts[0], texts[1])


def test_the_resamples_are_the_same_for_everything_that_is_compared():
    view = silent().test
    others = [TestJudge(view.view, _coco(view), Lambdas(map=0.7, ar_critical=0.3), samples=50) for _ in range(2)]
    assert np.array_equal(others[0].weights, others[1].weights)
    assert (others[0].weights[:, 0] == 1).all()  # first the images themselves
    assert np.array_equal(silent().test.weights, view.weights)


def _coco(judge: TestJudge) -> dict:
    """Ground truth of the same images without objects of interest."""
    names = ["a", "b", "c", "d", "e", "f"]
    images = [{"id": int(i), "file_name": f"{i}.png", "width": 40, "height": 40} for i in judge.view.image_id]
    record = {"id": 1, "image_id": 1, "category_id": 0, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    categories = [{"id": k, "name": name} for k, name in enumerate(names)]
    info = {"dataset": "toy", "critical": ["a"]}
    return {"info": info, "images": images, "annotations": [record], "categories": categories}


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_rates_of_both_phases(arm):
    """warmup and fusion for what is not the class head, head for its difference, all times the scale."""
    lr = small_params().experiment.lr.model_copy(update={"warmup": 1.0, "fusion": 10.0, "head": 100.0})
    params, given = short(), silent()
    given.texts.update(dict.fromkeys(("plain", "ensemble", "random_words"), given.texts["descriptive"]))
    module = new_module(arm, given, params, 0)
    warmup, tuning = rates(arm, module, params.experiment.model_copy(update={"lr": lr}), 2.0)
    heads = {name for name in tuning if name.startswith("head_delta")}
    assert tuning == {name: 200.0 if name in heads else 20.0 for name in tuning}
    assert warmup == dict.fromkeys(set(tuning) - heads or heads, 2.0)
    assert set(tuning) == {name for name, _ in module.named_parameters()} - set(ARMS[arm].untrained)
