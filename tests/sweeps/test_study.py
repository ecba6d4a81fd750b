"""The study behind a sweep: what it looks for, what a kill leaves in its journal, and that it has one writer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from optuna.study import StudyDirection

from zerostart import sweep
from zerostart.errors import InputError
from zerostart.params import load_params
from zerostart.sweeps.space import load_sweep

ROOT = Path(__file__).parents[2]
SCORES = {0.0: 0.1, 0.1: 0.9, 0.2: 0.4, 0.3: 0.2}
"""A made-up composite by alpha_init."""
WRITER = """
import sys
from pathlib import Path
from zerostart.outputs import only_writer

with only_writer(Path("toy.journal")):
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """The values of alpha_init that were tried, in a folder with a sweep over them; nothing is trained."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    content = {"sampler": "grid", "at_once": 1, "parameters": {"alpha_init": list(SCORES)}}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    seen: list[float] = []

    def run_trials(trials, inputs):
        seen.extend(trial.alpha_init for trial in trials)
        return [{"mAP": 0.5, "AR_critical": 0.5, "composite": SCORES[trial.alpha_init]} for trial in trials]

    monkeypatch.setattr(sweep, "load_inputs", lambda params: None)
    monkeypatch.setattr(sweep, "run_trials", run_trials)
    return seen


def run() -> str:
    return sweep.main(["toy.yaml", "--only-print"])


def test_the_highest_composite_is_looked_for(tried):
    """`tpe` learns from the direction; the command sorts by itself."""
    assert "best composite on val 0.9000 of 4 trials, -S alpha_init=0.1" in run()
    study = sweep.open_study(load_sweep(Path("toy.yaml")), load_params(), Path("toy.yaml"), Path("toy.journal"))
    assert study.direction == StudyDirection.MAXIMIZE
    assert study.best_value == 0.9


def test_equal_scores_do_not_depend_on_what_came_first(tried, monkeypatch):
    """A killed sweep tries what was cut off once more, at the end."""
    monkeypatch.setattr(sweep, "combinations", lambda sweep, all=sweep.combinations: all(sweep)[::-1])
    monkeypatch.setitem(SCORES, 0.2, 0.9)
    assert "-S alpha_init=0.1" in run()


@pytest.mark.parametrize("left", [b'{"op_code":4,"wor', b"{"])
def test_half_a_last_line_is_taken_away(tried, left):
    line = run()
    journal = Path("toy.journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole + left)
    assert run() == line
    assert journal.read_bytes().startswith(whole)
    assert left not in journal.read_bytes().splitlines()
    assert len(tried) == len(SCORES)  # nothing was tried again


def test_a_last_line_cut_in_the_middle_costs_its_trial_only(tried):
    line = run()
    journal = Path("toy.journal")
    journal.write_bytes(journal.read_bytes()[:-20])
    assert run() == line
    assert len(SCORES) <= len(tried) <= len(SCORES) + 1


def test_optuna_s_lock_of_a_killed_sweep_is_no_obstacle(tried):
    """Optuna's own wait for it never ends when the journal's path is relative: the link then points nowhere."""
    line = run()
    os.symlink("toy.journal", "toy.journal.lock")
    assert run() == line
    assert not Path("toy.journal.lock").is_symlink()


def test_a_second_sweep_on_one_study_is_one_sentence(tried):
    environment, pipes = os.environ | {"PYTHONPATH": str(ROOT / "src")}, {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", WRITER], env=environment, **pipes)
    other.stdout.readline()
    try:
        with pytest.raises(InputError) as refused:
            run()
    finally:
        other.communicate()
    assert str(refused.value) == f"toy.journal: process {other.pid} is writing it; wait for it, or end it first"
    assert "of 4 trials" in run()
