"""The doctor sees what is missing and says what to do about it; it changes nothing."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import yaml

from zerostart import doctor

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with parameters and card for a data set that is not there, the text encoder taken for granted."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": "neu-det"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("requirements.lock").write_text(f"numpy=={importlib.metadata.version('numpy')}\n")
    Path("data/datasets").mkdir(parents=True)
    Path("data/datasets/neu-det.yaml").write_bytes((ROOT / "data/datasets/neu-det.yaml").read_bytes())
    monkeypatch.setattr(doctor, "load_text_encoder", lambda name: None)
    return tmp_path


def findings() -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in doctor.examine()}


def test_packages_are_compared_with_the_lock():
    numpy = importlib.metadata.version("numpy")
    assert doctor.packages([f"numpy=={numpy}", "none-such==1 ; sys_platform == 'plan9'"]).remedy is None
    wrong = doctor.packages(["numpy==0.1", "none-such==1"])
    assert wrong.found == f"numpy is {numpy}, ==0.1 is locked; none-such is missing, ==1 is locked"
    assert wrong.remedy
    assert doctor.packages([f"none-such{n}==1" for n in range(5)]).found.endswith(" and 2 more")


def test_python_is_checked(monkeypatch):
    assert doctor.python().remedy is None
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    assert doctor.python() == ("Python", "3.10.4", "make PYTHON=python3.11 repro")


def test_missing_data_and_baseline_are_named(checkout):
    found = findings()
    assert found["data"].found == "data/raw/neu-det: no such folder"
    assert found["data"].remedy.endswith("then `dvc add data/raw/neu-det`")
    assert found["baseline"].found == "data/baselines/neu-det: no config.json"
    assert "make baseline DATASET=neu-det" in found["baseline"].remedy
    assert found["DVC"].remedy  # not a DVC repository
    before = sorted(checkout.rglob("*"))
    assert doctor.main().startswith("next: data: ")
    assert sorted(checkout.rglob("*")) == before


def test_what_is_there_is_described(checkout):
    Path("data/raw/neu-det").mkdir(parents=True)
    Path("data/raw/neu-det/a.jpg").touch()
    Path("data/baselines/neu-det").mkdir(parents=True)
    about = {"num_queries": 50, "d_model": 64, "model_type": "deimv2", "id2label": {"0": "crazing"}}
    Path("data/baselines/neu-det/config.json").write_text(json.dumps(about))
    found = findings()
    assert (found["data"].found, found["data"].remedy) == ("data/raw/neu-det: 1 files", None)
    assert (found["baseline"].found, found["baseline"].remedy) == ("data/baselines/neu-det: 50 queries of 64 features", None)


def test_wrong_parameters_end_the_examination(checkout):
    Path("params.yaml").write_text("dataset: neu-det\n")
    assert list(findings())[-1] == "params.yaml"
    assert "parameter 'alpha_init' is missing" in findings()["params.yaml"].found
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/tmp/rwlock").write_text("")  # what DVC left is looked at all the same
    assert list(findings())[-2:] == ["params.yaml", "DVC's locks"]


def test_stages_to_be_run_are_named(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    edited = {"warmup": ["changed command", {"changed deps": {"params.yaml": {"tau": "modified"}}}], "evaluate": []}
    answers = iter([json.dumps(edited), "{}"])

    def status(command, **_):
        assert command[1:] == ["-m", "dvc", "status", "dvc.yaml", "--json"]
        return doctor.subprocess.CompletedProcess(command, 0, next(answers), "")

    monkeypatch.setattr(doctor.subprocess, "run", status)
    assert list(doctor.stages()) == [("DVC", "to be run: warmup, evaluate", "make repro")]
    assert [finding.remedy for finding in doctor.stages()] == [None]
