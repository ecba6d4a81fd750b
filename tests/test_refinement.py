"""Training on the cache: what it improves, what it chooses, what it leaves alone."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_cache import CLASSES, VISUAL, toy_split

from zerostart import refinement
from zerostart.coco_metrics import composite, detections, evaluate_coco, image_sizes
from zerostart.errors import InputError
from zerostart.feature_cache import View
from zerostart.fusion import TAU_RANGE, Fusion, FusionConfig
from zerostart.params import load_params
from zerostart.refinement import (
    TrainingView,
    ValidationScore,
    mean_loss,
    refined_logits,
    shuffled_batches,
    train_phase,
    trainable_parameters,
)
from zerostart.splits import split_targets

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")
TEXT = torch.randn(len(CLASSES), 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def train():
    view, coco = toy_split(1)
    return [TrainingView(view, split_targets(coco))]


@pytest.fixture(scope="module")
def score():
    return ValidationScore(*toy_split(2), PARAMS.lambdas)


def new_fusion(**changes) -> Fusion:
    params = PARAMS.model_copy(update=changes)
    return Fusion(FusionConfig.from_params(params, CLASSES, VISUAL, TEXT.shape[1]), TEXT).initialize(params)


def groups_of(fusion: Fusion, lr: float, head=False) -> list[dict]:
    groups = [{"params": fusion.fusion_parameters(), "lr": lr}]
    return [*groups, {"params": fusion.head_parameters(), "lr": lr}] if head else groups


def run(fusion, views, score, lr=0.01, epochs=5, patience=50, head=False, seed=0):
    groups = groups_of(fusion, lr, head)
    return train_phase(fusion, groups, views, score, epochs, patience, batch_size=8, weight_decay=1e-4, seed=seed)


class ScriptedScore:
    """A composite for each epoch, whatever was learned."""

    def __init__(self, *composites):
        self.composites = iter(composites)

    def __call__(self, fusion):
        return {"mAP": 0.0, "AR_critical": 0.0, "composite": next(self.composites)}


def state(fusion) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in fusion.state_dict().items()}


def equal(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("head", [False, True], ids=["warmup", "head"])
def test_training_raises_the_composite_on_val(train, score, head):
    fusion = new_fusion()
    result = run(fusion, train, score, epochs=15, head=head)
    start, best = result.history[0]["composite"], result.best["composite"]
    assert best > start + 0.1
    assert result.history[-1]["loss"] < 0.9 * result.history[0]["loss"]
    assert equal(fusion.state_dict(), result.best_state)
    assert score(fusion) == result.best
    assert result.best["composite"] == max(row["composite"] for row in result.history)


def test_epoch_zero_is_the_baseline(train, score):
    view = score.view
    result = run(new_fusion(), train, score, epochs=0)
    assert (result.best_epoch, len(result.history)) == (0, 1)
    fusion = new_fusion()
    assert np.array_equal(refined_logits(fusion, view.hidden, view.logits), view.logits)
    assert result.history[0] == pytest.approx(
        {"epoch": 0, "loss": mean_loss(fusion, train, 8), **score(fusion), "alpha": 0.0, "tau": 0.07}
    )


def test_the_score_equals_the_judge(score):
    view, coco = toy_split(2)
    found = detections(view.logits, view.boxes, image_sizes(coco, view.image_id), view.image_id)
    judged = evaluate_coco(coco, found, coco["info"]["critical"], PARAMS.lambdas)
    scores = score(new_fusion())
    assert scores == pytest.approx({name: getattr(judged, name) for name in scores}, abs=1e-9)
    assert scores["composite"] == pytest.approx(composite(scores["mAP"], scores["AR_critical"], PARAMS.lambdas))


def test_an_absurd_learning_rate_leaves_the_start(train):
    """The detector is already perfect on val, so that everything else is worse."""
    view, coco = toy_split(2)
    logits = np.full_like(view.logits, -8)
    for image, target in enumerate(split_targets(coco)):
        labels = target["class_labels"].numpy()
        logits[image, np.arange(len(labels)), labels] = 8
    perfect = ValidationScore(View(view.hidden, logits, view.boxes, view.image_id), coco, PARAMS.lambdas)
    fusion = new_fusion()
    before = state(fusion)
    result = run(fusion, train, perfect, lr=100.0, epochs=3, head=True)
    assert result.best_epoch == 0
    assert all(row["composite"] < result.best["composite"] for row in result.history[1:])
    assert equal(fusion.state_dict(), before)
    assert perfect(fusion) == result.best


def test_patience_and_ties(train):
    """Epoch 1 is the best, epoch 2 equals it, and 3 epochs without a better one are the last."""
    result = run(new_fusion(), train, ScriptedScore(0.1, 0.5, 0.5, 0.2, 0.3, 0.9), epochs=5, patience=3)
    assert (result.best_epoch, len(result.history) - 1) == (1, 4)
    result = run(new_fusion(), train, ScriptedScore(0.4, 0.4, 0.4), epochs=2)
    assert result.best_epoch == 0


def test_the_chosen_state_is_that_of_the_chosen_epoch(train):
    long, short = (new_fusion() for _ in range(2))
    run(long, train, ScriptedScore(0.1, 0.2, 0.3, 0.2, 0.1), epochs=4)
    run(short, train, ScriptedScore(0.1, 0.2, 0.3), epochs=2)
    assert equal(state(long), state(short))


def test_the_seed_decides_everything(train, score):
    states = []
    for global_seed, seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(global_seed)
        fusion = new_fusion(projector="mlp", dropout=0.3)
        run(fusion, train, ScriptedScore(0.0, 0.1, 0.2), epochs=2, seed=seed)
        states.append(state(fusion))
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


def test_warmup_leaves_the_head_and_the_text_alone(train, score):
    fusion = new_fusion()
    before = state(fusion)
    run(fusion, train, ScriptedScore(*range(4)), epochs=3)
    changed = {name for name, tensor in fusion.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"projector.0.weight", "projector.0.bias", "alpha", "log_tau"}
    run(fusion, train, ScriptedScore(*range(4)), epochs=3, head=True)
    changed = {name for name, tensor in fusion.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == set(before) - {"text"}


def test_every_image_is_seen_once_per_view_and_epoch(train):
    view = train[0].view
    numbered = View(
        hidden=np.arange(24, dtype=np.float32)[:, None, None] + np.zeros_like(view.hidden),
        logits=view.logits,
        boxes=view.boxes,
        image_id=view.image_id,
    )
    mirrored = View(numbered.hidden + 100, view.logits, view.boxes, view.image_id)
    targets = split_targets(toy_split(1)[1])
    views = [TrainingView(given, targets) for given in (numbered, mirrored)]
    generator = torch.Generator().manual_seed(0)
    epochs = []
    for _ in range(2):
        batches = list(shuffled_batches(views, 7, generator))
        assert sorted(len(hidden) for hidden, _, _ in batches) == [3, 3, 7, 7, 7, 7, 7, 7]
        for hidden, logits, batch_targets in batches:
            images = hidden[:, 0, 0].long() % 100
            assert torch.equal(logits, torch.from_numpy(view.logits)[images])
            assert batch_targets.count.tolist() == [len(targets[image]["class_labels"]) for image in images]
        seen = [list(map(int, hidden[:, 0, 0])) for hidden, _, _ in batches]
        assert sorted(itertools.chain(*seen)) == [*range(24), *range(100, 124)]
        epochs.append(seen)
    assert epochs[0] != epochs[1]
    assert set(map(frozenset, epochs[0])) != set(map(frozenset, epochs[1]))  # other batches, not only in another order
    assert {image >= 100 for image, *_ in epochs[0][:4]} == {True, False}  # the views are mixed


def test_tau_stays_in_its_range(train):
    fusion = new_fusion(alpha_init=1.0)
    result = run(fusion, train, ScriptedScore(*range(6)), lr=3.0, epochs=5)
    taus = [row["tau"] for row in result.history]
    assert len(set(taus)) > 1
    assert all(TAU_RANGE[0] * (1 - 1e-6) <= tau <= TAU_RANGE[1] for tau in taus)


@pytest.mark.parametrize("array", ["hidden", "logits"])
def test_features_that_are_no_numbers_are_refused(train, score, array):
    view, coco = toy_split(1)
    getattr(view, array)[3, 2, 1] = math.nan
    with pytest.raises(InputError, match=r"^epoch 0: the loss is nan; finite cached features"):
        run(new_fusion(), [TrainingView(view, split_targets(coco))], score)
    broken = ValidationScore(view, coco, PARAMS.lambdas)
    with pytest.raises(InputError, match=r"^a refined logit is not a finite number"):
        run(new_fusion(), train, broken)


def test_an_infinite_loss_is_refused_with_its_epoch(train, monkeypatch):
    monkeypatch.setattr(refinement, "train_epoch", lambda *_: math.inf)
    with pytest.raises(InputError, match=r"^epoch 1: the loss is inf; lower the learning rates in params\.yaml"):
        run(new_fusion(), train, ScriptedScore(0.1, 0.2))


def test_chunks_do_not_change_the_logits():
    view = toy_split(2)[0]
    fusion = new_fusion(alpha_init=0.3)
    whole = refined_logits(fusion, view.hidden, view.logits)
    np.testing.assert_allclose(refined_logits(fusion, view.hidden, view.logits, chunk=5), whole, rtol=1e-6, atol=1e-6)
    assert whole.shape == view.logits.shape and whole.dtype == np.float32


def test_dropout_is_off_outside_training(train, score):
    fusion = new_fusion(projector="mlp", dropout=0.5, alpha_init=1.0).train()
    assert score(fusion) == score(fusion.train())
    assert mean_loss(fusion.train(), train, 8) == mean_loss(fusion.train(), train, 8)


def test_trainable_parameters():
    """8·12 + 12 of the projection, alpha and tau; the head adds 3·8 + 3."""
    fusion = new_fusion()
    assert trainable_parameters(groups_of(fusion, 0.1)) == 110
    assert trainable_parameters(groups_of(fusion, 0.1, head=True)) == 137
