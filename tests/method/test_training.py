"""Training on the cache: what it improves, what it chooses, what it leaves alone."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toy_cache import CLASSES, VISUAL, toy_split
from transformers import Deimv2Config
from transformers.loss.loss_deimv2 import Deimv2Loss

from zerostart.cache.views import View
from zerostart.datasets.splits import split_targets
from zerostart.detector.mirror import FLIPS, flip_targets
from zerostart.errors import InputError
from zerostart.method import training as refinement
from zerostart.method.cached_images import CachedImages
from zerostart.method.fusion import TAU_RANGE, Fusion, FusionConfig
from zerostart.method.run_stack import RunStack
from zerostart.method.training import Run, Schedule, ValidationScore, refined_logits, train_phase
from zerostart.metrics.coco import composite, detections, evaluate_coco, image_sizes
from zerostart.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
TEXT = torch.randn(len(CLASSES), 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def train():
    view, coco = toy_split(1)
    return CachedImages([view], [split_targets(coco)])


@pytest.fixture(scope="module")
def score():
    return ValidationScore(*toy_split(2), PARAMS.lambdas)


def new_fusion(text=TEXT, **changes) -> Fusion:
    params = PARAMS.model_copy(update=changes)
    return Fusion(FusionConfig.from_params(params, CLASSES, VISUAL, TEXT.shape[1]), text).initialize(params)


def new_run(fusion, lr=0.01, head=False, seed=0, images=None, rates=None) -> Run:
    trained = [*fusion.fusion_parameters(), *(fusion.head_parameters() if head else [])]
    return Run(fusion.state_dict(), dict.fromkeys(trained, lr) if rates is None else rates, seed, images)


def run(fusion, images, score, epochs=5, patience=50, **changes):
    """Train one fusion; it has the chosen weights afterwards."""
    (result,) = train_phase(fusion, [new_run(fusion, **changes)], images, score, Schedule(epochs, patience, 8, 1e-4))
    fusion.load_state_dict(result.best_state)
    return result


class ScriptedScore:
    """A composite for each epoch, whatever was learned; with several, one list for each run."""

    view = toy_split(2)[0]

    def __init__(self, *composites):
        self.composites = iter(composites)

    def __call__(self, logits):
        return {"mAP": 0.0, "AR_critical": 0.0, "composite": next(self.composites)}


def judged(score, fusion):
    return score(refined_logits(fusion.eval(), score.view))


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
    assert judged(score, fusion) == result.best
    assert result.best["composite"] == max(row["composite"] for row in result.history)


def test_epoch_zero_is_the_baseline(train, score):
    view = score.view
    result = run(new_fusion(), train, score, epochs=0)
    assert (result.best_epoch, len(result.history)) == (0, 1)
    fusion = new_fusion()
    assert np.array_equal(refined_logits(fusion.eval(), view), view.logits)
    del result.history[0]["loss"]
    assert result.history[0] == pytest.approx({"epoch": 0, **judged(score, fusion), "alpha": 0.0, "tau": 0.07})


def test_the_score_equals_the_judge(score):
    view, coco = toy_split(2)
    found = detections(view.logits, view.boxes, image_sizes(coco, view.image_id), view.image_id)
    expected = evaluate_coco(coco, found, coco["info"]["critical"], PARAMS.lambdas)
    scores = judged(score, new_fusion())
    assert scores == pytest.approx({name: getattr(expected, name) for name in scores}, abs=1e-9)
    assert scores["composite"] == pytest.approx(composite(scores["mAP"], scores["AR_critical"], PARAMS.lambdas))


def test_an_absurd_learning_rate_leaves_the_start(train):
    """The detector is already perfect on val, and the features there tell nothing: everything else is worse."""
    view, coco = toy_split(2)
    logits, boxes = np.full_like(view.logits, -8), view.boxes.copy()
    for image, target in enumerate(split_targets(coco)):
        labels = target["class_labels"].numpy()
        logits[image, np.arange(len(labels)), labels] = 8
        boxes[image, : len(labels)] = target["boxes"]
    noise = np.random.default_rng(0).normal(size=view.hidden.shape).astype(np.float32)
    perfect = ValidationScore(View(noise, logits, boxes, view.image_id), coco, PARAMS.lambdas)
    fusion = new_fusion()
    before = state(fusion)
    result = run(fusion, train, perfect, lr=100.0, epochs=3, head=True)
    assert (result.best_epoch, result.best["composite"]) == (0, pytest.approx(1.0))
    assert all(row["composite"] < 0.9 for row in result.history[1:])
    assert equal(fusion.state_dict(), before)
    assert judged(perfect, fusion) == result.best


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


class Recorder:
    """Training images that note which items are asked for."""

    images, views = 24, 2

    def __init__(self, images):
        self.source, self.batches = images, []

    def batch(self, items):
        self.batches.append(items.tolist())
        return self.source.batch(items % 24)


def test_every_item_is_seen_once_an_epoch_in_an_order_of_the_seed(train):
    recorder = Recorder(train)
    fusion = new_fusion()
    runs = [new_run(fusion, seed=0), new_run(fusion, seed=1), new_run(fusion, seed=0)]
    train_phase(fusion, runs, recorder, ScriptedScore(*range(9)), Schedule(2, 9, 7, 0.0))
    per_epoch = math.ceil(48 / 7)
    epochs = [recorder.batches[i : i + per_epoch] for i in range(per_epoch, 3 * per_epoch, per_epoch)]  # after epoch 0
    orders = []
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [21] * 6 + [18]
        by_run = [[item for batch in epoch for item in np.split(np.array(batch), 3)[run].tolist()] for run in range(3)]
        assert all(sorted(order) == list(range(48)) for order in by_run)
        assert by_run[0] == by_run[2] != by_run[1]
        orders.append(by_run[0])
    assert orders[0] != orders[1]
    assert {item >= 24 for item in orders[0][:8]} == {True, False}  # the views are mixed


def test_a_run_sees_only_its_images(train):
    recorder = Recorder(train)
    fusion = new_fusion()
    runs = [new_run(fusion, images=np.array(chosen)) for chosen in ([1, 2, 3], [7, 8, 8])]
    train_phase(fusion, runs, recorder, ScriptedScore(*range(4)), Schedule(1, 9, 100, 0.0))
    first, second = np.split(np.array(recorder.batches[-1]), 2)
    assert sorted(first.tolist()) == [1, 2, 3, 25, 26, 27]
    assert sorted(second.tolist()) == [7, 8, 8, 31, 32, 32]


def test_tau_stays_in_its_range(train):
    fusion = new_fusion(alpha_init=1.0)
    result = run(fusion, train, ScriptedScore(*range(6)), lr=3.0, epochs=5)
    taus = [row["tau"] for row in result.history]
    assert len(set(taus)) > 1
    assert all(TAU_RANGE[0] * (1 - 1e-6) <= tau <= TAU_RANGE[1] for tau in taus)


@pytest.mark.parametrize("array", ["hidden", "logits"])
def test_features_that_are_no_numbers_are_refused(train, score, array):
    view, coco = toy_split(1)
    getattr(view, array)[:, 2, 1] = math.nan  # all objects of an image would want this query
    with pytest.raises(InputError, match=r"^epoch 0: the loss is nan; finite cached features"):
        run(new_fusion(), CachedImages([view], [split_targets(coco)]), score)
    broken = ValidationScore(view, coco, PARAMS.lambdas)
    with pytest.raises(InputError, match=r"^a logit is not a finite number"):
        run(new_fusion(), train, broken)


def test_an_infinite_loss_is_refused_with_its_epoch(train, monkeypatch):
    losses = iter([[0.5], [math.inf]])
    monkeypatch.setattr(refinement, "_mean_losses", lambda *_, **__: next(losses))
    with pytest.raises(InputError, match=r"^epoch 1: the loss is inf; lower the learning rates in params\.yaml"):
        run(new_fusion(), train, ScriptedScore(0.1, 0.2))


def test_chunks_do_not_change_the_logits():
    view = toy_split(2)[0]
    fusion = new_fusion(alpha_init=0.3).eval()
    whole = refined_logits(fusion, view)
    np.testing.assert_allclose(refined_logits(fusion, view, chunk=5), whole, rtol=1e-6, atol=1e-6)
    assert whole.shape == view.logits.shape and whole.dtype == np.float32
    stack = RunStack(fusion, [fusion.state_dict(), new_fusion().state_dict()], [{}, {}], 0.0)
    both = refined_logits(stack, view, chunk=5)
    np.testing.assert_allclose(both[0], whole, rtol=1e-5, atol=1e-5)
    assert np.array_equal(both[1], view.logits)


ARMS = {
    "text": {},
    "other text": {"text": torch.randn(TEXT.shape, generator=torch.Generator().manual_seed(9))},
    "alpha 0.1, xavier, tau fixed": {"alpha_init": 0.1, "weight_init": "xavier"},
}


def batch_of(arms, structure):
    """Runs of three arms from two seeds, half of them on a share of the images as large as the others'."""
    fusions = [new_fusion(**changes, **structure, seed=seed) for changes in arms.values() for seed in (0, 1)]
    runs = []
    for index, fusion in enumerate(fusions):
        images = np.arange(24) if index % 2 else np.resize([0, 5, 6, 7, 11, 20], 24)
        trained = dict.fromkeys([*fusion.fusion_parameters(), *fusion.head_parameters()], 0.02)
        if index >= 4:
            del trained["log_tau"]
        runs.append(new_run(fusion, rates=trained, seed=index % 2, images=images))
    return fusions, runs


