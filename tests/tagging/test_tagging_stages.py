"""The whole tagging pipeline on a few pictures: same bytes twice, resume after a kill, nothing half-written."""

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tagging_samples import PARAMS, PHASE, TAGS, run_stage, write_toy

from zerostart import tag
from zerostart.errors import InputError
from zerostart.tagging import training
from zerostart.tagging.model import build_tagger, load_engine
from zerostart.tagging.params import load_tagging_params
from zerostart.tagging.photos import decode
from zerostart.tagging.tagger import Tagger

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
    save = training.TrainingState.save

    def killed(state, path, settings):
        save(state, path, settings)
        if len(state.history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage("base", tmp_path)
    assert not (tmp_path / "models/tagging/toy/standard").exists()
    resumed = tmp_path / "models/tagging/toy/.tmp-resume-standard.pt"
    assert len(torch.load(resumed, weights_only=True)["history"]) == 2
    run_stage("base", tmp_path)
    expected = {name: value for name, value in digests(finished).items() if "standard" in name}
    found = digests(tmp_path)
    assert {name: found[name] for name in expected if "confusion" not in name} == {
        name: value for name, value in expected.items() if "confusion" not in name
    }
    assert not resumed.exists()


def test_a_resumed_training_with_other_settings_is_refused(tmp_path, monkeypatch):
    write_toy(tmp_path)
    run_stage("images", tmp_path)
    save = training.TrainingState.save

    def killed(state, path, settings):
        save(state, path, settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.TrainingState, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage("base", tmp_path)
    write_params(tmp_path, PARAMS | {"seed": 1})
    with pytest.raises(InputError, match="started with another seed"):
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
    assert metrics["verdict"].startswith("Photos: ")


def test_the_engines_stay_frozen(finished):
    model, _ = load_engine(finished / "models/tagging/toy/hd", TAGS)
    assert not any(parameter.requires_grad for parameter in model.parameters()) and not model.training


def test_the_command_and_python_say_the_same(finished):
    picture = finished / "data/raw/toy/photos/01.png"
    with contextlib.chdir(finished):
        text = tag.main([str(picture), "--models", "models/tagging/toy", "--engine", "hd", "--tiling", "6", "--json"])
    said = json.loads(text)[picture.as_posix()]
    answer = Tagger.load(finished / "models/tagging/toy").tag(decode(picture), "hd", 6)
    assert said["engine"] == "hd"
    assert said["scores"] == pytest.approx(answer.scores, abs=1e-6)
    assert [row["tag"] for row in said["tags"]] == [row.tag for row in answer.tags]


def test_threshold_zero_gives_every_tag_and_names_the_view(finished):
    answer = Tagger.load(finished / "models/tagging/toy").tag(np.zeros((40, 60, 3), np.uint8), "standard", 6, 0.0)
    assert sorted(row.tag for row in answer.tags) == sorted(TAGS)
    assert [row.score for row in answer.tags] == sorted((row.score for row in answer.tags), reverse=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "no such file or folder"),
        (["empty"], "no image in it"),
        (["data/raw/toy/photos.csv"], "photos.csv: not an image"),
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
    text = tag.main([str(tmp_path), "--models", str(finished / "models/tagging/toy")])
    assert text.count("\n") == 0 and "good.png" in text
    assert "torn.png: left out" in capsys.readouterr().err


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
