"""Anchors and rotary periods of a checkpoint are kept: outputs are those of the official code with the stored values."""

import re

import pytest
import torch
from official_anchors import anchors, averaged
from official_checkpoint import NAMES, SIZE, calm_weights, random_weights, write_checkpoint, write_config
from official_vit import rotation
from safetensors.torch import load_file, save_file
from tiny_detector import same_state
from torch import Tensor

from zerostart.detector import coco
from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import build_detector, load_detector, save_detector
from zerostart.detector.official.architecture import transformers_config
from zerostart.detector.official.buffers import ANCHORS, FREQUENCIES, VALID, without_buffers
from zerostart.detector.official.checkpoint import load_official, read_official_checkpoint, rename_weights
from zerostart.detector.official.config import read_official_config
from zerostart.detector.official.conversion import convert, settle
from zerostart.detector.pieces import update_ema
from zerostart.detector.variants import variant_config
from zerostart.detector_training import run
from zerostart.detector_training.run import load_training_params
from zerostart.errors import InputError

BUFFERS = re.compile(r"decoder\.anchors$|rope_embed\.periods$")


def bfloat16_periods(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: t.bfloat16().float() if n.endswith("periods") else t for n, t in weights.items()}


def after_training(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: averaged(tensor) if BUFFERS.search(name) else tensor for name, tensor in weights.items()}


def in_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


STORED = {"bfloat16 periods": bfloat16_periods, "EMA": after_training, "half": in_half}


def through_files(folder, variant, weights, size=SIZE):
    """The converted and loaded detector, and the configuration: the weights stand where a training's EMA has them."""
    config_file = write_config(folder, variant, eval_spatial_size=[size, size])
    path = write_checkpoint(folder / "last.pth", random_weights(variant, seed=1, size=size), weights)
    renamed = read_official_checkpoint(path)
    config, _ = settle(read_official_config(config_file), renamed)
    save_detector(convert(config, renamed, NAMES, path), folder / "out")
    return load_detector(folder / "out", NAMES), config


def as_the_port_makes_them(config, weights):
    """The detector with the same weights that makes its buffers itself."""
    model = build_detector(transformers_config(config, NAMES))
    load_official(model, {n: t for n, t in rename_weights(weights).items() if n != FREQUENCIES}, "weights")
    return model.eval().double()


def use_official_formulas(model, weights):
    """Give the detector the stored buffers by the official formulas, in float64: anchors with infinities, angles by periods."""
    stored, valid = weights["decoder.anchors"].double(), weights["decoder.valid_mask"]
    model.model.generate_anchors = lambda *_, **__: (stored, valid)
    if periods := [tensor.double() for name, tensor in weights.items() if name.endswith("periods")]:
        rope = model.model.conv_encoder.backbone.rope_embeddings
        rope.forward = lambda pixels: rotation(*(side // 16 for side in pixels.shape[-2:]), periods[0])[::-1]


def apart(one, other) -> float:
    return max((getattr(one, name) - getattr(other, name)).abs().max().item() for name in ("logits", "pred_boxes"))


@torch.no_grad()
@pytest.mark.parametrize(
    ("variant", "stored", "size"),
    [
        ("B0", "EMA", 448),  # large enough for positions that no box is chosen from
        ("B0", "half", SIZE),
        ("s", "EMA", SIZE),
        ("s", "half", SIZE),
        ("l", "EMA", SIZE),
        ("l", "half", SIZE),
        ("l", "bfloat16 periods", SIZE),
    ],
)
def test_stored_buffers_are_computed_with(tmp_path, variant, stored, size):
    weights = STORED[stored](calm_weights(variant, size=size))
    loaded, config = through_files(tmp_path, variant, weights, size)
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = as_the_port_makes_them(config, weights)
    made = reference(pixel_values=pixels)
    use_official_formulas(reference, weights)
    expected = reference(pixel_values=pixels)
    assert apart(loaded.double()(pixel_values=pixels), expected) < 1e-4
    assert apart(made, expected) > 4e-4  # what it is about


def test_without_stored_buffers_the_ports_own_are_kept(tmp_path):
    weights = {
        name: tensor for name, tensor in random_weights("s").items() if not re.search("anchors|valid_mask|periods", name)
    }
    loaded, config = through_files(tmp_path, "s", weights)
    pixels = torch.rand(1, 3, SIZE, SIZE)
    with torch.no_grad():
        assert apart(loaded(pixel_values=pixels), as_the_port_makes_them(config, weights).float()(pixel_values=pixels)) == 0


def test_anchors_outside_the_image_stay_finite_numbers():
    """An average of two detectors, or half precision, would make NaN of infinities."""
    stored, valid = anchors(448)
    assert stored.isinf().any()
    renamed = rename_weights({"decoder.anchors": stored.half(), "decoder.valid_mask": valid})
    assert renamed[ANCHORS].isfinite().all() and torch.equal(renamed[VALID], valid)
    torch.testing.assert_close(renamed[ANCHORS][valid.expand_as(stored)], stored[valid.expand_as(stored)], rtol=1e-3, atol=1e-3)
    one, other = torch.nn.Module(), torch.nn.Module()
    for module in (one, other):
        module.register_buffer("anchors", renamed[ANCHORS].clone())
    update_ema(one, other, step=0, decay=0.9)
    assert torch.equal(one.anchors, other.anchors)


def test_a_detector_in_training_makes_anchors_for_the_images_at_hand(tmp_path):
    loaded, _ = through_files(tmp_path, "B0", random_weights("B0"))
    loaded.train()
    assert loaded(pixel_values=torch.rand(2, 3, 2 * SIZE, 2 * SIZE)).logits.shape == (2, 20, len(NAMES))


def test_weights_for_a_detector_of_another_image_size_leave_them_behind(tmp_path):
    loaded, config = through_files(tmp_path, "B0", random_weights("B0"))
    fresh = build_detector(transformers_config(config, NAMES))
    assert load_official(fresh, loaded.state_dict(), "out") == []
    assert not fresh.state_dict().keys() & {ANCHORS, VALID}


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        (
            128,
            r"last\.pth: by their 336 anchors .* eval_spatial_size 128x128, but the configuration's is 64x64; the training's",
        ),
        (72, r"'model\.anchors' is \(1, 101, 4\) where the model has \(1, 84, 4\), .*; is it another eval_spatial_size\?"),
    ],
)
def test_another_image_size_than_the_trainings_is_refused(tmp_path, trained, message):
    weights = random_weights("B0", size=trained)
    with pytest.raises(InputError, match=message) as refused:
        through_files(tmp_path, "B0", weights)
    assert "\n" not in str(refused.value)