@pytest.mark.parametrize(
    "structure",
    [{}, {"alpha_per_class": True}, {"center_similarity": True}, {"projector": "mlp", "dropout": 0.0}, {"mode": "replace"}],
    ids=str,
)
def test_batched_training_equals_one_by_one_training(train, score, structure):
    fusions, runs = batch_of(ARMS, structure)
    schedule = Schedule(6, 2, 8, 1e-4)
    together = train_phase(fusions[0], runs, train, score, schedule)
    logits = []
    for fusion, one, batched in zip(fusions, runs, together, strict=True):
        (alone,) = train_phase(fusion, [one], train, score, schedule)
        assert (batched.best_epoch, len(batched.history)) == (alone.best_epoch, len(alone.history))
        for found, expected in zip(batched.history, alone.history, strict=True):
            assert found == pytest.approx(expected, abs=1e-5)
        pair = []
        for result in (batched, alone):
            fusion.load_state_dict(result.best_state)
            pair.append(refined_logits(fusion.eval(), score.view))
        np.testing.assert_allclose(*pair, atol=1e-5)
        logits.append(pair[0])
    assert len({len(result.history) for result in together}) > 1 or structure  # some stopped earlier than others
    assert all(np.abs(one - other).max() > 1e-3 for i, one in enumerate(logits) for other in logits[:i])


