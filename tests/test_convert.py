"""`python -m zerostart.convert`: from an official checkpoint and its YAML to a baseline folder, or one clear sentence."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
import yaml
from official_checkpoint import CARD, CLASSES, NAMES, SIZE, random_weights, write_checkpoint, write_config
from official_outputs import OFFICIAL, distance, needs_official, official

from zerostart import convert as command
from zerostart.detector.coco import COCO_CLASSES
from zerostart.detector.model import load_detector
from zerostart.errors import InputError


@pytest.fixture(scope="module")
def weights():
    return random_weights("s")


@pytest.fixture
def card(tmp_path):
    return write_card(tmp_path, NAMES)


def write_card(folder: Path, classes: list[str]) -> Path:
    (folder / "toy.yaml").write_text(yaml.safe_dump(CARD | {"classes": classes, "critical": classes[:1]}, sort_keys=False))
    return folder / "toy.yaml"


def run(monkeypatch, *arguments) -> str:
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, arguments)])
    return command.main()


def test_a_checkpoint_becomes_a_baseline(tmp_path, monkeypatch, weights, card):
    ema = {name: tensor + 1 if name.endswith("enc_score_head.bias") else tensor for name, tensor in weights.items()}
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights, ema), write_config(tmp_path, "s")
    line = run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out")
    assert line == f"{tmp_path / 'out'}: DINOv3STAs vit_tiny, 9.7 M parameters, 6 classes, 64x64 pixels"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".zerostart", "config.json", "model.safetensors"]
    content = json.loads((tmp_path / "out/config.json").read_text())
    assert content["official_decoder"] is True
    assert content["id2label"] == {str(k): name for k, name in enumerate(NAMES)}
    model = load_detector(tmp_path / "out", NAMES)
    assert torch.equal(model.model.enc_score_head.bias, ema["decoder.enc_score_head.bias"])  # EMA preferred
    assert torch.equal(model.model.enc_score_head.weight, weights["decoder.enc_score_head.weight"])
    with torch.no_grad():
        assert model(pixel_values=torch.rand(1, 3, SIZE, SIZE)).logits.isfinite().all()


@needs_official
@pytest.mark.parametrize("variant", ["atto", "n"])
def test_the_command_reproduces_the_official_outputs(tmp_path, monkeypatch, card, variant):
    """From files to a folder and back; what is computed is compared in test_corrections."""
    out = tmp_path / "out"
    line = run(monkeypatch, OFFICIAL / f"{variant}.pth", "--config", OFFICIAL / f"{variant}.yml", "--card", card, "--out", out)
    assert ("note: the configuration says use_gateway: false" in line) == (variant == "n")  # its YAML is wrong about it
    _, *reference = official(variant)
    assert distance(load_detector(out, NAMES), *reference) < 1e-5


def test_half_precision_becomes_float32_and_is_said(tmp_path, monkeypatch, weights, card):
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", halves), write_config(tmp_path, "s")
    line = run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out")
    assert line.endswith("note: float16 was converted to float32")
    assert {tensor.dtype for tensor in load_detector(tmp_path / "out", NAMES).parameters()} == {torch.float32}


def test_inputs_that_are_not_normalised_are_mentioned_for_a_dino_variant(tmp_path, monkeypatch, weights, card):
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights), write_config(tmp_path, "s", val_dataloader=None)
    line = run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out")
    assert "note: val_dataloader has no Normalize" in line


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        (["num_classes=5"], r"the card has 6 classes, but num_classes in .*s\.yml is 5; with category ids that start at 1"),
        (["num_classes=7"], r"the card has 6 classes, but num_classes in .*s\.yml is 7"),
        (
            ["DEIMTransformer.dim_feedforward=256"],
            r"last\.pth with .*s\.yml: tensor 'model\.decoder\.layers\.0\.mlp\.gate_proj\.weight' is \(256, 192\) where the"
            r" model has \(128, 192\), .* more; is it another variant\?",
        ),
        (["HybridEncoder.version=dfine"], r"csp_rep1\.conv2\.conv\.weight' is missing"),
        (["DEIMTransformer.num_layer=3"], "unknown key 'num_layer'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, monkeypatch, weights, card, updates, message):
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights), write_config(tmp_path, "s")
    with pytest.raises(InputError, match=message) as caught:
        run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out", "-u", *updates)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_head_of_another_size_than_the_configuration_says_is_told(tmp_path, monkeypatch, card):
    checkpoint = write_checkpoint(tmp_path / "last.pth", random_weights("s", classes=CLASSES + 1))
    with pytest.raises(
        InputError, match=r"is \(7, 192\) where the model has \(6, 192\).*another number of classes \(7 and 6\)\?"
    ):
        run(monkeypatch, checkpoint, "--config", write_config(tmp_path, "s"), "--card", card, "--out", tmp_path / "out")


def test_without_a_card_the_classes_are_cocos_or_refused(tmp_path, monkeypatch):
    assert (len(COCO_CLASSES), COCO_CLASSES[0], COCO_CLASSES[-1]) == (80, "person", "toothbrush")
    weights = random_weights("s", classes=80)
    config = write_config(tmp_path, "s", num_classes=80, remap_mscoco_category=True)
    checkpoint = write_checkpoint(tmp_path / "coco.pth", weights)
    run(monkeypatch, checkpoint, "--config", config, "--out", tmp_path / "out")
    assert load_detector(tmp_path / "out", list(COCO_CLASSES)).config.id2label[79] == "toothbrush"
    with pytest.raises(InputError, match="num_classes is 80, not COCO's remapped 80; --card"):
        run(monkeypatch, checkpoint, "--config", write_config(tmp_path, "s", num_classes=80), "--out", tmp_path / "other")


def test_a_folder_with_other_files_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.txt").write_text("kept")
    with pytest.raises(InputError, match=r"data: holds 'mine\.txt', which no command of zerostart wrote"):
        run(monkeypatch, "any.pth", "--config", "any.yml", "--out", tmp_path / "data")
    with pytest.raises(InputError, match=r"mine\.txt: is a file"):
        run(monkeypatch, "any.pth", "--config", "any.yml", "--out", tmp_path / "data/mine.txt")
    assert (tmp_path / "data/mine.txt").read_text() == "kept"


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch, weights, card):
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights), write_config(tmp_path, "s")
    with pytest.raises(InputError, match=r"last\.pth: is a file; a new folder is expected"):
        run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", checkpoint / "out")


def test_the_command_ends_with_one_sentence_and_an_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["convert", "none.pth", "--config", "none.yml", "--out", str(tmp_path / "out")])
    with pytest.raises(
        SystemExit, match=r"^error: none\.yml: cannot be read \(No such file or directory\); a YAML file is expected$"
    ):
        runpy.run_path(command.__file__, run_name="__main__")
