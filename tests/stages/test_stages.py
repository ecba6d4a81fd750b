"""The stages from the prompts to the evaluation on a made-up feature cache, one after the other and cut short."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from pipeline_sample import STAGES, TRAINED, ZERO_START, change_params, prepare, tree
from stage_files import run_stage_file as run_stage
from toy_cache import CLASSES, ROOT

from zerostart.errors import InputError


@pytest.fixture(scope="module")
def experiments(tmp_path_factory) -> dict[str, Path]:
    """The folders of two experiments, of which all stages have run."""
    folders = {}
    for name, changes in (("zero start", ZERO_START), ("trained", TRAINED)):
        folders[name] = tmp_path_factory.mktemp(name.replace(" ", "_"))
        prepare(folders[name], **changes)
        for stage in STAGES:
            run_stage(stage, folders[name])
    return folders


@pytest.fixture
def experiment(tmp_path, experiments) -> Path:
    """A folder of its own in which `prompts` and `text_embeddings` have run and three epochs of each phase are to come."""
    prepare(tmp_path, **TRAINED)
    os.symlink(experiments["trained"] / "data/text_embeddings", tmp_path / "data/text_embeddings")
    return tmp_path


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "metrics/evaluate.json").read_text())


def test_every_output_that_dvc_yaml_names_is_written(experiments):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in STAGES:
        for kind in ("outs", "metrics", "plots"):
            for output in stages[stage].get(kind, []):
                name = output if isinstance(output, str) else next(iter(output))
                assert (experiments["trained"] / name).exists(), f"{stage}: {name}"


def test_the_zero_start_is_the_baseline(experiments):
    found = evaluation(experiments["zero start"])
    assert found["baseline"]["mAP"] > 0
    assert set(found["delta"].values()) == {0}
    assert {name: found[name] for name in found["baseline"]} == found["baseline"]
    assert all(bounds == {"low": 0, "high": 0} for bounds in found["interval"].values())
    plots = experiments["zero start"] / "plots"
    assert (plots / "confusion_baseline.csv").read_bytes() == (plots / "confusion_refined.csv").read_bytes()


def test_the_evaluation_has_its_keys(experiments):
    found = evaluation(experiments["trained"])
    scalars = {"mAP", "AP50", "AP75", "AR_critical", "composite", "mAP_without_normal", "critical_recall", "calibration_error"}
    assert set(found) == scalars | {
        *("baseline", "delta", "composite_steps", "interval", "threshold", "temperature", "tempered_calibration_error")
    }
    assert set(found["baseline"]) == set(found["delta"]) == scalars
    assert found["composite"] == pytest.approx(0.7 * found["mAP"] + 0.3 * found["AR_critical"], abs=2e-6)


def test_training_helps_where_the_features_tell_the_class(experiments):
    for phase in ("warmup", "head_tuning"):
        metrics = json.loads((experiments["trained"] / f"metrics/{phase}.json").read_text())
        assert metrics["best_epoch"] > 0
    assert evaluation(experiments["trained"])["delta"]["composite"] > 0.1


def test_head_tuning_starts_where_warmup_ended(experiments):
    folder = experiments["trained"]
    with (folder / "plots/head_tuning.csv").open(newline="") as file:
        start = next(csv.DictReader(file))
    warmup = json.loads((folder / "metrics/warmup.json").read_text())
    assert float(start["composite"]) == pytest.approx(warmup["val"]["composite"], abs=1e-6)
    assert float(start["alpha"]) == pytest.approx(warmup["alpha"], abs=1e-6)


def test_text_embeddings_are_those_of_the_sentences(experiments):
    folder = experiments["trained"]
    expanded = json.loads((folder / "data/prompts_expanded.json").read_text())
    assert [entry["class"] for entry in expanded] == CLASSES
    assert expanded[1]["sentences"] == [
        "a photo of a shaded hollow",
        "a photo of a soft pit",
        "a shaded hollow on metal",
        "a soft pit on metal",
    ]
    assert json.loads((folder / "data/text_embeddings/classes.json").read_text()) == CLASSES
    embeddings = np.load(folder / "data/text_embeddings/embeddings.npy")
    assert embeddings.shape == (3, 384) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)
    with (folder / "plots/class_cosines.csv").open(newline="") as file:
        cosines = {(row["class_a"], row["class_b"]): float(row["cosine"]) for row in csv.DictReader(file)}
    assert cosines["crack", "dent"] == pytest.approx(float(embeddings[0] @ embeddings[1]), abs=1e-6)
    assert len(cosines) == 9


def test_the_sentences_must_be_there(tmp_path):
    prepare(tmp_path)
    with pytest.raises(InputError, match=r"^data/prompts_expanded\.json: no such file; stage prompts writes it"):
        run_stage("text_embeddings", tmp_path)
    for content in ('["crack"]', '[{"class": "crack"}]'):
        (tmp_path / "data/prompts_expanded.json").write_text(content)
        with pytest.raises(InputError, match=r"^data/prompts_expanded\.json: a list of classes with sentences"):
            run_stage("text_embeddings", tmp_path)
    assert not (tmp_path / "plots").exists()


def test_text_embeddings_of_other_classes_are_refused(experiment):
    text = experiment / "data/text_embeddings"
    embeddings = np.load(text / "embeddings.npy")
    text.unlink()
    with pytest.raises(InputError, match=r"^data/text_embeddings/classes\.json: no such file; the stage `text_emb"):
        run_stage("warmup", experiment)
    text.mkdir()
    np.save(text / "embeddings.npy", embeddings)
    (text / "classes.json").write_text(json.dumps(CLASSES[::-1]))
    with pytest.raises(InputError) as refused:
        run_stage("warmup", experiment)
    expected = f"data/text_embeddings/classes.json: {CLASSES[::-1]}, but the data set has the classes {CLASSES}"
    assert str(refused.value) == expected
    (text / "classes.json").write_text(json.dumps(CLASSES))
    np.save(text / "embeddings.npy", embeddings[:2])
    with pytest.raises(InputError, match=r"embeddings\.npy: shape \(2, 384\); a row for each of 3 classes is expected"):
        run_stage("warmup", experiment)
    (text / "embeddings.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"^data/text_embeddings: not readable"):
        run_stage("warmup", experiment)
    assert tree(experiment, "models", "plots", "metrics") == {}


def test_stages_out_of_order_are_refused(experiment):
    for missing, stage in itertools.pairwise(("warmup", "head_tuning", "decoder_tuning", "evaluate")):
        with pytest.raises(InputError, match=f"^models/{missing}/fusion.json: no such file; not a readable fusion checkpoint"):
            run_stage(stage, experiment)


KILLED = """
import os, runpy, signal, sys
from zerostart.method import checkpoint, training

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_in_the_second_epoch(*arguments, run=training._mean_losses, epochs=[], **options):
    epochs.append(1)
    return run(*arguments, **options) if len(epochs) < 3 else kill()  # epoch 0, 1, 2