def plain_logits(fusion, text, hidden, base):
    """L_final as in the papers: the projected queries and their cosines with the class embeddings are written out."""
    similarity = F.normalize(fusion.projector(hidden), dim=-1) @ F.normalize(text, dim=-1).T / fusion.log_tau.exp()
    return base + fusion.head_delta(hidden) + fusion.alpha * similarity


def test_training_equals_the_plain_loop():
    """Written out without a cache: the formula, the detector library's matcher and loss, torch's AdamW."""
    view, coco = toy_split(1)
    view.boxes[:, 3:] = view.boxes[:, :3]  # two queries on every object: the refined logits decide which is matched
    mirrored = View(view.hidden[::-1].copy(), view.logits[::-1].copy(), view.boxes.copy(), view.image_id)
    mirrored.boxes[:, :, 0] = 1 - mirrored.boxes[:, :, 0]
    views, objects = [view, mirrored], [split_targets(coco), flip_targets(split_targets(coco), FLIPS[1])]
    fusion, plain = (new_fusion(alpha_init=0.2) for _ in range(2))
    rates = dict.fromkeys(fusion.fusion_parameters(), 0.01) | dict.fromkeys(fusion.head_parameters(), 0.003)
    schedule = Schedule(epochs=3, patience=9, batch_size=7, weight_decay=0.3)
    (result,) = train_phase(
        fusion, [Run(fusion.state_dict(), rates, seed=4)], CachedImages(views, objects), ScriptedScore(*range(4)), schedule
    )
    fusion.load_state_dict(result.best_state)

    weights, scalars = list(plain.projector.parameters()), [plain.alpha, plain.log_tau]
    groups = [
        {"params": weights, "lr": 0.01, "weight_decay": 0.3},
        {"params": scalars, "lr": 0.01, "weight_decay": 0.0},
        {"params": plain.head_delta.parameters(), "lr": 0.003, "weight_decay": 0.3},
    ]
    optimizer = torch.optim.AdamW(groups)
    loss_of = Deimv2Loss(Deimv2Config(num_labels=len(CLASSES)))
    generator = torch.Generator().manual_seed(4)
    for epoch in range(1, 4):
        losses = []
        for items in torch.randperm(48, generator=generator).split(7):
            chosen = [divmod(item, 24) for item in items.tolist()]
            hidden, base, boxes = (
                torch.from_numpy(np.stack([getattr(views[v], array)[i] for v, i in chosen]))
                for array in ("hidden", "logits", "boxes")
            )
            targets = [objects[v][i] for v, i in chosen]
            outputs = {"logits": plain_logits(plain, TEXT, hidden, base), "pred_boxes": boxes}
            number = max(1, sum(len(target["boxes"]) for target in targets))
            loss = loss_of.loss_labels_mal(outputs, targets, loss_of.matcher(outputs, targets), number)["loss_mal"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert result.history[epoch]["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    with torch.no_grad():
        expected = plain_logits(plain, TEXT, *(torch.from_numpy(array) for array in (view.hidden, view.logits)))
    assert np.abs(expected.numpy() - view.logits).max() > 0.5  # it has learned something
    np.testing.assert_allclose(refined_logits(fusion.eval(), view), expected, atol=1e-5)


def test_dropout_is_off_outside_training(train, score):
    """Before the first step it cannot be told; training then differs; what is scored is the chosen state without it."""
    results = {}
    for dropout in (0.0, 0.5):
        fusion = new_fusion(projector="mlp", dropout=dropout, alpha_init=1.0)
        results[dropout] = run(fusion, train, score, epochs=2, lr=0.001)
        assert judged(score, fusion) == results[dropout].best
    assert results[0.0].history[0] == results[0.5].history[0]
    assert results[0.0].history[1]["loss"] != results[0.5].history[1]["loss"]
