"""The detector computes what the official code computes, and a baseline folder gives back exactly what was saved."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detector import CLASSES, QUERIES, SIZE, random_pixels, same_state, tiny_detector
from torch import nn
from transformers import Deimv2ForObjectDetection
from transformers.models.deimv2.modeling_deimv2 import Deimv2MLP

from zerostart.detector import build_detector, load_detector, save_detector, variant_config
from zerostart.errors import InputError
from zerostart.official import load_official, read_official_checkpoint

SIX = [f"class{k}" for k in range(6)]
OFFICIAL = Path(__file__).parents[1].parent / "shared/data/deimv2-official"
needs_official = pytest.mark.skipif(
    not (OFFICIAL / "atto.npz").is_file(), reason="the official implementation's outputs are not beside the repository"
)


# --- What the official code computes


@pytest.fixture(scope="module")
def official():
    """The official Atto weights in our detector, the official input and the official outputs."""
    reference = np.load(OFFICIAL / "atto.npz")
    pixels = torch.from_numpy(reference["x_uint8"]).repeat_interleave(8, 2).repeat_interleave(8, 3) / 255
    model = build_detector(variant_config("atto", SIX, image_size=320, num_queries=100))
    kept = load_official(model, read_official_checkpoint(OFFICIAL / "atto.pth"), "atto.pth")
    assert kept == []
    return model.eval(), pixels, torch.from_numpy(reference["logits"]), torch.from_numpy(reference["boxes"])


@torch.no_grad()
def distance(model, pixels, logits, boxes) -> float:
    output = model(pixel_values=pixels)
    return max((output.logits - logits).abs().max().item(), (output.pred_boxes - boxes).abs().max().item())


@needs_official
def test_equals_the_official_implementation(official):
    assert distance(*official) < 1e-5


def embed_positions_in_every_layer(model):
    model.model.decoder.query_pos_head._forward_hooks.clear()


def use_relu_in_the_mlps(model):
    for module in model.modules():
        if isinstance(module, Deimv2MLP) and module is not model.model.decoder.query_pos_head:
            module.act = nn.ReLU()


def project_before_the_selection(model):
    width = model.config.d_model
    model.model.enc_output = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width)).requires_grad_(False)
    model.model.enc_output[0].weight.copy_(torch.eye(width))
    model.model.enc_output[0].bias.zero_()


@needs_official
@pytest.mark.parametrize("undo", [use_relu_in_the_mlps, project_before_the_selection])
def test_without_a_correction_the_official_outputs_are_missed(official, undo):
    model, *reference = official
    model = copy.deepcopy(model).requires_grad_(False)
    undo(model)
    assert distance(model, *reference) > 1e-3


@pytest.mark.parametrize("undo", [embed_positions_in_every_layer, use_relu_in_the_mlps, project_before_the_selection])
def test_every_correction_changes_the_outputs(undo):
    """Also the first one, which the official reference cannot show: its random weights hardly refine the boxes."""
    model, pixels = tiny_detector().requires_grad_(False), random_pixels()
    output = model(pixel_values=pixels)
    undo(model)
    assert distance(model, pixels, output.logits, output.pred_boxes) > 1e-4


@needs_official
def test_without_the_corrections_the_official_weights_do_not_fit():
    model = Deimv2ForObjectDetection(variant_config("atto", SIX, image_size=320, num_queries=100))
    with pytest.raises(InputError, match=r"'model\.enc_output\.0\.weight' is missing"):
        load_official(model, read_official_checkpoint(OFFICIAL / "atto.pth"), "atto.pth")


def query_positions(model, pixels):
    """What every decoder layer is given as the queries' positions, and the initial reference points."""
    seen = []

    def see(_module, _args, kwargs):
        seen.append(kwargs["position_embeddings"])

    hooks = [layer.register_forward_pre_hook(see, with_kwargs=True) for layer in model.model.decoder.layers]
    with torch.no_grad():
        start = model(pixel_values=pixels).init_reference_points.sigmoid()
    for hook in hooks:
        hook.remove()
    return seen, start


def test_query_positions_are_those_of_the_initial_boxes_in_every_layer():
    model = tiny_detector()
    seen, start = query_positions(model, random_pixels())
    assert len(seen) == 3
    assert all(torch.equal(positions, seen[0]) for positions in seen)
    x = start  # the MLP, by hand: two hidden layers with SiLU, then a linear one
    with torch.no_grad():
        for index, layer in enumerate(model.model.decoder.query_pos_head.layers):
            x = torch.nn.functional.silu(layer(x)) if index < 2 else layer(x)
    torch.testing.assert_close(seen[0], x.clamp(-10, 10))
    other, _ = query_positions(model, random_pixels(seed=1))
    assert not torch.equal(other[0], seen[0])  # once per forward pass, not once for ever


def test_the_port_itself_embeds_the_refined_boxes():
    seen, _ = query_positions(tiny_detector(corrected=False), random_pixels())
    assert not torch.equal(seen[0], seen[1])


