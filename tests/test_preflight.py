"""What a pipeline starts from is refused before anything expensive is run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from zerostart import preflight
from zerostart.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """The files that people write, in a folder whose name needs quoting."""
    folder = tmp_path / 'it\'s "mine" ä'
    for name in (
        "params.yaml",
        "data/datasets",
        "data/prompts",
        "data/baselines/synthetic",
        "data/tags",
        "data/contexts",
        "data/captions",
    ):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for name in ("ablation", "novel", "retrieval", "tagging"):
        (folder / "pipelines" / name).mkdir(parents=True)
        shutil.copy(ROOT / f"pipelines/{name}/params.yaml", folder / f"pipelines/{name}/params.yaml")
    monkeypatch.chdir(folder)
    return folder


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["preflight", *arguments])
    return preflight.main()


def replace(name, old, new):
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("arguments", [(), ("params",), ("ablation",), ("novel",), ("retrieval",), ("tagging", "toolbox")])
def test_the_repository_s_own_files_are_right(checkout, monkeypatch, arguments):
    assert run(monkeypatch, *arguments).startswith("checked: parameters")


def test_two_classes_with_facts_make_one_division_and_no_interval(checkout, monkeypatch):
    path = Path("data/datasets/synthetic.yaml")
    card = yaml.safe_load(path.read_text()) | {"classes": ["fracture", "scratch"], "critical": ["fracture"]}
    path.write_text(yaml.safe_dump(card))
    with pytest.raises(InputError, match="2 classes of synthetic make 1 division"):
        run(monkeypatch, "novel")


WRONG = {
    "bootstrap_samples": (("params.yaml", "bootstrap_samples: 1000", "bootstrap_samples: 1000000000"), "bootstrap_samples"),
    "alpha": (("params.yaml", "alpha_init: 0.0", "alpha_init: 1e39"), "alpha_init"),
    "launcher": (("params.yaml", "launcher: python", "launcher: python; touch x"), "decoder.launcher"),
    "card": (("params.yaml", "dataset: synthetic", "dataset: none"), "no card for dataset 'none'"),
    "prompts": (
        ("data/prompts/synthetic.yaml", "descriptions:", "description:"),
        "key 'descriptions' is missing",
    ),
    "zero width": (("data/prompts/synthetic.yaml", "soft shadow", "soft\u200bshadow"), "invisible character"),
    "text encoder": (("params.yaml", "text_encoder: minilm", "text_encoder: minilmm"), "text_encoder 'minilmm' is not known"),
    "baseline": (("params.yaml", "baseline: auto", "baseline: none"), "baseline is 'none': no such folder"),
    "configuration": (("data/baselines/synthetic/config.json", '"d_model": 64', '"d_model": -64'), "'d_model' is -64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused(checkout, monkeypatch, case):
    change, said = WRONG[case]
    replace(*change)
    with pytest.raises(InputError) as refused:
        run(monkeypatch)
    assert said in str(refused.value)
    assert not Path("x").exists()


@pytest.mark.parametrize("name", ["foo", "lr.foo", "decoder.foo"])
@pytest.mark.parametrize("pipeline", [(), ("params",)])
def test_a_key_that_dvc_adds_is_refused(checkout, monkeypatch, name, pipeline):
    """`dvc exp run -S +foo=1` writes any key into params.yaml before a stage can say a word."""
    apply_overrides("params.yaml", [f"+{name}=1"])
    with pytest.raises(InputError, match=rf"^params\.yaml: unknown parameter '{name}'$"):
        run(monkeypatch, *pipeline)


def test_another_folder_is_no_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="the root of a checkout is expected"):
        run(monkeypatch)


PYTHON = """#!/bin/sh
case "$*" in
  "-m venv "*) {python} -m venv --without-pip "$3" && for d in "$3"/lib/python*/site-packages; do echo > "$d/pip.py"; done ;;
  *) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize("name", ["it's mine", 'a "quoted" place', "Größe 傷", "a `touch x` b", "plain"])
def test_a_clone_may_lie_anywhere(tmp_path, name):
    """The environment's .pth file names the sources, whatever the folder is called."""
    folder = tmp_path / name
    folder.mkdir()
    for file in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / file, folder / file)
    (tmp_path / "python").write_text(PYTHON.replace("{python}", sys.executable))
    (tmp_path / "python").chmod(0o755)
    command = ["make", f"PYTHON={tmp_path}/python", ".venv/installed.lock"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
    (found,) = (folder / ".venv").glob("lib/python*/site-packages/zerostart.pth")
    assert found.read_text(encoding="utf-8") == f"{folder}/src\n"
