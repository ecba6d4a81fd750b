"""Detector training: hand-calculated parts, and a killed training that ends as if it had not been killed."""

import copy
import math

import pytest
import torch
from pydantic import ValidationError
from tiny_detector import CLASSES, same_state

from zerostart.detector.pieces import update_ema
from zerostart.detector_training.run import new_state
from zerostart.detector_training.training import (
    TrainingParams,
    TrainingState,
    epoch_batches,
    make_optimizer,
    predict,
    rate_factor,
    train,
    train_epoch,
)
from zerostart.errors import InputError

CPU = torch.device("cpu")
VALUES = {
    "variant": "atto",
    "init": None,
    "image_size": 64,
    "num_queries": 5,
    "num_denoising": 4,
    "extra_images": 0,
    "freeze_batch_norm": False,
    "local_loss": True,
    "epochs": 2,
    "zoom_epochs": 1,
    "batch_size": 2,
    "lr": 0.002,
    "head_lr_scale": 3.0,
    "warmup_steps": 2,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "ema_decay": 0.9,
    "patience": 5,
    "seed": 0,
}


def params(**changes) -> TrainingParams:
    return TrainingParams.model_validate(VALUES | changes)


def start(**changes) -> TrainingState:
    return new_state(params(**changes), CLASSES, CPU)


