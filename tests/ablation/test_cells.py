"""The arms on toy problems whose answer is known: one where the text carries it, one where it does not."""

import numpy as np
import pytest
import torch
from ablation_sample import VISUAL, problem, silent, small_params, unit

from zerostart.ablation.arms import ARMS
from zerostart.ablation.cells import Cell, Problem, run_cells
from zerostart.ablation.report import difference, verdict


def telling() -> Problem:
    """Six texts in three dimensions, and features that are a linear image of them: four classes tell of the other two."""
    text = unit(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, 0], [0, -1, -1], [-1, 0.5, -1]], float))
    to_visual = np.linalg.qr(np.random.default_rng(7).normal(size=(VISUAL, 3)))[0]
    return problem(text, 3 * text @ to_visual.T, noise=0.2, seen=[0, 1, 2, 3])


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
