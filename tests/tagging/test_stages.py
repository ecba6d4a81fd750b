"""The whole tagging pipeline on a few pictures: same bytes twice, resume after a kill, nothing half-written."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tagging_samples import PARAMS, PHASE, ROOT, TAGS, run_stage, write_toy

from zerostart import tag
from zerostart.errors import InputError
from zerostart.tagging.answer.rules import load_rules
from zerostart.tagging.answer.tagger import Tagger
from zerostart.tagging.engine import training
from zerostart.tagging.engine.model import build_tagger, load_engine
from zerostart.tagging.judging.scores import best_thresholds, tag_metrics
from zerostart.tagging.params import PhaseParams, load_tagging_params
from zerostart.tagging.pictures.decoding import decode
from zerostart.tagging.pictures.store import open_store

STAGES = ("images", "base", "adaptation", "engines", "evaluate")


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every output of the pipeline."""
    files = [path for kind in ("data/tagging", "models", "metrics", "plots") for path in sorted((folder / kind).rglob("*"))]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tagging")
    write_toy(folder)
    for stage in STAGES:
        run_stage(stage, folder)
    return folder


def test_two_runs_give_the_same_bytes(finished, tmp_path):
    write_toy(tmp_path)
    for stage in STAGES:
        run_stage(stage, tmp_path)
    assert digests(tmp_path) == digests(finished)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_killed_training_goes_on_to_the_same_weights(finished, tmp_path, monkeypatch):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    save = training.save_training

    def killed(path, settings, parts, values):
        save(path, settings, parts, values)
        if len(values["history"]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_training", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage("base", tmp_path)
    assert not (tmp_path / "models/tagging/toy/standard").exists()
    resumed = tmp_path / "models/tagging/toy/.tmp-resume-standard.pt"
    assert len(torch.load(resumed, weights_only=True)["values"]["history"]) == 2
    run_stage("base", tmp_path)
    expected = {name: value for name, value in digests(finished).items() if "standard" in name}
    found = digests(tmp_path)
    assert {name: found[name] for name in expected if "confusion" not in name} == {
        name: value for name, value in expected.items() if "confusion" not in name
    }
    assert not resumed.exists()


def kill_after_an_epoch(stage: str, folder: Path, monkeypatch) -> None:
    save = training.save_training

    def killed(path, settings, parts, values):
        save(path, settings, parts, values)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_training", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage, folder)


def test_a_resumed_training_with_other_settings_is_refused(tmp_path, monkeypatch):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    kill_after_an_epoch("base", tmp_path, monkeypatch)
    for change, name in (
        ({"seed": 1}, "seed"),
        ({"model": PARAMS["model"] | {"options": PARAMS["model"]["options"] | {"global_pool": "max"}}}, "model"),
        ({"precision": "float16"}, "precision"),
    ):
        write_params(tmp_path, PARAMS | change)
        with pytest.raises(InputError, match=rf"started with another .*{name}"):
            run_stage("base", tmp_path)
    write_params(tmp_path, PARAMS)
    shapes = tmp_path / "data/tagging/toy/images/real/areas.npy"
    shapes.write_bytes(shapes.read_bytes() + b" ")
    with pytest.raises(InputError, match="started with another pictures"):
        run_stage("base", tmp_path)


def write_params(folder: Path, params: dict) -> None:
    (folder / "pipelines/tagging/params.yaml").write_text(json.dumps({"datasets": {"toy": params}}))


def test_metrics_hold_what_the_report_needs(finished):
    metrics = json.loads((finished / "metrics/tagging/toy/evaluate.json").read_text())
    assert set(metrics["whole"]) == {"academic", "real"}
    for engines in metrics["whole"].values():
        for numbers in engines.values():
            assert {"subset_accuracy", "mAP", "macro_F1", "micro_F1", "mean_AUC", "ECE", "per_tag", "intervals"} == set(numbers)
            low, high = numbers["intervals"]["subset_accuracy"]
            assert low <= numbers["subset_accuracy"] <= high
    change = metrics["adaptation"]["real"]["subset_accuracy"]["value"]
    before, after = (metrics["whole"]["real"][engine]["subset_accuracy"] for engine in ("standard", "hd"))
    assert change == pytest.approx(after - before, abs=2e-6)
    assert metrics["verdict"].startswith("Photos: mAP ")
    suited = metrics["suited_thresholds"]
    for engine, home in (("standard", "academic"), ("hd", "real")):  # chosen on this val already
        assert suited["whole"][home][engine] == metrics["whole"][home][engine]
    # What no threshold has a part in is the same at any thresholds.
    for domain, changes in metrics["adaptation"].items():
        assert suited["adaptation"][domain]["mAP"] == changes["mAP"]


def test_the_engines_stay_frozen(finished):
    model, _ = load_engine(finished / "models/tagging/toy/hd", TAGS)
    assert not any(parameter.requires_grad for parameter in model.parameters()) and not model.training


def test_adaptation_does_not_go_on_from_another_base(finished, tmp_path, monkeypatch):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    shutil.copytree(finished / "models/tagging/toy/standard", tmp_path / "models/tagging/toy/standard")
    kill_after_an_epoch("adaptation", tmp_path, monkeypatch)
    weights = tmp_path / "models/tagging/toy/standard/model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(InputError, match="started with another start;"):
        run_stage("adaptation", tmp_path)


def test_layer_decay_keeps_the_first_layers(tmp_path):
    write_toy(tmp_path, params=PARAMS | {"base": PHASE | {"epochs": 1, "layer_decay": 1e-3}})
    run_stage("images", tmp_path)
    run_stage("base", tmp_path)
    torch.manual_seed(0)
    start = build_tagger(load_tagging_params("toy", tmp_path / "pipelines/tagging/params.yaml").model, 3)
    model, _ = load_engine(tmp_path / "models/tagging/toy/standard", TAGS)
    assert json.loads((tmp_path / "metrics/tagging/toy/standard.json").read_text())["best_epoch"] == 1
    assert torch.allclose(start.stem[0].weight, model.stem[0].weight, atol=1e-6)
    assert (start.head.fc.weight - model.head.fc.weight).abs().max() > 1e-3


def test_training_learns_the_training_pictures(tmp_path):
    write_toy(tmp_path, params=PARAMS | {"base": PHASE | {"epochs": 12, "patience": 12, "mixup_alpha": 0.0, "lr": 0.01}})
    run_stage("images", tmp_path)
    run_stage("base", tmp_path)
    model, size = load_engine(tmp_path / "models/tagging/toy/standard", TAGS)
    store = open_store(tmp_path / "data/tagging/toy/images/academic", TAGS)
    train = store.of_split("train")
    found = tag_metrics(training.predict(model, store, train, size), store.targets[train], np.full(3, 0.5), TAGS)
    assert found["mAP"] > 0.95
    losses = pd.read_csv(tmp_path / "plots/tagging/toy/standard.csv")["loss"]
    assert losses.iloc[-1] < 0.5 * losses[1]


def test_training_stops_when_nothing_gets_better(tmp_path):
    write_toy(tmp_path, params=PARAMS | {"base": PHASE | {"epochs": 9, "patience": 2, "lr": 1e-12}})
    run_stage("images", tmp_path)
    run_stage("base", tmp_path)
    rows = pd.read_csv(tmp_path / "plots/tagging/toy/standard.csv")
    best = json.loads((tmp_path / "metrics/tagging/toy/standard.json").read_text())["best_epoch"]
    assert rows["epoch"].max() == best + 2 < 9


def test_replayed_pictures_are_the_share_that_was_asked_for(finished):
    stores = {d: open_store(finished / f"data/tagging/toy/images/{d}", TAGS) for d in ("academic", "real")}
    phase = PhaseParams.model_validate(PHASE | {"replay": 0.25})
    pictures = training.epoch_pictures(stores["real"], stores["academic"], phase, np.random.default_rng(0))
    replayed = sum(store is stores["academic"] for store, _ in pictures)
    photos = len(stores["real"].of_split("train"))
    assert len(pictures) == photos + replayed and replayed == round(photos / 3)
    splits = {int(store.splits[index]) for store, index in pictures}
    assert splits == {0} and len({(id(store), index) for store, index in pictures}) == len(pictures)


def test_batches_keep_each_picture_with_its_tags(finished):
    store = open_store(finished / "data/tagging/toy/images/academic", TAGS)
    phase = PhaseParams.model_validate(PHASE | {"least_crop": 1.0, "zoom_out": 1.0})
    pictures = [(store, int(index)) for index in store.of_split("train")]
    seen, seen_tags = 0, set()
    for inputs, targets in training.batches(pictures, phase, torch.device("cpu"), torch.Generator()):
        brightest = inputs.mean(dim=(2, 3)).argmax(dim=1)  # a picture tagged red is red
        tagged = targets.sum(dim=1) == 1
        assert torch.equal(targets.argmax(dim=1)[tagged], brightest[tagged])
        seen_tags |= set(targets.argmax(dim=1)[tagged].tolist())
        seen += len(inputs)
    assert seen == len(pictures) // 2 * 2 and seen_tags == {0, 1, 2}


def test_thresholds_are_chosen_on_the_engines_own_domain(finished):
    rules, _ = load_rules(finished / "models/tagging/toy/rules")
    for engine, domain in (("standard", "academic"), ("hd", "real")):
        model, size = load_engine(finished / "models/tagging/toy" / engine, TAGS)
        store = open_store(finished / f"data/tagging/toy/images/{domain}", TAGS)
        val = store.of_split("val")
        best = best_thresholds(training.predict(model, store, val, size), store.targets[val], 0.5)
        assert rules.chosen(engine, 1) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    ("photos", "change"), [(4, {}), (24, {"real_val": 0.01}), (24, {"real_test": 0.01}), (24, {"academic_val": 0.01})]
)
def test_a_split_without_pictures_is_refused_before_training(tmp_path, photos, change):
    write_toy(tmp_path, params=PARAMS | {"data": PARAMS["data"] | change}, photos=photos)
    with pytest.raises(InputError, match="pictures leave none for the split"):
        run_stage("images", tmp_path)
    assert not (tmp_path / "data/tagging/toy/images").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "HD"}, "engine 'HD'; auto, standard or hd"),
        ({"windows": 3}, "3 windows; 1 or 6"),
        ({"threshold": -0.1}, "0..1"),
    ],
)
def test_bad_arguments_in_python(finished, options, message):
    with pytest.raises(InputError, match=message):
        Tagger.load(finished / "models/tagging/toy").tag(np.zeros((40, 60, 3), np.uint8), **options)


