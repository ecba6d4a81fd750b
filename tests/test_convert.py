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
    said, order = line.splitlines()
    assert said == f"{tmp_path / 'out'}: DINOv3STAs vit_tiny, 9.7 M parameters, 6 classes, 64x64 pixels"
    assert order == "classes: 0 = class0, 1 = class1, 2 = class2, 3 = class3, 4 = class4, 5 = class5"
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
        (["num_classes=5"], r"the card has 6 classes, but num_classes in .*s\.yml is 5$"),
        (["num_classes=7"], r"the card has 6 classes, but num_classes in .*s\.yml is 7; with category ids .* --first-id 1, or"),
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


def write_annotations(folder: Path, names: dict[int, str]) -> Path:
    content = {"images": [], "annotations": [], "categories": [{"id": key, "name": name} for key, name in names.items()]}
    (folder / "train.json").write_text(json.dumps(content))
    return folder / "train.json"


@pytest.mark.parametrize("how", ["--first-id", "--annotations"])
def test_category_ids_that_start_at_1_lose_the_output_without_a_class(tmp_path, monkeypatch, card, how):
    """A head of 7 outputs for the ids 1 to 6: what is left is the official head without its row 0."""
    weights = random_weights("s", classes=CLASSES + 1)
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights), write_config(tmp_path, "s", num_classes=CLASSES + 1)
    given = "1" if how == "--first-id" else write_annotations(tmp_path, dict(enumerate(NAMES, start=1)))
    line = run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out", how, given)
    assert line.endswith("note: the head's output 0, which no category id of the training names, was left out")
    state = load_detector(tmp_path / "out", NAMES).state_dict()
    for ours, theirs in (
        ("model.enc_score_head.weight", "decoder.enc_score_head.weight"),
        ("model.enc_score_head.bias", "decoder.enc_score_head.bias"),
        ("model.decoder.class_embed.3.weight", "decoder.dec_score_head.3.weight"),
        ("model.denoising_class_embed.weight", "decoder.denoising_class_embed.weight"),
    ):
        assert torch.equal(state[ours], weights[theirs][1:]), ours


def test_the_detector_without_output_0_agrees_on_the_classes(tmp_path, monkeypatch, card):
    """Output 0 learned never to be right: its bias is low, so that it is no query's highest."""
    weights = random_weights("s", classes=CLASSES + 1)
    for name, tensor in weights.items():
        if name.endswith("score_head.bias") or (".dec_score_head." in name and name.endswith("bias")):
            tensor[0] = -50
    checkpoint = write_checkpoint(tmp_path / "last.pth", weights)
    config = write_config(tmp_path, "s", num_classes=CLASSES + 1)
    run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out", "--first-id", 1)
    with_it = write_card(tmp_path, ["nothing", *NAMES])
    run(monkeypatch, checkpoint, "--config", config, "--card", with_it, "--out", tmp_path / "all")
    short, whole = load_detector(tmp_path / "out", NAMES), load_detector(tmp_path / "all", ["nothing", *NAMES])
    pixels = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = short.double()(pixel_values=pixels), whole.double()(pixel_values=pixels)
    # Positions outside the image tie when queries are chosen, in an order that the width of the head decides: sort them.
    found = [
        torch.cat([logits, boxes], 2)
        for logits, boxes in ((ours.logits, ours.pred_boxes), (theirs.logits[..., 1:], theirs.pred_boxes))
    ]
    ranked = [one.gather(1, one.sum(2).argsort(1)[..., None].expand_as(one)) for one in found]
    torch.testing.assert_close(*ranked, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {0: "class1", 1: "class0", **dict(enumerate(NAMES[2:], start=2))},
            r"in the order of their ids, class1, class0, .*class5;",
        ),
        (dict(zip((0, 1, 2, 3, 4, 7), NAMES, strict=True)), r"its category ids are \[0, 1, 2, 3, 4, 7\]; 0, 1, 2"),
        (dict(enumerate(NAMES, start=2)), r"its category ids are \[2, 3"),
    ],
)
def test_the_training_annotations_are_compared_with_the_card(tmp_path, monkeypatch, weights, card, names, message):
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", weights), write_config(tmp_path, "s")
    given = ["--config", config, "--card", card, "--out", tmp_path / "out", "--annotations", write_annotations(tmp_path, names)]
    with pytest.raises(InputError, match=message):
        run(monkeypatch, checkpoint, *given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_names_of_wrapped_models_are_read(tmp_path, monkeypatch, weights, card, prefix):
    wrapped = {prefix + name: tensor for name, tensor in weights.items()}
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", wrapped), write_config(tmp_path, "s")
    run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out")
    model = load_detector(tmp_path / "out", NAMES)
    assert torch.equal(model.model.enc_score_head.weight, weights["decoder.enc_score_head.weight"])


def test_a_weight_that_is_not_finite_is_named(tmp_path, monkeypatch, weights, card):
    broken = weights | {"decoder.enc_score_head.bias": torch.full((CLASSES,), torch.nan)}
    checkpoint, config = write_checkpoint(tmp_path / "last.pth", broken), write_config(tmp_path, "s")
    with pytest.raises(
        InputError, match=r"last\.pth: tensor 'decoder\.enc_score_head\.bias' holds 6 values that are NaN or inf"
    ):
        run(monkeypatch, checkpoint, "--config", config, "--card", card, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "a pointer of Git LFS, not the file itself; `git lfs pull` fetches it",
        ),
        (b"<!DOCTYPE html><html>", "a saved web page; the link behind it leads to the file"),
        (b"", "an empty file"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_told(tmp_path, monkeypatch, content, message):
    (tmp_path / "last.pth").write_bytes(content)
    with pytest.raises(InputError, match=rf"last\.pth: not a readable \.pth file of plain tensors \({message}"):
        run(
            monkeypatch,
            tmp_path / "last.pth",
            "--config",
            write_config(tmp_path, "s"),
            "--card",
            write_card(tmp_path, NAMES),
            "--out",
            tmp_path / "out",
        )


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
    with pytest.raises(SystemExit, match=r"^error: none\.yml: no such file; a YAML file is expected$"):
        runpy.run_path(command.__file__, run_name="__main__")