def kill_after_half_a_file(tensors, path):
    path.write_bytes(b"half")
    kill()

if sys.argv[2] == "epoch":
    training._mean_losses = kill_in_the_second_epoch
else:
    checkpoint.save_file = kill_after_half_a_file
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("moment", ["epoch", "write"])
def test_a_killed_stage_leaves_the_last_result_and_runs_again(experiments, experiment, moment):
    """SIGKILL in the second epoch, or with half of the weights written; nothing in Python can clean up after it."""
    change_params(experiment, seed=5)
    run_stage("warmup", experiment)
    before = tree(experiment, "models/warmup", "plots", "metrics")
    assert len(before) == 4
    change_params(experiment, seed=0)
    command = [sys.executable, "-c", KILLED, str(ROOT / "src/stages/warmup.py"), moment]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, cwd=experiment, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert tree(experiment, "models/warmup", "plots", "metrics") == before
    assert (experiment / "models/.tmp-new-warmup").exists() == (moment == "write")

    run_stage("warmup", experiment)
    undisturbed = experiments["trained"]
    names = ("models/warmup/fusion.json", "models/warmup/fusion.safetensors", "plots/warmup.csv", "metrics/warmup.json")
    assert all((experiment / name).read_bytes() == (undisturbed / name).read_bytes() for name in names)
    assert set(tree(experiment, "models", "plots", "metrics")) == set(names)
    assert before["models/warmup/fusion.safetensors"] != (experiment / names[1]).read_bytes()


def test_a_stage_s_refusal_is_one_line_and_exit_code_1(tmp_path):
    """The command of dvc.yaml in a folder without parameters."""
    command = [sys.executable, "-m", "stages.prompts"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "error: params.yaml: no such file; the parameters are expected there\n"