def test_json_stays_json_however_long_it_takes(finished):
    command = [sys.executable, "-m", "zerostart.tag", "data/raw/toy/photos", "--models", "models/tagging/toy", "--json"]
    answer = subprocess.run(command, cwd=finished, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True)
    assert len(json.loads(answer.stdout)) == 24


def test_the_command_and_python_say_the_same(finished, capsys):
    picture = finished / "data/raw/toy/photos/01.png"
    with contextlib.chdir(finished):
        tag.main([str(picture), "--models", "models/tagging/toy", "--engine", "hd", "--tiling", "6", "--json"])
    text = capsys.readouterr().out
    said = json.loads(text)[picture.as_posix()]
    answer = Tagger.load(finished / "models/tagging/toy").tag(decode(picture), "hd", 6)
    assert said["engine"] == "hd"
    assert said["scores"] == pytest.approx(answer.scores, abs=1e-6)
    assert [row["tag"] for row in said["tags"]] == [row.tag for row in answer.tags]


def test_threshold_zero_gives_every_tag_and_names_the_window(finished):
    answer = Tagger.load(finished / "models/tagging/toy").tag(np.zeros((40, 60, 3), np.uint8), "standard", 6, 0.0)
    assert sorted(row.tag for row in answer.tags) == sorted(TAGS)
    assert [row.score for row in answer.tags] == sorted((row.score for row in answer.tags), reverse=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "no such file or folder"),
        (["empty"], "no image in it"),
        (["data/raw/toy/photos.csv"], "photos.csv: not a readable image"),
        (["data/raw/toy/photos", "--threshold", "1.5"], "--threshold 1.5; a number in 0..1"),
        (["data/raw/toy/photos", "--models", "models/other"], "no readable rules"),
    ],
)
def test_bad_input_of_the_command(finished, arguments, message):
    (finished / "empty").mkdir(exist_ok=True)
    models = [] if "--models" in arguments else ["--models", "models/tagging/toy"]
    with contextlib.chdir(finished), pytest.raises(InputError, match=message):
        tag.main(arguments + models)


