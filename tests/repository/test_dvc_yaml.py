"""dvc.yaml names every module that a stage's result depends on, so that no stale result passes for a fresh one."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from plumbing import PLUMBING

from zerostart.novel.params import NovelParams
from zerostart.params import Params

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Plumbing: parameters (whose values DVC tracks one by one), files, errors.
# Few of its edits change what comes out; one in kernels or vega asks for `dvc repro -f`.
NOT_TRACKED = {*PLUMBING, "novel.params", "retrieval.params", "tagging.params"}


def module_file(name: str) -> Path:
    return ROOT / "src/zerostart" / f"{name.replace('.', '/')}.py"


def modules_named(node: ast.AST) -> list[str]:
    """The zerostart modules of an import: `from zerostart.room.file import name`, or `from zerostart.room import file`."""
    if not isinstance(node, ast.ImportFrom) or not re.match(r"zerostart(\.|$)", node.module or ""):
        return []
    name = node.module.removeprefix("zerostart").lstrip(".")
    return [name] if module_file(name).is_file() else [f"{name}.{alias.name}".lstrip(".") for alias in node.names]


def imported_modules(path: Path) -> set[str]:
    """Names of the zerostart modules that a file imports, directly or through others."""
    found: set[str] = set()
    pending = [path]
    while pending:
        for node in ast.walk(ast.parse(pending.pop().read_text())):
            for name in set(modules_named(node)) - found:
                found.add(name)
                pending.append(module_file(name))
    return found - NOT_TRACKED


def script(stage: dict) -> str:
    """The file that a stage's command runs: `PYTHONPATH=src python -m stages.NAME`."""
    last = stage["cmd"] if isinstance(stage["cmd"], str) else stage["cmd"][-1]
    command = re.fullmatch(r"PYTHONPATH=src (?:python|\$\{decoder\.launcher\}) -m (stages\.[\w.]+)( \$\{\w+\})?", last)
    return f"src/{command[1].replace('.', '/')}.py"


def check_dependencies(stage: dict, rooms: bool) -> None:
    """What the stage imports is covered by its dependencies, and none of them is for nothing.

    rooms: the stages are cheap, and depend on whole folders. Elsewhere each file stands for itself: an edit of a neighbour must
    not cost a training.
    """
    imported = {module_file(name).relative_to(ROOT).as_posix() for name in imported_modules(ROOT / script(stage))}
    listed = {dep for dep in stage["deps"] if dep.startswith("src/")} - {script(stage)}
    assert script(stage) in stage["deps"]
    if not rooms:
        assert listed == imported
    assert {path for path in imported if not any(path == dep or path.startswith(f"{dep}/") for dep in listed)} == set()
    assert {dep for dep in listed if not any(path == dep or path.startswith(f"{dep}/") for path in imported)} == set()


def test_the_experiment_is_short_enough_to_be_read():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 330


def test_no_stage_depends_on_a_command():
    commands = {f"src/zerostart/{path.name}" for path in (ROOT / "src/zerostart").glob("*.py")}
    for file in [ROOT / "dvc.yaml", *ROOT.glob("pipelines/*/dvc.yaml")]:
        for stage in yaml.safe_load(file.read_text())["stages"].values():
            assert not commands & set(stage.get("do", stage)["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_are_the_modules_that_the_stage_imports(stage):
    assert script(STAGES[stage]) == f"src/stages/{stage}.py"
    check_dependencies(STAGES[stage], rooms=True)


def test_what_is_expensive_or_starts_a_shell_of_the_user_s_is_checked_first():
    first = {name: stage["cmd"][:-1] for name, stage in STAGES.items() if isinstance(stage["cmd"], list)}
    preflight = "PYTHONPATH=src python -m zerostart.preflight"
    assert first == {"features": [preflight], "decoder_tuning": [f"{preflight} params"]}


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_that_a_stage_reads_is_declared(stage):
    declared = {name.split(".")[0] for name in STAGES[stage].get("params", [])}
    assert parameters_read(ROOT / f"src/stages/{stage}.py") & set(Params.model_fields) <= declared


def parameters_read(path: Path) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }


RETRIEVAL = yaml.safe_load((ROOT / "pipelines/retrieval/dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", RETRIEVAL)
def test_dependencies_and_parameters_of_retrieval(stage):
    path = f"src/stages/retrieval/{stage}.py"
    assert script(RETRIEVAL[stage]) == path
    check_dependencies(RETRIEVAL[stage], rooms=True)
    declared = {key for entry in RETRIEVAL[stage].get("params", []) for keys in entry.values() for key in keys}
    assert parameters_read(ROOT / path) <= declared


@pytest.mark.parametrize("path", ["detector/detector", "ablation/inputs", "ablation/grid", "ablation/report"])
def test_dependencies_of_the_other_pipelines(path):
    pipeline, name = path.split("/")
    stage = yaml.safe_load((ROOT / f"pipelines/{pipeline}/dvc.yaml").read_text())["stages"][name]["do"]
    assert script(stage) == f"src/stages/{path}.py"
    check_dependencies(stage, rooms=False)


def test_a_block_of_parameters_is_a_stage_of_the_detector_pipeline():
    folder = ROOT / "pipelines/detector"
    blocks = yaml.safe_load((folder / "params.yaml").read_text())["datasets"]
    stages = Repo(ROOT).stage.load_all(str(folder / "dvc.yaml"))
    assert {stage.name for stage in stages} == {f"detector@{name}" for name in blocks}
    assert {stage.cmd.split()[-1] for stage in stages} == set(blocks)


TAGGING = yaml.safe_load((ROOT / "pipelines/tagging/dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("name", TAGGING)
def test_dependencies_and_parameters_of_tagging(name):
    stage, path = TAGGING[name].get("do", TAGGING[name]), f"src/stages/tagging/{name}.py"
    assert script(stage) == path
    check_dependencies(stage, rooms=False)
    declared = {
        key.removeprefix("datasets.${key}.") for entry in stage.get("params", []) for keys in entry.values() for key in keys
    }
    read = parameters_read(ROOT / path)
    if name in ("base", "adaptation"):
        read |= parameters_read(ROOT / "src/zerostart/tagging/engine/phases.py")
    assert read <= declared


NOVEL = yaml.safe_load((ROOT / "pipelines/novel/dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("name", NOVEL)
def test_dependencies_and_parameters_of_novel(name):
    stage, path = NOVEL[name].get("do", NOVEL[name]), f"src/stages/novel/{name}.py"
    assert f" -m stages.novel.{name} " in stage["cmd"]
    check_dependencies(stage | {"cmd": stage["cmd"].replace(" synthetic", " ${key}")}, rooms=False)
    assert parameters_read(ROOT / path) & set(NovelParams.model_fields) <= novel_parameters(stage)


def test_every_parameter_of_novel_belongs_to_a_stage():
    assert set().union(*(novel_parameters(stage.get("do", stage)) for stage in NOVEL.values())) == set(NovelParams.model_fields)


def novel_parameters(stage: dict) -> set[str]:
    return {key.split(".")[0] for entry in stage.get("params", []) for keys in entry.values() for key in keys}