def random_data(count=5):
    """Random images; the first has no object, the others have one or two."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)
    targets = []
    for index in range(count):
        objects = min(index, 1 + index % 2)
        boxes = torch.cat([0.3 + 0.4 * torch.rand(objects, 2, generator=generator), torch.full((objects, 2), 0.3)], dim=1)
        targets.append({"class_labels": torch.arange(objects), "boxes": boxes})
    return images, targets


# --- Resuming


class Killed(Exception):
    pass


def run(path, state=None, kill_at=None, **changes):
    """Train and return (state, history reported last, states kept); `kill_at`: (callback, epoch)."""
    settings, state = params(**changes), state or start(**changes)
    images, targets = random_data()
    reported, kept = [], {}

    def visit(callback):
        if kill_at == (callback, state.epoch + (callback == "score")):
            raise Killed

    def score(ema):
        visit("score")
        logits, boxes = predict(ema, images, 2, CPU)
        return {"mAP": logits.sigmoid().mean().item(), "AP50": boxes.mean().item()}

    def report(history):
        visit("report")
        reported[:] = history

    def keep(ema):
        visit("keep")
        kept["best"] = copy.deepcopy(ema.state_dict())

    train(state, images, targets, settings, path, score, report, keep)
    return state, reported, kept


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed") / "resume.pt")


@pytest.mark.parametrize("kill_at", [("score", 1), ("score", 2), ("report", 1), ("report", 2)])
def test_a_killed_training_ends_as_an_undisturbed_one(undisturbed, tmp_path, kill_at):
    checkpoint = tmp_path / "resume.pt"
    with pytest.raises(Killed):
        run(checkpoint, kill_at=kill_at)
    assert checkpoint.is_file() == (kill_at[1] == 2)  # the first epoch was finished, or nothing was
    torch.manual_seed(99)  # a new process has another state of the global generator
    state, history, _ = run(checkpoint)
    expected, expected_history, _ = undisturbed
    assert history == expected_history
    assert state.step == expected.step == 4  # five images are two whole batches
    assert same_state(state.model.state_dict(), expected.model.state_dict())
    assert same_state(state.ema.state_dict(), expected.ema.state_dict())
    for index, moments in expected.optimizer.state_dict()["state"].items():
        assert same_state(state.optimizer.state_dict()["state"][index], moments)


def test_training_changed_the_weights_and_the_average_is_another(undisturbed):
    state, history, kept = undisturbed
    first = start()
    assert not same_state(state.model.state_dict(), first.model.state_dict())
    assert not same_state(state.model.state_dict(), state.ema.state_dict())
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(math.isfinite(row["loss"]) for row in history)
    if state.best_epoch == 2:
        assert same_state(kept["best"], state.ema.state_dict())


def test_a_finished_training_is_not_continued(tmp_path):
    state, _, _ = run(tmp_path / "resume.pt", epochs=1)
    again, reported, kept = run(tmp_path / "resume.pt", epochs=1)
    assert (again.step, again.epoch, reported, kept) == (state.step, 1, [], {})


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    run(tmp_path / "resume.pt", epochs=1)
    with pytest.raises(InputError, match=r"resume\.pt: this training was started with another epochs, lr; delete it"):
        run(tmp_path / "resume.pt", epochs=2, lr=0.1)


@pytest.mark.parametrize(
    ("scores", "best"), [((), 0), ((0.1,), 1), ((0.1, 0.3, 0.2), 2), ((0.3, 0.1, 0.3), 1), ((0.0, 0.0), 1)]
)
def test_the_first_best_epoch_counts(scores, best):
    history = [{"epoch": epoch, "mAP": score} for epoch, score in enumerate(scores, 1)]
    assert TrainingState(None, None, None, history=history).best_epoch == best


def test_patience_ends_the_training(tmp_path):
    state, (images, targets) = start(epochs=9, patience=2), random_data(2)
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    kept = []
    train(
        state,
        images,
        targets,
        params(epochs=9, patience=2),
        tmp_path / "resume.pt",
        score=lambda ema: {"mAP": next(scores)},
        report=lambda rows: None,
        keep=lambda ema: kept.append(state.epoch),
    )
    assert state.epoch == 4  # two epochs without a better one
    assert kept == [1, 2]


def test_less_than_a_batch_of_images_is_refused(tmp_path):
    images, targets = random_data(3)
    with pytest.raises(InputError, match=r"`batch_size` is 4, but there are only 3 training images"):
        train(start(), images, targets, params(batch_size=4), tmp_path / "resume.pt", None, None, None)


# --- One epoch


def test_batches_are_a_function_of_seed_and_epoch():
    images, targets = random_data()
    first = [batch for batch, _ in epoch_batches(images, targets, params(), 0)]
    assert [len(batch) for batch in first] == [2, 2]  # the incomplete batch is left out
    again = [batch for batch, _ in epoch_batches(images, targets, params(), 0)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other, epoch in [(params(), 1), (params(seed=1), 0)]:
        assert not torch.equal(next(epoch_batches(images, targets, other, epoch))[0], first[0])


def test_only_the_first_epochs_zoom():
    """A flip leaves the size of a box alone, a zoom does not."""
    images, targets = random_data(12)
    sizes = []
    for epoch in (0, 1):
        batches = epoch_batches(images, targets, params(zoom_epochs=1), epoch)
        sizes.append(torch.cat([target["boxes"][:, 2:] for _, batch in batches for target in batch]))
    assert not torch.allclose(sizes[0], torch.tensor(0.3), atol=1e-5)
    assert torch.allclose(sizes[1], torch.tensor(0.3), atol=1e-5)


def norms(model):
    return {
        f"{name}.{key}": tensor.clone()
        for name, module in model.named_modules()
        if "BatchNorm2d" in type(module).__name__
        for key, tensor in module.state_dict().items()
    }


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_is_frozen_when_asked(frozen):
    state = start(freeze_batch_norm=frozen)
    before, weights = norms(state.model), copy.deepcopy(state.model.state_dict())
    assert len(before) > 100
    train_epoch(state, *random_data(), params(freeze_batch_norm=frozen), CPU)
    after = norms(state.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    if frozen:
        assert not changed
    else:
        assert {name for name in before if name.endswith("running_mean")} <= changed
    assert not torch.equal(state.model.state_dict()["class_embed.2.weight"], weights["class_embed.2.weight"])


def test_learning_rates_follow_the_schedule():
    state = start()
    train_epoch(state, *random_data(), params(), CPU)  # steps 0 and 1 of 4; two of them warm up
    expected = {0.002, 0.006}  # at step 1 the warm-up is complete
    assert {round(group["lr"], 12) for group in state.optimizer.param_groups} == expected
    state.history.append({"epoch": 1, "mAP": 0.0})
    train_epoch(state, *random_data(), params(), CPU)  # step 3: half of the cosine, 0.02 + 0.98 / 2 = 0.51
    assert {round(group["lr"], 12) for group in state.optimizer.param_groups} == {0.00102, 0.00306}


@pytest.mark.parametrize("broken", ["class_embed.2.weight", "bbox_embed.0.layers.2.bias"])
def test_a_loss_that_is_not_finite_is_refused(broken):
    state = start()
    with torch.no_grad():
        state.model.state_dict()[broken].fill_(math.nan)
    with pytest.raises(InputError, match=r"epoch 1: the training diverged \(.*nan.*\); lower `lr` or `clip_norm`"):
        train_epoch(state, *random_data(), params(), CPU)


def test_images_without_any_object_can_be_trained_on():
    images, targets = random_data(4)
    empty = [{key: value[:0] for key, value in target.items()} for target in targets]
    assert math.isfinite(train_epoch(start(), images, empty, params(), CPU))


# --- Hand-calculated parts


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (3, 1.0), (4, 1.0), (7, 0.51), (10, 0.02), (12, 0.02), (6, 0.02 + 0.98 * 0.75)],  # cos 60° = 1/2
)
def test_rate_factor_hand_calculated(step, expected):
    assert rate_factor(step, total=10, warmup=4) == pytest.approx(expected)


def test_rate_factor_without_warm_up():
    assert rate_factor(0, total=10, warmup=0) == 1.0
    assert rate_factor(5, total=10, warmup=0) == pytest.approx(0.51)


def module_with(weight, count, tied):
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.tensor([weight]))
    if tied:
        module.again = module.weight
    module.register_buffer("mean", torch.tensor([2 * weight]))
    module.register_buffer("count", torch.tensor(count))
    return module


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("step", [0, 299, 100_000])
def test_ema_hand_calculated(step, tied):
    """The decay is 0.9·(1 − e^(−(step+1)/300)): 0.9·0.0033278 at the first step, 0.9·(1 − 1/e) at step 299, then 0.9."""
    decay = {0: 0.9 * 0.0033277807, 299: 0.9 * 0.6321205588, 100_000: 0.9}[step]
    ema, model = module_with(1.0, 1, tied), module_with(3.0, 7, tied)
    update_ema(ema, model, step, 0.9)
    assert ema.weight.item() == pytest.approx(decay * 1.0 + (1 - decay) * 3.0, abs=1e-6)
    assert ema.mean.item() == pytest.approx(decay * 2.0 + (1 - decay) * 6.0, abs=1e-6)
    assert ema.count.item() == 7
    assert (model.weight.item(), model.mean.item()) == (3.0, 6.0)


def test_ema_averages_every_tensor_of_a_detector_once():
    state = start()
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1.0)
    before = copy.deepcopy(state.ema.state_dict())
    update_ema(state.ema, state.model, 100_000, 0.9)  # a tenth of the way
    for name, parameter in state.ema.state_dict().items():
        if name in dict(state.model.named_parameters(remove_duplicate=False)):
            torch.testing.assert_close(parameter, before[name] + 0.1, msg=name)


def test_optimizer_groups():
    model = start().model
    settings = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in make_optimizer(model, params()).param_groups
        for parameter in group["params"]
    }
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len(settings) == len(trained)
    one_dimensional = ("bias", "norm", "normalization", ".lab.")
    for name, parameter in trained.items():
        rate, decay = settings[id(parameter)]
        head = name.startswith(("model.decoder.class_embed", "model.enc_score_head", "model.denoising_class_embed"))
        assert rate == pytest.approx(0.006 if head else 0.002), name
        assert decay == (0.0 if any(part in name for part in one_dimensional) or parameter.ndim == 1 else 0.01), name
    assert settings[id(trained["model.enc_score_head.weight"])] == (pytest.approx(0.006), 0.01)
    assert settings[id(trained["model.enc_score_head.bias"])] == (pytest.approx(0.006), 0.0)
    assert settings[id(trained["model.decoder.layers.0.encoder_attn_layer_norm.weight"])] == (0.002, 0.0)


def test_frozen_parameters_are_not_optimised():
    state = start(freeze_batch_norm=True)
    optimised = {id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]}
    for name, module in state.model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert id(module.weight) not in optimised, name
    assert not any(parameter.requires_grad for parameter in state.ema.parameters())


def test_predict_is_the_model_in_eval_mode():
    state, (images, _) = start(), random_data(5)
    state.model.train()
    logits, boxes = predict(state.model, images, 2, CPU)
    with torch.no_grad():
        output = state.model.eval()(pixel_values=images / 255)
    torch.testing.assert_close(logits, output.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(boxes, output.pred_boxes, atol=1e-5, rtol=1e-5)


# --- Parameters


def test_numbers_written_by_dvc_are_understood():
    assert params(lr="1e-05").lr == 1e-5  # YAML reads 1e-05 as a string


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"learning_rate": 0.1}, "learning_rate", "Extra inputs are not permitted"),
        ({"variant": "s"}, "variant", "'atto' or 'femto'"),
        ({"image_size": 100}, "image_size", "multiple of 32"),
        ({"image_size": 32}, "image_size", "greater than or equal to 64"),
        ({"num_queries": 21}, "num_queries", "selected among 20 positions when image_size is 64"),
        ({"num_queries": True}, "num_queries", "a number is expected"),
        ({"batch_size": 0}, "batch_size", "greater than or equal to 1"),
        ({"batch_size": 2.5}, "batch_size", "integer"),
        ({"lr": 0}, "lr", "greater than 0"),
        ({"lr": "fast"}, "lr", "number"),
        ({"clip_norm": math.inf}, "clip_norm", "finite"),
        ({"ema_decay": 1.0}, "ema_decay", "less than 1"),
        ({"freeze_batch_norm": "perhaps"}, "freeze_batch_norm", "boolean"),
        ({"init": ""}, "init", "at least 1 character"),
    ],
)
def test_wrong_parameters_are_named(changes, key, message):
    with pytest.raises(ValidationError) as caught:
        params(**changes)
    (problem,) = caught.value.errors()
    assert problem["loc"] == (key,)
    assert message in problem["msg"]


def test_a_missing_parameter_is_named():
    with pytest.raises(ValidationError, match="patience"):
        TrainingParams.model_validate({key: value for key, value in VALUES.items() if key != "patience"})


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        params().lr = 1.0


def test_as_many_queries_as_there_are_positions():
    state = start(num_queries=20)
    assert predict(state.model, random_data(1)[0], 1, CPU)[0].shape == (1, 20, 3)
