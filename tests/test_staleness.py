"""dvc.lock against its files, in a clone without data of a pipeline of two stages."""

import subprocess
import sys
from pathlib import Path

import pytest

from zerostart import staleness
from zerostart.errors import InputError

PIPELINE = """
stages:
  train:
    cmd: python -c "open('model', 'w').write(open('words/a.txt').read())"
    deps: [words]
    params: [alpha_init]
    outs: [model]
  evaluate:
    cmd: python -c "open('score.json', 'w').write('1')"
    deps: [model, code.py]
    metrics:
      - score.json: {cache: false}
"""


def sh(*command, cwd):
    subprocess.run(command, check=True, capture_output=True, cwd=cwd)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    files = {
        "dvc.yaml": PIPELINE,
        "params.yaml": "alpha_init: 0.0\n",
        "words/a.txt": "a crack",
        "code.py": "1",
        "score.json": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    sh("git", "init", "-q", "-b", "main", cwd=folder)
    for command in (["init", "-q"], ["repro", "-q"]):
        sh(sys.executable, "-m", "dvc", *command, cwd=folder)
    sh("git", "add", "-A", cwd=folder)
    sh("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "x", cwd=folder)
    return folder


@pytest.fixture
def clone(trained, tmp_path, monkeypatch):
    sh("git", "clone", "-q", str(trained), str(tmp_path / "clone"), cwd=tmp_path)
    monkeypatch.chdir(tmp_path / "clone")
    assert not Path("model").exists()


def test_a_clone_without_data_is_up_to_date(clone):
    assert staleness.main() == "dvc.lock is up to date with everything that is in git"


def test_every_change_without_a_rerun_is_named_with_its_stages(clone, capsys):
    Path("params.yaml").write_text("alpha_init: 0.1\n")
    Path("words/a.txt").write_text("a fracture")
    Path("code.py").unlink()
    Path("score.json").write_text("2")
    with pytest.raises(InputError, match=r"dvc\.lock is stale, see above"):
        staleness.main()
    assert capsys.readouterr().out.splitlines() == [
        "code.py (deleted) was changed without a rerun of evaluate",
        "params.yaml: alpha_init was changed without a rerun of train, then evaluate",
        "score.json was changed without a rerun of evaluate",
        "words was changed without a rerun of train, then evaluate",
    ]


def test_a_new_command_and_a_new_stage(clone):
    text = Path("dvc.yaml").read_text().replace("write('1')", "write('2')")
    Path("dvc.yaml").write_text(text + "  extra:\n    cmd: echo\n    deps: [code.py]\n")
    definition, never = staleness.find_stale().experiment
    assert definition == "a stage that was never run was changed without a rerun of extra"
    assert never == "the stage's definition (changed command) was changed without a rerun of evaluate"


def test_an_output_that_was_made_anew_for_some_stages_only(clone):
    """`dvc repro train` alone, as the lock file shows it where the output itself is not there."""
    lock = Path("dvc.lock")
    before, stage, after = lock.read_text().partition("  train:")
    made = after.index("md5: ", after.index("outs:"))
    lock.write_text(before + stage + after[: made + 5] + "f" * 32 + after[made + 37 :])
    assert staleness.find_stale().experiment == ["model was changed without a rerun of evaluate"]


def test_other_pipelines_are_named_but_do_not_fail():
    found = {"words": {"prompts", "pipelines/x/dvc.yaml:grid@a"}, "code.py": {"pipelines/x/dvc.yaml:grid@a"}}
    assert staleness.by_pipeline(found) == (
        {"words": {"prompts"}},
        {"words": {"pipelines/x/dvc.yaml:grid@a"}, "code.py": {"pipelines/x/dvc.yaml:grid@a"}},
    )
    after = staleness.downstream('"a" -> "b";\n"b" -> "c";\n"a" -> "pipelines/x/dvc.yaml:grid@a";\n')
    assert after == {"a": {"b", "c"}, "b": {"c"}}
