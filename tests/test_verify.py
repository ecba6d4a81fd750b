"""The sentence of `make verify`, in small git repositories with made-up lock files."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from zerostart.errors import InputError
from zerostart.verify import running_order, same_to_four_digits, verify

METRICS = {"composite": 0.459312, "images": 270}


def lock(**hashes: str) -> dict:
    """`evaluate` stands before the stages that it needs, as after a rerun of it alone."""
    made = {"code": "c0", "raw": "a0", "features": "b0", "metrics": "d0", "alpha": "0.1"} | hashes
    entry = {name: {"path": path, "md5": made[name]} for name, path in PATHS.items()}
    return {
        "schema": "2.0",
        "stages": {
            "evaluate": {"cmd": "x", "deps": [entry["features"], entry["code"]], "outs": [entry["metrics"]]},
            "synthetic": {"cmd": "x", "outs": [entry["raw"]]},
            "features": {
                "cmd": "x",
                "deps": [entry["raw"] | {"path": "data/raw/images"}],
                "params": {"params.yaml": {"alpha": made["alpha"]}},
                "outs": [entry["features"]],
            },
        },
    }


PATHS = {"code": "src/code.py", "raw": "data/raw", "features": "data/features", "metrics": "metrics"}


def write(lock_file: dict, metrics: dict = METRICS, path: str = "dvc.lock") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(yaml.safe_dump(lock_file, sort_keys=False))
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/evaluate.json").write_text(json.dumps(metrics, indent=1))


def commit() -> None:
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", *command], check=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(lock())
    commit()


def test_the_same_bytes(repository):
    assert verify([]) == "the same bytes as in the last commit: the outputs of all 3 stages in dvc.lock"


def test_only_rounding_differs_and_the_first_stage_is_named(repository):
    write(lock(features="b1", metrics="d1"), METRICS | {"composite": 0.459349})
    assert verify(["dvc.lock"]) == (
        "only rounding differs from the last commit: the output of the stage `features` is the first with other bytes,"
        " and 1 table agrees to four digits (dvc.lock)"
    )


def test_numbers_that_differ_more_are_an_error(repository):
    write(lock(raw="a1", features="b1", metrics="d1"), METRICS | {"composite": 0.4601})
    with pytest.raises(InputError) as caught:
        verify([])
    assert str(caught.value) == (
        'metrics/evaluate.json, line 2: `"composite": 0.4601,` here, `"composite": 0.459312,` in the last commit;'
        " the output of the stage `synthetic` is the first with other bytes"
    )


def test_a_count_has_no_rounding(repository):
    write(lock(metrics="d1"), METRICS | {"images": 271})
    with pytest.raises(InputError, match='line 3: `"images": 271` here'):
        verify([])


def test_an_experiment_is_not_compared(repository):
    write(lock(metrics="d1", alpha="0.2", code="c1"), METRICS | {"composite": 0.1})
    assert verify([]) == (
        "other inputs than in the last commit (params.yaml: alpha, src/code.py): its numbers are not those to compare with"
    )


def test_the_lock_files_of_all_pipelines_or_of_one(repository):
    write(lock(), path="pipelines/x/dvc.lock")
    commit()
    assert verify([]).endswith("all 6 stages in dvc.lock, pipelines/x/dvc.lock")
    write(lock(raw="a1"), path="pipelines/x/dvc.lock")
    assert "`synthetic` is the first" in verify([])
    assert verify(["dvc.lock"]).startswith("the same bytes")


def test_what_another_pipeline_makes_is_no_input(repository):
    other = {
        "stages": {"crops": {"cmd": "x", "deps": [{"path": "data/raw", "md5": "a0"}], "outs": [{"path": "crops", "md5": "e0"}]}}
    }
    write(other, path="pipelines/x/dvc.lock")
    commit()
    write(yaml.safe_load(yaml.safe_dump(other).replace("a0", "a1").replace("e0", "e1")), path="pipelines/x/dvc.lock")
    assert "`crops` is the first with other bytes" in verify(["pipelines/x/dvc.lock"])


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda: Path("metrics/evaluate.json").unlink(), r"^metrics/evaluate\.json: not readable \(No such file"),
        (lambda: Path("dvc.lock").unlink(), r"^dvc\.lock: not readable \(No such file"),
        (lambda: Path("dvc.lock").write_text("stages:\n  a: {outs: [{path"), r"^dvc\.lock: not valid YAML"),
        (lambda: Path("dvc.lock").write_text("[" * 10**5), r"^dvc\.lock: not valid YAML: nested too deeply"),
        (lambda: Path("dvc.lock").write_text("[]"), r"^dvc\.lock: not a lock file of DVC"),
        (
            lambda: Path("dvc.lock").write_text("stages: {}"),
            r"^dvc\.lock: the stage `evaluate` of the last commit is not in it",
        ),
    ],
)
def test_what_is_missing_or_broken_is_said_in_a_sentence(repository, break_it, sentence):
    break_it()
    with pytest.raises(InputError, match=sentence):
        verify([])


def test_without_git_a_repository_a_commit_or_a_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not a git repository"):
        verify([])
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(InputError, match="a git repository with a commit is expected here"):
        verify([])
    Path("a").touch()
    commit()
    with pytest.raises(InputError, match=r"^no dvc\.lock in the last commit"):
        verify([])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"^git: no such program here"):
        verify([])


def test_stages_come_after_those_whose_outputs_they_read():
    assert running_order(lock()["stages"]) == ["synthetic", "features", "evaluate"]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("dent,0.275262", "dent,0.275261", True),
        ("| dent | 0.2753 |", "| dent | 0.2754 |", True),
        ("0.9078", "0.9077", True),
        ("0.2753", "0.2755", False),
        ("12345.6", "12346.1", True),
        ("12345.6", "12348.1", False),
        ("1e-05", "0.00002", True),
        ("12 of 20", "13 of 20", False),
        ("dent,0.5", "scratch,0.5", False),
        ("0.5,0.5", "0.5", False),
        ("nan", "0.5", False),
    ],
)
def test_four_digits(old, new, same):
    assert same_to_four_digits(old, new) is same
