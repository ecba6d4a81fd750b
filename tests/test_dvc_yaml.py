"""dvc.yaml names every module that a stage's result depends on, so that no stale result passes for a fresh one."""

import ast
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from zerostart.params import Params

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Plumbing: reading parameters (whose values DVC tracks one by one), writing files and reporting errors.
PLUMBING = {"config", "errors", "interruptions", "outputs", "params", "retrieval.params", "tagging.params"}


def module_file(name: str) -> Path:
    return ROOT / "src/zerostart" / f"{name.replace('.', '/')}.py"


def imported_modules(path: Path) -> set[str]:
    """Names of the zerostart modules that a file imports, directly or through others."""
    found: set[str] = set()
    pending = [path]
    while pending:
        for node in ast.walk(ast.parse(pending.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zerostart."):
                name = node.module.removeprefix("zerostart.")
                if name not in found:
                    found.add(name)
                    pending.append(module_file(name))
    return found - PLUMBING


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_the_modules_that_the_stage_imports(stage):
    script = f"src/stages/{stage}.py"
    modules = {f"src/zerostart/{name}.py" for name in imported_modules(ROOT / script)}
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
    assert listed == modules | {script}


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_that_a_stage_reads_is_declared(stage):
    declared = {name.split(".")[0] for name in STAGES[stage].get("params", [])}
    assert parameters_read(ROOT / f"src/stages/{stage}.py") & set(Params.model_fields) <= declared


def parameters_read(script: Path) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }


RETRIEVAL = yaml.safe_load((ROOT / "pipelines/retrieval/dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", RETRIEVAL)
def test_dependencies_and_parameters_of_retrieval(stage):
    script = ROOT / f"src/stages/retrieval/{stage}.py"
    modules = {module_file(name).relative_to(ROOT).as_posix() for name in imported_modules(script)}
    listed = {dep for dep in RETRIEVAL[stage]["deps"] if dep.startswith("src/")}
    assert listed == modules | {script.relative_to(ROOT).as_posix()}
    declared = {key for entry in RETRIEVAL[stage].get("params", []) for keys in entry.values() for key in keys}
    assert parameters_read(script) <= declared


PIPELINES = {
    "src/stages/detector.py": ("detector", "detector"),
    "src/stages/ablation_inputs.py": ("ablation", "inputs"),
    "src/stages/ablation_grid.py": ("ablation", "grid"),
    "src/stages/ablation_report.py": ("ablation", "report"),
}


@pytest.mark.parametrize("script", PIPELINES)
def test_dependencies_of_the_other_pipelines(script):
    pipeline, name = PIPELINES[script]
    stage = yaml.safe_load((ROOT / f"pipelines/{pipeline}/dvc.yaml").read_text())["stages"][name]["do"]
    assert stage["cmd"] in (f"PYTHONPATH=src python {script} ${{{name}}}" for name in ("item", "key"))
    modules = {f"src/zerostart/{module}.py" for module in imported_modules(ROOT / script)}
    assert {dep for dep in stage["deps"] if dep.startswith("src/")} == modules | {script}


def test_a_block_of_parameters_is_a_stage_of_the_detector_pipeline():
    folder = ROOT / "pipelines/detector"
    blocks = yaml.safe_load((folder / "params.yaml").read_text())["datasets"]
    stages = Repo(ROOT).stage.load_all(str(folder / "dvc.yaml"))
    assert {stage.name for stage in stages} == {f"detector@{name}" for name in blocks}
    assert {stage.cmd.split()[-1] for stage in stages} == set(blocks)


TAGGING = yaml.safe_load((ROOT / "pipelines/tagging/dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("name", TAGGING)
def test_dependencies_and_parameters_of_tagging(name):
    stage, script = TAGGING[name].get("do", TAGGING[name]), ROOT / f"src/stages/tagging/{name}.py"
    modules = {module_file(module).relative_to(ROOT).as_posix() for module in imported_modules(script)}
    listed = {dep for dep in stage["deps"] if dep.startswith("src/")}
    assert listed == modules | {script.relative_to(ROOT).as_posix()}
    declared = {
        key.removeprefix("datasets.${key}.") for entry in stage.get("params", []) for keys in entry.values() for key in keys
    }
    read = parameters_read(script)
    if "src/zerostart/tagging/phases.py" in listed and name in ("base", "adaptation"):
        read |= parameters_read(ROOT / "src/zerostart/tagging/phases.py")
    assert read <= declared