def test_a_deep_copy_is_independent_and_computes_the_same():
    model, pixels = tiny_detector(), random_pixels()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(pixel_values=pixels).logits
        assert torch.equal(twin(pixel_values=pixels).logits, expected)
        twin.model.decoder.query_pos_head.layers[-1].bias.add_(1.0)
        assert not torch.equal(twin(pixel_values=pixels).logits, expected)
        assert torch.equal(model(pixel_values=pixels).logits, expected)


def test_a_batch_gives_the_same_as_single_images():
    model, pixels = tiny_detector(), random_pixels(3)
    with torch.no_grad():
        together = model(pixel_values=pixels)
        for index in range(3):
            alone = model(pixel_values=pixels[index : index + 1])
            torch.testing.assert_close(alone.logits[0], together.logits[index], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(alone.pred_boxes[0], together.pred_boxes[index], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("variant", "width"), [("atto", 64), ("femto", 96)])
def test_shapes_of_the_outputs(variant, width):
    model = build_detector(variant_config(variant, CLASSES, 96, 7)).eval()
    with torch.no_grad():
        output = model(pixel_values=random_pixels(size=96))
    assert output.last_hidden_state.shape == (2, 7, width)
    assert output.logits.shape == (2, 7, 3)
    assert output.pred_boxes.shape == (2, 7, 4)


# --- The baseline folder


@pytest.fixture
def baseline(tmp_path):
    save_detector(tiny_detector(), tmp_path / "baseline")
    return tmp_path / "baseline"


def test_what_is_loaded_is_what_was_saved(baseline):
    model, loaded, pixels = tiny_detector(), load_detector(baseline, CLASSES), random_pixels()
    assert same_state(model.state_dict(), loaded.state_dict())
    with torch.no_grad():
        expected, output = model(pixel_values=pixels), loaded(pixel_values=pixels)
    assert torch.equal(output.logits, expected.logits)
    assert torch.equal(output.pred_boxes, expected.pred_boxes)
    assert loaded.config.eval_size == [SIZE, SIZE]
    assert loaded.config.num_queries == QUERIES


def test_a_loaded_detector_is_frozen(baseline):
    loaded = load_detector(baseline, CLASSES)
    assert not any(module.training for module in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_saving_again_gives_the_same_bytes(baseline, tmp_path):
    save_detector(load_detector(baseline, CLASSES), tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (baseline / name).read_bytes()
    assert sorted(path.name for path in baseline.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((baseline / "config.json").read_text())["official_decoder"] is True


def test_class_order_survives_with_more_than_ten_classes(tmp_path):
    classes = [f"class{k}" for k in range(12)]  # as JSON keys, "10" sorts before "2"
    save_detector(tiny_detector(classes=classes), tmp_path / "twelve")
    assert load_detector(tmp_path / "twelve", classes).config.num_labels == 12


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(baseline, name):
    (baseline / name).unlink()
    with pytest.raises(InputError, match=rf"baseline/{name}: no such file"):
        load_detector(baseline, CLASSES)


@pytest.mark.parametrize(
    "classes", [["crack", "scratch", "dent"], ["crack", "dent"], [*CLASSES, "hole"], ["crack", "dent", "hole"]]
)
def test_other_classes_are_refused_with_both_lists(baseline, classes):
    with pytest.raises(InputError) as caught:
        load_detector(baseline, classes)
    assert str(CLASSES) in str(caught.value)
    assert str(classes) in str(caught.value)


def test_class_ids_that_do_not_start_at_zero_are_compared_by_name(baseline):
    config = json.loads((baseline / "config.json").read_text())
    config["id2label"] = {"1": "crack", "2": "dent", "3": "hole"}
    (baseline / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="'hole'"):
        load_detector(baseline, CLASSES)


def change_weights(baseline, change):
    weights = load_file(baseline / "model.safetensors")
    change(weights)
    save_file(weights, baseline / "model.safetensors")


BOX_HEAD = "model.enc_bbox_head.layers.0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(BOX_HEAD), rf"'{BOX_HEAD}' is missing"),
        (lambda weights: weights.update({"extra.weight": torch.zeros(1)}), r"'extra\.weight' is unknown"),
        (
            lambda weights: weights.update({BOX_HEAD: torch.zeros(2, 2)}),
            rf"'{BOX_HEAD}' is \(2, 2\) where the model has \(64, 64\)",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(baseline, change, message):
    change_weights(baseline, change)
    with pytest.raises(InputError, match=r"model\.safetensors: tensor " + message):
        load_detector(baseline, CLASSES)


@pytest.mark.parametrize("keep", [0, 4, 1000, -1])
def test_damaged_weights_are_refused(baseline, keep):
    path = baseline / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="the baseline cannot be read"):
        load_detector(baseline, CLASSES)


def test_a_damaged_configuration_is_refused(baseline):
    (baseline / "config.json").write_text('{"d_model": ')
    with pytest.raises(InputError, match="the baseline cannot be read"):
        load_detector(baseline, CLASSES)


def test_a_detector_of_the_plain_port_is_refused(tmp_path):
    save_detector(tiny_detector(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"official_decoder": False}))
    with pytest.raises(InputError, match=r"config\.json: official_decoder is not true"):
        load_detector(tmp_path, CLASSES)