def test_a_folder_keeps_them_when_saved_again_and_none_may_be_lost(tmp_path):
    loaded, _ = through_files(tmp_path, "s", after_training(random_weights("s")))
    save_detector(loaded, tmp_path / "again")
    assert same_state(loaded.state_dict(), load_detector(tmp_path / "again", NAMES).state_dict())
    path = tmp_path / "again/model.safetensors"
    whole = load_file(path)
    for name in (ANCHORS, VALID, FREQUENCIES):
        save_file({key: tensor for key, tensor in whole.items() if key != name}, path)
        with pytest.raises(InputError, match=f"tensor '{re.escape(name)}' is missing"):
            load_detector(tmp_path / "again", NAMES)


def coco_weights(side=None):
    """Of an Atto of the 80 classes by the names of `transformers`, random, with anchors that drifted as in a long training."""
    torch.manual_seed(0)
    config = variant_config("atto", list(COCO_CLASSES), coco.INPUT_SIZE["atto"], coco.QUERIES["atto"])
    detector = build_detector(config)
    stored, valid = anchors(side or coco.INPUT_SIZE["atto"], strides=(16, 32))
    return detector, detector.state_dict() | rename_weights(
        {"decoder.anchors": (1 + 1.65e-4) * stored, "decoder.valid_mask": valid}
    )


@torch.no_grad()
def test_the_coco_detectors_of_tagging_and_retrieval_keep_their_anchors(monkeypatch):
    plain, weights = coco_weights()
    monkeypatch.setattr(coco, "read_official_checkpoint", lambda _: weights)
    loaded = coco.load_official_detector("coco.pth").double()
    pixels = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain.eval().double()
    made = plain(pixel_values=pixels)
    plain.config.anchor_image_size = None  # so that it asks for anchors
    plain.model.generate_anchors = lambda *_, **__: (weights[ANCHORS].double(), weights[VALID])
    expected = plain(pixel_values=pixels)
    assert apart(loaded(pixel_values=pixels), expected) < 1e-6 < 1e-5 < apart(made, expected)
    _, other = coco_weights(side=640)
    monkeypatch.setattr(coco, "read_official_checkpoint", lambda _: other)
    with pytest.raises(InputError, match="eval_spatial_size 640x640, but the configuration's is 320x320"):
        coco.load_official_detector("coco.pth")


def test_a_training_does_not_read_the_anchors_of_what_it_starts_from(tmp_path, monkeypatch):
    """In training the official code makes them for each batch, and a new detector stores its own: `init` has no use for any."""
    plain, weights = coco_weights()
    starts = {"drifted": weights, "none": without_buffers(weights)}
    params = load_training_params("pipelines/detector/params.yaml", "synthetic")
    params = params.model_copy(update={"image_size": 320, "num_queries": 100, "variant": "atto", "init": "x.pth"})
    states, losses = {}, {}
    targets = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]])}]
    pixels = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    for name, start in starts.items():
        monkeypatch.setattr(run, "read_official_checkpoint", lambda _, start=start: start)
        model = run.new_state(params, list(COCO_CLASSES), torch.device("cpu")).model
        states[name] = model.state_dict()
        torch.manual_seed(0)
        losses[name] = model.train()(pixel_values=pixels, labels=targets).loss.item()
    assert same_state(states["drifted"], states["none"]) and losses["drifted"] == losses["none"]
    plain.config.official_buffers = True
    kept = build_detector(plain.config)
    kept.load_state_dict(weights, strict=True)  # as `convert` would keep them
    seen = [kept.train()(pixel_values=pixels).logits]
    kept.model.anchors += 1
    seen.append(kept(pixel_values=pixels).logits)
    assert torch.equal(*seen)
