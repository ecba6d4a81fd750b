"""The training of phase 3: its choice, its resumption, and what several passes or processes change (nothing)."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_detector import same_state, tiny_detector, zero_start_fusion

from zerostart.decoder.processes import Processes
from zerostart.decoder.tuned_decoder import TunedDecoder, make_optimizer
from zerostart.decoder.tuning import StoredImages, check_batch_size, tune
from zerostart.detector.pieces import update_ema
from zerostart.errors import InputError
from zerostart.method.training import PhaseResult
from zerostart.params import DecoderTuning, Params, load_params

ALONE = Processes(0, 1, torch.device("cpu"))
COUNT = 8


def tiny_params(epochs=2, lr=1e-3, batch_size=4, patience=5, **decoder) -> Params:
    params = load_params()
    return params.model_copy(
        update={
            "patience": patience,
            "lr": params.lr.model_copy(update={"decoder": lr, "fusion": 1e-3, "head": 1e-3}),
            "epochs": params.epochs.model_copy(update={"decoder": epochs}),
            "decoder": DecoderTuning(batch_size=batch_size, ema_decay=0.5, **decoder),
        }
    )


def tiny_decoder(denoising=4) -> TunedDecoder:
    detector = tiny_detector()
    detector.config.num_denoising = denoising
    return TunedDecoder(detector, zero_start_fusion())


def tiny_images() -> StoredImages:
    rng = np.random.default_rng(0)
    objects = []
    for count in rng.integers(0, 3, COUNT):
        boxes = np.concatenate([rng.uniform(0.4, 0.6, (count, 2)), rng.uniform(0.2, 0.5, (count, 2))], axis=1)
        labels = torch.from_numpy(rng.integers(0, 3, count))
        objects.append({"class_labels": labels, "boxes": torch.from_numpy(boxes).float()})
    stored = rng.normal(size=(COUNT, 20, 64)).astype(np.float32)
    return StoredImages([stored[: COUNT // 2], stored[COUNT // 2 :]], [objects[: COUNT // 2], objects[COUNT // 2 :]])


def scores_in_turn(*composites):
    """A score that gives these composites, epoch by epoch."""
    left = list(composites)
    return lambda decoder: {"mAP": 0.5, "AR_critical": 0.5, "composite": left.pop(0)}


def run(tmp_path, composites, decoder=None, params=None, fingerprint="same") -> PhaseResult:
    params = params or tiny_params(epochs=len(composites) - 1)
    path, decoder = tmp_path / "resume.pt", decoder or tiny_decoder()
    return tune(decoder, tiny_images(), scores_in_turn(*composites), params, path, fingerprint, ALONE)


def test_the_items_are_the_views_one_after_another():
    images = tiny_images()
    assert len(images) == COUNT
    stored, objects = images.batch(np.array([5, 0]), torch.device("cpu"))
    assert np.array_equal(stored.numpy(), np.stack([images.stored[1][1], images.stored[0][0]]))
    assert objects[0]["boxes"] is images.objects[1][1]["boxes"]
    assert objects[1]["boxes"] is images.objects[0][0]["boxes"]


def test_epoch_0_is_a_candidate_and_is_the_start(tmp_path):
    decoder = tiny_decoder()
    before = copy.deepcopy(decoder.state_dict())
    result = run(tmp_path, [0.5, 0.5, 0.4], decoder)
    assert (result.best_epoch, result.best["composite"]) == (0, 0.5)
    assert same_state(result.best_state, before)
    assert not same_state(decoder.state_dict(), before)
    assert [row["epoch"] for row in result.history] == [0, 1, 2]
    assert list(result.history[0]) == ["epoch", "loss", "mAP", "AR_critical", "composite", "alpha", "tau"]


def test_a_better_epoch_is_chosen_and_only_what_shall_learn_has_learnt(tmp_path):
    decoder = tiny_decoder()
    before = copy.deepcopy(decoder.state_dict())
    result = run(tmp_path, [0.5, 0.6, 0.4], decoder)
    assert result.best_epoch == 1
    trained = {name for name, parameter in decoder.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    changed = {name for name, tensor in result.best_state.items() if not torch.equal(tensor, before[name])}
    assert changed <= trained
    assert {"fusion.alpha", "fusion.head_delta.weight", "detector.model.decoder.layers.0.mlp.down_proj.weight"} <= changed


def test_the_loss_falls(tmp_path):
    history = run(tmp_path, [0.5] * 9, params=tiny_params(epochs=8, patience=9)).history
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_patience_ends_the_training(tmp_path):
    result = run(tmp_path, [0.5, 0.6, 0.5, 0.5, 0.9], params=tiny_params(epochs=4, patience=2))
    assert (result.best_epoch, len(result.history)) == (1, 4)


def test_a_killed_training_ends_as_if_it_had_not_been_killed(tmp_path):
    (tmp_path / "a").mkdir()
    whole = run(tmp_path / "a", [0.5, 0.6, 0.7, 0.8])

    class Killed(Exception):
        pass

    def kill(decoder):
        raise Killed

    (tmp_path / "b").mkdir()
    path, params, turns = tmp_path / "b" / "resume.pt", tiny_params(epochs=3), iter([0.5, 0.6])

    def score(decoder):
        composite = next(turns, None)
        return kill(decoder) if composite is None else {"mAP": 0.5, "AR_critical": 0.5, "composite": composite}

    with pytest.raises(Killed):
        tune(tiny_decoder(), tiny_images(), score, params, path, "same", ALONE)
    resumed = tune(tiny_decoder(), tiny_images(), scores_in_turn(0.7, 0.8), params, path, "same", ALONE)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch == 3
    assert same_state(resumed.best_state, whole.best_state)


def test_the_checkpoint_of_another_training_is_not_resumed(tmp_path):
    run(tmp_path, [0.5, 0.6], fingerprint="other")
    assert len(run(tmp_path, [0.5, 0.6, 0.7]).history) == 3


def test_what_is_kept_is_the_moving_average_of_the_weights(tmp_path):
    """One epoch of two steps, against the loop written out."""
    params, images, decoder = tiny_params(epochs=1), tiny_images(), tiny_decoder(denoising=0)
    by_hand, ema = tiny_decoder(denoising=0), tiny_decoder(denoising=0)
    result = tune(decoder, images, scores_in_turn(0.5, 0.6), params, tmp_path / "resume.pt", "", ALONE)
    optimizer = make_optimizer(by_hand, params)
    by_hand.train()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(params.seed * 100_003 + 1)).numpy()
    for step in range(2):
        optimizer.zero_grad()
        by_hand(*images.batch(order[4 * step : 4 * step + 4], ALONE.device)).backward()
        torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 0.1)
        optimizer.step()
        update_ema(ema, by_hand, step, 0.5)
    for name, tensor in ema.state_dict().items():
        torch.testing.assert_close(result.best_state[name], tensor, atol=1e-6, rtol=1e-5)


def test_tau_stays_within_its_bounds(tmp_path):
    decoder = tiny_decoder()
    with torch.no_grad():
        decoder.fusion.log_tau.fill_(5.0)
    result = run(tmp_path, [0.5, 0.6], decoder)
    assert decoder.fusion.tau.item() == pytest.approx(1.0)
    assert result.history[0]["tau"] == pytest.approx(np.exp(5.0))


def test_a_loss_that_is_not_finite_is_refused(tmp_path):
    decoder = tiny_decoder()
    with torch.no_grad():
        decoder.fusion.head_delta.bias.fill_(torch.nan)
    with pytest.raises(InputError, match=r"^epoch 0: the loss is nan; lower `lr.decoder` in params.yaml$"):
        run(tmp_path, [0.5], decoder)


def test_a_batch_that_cannot_be_made_is_refused():
    with pytest.raises(InputError, match=r"'decoder.batch_size' is 4, but there are only 3 training images, mirrored views"):
        check_batch_size(tiny_params(), 3, ALONE)
    with pytest.raises(InputError, match=r"'decoder.batch_size' is 4; a multiple of 3 \(`decoder.accumulate` times the proc"):
        check_batch_size(tiny_params(accumulate=3), 8, ALONE)
    with pytest.raises(InputError, match=r"a multiple of 8 "):
        check_batch_size(tiny_params(accumulate=4), 8, Processes(0, 2, ALONE.device))
    check_batch_size(tiny_params(accumulate=2), 8, Processes(0, 2, ALONE.device))


def test_two_processes_are_two_passes(tmp_path):
    """Without denoising queries, which every process draws for itself."""
    path = tmp_path / "passes.pt"
    torch.save(train_once(ALONE, accumulate=2, folder=tmp_path), path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, str(tmp_path)]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    loss, state = torch.load(path, weights_only=True)
    for rank in range(2):
        their_loss, theirs = torch.load(tmp_path / f"process{rank}.pt", weights_only=True)
        assert their_loss == pytest.approx(loss, rel=1e-5)
        for name, tensor in state.items():
            torch.testing.assert_close(theirs[name], tensor, atol=1e-5, rtol=1e-4)
    assert json.loads((tmp_path / "scored_by.json").read_text()) == [0, 0]


def train_once(group: Processes, accumulate: int, folder: Path) -> tuple[float, dict]:
    """The loss and the weights after an epoch."""
    scored_by = []

    def score(decoder):
        scored_by.append(group.rank)
        return {"mAP": 0.5, "AR_critical": 0.5, "composite": 0.1 * len(scored_by)}

    params = tiny_params(epochs=1, accumulate=accumulate)
    result = tune(tiny_decoder(denoising=0), tiny_images(), score, params, folder / f"{group.count}.pt", "", group)
    if scored_by:
        (folder / "scored_by.json").write_text(json.dumps(scored_by))
    return result.history[1]["loss"], result.best_state


if __name__ == "__main__":
    from zerostart.decoder.processes import processes

    with processes() as of_this_run:
        found = train_once(of_this_run, 1, Path(sys.argv[1]))
        torch.save(found, Path(sys.argv[1]) / f"process{of_this_run.rank}.pt")