def test_a_folder_with_a_broken_image_is_tagged_without_it(finished, tmp_path, capsys):
    (tmp_path / "good.png").write_bytes((finished / "data/raw/toy/photos/02.png").read_bytes())
    (tmp_path / "torn.png").write_bytes((finished / "data/raw/toy/photos/02.png").read_bytes()[:300])
    tag.main([str(tmp_path), "--models", str(finished / "models/tagging/toy")])
    text, errors = capsys.readouterr()
    assert text.count("\n") == 1 and "good.png" in text
    assert "torn.png: left out" in errors


def test_adaptation_refuses_a_base_of_other_tags(finished, tmp_path):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    source = finished / "models/tagging/toy/standard"
    target = tmp_path / "models/tagging/toy/standard"
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    config["tags"] = ["green", "red", "blue"]
    (target / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="trained for the tags green, red, blue; red, green, blue are expected"):
        run_stage("adaptation", tmp_path)


def test_epochs_of_zero_keep_the_start(tmp_path):
    write_toy(tmp_path, params=PARAMS | {"base": PHASE | {"epochs": 0}})
    run_stage("images", tmp_path)
    run_stage("base", tmp_path)
    torch.manual_seed(0)
    start = build_tagger(load_tagging_params("toy", tmp_path / "pipelines/tagging/params.yaml").model, 3)
    model, _ = load_engine(tmp_path / "models/tagging/toy/standard", TAGS)
    assert all(torch.equal(a, b) for a, b in zip(start.state_dict().values(), model.state_dict().values(), strict=True))
