"""A baseline folder gives back exactly the detector that was saved."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_detector import CLASSES, QUERIES, SIZE, random_pixels, same_state, tiny_detector

from zerostart.detector.model import build_detector, load_detector, save_detector
from zerostart.detector.variants import variant_config
from zerostart.errors import InputError


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
    with pytest.raises(InputError, match=r"config\.json: not valid JSON"):
        load_detector(baseline, CLASSES)


HOSTILE_CONFIGS = {
    "a list": (lambda config: [], "an object with the settings"),
    "a number": (lambda config: 3, "an object with the settings"),
    "nothing": (lambda config: None, "an object with the settings"),
    "another model": (lambda config: config | {"model_type": "bert"}, "'model_type' is 'bert'"),
    "without classes": (lambda config: {k: v for k, v in config.items() if k != "id2label"}, "'id2label' is missing"),
    "classes as a list": (lambda config: config | {"id2label": ["a"]}, "'id2label' is "),
    "a class that is no number": (lambda config: config | {"id2label": {"x": "crack"}}, "whole numbers are expected"),
    "a string": (lambda config: config | {"d_model": "wide"}, "'d_model' is 'wide'"),
    "a string further in": (lambda config: config | {"decoder_layers": "three"}, "no detector can be built from it"),
    "negative": (lambda config: config | {"d_model": -64}, "'d_model' is -64"),
    "negative further in": (lambda config: config | {"decoder_ffn_dim": -160}, "no detector can be built from it"),
    "huge": (lambda config: config | {"d_model": 10**9}, "'d_model' is 1000000000"),
    "huge further in": (lambda config: config | {"encoder_ffn_dim": 10**12}, "'encoder_ffn_dim' is 1000000000000; at most"),
    "too many weights": (lambda config: config | {"decoder_ffn_dim": 10**9}, "weights; at most 2,000,000,000 are expected"),
    "endless layers": (lambda config: config | {"decoder_layers": 10**8}, "'decoder_layers' is 100000000; at most"),
    "endless layers in a list": (
        lambda config: config | {"backbone_config": config["backbone_config"] | {"depths": [10**7]}},
        r"'backbone_config\.depths' is 10000000",
    ),
    "no size": (lambda config: config | {"eval_size": []}, "'eval_size"),
    "an odd size": (lambda config: config | {"eval_size": [33, 33]}, "'eval_size"),
    "two sizes": (lambda config: config | {"eval_size": [64, 96]}, "equal sides are expected"),
    "a huge size": (lambda config: config | {"eval_size": [2**20, 2**20]}, "'eval_size"),
    "anchors without a size": (lambda c: c | {"official_buffers": True, "eval_size": None}, "there is no 'eval_size'"),
    "anchors in words": (lambda config: config | {"official_buffers": "yes, please"}, "'official_buffers' is 'yes, please'"),
    "two colours": (lambda config: config | {"image_mean": [0, 0], "image_std": [1, 1]}, "'image_mean"),
    "a colour that is a name": (lambda config: config | {"image_mean": ["r"] * 3, "image_std": [1, 1, 1]}, "'image_mean"),
    "division by zero": (lambda config: config | {"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}, "'image_std"),
    "a mean alone": (lambda config: config | {"image_mean": [0, 0, 0]}, "expected together"),
}


@pytest.mark.parametrize("case", HOSTILE_CONFIGS)
def test_a_configuration_that_describes_no_detector_is_refused_in_one_sentence(baseline, case):
    change, said = HOSTILE_CONFIGS[case]
    (baseline / "config.json").write_text(json.dumps(change(json.loads((baseline / "config.json").read_text()))))
    with pytest.raises(InputError, match=rf"config\.json: .*{said}") as refused:
        load_detector(baseline, CLASSES)
    assert len(str(refused.value)) < 800 and "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_refused(baseline, value):
    change_weights(baseline, lambda weights: weights[BOX_HEAD].view(-1)[3:4].fill_(value))
    with pytest.raises(InputError, match=rf"tensor '{BOX_HEAD}' holds \d+ values that are NaN or infinite"):
        load_detector(baseline, CLASSES)


# --- What transformers itself wrote


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


@pytest.fixture
def ported(tmp_path):
    """A detector of the plain port and the folder that transformers saves it to.

    It is not read again by `from_pretrained`, which leaves shared box heads at zero.
    """
    model = tiny_detector(corrected=False)
    model.save_pretrained(tmp_path)
    return tmp_path, model


@torch.no_grad()
def test_a_detector_of_transformers_is_run_as_transformers_runs_it(ported):
    folder, expected = ported
    model, pixels = load_detector(folder, CLASSES), random_pixels()
    assert torch.equal(model(pixel_values=pixels).logits, expected(pixel_values=pixels).logits)
    assert not torch.equal(model(pixel_values=pixels).logits, tiny_detector()(pixel_values=pixels).logits)
    assert model.config.eval_size == [SIZE, SIZE]


@torch.no_grad()
@pytest.mark.parametrize("wanted", [True, False])
def test_its_image_processor_is_followed(ported, wanted):
    folder, expected = ported
    processor = {"do_normalize": wanted, "size": {"height": 96, "width": 96}} | IMAGENET
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    model, pixels = load_detector(folder, CLASSES), random_pixels(size=96)
    assert model.config.eval_size == [96, 96]
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in IMAGENET.values())
    normalised = (pixels - mean) / std if wanted else pixels
    assert torch.equal(model(pixel_values=pixels).logits, expected(pixel_values=normalised).logits)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ('{"size": {"shortest_edge": 640}}', r"preprocessor_config\.json: not what an image processor writes"),
        ('{"do_normalize": true}', "not what an image processor writes"),
        ("{", r"preprocessor_config\.json: not valid JSON"),
        ("[]", "not what an image processor writes"),
        ('{"do_normalize": true, "image_mean": [0, 0], "image_std": [1, 1]}', "not what an image processor writes"),
        ('{"size": {"height": "a", "width": "a"}}', "not what an image processor writes"),
        ('{"size": {"height": 96, "width": 64}}', "the input is 96x64 pixels; equal sides"),
    ],
)
def test_an_image_processor_that_cannot_be_followed_is_refused(ported, processor, message):
    folder, _ = ported
    (folder / "preprocessor_config.json").write_text(processor)
    with pytest.raises(InputError, match=message):
        load_detector(folder, CLASSES)


def test_a_detector_of_the_plain_port_is_the_same_after_it_was_saved_again(tmp_path):
    tiny_detector(corrected=False).save_pretrained(tmp_path / "theirs")
    processor = {"do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.2, 0.3]}
    (tmp_path / "theirs/preprocessor_config.json").write_text(json.dumps(processor | {"size": {"height": 64, "width": 64}}))
    theirs = load_detector(tmp_path / "theirs", CLASSES)
    save_detector(theirs, tmp_path / "ours")
    again = load_detector(tmp_path / "ours", CLASSES)
    with torch.no_grad():
        assert torch.equal(again(random_pixels()).logits, theirs(random_pixels()).logits)
